"""What annotators said, brought into the labels: each way that it may go; pulling again changes nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.labeling import conflicts, corrections, history
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.history import Annotated, plates_to_rows
from pipeline.labeling.pictures import Picture
from pipeline.labeling.pull import LOOKS, Labels, Pulled, listed, pull
from pipeline.labeling.push import model_plates
from pipeline.labeling.studio import Studio, StudioError, Task
from pipeline.labeling.tasks import Extent, to_result
from pipeline.records import Box, Plate

SAME = 0.8
EXTENT = Extent(400, 200)
ID, COPY, OTHER = (f"{number:064x}" for number in (1, 2, 3))
USERS = {1: "ann@example.org", 2: "bob@example.org", 3: "eve@example.org"}
ANN, BOB, EVE = USERS


def plate(x: float = 0, **known: Any) -> CorrectedPlate:
    about = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(20 + x, 20, 100 + x, 50), **known), **about)


OWN, READ, OTHERWISE = plate(), plate(text="AB1"), plate(text="AB7")


def moment(second: float) -> str:
    """As this project writes a time."""
    return (datetime(2026, 11, 26, 9, tzinfo=UTC) + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def said(
    by: int, *plates: CorrectedPlate, at: float = 1, made: float | None = None, number: int = 0, **other: Any
) -> Any:
    """An annotation as the server tells it; `at` is when it was updated."""
    row = {
        "id": number or by * 10,
        "completed_by": {"id": by, "email": USERS[by]},
        "created_at": moment(at if made is None else made),
        "updated_at": moment(at),
        "lead_time": 4.25,
        "was_cancelled": False,
        "result": to_result(plates, EXTENT),
    }
    return row | other


def draft(by: int, *plates: CorrectedPlate, at: float = 1, **other: Any) -> Any:
    row = {"id": by * 100, "user": USERS[by], "created_at": moment(at), "updated_at": moment(at), "annotation": None}
    return row | {"lead_time": 1.0, "result": to_result(plates, EXTENT)} | other


def task(
    *annotations: Any,
    drafts: tuple[Any, ...] = (),
    labels: tuple[CorrectedPlate, ...] = (OWN,),
    source: tuple[CorrectedPlate, ...] = (OWN,),
    number: int = 12,
    sample: str = ID,
) -> Task:
    told = {"labels": plates_to_rows(labels), "source": plates_to_rows(source), "width": 400, "height": 200}
    return Task(number, sample, {"sample": sample, "name": "kaggle/a.png"}, told, False, (), annotations, drafts)


@dataclass
class Bench:
    """The files in git and one picture of the data, whose source draws `source`; None: it is in no data now."""

    folder: Path
    source: tuple[CorrectedPlate, ...] | None = (OWN,)
    labels: Labels = field(default_factory=lambda: Labels({}, {}, {}))
    ids: tuple[str, ...] = (ID, COPY)

    @property
    def pictures(self) -> dict[str, Picture]:
        if self.source is None:
            return {}
        known = self.source
        for identity in self.ids:
            if identity in self.labels.corrections:
                known = corrections.known([one.plate for one in known], self.labels.corrections[identity], 0.3)
        return {ID: Picture(ID, self.ids, "kaggle/a.png", EXTENT, self.source, known)}

    def pull(self, *tasks: Task) -> Pulled:
        """Pulls into the files, sees that what it was given stays as it was, and that pulling again changes nothing."""
        before = deepcopy(self.labels)
        pulled = pull(tasks, USERS, self.pictures, self.labels, SAME)
        assert self.labels == before
        self.labels = self.through_files(pulled.labels)
        assert self.labels == pulled.labels
        again = pull(tasks, USERS, self.pictures, self.labels, SAME)
        assert again.labels == self.labels
        assert (again.corrected, again.tombstones, again.refused) == ([], 0, pulled.refused)
        assert again.states == pulled.states
        return pulled

    def through_files(self, labels: Labels) -> Labels:
        paths = [self.folder / name for name in ("corrections", "annotations", "conflicts")]
        corrections.write(paths[0], labels.corrections.values())
        history.write(paths[1], labels.annotated.values())
        conflicts.write(paths[2], labels.conflicts.values())
        known = {one.id: one for one in corrections.read(paths[0])}
        return Labels(known, history.read(paths[1]), conflicts.read(paths[2]))

    def correct_by_hand(self, *plates: CorrectedPlate, of: str = ID, complete: bool = True) -> Correction:
        made = Correction(of, "kaggle/a.png", plates, complete, "Dora", "2026-11-22", "seen")
        self.labels.corrections[of] = made
        return made

    @property
    def plates(self) -> list[CorrectedPlate]:
        """What the picture's correction says."""
        return list(self.labels.corrections[ID].plates)

    @property
    def record(self) -> Annotated:
        return self.labels.annotated[ID]

    @property
    def states(self) -> list[tuple[str, str, bool]]:
        return [(one.by.split("@")[0], one.state, one.overruled) for one in self.record.annotations]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# What one annotator says


