"""Faults between us and a real Label Studio: whatever meets with what, a few runs bring all there, once."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.labeling import conflicts, corrections, history
from pipeline.labeling.studio import Patience, StudioError
from pipeline.labeling.sync import Desk

from .conftest import Server
from .fault_proxy import QUICK, Fault, FaultProxy, scheduled
from .test_studio_server import Person, Project, plate, versions

pytestmark = pytest.mark.integration

SEEDS = range(200)
SAMPLES = 3  # that is two imports
RUNS = 3  # a run, and at most two more
PATIENCE = Patience(attempts=5, first=0.005, longest=0.02, answer=1.0)
LATE = PATIENCE.answer + 0.1


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with FaultProxy(server.url, LATE) as running:
        yield running


@pytest.fixture(scope="session")
def personal(server: Server) -> str:
    """A personal access token: it is changed for a short-lived one by a request that may meet with a fault, too."""
    account = server.sign_up("dora@example.org")
    return str(Person(server.url, account).ask("POST", "/api/token/")["token"])


def finished(project: Project, desk: Callable[[], Desk], work: str, proxy: FaultProxy) -> list[str]:
    """Pushes or pulls until it is done, and gives what failed runs said: each ended in a sentence and changed no label.

    A 401 ends a run, and nothing is asked after it.
    """
    told: list[str] = []
    for _ in range(RUNS):
        before, asked, failed = project.bytes(), len(proxy.requests), ""
        try:
            getattr(desk(), work)()
        except StudioError as error:
            failed = str(error)
            assert project.bytes() == before
        proxy.settle()
        readable(project.folders.labels)
        faults = [request.fault for request in proxy.requests[asked:]]
        assert Fault.UNAUTHORIZED not in faults[:-1]
        assert (faults[-1] is Fault.UNAUTHORIZED) == ("refuses the token" in failed)
        if not failed:
            return told
        told.append(failed)
    raise AssertionError(f"not done in {RUNS} runs: {told}")


def readable(folder: Path) -> None:
    """No label file is half-written."""
    corrections.read(folder / corrections.CORRECTIONS)
    conflicts.read(folder / conflicts.CONFLICTS)
    history.read(folder / history.ANNOTATIONS)


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_gets_there_once(
    server: Server, proxy: FaultProxy, personal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    """All tasks with their predictions, all annotations and their labels, by at most two more runs of each command."""
    caplog.set_level(logging.DEBUG)
    project, annotator = Project.make(server, tmp_path, SAMPLES), Person(server.url, server.admin)
    token = personal if seed % 5 == 0 else server.admin.token
    images = "upload" if seed % 10 == 1 else "local"

    def desk() -> Desk:
        return project.desk(project.studio(proxy.url, token, PATIENCE), images=images)

    proxy.follow(scheduled(seed, most=7, among=16))
    told = finished(project, desk, "push", proxy)
    if Fault.LATE_REQUEST in proxy.met():  # it may have come after the last look, and be double
        told += finished(project, desk, "push", proxy)
    tasks = project.on_server()
    assert sorted(task["data"]["sample"] for task in tasks) == sorted(sample.id for sample in project.samples)
    assert {tuple(versions(task)) for task in tasks} == {("labels", "model")}

    said = {task["data"]["sample"]: (plate(text=f"AB{number}"),) for number, task in enumerate(tasks)}
    for task in tasks:
        annotator.annotate(task["id"], *said[task["data"]["sample"]])
    proxy.follow(scheduled(seed + len(SEEDS), most=5, among=8))
    told += finished(project, desk, "pull", proxy)
    assert {identity: one.plates for identity, one in project.corrections().items()} == said
    kept = {sample.id: project.annotated(sample).annotations for sample in project.samples}
    states = {identity: [(one.state, one.plates) for one in known] for identity, known in kept.items()}
    assert states == {identity: [("submitted", plates)] for identity, plates in said.items()}
    assert project.conflicts() == {}

    assert any(record.name.startswith("httpcore") for record in caplog.records)
    heard = [*told, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)]
    assert not [text for text in heard if token.split(".")[-1] in text]


def test_the_schedules_hold_every_fault_and_differ() -> None:
    pushes = [scheduled(seed, most=7, among=16) for seed in SEEDS]
    pulls = [scheduled(seed + len(SEEDS), most=5, among=8) for seed in SEEDS]
    for schedules in (pushes, pulls):
        counted = Counter(fault for schedule in schedules for fault in schedule.values())
        assert min(counted[fault] for fault in Fault) >= 5
    assert len({tuple(sorted((place, fault.name) for place, fault in s.items())) for s in pushes}) > 0.9 * len(SEEDS)
    assert scheduled(7, most=7, among=16) == pushes[7]


# ---- one fault alone


def through(project: Project, proxy: FaultProxy, token: str | None = None, patience: Patience = PATIENCE) -> Desk:
    return project.desk(project.studio(proxy.url, token, patience))


def place(project: Project, proxy: FaultProxy, ending: str, token: str | None = None) -> int:
    """The number of a first push's first POST to such a path, among its requests."""
    asked = len(proxy.requests)
    through(project, proxy, token).push()
    paths = [(one.method, one.path.split("?")[0].endswith(ending)) for one in proxy.requests[asked:]]
    return paths.index(("POST", True))


