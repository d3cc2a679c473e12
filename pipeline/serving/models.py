"""Models by name: the one that ships, a folder, or a version in MLflow's registry (models:/alpr@champion).

Whatever its name, a model is a bundle: every file of it is checked against the SHA-256 in its bundle.json before it
is opened, and nothing but ONNX is opened at all.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle import Bundle, BundleError, verified
from pipeline.calibration import Calibration
from pipeline.tracking import registry, store

SHIPPED = Path(__file__).parent.parent / "weights" / "export"
EXPORTED = Path("models", "export")
SCHEME = "models:/"


@dataclass(frozen=True, slots=True)
class Model:
    """A verified bundle and the name that an answer gives for it: with an alias, the version that held it then."""

    name: str
    folder: Path


def find(name: str) -> Model:
    """The model of this name. BundleError or TrackingError, with a sentence, where it is not here or not whole."""
    model = _registered(name) if name.startswith(SCHEME) else Model(name, Path(name))
    return Model(_shown(model.name), verified(model.folder))


def folder_of(name: str) -> Path:
    """The folder of a model, whole; of the one that ships each file is checked as it is opened, which is sooner."""
    return SHIPPED if name == str(SHIPPED) else find(name).folder


def least_text_score(folder: Path) -> float:
    """The score from which on a model's reader gives a text, chosen on validation."""
    return Calibration.of(Bundle.load(folder).reader["calibration"]).threshold


def _shown(name: str) -> str:
    return "shipped" if name == str(SHIPPED) else name


def _registered(name: str) -> Model:
    """Fetches a version of MLflow's registry; an alias is settled here, once, so that all answers name one version."""
    model, version = _parsed(name)
    fetched = Path(tempfile.mkdtemp(prefix="alpr-model-"))
    atexit.register(shutil.rmtree, fetched, ignore_errors=True)
    number, folder = registry.fetch(model, version, fetched)
    return Model(f"{SCHEME}{model}/{number}", folder)


def _parsed(name: str) -> tuple[str, str]:
    """models:/alpr@champion -> (alpr, @champion); models:/alpr/3 -> (alpr, 3)."""
    rest = name.removeprefix(SCHEME)
    model, slash, number = rest.partition("/")
    if slash and number.isdigit() and model:
        return model, number
    model, at, alias = rest.partition("@")
    if at and model and alias:
        return model, f"@{alias}"
    raise BundleError(f"{name} is no name of a model: write models:/NAME@ALIAS or models:/NAME/VERSION")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that can be named: what it is, and whether it is whole."""

    name: str
    about: str
    whole: bool


def listed() -> Iterator[Listed]:
    """The model that ships, the one exported here, and every registered version, the newest first."""
    for folder, about in ((SHIPPED, "ships with the package"), (EXPORTED, "exported by this folder's last run")):
        if folder.exists():
            yield _checked(str(folder), about, folder)
    if os.environ.get("MLFLOW_TRACKING_URI") or store.STORE.exists():
        yield from _versions()


def _checked(name: str, about: str, folder: Path) -> Listed:
    try:
        verified(folder)
    except (BundleError, OSError) as error:
        return Listed(name, str(error), whole=False)
    return Listed(name, about, whole=True)


def _versions() -> Iterator[Listed]:
    try:
        for model, number, alias in registry.versions():
            name = f"{SCHEME}{model}@{alias}" if alias else f"{SCHEME}{model}/{number}"
            yield Listed(name, f"version {number} of {model} in MLflow", whole=True)
    except store.TrackingError as error:
        yield Listed("MLflow", str(error), whole=False)
