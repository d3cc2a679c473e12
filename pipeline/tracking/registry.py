"""Versions of the registered model: what there is, how one comes here, which of them holds the alias and which did."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.tracking.store import TrackingError, connect, shortly, uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHALLENGER = "challenger"  # the alias of the newest version
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model or version; no such alias
How = Literal["promoted", "forced", "rolled back"]


def fetch(model: str, version: str, folder: Path) -> tuple[str, Path]:
    """Downloads a version, by number or by "@alias", into a folder: its number, and the folder of its bundle.

    An alias is settled once, here. TrackingError, with a sentence, where the registry has it not or does not answer.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = client.get_model_version_by_alias(model, version[1:]) if version.startswith("@") else None
        number = str(found.version if found is not None else client.get_model_version(model, version).version)
        local = Path(download_artifacts(artifact_uri=f"models:/{model}/{number}", dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not give it: {shortly(error)}") from None
    bundles = sorted(path.parent for path in local.rglob("bundle.json"))
    if len(bundles) != 1:
        raise TrackingError(
            f"models:/{model}/{number} holds {len(bundles)} bundles instead of one; were files deleted?"
        )
    return number, bundles[0]


def versions() -> list[tuple[str, str, str | None]]:
    """(model, version, alias or None) of all that is registered, the newest first; TrackingError as above.

    Of a version's aliases the one that an operator gave is named, before the challenger's.
    """
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = []
        for model in client.search_registered_models():
            known = sorted(model.aliases.items(), key=lambda alias: alias[0] != CHALLENGER)
            aliases = {str(number): alias for alias, number in known}
            numbers = sorted(
                (int(v.version) for v in client.search_model_versions(f"name = '{model.name}'")), reverse=True
            )
            found += [(str(model.name), str(number), aliases.get(str(number))) for number in numbers]
        return found
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not answer: {shortly(error)}") from None


def holder(client: MlflowClient, model: str, alias: str) -> str | None:
    """The version that holds the alias; None where none does: no such model, no such alias, or its version is gone."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(model, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def exists(client: MlflowClient, model: str, version: str) -> bool:
    """Whether the registry has this version."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(model, version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return False
        raise
    return True


def run_of(client: MlflowClient, model: str, version: str) -> Run | None:
    """The run that made the version; None where it has none, or it was deleted and so takes nothing any more."""
    from mlflow.exceptions import MlflowException

    run_id = client.get_model_version(model, version).run_id
    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


# Which version held the alias before


@dataclass(frozen=True, slots=True)
class Move:
    """One time that the alias was given to a version, `before` being its holder until then."""

    version: str
    before: str | None
    how: How
    by: str
    why: str


def move(client: MlflowClient, model: str, alias: str, version: str, how: How, why: str) -> Move:
    """Gives the alias to the version, and remembers that it did, from whom, when and why.

    The alias first: a move that is not remembered shows in the next one's `before`; one that is remembered and did
    not happen would lead back to a version that never held it. MLflow refuses a version that does not exist.
    """
    made = Move(version, holder(client, model, alias), how, user(), why)
    client.set_registered_model_alias(model, alias, version)
    client.set_registered_model_tag(model, f"{alias} {now()}", json.dumps(asdict(made)))
    return made


def moves(client: MlflowClient, model: str, alias: str) -> list[Move]:
    """The moves of the alias, the oldest first; each is a tag of its own, so that two at once lose neither."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(model).tags
    except MlflowException as error:
        if error.error_code in ABSENT:
            return []
        raise
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(f"{alias} ")]


def line_of(moves: Sequence[Move], now_holding: str | None) -> list[str]:
    """The versions that a rollback goes back through, the last being the holder, or the one that held it last.

    A promotion adds to the line, a rollback takes its end away. Moves made by hand, in MLflow's page, are not
    remembered, but the next move or the holder itself shows them.
    """
    line: list[str] = []

    def seen(version: str | None) -> None:
        if version is None or line[-1:] == [version]:
            return
        if line[-2:-1] == [version]:  # by hand back to the one before
            line.pop()
        else:
            line.append(version)

    for one in moves:
        seen(one.before)
        if one.how == "rolled back":
            while line and line[-1] != one.version:
                line.pop()
        if line[-1:] != [one.version]:
            line.append(one.version)
    seen(now_holding)
    return line


def user() -> str:
    """Whoever runs this, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def now() -> str:
    """20261126T093000.123456Z: sorts as time goes."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
