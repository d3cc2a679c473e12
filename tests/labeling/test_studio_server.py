"""Push, pull and sync against a real Label Studio, where people work through the server's own API."""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import numpy as np
import pytest
from label_studio_sdk import LabelStudio
from PIL import Image

from pipeline import params
from pipeline.labeling import conflicts, corrections, history, studio
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.history import Annotated
from pipeline.labeling.pull import Pulled
from pipeline.labeling.server import Account
from pipeline.labeling.studio import Patience, Studio, StudioError
from pipeline.labeling.sync import Desk, Folders
from pipeline.labeling.tasks import INTERFACE, Extent, to_result
from pipeline.manifest import write_jsonl, write_manifest
from pipeline.records import Box, Plate, Quad, Sample

from .conftest import Server, free_port

pytestmark = pytest.mark.integration

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml")
QUICK = Patience(attempts=2, first=0.01, longest=0.05)
EXTENT = Extent(160, 120)
OWN = Plate(Box(20, 30, 80, 50), text="AB123", region="GB")  # as every source here drew it
QUAD = Quad((20, 30), (80, 34), (79, 52), (21, 48))
FILES = (corrections.CORRECTIONS, conflicts.CONFLICTS, history.ANNOTATIONS)


def plate(**said: Any) -> CorrectedPlate:
    """The source's plate with something said of it otherwise."""
    about = {name: said.pop(name) for name in ("kind", "certain", "readings") if name in said}
    return CorrectedPlate(replace(OWN, **said), **about)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, who works through the API."""

    url: str
    account: Account

    @cached_property
    def client(self) -> LabelStudio:
        return LabelStudio(base_url=self.url, api_key=self.account.token, max_retries=0, httpx_client=self.plain)

    @cached_property
    def plain(self) -> httpx.Client:
        headers = {"Authorization": f"Token {self.account.token}", "Connection": "close"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False, trust_env=False)

    def annotate(self, task: int, *plates: CorrectedPlate, skipped: bool = False) -> int:
        """Submits plates as an annotation of their own, and gives its id."""
        result = to_result(plates, EXTENT)
        return int(self.client.annotations.create(id=task, result=result, lead_time=4.25, was_cancelled=skipped).id)

    def edit(self, annotation: int, *plates: CorrectedPlate) -> None:
        self.client.annotations.update(id=annotation, result=to_result(plates, EXTENT))

    def delete(self, annotation: int) -> None:
        self.client.annotations.delete(id=annotation)

    def submit(self, task: int, result: list[Any]) -> None:
        """Submits what no labelling page would: the server keeps it even where it then answers 500."""
        self.plain.post(f"/api/tasks/{task}/annotations/", json={"result": result})

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """An answer of the API in plain JSON; None where it has no body."""
        answer = self.plain.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None


class People(NamedTuple):
    admin: Person
    ann: Person
    bob: Person
    cleo: Person


@pytest.fixture(scope="session")
def people(server: Server) -> People:
    accounts = [server.admin, *(server.sign_up(f"{name}@example.org") for name in ("ann", "bob", "cleo"))]
    return People(*(Person(server.url, account) for account in accounts))


@dataclass(frozen=True)
class Project:
    """A folder as the stages leave it, with a few pictures that the server sees; `samples` are in queue order."""

    server: Server
    admin: Person
    folder: Path
    title: str
    samples: tuple[Sample, ...]

    @classmethod
    def make(cls, server: Server, folder: Path, number: int = 1) -> Project:
        """Pictures, a manifest, a queue that is not in the manifest's order, predictions, and no label corrected."""
        title = f"t{uuid4().hex}"
        (server.root / "raw" / title).mkdir()
        samples = [cls._sample(server.root / "raw", f"{title}/{index}", index) for index in range(number)]
        samples.sort(key=lambda sample: sample.id, reverse=True)
        made = cls(server, Person(server.url, server.admin), folder, title, tuple(samples))
        made.write_source({})
        write_jsonl(made.folders.curated / "copies.jsonl", [])
        write_jsonl(made.folders.labels / "queue.jsonl", map(_queued, samples))
        write_jsonl(made.folders.predictions, ({"id": one.id, "detections": [DETECTION]} for one in samples))
        return made

    @staticmethod
    def _sample(raw: Path, stem: str, index: int) -> Sample:
        image = f"{stem}.{('png', 'jpeg')[index % 2]}"
        pixels = np.random.default_rng().integers(0, 255, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).resize((EXTENT.width, EXTENT.height)).save(raw / image)
        identity = hashlib.sha256((raw / image).read_bytes()).hexdigest()
        return Sample(identity, image, EXTENT.width, EXTENT.height, (OWN,), "made", identity)

    def write_source(self, changed: dict[str, Plate]) -> None:
        """Curates anew, with other plates of some samples, by id."""
        plates = {sample.id: changed.get(sample.id, OWN) for sample in self.samples}
        samples = [replace(sample, plates=(plates[sample.id],)) for sample in self.samples]
        for name in ("original.jsonl", "manifest.jsonl"):
            write_manifest(self.folders.curated / name, samples)

    def correct_by_hand(self, *made: tuple[Sample, CorrectedPlate]) -> None:
        """Somebody writes corrections into the file in git, with an editor."""
        told = [Correction(s.id, s.image, (p,), True, "Dora", "2026-11-22", "seen") for s, p in made]
        corrections.write(self.folders.labels / corrections.CORRECTIONS, told)

    @property
    def folders(self) -> Folders:
        root = self.folder / self.title
        return Folders(root / "labels", root / "curated", self.server.root / "raw", root / "predictions.jsonl")

    def settings(self, **changes: Any) -> params.Params:
        own = {"project": self.title, "root": str(self.server.root), "batch": 2, **changes}
        return SETTINGS.model_copy(update={"sync_labels": SETTINGS.sync_labels.model_copy(update=own)})

    def studio(self, url: str | None = None, token: str | None = None, patience: Patience = QUICK) -> Studio:
        return Studio(url or self.server.url, token or self.server.admin.token, patience)

    def desk(self, at: Studio | None = None, **changes: Any) -> Desk:
        """A fresh desk, as each `alpr labels` makes one; `changes` are of the section sync_labels."""
        return Desk(self.folders, self.settings(**changes), at or self.studio())

    @property
    def number(self) -> int:
        """The project's id on the server; 0 where there is none."""
        query = {"title": self.title, "include": "id,title"}
        found = self.admin.ask("GET", "/api/projects", params=query)["results"]
        return next((int(one["id"]) for one in found if one["title"] == self.title), 0)

    def on_server(self) -> list[dict[str, Any]]:
        """The project's tasks as the server has them, by id."""
        if not (number := self.number):
            return []
        query = {"project": number, "fields": "all", "page_size": 1000}
        return sorted(self.admin.ask("GET", "/api/tasks", params=query)["tasks"], key=lambda task: int(task["id"]))

    def tasks(self) -> list[int]:
        """The tasks' ids, in order of the samples."""
        by_sample = {task["data"]["sample"]: int(task["id"]) for task in self.on_server()}
        return [by_sample[sample.id] for sample in self.samples]

    def pushed(self) -> list[int]:
        """Pushes, and gives the tasks' ids, in order of the samples."""
        self.desk().push()
        return self.tasks()

    def pull(self) -> Pulled:
        """Pulls, and sees that pulling again changes no byte."""
        pulled = self.desk().pull()
        before = self.bytes()
        again = self.desk().pull()
        assert self.bytes() == before
        assert (again.corrected, again.tombstones) == ([], 0)
        return pulled

    def bytes(self) -> dict[str, bytes]:
        """What the files in git hold."""
        paths = {name: self.folders.labels / name for name in FILES}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def corrections(self) -> dict[str, Correction]:
        return {one.id: one for one in corrections.read(self.folders.labels / corrections.CORRECTIONS)}

    def plates(self, sample: Sample) -> tuple[CorrectedPlate, ...]:
        """What is known of a sample by corrections.jsonl."""
        return self.corrections()[sample.id].plates

    def annotated(self, sample: Sample) -> Annotated:
        return history.read(self.folders.labels / history.ANNOTATIONS)[sample.id]

    def states(self, sample: Sample) -> list[tuple[str, str, bool]]:
        """Name, state and whether it was overruled, of each annotation in the order in which they were made."""
        return [(one.by.split("@")[0], one.state, one.overruled) for one in self.annotated(sample).annotations]

    def conflicts(self) -> dict[str, conflicts.Conflict]:
        return conflicts.read(self.folders.labels / conflicts.CONFLICTS)


