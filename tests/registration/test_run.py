"""The run of a finished pipeline: what MLflow then holds, and that a run that is killed is made whole."""

import json
import sys
from pathlib import Path
from typing import get_args

import mlflow
import pandas as pd
import pytest

from pipeline import params
from pipeline.images import sha256
from pipeline.registration import card, model, nested, note, run
from pipeline.tracking import store


def children(client, run_id):
    found = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return {one.info.run_name: one for one in found}


def test_what_a_run_says(project):
    told = project.register()
    client = store.connect()
    whole = client.get_run(told["run"])
    assert whole.info.run_name == "synthetic, version 1"
    assert whole.data.params["train_detector.head"] == "corner"
    assert whole.data.metrics["end_to_end.exact"] == 0.8
    assert whole.data.metrics["end_to_end.interval.exact.low"] == 0.7
    assert not [name for name in whole.data.metrics if name.startswith("slices")], "they stand in the evaluation's run"
    assert [one.step for one in client.get_metric_history(told["run"], "reader.val_loss")] == [1, 2]
    tags = whole.data.tags
    assert (tags["mlflow.source.git.commit"], tags["git.dirty"]) == ("c" * 40, "true")
    assert (tags["sources"], tags["source.synthetic"]) == ("synthetic", "12 test, 12 train, 12 val")
    assert tags["dvc.data/curated"] == "d" * 32 + ".dir"
    assert tags["sha256.data/labels/corrections.jsonl"] == sha256(b"{}\n{}\n")
    inputs = {one.dataset.name: one for one in whole.inputs.dataset_inputs}
    assert set(inputs) == {"training", "validation", "test", "labels corrections"}
    assert inputs["test"].dataset.digest == "d" * 32 + ".dir"
    files = {
        file.path for folder in ("pipeline", "report", "note") for file in client.list_artifacts(told["run"], folder)
    }
    assert files >= {"pipeline/params.yaml", "pipeline/dvc.lock", "pipeline/uncommitted.patch", "report/index.html"}

    inside = children(client, told["run"])
    assert set(inside) == {*nested.NETWORKS, "data", "evaluation"}
    assert {one.info.status for one in inside.values()} == {"FINISHED"}
    detector, evaluation = inside["detector"], inside["evaluation"]
    assert (detector.data.params["head"], detector.data.params["seed"]) == ("corner", "7")
    assert detector.data.metrics["best.val_loss"] == 0.5
    curve = client.get_metric_history(detector.info.run_id, "system/cpu_utilization_percentage")
    assert [(one.step, one.value) for one in curve] == [(1, 80), (2, 90)]
    assert curve[1].timestamp - curve[0].timestamp == 30_000, "the second epoch's time"
    assert detector.info.end_time - detector.info.start_time == 90_000
    assert detector.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert [one.dataset.name for one in evaluation.inputs.dataset_inputs] == ["test"]
    assert evaluation.data.metrics["slices.region.GB.found_and_read"] == 0.5
    precision = client.get_metric_history(evaluation.info.run_id, "precision_by_recall_percent")
    assert [(one.step, one.value) for one in precision if one.step in (50, 51, 91)] == [(50, 1.0), (51, 0.8), (91, 0.0)]
    assert inside["data"].data.metrics["curation.groups"] == 36

    (logged,) = client.search_logged_models(["1"])
    measured = {one.key: one for one in logged.metrics}
    assert (measured["detection.ap50"].value, measured["detection.ap50"].dataset_name) == (0.9, "test")


def test_the_note(project):
    told = project.register()
    client = store.connect()
    text = client.get_run(told["run"]).data.tags["mlflow.note.content"]
    first, second = text.split("\n\n")[:2]
    assert first == "**Promoted**: [version 1](#/models/alpr/versions/1) became champion when it was registered."
    assert "**0.800**" in second
    assert second.endswith("Worst: region: GB, 0.500.")
    assert "| The same, false readings held against it&ensp; | 0.800 [0.700, 0.900]&ensp; | 0.200&ensp; |" in text
    assert "| calibration&ensp; | holds&ensp; |" in text
    assert "12 photos, 12 plates, 12 texts" in text
    for name, size in (("worst.jpg", (840, 647)), ("sample.jpg", (368, 378))):
        assert f"get-artifact?path=note/{name}&run_uuid={told['run']}" in text
        shown = Path(client.download_artifacts(told["run"], f"note/{name}", str(project.folder)))
        assert mlflow.Image(str(shown)).to_pil().size == size
    assert len(text) < 5000


