"""The recogniser as a version of MLflow's registered model: its files, its signature, and the code that it needs."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipeline.images import encode_jpeg
from pipeline.recognizer import MIN_SCORE

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).parent.parent
SERVING = ("mlflow", "numpy", "onnxruntime", "opencv-python-headless", "pandas", "pillow", "pytesseract")


def log_version(name: str, models: Path, loader: str) -> str:
    """The recogniser as a pyfunc, with the code that it needs, as a new version of the registered model."""
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
