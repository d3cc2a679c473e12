"""Labels, and what each decoder's logits say: by hand, and against every path there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS
from pipeline.readers.decoding import BLANK, DECODE, NO_READ, ctc, encode, slots, text_probability


def logits_of(path: str, certainty: float = 12.0) -> np.ndarray:
    """One step a letter of `path`, '-' for blank or nothing: (T, 37)."""
    logits = np.zeros((len(path), BLANK + 1), np.float32)
    for step, letter in enumerate(path):
        logits[step, BLANK if letter == "-" else CHARACTERS.index(letter)] = certainty
    return logits


def perfect(label: np.ndarray, decoder: str) -> np.ndarray:
    """Logits that are sure of a label: for CTC with a blank after each character and many at the end, (96, 37)."""
    logits = np.zeros((96 if decoder == "ctc" else len(label), BLANK + 1), np.float32)
    wanted = np.full(len(logits), BLANK)
    characters = label[label >= 0]
    wanted[: len(characters) * (2 if decoder == "ctc" else 1) : 2 if decoder == "ctc" else 1] = characters
    logits[np.arange(len(logits)), wanted] = 20.0
    return logits


TEXTS = ["", "A", "AA", "AAB11", "AB12", "0" * 12, "0123456789AB", "MNOPQRSTUVWX"]


@pytest.mark.parametrize("decoder", DECODE)
@pytest.mark.parametrize("text", TEXTS)
def test_what_was_encoded_is_decoded(decoder: str, text: str) -> None:
    reading = DECODE[decoder](perfect(encode(text), decoder))
    assert reading.text == text
    assert reading.score == pytest.approx(1.0 if text else 0.0, abs=1e-4)
    assert reading.char_scores == pytest.approx((1.0,) * len(text), abs=1e-4)


def test_encode_pads_with_minus_one() -> None:
    assert encode("A0").tolist() == [10, 0] + [-1] * 10
    assert encode("").tolist() == [-1] * 12


@pytest.mark.parametrize("text", ["A" * 13, "a", "京A1", "A B"])
def test_encode_refuses_what_does_not_fit(text: str) -> None:
    with pytest.raises(ValueError, match="at most 12"):
        encode(text)


PATHS = {
    "nothing": ("----", ""),
    "held": ("AAAA", "A"),
    "repeated": ("A-A-", "AA"),
    "no blanks": ("AB12", "AB12"),
    "held and apart": ("--A--BB-1", "AB1"),
    "12 characters": ("0123456789AB", "0123456789AB"),
    "13 characters are no plate": ("0123456789ABC", ""),
}


@pytest.mark.parametrize(("path", "text"), PATHS.values(), ids=PATHS.keys())
def test_ctc_collapses_repeats_and_drops_blanks(path: str, text: str) -> None:
    reading = ctc(logits_of(path))
    assert reading.text == text
    assert len(reading.char_scores) == len(text)
    if not text:
        assert reading == NO_READ


def test_ctc_scores_each_character_by_its_best_step() -> None:
    logits = np.concatenate([logits_of("A", 3.0), logits_of("A", 6.0), logits_of("-"), logits_of("B", 4.0)])
    reading = ctc(logits)
    expected = [np.exp(c) / (np.exp(c) + BLANK) for c in (6.0, 4.0)]
    assert reading.char_scores == pytest.approx(expected)
    assert reading.score < min(reading.char_scores)


def test_text_probability_is_the_sum_over_all_alignments() -> None:
    """Against every path of 4 steps over 3 classes, collapsed by hand."""
    rng = np.random.default_rng(0)
    for classes in ([0], [0, 1], [0, 0], [1, 0, 1]):
        posteriors = np.zeros((4, BLANK + 1))
        posteriors[:, [0, 1, BLANK]] = rng.dirichlet(np.ones(3), 4)
        total = 0.0
        for path in itertools.product([0, 1, BLANK], repeat=4):
            if [key for key, _ in itertools.groupby(path) if key != BLANK] == classes:
                total += float(np.prod([posteriors[step, symbol] for step, symbol in enumerate(path)]))
        assert text_probability(posteriors, classes) == pytest.approx(total)


PLACES = {
    "nothing": ("-" * 12, ""),
    "repeated": ("AA1" + "-" * 9, "AA1"),
    "after the first nothing comes nothing": ("AB-1" + "-" * 8, "AB"),
    "all places taken": ("0123456789AB", "0123456789AB"),
    "nothing at the start": ("-A1" + "-" * 9, ""),
}


@pytest.mark.parametrize(("places", "text"), PLACES.values(), ids=PLACES.keys())
def test_slots_end_with_the_first_that_holds_nothing(places: str, text: str) -> None:
    reading = slots(logits_of(places))
    assert reading.text == text
    assert len(reading.char_scores) == len(text)
    if not text:
        assert reading == NO_READ


def test_slots_are_as_sure_as_all_places_and_the_end_together() -> None:
    logits = np.concatenate([logits_of("A", 3.0), logits_of("B", 4.0), logits_of("-", 5.0), logits_of("C" * 9, 1.0)])
    a, b, end = (np.exp(c) / (np.exp(c) + BLANK) for c in (3.0, 4.0, 5.0))
    reading = slots(logits)
    assert (reading.text, reading.char_scores) == ("AB", pytest.approx((a, b)))
    assert reading.score == pytest.approx(a * b * end)
    full = slots(logits_of("0123456789AB", 3.0))
    assert full.score == pytest.approx(a**12)  # there is no place left for an end


@pytest.mark.parametrize("decoder", DECODE)
def test_large_logits_of_half_precision_do_not_overflow(decoder: str) -> None:
    logits = logits_of("A-B" + "-" * 9, 6e4).astype(np.float16)
    reading = DECODE[decoder](logits)
    assert reading.score == pytest.approx(1.0)
    assert np.isfinite(reading.char_scores).all()
