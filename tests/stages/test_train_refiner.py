"""The train_refiner stage: from crops and a detector to a checkpoint folder, and what it says when it cannot."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline import checkpoints, params
from pipeline.detectors import refiner
from pipeline.stages import train_refiner

ROOT = Path(__file__).parents[2]
SETTINGS = params.TrainRefiner(
    weights="none",
    epochs=1,
    epoch_looks=8,
    val_looks=6,
    batch_size=4,
    learning_rate=1e-3,
    patience=2,
    ema=0.5,
    mistaken_crops=4,
    mistaken_score=0.001,  # an untrained detector is never surer than 0.02
)


def changed(**changes) -> params.TrainRefiner:
    return SETTINGS.model_copy(update=changes)


def run(crops, detector, settings=SETTINGS, start=None):
    out = crops.parent / "out"
    train_refiner.train_refiner(crops, detector, out, crops.parent / "work", settings, 3, start)
    return out


def test_it_writes_a_checkpoint_and_the_curves(crops, detector) -> None:
    out = run(crops, detector)
    arrays, card = checkpoints.load(out)
    assert (card["kind"], card["epochs"]) == ("refiner", 1)
    assert card["parameters"] == sum(value.size for value in arrays.values())
    with (out / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["val_loss"]) == pytest.approx(card["val_loss"])
    assert checkpoints.read_seen(out) == {"b" * 64, "d" * 64}, "its own crops and the detector's, not those of val"
    refiner.load(refiner.build(), out)
    before = (out / "weights.npz").read_bytes()
    run(crops, detector)
    assert (out / "weights.npz").read_bytes() == before, "a finished training is not trained again"


def test_it_begins_from_a_start_and_has_seen_what_that_saw(crops, detector, tmp_path) -> None:
    """No epochs: what comes out is the start."""
    first, card = checkpoints.load(run(crops, detector, changed(epochs=0)))
    shifted = {name: value + 0.25 for name, value in first.items()}
    checkpoints.save(tmp_path / "start", shifted, card, ["e" * 64])
    out = run(crops, detector, changed(epochs=0), tmp_path / "start")
    for name, value in checkpoints.load(out)[0].items():
        np.testing.assert_allclose(value, shifted[name], rtol=1e-3, atol=1e-3)
    assert checkpoints.read_seen(out) == {"b" * 64, "d" * 64, "e" * 64}


def test_looks_are_of_both_splits_and_of_what_the_detector_mistakes(crops, detector, monkeypatch) -> None:
    asked = []

    def watched(folder, detect, most):
        found = mistakes(folder, detect, most)
        asked.append((folder.name, most, bool(found)))
        return found

    mistakes = refiner.mistakes
    monkeypatch.setattr(refiner, "mistakes", watched)
    train, validation = train_refiner.looks(crops, detector, SETTINGS, 3)
    assert (len(train), len(validation)) == (2, 1)
    assert asked == [("train", 4, True), ("val", 4, True)]
    assert not np.array_equal(train[0][0], validation[0][0])
    tiny, _ = train_refiner.looks(crops, detector, changed(epoch_looks=1, mistaken_crops=0), 3)
    assert len(tiny) == 1, "at least a batch"


@pytest.fixture
def stage(monkeypatch, tmp_path, crops, detector):
    """Runs main() with the small params, some of them changed, and no shipped weights."""
    whole = params.load(ROOT / "params.yaml")
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "weights")

    def call(finder=detector, start=None, **changes):
        settings = whole.model_copy(update={"train_refiner": changed(epochs=0, **changes)})
        monkeypatch.setattr(params, "load", lambda: settings)
        train_refiner.main(crops, finder, tmp_path / "out", tmp_path / "work", start)

    return call


def test_missing_checkpoints_are_a_sentence(stage, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"train_refiner: .*weights/refiner: no checkpoint here"):
        stage(weights="shipped")
    with pytest.raises(SystemExit, match=r"train_refiner: .*gone: no checkpoint here"):
        stage(start=tmp_path / "gone")
    with pytest.raises(SystemExit, match=r"train_refiner: .*gone: seen.txt is missing"):
        stage(finder=tmp_path / "gone")
    assert not (tmp_path / "out").exists()


def test_a_start_of_another_kind_is_a_sentence(stage, detector) -> None:
    with pytest.raises(SystemExit, match="is a checkpoint of a detector, not of a refiner"):
        stage(start=detector)


def test_crops_without_a_plate_are_a_sentence(stage, crops) -> None:
    np.save(crops / "val/kinds.npy", np.zeros((4, 1), np.uint8))
    with pytest.raises(SystemExit, match="val holds no crop with a plate"):
        stage()


def test_crops_that_are_missing_are_a_sentence(stage, crops) -> None:
    (crops / "train/images.npy").unlink()
    with pytest.raises(SystemExit, match="train does not hold the augmented crops"):
        stage()
