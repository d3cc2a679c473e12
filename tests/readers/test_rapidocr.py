"""RapidOCR as a reader: what its network is given, how its lines become readings, and what happens without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline import recognizer
from pipeline.readers.decoding import NO_READ, ReaderError
from pipeline.readers.rapidocr import RapidOcrReader, reading_of, strips, surest
from pipeline.records import Reading
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.plates import render_plate

DARK, MIDDLE, LIGHT = 10, 110, 210  # greys of crops
LINES = {DARK: ("AB 12", 0.9), MIDDLE: ("", 0.0), LIGHT: ("XYZ-7", 0.8)}  # the real one, too, says nothing of flat grey


class FakeEngine:
    """RapidOCR with a line of text for each grey; of a strip that is not flat, its mean grey counts."""

    settings: ClassVar[dict[str, Any]]

    def __init__(self, **settings: Any) -> None:
        type(self).settings = settings

    def text_rec(self, strips: Sequence[np.ndarray], return_word_box: bool = False) -> tuple[list[Any], float]:
        assert return_word_box, "without it RapidOCR gives no scores of characters"
        return [self._line(strip) for strip in strips], 0.0

    def _line(self, strip: np.ndarray) -> tuple[str, float, list[Any]]:
        text, confidence = LINES[min(LINES, key=lambda grey: abs(grey - strip.mean()))]
        return text, confidence, [40, [], [], [], [confidence] * len(text) or [0]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", SimpleNamespace(RapidOCR=FakeEngine))
    return FakeEngine


def flat(grey: int, height: int = 24, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def test_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(ReaderError, match=r"make rapidocr.*pip install \"alpr-pipeline\[rapidocr\]\""):
        RapidOcrReader()


@pytest.mark.parametrize(("threads", "given"), [(0, -1), (3, 3)])
def test_threads(engine: type[FakeEngine], threads: int, given: int) -> None:
    RapidOcrReader(threads)
    assert engine.settings == {"intra_op_num_threads": given}


def test_recognizer_loads_it_by_name(engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizer, "Bundle", SimpleNamespace(load=lambda folder: None))
    monkeypatch.setattr(recognizer, "NetworkDetector", lambda *args, **settings: None)
    reader = recognizer.Recognizer.load(Path(), threads=1, reader="rapidocr").reader
    assert isinstance(reader, RapidOcrReader)
    assert engine.settings == {"intra_op_num_threads": 1}


def test_readings_come_in_the_order_of_the_crops(engine: type[FakeEngine]) -> None:
    empty = np.zeros((0, 3, 3), np.uint8)
    readings = RapidOcrReader().read([flat(LIGHT), flat(DARK, 60, 60), empty, flat(MIDDLE), flat(DARK), flat(LIGHT)])
    assert [reading.text for reading in readings] == ["XYZ7", "AB12", "", "", "AB12", "XYZ7"]
    assert readings[2:5] == [NO_READ, NO_READ, Reading("AB12", 0.9, (0.9,) * 4)]


def test_no_crops(engine: type[FakeEngine]) -> None:
    assert RapidOcrReader().read([]) == []


def test_two_rows_are_joined_from_the_top(engine: type[FakeEngine]) -> None:
    plate = np.concatenate([flat(LIGHT, 40, 120), flat(DARK, 40, 120)])
    upright, overturned = RapidOcrReader().read([plate, plate[::-1]])
    assert upright == Reading("XYZ7AB12", 0.8, (0.8,) * 4 + (0.9,) * 4)
    assert overturned == Reading("AB12XYZ7", 0.8, (0.9,) * 4 + (0.8,) * 4)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((0, 3), []),
        ((24, 96), [(48, 192)]),
        ((96, 192), [(48, 96), (48, 174), (48, 174)]),
        ((1, 1), [(48, 48)] * 3),
        ((500, 1), [(48, 1)] * 3),
        ((1, 500), [(48, 320)]),
    ],
    ids=["empty", "one row", "tall", "one pixel", "a column", "a line"],
)
def test_strips(shape: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    assert [strip.shape for strip in strips(np.zeros((*shape, 3), np.uint8))] == [(*size, 3) for size in sizes]


def test_strips_are_blue_first_and_halves_overlap() -> None:
    crop = np.zeros((100, 150, 3), np.uint8)
    crop[:, :, 0] = 200  # red
    crop[48:52, :, 2] = 255  # a blue line in the middle
    whole, upper, lower = strips(crop)
    assert whole[0, 0].tolist() == [0, 0, 200]
    assert upper[-10:, :, 0].max() == lower[:10, :, 0].max() == 255
    assert upper[:30, :, 0].max() == lower[-30:, :, 0].max() == 0


@pytest.mark.parametrize(
    ("text", "confidence", "scores", "reading"),
    [
        ("", 0.0, [0], NO_READ),
        ("京·-", 0.9, [0.9, 0.9, 0.9], NO_READ),
        ("A" * 13, 0.9, [0.9] * 13, NO_READ),
        ("a京 1", 0.75, [1.0, 0.6, 0.5, 0.9], Reading("A1", 0.75, (1.0, 0.9))),
        ("A" * 12 + ".", 0.9, [0.9] * 13, Reading("A" * 12, 0.9, (0.9,) * 12)),
        ("A", 1.0000001, [1.0000001], Reading("A", 1.0, (1.0,))),
    ],
    ids=["nothing", "nothing of a plate", "too long", "a part of it", "long enough", "rounding"],
)
def test_reading_of(text: str, confidence: float, scores: list[float], reading: Reading) -> None:
    assert reading_of(text, confidence, scores) == reading


@pytest.mark.parametrize(
    ("texts", "scores", "text", "score"),
    [
        ([], [], "", 0.0),
        (["AB"], [0.5], "AB", 0.5),
        (["AB", "C", "D"], [0.5, 0.9, 0.6], "CD", 0.6),
        (["AB", "C", "D"], [0.7, 0.9, 0.6], "AB", 0.7),
        (["AB", "C", "D"], [0.7, 0.7, 0.7], "AB", 0.7),
        (["AB", "C", ""], [0.5, 0.9, 0.0], "AB", 0.5),
        (["", "C" * 7, "D" * 6], [0.0, 0.9, 0.9], "", 0.0),
    ],
    ids=["empty", "one row", "halves surer", "one half surer", "alike", "one half empty", "too long together"],
)
def test_surest(texts: list[str], scores: list[float], text: str, score: float) -> None:
    best = surest([Reading(text, score) for text, score in zip(texts, scores, strict=True)])
    assert (best.text, best.score) == (text, score)


def test_reads_a_rendered_plate_and_survives_bad_crops() -> None:
    pytest.importorskip("rapidocr_onnxruntime")
    plate = render_plate(np.random.default_rng(0), Catalogue.shipped().of("ES")[0], "4821 KLM", height=64)
    bad = [np.zeros((0, 3, 3), np.uint8), flat(0, 1, 1), flat(255, 1, 400), flat(0, 400, 1), flat(127, 30, 30)]
    first, *others = RapidOcrReader(threads=1).read([plate.image, *bad])
    assert first.text == plate.text == "4821KLM"
    assert 0.8 < first.score <= 1.0
    assert others == [NO_READ] * len(bad)
