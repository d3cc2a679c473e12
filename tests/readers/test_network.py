"""The network: its shapes, its loss, and that it learns and comes back as it was saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline import checkpoints, fitting
from pipeline.readers import network, training
from pipeline.readers.crops import as_input, stack
from pipeline.readers.reader import BLANK, encode


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops with one to three bars, and as many 1s as label: the smallest thing there is to read."""
    rng = np.random.default_rng(seed)
    crops, texts = [], []
    for _ in range(count):
        number = int(rng.integers(1, 4))
        crop = np.full((64, 192), 230, np.uint8)
        for place in rng.choice(5, number, replace=False):
            crop[10:54, 20 + 34 * place : 30 + 34 * place] = 20
        crops.append(crop)
        texts.append("1" * number)
    return stack(crops, texts)


def test_shapes_and_size() -> None:
    model = network.build(32)
    assert model.count_params() < 800_000
    assert model(np.zeros((2, 64, 192, 1), np.float32)).shape == (2, 2 * network.STEPS, network.CLASSES)
    assert network.STEPS >= 2 * 12  # a lane holds 12 equal characters with blanks between


def test_ctc_loss_of_a_certain_path_is_the_probability_it_leaves() -> None:
    """One step, one character: minus the logarithm of its posterior; and the empty text where all is blank."""
    logits = np.zeros((2, 1, BLANK + 1), np.float32)
    logits[0, 0, 5] = 3.0
    labels = np.full((2, 12), -1, np.int8)
    labels[0, 0] = 5
    found = np.asarray(network.ctc_loss(labels, np.array([1, 0], np.int32), logits))
    expected = [np.log(np.exp(3.0) + BLANK) - 3.0, np.log(BLANK + 1)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_it_learns_is_saved_and_comes_back(tmp_path: Path) -> None:
    crops, labels = bars(64, seed=0)
    train = training.StoredCrops(crops, labels, 16, seed=1, shuffle=True)
    held_out = training.StoredCrops(*bars(16, seed=1), 16, seed=1, shuffle=False)
    model, seen = training.start(None, 16)
    assert not seen
    schedule = fitting.Schedule(epochs=3, learning_rate=3e-3, patience=9, ema=0.5)
    history = fitting.fit(model, training.loss, train, held_out, schedule, tmp_path / "work", "bars", verbose=0)
    assert history[-1]["loss"] < history[0]["loss"] / 2
    training.save(model, tmp_path / "reader", 16, ["a" * 64], {"epochs": 3})
    again, seen = training.start(tmp_path / "reader", 16)
    assert seen == {"a" * 64}
    batch = as_input(crops[:4])
    np.testing.assert_allclose(np.asarray(again(batch)), np.asarray(model(batch)), atol=0.05)
    with pytest.raises(checkpoints.CheckpointError, match="width 16"):
        training.start(tmp_path / "reader", 32)


def test_stored_crops_shuffle_by_epoch_only() -> None:
    crops, labels = bars(20, seed=0)
    data = training.StoredCrops(crops, labels, 8, seed=1, shuffle=True)
    assert len(data) == 3
    first = [data[index] for index in range(3)]
    assert [len(batch[1]) for batch in first] == [8, 8, 4]
    assert np.array_equal(data[1][0], first[1][0])
    data.epoch = 1
    assert not np.array_equal(data[1][1], first[1][1])
    seen = np.concatenate([labels for _, labels in first])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, labels.astype(np.int32)))


def test_the_share_read_without_a_mistake() -> None:
    class Fixed:
        def __call__(self, crops: np.ndarray, training: bool = False) -> np.ndarray:
            logits = np.zeros((len(crops), 3, BLANK + 1), np.float32)
            logits[:, 0, 1] = logits[:, 1, BLANK] = logits[:, 2, BLANK] = 9.0
            return logits

    labels = np.stack([encode(text) for text in ("1", "11", "1", "")])
    data = training.StoredCrops(np.zeros((4, 64, 192), np.uint8), labels, 3, seed=0, shuffle=False)
    assert training.exact_match(Fixed(), data) == pytest.approx(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "run the augment stage first"),
        ({"crops.npy": np.zeros((2, 32, 192), np.uint8), "labels.npy": np.zeros((2, 12), np.int8)}, "reader_height"),
        ({"crops.npy": np.zeros((2, 64, 192), np.uint8), "labels.npy": np.zeros((3, 12), np.int8)}, "labels"),
    ],
    ids=["missing", "other height", "other count"],
)
def test_stored_data_that_cannot_be_used(tmp_path: Path, files: dict[str, np.ndarray], message: str) -> None:
    for name, array in files.items():
        np.save(tmp_path / name, array)
    (tmp_path / "seen.txt").write_text("")
    with pytest.raises(training.DataError, match=message):
        training.load_stored(tmp_path)
