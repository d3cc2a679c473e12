"""What goes to MLflow."""

import pytest

from pipeline.tracking import runs
from pipeline.tracking.store import TrackingError


def test_figures_are_the_finite_numbers_by_dotted_name():
    document = {"a": {"b": 1, "c": None, "reason": "x"}, "d<5": True, "e": float("inf"), "16 to 24 px": 0.5, "f": [1]}
    assert runs.figures(document) == {"a.b": 1.0, "d_5": 1.0, "16 to 24 px": 0.5}


def test_read_metrics_leaves_the_registration_out_and_names_a_damaged_file(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"a": 1}')
    (tmp_path / "registration.json").write_text('{"version": 1}')
    assert runs.read_metrics(tmp_path) == {"evaluation": {"a": 1}}
    (tmp_path / "evaluation.json").write_text('{"a"')
    with pytest.raises(TrackingError, match=str(tmp_path)):
        runs.read_metrics(tmp_path)


def test_read_curves(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,\n")
    assert runs.read_curves(path) == [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.4}]


def test_read_precision_recall(tmp_path):
    path = tmp_path / "precision_recall.csv"
    assert runs.read_precision_recall(path) == []
    path.write_text("recall,precision,score\n0.5,1.0,0.9\n1.0,0.25,0.1\n")
    assert runs.read_precision_recall(path) == [(0.5, 1.0), (1.0, 0.25)]


def test_data_hashes_are_those_of_listed_sources_below_data(tmp_path):
    lock = tmp_path / "dvc.lock"
    assert runs.data_hashes(lock, ["a"]) == {}
    lock.write_text(
        "schema: '2.0'\nstages:\n"
        "  pull@a:\n    cmd: x\n    outs:\n    - {path: data/raw/a, md5: 1.dir}\n"
        "  pull@b:\n    cmd: x\n    outs:\n    - {path: data/raw/b, md5: 2.dir}\n"
        "  train:\n    cmd: x\n    outs:\n    - {path: models/m, md5: 3.dir}\n"
        "  sync:\n    cmd: x\n"
    )
    assert runs.data_hashes(lock, ["a"]) == {"data/raw/a": "1.dir"}
    lock.write_text("")
    with pytest.raises(TrackingError, match="alpr doctor"):
        runs.data_hashes(lock, ["a"])
