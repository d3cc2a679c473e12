"""Runs and model versions in MLflow: what is logged, and when the alias moves. MLflow is imported where it is used."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
TEST_SET = "data.test_set"  # dotted path, in the evaluation's metrics, of the hash of the test samples and their truth
_BATCH = 500  # metrics in one request
_BOUND = re.compile(r"(slices\..+)\.interval\.(\w+)\.high")


class TrackingError(ValueError):
    """A tracking server or a file to be logged that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A model version as the gate sees it: its figures by dotted name, and the test set they were measured on."""

    version: str
    figures: Mapping[str, float]
    test_set: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the alias moves to the challenger, and why."""

    moves: bool
    reason: str


def connect() -> MlflowClient:
    """A client of MLFLOW_TRACKING_URI, or of the project's own mlflow.db."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri())
    return mlflow.MlflowClient()


def uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_store()


def own_store() -> str:
    """The database in the current folder."""
    return f"sqlite:///{STORE.absolute()}"


def without_password(text: str) -> str:
    """A text with the user and password taken out of every URL in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of this name, made where it is missing; in our own store its files go to mlartifacts/."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = ARTIFACTS.absolute().as_uri() if uri() == own_store() else None
    return client.create_experiment(name, artifact_location=location)


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names: {"a": {"b": 1}} -> ("a.b", 1). Lists stay as they are."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))


def figures(document: Any) -> dict[str, float]:
    """The finite numbers of a metrics document by dotted name, in MLflow's characters."""
    return {
        re.sub(r"[^\w\-. :/]", "_", name): float(value)
        for name, value in flatten(document)
        if isinstance(value, int | float) and math.isfinite(value)
    }


def read_metrics(folder: Path) -> dict[str, Any]:
    """Each metrics/<stage>.json under its stage's name; the registration's own left out."""
    try:
        paths = sorted(path for path in folder.glob("*.json") if path.stem != "registration")
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    except ValueError as error:
        raise TrackingError(f"{folder} holds a damaged metrics file: {error}") from None


def read_curves(history: Path) -> list[dict[str, float]]:
    """The epochs of a history.csv, its numbers by column; empty where training logged nothing."""
    with history.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def data_hashes(lock: Path, sources: Iterable[str]) -> dict[str, str]:
    """The MD5 of every stage's outputs below data/, by path, as dvc.lock has them; empty without a dvc.lock.

    dvc.lock also remembers pulls of sources that are no longer listed: those are left out.
    """
    if not lock.exists():
        return {}
    pulls = {f"pull@{source}" for source in sources}
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        outs = [
            out
            for name, stage in stages.items()
            if name in pulls or not name.startswith("pull@")
            for out in stage.get("outs", [])
        ]
        return {str(out["path"]): str(out["md5"]) for out in outs if str(out["path"]).startswith("data/")}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise TrackingError(f"{lock} is damaged; `alpr doctor` says how to restore it") from None


def log_figures(client: MlflowClient, run_id: str, values: Mapping[str, float], step: int = 0) -> None:
    """Logs numbers, many in one request."""
    from mlflow.entities import Metric

    stamp = int(1000 * time.time())
    entries = [Metric(name, value, stamp, step) for name, value in values.items()]
    for start in range(0, len(entries), _BATCH):
        client.log_batch(run_id, metrics=entries[start : start + _BATCH])


def decide(challenger: Standing, champion: Standing | None, metric: str, tolerance: float) -> Decision:
    """Whether the challenger is no worse than the champion, as a whole and in every slice, on the same test set.

    In a slice, which is small, it is worse where even the upper end of its interval is below the champion's figure.
    """
    own = challenger.figures.get(metric)
    if own is None:
        return Decision(False, f"{metric} could not be measured on this test set")
    if champion is None:
        return Decision(True, f"the first with {metric} {own:.4f}")
    if champion.test_set != challenger.test_set:
        return Decision(
            False,
            f"version {champion.version} holds it and was measured on another test set, so the two cannot be compared; "
            "set the alias in MLflow's page, or another register.alias, if this one is to take over",
        )
    theirs = champion.figures.get(metric)
    if theirs is None:
        return Decision(False, f"version {champion.version} holds it and has no {metric} to compare with")
    if own < theirs - tolerance:
        return Decision(False, f"{metric} {own:.4f} is below the {theirs:.4f} of version {champion.version}")
    if worse := worse_slices(challenger.figures, champion.figures)[:5]:
        return Decision(False, f"worse than version {champion.version} in {'; '.join(worse)}")
    return Decision(True, f"{metric} {own:.4f} is no worse than the {theirs:.4f} of version {champion.version}")


def worse_slices(challenger: Mapping[str, float], champion: Mapping[str, float]) -> list[str]:
    """The slices' figures that the challenger's interval says are below the champion's."""
    bounds = ((_BOUND.fullmatch(name), high) for name, high in challenger.items())
    named = ((f"{found[1]}.{found[2]}", high) for found, high in bounds if found)
    return [
        f"{name} (at most {high:.3f}, was {champion[name]:.3f})"
        for name, high in named
        if name in champion and high < champion[name]
    ]


def earlier_run(client: MlflowClient, experiment: str, fingerprint: str) -> str | None:
    """The finished run of the same models and figures; runs of them that were killed half-way are deleted."""
    kept = None
    for run in client.search_runs([experiment], f"tags.fingerprint = '{fingerprint}'"):
        if run.info.status == "FINISHED":
            kept = str(run.info.run_id)
            continue
        for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            client.delete_model_version(version.name, version.version)
        client.delete_run(run.info.run_id)
    return kept


def standing(client: MlflowClient, model: str, alias: str) -> Standing | None:
    """The version that holds the alias, with the figures of its run; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(model, alias)
        run = client.get_run(str(version.run_id))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return Standing(str(version.version), dict(run.data.metrics), run.data.tags.get("test_set", ""))


def fetch(model: str, version: str, folder: Path) -> tuple[str, Path]:
    """Downloads a version of the registry, by number or by "@alias", into a folder: its number, and where it lies.

    An alias is settled once, here. TrackingError, with a sentence, where the registry has it not or does not answer.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = client.get_model_version_by_alias(model, version[1:]) if version.startswith("@") else None
        number = str(found.version if found is not None else client.get_model_version(model, version).version)
        return number, Path(download_artifacts(artifact_uri=f"models:/{model}/{number}", dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not give it: {_shortly(error)}") from None


def versions() -> list[tuple[str, str, str | None]]:
    """(model, version, alias or None) of all that is registered, the newest first; TrackingError as above."""
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = []
        for model in client.search_registered_models():
            aliases = {str(number): alias for alias, number in model.aliases.items()}
            numbers = sorted(
                (int(v.version) for v in client.search_model_versions(f"name = '{model.name}'")), reverse=True
            )
            found += [(str(model.name), str(number), aliases.get(str(number))) for number in numbers]
        return found
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not answer: {_shortly(error)}") from None


def _shortly(error: Exception) -> str:
    lines = without_password(str(error)).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
