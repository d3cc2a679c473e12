"""Where runs and models are kept: MLFLOW_TRACKING_URI, or the project's own mlflow.db."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")


class TrackingError(ValueError):
    """A tracking server or a file to be logged that cannot be used; the message says what to do."""


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


def shortly(error: Exception) -> str:
    """An error of MLflow's in one line, without passwords."""
    lines = without_password(str(error)).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
