"""Stored crops, the loss, what is judged, and that a network learns, is saved, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline import checkpoints, fitting
from pipeline.alphabet import CHARACTERS
from pipeline.calibration import Calibration
from pipeline.readers import training
from pipeline.readers.crops import LABEL, Said, as_input, region_codes, stack
from pipeline.readers.decoders import DECODERS
from pipeline.readers.decoding import BLANK, encode
from pipeline.readers.layers import StandardConv


def bars(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    """Crops with as many bars as the text has characters, lower where it is L; one of Sweden, others of no known
    country. A text with an L is said to have one character above."""
    crops = []
    for text in texts:
        crop = np.full((64, 192), 230, np.uint8)
        for place, character in enumerate(text):
            crop[10 if character == "1" else 40 : 54, 20 + 34 * place : 30 + 34 * place] = 20
        crops.append(crop)
    said = [Said(text, 1 if "L" in text else len(text), None if index else "SE") for index, text in enumerate(texts)]
    return stack(crops, said)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, dict, dict, Path]:
    """(network of every decoder, its losses before, and after 40 steps on four crops, its checkpoint)."""
    folder = tmp_path_factory.mktemp("learnt")
    crops, labels = bars("1", "11", "1L1", "")
    keras.utils.set_random_seed(1)
    network, seen = training.start(None, 8, tuple(DECODERS))
    assert not seen
    before = parts(network, crops, labels)
    train = training.StoredCrops(np.tile(crops, (40, 1, 1)), np.tile(labels, (40, 1)), 4)
    schedule = fitting.Schedule(epochs=1, learning_rate=5e-3, patience=9, ema=0.5)
    fitting.fit(network, training.loss, train, None, schedule, folder / "work", "bars", verbose=0)
    calibrations = {name: Calibration(1.5, -0.25, 0.75) for name in DECODERS}
    training.save(network, folder / "reader", 8, calibrations, ["a" * 64], {"epochs": 1})
    return network, before, parts(network, crops, labels), folder / "reader"


def parts(network: keras.Model, crops: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in training.loss(labels, network(as_input(crops))).items()}


@pytest.mark.parametrize("part", [*DECODERS, "region"])
def test_every_loss_falls_when_four_crops_are_learnt_by_heart(learnt, part: str) -> None:
    _, before, after, _ = learnt
    assert after[part] < 0.5 * before[part]


def test_a_checkpoint_says_what_it_is(learnt) -> None:
    _, _, _, folder = learnt
    arrays, card = checkpoints.load(folder)
    assert (card["kind"], card["width"], card["epochs"]) == ("reader", 8, 1)
    assert card["regions"] == list(region_codes())
    assert card["calibrations"]["slots"] == {"slope": 1.5, "intercept": -0.25, "threshold": 0.75}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert checkpoints.read_seen(folder) == {"a" * 64}


def test_it_comes_back_as_it_was_saved(learnt) -> None:
    network, _, _, folder = learnt
    again, seen = training.start(folder, 8, tuple(DECODERS))
    assert seen == {"a" * 64}
    batch = as_input(bars("1", "11")[0])
    for name, value in network(batch).items():
        np.testing.assert_allclose(np.asarray(again(batch)[name]), np.asarray(value), atol=0.1)


def test_a_decoder_may_be_left_out_or_start_fresh(learnt, tmp_path: Path) -> None:
    network, _, _, folder = learnt
    batch = as_input(bars("1L1")[0])
    alone, _ = training.start(folder, 8, ("slots",))
    assert set(alone(batch)) == {"slots", "region"}
    np.testing.assert_allclose(np.asarray(alone(batch)["slots"]), np.asarray(network(batch)["slots"]), atol=0.1)
    training.save(alone, tmp_path / "slots", 8, {"slots": Calibration()}, [], {})
    both, _ = training.start(tmp_path / "slots", 8, ("ctc", "slots"))
    np.testing.assert_allclose(np.asarray(both(batch)["slots"]), np.asarray(network(batch)["slots"]), atol=0.1)
    assert not np.allclose(np.asarray(both(batch)["ctc"]), np.asarray(network(batch)["ctc"]), atol=0.5)


def test_regions_are_found_again_by_their_codes(learnt, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, _, folder = learnt
    codes = region_codes()
    changed = ("AA", *reversed(codes))  # a new country's file, and another order
    monkeypatch.setattr(training, "region_codes", lambda: changed)
    again, _ = training.start(folder, 8)
    batch = as_input(bars("1", "11")[0])
    found, expected = np.asarray(again(batch)["region"]), np.asarray(network(batch)["region"])
    assert found.shape == (2, len(codes) + 1)
    np.testing.assert_allclose(found[:, :0:-1], expected, atol=0.1)


@pytest.mark.parametrize(
    ("card", "message"),
    [({"kind": "reader", "width": 16}, "of width 16"), ({"kind": "detector"}, "a detector of width None")],
    ids=["another width", "another network"],
)
def test_another_network_s_checkpoint_is_refused(tmp_path: Path, card: dict[str, object], message: str) -> None:
    checkpoints.save(tmp_path, {"a": np.ones(1)}, card, [])
    with pytest.raises(checkpoints.CheckpointError, match=message):
        training.start(tmp_path, 8)


def test_frozen_is_all_that_the_checkpoint_holds(learnt, tmp_path: Path) -> None:
    network, _, _, folder = learnt
    alone, _ = training.start(folder, 8, ("ctc",))
    training.save(alone, tmp_path, 8, {"ctc": Calibration()}, [], {})
    both, _ = training.start(tmp_path, 8, ("ctc", "slots"))
    training.freeze(both, tmp_path)
    held = {name.split("/")[0] for name in checkpoints.load(tmp_path)[0]}
    trained = {variable.path.split("/")[0] for variable in both.trainable_variables}
    assert trained == {"slots_maps", "slots_hidden", "slots"}
    assert not trained & held
    with pytest.raises(checkpoints.CheckpointError, match="nothing to freeze"):
        training.freeze(network, None)


@pytest.fixture
def single_precision() -> Iterator[None]:
    yield
    fitting.compute_in("float32")


def test_training_may_compute_in_half_precision_on_weights_in_single(single_precision: None) -> None:
    fitting.compute_in("bfloat16")
    network, _ = training.start(None, 8)
    layer = next(layer for layer in network.layers if isinstance(layer, StandardConv))
    assert layer.compute_dtype == "bfloat16"
    assert {variable.dtype for variable in network.weights} == {"float32"}
    outputs = network(as_input(bars("1")[0]))
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"float32"}
    fitting.compute_in("float32")
    assert training.start(None, 8)[0].get_layer(layer.name).compute_dtype == "float32"


REGIONS = {
    "both known": ([0, 3], 0.1 * np.log(5)),
    "one known": ([-1, 3], 0.1 * np.log(5)),
    "none known": ([-1, -1], 0.0),
}


@pytest.mark.parametrize(("regions", "expected"), REGIONS.values(), ids=REGIONS.keys())
def test_an_unknown_region_is_not_learnt(regions: list[int], expected: float) -> None:
    labels = np.full((2, LABEL), -1, np.int32)
    labels[:, -1] = regions
    outputs = {"slots": np.zeros((2, 12, 37), np.float32), "region": np.zeros((2, 5), np.float32)}
    found = training.loss(labels, outputs)
    assert set(found) == {"slots", "region"}
    assert float(found["region"]) == pytest.approx(expected, rel=1e-5)
    assert float(found["slots"]) == pytest.approx(12 * np.log(37), rel=1e-5)


def test_stored_crops_shuffle_by_epoch_only() -> None:
    crops, labels = bars(*(["1", "11", "111", "1L"] * 5))
    data = training.StoredCrops(crops, labels, 8, seed=1, shuffle=True)
    assert (len(data), data.count) == (3, 20)
    first = [data[index] for index in range(3)]
    assert [len(batch[1]) for batch in first] == [8, 8, 4]
    assert np.array_equal(data[1][0], first[1][0])
    data.epoch = 1
    assert not np.array_equal(data[1][1], first[1][1])
    seen = np.concatenate([labels for _, labels in first])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, labels.astype(np.int32)))


class Fixed:
    """A network that says one of the texts by the crop's grey, the surer the brighter."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.output = {"slots": None, "region": None}

    def __call__(self, crops: np.ndarray, training: bool = False) -> dict[str, np.ndarray]:
        logits = np.zeros((len(crops), 12, BLANK + 1), np.float32)
        for row, crop in zip(logits, crops, strict=True):
            text = self.texts[int(crop[0, 0, 0])]
            for place in range(12):
                row[place, CHARACTERS.index(text[place]) if place < len(text) else BLANK] = 10 + crop[0, 0, 0]
        return {"slots": logits, "region": np.zeros((len(crops), 3), np.float32)}


