"""A second look at each detection: the region round it is cut from the photo itself, and its corners placed anew.

The detector sees the photo at a few hundred pixels, and says of a plate from one cell where it ends. The refiner sees
64 x 160 pixels round that answer (a cascade as in Cai & Vasconcelos 2018, arXiv:1712.00726, with one small network),
says where the four corners are, and whether it is a plate at all: headlights and badges are told from plates by detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.detectors.coding import MAX_DETECTIONS, sigmoid
from pipeline.images import RGB
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session

HEIGHT, WIDTH = 64, 160  # pixels of a look
ACROSS, DOWN = 1.7, 2.0  # of a detection's width and height, that a look holds at least
FILL = 114
MOST = 30  # detections of a photo that get a second look
SAME_PLATE = 0.4  # IoU above which two refined detections are one
BATCH = 16

Array = NDArray[np.floating]
Region = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels of the photo, perhaps outside it


def region_of(box: Box) -> Region:
    """The region that a look at this box shows: its centre, a look's aspect, all of it and what is round it."""
    height = max(DOWN * box.height, ACROSS * box.width * HEIGHT / WIDTH, 4.0)
    width = height * WIDTH / HEIGHT
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    x1, y1 = round(x - width / 2), round(y - height / 2)
    return x1, y1, x1 + max(10, round(width)), y1 + max(4, round(height))


def look(image: RGB, region: Region) -> RGB:
    """The region as RGB uint8 (64, 160, 3); what lies outside the photo is grey."""
    x1, y1, x2, y2 = region
    inner = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    if inner.shape[:2] != (y2 - y1, x2 - x1):
        canvas = np.full((y2 - y1, x2 - x1, 3), FILL, np.uint8)
        top, left = max(-y1, 0), max(-x1, 0)
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        inner = canvas
    shrinks = y2 - y1 > HEIGHT
    seen = cv2.resize(inner, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(seen, dtype=np.uint8)


def to_look(points: Array, region: Region) -> Array:
    """(..., 2) points of the photo -> the same in a look, each side from -0.5 to 0.5."""
    x1, y1, x2, y2 = region
    placed: Array = (points - (x1, y1)) / (x2 - x1, y2 - y1) - 0.5
    return placed


def to_photo(points: Array, region: Region) -> Array:
    """The inverse of to_look."""
    x1, y1, x2, y2 = region
    placed: Array = (points + 0.5) * (x2 - x1, y2 - y1) + (x1, y1)
    return placed


class Refiner:
    """The refiner's network on ONNX Runtime."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def refine(self, image: RGB, found: Sequence[Detection], min_score: float) -> list[Detection]:
        """The detections with new corners, the box round them, and the mean (geometric) of both scores; best first.

        Those below `min_score` after the second look are left out, and of those that turn out to be the same plate
        all but the best.
        """
        asked = [one for one in found[:MOST] if one.score >= min_score**2]
        if not asked:
            return []
        regions = [region_of(one.box) for one in asked]
        corners, plate = self._seen(np.stack([look(image, region) for region in regions]))
        quads = np.stack([to_photo(c, r) for c, r in zip(corners, regions, strict=True)])
        scores = np.sqrt(np.array([one.score for one in asked]) * plate)
        around = boxes.quads_to_boxes(quads)
        sized = (around[:, 2:] - around[:, :2]).min(axis=1) > 0
        chosen = np.flatnonzero((scores >= min_score) & sized)
        kept = chosen[boxes.nms(around[chosen], scores[chosen], SAME_PLATE)][:MAX_DETECTIONS]
        return [
            Detection(Box(*map(float, around[i])), Quad(*((float(x), float(y)) for x, y in quads[i])), float(scores[i]))
            for i in kept
        ]

    def _seen(self, looks: NDArray[np.uint8]) -> tuple[Array, Array]:
        """(N, 64, 160, 3) -> corners (N, 4, 2) in units of a look, and how probably it shows a plate (N,)."""
        parts = [
            self._session.run(looks[start : start + BATCH].astype(np.float32)) for start in range(0, len(looks), BATCH)
        ]
        corners = np.concatenate([part["corners"] for part in parts]).astype(np.float64)
        plate = sigmoid(np.concatenate([part["plate"] for part in parts])[:, 0])
        return corners.reshape(-1, 4, 2), plate
