"""alpr promote, rollback and register with a registry that is made up: what is printed, where, and the exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.registration import promoting, review, unsent
from pipeline.registration.gate import Check, Decision
from pipeline.registration.promoting import PromotionError, Verdict
from pipeline.registration.sending import Registration
from pipeline.registration.trial import Trial
from pipeline.registration.unsent import Parcel
from pipeline.serving import labels
from pipeline.serving.cli import app
from pipeline.tracking.registry import Move
from pipeline.tracking.store import TrackingError, UnreachableError

ROOT = Path(__file__).parents[2]
AWAY = UnreachableError("MLflow at http://127.0.0.1:9 cannot be asked: connection refused")
CHECKS = (Check("end to end", False, "end to end -3.0 points"), Check("leaks", True, "no leaks between splits"))
STAYS = Verdict(Decision(False, "end to end -3.0 points", CHECKS), None, "3")
MOVES = Verdict(Decision(True, "no worse than version 3", CHECKS[1:]), None, "4")
HOLDS = Verdict(Decision(True, "the first"), None, "4", already=True)

Alpr = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the registry answers or raises, by what is asked of it; `calls` is what it was asked with."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    answers: dict[str, Any] = {"calls": []}

    def answer(name: str, *arguments: object) -> Any:
        answers["calls"].append((name, *arguments))
        if isinstance(answers[name], Exception):
            raise answers[name]
        return answers[name]

    def decide(version: str | None, trial: Trial) -> Any:
        assert str(trial.manifest) == "data/curated/manifest.jsonl"
        return answer("decide", version, trial.rules.model)

    monkeypatch.setattr(review, "decide_again", decide)
    monkeypatch.setattr(promoting, "forced", lambda version, why, rules: answer("force", version, why, rules.model))
    monkeypatch.setattr(promoting, "rolled_back", lambda why, rules: answer("back", why, rules.model))
    return answers


@pytest.fixture
def alpr(asked: dict[str, Any]) -> Alpr:
    def run(*arguments: str, **answers: Any) -> Result:
        asked.update(answers)
        return CliRunner().invoke(app, arguments)

    return run


@pytest.mark.parametrize(
    ("arguments", "answer", "code", "says"),
    [
        ([], ("4", MOVES), 0, "alpr: champion moves to version 4: no worse than version 3"),
        ([], ("4", STAYS), 1, "alpr: champion does not move to version 4: end to end -3.0 points"),
        (["4"], ("4", HOLDS), 0, "alpr: version 4 is the champion already"),
        (["4"], PromotionError("version 4 cannot be served"), 1, "alpr: version 4 cannot be served"),
        (["9"], TrackingError("alpr has no version 9"), 2, "alpr: alpr has no version 9"),
        ([], AWAY, 2, "cannot be asked: connection refused"),
    ],
)
def test_promote(alpr: Alpr, asked: dict[str, Any], arguments: list[str], answer: Any, code: int, says: str) -> None:
    result = alpr("promote", *arguments, decide=answer)
    assert result.exit_code == code
    assert says in (result.stdout if isinstance(answer, tuple) else result.stderr)
    assert asked["calls"] == [("decide", arguments[0] if arguments else None, "alpr")]


def test_promote_lists_each_check(alpr: Alpr) -> None:
    lines = alpr("promote", decide=("4", STAYS)).stdout.splitlines()
    assert lines[:2] == ["PROBLEM end to end: end to end -3.0 points", "ok      leaks: no leaks between splits"]


def test_another_model_by_name(alpr: Alpr, asked: dict[str, Any]) -> None:
    alpr("promote", "2", "--model", "yard", decide=("2", MOVES))
    alpr("rollback", "--model", "yard", "--why", "worse", back=Move("1", "2", "rolled back", "me", ""))
    assert asked["calls"] == [("decide", "2", "yard"), ("back", "worse", "yard")]


def test_force_hands_the_reason_on(alpr: Alpr, asked: dict[str, Any]) -> None:
    result = alpr("promote", "4", "--force", "--why", "the yard", force=Move("4", "3", "forced", "me", "the yard"))
    assert (result.exit_code, result.stdout) == (0, "alpr: champion moves to version 4, by force\n")
    assert asked["calls"] == [("force", "4", "the yard", "alpr")]


@pytest.mark.parametrize(
    "arguments", [["--force"], ["--force", "--why", " "], ["--why", "x"], ["@champion"], ["-1"], ["1", "2"]]
)
def test_wrong_usage_asks_nothing(alpr: Alpr, asked: dict[str, Any], arguments: list[str]) -> None:
    assert alpr("promote", *arguments).exit_code == 2
    assert asked["calls"] == []


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (Move("2", "3", "rolled back", "me", ""), 0, "alpr: champion goes back from version 3 to version 2"),
        (Move("2", None, "rolled back", "me", ""), 0, "goes back from version (deleted) to version 2"),
        (PromotionError("there is none to go back to"), 1, "alpr: there is none to go back to"),
        (AWAY, 2, "connection refused"),
    ],
)
def test_rollback(alpr: Alpr, answer: Any, code: int, says: str) -> None:
    result = alpr("rollback", back=answer)
    assert result.exit_code == code
    assert says in result.output


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_without_params_it_says_where_to_run(alpr: Alpr, command: str) -> None:
    Path("params.yaml").unlink()
    result = alpr(command)
    assert result.exit_code == 2
    assert "project's root" in result.stderr


# What waits


@pytest.fixture
def post(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs `alpr register` with parcels of these names, of which each is answered or fails as it says."""

    @contextmanager
    def at_once() -> Iterator[None]:
        yield

    def run(**parcels: Any) -> Result:
        def deliver(parcel: Parcel, loader: str) -> Registration:
            assert loader == "pipeline.serving.pyfunc"
            said = parcels[parcel.fingerprint]
            if isinstance(said, Exception):
                raise said
            row = {
                "sent": True,
                "model": "alpr",
                "version": said,
                "alias": "champion",
                "moved": False,
                "reason": "as is",
            }
            return Registration(row, f"page {said}")

        monkeypatch.setattr(promoting, "one_at_a_time", at_once)
        monkeypatch.setattr(unsent, "waiting", lambda: [Parcel(tmp_path / name, "") for name in parcels])
        monkeypatch.setattr(unsent, "deliver", deliver)
        return CliRunner().invoke(app, ["register"])

    return run


