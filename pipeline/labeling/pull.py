"""What annotators said, brought into the labels: nothing that anybody said or changed is lost without a word.

An annotation is merged three ways: against the labels that it started from, with what changed here since. What two
sides see differently changes no label: it is a conflict, and goes back to the annotators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.labeling.conflicts import Conflict, Kind
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.history import Annotated, Annotation, State, plates_from_rows
from pipeline.labeling.merge import Settled, adopt, all_same, settle, three_way
from pipeline.labeling.pictures import Picture
from pipeline.labeling.push import by_sample
from pipeline.labeling.studio import Studio, StudioError, Task
from pipeline.labeling.tasks import Extent, ResultError, from_result

LOOKS = 6  # listings before giving up on one that stays the same


@dataclass
class Labels:
    """The labels in git that a pull changes, each by sample id."""

    corrections: dict[str, Correction]
    annotated: dict[str, Annotated]
    conflicts: dict[str, Conflict]


@dataclass
class Pulled:
    """What a pull changes, or would: counts, and a sentence for each annotation that cannot be taken."""

    labels: Labels
    corrected: list[str] = field(default_factory=list)  # ids of the pictures whose labels change
    states: Counter[State] = field(default_factory=Counter)
    tombstones: int = 0  # annotations that are gone since the last pull
    refused: list[str] = field(default_factory=list)


def listed(studio: Studio) -> list[Task]:
    """All tasks as they stand at one time: listed again until two listings are the same, as people go on working."""
    before = studio.tasks()
    for _ in range(LOOKS):
        after = studio.tasks()
        if _versions(after) == _versions(before):
            return after
        before = after
    raise StudioError("annotations change faster than they can be listed; pull again when fewer people are at work")


def _versions(tasks: Iterable[Task]) -> list[Any]:
    return [
        (task.id, [[(a["id"], str(a["updated_at"])) for a in said] for said in (task.annotations, task.drafts)])
        for task in tasks
    ]


def pull(
    tasks: Iterable[Task],
    users: Mapping[int, str],
    pictures: Mapping[str, Picture],
    labels: Labels,
    same_iou: float,
) -> Pulled:
    """The labels after what the tasks' annotations say; `labels` itself stays as it is."""
    pulled = Pulled(Labels(dict(labels.corrections), dict(labels.annotated), dict(labels.conflicts)))
    grouped = by_sample(tasks)
    for identity in sorted(grouped.keys() | labels.annotated.keys()):
        _pull_one(pulled, identity, grouped.get(identity, []), users, pictures.get(identity), same_iou)
    return pulled


def _pull_one(
    pulled: Pulled,
    identity: str,
    tasks: Sequence[Task],
    users: Mapping[int, str],
    picture: Picture | None,
    same_iou: float,
) -> None:
    labels = pulled.labels
    record = labels.annotated.get(identity)
    touched = next((task for task in tasks if task.annotations or task.drafts), None)
    if record is None or (touched is not None and touched.id != record.task):
        if touched is None:
            return
        shown = _shown(touched)  # who works at a task that is new starts from the labels that it was made with
        fresh = Annotated(identity, str(touched.data.get("name") or ""), touched.id, shown.labels, shown.source, ())
        record = fresh if record is None else replace(record, task=fresh.task, base=fresh.base)
    said = [one for task in tasks for one in _annotations(task, users, pulled)]
    conflict = labels.conflicts.get(identity)
    since = conflict.since if conflict is not None else None
    record = replace(record, annotations=_remembered(record.annotations, said, pulled, since))
    settled = settle(record.annotations, same_iou, since)
    overruled = {one.key for one in settled.overruled}
    record = replace(
        record, annotations=tuple(replace(a, overruled=a.overruled or a.key in overruled) for a in record.annotations)
    )
    pulled.states.update(one.state for one in record.annotations)
    labels.annotated[identity] = _merged(pulled, record, settled, picture, same_iou)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What push wrote into a task: the plates that annotators start from, as known, as read by the recogniser and as
    drawn by the source; and the picture's size."""

    labels: tuple[CorrectedPlate, ...]
    model: tuple[CorrectedPlate, ...]
    source: tuple[CorrectedPlate, ...]
    extent: Extent


def _shown(task: Task) -> _Shown:
    try:
        labels, source = (plates_from_rows(task.meta[name]) for name in ("labels", "source"))
        model = plates_from_rows(task.meta.get("model", ()))
        return _Shown(labels, model, source, Extent(int(task.meta["width"]), int(task.meta["height"])))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StudioError(
            f"task {task.id}: what push wrote into its meta was changed or deleted; delete the task, and push again"
        ) from None


def _annotations(task: Task, users: Mapping[int, str], pulled: Pulled) -> list[Annotation]:
    if not (task.annotations or task.drafts):
        return []
    shown = _shown(task)
    found = []
    for row in task.annotations:
        one = _annotation(row, _name(row.get("updated_by") or row.get("completed_by"), users), "submitted", shown)
        if row.get("was_cancelled"):
            one = replace(one, state="skipped")
        elif one.problem is not None:
            one = replace(one, state="refused")
            pulled.refused.append(f"task {task.id}, annotation {one.id} by {one.by}: {one.problem}; correct it there")
        found.append(one)
    drafts = [row for row in task.drafts if row.get("annotation") is None]  # others change one that stands above
    return found + [_annotation(row, str(row.get("user")), "draft", shown) for row in drafts]


def _annotation(row: Mapping[str, Any], by: str, state: State, shown: _Shown) -> Annotation:
    plates: tuple[CorrectedPlate, ...] = ()
    problem = None
    try:
        plates = adopt(shown.labels, from_result(row.get("result"), shown.extent), shown.model)
    except ResultError as error:
        problem = str(error)
    seconds = row.get("lead_time")
    return Annotation(
        id=int(row["id"]),
        made=_time(row["created_at"]),
        when=_time(row["updated_at"]),
        by=by,
        seconds=None if seconds is None else round(float(seconds), 1),
        state=state,
        plates=plates,
        problem=problem,
    )


