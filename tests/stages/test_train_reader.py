"""The train_reader stage: from stored crops to a checkpoint folder, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline import checkpoints, fitting, params
from pipeline.calibration import Calibration
from pipeline.readers import training
from pipeline.readers.crops import region_codes
from pipeline.stages import train_reader

SETTINGS = params.TrainReader(
    weights="none",
    width=8,
    decoder="slots",
    epochs=1,
    batch_size=8,
    learning_rate=1e-3,
    patience=2,
    ema=0.5,
    precision="float32",
)


def write_split(folder: Path, count: int, seen: str) -> None:
    folder.mkdir(parents=True)
    np.save(folder / "crops.npy", np.random.default_rng(0).integers(0, 256, (count, 64, 192), dtype=np.uint8))
    labels = np.full((count, 14), -1, np.int8)
    labels[:, :3] = 7
    labels[::2, 12:] = (3, 1)
    np.save(folder / "labels.npy", labels)
    (folder / "seen.txt").write_text(seen)


def test_it_writes_a_checkpoint_and_the_curves(tmp_path: Path) -> None:
    write_split(tmp_path / "data/train", 16, "b" * 64 + "\n")
    write_split(tmp_path / "data/val", 8, "c" * 64 + "\n")
    train_reader.train_reader(tmp_path / "data", tmp_path / "out", tmp_path / "work", SETTINGS, seed=3)
    arrays, card = checkpoints.load(tmp_path / "out")
    assert card["kind"] == "reader"
    assert card["width"] == 8
    assert card["epochs"] == 1
    assert card["regions"] == list(region_codes())
    assert list(card["calibrations"]) == ["slots"]
    assert (card["val_exact"], card["val_given"], card["val_given_wrong"]) == (0.0, 0.0, 0.0)  # it read noise
    assert Calibration.of(card["calibrations"]["slots"]).threshold == 1.01
    assert 0.0 <= card["val_calibration_error"] <= 1.0
    assert all(value.dtype == np.float16 for value in arrays.values())
    assert checkpoints.read_seen(tmp_path / "out") == {"b" * 64}  # val is looked at, not learnt from
    assert (tmp_path / "out/history.csv").read_text().splitlines()[0] == "epoch,loss,val_loss"
    first = (tmp_path / "out/weights.npz").read_bytes()
    train_reader.train_reader(tmp_path / "data", tmp_path / "out", tmp_path / "work", SETTINGS, seed=3)
    assert (tmp_path / "out/weights.npz").read_bytes() == first


def test_what_is_given_is_measured_with_the_threshold_that_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On scores that a network might have given: 0.9 is always right, 0.3 never."""
    write_split(tmp_path / "data/train", 8, "")
    write_split(tmp_path / "data/val", 8, "")
    judged = np.array([0.9] * 30 + [0.3] * 10), np.array([True] * 30 + [False] * 10)
    monkeypatch.setattr(training, "judged", lambda network, data, decoder: judged)
    settings = SETTINGS.model_copy(update={"epochs": 0, "precision": "bfloat16"})
    try:
        train_reader.train_reader(tmp_path / "data", tmp_path / "out", tmp_path / "work", settings, seed=3)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        fitting.compute_in("float32")
    card = checkpoints.read_card(tmp_path / "out")
    assert (card["val_exact"], card["val_given"], card["val_given_wrong"]) == (0.75, 0.75, 0.0)
    calibration = Calibration.of(card["calibrations"]["slots"])
    assert calibration(0.3) < calibration.threshold <= calibration(0.9)
    assert card["val_calibration_error"] < 0.15


def test_missing_shipped_weights_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path)
    with pytest.raises(checkpoints.CheckpointError, match=r"set train_reader\.weights to none"):
        train_reader.starting_weights("shipped")
    assert train_reader.starting_weights("none") is None


def test_errors_reach_the_user_as_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run from the project's root"):
        train_reader.main(tmp_path / "data", tmp_path / "out")