def test_the_version(project, tmp_path, monkeypatch):
    """Its card, signature, example, requirements and interface; all can be loaded."""
    project.register()
    client = store.connect()
    version = client.get_model_version("alpr", "1")
    assert version.description.startswith("# Model card: alpr")
    assert "0.800 [0.700, 0.900]" in version.description
    assert "commit " + "c" * 40 + " with uncommitted changes" in version.description
    assert client.get_registered_model("alpr").description == model.ABOUT
    folder = Path(mlflow.artifacts.download_artifacts("models:/alpr@champion", dst_path=str(tmp_path / "got")))
    assert {"README.md", "openapi.json", "requirements.txt"} <= {path.name for path in folder.iterdir()}
    assert "onnxruntime==" in (folder / "requirements.txt").read_text()
    assert json.loads((folder / "openapi.json").read_text())["openapi"] == "3.1.0"
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading puts the model's own code first, for other tests too
    loaded = mlflow.pyfunc.load_model("models:/alpr@champion")
    assert loaded.metadata.signature == model.signature()
    example = loaded.input_example
    assert isinstance(example, pd.DataFrame)
    (row,) = loaded.predict(example)
    assert (row["width"], row["height"]) == (320, 240)


def test_a_long_card_is_cut_at_a_section():
    text = "# a\n" + "".join(f"\n## {number}\n\n{'x' * 1000}\n" for number in range(9))
    short = card.description(text)
    assert len(short) <= card.LONGEST
    assert short.endswith("x\n\nREADME.md among the version's files has the rest.\n")
    assert card.description("# a\n") == "# a\n"


def test_the_licence_of_every_source_is_known():
    assert set(card.LICENCES) == set(get_args(params.SourceName))


def test_two_runs_have_the_same_names_and_steps(project):
    """So that MLflow's page lays one over the other."""
    first = project.register()
    project.evaluated(0.9)
    second = project.register()
    client = store.connect()

    def names(run_id):
        found = client.get_run(run_id)
        inside = children(client, run_id)
        files = [file.path for folder in ("", "report", "note") for file in client.list_artifacts(run_id, folder)]
        keys = {name: (set(one.data.metrics), set(one.data.params)) for name, one in inside.items()}
        return set(found.data.metrics), set(found.data.params), set(found.data.tags), files, keys

    assert first["run"] != second["run"]
    assert names(first["run"]) == names(second["run"])


class Killed(BaseException):
    """As a signal: no `except Exception` sees it."""


MOMENTS = {
    "when its model was being logged": (model.schema, "of_signature", False),
    "among the runs inside": (nested, "_finish", False),
    "when its version was being registered": (run, "register_model", False),
    "after its version was registered": (run, "conclude", True),
    "when the alias had moved": (note, "write", True),
}


@pytest.mark.parametrize(("where", "name", "kept"), MOMENTS.values(), ids=MOMENTS.keys())
def test_a_killed_run_is_made_whole(project, monkeypatch, where, name, kept):
    """Killed and registered again: one run with its runs inside, one model, one version, which holds the alias."""

    def kill(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, kill)
        with pytest.raises(Killed):
            project.register()
    client = store.connect()
    half = client.search_runs(["1"], "tags.fingerprint != ''")[0].info.run_id
    client.update_run(half, status="RUNNING")  # as it is left by a kill that Python does not hear of
    told = project.register()
    assert (told["run"] == half) == kept
    (whole,) = client.search_runs(["1"], "tags.fingerprint != ''")
    assert (whole.info.run_id, whole.info.status) == (told["run"], "FINISHED")
    assert {one.info.run_name for one in client.search_runs(["1"])} == {
        *nested.NETWORKS,
        "data",
        "evaluation",
        "synthetic, version 1",
    }
    assert len(client.search_runs(["1"])) == 7
    assert len(client.search_logged_models(["1"])) == 1
    (version,) = client.search_model_versions("name = 'alpr'")
    assert client.get_registered_model("alpr").aliases == {"challenger": 1, "champion": 1}
    assert version.description.startswith("# Model card")
    assert project.register() == told