def test_nothing_to_pull(bench: Bench) -> None:
    pulled = bench.pull(task(), task(sample=OTHER, number=13))
    assert pulled == Pulled(Labels({}, {}, {}))


def test_a_new_annotation_becomes_a_complete_correction(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, plate(text="AB1", rows=1, region="SE"), plate(200), at=1.25, number=7)))
    expected = (plate(text="AB1", rows=1, region="SE"), plate(200))
    assert bench.labels.corrections == {
        ID: Correction(
            ID,
            "kaggle/a.png",
            expected,
            True,
            "ann@example.org",
            "2026-11-26",
            "annotated in Label Studio (annotation 7, 4.2 s)",
        )
    }
    assert (pulled.corrected, pulled.states, pulled.tombstones, pulled.refused) == ([ID], {"submitted": 1}, 0, [])
    assert bench.labels.conflicts == {}
    record = bench.record
    assert (record.image, record.task, record.source) == ("kaggle/a.png", 12, (OWN,))
    assert record.merged == (7, moment(1.25), moment(1.25))
    (one,) = record.annotations
    assert (one.by, one.when, one.seconds, one.state, one.plates) == (
        "ann@example.org",
        moment(1.25),
        4.2,
        "submitted",
        expected,
    )


def test_a_changed_annotation_changes_the_correction(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    assert bench.pull(task(said(ANN, OTHERWISE, at=2, made=1))).corrected == [ID]
    assert bench.plates == [OTHERWISE]
    assert bench.states == [("ann", "revised", False), ("ann", "submitted", False)]


def test_an_empty_annotation_says_that_there_is_no_plate(bench: Bench) -> None:
    assert bench.pull(task(said(ANN))).corrected == [ID]
    assert bench.plates == []


def test_other_pictures_stay_as_they_were(bench: Bench) -> None:
    other = bench.correct_by_hand(READ, of=OTHER)
    bench.pull(task(said(ANN, READ)), task(sample=OTHER, number=13))
    assert bench.labels.corrections[OTHER] == other
    assert list(bench.labels.annotated) == [ID]


def test_the_annotation_of_a_second_task_of_the_picture_counts_and_starts_from_its_own(bench: Bench) -> None:
    first, second = task(number=12, labels=()), task(said(ANN, READ, plate(200)), number=13, labels=(OWN, plate(200)))
    bench.source = (OWN, plate(200))
    bench.pull(first, second)
    assert bench.plates == [READ, plate(200)]
    assert bench.record.task == 13
    bench.pull(task(said(ANN, OTHERWISE, plate(200), at=2, made=1), number=13, labels=(OWN, plate(200))))
    assert bench.plates == [OTHERWISE, plate(200)], "the other one was deleted meanwhile"


def test_who_and_when_as_the_server_tells_them(bench: Bench) -> None:
    east = datetime(2026, 11, 26, 11, 0, 0, 250, timezone(timedelta(hours=2)))
    bench.pull(
        task(
            said(ANN, READ, number=1, created_at=east, updated_at="2026-11-26T10:00:00.000250+01:00", lead_time=None),
            said(BOB, READ, number=2, updated_by={"id": 3}),
            said(ANN, READ, number=3, completed_by=2),
            said(ANN, READ, number=4, completed_by=99),
            said(ANN, READ, number=5, completed_by=None),
        )
    )
    annotations = {one.id: one for one in bench.record.annotations}
    assert (annotations[1].made, annotations[1].when) == 2 * ("2026-11-26T09:00:00.000250Z",)
    assert annotations[1].seconds is None
    assert [annotations[number].by for number in (1, 2, 3, 4, 5)] == [
        "ann@example.org",
        "eve@example.org",
        "bob@example.org",
        "user 99",
        "unknown",
    ]


def test_a_microsecond_later_is_later(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ, at=1)))
    assert bench.pull(task(said(ANN, OTHERWISE, at=1.000001, made=1))).corrected == [ID]
    assert bench.plates == [OTHERWISE]
    whole = said(BOB, OTHERWISE, at=2, updated_at="2026-11-26T09:00:02Z", created_at="2026-11-26T09:00:02Z")
    late = said(ANN, OTHERWISE, at=1.999999, made=1)
    bench.pull(task(late, whole))
    assert bench.record.merged == (20, moment(2), moment(2)), "a time without microseconds is not the latest"


