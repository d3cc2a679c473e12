"""Which version holds the alias: moved where the gate lets it, or by force, or back; what was decided stays with it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pipeline import params
from pipeline.bundle import verified
from pipeline.registration.gate import Champion, Check, Decision, decide
from pipeline.registration.trial import Contender, Trial, confront
from pipeline.tracking import registry, store
from pipeline.tracking.store import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = dict[str, Any]
LOCK = Path(".alpr", "registry.lock")
PATIENCE = 900.0  # seconds that one registration waits for another
TRIES = 3  # comparisons, where each time another champion stands there at the end of it
_LONGEST = 5000  # characters of a tag


class PromotionError(ValueError):
    """A version that cannot be given the alias; the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of a version, against which champion, and who holds the alias now."""

    decision: Decision
    champion: Champion | None
    holder: str | None
    already: bool = False  # it held the alias before it was asked for


@contextmanager
def one_at_a_time(patience: float = PATIENCE) -> Iterator[None]:
    """Lets one registration or promotion of this project work; others wait for it."""
    path = store.project() / LOCK
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another registration of this project is at work: waiting for it", file=sys.stderr)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise TrackingError(
                f"another registration of this project has been at work for {patience:g} s; try again once it has ended"
            ) from None
    try:
        yield
    finally:
        lock.release()


def settle(client: MlflowClient, version: str, folder: Path, figures: Mapping[str, float], trial: Trial) -> Verdict:
    """Gives the alias to the version if the gate lets it, and tags the version and its run with the decision.

    Another machine may register meanwhile: the alias moves only if the champion is still the one compared against.
    """
    model, alias = trial.rules.model, trial.rules.alias
    challenger = Contender(folder, trial)
    for _ in range(TRIES):
        held = registry.holder(client, model, alias)
        if held == version:
            said = client.get_model_version(model, version).tags.get("decision.reason", "")
            return Verdict(Decision(True, said or f"version {version} holds it already"), None, held, already=True)
        champion = None if held is None else confront(challenger, held, trial)
        note = "" if held else gone(client, model, alias)
        decision = decide(figures, champion, trial.rules, trial.limits, note)
        tag(client, model, version, decision, held)
        if not decision.moves:
            return Verdict(decision, champion, held)
        if registry.holder(client, model, alias) == held:
            registry.move(client, model, alias, version, "promoted", decision.reason)
            return Verdict(decision, champion, version)
    reason = f"the champion changed {TRIES} times while it was compared with; `alpr promote {version}` tries again"
    decision = Decision(False, reason, (Check("champion", False, reason),))
    tag(client, model, version, decision, held)
    return Verdict(decision, None, registry.holder(client, model, alias))


def gone(client: MlflowClient, model: str, alias: str) -> str:
    """What became of the version that held the alias last, where none holds it now; "" where none ever did."""
    line = registry.line_of(registry.moves(client, model, alias), None)
    if not line:
        return ""
    if registry.exists(client, model, line[-1]):
        return f"version {line[-1]} held {alias} until the alias was taken away"
    return f"version {line[-1]}, which held {alias}, was deleted"


def tag(client: MlflowClient, model: str, version: str, decision: Decision, champion: str | None) -> None:
    """Writes the decision on the version and on its run."""
    tags = {
        "decision": "promoted" if decision.moves else "not promoted",
        "decision.reason": decision.reason[:_LONGEST],
        "decision.against": f"version {champion}" if champion else "none",
    }
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, value)
    run = registry.run_of(client, model, version)
    if run is not None:
        for key, value in tags.items():
            client.set_tag(run.info.run_id, key, value)


def chosen(client: MlflowClient, version: str | None, model: str) -> str:
    """The version, or else the newest; TrackingError where the registry has it not."""
    found = registry.holder(client, model, registry.CHALLENGER) if version is None else version
    if found is None:
        raise TrackingError(f"no version of {model} has the alias {registry.CHALLENGER}; `alpr models` lists them")
    if not registry.exists(client, model, found):
        raise TrackingError(f"{model} has no version {found}; `alpr models` lists those that it has")
    return found


def forced(version: str | None, why: str, rules: params.Register) -> registry.Move:
    """Gives the alias to a version, by default the newest, whatever the gate says."""
    with one_at_a_time(), store.asking() as client:
        return force(client, chosen(client, version, rules.model), why, rules)


def rolled_back(why: str, rules: params.Register) -> registry.Move:
    """Gives the alias back to the version that held it before."""
    with one_at_a_time(), store.asking() as client:
        return roll_back(client, rules, why)


def force(client: MlflowClient, version: str, why: str, rules: params.Register) -> registry.Move:
    """Gives the alias to the version; who did it, why and when stays with it. PromotionError where it lacks files."""
    if not why.strip():
        raise PromotionError("say why: it is kept with the version")
    check_whole(rules.model, version)
    made = registry.move(client, rules.model, rules.alias, version, "forced", why)
    tags = {
        "decision": "promoted by force",
        "decision.reason": why[:_LONGEST],
        "forced.by": made.by,
        "forced.why": why[:_LONGEST],
        "forced.at": registry.now(),
    }
    for key, value in tags.items():
        client.set_model_version_tag(rules.model, version, key, value)
    return made


def roll_back(client: MlflowClient, rules: params.Register, why: str) -> registry.Move:
    """Gives the alias back to the version that held it before; PromotionError where there is none, or it is gone."""
    model, alias = rules.model, rules.alias
    held = registry.holder(client, model, alias)
    line = registry.line_of(registry.moves(client, model, alias), held)
    if len(line) < 2:
        only = f"version {line[0]} is the first to hold {alias}" if line else f"no version of {model} has held {alias}"
        raise PromotionError(f"{only}: there is none to go back to")
    before = line[-2]
    if not registry.exists(client, model, before):
        raise PromotionError(
            f"version {before}, which held {alias} before, was deleted; `alpr promote VERSION --force --why ...` "
            "takes another one"
        )
    check_whole(model, before)
    made = registry.move(client, model, alias, before, "rolled back", why)
    if held is not None:
        told = f"{registry.now()} by {made.by}, to version {before}{f': {why}' if why else ''}"
        client.set_model_version_tag(model, held, "rolled back", told[:_LONGEST])
    return made


def check_whole(model: str, version: str) -> None:
    """PromotionError where the registry has not all the version's files as they were registered."""
    with tempfile.TemporaryDirectory(prefix="alpr-version-") as folder:
        try:
            verified(registry.fetch(model, version, Path(folder))[1])
        except (ValueError, OSError) as error:
            raise PromotionError(f"version {version} cannot be served, so nothing was moved: {error}") from None
