"""Preparing crops, labels, CTC decoding, and the reader on ONNX Runtime."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle
from pipeline.readers import reader
from pipeline.readers.reader import (
    BLANK,
    NO_READ,
    NetworkReader,
    decode,
    encode,
    prepare,
    text_probability,
)


def logits_of(path: str, certainty: float = 12.0) -> np.ndarray:
    """One step a letter of `path`, '-' for blank: (T, 37)."""
    logits = np.zeros((len(path), BLANK + 1), np.float32)
    for step, letter in enumerate(path):
        logits[step, BLANK if letter == "-" else CHARACTERS.index(letter)] = certainty
    return logits


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("----", ""),
        ("AAAA", "A"),
        ("A-A-", "AA"),
        ("AB12", "AB12"),
        ("--A--BB-1", "AB1"),
        ("0123456789ABC", ""),  # 13 characters: no plate
    ],
    ids=["nothing", "held", "repeated", "no blanks", "both", "too long"],
)
def test_decode_collapses_repeats_and_drops_blanks(path: str, text: str) -> None:
    reading = decode(logits_of(path))
    assert reading.text == text
    assert len(reading.char_scores) == len(text)
    if not text:
        assert reading == NO_READ


def test_decode_scores_each_character_by_its_best_step() -> None:
    logits = np.concatenate([logits_of("A", 3.0), logits_of("A", 6.0), logits_of("-"), logits_of("B", 4.0)])
    reading = decode(logits)
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


def test_encode_pads_with_minus_one() -> None:
    assert encode("A0").tolist() == [10, 0] + [-1] * 10
    assert encode("").tolist() == [-1] * 12


@pytest.mark.parametrize("text", ["A" * 13, "a", "京A1"])
def test_encode_refuses_what_does_not_fit(text: str) -> None:
    with pytest.raises(ValueError, match="at most 12"):
        encode(text)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (64, 192), (20, 90), (700, 1600), (40, 400)])
def test_prepare_takes_any_size(shape: tuple[int, int]) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    grey = prepare(crop)
    assert grey.shape == (64, 192)
    assert grey.dtype == np.uint8


def test_prepare_fills_the_range_of_a_dull_crop_but_does_not_blow_up_a_flat_one() -> None:
    dull = np.full((64, 192, 3), 90, np.uint8)
    dull[20:40, 50:150] = 150
    assert prepare(dull).min() == 0
    assert prepare(dull).max() == 255
    grainy = np.random.default_rng(0).integers(100, 103, (64, 192, 3), dtype=np.uint8)
    assert int(prepare(grainy).max()) - int(prepare(grainy).min()) < 40


class FakeSession:
    """Says AB1 to bright crops, nothing to dark ones, and remembers the batches it was given."""

    def __init__(self, *_: object) -> None:
        self.batches: list[int] = []

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        assert batch.shape[1:] == (64, 192, 1)
        assert batch.dtype == np.float32
        self.batches.append(len(batch))
        return {"logits": np.stack([logits_of("-A-B1" if crop.mean() > 127 else "-----") for crop in batch])}


def write_bundle(folder: Path, **changes: object) -> Bundle:
    row = {"float": "reader.onnx", "int8": "reader.int8.onnx", "height": 64, "width": 192, "alphabet": CHARACTERS}
    folder.mkdir(exist_ok=True)
    others: dict[str, dict] = {"detector": {}, "fast": {}, "refiner": {}}
    raw = {"version": 2, **others, "reader": {**row, **changes}, "sha256": {"reader.onnx": "0" * 64}}
    (folder / "bundle.json").write_text(json.dumps(raw))
    return Bundle.load(folder)


def half_bright(bright: bool) -> np.ndarray:
    crop = np.full((10, 40, 3), 200 if bright else 20, np.uint8)
    crop[:3] = 20 if bright else 200
    return crop


def test_reader_keeps_the_order_and_reads_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Session", FakeSession)
    network = NetworkReader(write_bundle(tmp_path))
    crops = [half_bright(index % 3 == 0) for index in range(70)]
    crops[5] = np.zeros((0, 12, 3), np.uint8)
    readings = network.read(crops)
    assert [r.text for r in readings] == ["AB1" if index % 3 == 0 else "" for index in range(70)]
    assert network._session.batches == [32, 32, 5]
    assert network.read([]) == []


def test_reader_gives_no_read_below_the_least_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Session", FakeSession)
    sure = NetworkReader(write_bundle(tmp_path)).read([half_bright(True)])[0]
    assert 0.9 < sure.score < 1.0
    assert NetworkReader(write_bundle(tmp_path), min_score=0.9999999).read([half_bright(True)]) == [NO_READ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet": "01"}, "another alphabet"),
        ({"height": 32}, "input size"),
        ({"int8": None}, "names no int8 reader"),
    ],
)
def test_reader_refuses_a_bundle_of_another_network(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkReader(write_bundle(tmp_path, **changes), precision="int8")