DETECTION = {"box": [21, 31, 79, 49], "quad": [[21, 31], [79, 31], [79, 49], [21, 49]], "score": 0.9, "text": "AB128"}


def _queued(sample: Sample) -> dict[str, Any]:
    reason = {"kind": "text", "score": 0.7, "reason": "read otherwise", "box": [20, 30, 80, 50], "readings": ["AB128"]}
    row = {"id": sample.id, "image": sample.image, "source": sample.source, "split": "train"}
    return {**row, "priority": 0.7, "reasons": [reason]}


Make = Callable[..., Project]


@pytest.fixture
def make(server: Server, tmp_path: Path) -> Make:
    return partial(Project.make, server, tmp_path)


def versions(task: dict[str, Any]) -> list[str]:
    return sorted(one["model_version"] for one in task["predictions"])


# ---- push


def test_the_queue_is_sent_once_and_in_its_order(make: Make) -> None:
    project = make(5)
    assert [one.id for one in project.samples] != sorted(one.id for one in project.samples)
    first = project.desk().push()
    tasks = project.on_server()
    assert (first.sent, first.present, first.refused) == (5, 0, [])
    assert [task["data"]["sample"] for task in tasks] == [one.id for one in project.samples]
    assert {tuple(versions(task)) for task in tasks} == {("labels", "model")}
    shown = {one["model_version"]: one["result"] for one in tasks[0]["predictions"]}
    texts = {name: [i["value"]["text"] for i in items if i["from_name"] == "text"] for name, items in shown.items()}
    assert texts == {"labels": [["AB123"]], "model": [["AB128"]]}
    assert tasks[0]["data"]["why"] == "Suspicion 0.70, since:\n• read otherwise: AB128 at (20, 30)"
    again = project.desk().push()
    assert (again.sent, again.present) == (0, 5)
    assert project.on_server() == tasks


def test_only_so_many_are_sent(make: Make) -> None:
    project = make(3)
    assert project.desk().push(limit=1).sent == 1
    assert [task["data"]["sample"] for task in project.on_server()] == [project.samples[0].id]
    rest = project.desk().push()
    assert (rest.sent, rest.present) == (2, 1)