def judged_data(*labels: str) -> training.StoredCrops:
    crops = np.tile(np.arange(len(labels), dtype=np.uint8)[:, None, None], (1, 64, 192))
    rows = np.concatenate([np.stack([encode(text) for text in labels]), np.full((len(labels), 2), -1)], axis=1)
    return training.StoredCrops(crops, rows, 2)


def test_what_is_judged() -> None:
    """Read, misread, nothing to be read, not read, part of it read: in order, and crops without a text apart."""
    network, data = Fixed("A1", "B8", "C", "", "D1"), judged_data("A1", "BB", "", "X", "D12")
    scores, right = training.judged(network, data, "slots")
    assert right.tolist() == [True, False, False, False]
    assert right.mean() == 0.25
    sure = [(np.exp(c) / (np.exp(c) + BLANK)) for c in (10, 11, 14)]
    places = [3, 3, 3]  # two characters and the end
    assert scores.tolist() == pytest.approx(
        [sure[0] ** places[0], sure[1] ** places[1], 0.0, sure[2] ** places[2]], rel=1e-5
    )
    assert training.decoders_of(network) == ["slots"]


def test_where_nothing_is_to_be_read_there_is_no_share() -> None:
    assert [len(part) for part in training.judged(Fixed("A"), judged_data(""), "slots")] == [0, 0]


CROPS, LABELS = np.zeros((2, 64, 192), np.uint8), np.full((2, LABEL), -1, np.int8)


def test_stored_data_is_found(tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", CROPS)
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "seen.txt").write_text("a\nb\n")
    crops, labels, seen = training.load_stored(tmp_path)
    assert isinstance(crops, np.memmap)
    assert (crops.shape, labels.shape, seen) == (CROPS.shape, LABELS.shape, ["a", "b"])


UNUSABLE = {
    "missing": ({}, "run the augment stage first"),
    "another height": ({"crops": CROPS[:, :32], "labels": LABELS}, r"crops \(2, 32, 192\)"),
    "another count": ({"crops": CROPS, "labels": LABELS[:1]}, r"labels \(1, 14\)"),
    "labels without a region": ({"crops": CROPS, "labels": LABELS[:, :12]}, r"labels \(2, 12\), wanted .* \(N, 14\)"),
    "objects": ({"crops": CROPS, "labels": np.array([{}], object)}, "damaged array"),
}


@pytest.mark.parametrize(("files", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_stored_data_that_cannot_be_used(tmp_path: Path, files: dict[str, np.ndarray], message: str) -> None:
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "seen.txt").write_text("")
    with pytest.raises(training.DataError, match=message) as caught:
        training.load_stored(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "augment stage" in str(caught.value)
