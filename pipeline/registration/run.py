"""The MLflow run of a finished pipeline: params, data, figures, curves and report; logged once, however often tried."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.bundle import Bundle
from pipeline.registration import card, datasets, headline, nested, note
from pipeline.registration.model import log_model, register_model, registered_version
from pipeline.registration.record import by_stage, conclude
from pipeline.registration.trial import Trial
from pipeline.tracking import runs, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """What the stages before left behind, as read from their files."""

    documents: Row  # each metrics file by its stage
    hashes: Mapping[str, str]  # DVC's of the data, by path
    curves: Mapping[str, Sequence[Mapping[str, float]]]  # epochs by network
    precision_recall: Sequence[tuple[float, float]]
    data: Sequence[datasets.Data]
    profile: Row | None  # what the data are like
    git: Mapping[str, str]  # tags that name the commit
    patch: str  # what was not committed
    recipe: Sequence[Path]  # the files that say how to do it again


def register(settings: params.Params, results: Results, models: Path, report: Path, loader: str, trial: Trial) -> Row:
    """What became of it; the same models and figures are registered once, however often this runs or is killed.

    Killed before its version is registered, a run is deleted and made again; killed after, it goes on from there.
    """
    import mlflow

    client = store.connect()
    experiment = store.experiment_id(client, settings.register_.experiment)
    fingerprint = fingerprint_of(models, results.documents, results.hashes)
    earlier, finished = runs.earlier_run(client, experiment, fingerprint)
    if not finished:
        tags = {"fingerprint": fingerprint, **results.git, **source_tags(settings, results.documents)}
        name = " ".join(settings.sources)
        with mlflow.start_run(earlier, experiment, run_name=name, tags=None if earlier else tags) as run:
            if not earlier:
                log(client, run, settings, results, models, report, loader)
            earlier = str(run.info.run_id)
            finish(client, run, settings, results, models, report, trial)
    found: Row = json.loads(client.get_run(str(earlier)).data.tags["registration"])
    return found


def log(
    client: MlflowClient,
    run: Run,
    settings: params.Params,
    results: Results,
    models: Path,
    report: Path,
    loader: str,
) -> None:
    """All that a run says before it is decided on, and its model, which becomes a version at the very end."""
    run_id, name = str(run.info.run_id), settings.register_.model
    log_inputs(client, run_id, settings, results)
    about = card.write(settings, Bundle.load(models), results.documents["evaluation"], run)
    model_id = log_model(client, name, models, loader, about)
    log_results(client, run, settings, results, report, model_id)
    register_model(client, name, model_id)


def finish(
    client: MlflowClient,
    run: Run,
    settings: params.Params,
    results: Results,
    models: Path,
    report: Path,
    trial: Trial,
) -> None:
    """Names and describes the run's version, decides on it, and notes what was decided; may be done again."""
    run_id, name = str(run.info.run_id), settings.register_.model
    version = registered_version(client, run_id)
    client.update_run(run_id, name=f"{' '.join(settings.sources)}, version {version}")
    about = card.write(settings, Bundle.load(models), results.documents["evaluation"], run)
    client.update_model_version(name, version, card.description(about))
    told, comparison = conclude(client, run_id, version, models, results.documents, results.profile, report, trial)
    pictures = note.log_pictures(client, run, report)
    client.set_tag(run_id, "mlflow.note.content", note.write(run, results.documents, told, comparison, pictures))
    client.set_tag(run_id, "registration", json.dumps(told))


def fingerprint_of(models: Path, documents: Row, hashes: Mapping[str, str]) -> str:
    """A digest of all that a registration says: the networks (by bundle.json's sums), the figures, the data."""
    bundle = (models / "bundle.json").read_text(encoding="utf-8")
    return hashlib.sha256(json.dumps([bundle, documents, hashes], sort_keys=True).encode()).hexdigest()


def source_tags(settings: params.Params, documents: Row) -> dict[str, str]:
    """Which sources it was made from, and how much of each is in which split."""
    by_source = documents["evaluation"]["data"].get("by_source", {})
    counts = {
        f"source.{source}": ", ".join(f"{splits[split]['photos'] + splits[split]['crops']} {split}" for split in splits)
        for source, splits in by_source.items()
    }
    return {"sources": " ".join(settings.sources), **counts}


def log_inputs(client: MlflowClient, run_id: str, settings: params.Params, results: Results) -> None:
    """The params by dotted name, the files that say how to do it again, and the data with its hashes."""
    import mlflow

    mlflow.log_params(dict(runs.flatten(settings.model_dump(by_alias=True))))
    for path, digest in results.hashes.items():
        client.set_tag(run_id, f"dvc.{path}", digest)
    for one in results.data:
        if one.context == "labels":
            client.set_tag(run_id, f"sha256.{one.path}", one.tags["sha256"])
    client.log_inputs(run_id, [datasets.as_input(one) for one in results.data])
    for file in results.recipe:
        client.log_artifact(run_id, str(file), "pipeline")
    if results.patch:
        client.log_text(run_id, results.patch, "pipeline/uncommitted.patch")


def log_results(
    client: MlflowClient, run: Run, settings: params.Params, results: Results, report: Path, model_id: str
) -> None:
    """Figures (the evaluation's under their own names, others under their stage's), learning curves, the report.

    Those of parts, a slice's or a source's, stand in the runs inside, where they do not bury the others.

    The curves stand in the run itself too, under their network's name: so two runs can be laid over each other.
    """
    run_id, evaluation, now = run.info.run_id, results.documents["evaluation"], time.time()
    figures = headline.whole(by_stage(results.documents))
    first = {name: value for name, value in figures.items() if name in headline.FIGURES}
    runs.log_figures(client, run_id, first, of=measured_on(model_id, results.data))
    runs.log_figures(client, run_id, {name: value for name, value in figures.items() if name not in first})
    client.set_tag(run_id, "test_set", evaluation["data"]["test_set"])
    for network, epochs in results.curves.items():
        losses = [
            {f"{network}.{name}": value for name, value in epoch.items() if name in ("loss", "val_loss")}
            for epoch in epochs
        ]
        steps = [int(epoch["epoch"]) for epoch in epochs]
        runs.log_curves(client, run_id, ((step, now, own) for step, own in zip(steps, losses, strict=True)))
        nested.log_network(client, run, network, settings, epochs, results.data)
    nested.log_data(client, run, settings, results.documents, results.data)
    nested.log_evaluation(client, run, settings, evaluation, results.precision_recall, results.data)
    client.log_artifacts(run_id, str(report), "report")


def measured_on(model_id: str, data: Sequence[datasets.Data]) -> dict[str, str]:
    """The model and the test split, as MLflow names what a figure belongs to."""
    test = {
        key: value
        for one in data
        if one.context == "test"
        for key, value in (("dataset_name", datasets.name_of(one)), ("dataset_digest", one.digest))
    }
    return {"model_id": model_id, **test}
