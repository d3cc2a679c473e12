"""A small curated test split on which the tiny bundles find every plate, and a project that is ready to register."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import costs, params
from pipeline.images import encode_jpeg, encode_png, sha256
from pipeline.manifest import write_json, write_manifest
from pipeline.records import Box, Plate, Sample
from pipeline.registration import run
from pipeline.registration.finished import TRAINED, Finished
from pipeline.registration.trial import Trial
from pipeline.serving import pyfunc
from pipeline.tracking import registry, store

ROOT = Path(__file__).parents[2]
COMMIT = {"mlflow.source.git.commit": "c" * 40, "git.dirty": "true"}
FINISHED = Finished(
    models=Path("models/export"),
    **{name: Path("models", name) for name in TRAINED},
    manifest=Path("data/curated/manifest.jsonl"),
    labels=Path("data/labels"),
    metrics=Path("metrics"),
    plots=Path("plots"),
    report=Path("report"),
    profile=Path("data/evaluated/profile.json"),
    images=Path("data/raw"),
)


@pytest.fixture(scope="session")
def settings():
    """The params as committed, with fewer resamples."""
    found = params.load(ROOT / "params.yaml")
    return found.model_copy(update={"evaluate": found.evaluate.model_copy(update={"bootstrap": 100})})


@pytest.fixture(scope="session")
def sound():
    """The figures of a model that passes every check of the gate."""
    return {
        "end_to_end.exact": 0.8,
        "detection.ap50": 0.9,
        "ocr.network.labelled.exact": 0.85,
        "ocr.network.answers.calibration_error": 0.03,
        "curation.leaks": 0.0,
        **{f"export.{name}_difference": 1e-5 for name in ("detector", "fast", "refiner", "reader")},
        **{f"export.{name}_int8_box_shift": 0.01 for name in ("detector", "fast")},
        "export.reader_int8_text_change": 0.0,
    }


@pytest.fixture(scope="session")
def curated(tmp_path_factory):
    """A folder with manifest.jsonl and raw/: 55 photos of AB12, 5 of CD34, each a white plate on black."""
    root = tmp_path_factory.mktemp("curated")
    samples = []
    for number in range(60):
        x, y = 100 + number, 100 + number
        image = np.zeros((384, 512, 3), np.uint8)
        image[y : y + 32, x : x + 64] = 255
        data = encode_png(image)
        path = root / "raw" / "s" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        plate = Plate(Box(x, y, x + 64, y + 32), text="AB12" if number < 55 else "CD34", region="GB", rows=1)
        samples.append(Sample(sha256(data), f"s/{number}.png", 512, 384, (plate,), "s", f"g{number}", "test"))
    write_manifest(root / "manifest.jsonl", samples)
    return root


@pytest.fixture
def trial(curated, settings):
    return Trial.of(settings, curated / "manifest.jsonl", curated / "raw")


@pytest.fixture(scope="session")
def alter(tmp_path_factory):
    """Copies a bundle and changes its bundle.json."""

    def changed(bundle, change):
        folder = tmp_path_factory.mktemp("altered") / "bundle"
        shutil.copytree(bundle, folder)
        described = json.loads((folder / "bundle.json").read_text())
        change(described)
        (folder / "bundle.json").write_text(json.dumps(described))
        return folder

    return changed


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """The address of a store that all tests share: to make one takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def client(database, tmp_path, monkeypatch):
    """A client of the shared store, in an empty folder; each test takes a registered model of its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.chdir(tmp_path)
    return store.connect()


@pytest.fixture
def version(client, tmp_path):
    """Registers a bundle as a new version of a model, with figures of a run; its number."""

    def made(model, bundle, figures=None):
        experiment = client.get_experiment_by_name(model)
        location = (tmp_path / "artifacts").as_uri()
        identity = experiment.experiment_id if experiment else client.create_experiment(model, location)
        run = client.create_run(identity)
        for name, value in (figures or {}).items():
            client.log_metric(run.info.run_id, name, value)
        client.set_terminated(run.info.run_id)
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        made = client.create_model_version(model, Path(bundle).as_uri(), run.info.run_id)
        client.set_registered_model_alias(model, registry.CHALLENGER, made.version)
        return str(made.version)

    return made


@pytest.fixture
def named(trial):
    """The trial of a registered model of another name, so that tests share a store and nothing in it."""
    return lambda model: replace(trial, rules=trial.rules.model_copy(update={"model": model}))


@dataclass(frozen=True)
class Project:
    """A project whose stages have run, all but register; it has to be the current folder."""

    folder: Path

    def evaluated(self, exact):
        """Writes the metrics, as if the recogniser had read this share of the plates."""
        interval = {"interval": {"exact": {"low": 0.7, "high": 0.9}, "ap50": {"low": 0.8, "high": 0.95}}}
        part = {"photos": 12, "crops": 0, "plates": 12, "texts": 12}
        split = {"train": part, "val": part, "test": part}
        slices = {
            "GB": {"plates": 20, "texts": 12, "recall": 0.9, "found_and_read": 0.5, "interval": {}},
            "DE": {"plates": 20, "texts": 12, "recall": 1.0, "found_and_read": 0.9, "interval": {}},
        }
        answers = {"calibration_error": 0.01, "given_wrong": 0.02, "interval": {}}
        evaluation = {
            "data": {**part, "test_set": "e" * 64, "by_source": {"synthetic": split}},
            "detection": {"ap50": 0.9, **interval},
            "end_to_end": {"exact": exact, "found_and_read": exact, "n": 12, **interval},
            "end_to_end_baselines": {"tesseract": {"exact": 0.2, "interval": {}}},
            "ocr": {"network": {"labelled": {"exact": exact, **interval}, "answers": answers}},
            "slices": {"region": slices},
        }
        write_json(FINISHED.metrics / "evaluation.json", evaluation)

    def register(self):
        """Registers it, and tells what became of it."""
        settings = params.load()
        results = FINISHED.results(settings, COMMIT, "-old\n+new\n")
        trial = Trial.of(settings, FINISHED.manifest, FINISHED.images)
        return run.register(settings, results, FINISHED.models, FINISHED.report, pyfunc.__name__, trial)


@pytest.fixture
def project(tmp_path, tiny_bundle, empty_store, monkeypatch):
    """The current folder, with a database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, "mlflow.db")
    settings = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(settings.replace("bootstrap: 1000", "bootstrap: 100"))
    locked = f"{{path: data/curated, md5: {'d' * 32}.dir}}"
    Path("dvc.lock").write_text(f"stages:\n  curate:\n    cmd: x\n    outs:\n    - {locked}\n")
    shutil.copytree(tiny_bundle, FINISHED.models)
    for name in TRAINED:
        history = getattr(FINISHED, name) / "history.csv"
        _write(history, "epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.5\n")
        _write(costs.of_history(history), "epoch,seconds,memory_mb,cpu_percent\n1,60,900,80\n2,30,950,90\n")
    _photographed()
    _write(FINISHED.labels / "corrections.jsonl", "{}\n{}\n")
    _write(FINISHED.plots / "precision_recall.csv", "recall,precision,score\n0.5,1.0,0.9\n0.9,0.8,0.5\n")
    _write(FINISHED.report / "index.html", "<p>report</p>")
    for name, shape in (("worst.jpg", (2000, 1472, 3)), ("sample.jpg", (378, 368, 3))):
        (FINISHED.report / name).write_bytes(encode_jpeg(np.zeros(shape, np.uint8)))
    write_json(FINISHED.metrics / "curation.json", {"groups": 36, "leaks": 0, "near_duplicate_pairs": 2})
    export = {f"{name}_difference": 1e-5 for name in ("detector", "fast", "refiner", "reader")}
    export |= {f"{name}_int8_box_shift": 0.01 for name in ("detector", "fast")} | {"reader_int8_text_change": 0.0}
    write_json(FINISHED.metrics / "export.json", export)
    made = Project(tmp_path)
    made.evaluated(0.8)
    return made


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _photographed():
    """Twelve photos in each split, each with a white plate on black that reads AB12."""
    samples = []
    for number in range(36):
        image = np.zeros((240, 320, 3), dtype=np.uint8)
        image[60 + number : 80 + number, 60:100] = 255
        data = encode_png(image)
        path = FINISHED.images / f"synthetic/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        plate = Plate(Box(60, 60 + number, 100, 80 + number), text="AB12", region="GB", rows=1)
        name, split = f"synthetic/{number}.png", ("train", "val", "test")[number // 12]
        samples.append(Sample(sha256(data), name, 320, 240, (plate,), "synthetic", f"g{number}", split))
    write_manifest(FINISHED.manifest, samples)
