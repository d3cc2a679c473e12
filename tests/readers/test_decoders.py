"""Each decoder on features: its shape, and that its loss is small for the right logits and large for others."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.readers.decoders import CLASSES, DECODERS
from pipeline.readers.decoding import BLANK, DECODE, encode

STEPS = {"ctc": 96, "slots": 12, "attention": 12}
TEXTS = ["", "A", "AA", "AAB11", "0" * 12, "0123456789AB"]


def labels_of(*texts: str) -> np.ndarray:
    return np.stack([encode(text) for text in texts])


def perfect(label: np.ndarray, decoder: str, upper: int) -> np.ndarray:
    """Logits that are sure of a label, (steps, 37): for CTC the upper row in the first half of the steps and the lower
    one in the second, with a blank after each character."""
    logits = np.zeros((STEPS[decoder], CLASSES), np.float32)
    wanted = np.full(len(logits), BLANK)
    characters = label[label >= 0]
    if decoder == "ctc":
        wanted[: 2 * upper : 2] = characters[:upper]
        wanted[48 : 48 + 2 * (len(characters) - upper) : 2] = characters[upper:]
    else:
        wanted[: len(characters)] = characters
    logits[np.arange(len(logits)), wanted] = 20.0
    return logits


def loss_of(decoder: str, labels: np.ndarray, upper: list[int], logits: np.ndarray) -> np.ndarray:
    return np.asarray(DECODERS[decoder].loss(labels, np.array(upper), logits))


def test_every_decoder_has_its_way_to_a_text() -> None:
    assert set(DECODERS) == set(DECODE) == set(STEPS)
    assert CLASSES == BLANK + 1 == 37


@pytest.mark.parametrize("decoder", DECODERS)
def test_features_become_logits(decoder: str) -> None:
    features = keras.Input((4, 48, 16))
    model = keras.Model(features, DECODERS[decoder].build(features))
    logits = np.asarray(model(np.random.default_rng(0).normal(0, 1, (2, 4, 48, 16)).astype(np.float32)))
    assert logits.shape == (2, STEPS[decoder], CLASSES)
    assert np.ptp(logits, axis=0).max() > 1e-3, "two crops, two answers"
    assert STEPS[decoder] >= (2 * 12 - 1 if decoder == "ctc" else 12)  # 12 equal characters with blanks between


# how many characters of each text are above, -1 where that is unknown
ROWS = {
    "one row": [len(text) for text in TEXTS],
    "two rows": [0, 1, 1, 3, 6, 5],
    "all below": [0] * len(TEXTS),
    "unknown": [-1] * len(TEXTS),
}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_right_logits_cost_nothing_and_wrong_ones_much(decoder: str, rows: list[int]) -> None:
    labels = labels_of(*TEXTS)
    above = [len(text) // 2 if upper < 0 else upper for text, upper in zip(TEXTS, rows, strict=True)]
    right = np.stack([perfect(label, decoder, upper) for label, upper in zip(labels, above, strict=True)])
    np.testing.assert_allclose(loss_of(decoder, labels, rows, right), 0, atol=1e-3)
    assert (loss_of(decoder, labels, rows, np.roll(right, 1, axis=0)) > 5).all()


def test_ctc_learns_each_row_in_its_lane() -> None:
    labels = labels_of("AB12")
    below = perfect(labels[0], "ctc", 2)[None]
    assert loss_of("ctc", labels, [2], below) < 1e-3
    assert loss_of("ctc", labels, [-1], below) < 1e-3
    assert loss_of("ctc", labels, [4], below) > 5, "1 and 2 stand in the other lane"
    assert loss_of("ctc", labels, [0], below) > 5


@pytest.mark.parametrize("decoder", ["slots", "attention"])
def test_places_are_learnt_whatever_the_rows(decoder: str) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (3, 12, CLASSES)).astype(np.float32)
    labels = labels_of("AB12", "A", "")
    np.testing.assert_array_equal(
        loss_of(decoder, labels, [2, 1, 0], logits), loss_of(decoder, labels, [-1, -1, -1], logits)
    )


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("upper", [[1, 0], [-1, -1]], ids=["known", "unknown"])
def test_labels_may_be_of_any_whole_numbers_and_logits_of_half_precision(decoder: str, upper: list[int]) -> None:
    labels = labels_of("A1", "")
    logits = np.random.default_rng(0).normal(0, 2, (2, STEPS[decoder], CLASSES)).astype(np.float32)
    expected = loss_of(decoder, labels.astype(np.int32), upper, logits)
    np.testing.assert_allclose(loss_of(decoder, labels, upper, logits), expected, rtol=1e-6)
    half = loss_of(decoder, labels, upper, keras.ops.cast(logits, "bfloat16"))
    np.testing.assert_allclose(half, expected, rtol=0.02)


def test_ctc_loss_of_a_certain_path_is_the_probability_it_leaves() -> None:
    """Two steps, one in each lane: minus the logarithm of the posteriors of a character, or of a blank, in each."""
    logits = np.zeros((4, 2, CLASSES), np.float32)
    logits[:, 0, 5] = 3.0
    sure, blank = np.log(np.exp(3.0) + BLANK) - 3.0, np.log(np.exp(3.0) + BLANK)
    flat = np.log(CLASSES)
    found = loss_of("ctc", labels_of("5", "5", "", "57"), [1, 0, 0, 1], logits)
    assert found == pytest.approx([sure + flat, blank + flat, blank + flat, sure + flat], abs=1e-4)


def test_ctc_loss_of_unknown_rows_is_that_of_all_ways_to_the_text() -> None:
    """5 in the first step or in the second or in both."""
    logits = np.random.default_rng(0).normal(0, 1, (1, 2, CLASSES)).astype(np.float32)
    first, second = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=1, keepdims=True)
    ways = first[5] * second[BLANK] + first[BLANK] * second[5] + first[5] * second[5]
    assert loss_of("ctc", labels_of("5"), [-1], logits) == pytest.approx([-np.log(ways)], abs=1e-4)


def test_slots_loss_is_the_sum_of_the_places_and_nothing_is_learnt_after_the_end() -> None:
    logits = np.zeros((2, 12, CLASSES), np.float32)
    labels = labels_of("A", "")
    assert loss_of("slots", labels, [1, 0], logits) == pytest.approx([12 * np.log(CLASSES)] * 2, rel=1e-5)
    logits[0, 0, 10] = 3.0  # A
    logits[1, 0, BLANK] = 3.0
    gained = np.log(CLASSES) - (np.log(np.exp(3.0) + BLANK) - 3.0)
    expected = [12 * np.log(CLASSES) - gained] * 2
    assert loss_of("slots", labels, [1, 0], logits) == pytest.approx(expected, rel=1e-5)