def test_register_sends_what_waits(post: Callable[..., Result]) -> None:
    result = post(a=4, b=5)
    assert result.exit_code == 0
    assert result.stdout == "alpr version 4: champion stays: as is\nalpr version 5: champion stays: as is\n"


def test_nothing_waits(post: Callable[..., Result]) -> None:
    result = post()
    assert (result.exit_code, result.stdout) == (0, "nothing waits to be sent\n")


def test_one_that_cannot_be_sent_stops_no_other(post: Callable[..., Result]) -> None:
    result = post(a=TrackingError("kept.json is damaged"), b=5)
    assert result.exit_code == 1
    assert "kept.json is damaged; it is kept" in result.stderr
    assert "version 5" in result.stdout


def test_a_registry_that_is_away_ends_it(post: Callable[..., Result]) -> None:
    result = post(a=4, b=AWAY, c=5)
    assert result.exit_code == 2
    assert "version 5" not in result.stdout


def test_outputs_of_this_folder_say_what_became_of_it(
    post: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(labels, "dvc", lambda *arguments: told.append(arguments))
    Path("metrics").mkdir()
    Path("dvc.lock").write_text("")
    Path("metrics/registration.json").write_text(json.dumps({"sent": False, "fingerprint": "b"}))
    post(a=4, b=5, c=6)
    assert json.loads(Path("metrics/registration.json").read_text())["version"] == 5
    assert Path("review/index.html").read_text() == "page 5"
    assert told == [("commit", "--force", "register")]
