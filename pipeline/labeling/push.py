"""The queue to Label Studio: what has no task there yet is sent, in order, with the labels to start from.

Every round begins with a look at what the server has, so that a fault, a killed run or an answer that got lost can
neither lose a task nor make two of one picture: what is missing is sent, what is double and untouched is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from label_studio_sdk.label_interface.interface import LabelInterface
from rich.progress import track

from pipeline.labeling.conflicts import Conflict
from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.history import plates_to_rows
from pipeline.labeling.pictures import Picture
from pipeline.labeling.studio import PREDICTED_LABELS, PREDICTED_MODEL, Studio, StudioError, Task, UnsureError
from pipeline.labeling.tasks import INTERFACE, to_result
from pipeline.records import Box, Plate, Quad

Row = Mapping[str, Any]
ROUNDS = 6  # looks at the server before giving up


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task as it is to stand on the server, but for the address of its picture."""

    picture: Picture
    data: Mapping[str, Any]
    meta: Mapping[str, Any]
    predictions: tuple[Mapping[str, Any], ...]


@dataclass
class Pushed:
    """What a push did; `refused` has a sentence for each picture that could not be sent."""

    sent: int = 0
    present: int = 0
    reopened: int = 0
    doubles: int = 0
    predictions: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Local:
    """Pictures that the server reads from its own disk: `root` is its document root, images lie in `root`/raw."""

    root: Path

    def addresses(self, studio: Studio, pictures: Iterable[Picture]) -> dict[str, str]:
        """Each picture's address on the server, by sample id."""
        studio.serve(str(self.root / "raw"))
        return {one.id: f"/data/local-files/?d={quote(f'raw/{one.image}')}" for one in pictures}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Pictures that are sent to the server, under their sample ids; `images` is the folder that they lie in."""

    images: Path

    def addresses(self, studio: Studio, pictures: Iterable[Picture]) -> dict[str, str]:
        """Each picture's address on the server, by sample id; what is not there yet is uploaded, if it is here."""
        paths = {one.id: path for one in pictures if (path := self.images / one.image).is_file()}
        names = {identity: identity + path.suffix.lower() for identity, path in paths.items()}
        missing = dict(names)
        for attempt in range(1, ROUNDS + 1):
            there = studio.uploads()
            missing = {identity: name for identity, name in names.items() if name not in there}
            if not missing:
                return {identity: there[name] for identity, name in names.items()}
            try:
                for identity, name in track(missing.items(), "sending pictures"):
                    studio.upload(name, paths[identity].read_bytes())
            except UnsureError as error:
                time.sleep(studio.patience.wait(attempt, error.wait))
        raise StudioError(f"{len(missing)} pictures could not be uploaded in {ROUNDS} attempts; push again")


def wanted(
    queue: Iterable[Row], pictures: Mapping[str, Picture], conflicts: Mapping[str, Conflict], predicted: Iterable[Row]
) -> list[Wanted]:
    """The tasks to stand on the server: open conflicts first, then the queue in its order."""
    by_id = {row["id"]: row for row in predicted}
    queued = {row["id"]: row for row in queue if row["id"] in pictures}
    order = [identity for identity in conflicts if identity in pictures]
    order += [identity for identity in queued if identity not in conflicts]
    return [_wanted(pictures[one], queued.get(one), conflicts.get(one), by_id.get(one)) for one in order]


def _wanted(picture: Picture, queued: Row | None, conflict: Conflict | None, predicted: Row | None) -> Wanted:
    data = {
        "sample": picture.id,
        "name": picture.image,
        "priority": queued["priority"] if queued is not None else 1.0,
        "why": why(queued, conflict),
    }
    meta = {
        "width": picture.extent.width,
        "height": picture.extent.height,
        "labels": plates_to_rows(picture.current),
        "source": plates_to_rows(picture.source),
    }
    if conflict is not None:
        meta["since"] = conflict.since
    shown = {PREDICTED_LABELS: picture.current}
    if predicted is not None and predicted["detections"]:
        shown[PREDICTED_MODEL] = model_plates(predicted["detections"])
        meta["model"] = plates_to_rows(shown[PREDICTED_MODEL])
    predictions = tuple(
        {"model_version": version, "result": to_result(plates, picture.extent)} for version, plates in shown.items()
    )
    return Wanted(picture, data, meta, predictions)


def why(queued: Row | None, conflict: Conflict | None) -> str:
    """What the annotator is asked, a line for each reason; the pipeline's suspicion first."""
    lines = []
    if conflict is not None:
        lines += [f"To be settled: {reason}" for reason in conflict.reasons]
    if queued is not None:
        lines.append(f"Suspicion {queued['priority']:.2f}, since:")
        for reason in queued["reasons"]:
            place = " at ({:.0f}, {:.0f})".format(*reason["box"][:2]) if "box" in reason else ""
            read = f": {', '.join(reason['readings'])}" if reason.get("readings") else ""
            lines.append(f"• {reason['reason']}{read}{place}")
    return "\n".join(lines)