def test_a_task_that_somebody_worked_at_is_left_alone(make: Make, people: People) -> None:
    """All tasks lost a prediction, and all are there twice; only what nobody touched is mended."""
    project = make(3)
    worked, drafted, untouched = project.pushed()
    people.ann.annotate(worked, plate(text="AB124"))
    people.ann.ask("POST", f"/api/tasks/{drafted}/drafts", json={"result": to_result([plate(rows=1)], EXTENT)})
    for task in project.on_server():
        lost = next(one["id"] for one in task["predictions"] if one["model_version"] == "model")
        people.admin.ask("DELETE", f"/api/predictions/{lost}/")
    first = {task["id"]: task for task in project.on_server()}
    for copied in (worked, drafted, untouched):
        copy = [{"data": first[copied]["data"], "meta": first[copied]["meta"]}]
        people.admin.ask("POST", f"/api/projects/{project.number}/import", json=copy)
    pushed = project.desk().push()
    after = {task["id"]: task for task in project.on_server()}
    assert (pushed.sent, pushed.doubles, pushed.predictions) == (0, 3, 1)
    assert set(after) == {worked, drafted, untouched}
    assert (after[worked], after[drafted]) == (first[worked], first[drafted])
    assert versions(after[untouched]) == ["labels", "model"]


def test_of_two_tasks_that_with_anothers_draft_stays(make: Make, people: People) -> None:
    """The server's lists show only one's own drafts."""
    project = make(1)
    project.pushed()
    (first,) = project.on_server()
    copy = [{"data": first["data"], "meta": first["meta"]}]
    people.admin.ask("POST", f"/api/projects/{project.number}/import", json=copy)
    younger = project.on_server()[1]["id"]
    people.ann.ask("POST", f"/api/tasks/{younger}/drafts", json={"result": []})
    assert project.on_server()[1]["drafts"] == []
    assert project.desk().push().doubles == 1
    assert [task["id"] for task in project.on_server()] == [younger]


