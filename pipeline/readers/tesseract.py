"""Reads plate crops with Tesseract: the baseline beside the custom reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, MAX_LENGTH, readable
from pipeline.images import RGB
from pipeline.readers.decoding import NO_READ, ReaderError
from pipeline.records import Reading

_HEIGHT = 96  # pixels of a row of characters; Tesseract reads best at 30 and more a letter
_PADDING = 16  # pixels of white around; letters that touch the edge are lost
_TWO_ROW_ASPECT = 2.2  # width / height; a squarer plate is taken to have two rows
_LINE, _BLOCK = 7, 6  # Tesseract's page segmentation modes
_MAX_WIDTH = 1024
_LEAST_RANGE = 16  # grey levels; on a flatter crop it sees letters that are not there
_TRIM = 0.08  # of the height, cut off on all sides in the second look: a border is taken for letters


class TesseractReader:
    """Tesseract behind the Reader protocol; each crop runs in a process of its own, `threads` at a time."""

    def __init__(self, threads: int = 0, timeout: float = 10.0) -> None:
        """`timeout` in seconds for one crop; a crop that takes longer is a no-read."""
        if shutil.which("tesseract") is None:
            raise ReaderError(
                "the program `tesseract` is not installed: run `sudo apt-get install tesseract-ocr`, "
                "or choose the custom reader"
            )
        os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # of each process: more threads make it slower
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._timeout = timeout

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order; a word's confidence is the score of its characters.

        Each crop is read as it is and with its edges cut off; the reading with the higher score is kept.
        """
        with ThreadPoolExecutor(self._threads) as pool:
            looks = list(pool.map(self._read_one, [look for crop in crops for look in (crop, trimmed(crop))]))
        pairs = zip(looks[::2], looks[1::2], strict=True)
        return [max(pair, key=lambda reading: reading.score) for pair in pairs]

    def _read_one(self, crop: RGB) -> Reading:
        import pytesseract

        if not crop.size or np.ptp(crop) < _LEAST_RANGE:
            return NO_READ
        image, mode = enlarge(crop)
        config = f"--oem 1 --psm {mode} -c tessedit_char_whitelist={CHARACTERS}"
        try:
            words = pytesseract.image_to_data(
                image, lang="eng", config=config, timeout=self._timeout, output_type=pytesseract.Output.DICT
            )
        except (RuntimeError, OSError):  # a timeout, a crop that Tesseract refuses, a program that died
            return NO_READ
        return reading_of(words)


def trimmed(crop: RGB) -> RGB:
    """A crop without its edges."""
    rows = int(_TRIM * crop.shape[0])
    columns = int(0.8 * rows)
    return crop[rows : crop.shape[0] - rows, columns : crop.shape[1] - columns]


def enlarge(crop: RGB) -> tuple[NDArray[np.uint8], int]:
    """RGB (h, w, 3) -> grey with rows of about 96 pixels, dark on light, padded; and the segmentation mode."""
    grey: NDArray[Any] = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    rows, columns = grey.shape
    mode = _BLOCK if columns / rows < _TWO_ROW_ASPECT else _LINE
    height = _HEIGHT * (2 if mode == _BLOCK else 1)
    width = int(np.clip(round(columns * height / rows), 1, _MAX_WIDTH))
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA if rows > height else cv2.INTER_CUBIC)
    if grey.mean() < (int(grey.min()) + int(grey.max())) / 2:  # mostly dark: light letters on a dark plate
        grey = 255 - grey
    return np.pad(grey, _PADDING, constant_values=255), mode


def reading_of(words: Mapping[str, Sequence[Any]]) -> Reading:
    """Tesseract's table of words -> a Reading. Its score is the geometric mean of the characters' scores."""
    text, scores = "", []
    for word, confidence in zip(words["text"], words["conf"], strict=True):
        characters = readable(str(word))
        text += characters
        scores += [float(np.clip(float(confidence) / 100, 0, 1))] * len(characters)
    if not text or len(text) > MAX_LENGTH:
        return NO_READ
    return Reading(text, float(np.exp(np.mean(np.log(np.maximum(scores, 1e-6))))), tuple(scores))