def model_plates(detections: Iterable[Row]) -> tuple[CorrectedPlate, ...]:
    """What the recogniser found and read, as plates that nobody has confirmed."""
    return tuple(
        CorrectedPlate(
            Plate(Box(*one["box"]), Quad(*((float(x), float(y)) for x, y in one["quad"]))),
            certain=False,
            readings=(one["text"],) if one["text"] else (),
        )
        for one in detections
    )


def push(
    studio: Studio, tasks: Sequence[Wanted], addresses: Callable[[Sequence[Picture]], Mapping[str, str]], batch: int
) -> Pushed:
    """Makes the server hold each task once, with its predictions; the more often it is called, the less it does."""
    done = Pushed()
    tasks = [task for task in tasks if not _refused(task, done)]
    urls: dict[str, str] | None = None
    missing: list[Wanted] = []
    for attempt in range(1, ROUNDS + 1):
        there = by_sample(studio.tasks())
        if urls is None:
            done.present = sum(task.picture.id in there for task in tasks)
            unseen = [task.picture for task in tasks if task.picture.id not in there]
            urls = _visible(studio, unseen, addresses, done) if unseen else {}
            tasks = [task for task in tasks if task.picture.id in there or task.picture.id in urls]
        missing = [task for task in tasks if task.picture.id not in there]
        try:
            whole = _mended(studio, tasks, there, done)
            if not missing and whole:
                done.sent = len(tasks) - done.present
                return done
            for start in track(range(0, len(missing), batch), "sending tasks", disable=not missing):
                part = missing[start : start + batch]
                studio.send([_request(task, urls[task.picture.id]) for task in part])
        except UnsureError as error:
            time.sleep(studio.patience.wait(attempt, error.wait))
    raise StudioError(
        f"{len(missing)} of {len(tasks)} tasks are not seen on the server after {ROUNDS} attempts; push again: what "
        "arrived meanwhile is not sent twice"
    )


def by_sample(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Tasks by sample id, the oldest first."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.sample, []).append(task)
    return found


def _refused(task: Wanted, done: Pushed) -> bool:
    """Whether the interface could not show a prediction; the server would take it, and show nothing."""
    for prediction in task.predictions:
        checked = {"score": 0.0, **prediction}
        wrong = _interface().validate_prediction(checked, return_errors=True)  # type: ignore[no-untyped-call]
        if wrong:
            done.refused.append(f"{task.picture.image}: its labels do not fit the interface: {wrong[0]}")
            return True
    return False


@cache
def _interface() -> LabelInterface:
    return LabelInterface(INTERFACE.read_text(encoding="utf-8"))


def _visible(
    studio: Studio,
    pictures: Sequence[Picture],
    addresses: Callable[[Sequence[Picture]], Mapping[str, str]],
    done: Pushed,
) -> dict[str, str]:
    """The addresses of those pictures that the server can show; the others are refused by name."""
    urls = addresses(pictures)
    seen = {}
    for picture in pictures:
        if picture.id not in urls:
            done.refused.append(f"{picture.image}: it is not here to be sent; run the stage that pulls its source")
        elif studio.shows(urls[picture.id]):
            seen[picture.id] = urls[picture.id]
        else:
            done.refused.append(
                f"{picture.image}: the server cannot show it; is its document root the folder sync_labels.root, and "
                "is the picture there? Or set sync_labels.images: upload in params.yaml"
            )
    return seen


def _mended(studio: Studio, tasks: Iterable[Wanted], there: Mapping[str, Sequence[Task]], done: Pushed) -> bool:
    """Deletes untouched doubles, adds lost predictions, reopens tasks in conflict; True if nothing was to do."""
    whole = True
    for wanted_ in tasks:
        copies = there.get(wanted_.picture.id, ())
        doubles = spare(copies)
        for double in doubles:
            studio.delete_task(double.id)
            done.doubles += 1
            whole = False
        for task in copies:
            if task in doubles:
                continue
            if _mend_predictions(studio, wanted_, task, done):
                whole = False
            if "since" in wanted_.meta and task.meta.get("since") != wanted_.meta["since"]:
                studio.reopen(task.id, {**task.data, "why": wanted_.data["why"]}, wanted_.meta)
                done.reopened += 1
                whole = False
    return whole


def spare(copies: Sequence[Task]) -> list[Task]:
    """Of several tasks of one picture those that nobody touched, but for one that is kept."""
    touched = [task for task in copies if task.annotations or task.drafts]
    kept = touched or list(copies[:1])
    return [task for task in copies if task not in kept]


def _mend_predictions(studio: Studio, wanted_: Wanted, task: Task, done: Pushed) -> bool:
    """Whether a task that nobody touched lacked a prediction, or had one twice; it is right then."""
    if task.annotations or task.drafts:
        return False
    versions = [version for _, version in task.predictions]
    changed = False
    for prediction in wanted_.predictions:
        if prediction["model_version"] not in versions:
            studio.predict(task.id, prediction)
            done.predictions += 1
            changed = True
    for index, (identity, version) in enumerate(task.predictions):
        if version in versions[:index]:
            studio.delete_prediction(identity)
            changed = True
    return changed


def _request(task: Wanted, url: str) -> dict[str, Any]:
    return {"data": {"image": url, **task.data}, "meta": dict(task.meta), "predictions": list(task.predictions)}