def _time(value: Any) -> str:
    """ISO 8601 in UTC, always to the microsecond: such texts are in order of time."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _name(user: Any, users: Mapping[int, str]) -> str:
    number = user.get("id") if isinstance(user, Mapping) else user
    return users.get(number, f"user {number}") if isinstance(number, int) else "unknown"


def _remembered(
    before: Sequence[Annotation], now: Sequence[Annotation], pulled: Pulled, since: str | None
) -> tuple[Annotation, ...]:
    """All that was ever said, also in earlier versions of an annotation; `since` is the time of an open conflict.

    One that is gone from the server is a tombstone, unless it is a draft that was handed in.
    """
    revised = [one for one in before if one.state == "revised"]
    known = {(one.state == "draft", one.key): one for one in before if one.state != "revised"}
    fresh = {(one.state == "draft", one.key): one for one in now}
    for key, one in known.items():
        if (again := fresh.get(key)) is not None:
            if (again.when, again.state) == (one.when, one.state):
                fresh[key] = one
            elif one.state == "submitted" and again.when != one.when:
                disputed = since is not None and one.when <= since
                revised.append(replace(one, state="revised", overruled=one.overruled or disputed))
        elif not (one.state == "draft" and any(n.by == one.by and n.when >= one.when for n in now)):
            pulled.tombstones += one.state != "deleted"
            fresh[key] = replace(one, state="deleted")
    return tuple(sorted([*revised, *fresh.values()], key=lambda one: (one.made, one.id, one.when)))


def _merged(pulled: Pulled, record: Annotated, settled: Settled, picture: Picture | None, same_iou: float) -> Annotated:
    """Takes the winning annotation, then changes of the source, into the labels; the record as it is to be kept."""
    labels, winner = pulled.labels, settled.winner
    conflict = labels.conflicts.get(record.id)
    contested = conflict is not None and conflict.kind == "upstream"
    if settled.reasons:
        voices = [one for one in record.annotations if one.state == "submitted" and not one.overruled]
        _disagree(labels, record, "upstream" if contested else "annotators", settled.reasons, voices)
        return record
    version = None if winner is None else (*winner.key, winner.when)
    news = winner if version != record.merged else None
    if conflict is not None and contested and (winner is None or winner.when <= conflict.since):
        return record
    if conflict is not None and news is None and winner is None:
        return record  # all who disagreed took back what they said: the question stands
    labels.conflicts.pop(record.id, None)
    source = picture.source if picture is not None else record.source
    moved = record.merged is not None and not all_same(record.source, source)
    ours = plates = _current(record, picture, labels)
    reasons: tuple[str, ...] = ()
    if news is not None:
        merge = three_way(record.base, ours, news.plates, same_iou)
        plates, reasons = merge.plates, merge.conflicts
    if moved and (contested or not reasons):
        merge = three_way(record.source, source, plates, same_iou)
        plates, reasons = merge.plates, merge.conflicts
    if reasons and not contested:  # else the annotator was told, and theirs is the last word in what was contested
        _disagree(labels, record, "upstream", reasons, record.annotations)
        return record
    if not all_same(ours, plates) or (news is not None and not _corrections(record, picture, labels)):
        _correct(pulled, record, picture, news, plates)
    if news is None:
        return replace(record, source=source) if moved else record
    return replace(record, base=news.plates, source=source, merged=version)


def _disagree(
    labels: Labels, record: Annotated, kind: Kind, reasons: tuple[str, ...], voices: Iterable[Annotation]
) -> None:
    since = max(one.when for one in voices)
    labels.conflicts[record.id] = Conflict(record.id, record.image, kind, record.task, reasons, since)


def _ids(record: Annotated, picture: Picture | None) -> tuple[str, ...]:
    return (record.id,) if picture is None else picture.ids


def _current(record: Annotated, picture: Picture | None, labels: Labels) -> tuple[CorrectedPlate, ...]:
    """The labels as they stand here; of a picture that is in no data now, as its correction or the last pull says."""
    if picture is not None:
        return picture.current
    known = _corrections(record, picture, labels)
    return known[-1].plates if known else record.base


def _corrections(record: Annotated, picture: Picture | None, labels: Labels) -> list[Correction]:
    """The complete corrections of a picture and its copies."""
    known = [labels.corrections[one] for one in _ids(record, picture) if one in labels.corrections]
    return [correction for correction in known if correction.complete]


def _correct(
    pulled: Pulled,
    record: Annotated,
    picture: Picture | None,
    news: Annotation | None,
    plates: tuple[CorrectedPlate, ...],
) -> None:
    """Writes the picture's correction in place of all that were made of it or its copies: it holds what they said."""
    corrections = pulled.labels.corrections
    old = next(iter(_corrections(record, picture, pulled.labels)), None)
    for identity in _ids(record, picture):
        corrections.pop(identity, None)
    latest = max(one.when for one in record.annotations)[:10]
    fresh = Correction(record.id, record.image, plates, True, "the source", latest, "its labels changed")
    if news is not None:
        took = "" if news.seconds is None else f", {news.seconds:g} s"
        why = f"annotated in Label Studio (annotation {news.id}{took})"
        fresh = replace(fresh, by=news.by, when=news.when[:10], why=why)
    elif old is not None:
        fresh = replace(fresh, by=old.by, when=old.when, why=f"{old.why}; then its source changed")
    corrections[record.id] = fresh
    pulled.corrected.append(record.id)
