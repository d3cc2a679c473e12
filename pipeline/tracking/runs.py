"""What a run says: figures, curves and hashes of the data, read from the stages' files and logged to MLflow."""

from __future__ import annotations

import csv
import json
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline import costs
from pipeline.tracking.store import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_BATCH = 500  # metrics in one request


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
    """The epochs of a history.csv, its numbers by column, with what each cost where this machine trained them."""
    path = costs.of_history(history)
    spent = {row["epoch"]: row for row in _read_table(path)} if path.exists() else {}
    return [row | spent.get(row["epoch"], {}) for row in _read_table(history)]


def _read_table(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def read_precision_recall(plot: Path) -> list[tuple[float, float]]:
    """(recall, precision) of a precision_recall.csv; empty where nothing was detected or there is no such file."""
    if not plot.exists():
        return []
    with plot.open(newline="", encoding="utf-8") as file:
        return [(float(row["recall"]), float(row["precision"])) for row in csv.DictReader(file)]


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


def log_figures(
    client: MlflowClient,
    run_id: str,
    values: Mapping[str, float],
    step: int = 0,
    *,
    at: float | None = None,
    of: Mapping[str, str] | None = None,
) -> None:
    """Logs numbers, many in one request; `at` is when they were measured (seconds since 1970).

    `of` names the model and the data that they were measured on: model_id, dataset_name, dataset_digest.
    """
    _send(client, run_id, _metrics(values, step, at, of))


def log_curves(client: MlflowClient, run_id: str, points: Iterable[tuple[int, float, Mapping[str, float]]]) -> None:
    """Logs (step, moment, numbers by name) of many steps, all of them in few requests."""
    _send(client, run_id, [one for step, at, values in points for one in _metrics(values, step, at)])


def _metrics(
    values: Mapping[str, float], step: int, at: float | None, of: Mapping[str, str] | None = None
) -> list[Metric]:
    from mlflow.entities import Metric

    stamp = int(1000 * (time.time() if at is None else at))
    return [Metric(name, value, stamp, step, **(of or {})) for name, value in values.items()]


def _send(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def earlier_run(client: MlflowClient, experiment: str, fingerprint: str) -> tuple[str | None, bool]:
    """The run of the same models and figures, and whether it is finished; if not, it has registered its version.

    Those that were killed before that are deleted. A version is not: by then it may hold the alias.
    """
    going = None
    for run in client.search_runs([experiment], f"tags.fingerprint = '{fingerprint}'"):
        run_id = str(run.info.run_id)
        if not client.search_model_versions(f"run_id = '{run_id}'"):
            delete(client, experiment, run_id)
        elif run.info.status == "FINISHED":
            return run_id, True
        else:
            going = run_id
    return going, False


def delete(client: MlflowClient, experiment: str, run_id: str) -> None:
    """Deletes a run with the models that it logged and the runs inside it.

    The run itself last: while it is there, it can be found, and this is done again.
    """
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)
    for child in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'"):
        client.delete_run(child.info.run_id)
    client.delete_run(run_id)
