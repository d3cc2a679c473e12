"""Reads plate crops with RapidOCR (PP-OCRv4 on ONNX Runtime): a general reader beside ours, optional.

Its recognition network alone is used: a crop is one line of text, and where it is tall perhaps two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import MAX_LENGTH, readable
from pipeline.images import RGB
from pipeline.readers.decoding import NO_READ, ReaderError
from pipeline.records import Reading

_HEIGHT, _WIDTH = 48, 320  # pixels of the network's input
_TWO_ROW_ASPECT = 2.2  # width / height; a squarer plate may have two rows
_HALF = 0.55  # of a tall crop's height, in each half: they overlap, as the rows are seldom equally high

Strip = NDArray[np.uint8]  # (48, 1 to 320, 3) BGR


class RapidOcrReader:
    """RapidOCR's recognition behind the Reader protocol."""

    def __init__(self, threads: int = 0) -> None:
        """`threads` 0 leaves their number to ONNX Runtime. ReaderError where RapidOCR is not installed."""
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError as error:
            raise ReaderError(
                f"RapidOCR cannot be imported ({error}): run `make rapidocr`, "
                'or `pip install "alpr-pipeline[rapidocr]"`, or choose the custom reader'
            ) from None
        # Not the whole of it: that raises on narrow crops and keeps the characters' scores to itself.
        self._recognize = RapidOCR(intra_op_num_threads=threads or -1).text_rec

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order; a tall one is read as one row and as two, the surer counts."""
        plates = [strips(crop) for crop in crops]
        lines, _ = self._recognize([strip for plate in plates for strip in plate], return_word_box=True)
        found = (reading_of(text, confidence, word_box[-1]) for text, confidence, word_box in lines)
        return [surest(list(islice(found, len(plate)))) for plate in plates]


def strips(crop: RGB) -> list[Strip]:
    """RGB (h, w, 3) -> the whole crop for the network, and of a tall one its upper and its lower half; [] if empty."""
    if not crop.size:
        return []
    rows, columns = crop.shape[:2]
    half = math.ceil(_HALF * rows)
    tall = columns / rows < _TWO_ROW_ASPECT
    return [_strip(part) for part in ([crop, crop[:half], crop[-half:]] if tall else [crop])]


def _strip(part: RGB) -> Strip:
    """48 pixels high, BGR. Squeezed to 320 where wider, or RapidOCR would pad, and so change, the rest of its batch."""
    rows, columns = part.shape[:2]
    width = int(np.clip(round(columns * _HEIGHT / rows), 1, _WIDTH))
    smoothing = cv2.INTER_AREA if rows > _HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.cvtColor(cv2.resize(part, (width, _HEIGHT), interpolation=smoothing), cv2.COLOR_RGB2BGR))


def reading_of(text: str, confidence: float, scores: Sequence[float]) -> Reading:
    """A line of RapidOCR -> a Reading: its confidence, the mean over all that it read, and its score of each character.

    What no plate has of what it read is left out, with its score.
    """
    if not text:
        return NO_READ
    kept = [(c, float(np.clip(score, 0, 1))) for char, score in zip(text, scores, strict=True) for c in readable(char)]
    if not 1 <= len(kept) <= MAX_LENGTH:
        return NO_READ
    characters, char_scores = zip(*kept, strict=True)
    return Reading("".join(characters), float(np.clip(confidence, 0, 1)), char_scores)


def surest(readings: Sequence[Reading]) -> Reading:
    """Of a crop's strips: the whole's reading or, where there are halves and both are surer, the halves' joined."""
    if not readings:
        return NO_READ
    whole, *halves = readings
    text = "".join(half.text for half in halves)
    sureness = min((half.score for half in halves), default=0.0)  # two rows are as sure as the less sure one
    if sureness <= whole.score or len(text) > MAX_LENGTH:
        return whole
    return Reading(text, sureness, tuple(score for half in halves for score in half.char_scores))