# What stands here already


def test_a_complete_correction_stays_as_it_is_when_it_is_only_confirmed(bench: Bench) -> None:
    exact = plate(text="BOSS", kind="novelty", vehicle=Box(0, 0, 400, 200))
    exact = replace(exact, plate=replace(exact.plate, box=Box(20.004, 20, 99.996, 50)))
    old = bench.correct_by_hand(exact)
    pulled = bench.pull(task(said(ANN, exact), labels=(exact,)))
    assert pulled.corrected == []
    assert bench.labels.corrections == {ID: old}
    assert bench.record.merged is not None


def test_an_incomplete_correction_becomes_complete_when_it_is_confirmed(bench: Bench) -> None:
    bench.correct_by_hand(READ, complete=False)
    assert bench.pull(task(said(ANN, READ), labels=(READ,))).corrected == [ID]
    assert bench.labels.corrections[ID].complete
    assert bench.plates == [READ]


def test_a_source_becomes_a_complete_correction_when_it_is_confirmed(bench: Bench) -> None:
    bench.pull(task(said(ANN, OWN)))
    assert bench.plates == [OWN]


def test_a_question_that_nobody_answered_stays_one(bench: Bench) -> None:
    questions = (plate(certain=False, readings=("AB1", "AB7")), plate(200, certain=False))
    bench.correct_by_hand(*questions)
    assert bench.pull(task(said(ANN, *questions), labels=questions)).corrected == []
    assert bench.plates == list(questions)


def test_the_correction_of_a_copy_is_taken_into_the_pictures_own(bench: Bench) -> None:
    bench.correct_by_hand(READ, of=COPY)
    bench.pull(task(said(ANN, OTHERWISE), labels=(READ,)))
    assert list(bench.labels.corrections) == [ID]
    assert bench.plates == [OTHERWISE]


def test_the_correction_of_a_copy_stays_when_it_is_only_confirmed(bench: Bench) -> None:
    old = bench.correct_by_hand(READ, of=COPY)
    assert bench.pull(task(said(ANN, READ), labels=(READ,))).corrected == []
    assert bench.labels.corrections == {COPY: old}


def test_what_changed_here_since_is_kept_beside_what_was_said(bench: Bench) -> None:
    bench.source = (OWN, plate(200))
    bench.correct_by_hand(OWN, plate(200, text="XY1"))
    assert bench.pull(task(said(ANN, READ, plate(200)), labels=(OWN, plate(200)))).corrected == [ID]
    assert bench.plates == [READ, plate(200, text="XY1")]


def test_what_changed_here_is_kept_when_the_annotation_is_changed_again(bench: Bench) -> None:
    """The annotator never saw it, and so did not take it away."""
    bench.source = (OWN, plate(200))
    bench.correct_by_hand(OWN, plate(200, text="XY1"))
    shown = {"labels": (OWN, plate(200))}
    bench.pull(task(said(ANN, READ, plate(200)), **shown))
    bench.pull(task(said(ANN, OTHERWISE, plate(200), at=2, made=1), **shown))
    assert bench.plates == [OTHERWISE, plate(200, text="XY1")]


def test_what_is_corrected_by_hand_afterwards_stays(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    old = bench.correct_by_hand(OTHERWISE)
    assert bench.pull(task(said(ANN, READ))).corrected == []
    assert bench.labels.corrections == {ID: old}
    bench.pull(task(said(ANN, plate(text="AB1", rows=2), at=2, made=1)))
    assert bench.plates == [plate(text="AB7", rows=2)]


def test_who_works_at_a_new_task_starts_from_the_labels_that_it_was_made_with(bench: Bench) -> None:
    """The first task was deleted with Ann's annotation, and the picture pushed again: Bob has seen what changed."""
    bench.source = (OWN, plate(200))
    bench.correct_by_hand(OWN, plate(200, text="XY1"))
    bench.pull(task(said(ANN, READ, plate(200)), labels=(OWN, plate(200))))
    now = (READ, plate(200, text="XY1"))
    assert bench.plates == list(now)
    bench.pull(task(number=13, labels=now))
    assert bench.states == [("ann", "deleted", False)]
    bench.pull(task(said(BOB, OTHERWISE, plate(200), at=2), number=13, labels=now))
    assert (bench.plates, bench.labels.conflicts) == ([OTHERWISE, plate(200)], {})
    bench.pull(task(said(BOB, READ, plate(200), at=3, made=2), number=13, labels=now))
    assert bench.plates == [READ, plate(200)]


def test_an_annotator_takes_back_what_they_had_changed(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ, plate(200))))
    bench.pull(task(said(ANN, OWN, at=2, made=1)))
    assert bench.plates == [OWN]


