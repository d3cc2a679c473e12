"""The MLflow run of a finished pipeline: params, data, figures, curves and report; logged once, however often tried."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.registration.model import log_version
from pipeline.registration.promoting import promote
from pipeline.tracking import runs, store

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = dict[str, Any]


def register(
    settings: params.Params,
    documents: Row,
    hashes: dict[str, str],
    curves: dict[str, list[dict[str, float]]],
    models: Path,
    report: Path,
    loader: str,
) -> Row:
    """What became of it; the same models and figures are registered once, however often this runs or is killed."""
    import mlflow

    client = store.connect()
    experiment = store.experiment_id(client, settings.register_.experiment)
    fingerprint = fingerprint_of(models, documents, hashes)
    earlier = runs.earlier_run(client, experiment, fingerprint)
    if earlier is None:
        with mlflow.start_run(
            experiment_id=experiment, run_name=" ".join(settings.sources), tags={"fingerprint": fingerprint}
        ) as run:
            earlier = str(run.info.run_id)
            log_inputs(client, earlier, settings, hashes)
            log_results(client, earlier, documents, curves, report)
            version = log_version(settings.register_.model, models, loader)
            registration = promote(client, settings.register_, version, documents["evaluation"])
            client.set_tag(earlier, "registration", json.dumps({**registration, "run": earlier}))
    found: Row = json.loads(client.get_run(earlier).data.tags["registration"])
    return found


def fingerprint_of(models: Path, documents: Row, hashes: dict[str, str]) -> str:
    """A digest of all that a registration says: the networks (by bundle.json's sums), the figures, the data."""
    bundle = (models / "bundle.json").read_text(encoding="utf-8")
    return hashlib.sha256(json.dumps([bundle, documents, hashes], sort_keys=True).encode()).hexdigest()


def log_inputs(client: MlflowClient, run_id: str, settings: params.Params, hashes: dict[str, str]) -> None:
    """The params by dotted name, the files that say how to do it again, and the data's hashes as tags."""
    import mlflow

    mlflow.log_params(dict(runs.flatten(settings.model_dump(by_alias=True))))
    for path, digest in hashes.items():
        client.set_tag(run_id, f"dvc.{path}", digest)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        if Path(name).exists():
            client.log_artifact(run_id, name, "pipeline")


def log_results(
    client: MlflowClient, run_id: str, documents: Row, curves: dict[str, list[dict[str, float]]], report: Path
) -> None:
    """Figures (the evaluation's under their own names, others under their stage's), learning curves, the report."""
    others = {name: document for name, document in documents.items() if name != "evaluation"}
    runs.log_figures(client, run_id, runs.figures(documents["evaluation"]) | runs.figures(others))
    client.set_tag(run_id, "test_set", documents["evaluation"]["data"]["test_set"])
    for network, epochs in curves.items():
        for epoch in epochs:
            step = int(epoch.pop("epoch"))
            runs.log_figures(client, run_id, {f"{network}.{name}": value for name, value in epoch.items()}, step)
    client.log_artifacts(run_id, str(report), "report")
