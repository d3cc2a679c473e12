"""Reads plate crops with the exported network on ONNX Runtime; what every reader shares stands here too.

A crop of any size becomes the network's input in one place, `prepare`, which training uses as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle, BundleError, Precision
from pipeline.calibration import Calibration
from pipeline.images import RGB
from pipeline.readers.decoding import DECODE, NO_READ
from pipeline.records import UNKNOWN_REGION, Reading
from pipeline.sessions import Session

HEIGHT, WIDTH = 64, 192  # pixels of the network's input

DOUBTFUL = 0.7  # score, before calibration, below which a crop is looked at again
_BATCH = 32  # crops in one forward pass
_SURE_REGION = 0.8  # least probability of a region that is named
_LEAST_RANGE = 24.0  # grey levels; a flatter crop is not stretched further, or noise would look like letters

Grey = NDArray[np.uint8]  # (HEIGHT, WIDTH)


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


def look_again(grey: Grey) -> NDArray[np.uint8]:
    """A prepared crop (64, 192), cut in four other ways: (4, 64, 192)."""
    looks = [cv2.warpAffine(grey, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE) for matrix in _CUTS]
    return np.stack(looks).astype(np.uint8)


def _recut(across: float, down: float, lean: float) -> NDArray[np.float32]:
    """The affine map that scales a crop about its middle, after its right end was lowered by `lean` of its height."""
    slope = lean * HEIGHT / WIDTH
    return about_middle(np.array([[across, 0], [down * slope, down]], np.float32))


def about_middle(linear: NDArray[Any]) -> NDArray[Any]:
    """A linear map (2, 2) of a prepared crop about its middle, as an affine one (2, 3)."""
    middle = np.array([WIDTH / 2, HEIGHT / 2], linear.dtype)
    return np.column_stack([linear, middle - linear @ middle])


_CUTS = (_recut(1.14, 1.14, 0.0), _recut(0.95, 0.89, 0.0), _recut(1.0, 1.22, 0.2), _recut(1.0, 1.22, -0.2))


def surest(
    greys: NDArray[np.uint8], first: Sequence[Reading], infer: Callable[[NDArray[np.float32]], list[Reading]]
) -> list[Reading]:
    """The readings of prepared crops (N, 64, 192), of which the doubtful are read again in four other cuts.

    `infer` reads a batch (B, 64, 192, 1). Of the five readings of a crop the one with the highest score is kept: a
    tilted, tight or loose cut is mostly read better in another one.
    """
    readings = list(first)
    doubtful = [index for index, reading in enumerate(readings) if reading.score < DOUBTFUL]
    if not doubtful:
        return readings
    looks = np.concatenate([look_again(greys[index]) for index in doubtful])
    again = infer(looks[..., None].astype(np.float32))
    for place, index in enumerate(doubtful):
        own = again[len(_CUTS) * place : len(_CUTS) * (place + 1)]
        readings[index] = max([readings[index], *own], key=lambda reading: reading.score)
    return readings


class NetworkReader:
    """The custom reader, from a bundle. Readings less sure than `min_score` are no-reads that keep their guess."""

    def __init__(
        self, bundle: Bundle, threads: int = 0, precision: Precision = "float", min_score: float | None = None
    ) -> None:
        """`min_score` None takes the bundle's threshold, chosen on validation for at most 1 % of wrong readings."""
        settings = bundle.reader
        if settings.get("alphabet") != CHARACTERS or (settings.get("height"), settings.get("width")) != (HEIGHT, WIDTH):
            raise BundleError(
                f"{bundle.folder}: its reader has another alphabet or input size; export the models again"
            )
        path, digest = bundle.file("reader", precision)
        self._session = Session(path, threads, digest)
        self._decoder = settings["decoder"]
        self._regions = settings["regions"]
        self._calibration = Calibration.of(settings["calibration"])
        self._min_score = self._calibration.threshold if min_score is None else min_score

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order. Where nothing is seen, text and guess are empty."""
        readings = [NO_READ] * len(crops)
        usable = [index for index, crop in enumerate(crops) if crop.size]
        for start in range(0, len(usable), _BATCH):
            chosen = usable[start : start + _BATCH]
            greys = np.stack([prepare(crops[index]) for index in chosen])
            outputs = self._session.run(greys[..., None].astype(np.float32))
            found = surest(greys, self._decoded(outputs), lambda looks: self._decoded(self._session.run(looks)))
            for index, reading, region in zip(chosen, found, outputs["region"], strict=True):
                readings[index] = self._calibrated(reading, region)
        return readings

    def _decoded(self, outputs: Mapping[str, NDArray[np.float32]]) -> list[Reading]:
        return [DECODE[self._decoder](logits) for logits in outputs[self._decoder]]

    def _calibrated(self, found: Reading, region: NDArray[np.float32]) -> Reading:
        if not found.text:
            return NO_READ
        score = self._calibration(found.score)
        return replace(found, score=score, region=self._region(region)).answered_from(self._min_score)

    def _region(self, logits: NDArray[np.float32]) -> str | None:
        """The country whose layout this is, where the network is sure enough."""
        odds = np.exp(logits - logits.max())
        best = int(odds.argmax())
        code: str = self._regions[best]
        return code if code != UNKNOWN_REGION and odds[best] / odds.sum() >= _SURE_REGION else None
