"""Where runs and models are kept: MLFLOW_TRACKING_URI, or the project's own mlflow.db."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
ANSWER = 3.0  # seconds that a server has to answer, each of a few times
TRIES = 3
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # of databases that are asked without a server of MLflow's


class TrackingError(ValueError):
    """A tracking server or a file to be logged that cannot be used; the message says what to do."""


class UnreachableError(TrackingError):
    """A server that does not answer now; what was to be sent can be sent later."""


@contextmanager
def asking() -> Iterator[MlflowClient]:
    """A client, once the server is known to answer; MLflow's errors inside come out as ours, each a sentence."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    if fault := unreachable():
        raise UnreachableError(f"MLflow at {without_password(uri())} cannot be asked: {fault}")
    try:
        yield connect()
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        raise _failure(error) from None


def _failure(error: Exception) -> TrackingError:
    """An error of MLflow's as one of ours: the server's own fault, which may pass, or what it refuses."""
    shown = without_password(uri())
    if not urlsplit(uri()).hostname:
        return TrackingError(f"MLflow at {shown} fails: {shortly(error)}")
    if fault := unreachable():
        return UnreachableError(f"MLflow at {shown} went away: {fault}")
    status = getattr(error, "get_http_status_code", lambda: 500)()
    kind = UnreachableError if status >= 500 else TrackingError
    return kind(f"MLflow at {shown} fails: {shortly(error)}")


def connect() -> MlflowClient:
    """A client of MLFLOW_TRACKING_URI, or of the project's own mlflow.db."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that goes away is noticed in seconds
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # of each of a dozen runs
    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri())
    return mlflow.MlflowClient()


def uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_store()


def own_store() -> str:
    """The project's database."""
    return f"sqlite:///{project() / STORE}"


def project() -> Path:
    """The current folder; where DVC runs an experiment in a copy, which it deletes, the project that it copied."""
    here = Path.cwd()
    copies = [folder for folder in here.parents if folder.parts[-3:] == (".dvc", "tmp", "exps")]
    return copies[0].parents[2] if copies else here


def unreachable() -> str:
    """Why the server at uri() cannot be asked now, after some ten seconds at most; empty where it can, or is a file.

    Any answer but a server's own error (5xx) will do: whether it lets us in is for MLflow's client to find out.
    """
    address = urlsplit(uri())
    if not address.hostname:
        return ""
    fault = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.3)
        fault = _no_answer() if address.scheme in ("http", "https") else _no_connection()
        if not fault:
            break
    return fault


def _no_answer() -> str:
    """Why the HTTP server does not answer now; empty where it does."""
    import requests

    try:
        answer = requests.get(f"{uri().rstrip('/')}/health", timeout=ANSWER, allow_redirects=False)
    except requests.exceptions.SSLError:
        return ""  # somebody is there; MLflow has settings of its own for certificates
    except requests.exceptions.Timeout:
        return f"no answer within {ANSWER:g} s"
    except requests.exceptions.ConnectionError:
        return _no_connection() or "the connection breaks"
    except requests.exceptions.RequestException as error:
        raise TrackingError(f"MLFLOW_TRACKING_URI is {without_password(uri())!r}: {shortly(error)}") from None
    return f"it answers with status {answer.status_code}" if answer.status_code >= 500 else ""


def _no_connection() -> str:
    """Why nothing takes a connection there now; empty where something does."""
    address = urlsplit(uri())
    default = {"http": 80, "https": 443, **PORTS}.get(address.scheme.partition("+")[0])
    port = address.port or default
    if port is None:
        return ""
    try:
        with socket.create_connection((str(address.hostname), port), timeout=ANSWER):
            return ""
    except TimeoutError:
        return f"no answer within {ANSWER:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def without_password(text: str) -> str:
    """A text with the user and password taken out of every URL in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of this name, made where it is missing; in our own store its files go to mlartifacts/.

    One that was deleted in MLflow's page, and is kept in its trash with the champion's own run, is taken out of it.
    """
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
            print(f"the experiment {name!r} had been deleted in MLflow: restored, with its runs", file=sys.stderr)
        return str(found.experiment_id)
    location = (project() / ARTIFACTS).as_uri() if uri() == own_store() else None
    return client.create_experiment(name, artifact_location=location)


def shortly(error: Exception) -> str:
    """An error of MLflow's in one line, without passwords."""
    lines = without_password(str(error)).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
