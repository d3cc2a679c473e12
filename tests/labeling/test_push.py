"""The queue sent to a server held in memory, whose answers get lost: each task stands there once, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from pipeline.labeling import push as module
from pipeline.labeling.conflicts import Conflict
from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.history import plates_from_rows
from pipeline.labeling.pictures import Picture
from pipeline.labeling.push import ROUNDS, Local, Pushed, Uploaded, Wanted, model_plates, push, spare, wanted, why
from pipeline.labeling.studio import Patience, Studio, StudioError, Task, UnsureError
from pipeline.labeling.tasks import Extent
from pipeline.records import Box, Plate

Fault = Literal["lost before", "lost after", "half done", "refused", "fine"]
SINCE = "2026-11-26T09:00:02.000000Z"


class FakeStudio:
    """A project on a server. `faults` holds, by the name of a call, what becomes of it, the next one first.

    A call that is lost before does nothing, one that is lost after has done all; nobody hears of either. With `lag`
    a new task is seen in the listing only so many looks later.
    """

    patience = Patience(attempts=1, first=2.0, longest=30.0)

    def __init__(self, lag: int = 0, **faults: list[Fault]) -> None:
        self.held: dict[int, Task] = {}
        self.born: dict[int, int] = {}
        self.faults = {name: list(those) for name, those in faults.items()}
        self.lag, self.looks, self.number = lag, 0, 0
        self.calls: Counter[str] = Counter()
        self.hidden: set[str] = set()
        self.folders: list[str] = []
        self.files: dict[str, bytes] = {}

    def _do(self, name: str, *works: Callable[[], None]) -> None:
        self.calls[name] += 1
        fault = self.faults[name].pop(0) if self.faults.get(name) else "fine"
        if fault == "refused":
            raise StudioError(f"the server refuses to {name}")
        done = {"lost before": 0, "half done": len(works) // 2}.get(fault, len(works))
        for work in works[:done]:
            work()
        if fault != "fine":
            raise UnsureError("no whole answer", wait=7.0 if fault == "half done" else None)

    def _next(self) -> int:
        self.number += 1
        return self.number

    def tasks(self) -> list[Task]:
        self._do("tasks")
        self.looks += 1
        return [self.held[one] for one in sorted(self.held) if self.looks > self.born[one] + self.lag]

    def send(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        self._do("send", *(lambda row=row: self._create(row) for row in tasks))

    def _create(self, row: Mapping[str, Any]) -> None:
        number = self._next()
        predictions = tuple((self._next(), one["model_version"]) for one in row["predictions"])
        data, meta = dict(row["data"]), dict(row["meta"])
        self.held[number] = Task(number, data["sample"], data, meta, False, predictions, (), ())
        self.born[number] = self.looks

    def change(self, number: int, **changes: Any) -> None:
        self.held[number] = replace(self.held[number], **changes)

    def predict(self, task: int, prediction: Mapping[str, Any]) -> None:
        added = (self._next(), str(prediction["model_version"]))
        self._do("predict", lambda: self.change(task, predictions=(*self.held[task].predictions, added)))

    def reopen(self, task: int, data: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        self._do("reopen", lambda: self.change(task, data=dict(data), meta=dict(meta), labelled=False))

    def delete_task(self, task: int) -> None:
        self._do("delete_task", lambda: self.held.pop(task, None) and None)

    def delete_prediction(self, prediction: int) -> None:
        (task,) = (one for one in self.held.values() if prediction in dict(one.predictions))
        left = tuple(one for one in task.predictions if one[0] != prediction)
        self._do("delete_prediction", lambda: self.change(task.id, predictions=left))

    def serve(self, folder: str) -> None:
        self._do("serve", lambda: self.folders.append(folder))

    def shows(self, address: str) -> bool:
        self._do("shows")
        return address not in self.hidden

    def uploads(self) -> dict[str, str]:
        self._do("uploads")
        return {name: f"/data/upload/1/{index}-{name}" for index, name in enumerate(self.files)}

    def upload(self, name: str, picture: bytes) -> None:
        self._do("upload", lambda: self.files.update({name: picture}))

    @property
    def samples(self) -> list[str]:
        """The samples that have a task, by the tasks' ids; one that has two stands there twice."""
        return [self.held[number].sample for number in sorted(self.held)]

    @property
    def versions(self) -> list[list[str]]:
        return [[version for _, version in self.held[number].predictions] for number in sorted(self.held)]

    def copy(self, number: int, **changes: Any) -> None:
        """Makes a double of a task, as an answer that got lost would."""
        double = self._next()
        self.held[double] = replace(self.held[number], id=double, **changes)
        self.born[double] = self.looks


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, in seconds; nobody really waits."""
    seconds: list[float] = []
    monkeypatch.setattr(module.time, "sleep", seconds.append)
    return seconds


def plate(x: float = 20, **known: Any) -> CorrectedPlate:
    about = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(x, 20, x + 80, 50), **known), **about)


def picture(number: int, *current: CorrectedPlate) -> Picture:
    identity = f"{number:064x}"
    known = current or (plate(text="AB1", region="SE", rows=1),)
    return Picture(identity, (identity,), f"kaggle/images/{number}.png", Extent(400, 200), (plate(),), known)


def queued(number: int, priority: float = 0.5) -> dict[str, Any]:
    reason = {"kind": "text", "score": 0.7, "reason": "read otherwise", "box": [20, 20, 80, 50], "readings": ["AB7"]}
    return {"id": f"{number:064x}", "priority": priority, "reasons": [reason]}


def conflict(number: int, since: str = SINCE) -> Conflict:
    return Conflict(f"{number:064x}", f"kaggle/images/{number}.png", "annotators", 1, ("they differ",), since)


def predicted(number: int) -> dict[str, Any]:
    quad = [[20, 20], [100, 20], [100, 50], [20, 50]]
    return {"id": f"{number:064x}", "detections": [{"box": [20, 20, 100, 50], "quad": quad, "text": "AB7"}]}


def asked(*numbers: int, conflicts: Sequence[int] = (), since: str = SINCE) -> list[Wanted]:
    pictures = {one.id: one for one in map(picture, (*numbers, *conflicts))}
    told = {one.id: one for one in (conflict(number, since) for number in conflicts)}
    return wanted(
        [queued(number) for number in numbers], pictures, told, [predicted(n) for n in (*numbers, *conflicts)]
    )


def addresses(pictures: Sequence[Picture]) -> dict[str, str]:
    return {one.id: f"/data/{one.image}" for one in pictures}


def sent(studio: FakeStudio, tasks: Sequence[Wanted], batch: int = 2) -> Pushed:
    return push(cast(Studio, studio), tasks, addresses, batch)


def ids(*numbers: int) -> list[str]:
    return [f"{number:064x}" for number in numbers]


# What is to stand on the server


def test_conflicts_come_first_then_the_queue_in_its_order() -> None:
    known = {one.id: one for one in map(picture, (1, 2, 3, 4))}
    queue = [queued(3), queued(9), queued(1), queued(2), queued(3)]
    told = {one.id: one for one in (conflict(2), conflict(4), conflict(8))}
    tasks = wanted(queue, known, told, [])
    assert [task.picture.id for task in tasks] == ids(2, 4, 3, 1), "what is in no data now is left out"
    assert [task.data["priority"] for task in tasks] == [0.5, 1.0, 0.5, 0.5]
    assert [task.meta.get("since") for task in tasks] == [SINCE, SINCE, None, None]


def test_what_a_task_holds() -> None:
    (task,) = asked(1)
    assert task.data == {
        "sample": ids(1)[0],
        "name": "kaggle/images/1.png",
        "priority": 0.5,
        "why": "Suspicion 0.50, since:\n• read otherwise: AB7 at (20, 20)",
    }
    assert (task.meta["width"], task.meta["height"]) == (400, 200)
    assert plates_from_rows(task.meta["labels"]) == picture(1).current
    assert plates_from_rows(task.meta["source"]) == picture(1).source
    texts = {
        one["model_version"]: [item["value"]["text"] for item in one["result"] if item["from_name"] == "text"]
        for one in task.predictions
    }
    assert texts == {"labels": [["AB1"]], "model": [["AB7"]]}


@pytest.mark.parametrize("rows", [[], [{"id": ids(1)[0], "detections": []}]], ids=["not predicted", "nothing found"])
def test_without_a_detection_the_labels_stand_alone(rows: list[dict[str, Any]]) -> None:
    (task,) = wanted([queued(1)], {ids(1)[0]: picture(1)}, {}, rows)
    assert [one["model_version"] for one in task.predictions] == ["labels"]


WHYS: dict[str, tuple[dict[str, Any] | None, Conflict | None, str]] = {
    "a conflict": (None, conflict(1), "To be settled: they differ"),
    "both": (
        queued(1),
        conflict(1),
        "To be settled: they differ\nSuspicion 0.50, since:\n• read otherwise: AB7 at (20, 20)",
    ),
    "a reason of the whole picture": (
        {"priority": 0.256, "reasons": [{"reason": "no plate was found"}, {"reason": "look", "readings": ["A", "B"]}]},
        None,
        "Suspicion 0.26, since:\n• no plate was found\n• look: A, B",
    ),
}


@pytest.mark.parametrize(("row", "open_", "expected"), WHYS.values(), ids=WHYS.keys())
def test_why(row: dict[str, Any] | None, open_: Conflict | None, expected: str) -> None:
    assert why(row, open_) == expected


def test_what_the_model_found_is_not_certain() -> None:
    first, second = predicted(1)["detections"][0], {**predicted(1)["detections"][0], "text": ""}
    read, unread = model_plates([first, second])
    assert (read.certain, read.readings, read.plate.text) == (False, ("AB7",), None)
    assert (unread.certain, unread.readings) == (False, ())
    assert read.plate.quad is not None


# Sending


@pytest.mark.parametrize(("batch", "calls"), [(1, 5), (2, 3), (5, 1), (50, 1)])
def test_all_is_sent_in_order_and_only_once(batch: int, calls: int) -> None:
    studio = FakeStudio()
    assert sent(studio, asked(3, 1, 5, 2, 4), batch) == Pushed(sent=5)
    assert studio.samples == ids(3, 1, 5, 2, 4)
    assert studio.calls["send"] == calls
    assert studio.versions == [["labels", "model"]] * 5
    assert studio.held[1].data["image"] == "/data/kaggle/images/3.png"
    before = dict(studio.held)
    assert sent(studio, asked(3, 1, 5, 2, 4), batch) == Pushed(present=5)
    assert studio.held == before
    assert studio.calls["send"] == calls


def test_nothing_to_send() -> None:
    studio = FakeStudio()
    assert sent(studio, []) == Pushed()
    assert studio.calls == {"tasks": 1}


def test_only_what_is_missing_is_sent_and_its_address_asked_for() -> None:
    studio = FakeStudio()
    sent(studio, asked(1, 2))
    shown: list[list[str]] = []

    def watched(pictures: Sequence[Picture]) -> dict[str, str]:
        shown.append([one.id for one in pictures])
        return addresses(pictures)

    assert push(cast(Studio, studio), asked(1, 3, 2), watched, 2) == Pushed(sent=1, present=2)
    assert shown == [ids(3)]
    assert studio.samples == ids(1, 2, 3)


def test_a_conflict_that_has_no_task_yet_is_sent_first() -> None:
    studio = FakeStudio()
    assert sent(studio, asked(1, 2, conflicts=[7])) == Pushed(sent=3)
    assert studio.samples == ids(7, 1, 2)
    assert sent(studio, asked(1, 2, conflicts=[7])) == Pushed(present=3)


LOST: dict[str, tuple[dict[str, list[Fault]], int]] = {  # the faults, and how often is sent
    "the first lost before": ({"send": ["lost before"]}, 4),
    "the first lost after": ({"send": ["lost after"]}, 3),
    "the second lost before": ({"send": ["fine", "lost before"]}, 4),
    "the second lost after": ({"send": ["fine", "lost after"]}, 3),
    "half of the first": ({"send": ["half done"]}, 3),
    "half of each": ({"send": ["half done", "half done", "half done"]}, 4),
    "the last lost after": ({"send": ["fine", "fine", "lost after"]}, 3),
    "lost again and again": ({"send": ["lost before"] * (ROUNDS - 2)}, 3 + ROUNDS - 2),
}


@pytest.mark.parametrize(("faults", "calls"), LOST.values(), ids=LOST.keys())
def test_an_answer_that_got_lost_makes_no_double_and_loses_nothing(faults: dict[str, list[Fault]], calls: int) -> None:
    studio = FakeStudio(**faults)
    assert sent(studio, asked(3, 1, 5, 2, 4)) == Pushed(sent=5)
    assert sorted(studio.samples) == ids(1, 2, 3, 4, 5)
    assert studio.samples == ids(3, 1, 5, 2, 4)
    assert studio.calls["send"] == calls
    assert studio.versions == [["labels", "model"]] * 5


def test_it_waits_longer_each_time_or_as_the_server_asks(waits: list[float]) -> None:
    sent(FakeStudio(send=["lost before", "lost before", "half done", "lost before"]), asked(1, 2), batch=2)
    assert waits == [2.0, 4.0, 7.0, 16.0]


def test_a_server_that_lists_late_has_one_of_each_after_the_next_push() -> None:
    studio = FakeStudio(lag=1)
    assert sent(studio, asked(1, 2, 3)) == Pushed(sent=3)
    assert sorted(studio.samples) == ids(1, 1, 2, 2, 3, 3), "sent again, since nothing was seen"
    assert sent(studio, asked(1, 2, 3)) == Pushed(present=3, doubles=3)
    assert studio.samples == ids(1, 2, 3)


def test_a_server_that_never_shows_a_task_is_given_up() -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.lag, studio.looks = 1000, 0
    studio.born[1] = -1001
    with pytest.raises(StudioError, match=f"2 of 3 tasks are not seen on the server after {ROUNDS} attempts; push"):
        sent(studio, asked(1, 2, 3))
    assert studio.looks == ROUNDS


def test_a_server_that_never_answers_is_given_up_and_the_next_push_goes_on() -> None:
    studio = FakeStudio(send=["lost before"] * ROUNDS)
    with pytest.raises(StudioError, match="3 of 3 tasks are not seen"):
        sent(studio, asked(1, 2, 3))
    assert sent(studio, asked(1, 2, 3)) == Pushed(sent=3)


def test_a_refusal_is_told_and_what_was_sent_stays() -> None:
    studio = FakeStudio(send=["fine", "refused"])
    with pytest.raises(StudioError, match="the server refuses to send"):
        sent(studio, asked(1, 2, 3))
    assert studio.samples == ids(1, 2)
    assert sent(studio, asked(1, 2, 3)) == Pushed(sent=1, present=2)


# Doubles


ANN = {"id": 1}
DOUBLES: dict[str, tuple[list[dict[str, Any]], list[int], int]] = {  # what changed each copy; which stay; deleted
    "untouched": ([{}, {}], [0], 1),
    "three untouched": ([{}, {}, {}], [0], 2),
    "the second annotated": ([{}, {"annotations": (ANN,)}], [1], 1),
    "the first annotated": ([{"annotations": (ANN,)}, {}], [0], 1),
    "one begun": ([{}, {"drafts": (ANN,)}], [1], 1),
    "both annotated": ([{"annotations": (ANN,)}, {"annotations": (ANN,)}], [0, 1], 0),
    "two of three annotated": ([{"annotations": (ANN,)}, {}, {"drafts": (ANN,)}], [0, 2], 1),
}


@pytest.mark.parametrize(("copies", "stay", "deleted"), DOUBLES.values(), ids=DOUBLES.keys())
def test_of_doubles_those_that_nobody_touched_are_deleted(
    copies: list[dict[str, Any]], stay: list[int], deleted: int
) -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    first = next(iter(studio.held))
    for changes in copies[1:]:
        studio.copy(first, **changes)
    studio.change(first, **copies[0])
    everything = [studio.held[number] for number in sorted(studio.held)]
    assert [everything.index(one) for one in everything if one not in spare(everything)] == stay
    assert sent(studio, asked(1)) == Pushed(present=1, doubles=deleted)
    assert [studio.held[number] for number in sorted(studio.held)] == [everything[index] for index in stay]


def test_a_deletion_whose_answer_got_lost() -> None:
    for fault in ("lost before", "lost after"):
        studio = FakeStudio(delete_task=[cast(Fault, fault)])
        sent(studio, asked(1, 2))
        studio.copy(1)
        sent(studio, asked(1, 2))
        assert studio.samples == ids(1, 2)


def test_doubles_of_what_is_not_wanted_now_are_left_alone() -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.copy(1)
    assert sent(studio, asked(2)) == Pushed(sent=1)
    assert studio.samples == ids(1, 1, 2)


# Predictions


PREDICTIONS: dict[str, tuple[list[str], int]] = {  # what there is; how many are sent
    "one lost": (["labels"], 1),
    "the other lost": (["model"], 1),
    "both lost": ([], 2),
    "one twice": (["labels", "model", "model"], 0),
    "both twice": (["labels", "labels", "model", "model"], 0),
    "one lost, the other thrice": (["model", "model", "model"], 1),
    "somebody else's": (["labels", "model", "theirs"], 0),
}


@pytest.mark.parametrize(("there", "added"), PREDICTIONS.values(), ids=PREDICTIONS.keys())
def test_predictions_are_mended(there: list[str], added: int) -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.change(1, predictions=tuple((100 + index, version) for index, version in enumerate(there)))
    assert sent(studio, asked(1)) == Pushed(present=1, predictions=added)
    (versions,) = studio.versions
    assert sorted(versions) == sorted({"labels", "model", *there})
    first = {version: 100 + there.index(version) for version in there}
    assert first.items() <= {version: number for number, version in studio.held[1].predictions}.items(), "oldest stays"
    assert sent(studio, asked(1)) == Pushed(present=1)


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_a_prediction_whose_answer_got_lost_is_there_once(fault: Fault) -> None:
    studio = FakeStudio(predict=[fault])
    sent(studio, asked(1, 2))
    studio.change(1, predictions=())
    sent(studio, asked(1, 2))
    assert [sorted(versions) for versions in studio.versions] == [["labels", "model"]] * 2


@pytest.mark.parametrize("touched", [{"annotations": (ANN,)}, {"drafts": (ANN,)}], ids=["annotated", "begun"])
def test_predictions_of_a_task_that_somebody_works_at_stay_as_they_are(touched: dict[str, Any]) -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.change(1, predictions=((100, "model"), (101, "model")), **touched)
    assert sent(studio, asked(1)) == Pushed(present=1)
    assert studio.versions == [["model", "model"]]


# Tasks in conflict


def test_a_task_in_conflict_is_reopened_once() -> None:
    studio = FakeStudio()
    sent(studio, asked(1, 2))
    studio.change(1, annotations=(ANN,), labelled=True, data={**studio.held[1].data, "seen": "yes"})
    assert sent(studio, asked(2, conflicts=[1])) == Pushed(present=2, reopened=1)
    task = studio.held[1]
    assert (task.labelled, task.meta["since"], task.annotations) == (False, SINCE, (ANN,))
    assert task.data["why"] == "To be settled: they differ"
    assert (task.data["image"], task.data["seen"]) == ("/data/kaggle/images/1.png", "yes")
    assert sent(studio, asked(2, conflicts=[1])) == Pushed(present=2)
    later = SINCE.replace("02.", "03.")
    assert sent(studio, asked(2, conflicts=[1], since=later)) == Pushed(present=2, reopened=1)
    assert studio.held[1].meta["since"] == later


def test_each_copy_that_was_worked_at_is_reopened() -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.change(1, annotations=(ANN,))
    studio.copy(1)
    assert sent(studio, asked(conflicts=[1])) == Pushed(present=1, reopened=2)


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_a_reopening_whose_answer_got_lost(fault: Fault) -> None:
    studio = FakeStudio()
    sent(studio, asked(1))
    studio.faults["reopen"] = [fault]
    sent(studio, asked(conflicts=[1]))
    assert studio.held[1].meta["since"] == SINCE


# Refused pictures


def test_labels_that_the_interface_cannot_show_are_refused_by_name() -> None:
    good, odd = asked(1, 2)
    country = picture(2, plate(region="XX"))
    (odd,) = wanted([queued(2)], {country.id: country}, {}, [])
    studio = FakeStudio()
    done = sent(studio, [odd, good])
    assert (done.sent, studio.samples) == (1, ids(1))
    (told,) = done.refused
    assert told.startswith("kaggle/images/2.png: its labels do not fit the interface: ")


def test_a_plate_that_stands_outside_the_picture_is_no_reason_to_refuse_it() -> None:
    """A detector's corners do, where a plate is cut by the edge."""
    quad = [[380, 20], [404.5, 21], [404.5, 51], [380, 50]]
    rows = [{"id": ids(1)[0], "detections": [{"box": [380, 20, 400, 51], "quad": quad, "text": "AB7"}]}]
    tasks = wanted([queued(1)], {ids(1)[0]: picture(1, plate(350, text="AB1"))}, {}, rows)
    assert sent(FakeStudio(), tasks) == Pushed(sent=1)