# Several annotators


def test_two_who_agree(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, READ, at=1), said(BOB, plate(2, text="AB1"), at=2)))
    assert bench.plates == [plate(2, text="AB1")]
    assert bench.labels.corrections[ID].by == "bob@example.org"
    assert pulled.states == {"submitted": 2}
    assert bench.labels.conflicts == {}


def disagree(bench: Bench) -> list[Any]:
    first = [said(ANN, READ, at=1), said(BOB, OTHERWISE, at=2)]
    bench.pull(task(*first))
    return first


def test_two_who_disagree_change_no_label(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, READ, at=1), said(BOB, OTHERWISE, at=2)))
    assert (pulled.corrected, bench.labels.corrections) == ([], {})
    (conflict,) = bench.labels.conflicts.values()
    assert (conflict.id, conflict.image, conflict.kind, conflict.task) == (ID, "kaggle/a.png", "annotators", 12)
    assert conflict.reasons == ("ann@example.org and bob@example.org: they read the plate at (20, 20) differently",)
    assert conflict.since == moment(2)
    assert bench.states == [("ann", "submitted", False), ("bob", "submitted", False)]


def test_a_disagreement_after_the_first_was_taken_leaves_the_label_and_is_settled(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ, at=1)))
    old = bench.labels.corrections[ID]
    bench.pull(task(said(ANN, READ, at=1), said(BOB, OTHERWISE, at=2)))
    assert bench.labels.corrections[ID] == old
    assert bench.labels.conflicts[ID].kind == "annotators"
    bench.pull(task(said(ANN, READ, at=1), said(BOB, OTHERWISE, at=3, made=2)))
    assert bench.plates == [OTHERWISE]
    assert bench.labels.conflicts == {}


def test_whoever_speaks_after_a_disagreement_settles_it(bench: Bench) -> None:
    first = disagree(bench)
    pulled = bench.pull(task(*first, said(EVE, plate(text="AB9"), at=3)))
    assert (pulled.corrected, bench.plates) == ([ID], [plate(text="AB9")])
    assert bench.labels.conflicts == {}
    assert bench.states == [("ann", "submitted", True), ("bob", "submitted", True), ("eve", "submitted", False)]
    assert history.agreement(bench.labels.annotated.values()).exact == 0.0


def test_overruled_ones_do_not_speak_again_and_a_new_word_may(bench: Bench) -> None:
    first = disagree(bench)
    eve = said(EVE, plate(text="AB9"), at=3)
    bench.pull(task(*first, eve))
    bench.pull(task(first[0], said(BOB, OTHERWISE, at=4, made=2), eve))
    assert bench.labels.conflicts[ID].reasons == (
        "bob@example.org and eve@example.org: they read the plate at (20, 20) differently",
    )
    assert bench.plates == [plate(text="AB9")]


def test_two_who_disagree_again(bench: Bench) -> None:
    first = disagree(bench)
    second = [said(ANN, READ, at=3, number=13), said(BOB, OTHERWISE, at=4, number=14)]
    bench.pull(task(*first, *second))
    assert bench.labels.conflicts[ID].since == moment(4)
    bench.pull(task(*first, *second, said(EVE, READ, at=5)))
    assert bench.plates == [READ]
    assert [overruled for _, _, overruled in bench.states] == [True, True, True, True, False]


def test_one_of_two_takes_back_what_they_said(bench: Bench) -> None:
    ann, _ = disagree(bench)
    pulled = bench.pull(task(ann))
    assert (pulled.corrected, pulled.tombstones, bench.plates) == ([ID], 1, [READ])
    assert bench.labels.conflicts == {}
    assert bench.states == [("ann", "submitted", False), ("bob", "deleted", False)]


