"""The train_student stage: from crops and a teacher to a checkpoint folder, and what it says when it cannot."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline import checkpoints, params
from pipeline.detectors import training
from pipeline.stages import train_student

ROOT = Path(__file__).parents[2]


def run(crops, teacher, settings, start=None):
    out = crops.parent / "out"
    train_student.train_student(crops, teacher, out, crops.parent / "work", settings, 3, start)
    return out


def test_it_writes_a_checkpoint_and_the_curves(crops, detector, small) -> None:
    out = run(crops, detector, small)
    arrays, card = checkpoints.load(out)
    assert {name: card[name] for name in training.ARCHITECTURE} == training.architecture(small)
    assert (card["kind"], card["epochs"], card["resolution"]) == ("detector", 1, 64)
    with (out / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["val_loss"]) == pytest.approx(card["val_loss"])
    assert checkpoints.read_seen(out) == {"b" * 64, "d" * 64}, "its own crops and its teacher's, not those of val"
    teacher, _ = checkpoints.load(detector)
    assert set(arrays) == set(teacher)
    assert any(not np.array_equal(arrays[name], teacher[name]) for name in arrays)
    before = (out / "weights.npz").read_bytes()
    run(crops, detector, small)
    assert (out / "weights.npz").read_bytes() == before, "a finished training is not trained again"


def test_it_begins_from_a_start_and_has_seen_what_that_saw(crops, detector, small, tmp_path) -> None:
    """No epochs: what comes out is the start."""
    arrays, card = checkpoints.load(detector)
    shifted = {name: value + 0.25 for name, value in arrays.items()}
    checkpoints.save(tmp_path / "start", shifted, card, ["e" * 64])
    out = run(crops, detector, small.model_copy(update={"epochs": 0}), tmp_path / "start")
    for name, value in checkpoints.load(out)[0].items():
        np.testing.assert_allclose(value, shifted[name], rtol=1e-3, atol=1e-3)
    assert checkpoints.read_seen(out) == {"b" * 64, "d" * 64, "e" * 64}


@pytest.fixture
def stage(monkeypatch, tmp_path, crops, detector, small):
    """Runs main() with the small params, some of them changed, and no shipped weights."""
    whole = params.load(ROOT / "params.yaml")
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "weights")

    def call(teacher=detector, start=None, **changes):
        settings = whole.model_copy(update={"train_student": small.model_copy(update={"epochs": 0, **changes})})
        monkeypatch.setattr(params, "load", lambda: settings)
        train_student.main(crops, teacher, tmp_path / "out", tmp_path / "work", start)

    return call


def test_missing_checkpoints_are_a_sentence(stage, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"train_student: .*weights/student: no checkpoint here"):
        stage(weights="shipped")
    with pytest.raises(SystemExit, match=r"train_student: .*gone: no checkpoint here"):
        stage(start=tmp_path / "gone")
    with pytest.raises(SystemExit, match=r"train_student: .*gone: seen.txt is missing"):
        stage(teacher=tmp_path / "gone")
    assert not (tmp_path / "out").exists()


def test_a_start_or_a_teacher_of_another_kind_is_a_sentence(stage, detector, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"another detector .*width: 16 there, 24 in params"):
        stage(start=detector, width=24)
    with pytest.raises(SystemExit, match="the teacher has corner at 8, the student ssd at 8"):
        stage(head="ssd", epochs=1)
    checkpoints.save(tmp_path / "reader", {"a": np.ones(1)}, {"kind": "reader"}, [])
    with pytest.raises(SystemExit, match="not a detector's"):
        stage(teacher=tmp_path / "reader", epochs=1)


def test_crops_that_are_missing_are_a_sentence(stage, crops) -> None:
    (crops / "val/kinds.npy").unlink()
    with pytest.raises(SystemExit, match="val does not hold the augmented crops"):
        stage()
