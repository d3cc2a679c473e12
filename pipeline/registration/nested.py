"""The runs inside a registration's run: one for the data, one for each network that was trained, and the evaluation's.

Stages do not talk to MLflow, so these are written when they are registered, with the times that the stages noted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.registration.datasets import Data, as_input
from pipeline.tracking import runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NETWORKS = ("detector", "student", "refiner", "reader")
EVALUATION, DATA = "evaluation", "data"
SEEN_BY = {
    "training": (*NETWORKS, DATA),
    "validation": (*NETWORKS, DATA),
    "test": (EVALUATION, DATA),
    "labels": (DATA,),
}
# What an epoch cost, under names that MLflow's UI draws among its system metrics.
SYSTEM = {"memory_mb": "system/process_peak_memory_megabytes", "cpu_percent": "system/cpu_utilization_percentage"}
INHERITED = ("mlflow.user", "mlflow.source.", "git.", "sources")  # tags, or beginnings of tags, of the parent


def log_network(
    client: MlflowClient,
    parent: Run,
    network: str,
    settings: params.Params,
    epochs: Sequence[Mapping[str, float]],
    data: Iterable[Data],
) -> None:
    """A network's training: its params, a curve of everything that history.csv says, and what was best.

    The epochs lie one behind the other up to now, so that MLflow can draw them by time as well as by step.
    """
    section = getattr(settings, f"train_{network}")
    end = time.time()
    ends = [end - sum(epoch.get("seconds", 0.0) for epoch in epochs[number + 1 :]) for number in range(len(epochs))]
    start = end - sum(epoch.get("seconds", 0.0) for epoch in epochs)
    child = _start(client, parent, network, f"train_{network}", start)
    _log_params(client, child, {**section.model_dump(), "seed": settings.seed})
    curves = [{SYSTEM.get(name, name): value for name, value in row.items() if name != "epoch"} for row in epochs]
    steps = [int(epoch["epoch"]) for epoch in epochs]
    runs.log_curves(client, child, zip(steps, ends, curves, strict=True))
    runs.log_figures(client, child, best(epochs))
    _finish(client, child, network, data, end)


def best(epochs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How long it was trained, and which epoch's weights were kept."""
    found = {"epochs": float(len(epochs))}
    if validated := [epoch for epoch in epochs if "val_loss" in epoch]:
        kept = min(validated, key=lambda epoch: epoch["val_loss"])
        found |= {"best.epoch": kept["epoch"], "best.val_loss": kept["val_loss"]}
    if epochs and all("seconds" in epoch for epoch in epochs):
        found["seconds.total"] = sum(epoch["seconds"] for epoch in epochs)
    return found


def log_data(
    client: MlflowClient,
    parent: Run,
    settings: params.Params,
    documents: Mapping[str, Mapping[str, Any]],
    data: Iterable[Data],
) -> None:
    """What was pulled, validated and curated: the params of that, all that was counted, and the data themselves."""
    now = time.time()
    child = _start(client, parent, DATA, "curate", now)
    sections = {"sources": settings.sources, "seed": settings.seed}
    sections |= {"validate": settings.validate_.model_dump(), "curate": settings.curate.model_dump()}
    sections |= {source: getattr(settings, source).model_dump() for source in settings.sources}
    _log_params(client, child, sections)
    counted = {stage: documents[stage] for stage in ("validation", "curation") if stage in documents}
    runs.log_figures(client, child, runs.figures(counted))
    _finish(client, child, DATA, data, now)


def log_evaluation(
    client: MlflowClient,
    parent: Run,
    settings: params.Params,
    document: Mapping[str, Any],
    precision_recall: Sequence[tuple[float, float]],
    data: Iterable[Data],
) -> None:
    """The evaluation: its params, all its figures, and precision as a curve over recall, whose steps are percents."""
    now = time.time()
    child = _start(client, parent, EVALUATION, "evaluate", now)
    _log_params(client, child, {**settings.evaluate.model_dump(), "seed": settings.seed})
    runs.log_figures(client, child, runs.figures(document))
    curve = at_percents(precision_recall).items()
    runs.log_curves(client, child, ((at, now, {"precision_by_recall_percent": value}) for at, value in curve))
    _finish(client, child, EVALUATION, data, now)


def at_percents(curve: Sequence[tuple[float, float]]) -> dict[int, float]:
    """The best precision at no less than each whole percent of recall, of a curve of (recall, precision).

    The same steps in every run; beyond the highest recall that was reached it is 0, as average precision counts it.
    """
    return {
        percent: max((precision for recall, precision in curve if recall >= percent / 100), default=0.0)
        for percent in range(101)
    }


def _start(client: MlflowClient, parent: Run, name: str, stage: str, start: float) -> str:
    """A run inside another, with its code's tags."""
    tags = {key: value for key, value in parent.data.tags.items() if key.startswith(INHERITED)}
    tags |= {"mlflow.parentRunId": parent.info.run_id, "stage": stage}
    run = client.create_run(parent.info.experiment_id, start_time=int(1000 * start), tags=tags, run_name=name)
    return str(run.info.run_id)


def _log_params(client: MlflowClient, run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in runs.flatten(values)])


def _finish(client: MlflowClient, run_id: str, name: str, data: Iterable[Data], end: float) -> None:
    seen = [as_input(one) for one in data if name in SEEN_BY.get(one.context, ())]
    client.log_inputs(run_id, seen)
    client.set_terminated(run_id, end_time=int(1000 * end))