def test_both_take_back_what_they_said_and_the_question_stands(bench: Bench) -> None:
    disagree(bench)
    conflict = bench.labels.conflicts[ID]
    pulled = bench.pull(task())
    assert (pulled.corrected, pulled.tombstones, bench.labels.corrections) == ([], 2, {})
    assert bench.labels.conflicts == {ID: conflict}


def test_one_skips_after_a_disagreement(bench: Bench) -> None:
    ann, bob = disagree(bench)
    bench.pull(task(ann, bob | {"was_cancelled": True, "updated_at": moment(3)}))
    assert bench.plates == [READ]
    assert bench.states == [("ann", "submitted", False), ("bob", "revised", True), ("bob", "skipped", False)]


def test_the_objection_to_what_was_taken_is_taken_back(bench: Bench) -> None:
    ann = said(ANN, READ, at=1)
    bench.pull(task(ann))
    bench.pull(task(ann, said(BOB, OTHERWISE, at=2)))
    assert bench.labels.conflicts
    pulled = bench.pull(task(ann))
    assert (pulled.corrected, bench.plates, bench.labels.conflicts) == ([], [READ], {})


# Against what stands here


def contradict(bench: Bench) -> Any:
    """Ann reads AB1 in a task that showed no text; here AB7 was written meanwhile."""
    bench.correct_by_hand(OTHERWISE)
    ann = said(ANN, READ, at=1)
    bench.pull(task(ann))
    return ann


def test_a_contradiction_changes_no_label(bench: Bench) -> None:
    contradict(bench)
    assert bench.plates == [OTHERWISE]
    assert bench.labels.corrections[ID].by == "Dora"
    (conflict,) = bench.labels.conflicts.values()
    assert (conflict.kind, conflict.since) == ("upstream", moment(1))
    assert conflict.reasons == ("the plate at (20, 20) has another reading on each side",)
    assert bench.record.merged is None


@pytest.mark.parametrize(
    ("again", "expected"), [(READ, READ), (plate(text="AB9"), plate(text="AB9")), (OTHERWISE, OTHERWISE)]
)
@pytest.mark.parametrize("by", [ANN, BOB])
def test_what_is_said_in_knowledge_of_a_contradiction_counts(
    bench: Bench, by: int, again: CorrectedPlate, expected: CorrectedPlate
) -> None:
    ann = contradict(bench)
    rows = [said(ANN, again, at=2, made=1)] if by == ANN else [ann, said(BOB, again, at=2)]
    bench.pull(task(*rows))
    assert bench.plates == [expected]
    assert bench.labels.conflicts == {}
    assert bench.record.merged is not None


def test_who_contradicted_takes_it_back_and_the_question_stands(bench: Bench) -> None:
    contradict(bench)
    conflict = bench.labels.conflicts[ID]
    assert bench.pull(task()).tombstones == 1
    assert bench.labels.conflicts == {ID: conflict}
    bench.pull(task(said(BOB, OTHERWISE, at=2)))
    assert (bench.plates, bench.labels.conflicts) == ([OTHERWISE], {})


def test_two_who_disagree_about_a_contradiction(bench: Bench) -> None:
    ann = contradict(bench)
    later = [said(BOB, READ, at=2), said(EVE, plate(text="AB9"), at=3)]
    bench.pull(task(ann, *later))
    assert bench.labels.conflicts[ID].kind == "upstream"
    assert bench.labels.conflicts[ID].reasons == (
        "bob@example.org and eve@example.org: they read the plate at (20, 20) differently",
    )
    bench.pull(task(ann, *later, said(BOB, READ, at=4, number=21)))
    assert (bench.plates, bench.labels.conflicts) == ([READ], {})


def test_a_plate_removed_here_and_read_there(bench: Bench) -> None:
    bench.correct_by_hand()
    bench.pull(task(said(ANN, READ)))
    assert bench.plates == []
    assert "was removed on one side and changed on the other" in bench.labels.conflicts[ID].reasons[0]


# When the source changes


def test_a_source_that_changes_elsewhere_changes_the_correction(bench: Bench) -> None:
    bench.source = (OWN, plate(200))
    ann = task(said(ANN, READ, plate(200)), labels=bench.source, source=bench.source)
    bench.pull(ann)
    bench.source = (OWN, plate(200, text="XY1"))
    assert bench.pull(ann).corrected == [ID]
    assert bench.plates == [READ, plate(200, text="XY1")]
    correction = bench.labels.corrections[ID]
    assert correction.by == "ann@example.org"
    assert correction.why.endswith("; then its source changed")
    assert bench.record.source == bench.source