@pytest.mark.parametrize("ending", ["/api/token/refresh/", "/api/projects/", "/localfiles/", "/import"])
def test_one_fault_is_overcome_at_once(
    server: Server, proxy: FaultProxy, personal: str, tmp_path: Path, ending: str
) -> None:
    """Where something is made, as where nothing is: no run fails, and nothing is made twice."""
    where = place(Project.make(server, tmp_path, SAMPLES), proxy, ending, personal)
    for fault in (*QUICK, Fault.LATE_ANSWER):
        project = Project.make(server, tmp_path, SAMPLES)
        proxy.follow({where: fault})
        pushed = through(project, proxy, personal).push()
        assert (pushed.sent, pushed.doubles) == (SAMPLES, 0), fault
        tasks = project.on_server()
        assert [task["data"]["sample"] for task in tasks] == [sample.id for sample in project.samples], fault
        found = project.admin.ask("GET", "/api/projects", params={"title": project.title})["results"]
        assert len(found) == 1, fault


@pytest.mark.parametrize("work", ["push", "pull"])
@pytest.mark.parametrize("fault", [fault for fault in QUICK if fault is not Fault.NO_PREDICTIONS])
def test_a_fault_that_stays_ends_in_a_sentence(
    server: Server, proxy: FaultProxy, tmp_path: Path, work: str, fault: Fault
) -> None:
    project = Project.make(server, tmp_path)
    project.correct_by_hand((project.samples[0], plate(rows=1)))
    before = project.bytes()
    proxy.follow({}, always=fault)
    with pytest.raises(StudioError, match=rf"{proxy.url} (answers|gave no whole answer|is not Label Studio)"):
        getattr(through(project, proxy), work)()
    assert len(proxy.requests) == PATIENCE.attempts
    assert project.bytes() == before
    assert project.on_server() == []


def test_a_refused_token_is_not_tried_again(server: Server, proxy: FaultProxy, tmp_path: Path) -> None:
    project = Project.make(server, tmp_path)
    for where in range(3):
        asked = len(proxy.requests)
        proxy.follow({where: Fault.UNAUTHORIZED})
        with pytest.raises(StudioError, match="refuses the token; copy a valid one"):
            through(project, proxy).push()
        assert len(proxy.requests) - asked == where + 1
    assert through(project, proxy).push().sent == 1


@pytest.mark.parametrize(
    ("asked", "longest", "waited"),
    [
        pytest.param("0.5", 9.0, 0.5, id="as long as it says"),
        pytest.param("3600", 0.5, 0.5, id="but not for ever"),
        pytest.param("Wed, 25 Nov 2026 07:28:00 GMT", 9.0, 0.25, id="a date is no number"),
    ],
)
def test_a_busy_server_says_when_to_ask_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, longest: float, waited: float
) -> None:
    """At a question, where tenacity waits, and at an import, where push does."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with FaultProxy(server.url, LATE, retry_after=asked) as proxy:
        where = place(Project.make(server, tmp_path), proxy, "/import")
        proxy.follow({0: Fault.BUSY, where + 1: Fault.BUSY})
        patience = Patience(attempts=5, first=0.25, longest=longest)
        assert through(Project.make(server, tmp_path), proxy, patience=patience).push().sent == 1
    assert waits == [waited, waited]


def test_lost_predictions_are_sent_again(server: Server, proxy: FaultProxy, tmp_path: Path) -> None:
    project = Project.make(server, tmp_path, SAMPLES)
    proxy.follow({0: Fault.NO_PREDICTIONS})
    pushed = through(project, proxy).push()
    assert (pushed.sent, pushed.predictions) == (SAMPLES, 4)  # two of each task of the first import
    assert {tuple(versions(task)) for task in project.on_server()} == {("labels", "model")}


@pytest.mark.parametrize("worked_at", [None, 1])
def test_what_comes_late_and_double_is_deleted(server: Server, tmp_path: Path, worked_at: int | None) -> None:
    """An import that is done after the next was: of two tasks the one that somebody worked at stays, else the older."""
    with FaultProxy(server.url, late=3.0) as proxy:
        where = place(Project.make(server, tmp_path), proxy, "/import")
        project = Project.make(server, tmp_path)
        proxy.follow({where: Fault.LATE_REQUEST})
        assert through(project, proxy).push().sent == 1
        assert len(project.on_server()) == 1
        proxy.settle()
        copies = [task["id"] for task in project.on_server()]
        assert len(copies) == 2
        if worked_at is not None:
            Person(server.url, server.admin).annotate(copies[worked_at], plate(text="AB124"))
        assert through(project, proxy).push().doubles == 1
        assert [task["id"] for task in project.on_server()] == [copies[worked_at or 0]]
        assert len(through(project, proxy).pull().corrected) == (worked_at is not None)