def test_a_push_that_is_killed_is_finished_by_the_next(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(4)
    send = Studio.send

    def killed(self: Studio, tasks: Any) -> None:
        send(self, tasks)
        raise KeyboardInterrupt  # the server has them, and nobody heard of it

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            project.desk().push()
    assert len(project.on_server()) == 2
    pushed = project.desk().push()
    assert (pushed.sent, pushed.present) == (2, 2)
    assert [task["data"]["sample"] for task in project.on_server()] == [one.id for one in project.samples]


def test_pictures_are_uploaded_once(make: Make, people: People) -> None:
    project = make(3)
    assert project.desk(images="upload", root="/nowhere").push().sent == 3
    tasks = project.on_server()
    for task, sample in zip(tasks, project.samples, strict=True):
        name = sample.id + Path(sample.image).suffix
        assert task["data"]["image"].endswith(f"-{name}")
        shown = people.ann.plain.get(task["data"]["image"])
        assert (shown.status_code, shown.content) == (200, (project.folders.images / sample.image).read_bytes())
    people.admin.ask("DELETE", f"/api/tasks/{tasks[0]['id']}")
    again = project.desk(images="upload", root="/nowhere").push()
    assert (again.sent, again.present) == (1, 2)
    uploads = people.admin.ask("GET", f"/api/projects/{project.number}/file-uploads", params={"all": "true"})
    assert len(uploads) == 3


def test_a_personal_access_token_is_as_good(make: Make, people: People) -> None:
    project = make(2)
    token = people.cleo.ask("POST", "/api/token/")["token"]
    assert token.count(".") == 2
    assert project.desk(project.studio(token=token)).push().sent == 2
    people.ann.annotate(project.tasks()[0], plate(text="AB124"))
    assert project.desk(project.studio(token=token)).pull().corrected == [project.samples[0].id]


# ---- pull

SAID: dict[str, tuple[CorrectedPlate, ...]] = {
    "another box": (plate(box=Box(22.5, 31.25, 84, 52)),),
    "corners": (plate(box=QUAD.box, quad=QUAD),),
    "another text": (plate(text="AB124"),),
    "two rows": (plate(rows=2),),
    "another country": (plate(region="IE"),),
    "not readable": (plate(text=None, legible=False),),
    "partly readable": (plate(text=None, readings=("AB?23",)),),
    "lettering": (plate(text="TAXI", kind="lettering"),),
    "not a plate": (plate(text=None, kind="not_a_plate"),),
    "a second plate": (plate(), CorrectedPlate(Plate(Box(90, 60, 150, 80), text="CD9", region="FR", rows=1))),
    "no plate": (),
}


def test_what_an_annotator_says_becomes_the_label(make: Make, people: People) -> None:
    project = make(len(SAID))
    samples = dict(zip(SAID, project.samples, strict=True))
    made = {}
    for task, (name, plates) in zip(project.pushed(), SAID.items(), strict=True):
        made[name] = people.ann.annotate(task, *plates)
    pulled = project.pull()
    assert (sorted(pulled.corrected), pulled.refused) == (sorted(one.id for one in project.samples), [])
    assert {name: project.plates(sample) for name, sample in samples.items()} == SAID
    assert project.conflicts() == {}
    for name, sample in samples.items():
        correction, (told,) = project.corrections()[sample.id], project.annotated(sample).annotations
        assert (told.id, told.by, told.seconds, told.state) == (made[name], "ann@example.org", 4.2, "submitted")
        assert told.made <= told.when
        assert told.made.endswith("Z")
        assert (correction.by, correction.when, correction.complete) == (told.by, told.when[:10], True)
        assert correction.why == f"annotated in Label Studio (annotation {told.id}, 4.2 s)"


def test_who_edits_an_annotation_has_the_last_word_in_it(make: Make, people: People) -> None:
    project = make(1)
    (task,) = project.pushed()
    told = people.ann.annotate(task, plate(text="AB124"))
    project.pull()
    people.bob.edit(told, plate(text="AB125"))
    assert project.pull().corrected == [project.samples[0].id]
    assert project.plates(project.samples[0]) == (plate(text="AB125"),)
    assert project.states(project.samples[0]) == [("ann", "revised", False), ("bob", "submitted", False)]


def test_who_agree_need_no_third(make: Make, people: People) -> None:
    project = make(1)
    (task,) = project.pushed()
    people.ann.annotate(task, plate(text="AB124"))
    people.bob.annotate(task, plate(text="AB124", box=Box(20, 30, 80, 51)))
    project.pull()
    assert project.conflicts() == {}
    assert project.plates(project.samples[0]) == (plate(text="AB124", box=Box(20, 30, 80, 51)),)
    agreement = project.desk().status().agreement
    assert (agreement.pictures, agreement.pairs, agreement.exact) == (1, 1, 1.0)
    assert agreement.iou == pytest.approx(20 / 21)


DISAGREEMENTS: dict[str, tuple[tuple[CorrectedPlate, ...], str]] = {
    "text": ((plate(text="AB125"),), "they read the plate at (20, 30) differently"),
    "place": ((plate(text="AB124", box=Box(20, 30, 80, 60)),), "their boxes of the plate at (20, 30) overlap by only"),
    "number": ((), "only one of them has the plate at (20, 30)"),
}


SETTLED = {
    "ann": [("ann", "revised", True), ("ann", "submitted", False), ("bob", "submitted", True)],
    "bob": [("ann", "submitted", True), ("bob", "revised", True), ("bob", "submitted", False)],
    "cleo": [("ann", "submitted", True), ("bob", "submitted", True), ("cleo", "submitted", False)],
}


@pytest.mark.parametrize("settler", SETTLED)
def test_who_disagree_change_no_label_until_somebody_settles_it(make: Make, people: People, settler: str) -> None:
    project = make(len(DISAGREEMENTS))
    samples = dict(zip(DISAGREEMENTS, project.samples, strict=True))
    project.correct_by_hand((project.samples[0], plate(rows=1)))
    tasks = dict(zip(DISAGREEMENTS, project.pushed(), strict=True))
    before = project.bytes()[corrections.CORRECTIONS]
    anns = {name: people.ann.annotate(task, plate(text="AB124")) for name, task in tasks.items()}
    bobs = {name: people.bob.annotate(task, *DISAGREEMENTS[name][0]) for name, task in tasks.items()}
    pulled = project.pull()
    assert (pulled.corrected, project.bytes()[corrections.CORRECTIONS]) == ([], before)
    for name, (_, words) in DISAGREEMENTS.items():
        conflict = project.conflicts()[samples[name].id]
        (reason,) = conflict.reasons
        assert (conflict.kind, conflict.task, conflict.image) == ("annotators", tasks[name], samples[name].image)
        assert reason.startswith(f"ann@example.org and bob@example.org: {words}")
    assert all(task["is_labeled"] for task in project.on_server())

    assert project.desk().push().reopened == len(tasks)
    for task in project.on_server():
        told = project.conflicts()[task["data"]["sample"]].reasons[0]
        assert (task["is_labeled"], len(task["annotations"])) == (False, 2)
        assert task["data"]["why"].startswith(f"To be settled: {told}\nSuspicion 0.70")
    assert project.desk().push().reopened == 0

    last = plate(text="AB126")
    for name, task in tasks.items():
        if settler == "cleo":
            people.cleo.annotate(task, last)
        else:
            getattr(people, settler).edit({"ann": anns, "bob": bobs}[settler][name], last)
    project.pull()
    assert project.conflicts() == {}
    for name, sample in samples.items():
        assert project.plates(sample) == (last,), name
        assert project.states(sample) == SETTLED[settler], name
    settled = project.desk().push()
    assert (settled.sent, settled.present, settled.reopened) == (0, 3, 0)
    agreement = project.desk().status().agreement  # of what was said before anybody knew of a conflict
    assert (agreement.pictures, agreement.pairs, agreement.exact) == (3, 3, 0.5)
    assert agreement.iou == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_who_changes_their_mind_later_is_heard(make: Make, people: People) -> None:
    """An edit after a conflict was settled is a new word, though the one before was overruled."""
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    told = people.ann.annotate(task, plate(text="AB124"))
    people.bob.annotate(task, plate(text="AB125"))
    project.pull()
    people.cleo.annotate(task, plate(text="AB126"))
    project.pull()
    people.ann.edit(told, plate(text="AB127"))
    project.pull()
    assert project.plates(sample) == (plate(text="AB126"),)
    assert project.states(sample) == [
        ("ann", "revised", True),
        ("ann", "submitted", False),
        ("bob", "submitted", True),
        ("cleo", "submitted", False),
    ]
    assert "ann@example.org and cleo@example.org" in project.conflicts()[sample.id].reasons[0]


# ---- tombstones


def test_a_deleted_annotation_is_remembered_and_its_label_kept(make: Make, people: People) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    told = people.ann.annotate(task, plate(text="AB124"))
    project.pull()
    before = project.bytes()
    people.ann.delete(told)
    pulled = project.pull()
    assert (pulled.tombstones, pulled.corrected) == (1, [])
    assert project.bytes()[corrections.CORRECTIONS] == before[corrections.CORRECTIONS]
    (kept,) = project.annotated(sample).annotations
    assert (kept.id, kept.state, kept.plates) == (told, "deleted", (plate(text="AB124"),))


def test_a_deleted_task_is_not_a_lost_label(make: Make, people: People) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    people.ann.annotate(task, plate(text="AB124"))
    project.pull()
    people.admin.ask("DELETE", f"/api/tasks/{task}")
    assert project.pull().tombstones == 1
    assert project.plates(sample) == (plate(text="AB124"),)
    assert project.desk().push().sent == 1
    people.bob.annotate(project.tasks()[0], plate(text="AB125"))
    project.pull()
    assert project.plates(sample) == (plate(text="AB125"),)
    assert project.states(sample) == [("ann", "deleted", False), ("bob", "submitted", False)]


@pytest.mark.parametrize("pulled_before", [False, True])
def test_after_a_deletion_the_others_word_holds(make: Make, people: People, pulled_before: bool) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    people.ann.annotate(task, plate(text="AB124"))
    told = people.bob.annotate(task, plate(text="AB125"))
    if pulled_before:
        project.pull()
        assert sample.id in project.conflicts()
        project.desk().push()
    people.bob.delete(told)
    project.pull()
    assert (project.conflicts(), project.plates(sample)) == ({}, (plate(text="AB124"),))


def test_an_id_that_is_given_again_is_another_annotation(make: Make, people: People) -> None:
    """As by a server whose database was put back to an older copy."""
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    told = people.ann.annotate(task, plate(text="AB124"))
    project.pull()
    people.ann.delete(told)
    database = project.server.root.parent / "data" / "label_studio.sqlite3"
    with sqlite3.connect(database, timeout=20) as connection:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'task_completion'", (told - 1,))
    connection.close()
    assert people.ann.annotate(task, plate(text="AB125")) == told
    pulled = project.pull()
    assert (pulled.tombstones, project.plates(sample)) == (1, (plate(text="AB125"),))
    assert project.states(sample) == [("ann", "deleted", False), ("ann", "submitted", False)]


def test_a_skipped_picture_keeps_its_labels(make: Make, people: People) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    people.ann.annotate(task, plate(text="AB124"), skipped=True)
    pulled = project.pull()
    assert (pulled.corrected, project.corrections(), pulled.states["skipped"]) == ([], {}, 1)
    assert project.states(sample) == [("ann", "skipped", False)]
    people.bob.annotate(task, plate(text="AB125"))
    project.pull()
    assert project.plates(sample) == (plate(text="AB125"),)
    assert project.desk().status().done == 1


def test_a_draft_waits_until_it_is_handed_in(make: Make, people: People) -> None:
    project = make(2)
    (kept, dropped), (sample, other) = project.pushed(), project.samples
    result = to_result([plate(text="AB124")], EXTENT)
    path = "/api/tasks/{}/drafts"
    draft = people.ann.ask("POST", path.format(kept), json={"result": result, "lead_time": 2.0})["id"]
    gone = people.ann.ask("POST", path.format(dropped), json={"result": result, "lead_time": 2.0})["id"]
    pulled = project.pull()
    assert (pulled.corrected, project.corrections(), pulled.states["draft"]) == ([], {}, 2)
    (told,) = project.annotated(sample).annotations
    assert (told.by, told.state, told.plates) == ("ann@example.org", "draft", (plate(text="AB124"),))

    people.ann.ask("POST", f"/api/tasks/{kept}/annotations/", json={"result": result, "draft_id": draft})
    people.ann.ask("DELETE", f"/api/drafts/{gone}/")
    pulled = project.pull()
    assert pulled.tombstones == 1
    assert project.states(sample) == [("ann", "submitted", False)]
    assert project.states(other) == [("ann", "deleted", False)]
    assert (project.plates(sample), pulled.corrected) == ((plate(text="AB124"),), [sample.id])


# ---- changes on this side


def test_what_was_changed_here_meanwhile_is_kept(make: Make, people: People) -> None:
    """By hand before the first pull, and between two of them."""
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    told = people.ann.annotate(task, plate(text="AB124"))
    project.correct_by_hand((sample, plate(region="IE")))
    project.pull()
    assert project.plates(sample) == (plate(text="AB124", region="IE"),)
    project.correct_by_hand((sample, plate(text="AB124", region="IE", rows=2)))
    people.ann.edit(told, plate(text="AB125", region="IE"))
    project.pull()
    assert project.plates(sample) == (plate(text="AB125", region="IE", rows=2),)
    assert project.conflicts() == {}


@pytest.mark.parametrize("settler", ["ann", "bob"])
def test_the_same_field_changed_on_both_sides_waits_for_an_annotator(make: Make, people: People, settler: str) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    told = people.ann.annotate(task, plate(text="AB124"))
    project.correct_by_hand((sample, plate(text="AB129")))
    before = project.bytes()[corrections.CORRECTIONS]
    project.pull()
    conflict = project.conflicts()[sample.id]
    assert (conflict.kind, conflict.reasons) == (
        "upstream",
        ("the plate at (20, 30) has another reading on each side",),
    )
    assert project.bytes()[corrections.CORRECTIONS] == before
    assert project.desk().push().reopened == 1
    (shown,) = project.on_server()
    assert shown["is_labeled"] is False
    assert shown["data"]["why"].startswith(f"To be settled: {conflict.reasons[0]}")
    if settler == "ann":
        people.ann.edit(told, plate(text="AB124", rows=1))
    else:
        people.bob.annotate(task, plate(text="AB124", rows=1))
    project.pull()
    assert (project.conflicts(), project.plates(sample)) == ({}, (plate(text="AB124", rows=1),))


def test_what_the_source_learns_joins_what_was_annotated(make: Make, people: People) -> None:
    project = make(2)
    tasks, (sample, early) = project.pushed(), project.samples
    people.ann.annotate(tasks[0], plate(text="AB124"))
    project.pull()
    people.ann.annotate(tasks[1], plate(text="AB124"))
    project.write_source({sample.id: replace(OWN, rows=1), early.id: replace(OWN, rows=1)})
    project.pull()
    assert project.plates(sample) == project.plates(early) == (plate(text="AB124", rows=1),)
    assert project.corrections()[sample.id].why.endswith("; then its source changed")
    assert project.conflicts() == {}


def test_a_source_that_contradicts_an_annotator_waits(make: Make, people: People) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    people.ann.annotate(task, plate(text="AB124"))
    project.pull()
    before = project.bytes()[corrections.CORRECTIONS]
    project.write_source({sample.id: replace(OWN, text="AB129")})
    project.pull()
    assert project.conflicts()[sample.id].kind == "upstream"
    assert project.bytes()[corrections.CORRECTIONS] == before
    assert project.desk().push().reopened == 1
    people.bob.annotate(task, plate(text="AB129"))
    project.pull()
    assert (project.conflicts(), project.plates(sample)) == ({}, (plate(text="AB129"),))


# ---- what is said while a pull lists


def test_more_than_a_page_of_tasks(make: Make, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio, "PAGE", 3)
    project = make(7)
    for number, task in enumerate(project.pushed()):
        people.ann.annotate(task, plate(text=f"AB{number}"))
    project.pull()
    assert [project.plates(sample)[0].plate.text for sample in project.samples] == [f"AB{n}" for n in range(7)]
    assert project.desk().push().present == 7


@pytest.mark.parametrize("moment", [1, 2, 3], ids=["between pages", "at the end", "between listings"])
def test_what_is_said_during_a_pull_is_in_it(
    make: Make, people: People, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """After a page was listed, a task of it gets an annotation, and one is deleted, so that later pages shift."""
    monkeypatch.setattr(studio, "PAGE", 3)
    project = make(7)
    tasks = project.pushed()
    edited = people.ann.annotate(tasks[0], plate(text="AB124"))
    people.ann.annotate(tasks[3], plate(text="AB124"))
    page, asked = Studio._page, []

    def meanwhile(self: Studio, number: int, client: Any) -> Any:
        answer = page(self, number, client)
        asked.append(number)
        if len(asked) == moment:
            people.ann.edit(edited, plate(text="AB125"))
            people.bob.annotate(tasks[2], plate(text="AB126"))
            people.admin.ask("DELETE", f"/api/tasks/{tasks[1]}")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "_page", meanwhile)
        project.desk().pull()
    said = {
        sample.id: project.plates(sample)[0].plate.text
        for sample in project.samples
        if sample.id in project.corrections()
    }
    first, _, third, fourth, *_ = project.samples
    assert said == {first.id: "AB125", third.id: "AB126", fourth.id: "AB124"}
    assert project.pull().corrected == []


# ---- what cannot be


def nobody(project: Project) -> Desk:
    return project.desk(project.studio(f"http://127.0.0.1:{free_port()}"))


def stranger(project: Project) -> Desk:
    return project.desk(project.studio(token="f" * 40))


def other_task(project: Project) -> Desk:
    choices = '<Choices name="topic" toName="words"><Choice value="a"/><Choice value="b"/></Choices>'
    return _in_project_of(project, f'<View><Text name="words" value="$words"/>{choices}</View>')


def other_boxes(project: Project) -> Desk:
    labels = '<RectangleLabels name="box" toName="image"><Label value="cat"/></RectangleLabels>'
    return _in_project_of(project, f'<View><Image name="image" value="$image"/>{labels}</View>')


def _in_project_of(project: Project, config: str) -> Desk:
    project.admin.client.projects.create(title=project.title, label_config=config)
    return project.desk()


def no_root(project: Project) -> Desk:
    return project.desk(root=str(project.folder))


def short_title(project: Project) -> Desk:
    return project.desk(project="p")


@pytest.mark.parametrize(
    ("desk", "work", "words"),
    [
        (nobody, "push", "no Label Studio answers at http://127.0.0.1:"),
        (nobody, "pull", "no Label Studio answers at http://127.0.0.1:"),
        (nobody, "begun", "start one with `make label-studio`, or set LABEL_STUDIO_URL"),
        (stranger, "push", "refuses the token; copy a valid one"),
        (stranger, "pull", "refuses the token; copy a valid one"),
        (other_task, "push", "has another labelling interface, not that of licence plates"),
        (other_task, "pull", "has another labelling interface, not that of licence plates"),
        (other_boxes, "push", "has another labelling interface, not that of licence plates"),
        (no_root, "push", "The server cannot show the pictures in"),
        (short_title, "push", "a title has 3 characters at least"),
        (Project.desk, "pull", "has no project 't.*': run `alpr labels push` first"),
        (Project.desk, "status", "has no project 't.*': run `alpr labels push` first"),
    ],
)
def test_a_refusal_is_a_sentence_and_changes_nothing(
    make: Make, desk: Callable[[Project], Desk], work: str, words: str
) -> None:
    project = make(2)
    project.correct_by_hand((project.samples[0], plate(rows=1)))
    before = project.bytes()
    with pytest.raises(StudioError, match=words) as told:
        getattr(desk(project), work)()
    assert "\n" not in str(told.value)
    assert project.bytes() == before
    assert project.on_server() == []


def test_a_picture_that_the_server_cannot_see_is_refused_by_name(make: Make) -> None:
    project = make(3)
    lost = project.samples[1]
    (project.folders.images / lost.image).unlink()
    pushed = project.desk().push()
    (words,) = pushed.refused
    assert words.startswith(f"{lost.image}: the server cannot show it")
    assert pushed.sent == 2
    assert [task["data"]["sample"] for task in project.on_server()] == [project.samples[0].id, project.samples[2].id]


def test_a_picture_that_is_not_here_to_upload_is_refused_by_name(make: Make) -> None:
    project = make(3)
    lost = project.samples[1]
    (project.folders.images / lost.image).unlink()
    pushed = project.desk(images="upload").push()
    assert (pushed.sent, len(project.on_server())) == (2, 2)
    assert pushed.refused == [f"{lost.image}: it is not here to be sent; run the stage that pulls its source"]


def test_two_at_once_do_not_work_on_one_folder(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(1)
    project.pushed()
    tasks, refusals = Studio.tasks, []

    def meanwhile(self: Studio) -> Any:
        for name in ("push", "pull"):
            with pytest.raises(StudioError, match="another `alpr labels` is at work on") as told:
                getattr(project.desk(), name)()
            refusals.append(str(told.value))
        return tasks(self)

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "tasks", meanwhile)
        assert project.desk().push().present == 1
    assert len(refusals) == 2
    assert all(words.endswith("wait until it has ended") for words in refusals)
    assert project.desk().push().present == 1


def test_a_task_whose_meta_was_changed_by_hand_is_named(make: Make, people: People) -> None:
    project = make(2)
    task = project.pushed()[0]
    people.ann.annotate(task, plate(text="AB124"))
    people.admin.ask("PATCH", f"/api/tasks/{task}", json={"meta": {"labels": "none"}})
    before = project.bytes()
    with pytest.raises(StudioError, match=f"task {task}: what push wrote into its meta was changed or deleted"):
        project.desk().pull()
    assert project.bytes() == before


SHAPE = {"x": 12.5, "y": 25.0, "width": 37.5, "height": 50 / 3, "rotation": 0}
POINTS = [[12.5, 25.0], [50.0, 27.0], [49.0, 44.0], [13.0, 40.0]]


def item(control: str, said: Any, region: str = "r1", **value: Any) -> dict[str, Any]:
    """One entry of a result as the labelling page writes it: its type and key by the control that it is of."""
    kind = {"box": "rectanglelabels", "corners": "polygonlabels", "text": "textarea"}.get(control, "choices")
    key = {"text": "text"}.get(control, kind)
    size = {"original_width": EXTENT.width, "original_height": EXTENT.height, "image_rotation": 0}
    made = {"id": region, "type": kind, "from_name": control, "to_name": "image"}
    return {**made, **size, "value": {**(value or SHAPE), key: said}}


def box(**value: Any) -> dict[str, Any]:
    return item("box", ["plate"], **{**SHAPE, **value})


def corners(*points: list[Any]) -> dict[str, Any]:
    return item("corners", ["plate by its corners"], points=list(points), closed=True)


def read(text: Any) -> list[dict[str, Any]]:
    return [box(), item("text", text), item("legibility", ["legible"])]


UNTAKEABLE: dict[str, tuple[list[Any], str]] = {
    "an unknown label": ([item("box", ["car"])], "the unknown label"),
    "no label": ([item("box", [])], "the unknown label"),
    "an unknown control": ([box(), item("colour", ["red"])], "unknown kind, 'colour'"),
    "a shape of another kind": ([{**box(), "type": "brushlabels"}], "unknown kind, 'box'"),
    "outside": ([box(x=120.0)], "stands 92 px outside the picture"),
    "no width": ([box(width=0)], "zero width"),
    "turned out of the picture": ([box(x=0.0, y=0.0, rotation=90)], "px outside the picture"),
    "markup": (read(["<script>"]), "its text holds '<', which stands on no plate"),
    "a path": (read(["../../etc/passwd"]), "its text holds '/', which stands on no plate"),
    "a long text": (read(["AB123" * 3]), "its text cannot stand on a plate: a plate has 1 to 12"),
    "umlauts": (read(["ÄÖ 123"]), "its text cannot stand on a plate: character 'Ä' is not in the plate alphabet"),
    "a number for a text": (read([7]), "its text is malformed"),
    "no value": ([{k: v for k, v in box().items() if k != "value"}], "its box is malformed"),
    "a list for a value": ([{**box(), "value": [1, 2]}], "its box is malformed"),
    "words for numbers": ([box(x="left")], "its shape is malformed"),
    "nothing for a number": ([box(height=None)], "its shape is malformed"),
    "a huge number": ([box(x=1e308)], "stands 1.6e+308 px outside the picture"),
    "a number beyond all": ([box(x=10**400)], "its shape is malformed"),
    "three corners": ([corners(*POINTS[:3])], "a plate has four corners, not 3"),
    "a corner of three numbers": ([corners(*POINTS[:3], [1, 2, 3])], "its shape is malformed"),
    "an arrow": ([corners(*POINTS[:3], [45.0, 30.0])], "its four corners do not go round a plate"),
    "two shapes in one": ([box(), corners(*POINTS)], "has 2 shapes instead of one"),
    "no shape": ([item("text", ["AB124"])], "has 0 shapes instead of one"),
    "a country in full": ([box(), item("region", ["Sweden"])], "'Sweden' is not a country's two letters"),
    "three rows": ([box(), item("rows", ["3"])], "a plate has 1 or 2 rows, not '3'"),
    "an unknown choice": ([box(), item("legibility", ["maybe"])], "'maybe' is not a choice that is known"),
}


def test_what_cannot_be_taken_is_kept_and_named(make: Make, people: People) -> None:
    project = make(len(UNTAKEABLE))
    samples = dict(zip(UNTAKEABLE, project.samples, strict=True))
    project.correct_by_hand((project.samples[0], plate(rows=1)))
    before = project.bytes()[corrections.CORRECTIONS]
    for task, (result, _) in zip(project.pushed(), UNTAKEABLE.values(), strict=True):
        people.ann.submit(task, result)
    ids = {task["data"]["sample"]: task["annotations"][0]["id"] for task in project.on_server()}
    pulled = project.pull()
    for name, (_, words) in UNTAKEABLE.items():
        (told,) = project.annotated(samples[name]).annotations
        assert (name, told.id, told.state, told.plates) == (name, ids[samples[name].id], "refused", ())
        assert words in str(told.problem), name
        (said,) = [one for one in pulled.refused if f"annotation {told.id} by ann@example.org: " in one]
        assert said.endswith(f"{told.problem}; correct it there"), name
    assert (pulled.corrected, project.bytes()[corrections.CORRECTIONS]) == ([], before)
    assert project.conflicts() == {}


def test_a_rectangle_that_was_turned_becomes_four_corners(make: Make, people: People) -> None:
    project = make(1)
    (task,), (sample,) = project.pushed(), project.samples
    turned = box(x=50.0, y=25.0, width=25.0, height=25.0, rotation=90)  # 40 x 30 px about (80, 30)
    people.ann.submit(task, [turned])
    project.pull()
    (one,) = project.plates(sample)
    assert one.plate.quad == Quad((80, 30), (80, 70), (50, 70), (50, 30))
    assert one.plate.box == Box(50, 30, 80, 70)


# ---- the interface

FRESH = INTERFACE.read_text(encoding="utf-8").strip()
EARLIER = re.sub(r'<View>\s*<Header value="Rows".*?</View>', "", FRESH, flags=re.DOTALL)
EARLIER = re.sub(r'<Choice value="(?!AB|GB|IE)[A-Z]{2}"[^>]*/>', "", EARLIER)
MORE = FRESH.replace('<Choice value="lettering"', '<Choice value="taxi"/><Choice value="lettering"')
OTHER = EARLIER.replace('<Choice value="lettering"', '<Choice value="taxi"/><Choice value="lettering"')


def test_an_earlier_interface_of_ours_is_brought_up_to_date(make: Make, people: People) -> None:
    project = make(2)
    (task, _), (sample, _) = project.pushed(), project.samples
    people.admin.client.projects.update(id=project.number, label_config=EARLIER)
    people.ann.annotate(task, plate(text="AB124"))
    assert project.desk().push().present == 2
    assert people.admin.client.projects.get(id=project.number).label_config == FRESH
    assert len(project.on_server()[0]["annotations"]) == 1
    project.pull()
    assert project.plates(sample) == (plate(text="AB124"),)


def test_an_interface_that_people_extended_stays_theirs(make: Make, people: People) -> None:
    project = make(1)
    project.pushed()
    people.admin.client.projects.update(id=project.number, label_config=MORE)
    assert project.desk().push().present == 1
    assert people.admin.client.projects.get(id=project.number).label_config == MORE


def test_an_interface_that_people_cut_is_named(make: Make, people: People) -> None:
    project = make(1)
    project.pushed()
    people.admin.client.projects.update(id=project.number, label_config=OTHER)
    with pytest.raises(StudioError, match="was changed by hand and lacks some of ours: take what it lacks from"):
        project.desk().push()
    assert people.admin.client.projects.get(id=project.number).label_config == OTHER


# ---- the status, and the token


def test_status_only_looks(make: Make, people: People) -> None:
    project = make(3)
    assert not project.desk().begun()
    project.desk().push(limit=2)
    assert project.desk().begun()
    first, second = (task["id"] for task in project.on_server())
    people.ann.annotate(first, plate(text="AB124"))
    people.ann.annotate(second, plate(text="AB124"))
    people.bob.annotate(second, plate(text="AB125"))
    before = project.bytes(), project.on_server()
    status = project.desk().status()
    assert (project.bytes(), project.on_server()) == before
    assert (status.queued, status.pushed, status.done, status.conflicts) == (3, 2, 2, 0)
    assert (status.would_correct, status.would_conflict, status.states["submitted"]) == (1, 1, 3)
    pulled, pushed = project.pull(), project.desk().push()
    assert (pulled.corrected, list(project.conflicts())) == ([project.samples[0].id], [project.samples[1].id])
    assert (pushed.sent, pushed.present, pushed.reopened) == (1, 2, 1)
    status = project.desk().status()
    assert (status.pushed, status.conflicts, status.would_correct, status.would_conflict) == (3, 1, 0, 0)


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_the_token_is_told_nobody(
    make: Make, people: People, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """Neither a file, nor a log at its most talkative, nor an error with all that led to it."""
    project = make(1)
    token = people.bob.account.token if kind == "legacy" else people.bob.ask("POST", "/api/token/")["token"]
    at, refused = project.studio(token=token), project.studio(token=token[:-4] + "beef")
    for name in ("", "httpx", "httpcore", "fern", "label_studio_sdk"):
        caplog.set_level(logging.DEBUG, logger=name)
    project.desk(at).push()
    project.desk(at).pull()
    with pytest.raises(StudioError, match="refuses the token") as told:
        project.desk(refused).push()
    away = project.studio(f"http://127.0.0.1:{free_port()}", token)
    with pytest.raises(StudioError, match="no Label Studio answers") as lost:
        project.desk(away).push()
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    heard = ["".join(traceback.format_exception(error.value)) for error in (told, lost)]
    heard += [repr(at), repr(refused), *map(repr, _causes(told.value)), *capfd.readouterr()]
    heard += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    heard += [path.read_text(errors="replace") for path in project.folder.rglob("*") if path.is_file()]
    secrets = [token, token[:-4]] if kind == "legacy" else [token.split(".")[2][:-4], *_access(at)]
    assert not [secret for secret in secrets for text in heard if secret in text]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__


def _access(at: Studio) -> list[str]:
    """The short-lived token that the personal one was changed for."""
    token = at._client._client_wrapper._tokens_client._access_token
    assert token
    return [token.split(".")[2]]