def test_a_changed_source_is_kept_when_somebody_annotates_an_older_task(bench: Bench) -> None:
    bench.source = (OWN, plate(200))
    shown = {"labels": bench.source, "source": bench.source}
    bench.pull(task(said(ANN, READ, plate(200)), **shown))
    bench.source = (OWN, plate(200, text="XY1"))
    bench.pull(task(said(ANN, READ, plate(200)), **shown))
    bench.pull(task(said(ANN, READ, plate(200)), said(BOB, READ, plate(200), at=2), **shown))
    assert bench.plates == [READ, plate(200, text="XY1")]


@pytest.mark.parametrize("last", [READ, OTHERWISE, plate(text="AB9")], ids=["insists", "gives in", "neither"])
def test_a_source_that_changes_what_was_corrected_contradicts_it(bench: Bench, last: CorrectedPlate) -> None:
    ann = task(said(ANN, READ))
    bench.pull(ann)
    bench.source = (OTHERWISE,)
    bench.pull(ann)
    assert bench.plates == [READ]
    assert bench.labels.conflicts[ID].kind == "upstream"
    bench.pull(task(said(ANN, last, at=2, made=1)))
    assert (bench.plates, bench.labels.conflicts) == ([last], {})


def test_a_source_that_comes_to_say_the_same_changes_nothing(bench: Bench) -> None:
    ann = task(said(ANN, READ))
    bench.pull(ann)
    bench.source = (READ,)
    assert bench.pull(ann).corrected == []
    assert bench.record.source == (READ,)


def test_a_source_and_an_annotation_that_change_together(bench: Bench) -> None:
    bench.source = (OWN, plate(200))
    shown = {"labels": bench.source, "source": bench.source}
    bench.pull(task(said(ANN, READ, plate(200)), **shown))
    bench.source = (OWN, plate(200, text="XY1"))
    bench.pull(task(said(ANN, OTHERWISE, plate(200), at=2, made=1), **shown))
    assert bench.plates == [OTHERWISE, plate(200, text="XY1")]


# When the picture is not in the data


def test_a_picture_that_has_gone_keeps_its_labels_and_takes_new_ones(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    bench.source = None
    assert bench.pull(task(said(ANN, READ))).corrected == []
    assert bench.pull(task(said(ANN, OTHERWISE, at=2, made=1))).corrected == [ID]
    assert bench.plates == [OTHERWISE]


def test_a_picture_that_was_never_here(bench: Bench) -> None:
    bench.source = None
    assert bench.pull(task(said(ANN, READ))).corrected == [ID]
    assert bench.plates == [READ]


def test_a_record_whose_task_and_picture_have_gone(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    bench.source = None
    pulled = bench.pull()
    assert (pulled.corrected, pulled.tombstones, bench.plates) == ([], 1, [READ])


# Tombstones and what says nothing


def test_a_deleted_annotation_leaves_a_tombstone_and_its_label(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    pulled = bench.pull(task())
    assert (pulled.tombstones, pulled.corrected, pulled.states) == (1, [], {"deleted": 1})
    assert bench.plates == [READ]
    (stone,) = bench.record.annotations
    assert (stone.state, stone.plates) == ("deleted", (READ,))


def test_an_id_that_is_used_again_is_another_annotation(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ, number=7)))
    bench.pull(task())
    bench.pull(task(said(BOB, OTHERWISE, at=2, number=7)))
    assert bench.states == [("ann", "deleted", False), ("bob", "submitted", False)]
    assert bench.plates == [OTHERWISE]


def test_an_id_that_is_used_again_between_two_pulls(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ, number=7)))
    assert bench.pull(task(said(BOB, OTHERWISE, at=2, number=7))).tombstones == 1
    assert bench.states == [("ann", "deleted", False), ("bob", "submitted", False)]


def test_an_annotation_that_was_not_really_gone(bench: Bench) -> None:
    ann = task(said(ANN, READ))
    bench.pull(ann)
    bench.pull()
    assert bench.pull(ann).corrected == []
    assert bench.states == [("ann", "submitted", False)]


def test_a_skipped_annotation_says_nothing(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, READ, was_cancelled=True)))
    assert (pulled.corrected, pulled.states, bench.labels.corrections) == ([], {"skipped": 1}, {})


