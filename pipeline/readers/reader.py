"""Reads plate crops with the exported network on ONNX Runtime; what every reader shares stands here too.

A crop of any size becomes the network's input in one place, `prepare`, which training uses as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, MAX_LENGTH
from pipeline.bundle import Bundle, BundleError, Precision
from pipeline.images import RGB
from pipeline.records import Reading
from pipeline.sessions import Session

HEIGHT, WIDTH = 64, 192  # pixels of the network's input
BLANK = len(CHARACTERS)
PADDING = -1  # in labels, after the last character
NO_READ = Reading("", 0.0)

_BATCH = 32  # crops in one forward pass
_LEAST_RANGE = 24.0  # grey levels; a flatter crop is not stretched further, or noise would look like letters

Grey = NDArray[np.uint8]  # (HEIGHT, WIDTH)


class ReaderError(ValueError):
    """A reader that cannot be set up; the message says what is missing and what to do."""


class Reader(Protocol):
    """Anything that reads plates. One Reading for each crop, in order; never an exception for a bad crop."""

    def read(self, crops: Sequence[RGB]) -> list[Reading]: ...


def prepare(crop: RGB) -> Grey:
    """RGB uint8 (h, w, 3) of any size -> grey uint8 (64, 192): stretched to fill, contrast stretched too.

    Stretching, not letterboxing: a plate's own aspect says nothing about its text, and every pixel of the
    input carries some of it. The 1st and 99th percentile become 0 and 255.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    rows, columns = grey.shape
    shrunk = (min(columns, WIDTH), min(rows, HEIGHT))
    if shrunk != (columns, rows):
        grey = cv2.resize(grey, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (WIDTH, HEIGHT):
        grey = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return stretch(grey)


def stretch(grey: NDArray[Any]) -> Grey:
    """Scales grey values so that the 1st and 99th percentile become 0 and 255."""
    values: NDArray[Any] = grey.astype(np.float32)
    low, high = np.percentile(values, (1, 99))
    middle, reach = (low + high) / 2, max(float(high - low), _LEAST_RANGE)
    stretched: Grey = np.clip((values - middle) * (255.0 / reach) + 127.5, 0, 255).astype(np.uint8)
    return stretched


def encode(text: str) -> NDArray[np.int8]:
    """A text of the alphabet -> (12,) classes, padded with -1. ValueError where it does not fit."""
    if len(text) > MAX_LENGTH or any(c not in CHARACTERS for c in text):
        raise ValueError(f"the readers know at most {MAX_LENGTH} of {CHARACTERS}; this text is none of those")
    label = np.full(MAX_LENGTH, PADDING, dtype=np.int8)
    label[: len(text)] = [CHARACTERS.index(c) for c in text]
    return label


def decode(logits: NDArray[np.floating]) -> Reading:
    """Greedy CTC decoding of one crop's logits (T, 37).

    A character's score is its highest posterior among its steps. The reading's score is the probability of
    the whole text: the sum over all its alignments (the forward variables of Graves et al. 2006, section 4.1).
    """
    posteriors = _softmax(logits.astype(np.float64))
    path = posteriors.argmax(axis=1)
    classes: list[int] = []
    scores: list[float] = []
    previous = BLANK
    for step, best in enumerate(path.tolist()):
        if best != BLANK and best != previous:
            classes.append(best)
            scores.append(0.0)
        if best != BLANK:
            scores[-1] = max(scores[-1], float(posteriors[step, best]))
        previous = best
    if not classes or len(classes) > MAX_LENGTH:
        return NO_READ
    text = "".join(CHARACTERS[index] for index in classes)
    return Reading(text, text_probability(posteriors, classes), tuple(scores))


def text_probability(posteriors: NDArray[np.floating], classes: Sequence[int]) -> float:
    """P(text | crop): the posteriors (T, 37) summed over every CTC path that collapses to `classes`."""
    states = np.full(2 * len(classes) + 1, BLANK)  # a blank before, between and after the characters
    states[1::2] = classes
    skips = np.zeros(len(states))  # 1 where the blank before may be skipped
    skips[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    emitted = posteriors[:, states]
    forward = np.zeros(len(states))
    forward[:2] = emitted[0, :2]
    for step in emitted[1:]:
        following = forward.copy()
        following[1:] += forward[:-1]
        following[2:] += forward[:-2] * skips[2:]
        forward = following * step
    return float(min(1.0, forward[-2:].sum()))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


class NetworkReader:
    """The custom reader, from a bundle; `min_score` turns unsure readings into no-reads."""

    def __init__(
        self, bundle: Bundle, threads: int = 0, precision: Precision = "float", min_score: float = 0.3
    ) -> None:
        settings = bundle.reader
        if settings.get("alphabet") != CHARACTERS or (settings.get("height"), settings.get("width")) != (HEIGHT, WIDTH):
            raise BundleError(
                f"{bundle.folder}: its reader has another alphabet or input size; export the models again"
            )
        path, digest = bundle.file("reader", precision)
        self._session = Session(path, threads, digest)
        self._min_score = min_score

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order. What cannot be read is an empty text with score 0."""
        readings = [NO_READ] * len(crops)
        usable = [index for index, crop in enumerate(crops) if crop.size]
        for start in range(0, len(usable), _BATCH):
            chosen = usable[start : start + _BATCH]
            batch = np.stack([prepare(crops[index]) for index in chosen])[..., None].astype(np.float32)
            (logits,) = self._session.run(batch).values()  # (B, T, 37)
            for index, rows in zip(chosen, logits, strict=True):
                reading = decode(rows)
                readings[index] = reading if reading.score >= self._min_score else NO_READ
        return readings
