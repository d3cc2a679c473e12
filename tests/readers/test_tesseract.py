"""The Tesseract baseline: its preprocessing, its table of words, and what happens without the program."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from pipeline.readers import tesseract
from pipeline.readers.decoding import NO_READ, ReaderError
from pipeline.readers.tesseract import TesseractReader, enlarge, reading_of
from pipeline.records import Reading

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="the program tesseract is missing")


def test_missing_program_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract.shutil, "which", lambda name: None)
    with pytest.raises(ReaderError, match="apt-get install tesseract-ocr"):
        TesseractReader()


@pytest.mark.parametrize(
    ("shape", "size", "mode"),
    [((24, 94), (128, 408), 7), ((50, 80), (224, 339), 6), ((1, 1), (224, 224), 6), ((1, 3000), (128, 1056), 7)],
)
def test_enlarge(shape: tuple[int, int], size: tuple[int, int], mode: int) -> None:
    image, chosen = enlarge(np.zeros((*shape, 3), np.uint8))
    assert (image.shape, chosen) == (size, mode)


def test_enlarge_turns_light_letters_dark() -> None:
    crop = np.full((40, 160, 3), 20, np.uint8)
    crop[10:30, 60:80] = 240
    image, _ = enlarge(crop)
    assert image.mean() > 127


@pytest.mark.parametrize(
    ("words", "confidences", "text", "scores"),
    [
        ([], [], "", ()),
        (["", " "], [-1, -1], "", ()),
        (["", "AB", "-12"], [-1, 81.0, 36.0], "AB12", (0.81, 0.81, 0.36, 0.36)),
        (["A" * 13], [90], "", ()),
    ],
    ids=["nothing", "blank", "two words", "too long"],
)
def test_reading_of(words: list[str], confidences: list[float], text: str, scores: tuple[float, ...]) -> None:
    reading = reading_of({"text": words, "conf": confidences})
    assert reading.text == text
    assert reading.char_scores == pytest.approx(scores)
    if scores:
        assert reading.score == pytest.approx(np.prod(scores) ** (1 / len(scores)))
    else:
        assert reading == NO_READ


def test_the_more_confident_of_two_looks_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(tesseract.shutil, "which", lambda name: name)
    reader = TesseractReader(threads=1)
    monkeypatch.setattr(reader, "_read_one", lambda crop: Reading(f"H{len(crop)}", 1 / len(crop)))
    crop = np.zeros((100, 300, 3), np.uint8)
    assert [reading.text for reading in reader.read([crop, crop[:50]])] == ["H84", "H42"]


@needs_tesseract
def test_reads_a_clean_plate_and_survives_bad_crops() -> None:
    plate = np.full((60, 260, 3), 255, np.uint8)
    cv2.putText(plate, "AB123", (20, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (0, 0, 0), 4)
    crops = [plate, np.zeros((1, 1, 3), np.uint8), np.full((30, 100, 3), 255, np.uint8), np.zeros((0, 3, 3), np.uint8)]
    readings = TesseractReader(threads=2).read(crops)
    assert readings[0].text == "AB123"
    assert 0.3 < readings[0].score <= 1.0
    assert readings[1:] == [NO_READ] * 3


@needs_tesseract
def test_a_crop_that_takes_too_long_is_a_no_read() -> None:
    plate = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert TesseractReader(timeout=0.01).read([plate]) == [NO_READ]