def test_a_draft_says_nothing_until_it_is_handed_in(bench: Bench) -> None:
    pulled = bench.pull(task(drafts=(draft(ANN, READ),)))
    assert (pulled.corrected, pulled.states, bench.labels.corrections) == ([], {"draft": 1}, {})
    assert bench.record.annotations[0].by == "ann@example.org"
    pulled = bench.pull(task(said(ANN, READ, at=2)))
    assert (pulled.states, pulled.tombstones, bench.plates) == ({"submitted": 1}, 0, [READ])


def test_a_draft_that_is_thrown_away_is_remembered(bench: Bench) -> None:
    bench.pull(task(said(BOB, READ), drafts=(draft(ANN, OTHERWISE),)))
    pulled = bench.pull(task(said(BOB, READ)))
    assert (pulled.states, pulled.tombstones) == ({"submitted": 1, "deleted": 1}, 1)
    assert bench.plates == [READ]


def test_a_draft_and_an_annotation_may_have_one_number(bench: Bench) -> None:
    bench.pull(task(said(BOB, READ, number=5), drafts=(draft(ANN, OTHERWISE, id=5),)))
    assert sorted(bench.states) == [("ann", "draft", False), ("bob", "submitted", False)]


def test_a_draft_of_a_change_to_an_annotation_is_not_counted_twice(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ), drafts=(draft(ANN, OTHERWISE, annotation=10),)))
    assert bench.states == [("ann", "submitted", False)]
    assert bench.plates == [READ]


BROKEN = [{"id": "x", "type": "brushlabels", "from_name": "brush", "value": {}}]


def test_what_cannot_be_is_refused_by_name_and_taken_when_it_is_mended(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, result=BROKEN)))
    assert (pulled.corrected, pulled.states) == ([], {"refused": 1})
    (told,) = pulled.refused
    assert told.startswith("task 12, annotation 10 by ann@example.org: region 'x' has a field of an unknown kind")
    assert bench.record.annotations[0].problem in told
    pulled = bench.pull(task(said(ANN, READ, at=2, made=1)))
    assert (pulled.refused, pulled.states, bench.plates) == ([], {"submitted": 1}, [READ])


@pytest.mark.parametrize("result", [None, {}, "plates", [None]])
def test_a_result_that_is_none_is_refused(bench: Bench, result: object) -> None:
    assert len(bench.pull(task(said(ANN, result=result))).refused) == 1


def test_a_good_annotation_counts_beside_one_that_is_refused(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, READ), said(BOB, result=BROKEN, at=2)))
    assert (len(pulled.refused), bench.plates, bench.labels.conflicts) == (1, [READ], {})


def test_a_taken_annotation_that_is_broken_afterwards_leaves_the_label(bench: Bench) -> None:
    bench.pull(task(said(ANN, READ)))
    pulled = bench.pull(task(said(ANN, result=BROKEN, at=2, made=1)))
    assert (pulled.corrected, bench.plates) == ([], [READ])


def test_a_broken_draft_or_skipped_one_is_nobodys_mistake(bench: Bench) -> None:
    pulled = bench.pull(task(said(ANN, result=BROKEN, was_cancelled=True), drafts=(draft(BOB, result=BROKEN),)))
    assert (pulled.refused, pulled.states) == ([], {"skipped": 1, "draft": 1})


# A task that is not as push left it


DAMAGE: dict[str, dict[str, Any]] = {
    "no width": {"width": None},
    "width is a word": {"width": "wide"},
    "no pixels": {"width": 0},
    "fewer than none": {"height": -200},
    "no end": {"width": float("inf")},
    "beyond floats": {"labels": [{"box": [0, 0, 10**400, 10]}]},
    "labels are nothing": {"labels": None},
    "labels are a text": {"labels": "plates"},
    "labels are an object": {"labels": {"box": [1, 2, 3, 4]}},
    "labels of texts": {"labels": ["plate"]},
    "labels of lists": {"labels": [[1, 2, 3, 4]]},
    "labels of nothing": {"labels": [None]},
    "a plate without a box": {"labels": [{}]},
    "a plate without width": {"labels": [{"box": [5, 2, 5, 9]}]},
    "a plate's text is a number": {"labels": [{"box": [1, 2, 5, 9], "text": 7}]},
    "a plate's quad is a number": {"labels": [{"box": [1, 2, 5, 9], "quad": 7}]},
    "the source is nothing": {"source": None},
}


