"""alpr labels with a desk that is made up: what is printed, where, and the exit codes; DVC is not run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.labeling.conflicts import Conflict
from pipeline.labeling.history import Agreement
from pipeline.labeling.pull import Labels, Pulled
from pipeline.labeling.push import Pushed
from pipeline.labeling.studio import StudioError
from pipeline.labeling.sync import Folders, Status
from pipeline.manifest import ManifestError
from pipeline.params import ParamsError
from pipeline.serving.cli import app

CONFLICT = Conflict("0" * 64, "a.png", "annotators", 1, ("they differ",), "2026-11-26T09:00:01.000000Z")


def pulled(corrected: int = 0, conflicts: int = 0, refused: tuple[str, ...] = (), **other: Any) -> Pulled:
    told = {str(number): CONFLICT for number in range(conflicts)}
    return Pulled(Labels({}, {}, told), [str(one) for one in range(corrected)], refused=list(refused), **other)


class FakeDesk:
    """Answers each call with what is in `answers`, or raises it; `calls` remembers what was asked."""

    answers: dict[str, Any]
    calls: list[tuple[str, Any]]

    def __init__(self, folders: Folders, settings: object) -> None:
        assert folders == Folders()
        assert settings == "settings"
        if isinstance(self.answers.get("desk"), Exception):
            raise self.answers["desk"]

    def _answer(self, name: str, limit: int | None = None) -> Any:
        self.calls.append((name, limit))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def push(self, limit: int | None = None) -> Any:
        return self._answer("push", limit)

    def pull(self) -> Any:
        return self._answer("pull")

    def begun(self) -> bool:
        return self.answers.get("pull") is not None

    def status(self) -> Any:
        return self._answer("status")


Alpr = Callable[..., Result]


@pytest.fixture
def alpr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Alpr:
    """Runs `alpr labels` in an empty folder; answers of the desk are given by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.labeling.sync.Desk", FakeDesk)
    monkeypatch.setattr("pipeline.params.load", lambda: "settings")
    FakeDesk.calls = []

    def run(*arguments: str, **answers: Any) -> Result:
        FakeDesk.answers = answers
        return CliRunner().invoke(app, ["labels", *arguments])

    return run


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What DVC answers, by its command, in a folder that was reproduced once; `lines` are those that were run."""
    (tmp_path / "dvc.lock").touch()
    told: dict[str, Any] = {"lines": [], "commit": (0, "", ""), "status": (0, "{}", "")}

    def run(line: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        told["lines"].append(line)
        assert options == {"capture_output": True, "text": True}
        return subprocess.CompletedProcess(line, *told[line[3]])

    monkeypatch.setattr(subprocess, "run", run)
    return told


# push


PUSHES: dict[str, tuple[Pushed, list[str], list[str], int]] = {
    "all sent": (Pushed(sent=3), ["3 sent, 0 were there already"], [], 0),
    "nothing to do": (Pushed(present=3), ["0 sent, 3 were there already"], [], 0),
    "all that there may be": (
        Pushed(1, 2, reopened=3, doubles=4, predictions=5),
        [
            "1 sent, 2 were there already",
            "3 tasks reopened, since people disagree",
            "4 double tasks that nobody had touched deleted",
            "5 pre-annotations that had got lost sent again",
        ],
        [],
        0,
    ),
    "some refused": (
        Pushed(sent=1, refused=["a.png: no", "b.png: neither"]),
        ["1 sent, 0 were there already"],
        ["alpr: a.png: no", "alpr: b.png: neither"],
        1,
    ),
}


@pytest.mark.parametrize(("pushed", "out", "err", "code"), PUSHES.values(), ids=PUSHES.keys())
def test_push(alpr: Alpr, pushed: Pushed, out: list[str], err: list[str], code: int) -> None:
    result = alpr("push", push=pushed)
    assert result.exit_code == code
    assert result.stdout.splitlines() == out
    assert result.stderr.splitlines() == err
    assert FakeDesk.calls == [("push", None)]


@pytest.mark.parametrize("command", ["push", "sync"])
def test_only_so_many(alpr: Alpr, command: str) -> None:
    assert alpr(command, "--limit", "7", push=Pushed(), pull=None).exit_code == 0
    assert FakeDesk.calls == [("push", 7)]


# pull


PULLS: dict[str, tuple[Pulled, list[str], list[str], int]] = {
    "nothing": (pulled(), ["0 pictures corrected; annotations: none yet"], [], 0),
    "some": (
        pulled(2, states=Counter(submitted=3, draft=1)),
        ["2 pictures corrected; annotations: 1 draft, 3 submitted"],
        [],
        0,
    ),
    "all that there may be": (
        pulled(1, 2, ("task 1: no",), states=Counter(refused=1), tombstones=3),
        [
            "1 pictures corrected; annotations: 1 refused",
            "2 pictures in conflict: push sends them back to the annotators",
            "3 annotations are gone from the server; what they said stays in annotations.jsonl",
        ],
        ["alpr: task 1: no"],
        1,
    ),
}


@pytest.mark.parametrize(("answer", "out", "err", "code"), PULLS.values(), ids=PULLS.keys())
def test_pull(alpr: Alpr, answer: Pulled, out: list[str], err: list[str], code: int) -> None:
    result = alpr("pull", pull=answer)
    assert result.exit_code == code
    assert result.stdout.splitlines() == out
    assert result.stderr.splitlines() == err


# status


def test_status(alpr: Alpr) -> None:
    agreement = Agreement(2, 3, 0.91234, None, 0.5)
    found = Status(10, 8, 5, 1, Counter(submitted=6, skipped=2), agreement, 4, 3)
    result = alpr("status", status=found)
    assert result.exit_code == 0
    rows = [line.strip().split("  ") for line in result.stdout.splitlines() if line.strip()]
    assert {parts[0]: parts[-1].strip() for parts in rows} == {
        "queued": "10",
        "with a task": "8",
        "done": "5",
        "annotations skipped": "2",
        "annotations submitted": "6",
        "in conflict": "1",
        "pictures that two or more annotated": "2",
        "agreement: mean IoU": "0.912",
        "agreement: equal texts": "nothing to compare",
        "agreement: kappa on legibility": "0.500",
        "a pull would correct": "4",
        "a pull would find in conflict": "3",
    }


# sync


def test_sync_pulls_pushes_and_tells_dvc(alpr: Alpr, dvc: dict[str, Any]) -> None:
    dvc["status"] = (0, json.dumps({"sync_labels": [{}], "curate": [{}], "queue": [{}]}), "")
    result = alpr("sync", pull=pulled(2, states=Counter(submitted=2)), push=Pushed(sent=1))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 pictures corrected; annotations: 2 submitted",
        "`dvc repro` will run curate, queue, and what depends on what they change",
        "1 sent, 0 were there already",
    ]
    assert dvc["lines"] == [
        [sys.executable, "-m", "dvc", "commit", "--force", "sync_labels"],
        [sys.executable, "-m", "dvc", "status", "--json"],
    ]


@pytest.mark.parametrize("answer", ["", "{}", '{"sync_labels": []}'], ids=["none", "empty", "only the stage itself"])
def test_sync_without_a_change(alpr: Alpr, dvc: dict[str, Any], answer: str) -> None:
    dvc["status"] = (0, answer, "")
    result = alpr("sync", pull=pulled(), push=Pushed())
    assert result.exit_code == 0
    assert "`dvc repro` will run nothing: no label changed" in result.stdout


def test_the_first_sync_has_nothing_to_pull(alpr: Alpr, dvc: dict[str, Any]) -> None:
    result = alpr("sync", pull=None, push=Pushed(sent=3))
    assert result.exit_code == 0
    assert "corrected" not in result.stdout
    assert "3 sent" in result.stdout


def test_sync_before_any_repro_tells_dvc_nothing(alpr: Alpr, dvc: dict[str, Any]) -> None:
    Path("dvc.lock").unlink()
    result = alpr("sync", pull=pulled(1), push=Pushed())
    assert result.exit_code == 0
    assert "`dvc repro` was not run here yet: it takes the labels as they are now" in result.stdout
    assert dvc["lines"] == []


@pytest.mark.parametrize(("failing", "runs"), [("commit", 1), ("status", 2)])
def test_a_failure_of_dvc_is_told_in_its_own_words(alpr: Alpr, dvc: dict[str, Any], failing: str, runs: int) -> None:
    dvc[failing] = (255, "", "ERROR: another DVC is at work\n")
    result = alpr("sync", pull=pulled(1), push=Pushed(sent=1))
    assert result.exit_code == 2
    assert result.stderr == f"alpr: dvc {failing}: ERROR: another DVC is at work\n"
    assert "1 pictures corrected" in result.stdout
    assert len(dvc["lines"]) == runs


def test_a_picture_that_could_not_be_sent_is_named_by_sync(alpr: Alpr, dvc: dict[str, Any]) -> None:
    result = alpr("sync", pull=pulled(), push=Pushed(refused=["b.png: no"]))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["alpr: b.png: no"]
    assert len(dvc["lines"]) == 2, "the labels are recorded all the same"


def test_an_annotation_that_could_not_be_taken_is_named_by_sync(alpr: Alpr, dvc: dict[str, Any]) -> None:
    result = alpr("sync", pull=pulled(1, 0, ("task 1: no",)), push=Pushed(refused=["b.png: no"]))
    assert sorted(result.stderr.splitlines()) == ["alpr: b.png: no", "alpr: task 1: no"]
    assert len(dvc["lines"]) == 2
    assert result.exit_code == 1


def test_sync_ends_with_1_where_only_an_annotation_could_not_be_taken(alpr: Alpr, dvc: dict[str, Any]) -> None:
    result = alpr("sync", pull=pulled(1, 0, ("task 1: no",)), push=Pushed(sent=1))
    assert result.stderr.splitlines() == ["alpr: task 1: no"]
    assert "1 sent" in result.stdout
    assert result.exit_code == 1


# Errors and usage


ERRORS = {
    "the server": StudioError("no Label Studio answers at http://127.0.0.1:8080; start one with `make label-studio`"),
    "a file": ManifestError("data/labels/queue.jsonl: No such file or directory; run the stage that writes it"),
    "the disk": OSError(28, "No space left on device"),
}


@pytest.mark.parametrize("command", ["push", "pull", "status", "sync"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_a_sentence_and_exit_code_2(alpr: Alpr, command: str, error: Exception) -> None:
    result = alpr(command, **{"pull" if command == "sync" else command: error})
    assert result.exit_code == 2
    assert result.stderr == f"alpr: {error}\n"
    assert result.stdout == ""


def test_no_token_is_a_sentence_too(alpr: Alpr) -> None:
    result = alpr("push", desk=StudioError("no token for Label Studio"))
    assert (result.exit_code, result.stderr) == (2, "alpr: no token for Label Studio\n")


def test_params_that_cannot_be_read_are_a_sentence(alpr: Alpr, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise ParamsError("params.yaml is not here; run from the project's root")

    monkeypatch.setattr("pipeline.params.load", load)
    result = alpr("status")
    assert (result.exit_code, result.stderr) == (2, "alpr: params.yaml is not here; run from the project's root\n")


@pytest.mark.parametrize(
    "arguments",
    [["push", "--limit", "0"], ["sync", "--limit", "-1"], ["push", "--limit", "many"], ["pull", "x"], ["go"]],
)
def test_usage(alpr: Alpr, arguments: list[str]) -> None:
    result = alpr(*arguments)
    assert result.exit_code == 2
    assert FakeDesk.calls == []


def test_without_a_command_the_commands_are_shown(alpr: Alpr) -> None:
    result = alpr()
    assert all(name in result.output for name in ("push", "pull", "status", "sync"))
