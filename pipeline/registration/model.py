"""The recogniser as a version of MLflow's registered model: its files, card, interface, and the code it needs."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipeline.images import encode_jpeg
from pipeline.recognizer import MIN_SCORE
from pipeline.registration import schema
from pipeline.registration.card import description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).parent.parent
ABOUT = "Licence plates in photos: found, and read. Each version has its model card as description."
SERVING = ("mlflow", "numpy", "onnxruntime", "opencv-python-headless", "pandas", "pillow", "pytesseract")


def log_model(client: MlflowClient, name: str, models: Path, loader: str, card: str) -> str:
    """Logs the recogniser as a pyfunc of the active run, with the code that it needs, its card and its interface.

    Returns MLflow's id of the model, which is no version of the registry yet.
    """
    import mlflow
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, code, ignore=only_python)
        info = mlflow.pyfunc.log_model(
            name="recognizer",
            loader_module=loader,
            data_path=str(models),
            code_paths=[str(code)],
            signature=signature(),
            input_example=pd.DataFrame({"image": [encode_jpeg(example())]}),
            pip_requirements=[f"{package}=={installed(package)}" for package in SERVING],
        )
        interface = json.dumps(schema.of_signature(signature(), name), indent=2)
        for file, text in (("README.md", card), (schema.NAME, interface)):
            (Path(folder) / file).write_text(text, encoding="utf-8")
            client.log_model_artifact(str(info.model_id), str(Path(folder) / file))
    client.set_logged_model_tags(str(info.model_id), {"mlflow.note.content": description(card)})
    return str(info.model_id)


def register_model(client: MlflowClient, name: str, model_id: str) -> None:
    """Makes the model a new version of the registered model, which is made where it is missing."""
    import mlflow

    mlflow.register_model(f"models:/{model_id}", name)
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, ABOUT)


def registered_version(client: MlflowClient, run_id: str) -> str:
    """The version that a run registered; "" where it registered none."""
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    return str(versions[0].version) if versions else ""


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