@pytest.mark.parametrize("meta", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_task_is_named(bench: Bench, meta: dict[str, Any]) -> None:
    whole, untouched = task(said(ANN, READ), number=77), task(number=77)
    broken = replace(whole, meta={**whole.meta, **meta})
    before = deepcopy(bench.labels)
    with pytest.raises(StudioError, match="task 77: what push wrote into its meta was changed or deleted; delete"):
        bench.pull(broken)
    assert bench.labels == before
    bench.pull(replace(untouched, meta={**untouched.meta, **meta}))  # of which nobody said anything


def test_a_task_without_meta_is_named(bench: Bench) -> None:
    with pytest.raises(StudioError, match="task 12: what push wrote"):
        bench.pull(replace(task(said(ANN, READ)), meta={}))


# Listing while people are at work


class Changing:
    """A server whose listings are those given, the last one for ever."""

    def __init__(self, *listings: list[Task]) -> None:
        self.listings, self.looks = list(listings), 0

    def tasks(self) -> list[Task]:
        self.looks += 1
        return self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]


EARLY, LATE = [task(said(ANN, READ, at=1))], [task(said(ANN, READ, at=2, made=1))]
LISTINGS: dict[str, tuple[list[list[Task]], list[Task], int]] = {
    "nothing": ([[]], [], 2),
    "at rest": ([EARLY], EARLY, 2),
    "one annotation changes": ([EARLY, LATE], LATE, 3),
    "one is added": ([[task()], EARLY], EARLY, 3),
    "one is deleted": ([EARLY, [task()]], [task()], 3),
    "a draft is begun": ([[task()], [task(drafts=(draft(ANN, READ),))]], [task(drafts=(draft(ANN, READ),))], 3),
    "a task is added": ([EARLY, [*EARLY, task(number=13)]], [*EARLY, task(number=13)], 3),
    "a microsecond": (
        [EARLY, [task(said(ANN, READ, at=1.000001, made=1))]],
        [task(said(ANN, READ, at=1.000001, made=1))],
        3,
    ),
}


@pytest.mark.parametrize(("listings", "expected", "looks"), LISTINGS.values(), ids=LISTINGS.keys())
def test_tasks_are_listed_until_they_stand_still(listings: list[list[Task]], expected: list[Task], looks: int) -> None:
    server = Changing(*listings)
    assert listed(cast(Studio, server)) == expected
    assert server.looks == looks


def test_what_never_stands_still_is_given_up() -> None:
    server = Changing(*([task(said(ANN, READ, at=second))] for second in range(100)))
    with pytest.raises(StudioError, match="faster than they can be listed; pull again when fewer people"):
        listed(cast(Studio, server))
    assert server.looks == LOOKS + 1


def test_a_reading_of_the_model_that_nobody_confirmed_is_not_certain(bench: Bench) -> None:
    quad = [[20, 20], [100, 20], [100, 50], [20, 50]]
    read = model_plates([{"box": [20, 20, 100, 50], "quad": quad, "text": "AB1"}])
    shown = task(said(ANN, *read))
    bench.pull(replace(shown, meta={**shown.meta, "model": plates_to_rows(read)}))
    assert bench.plates == list(read)
    assert not any(one.certain and one.plate.text for one in bench.plates)


def test_a_country_that_only_one_of_two_told_is_kept(bench: Bench) -> None:
    bench.pull(task(said(ANN, plate(text="AB1", region="SE"), at=1), said(BOB, READ, at=2)))
    assert bench.plates == [plate(text="AB1", region="SE")]


def test_what_changed_here_beside_a_contradiction_is_kept_when_that_is_settled(bench: Bench) -> None:
    bench.correct_by_hand(plate(text="AB7", rows=2))
    bench.pull(task(said(ANN, READ)))
    assert bench.labels.conflicts[ID].reasons == ("the plate at (20, 20) has another reading on each side",)
    bench.pull(task(said(ANN, READ, at=2, made=1)))
    assert bench.plates == [plate(text="AB1", rows=2)]


def test_who_settles_a_disagreement_by_changing_their_word_had_disagreed(bench: Bench) -> None:
    _, bob = disagree(bench)
    bench.pull(task(said(ANN, OTHERWISE, at=3, made=1), bob))
    assert bench.plates == [OTHERWISE]
    assert history.agreement(bench.labels.annotated.values()).exact == 0.0