def test_pictures_that_the_server_cannot_show_are_refused_by_name() -> None:
    studio = FakeStudio()
    studio.hidden = {"/data/kaggle/images/2.png"}
    done = sent(studio, asked(1, 2, 3))
    assert (done.sent, done.present, studio.samples) == (2, 0, ids(1, 3))
    (told,) = done.refused
    assert told.startswith("kaggle/images/2.png: the server cannot show it; is its document root")
    assert sent(studio, asked(1, 2, 3)).refused == [told], "as long as it is not there"


def test_pictures_that_have_no_address_are_refused_by_name() -> None:
    studio = FakeStudio()
    done = push(cast(Studio, studio), asked(1, 2), lambda pictures: addresses(pictures[1:]), 2)
    assert studio.samples == ids(2)
    assert [told.split(":")[0] for told in done.refused] == ["kaggle/images/1.png"]


# Where the pictures are


def test_pictures_on_the_servers_own_disk(tmp_path: Path) -> None:
    studio = FakeStudio()
    odd = replace(picture(1), image="kaggle/images/a b&c#ü.png")
    found = Local(tmp_path).addresses(cast(Studio, studio), [odd])
    assert found == {odd.id: "/data/local-files/?d=raw/kaggle/images/a%20b%26c%23%C3%BC.png"}
    assert studio.folders == [str(tmp_path / "raw")]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        path = tmp_path / picture(number).image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    return tmp_path


