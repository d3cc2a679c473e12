"""register: an MLflow run with params, figures, curves and report, and the recogniser as a registered model's version.

python -m pipeline.stages.register --models models/export --detector models/detector --student models/student \
    --refiner models/refiner --reader models/reader --metrics metrics --report report --out metrics/registration.json
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import typer

from pipeline import params, tracking
from pipeline.images import encode_jpeg
from pipeline.manifest import write_json
from pipeline.recognizer import MIN_SCORE
from pipeline.serving import pyfunc
from pipeline.tracking import Standing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

Row = dict[str, Any]

PACKAGE = Path(__file__).parent.parent
SERVING = ("mlflow", "numpy", "onnxruntime", "opencv-python-headless", "pandas", "pillow", "pytesseract")
Option = typer.Option()


def main(
    models: Annotated[Path, Option],
    detector: Annotated[Path, Option],
    student: Annotated[Path, Option],
    refiner: Annotated[Path, Option],
    reader: Annotated[Path, Option],
    metrics: Annotated[Path, Option],
    report: Annotated[Path, Option],
    out: Annotated[Path, Option],
) -> None:
    """Registers the exported models, and moves the alias where they are no worse than its holder."""
    from mlflow.exceptions import MlflowException

    try:
        settings = params.load()
        documents = tracking.read_metrics(metrics)
        hashes = tracking.data_hashes(Path("dvc.lock"), settings.sources)
        trained = (detector, student, refiner, reader)
        curves = {folder.name: tracking.read_curves(folder / "history.csv") for folder in trained}
        registration = register(settings, documents, hashes, curves, models, report)
    except MlflowException as error:
        message = f"register: MLflow at {tracking.uri()} fails: {error.message}"
        raise SystemExit(tracking.without_password(message)) from None
    except (ValueError, OSError) as error:
        raise SystemExit(f"register: {error}") from None
    write_json(out, registration)
    verb = "moves to it" if registration["moved"] else "stays"
    print(
        f"{registration['model']} version {registration['version']}: {registration['alias']} {verb}: "
        f"{registration['reason']}"
    )


def register(
    settings: params.Params,
    documents: Row,
    hashes: dict[str, str],
    curves: dict[str, list[dict[str, float]]],
    models: Path,
    report: Path,
) -> Row:
    """What became of it; the same models and figures are registered once, however often this runs or is killed."""
    import mlflow

    client = tracking.connect()
    experiment = tracking.experiment_id(client, settings.register_.experiment)
    fingerprint = fingerprint_of(models, documents, hashes)
    earlier = tracking.earlier_run(client, experiment, fingerprint)
    if earlier is None:
        with mlflow.start_run(
            experiment_id=experiment, run_name=" ".join(settings.sources), tags={"fingerprint": fingerprint}
        ) as run:
            earlier = str(run.info.run_id)
            log_inputs(client, earlier, settings, hashes)
            log_results(client, earlier, documents, curves, report)
            version = log_version(settings.register_.model, models)
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

    mlflow.log_params(dict(tracking.flatten(settings.model_dump(by_alias=True))))
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
    tracking.log_figures(client, run_id, tracking.figures(documents["evaluation"]) | tracking.figures(others))
    client.set_tag(run_id, "test_set", documents["evaluation"]["data"]["test_set"])
    for network, epochs in curves.items():
        for epoch in epochs:
            step = int(epoch.pop("epoch"))
            tracking.log_figures(client, run_id, {f"{network}.{name}": value for name, value in epoch.items()}, step)
    client.log_artifacts(run_id, str(report), "report")


def log_version(name: str, models: Path) -> str:
    """The recogniser as a pyfunc, with the code that it needs, as a new version of the registered model."""
    import mlflow
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, code, ignore=only_python)
        info = mlflow.pyfunc.log_model(
            name="recognizer",
            loader_module=pyfunc.__name__,
            data_path=str(models),
            code_paths=[str(code)],
            registered_model_name=name,
            signature=signature(),
            input_example=pd.DataFrame({"image": [encode_jpeg(example())]}),
            pip_requirements=[f"{package}=={installed(package)}" for package in SERVING],
        )
    return str(info.registered_model_version)


def only_python(folder: str, names: list[str]) -> list[str]:
    """For copytree: all that is neither a folder nor Python; weights and typefaces are not code."""
    return [
        name for name in names if name == "__pycache__" or not (Path(folder, name).is_dir() or name.endswith(".py"))
    ]


def signature() -> ModelSignature:
    """A picture's bytes in; width, height and plates, or an error, out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import Array, Object, Property

    numbers = Array(DataType.double)
    plate = Object(
        [
            Property("box", numbers),
            Property("corners", Array(numbers)),
            Property("score", DataType.double),
            Property("text", DataType.string),
            Property("guess", DataType.string),
            Property("text_score", DataType.double),
            Property("char_scores", numbers),
            Property("region", DataType.string, required=False),
        ]
    )
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "image"),
        ColSpec(DataType.long, "width", required=False),
        ColSpec(DataType.long, "height", required=False),
        ColSpec(Array(plate), "plates", required=False),
        ColSpec(DataType.string, "error", required=False),
    ]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("min_score", DataType.double, MIN_SCORE)]),
    )


def example() -> Any:
    """A grey picture with a plate drawn on it, RGB uint8 (240, 320, 3)."""
    image = np.full((240, 320, 3), 90, dtype=np.uint8)
    cv2.rectangle(image, (90, 110), (230, 145), (240, 240, 240), -1)
    cv2.putText(image, "ABC1234", (97, 137), cv2.FONT_HERSHEY_SIMPLEX, 0.95, (20, 20, 20), 2, cv2.LINE_AA)
    return image


def promote(client: MlflowClient, settings: params.Register, version: str, evaluation: Row) -> Row:
    """Moves the alias to the version if it may have it; the decision is kept with the version."""
    challenger = Standing(version, tracking.figures(evaluation), evaluation["data"]["test_set"])
    champion = tracking.standing(client, settings.model, settings.alias)
    decision = tracking.decide(challenger, champion, settings.metric, settings.tolerance)
    if decision.moves:
        client.set_registered_model_alias(settings.model, settings.alias, version)
    client.set_model_version_tag(settings.model, version, settings.alias, decision.reason)
    return {
        "model": settings.model,
        "version": int(version),
        "alias": settings.alias,
        "moved": decision.moves,
        "reason": decision.reason,
        "holder": int(version) if decision.moves else (int(champion.version) if champion else None),
    }


if __name__ == "__main__":
    typer.run(main)
