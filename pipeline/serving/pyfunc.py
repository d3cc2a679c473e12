"""The recogniser as MLflow serves it: a loader module, so that nothing of MLflow is needed to run it.

Rows in: a column `image` with the bytes of a picture (base64 where they come as JSON). Rows out: what
`alpr recognize --json` prints, `image` being the row's number.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import images
from pipeline.recognizer import ENOUGH, MIN_SCORE, Recognizer
from pipeline.serving import rows
from pipeline.serving.rows import Row


class Model:
    """What mlflow.pyfunc.load_model and `mlflow models serve` call."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def predict(self, pictures: Any, params: Mapping[str, Any] | None = None) -> list[Row]:
        """A row for each picture of a dataframe's column `image`; a bad one gets a row that says why."""
        min_score = float((params or {}).get("min_score", MIN_SCORE))
        column: Iterable[Any] = pictures["image"]
        return [self._recognize(str(index), data, min_score) for index, data in enumerate(column)]

    def _recognize(self, name: str, data: str | bytes, min_score: float) -> Row:
        try:
            content = base64.b64decode(data, validate=True) if isinstance(data, str) else bytes(data)
            photo = images.decode_photo(content, ENOUGH)
            return rows.of_recognitions(name, photo, self._recognizer.recognize([photo.pixels], min_score)[0])
        except binascii.Error:
            return rows.of_error(name, "not base64")
        except (ValueError, RuntimeError, MemoryError) as error:
            return rows.of_error(name, str(error) or type(error).__name__)


def _load_pyfunc(path: str) -> Model:
    """MLflow's entry point: a model from the folder of a bundle.json."""
    return Model(Recognizer.load(Path(path)))