UPLOADS: list[list[Fault]] = [[], ["lost before"], ["lost after"], ["fine", "lost after", "lost before"]]


@pytest.mark.parametrize("faults", UPLOADS, ids=str)
def test_pictures_are_uploaded_under_their_ids_and_once(raw: Path, faults: list[Fault]) -> None:
    studio = FakeStudio(upload=list(faults))
    pictures = [picture(1), replace(picture(2), image="kaggle/images/2.png"), picture(3)]
    found = Uploaded(raw).addresses(cast(Studio, studio), pictures)
    assert studio.files == {f"{one.id}.png": b"%d" % number for number, one in enumerate(pictures, start=1)}
    assert found == {one.id: f"/data/upload/1/{index}-{one.id}.png" for index, one in enumerate(pictures)}
    calls = studio.calls["upload"]
    assert calls == 3 + faults.count("lost before")
    assert Uploaded(raw).addresses(cast(Studio, studio), pictures) == found
    assert studio.calls["upload"] == calls


def test_a_picture_that_is_not_here_has_no_address(raw: Path) -> None:
    studio = FakeStudio()
    assert list(Uploaded(raw).addresses(cast(Studio, studio), [picture(1), picture(9)])) == ids(1)


def test_pictures_that_cannot_be_uploaded_are_given_up(raw: Path) -> None:
    studio = FakeStudio(upload=["lost before"] * ROUNDS)
    with pytest.raises(StudioError, match=f"2 pictures could not be uploaded in {ROUNDS} attempts; push again"):
        Uploaded(raw).addresses(cast(Studio, studio), [picture(1), picture(2)])
