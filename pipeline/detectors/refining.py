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
from pipeline.detectors.coding import sigmoid
from pipeline.images import RGB
from pipeline.records import Detection, Quad
from pipeline.sessions import Session

HEIGHT, WIDTH = 64, 160  # pixels of a look
ACROSS, DOWN = 1.7, 2.0  # of a detection's width and height, that a look holds at least
FILL = 114
MOST = 30  # detections of a photo that are looked at again
SAME_PLATE = 0.4  # IoU above which two refined detections are one
BATCH = 16

Array = NDArray[np.floating]
Region = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels of the photo, perhaps outside it


def region_of(x1: float, y1: float, x2: float, y2: float) -> Region:
    """The region that a look at this box shows: its centre, a look's aspect, all of it and what is round it."""
    height = max(DOWN * (y2 - y1), ACROSS * (x2 - x1) * HEIGHT / WIDTH, 4.0)
    width = height * WIDTH / HEIGHT
    left, top = round((x1 + x2 - width) / 2), round((y1 + y2 - height) / 2)
    return left, top, left + max(10, round(width)), top + max(4, round(height))


def look(image: RGB, region: Region) -> RGB:
    """The region as RGB uint8 (64, 160, 3); what lies outside the photo is grey."""
    x1, y1, x2, y2 = region
    rows, columns = image.shape[:2]
    shrink = max(1, (y2 - y1) // HEIGHT)
    margin = 2 * shrink  # so that no edge of the cut-out lies within the look
    left, top = min(max(x1 - margin, 0), columns - 1), min(max(y1 - margin, 0), rows - 1)
    inner = image[top : max(y2 + margin, top + 1), left : max(x2 + margin, left + 1)]
    height, width = inner.shape[:2]
    if shrink > 1:  # area-correct: the warp alone would alias
        size = (-(-width // shrink), -(-height // shrink))
        inner = cv2.resize(inner, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    across, down = WIDTH / (x2 - x1), HEIGHT / (y2 - y1)  # pixels of the look for each of the photo
    zoom_x, zoom_y = across * width / inner.shape[1], down * height / inner.shape[0]
    # Pixel centres lie at half integers.
    shift_x = (left - x1) * across + 0.5 * zoom_x - 0.5
    shift_y = (top - y1) * down + 0.5 * zoom_y - 0.5
    matrix = np.array([[zoom_x, 0, shift_x], [0, zoom_y, shift_y]])
    seen = cv2.warpAffine(inner, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderValue=(FILL, FILL, FILL))
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

        Those below `min_score` then are left out, and of those that turn out to be one plate all but the best.
        """
        asked = [one for one in found[:MOST] if one.score >= min_score**2]
        places = boxes.clip(np.array([one.box.xyxy for one in asked]).reshape(-1, 4), image.shape[1], image.shape[0])
        quads, chances = self._looked_at(image, places)
        scores = np.sqrt(np.array([one.score for one in asked]) * chances)
        return [
            Detection(quad.box, quad, float(scores[index]))
            for index in boxes.nms(boxes.quads_to_boxes(quads), scores, SAME_PLATE)
            if scores[index] >= min_score and np.ptp(quads[index], axis=0).min() > 0
            for quad in [Quad(*((float(x), float(y)) for x, y in quads[index]))]
        ]

    def _looked_at(self, image: RGB, places: Array) -> tuple[Array, Array]:
        """(N, 4) places -> corners (N, 4, 2) in the photo's pixels, and how probably each is a plate (N,)."""
        if not len(places):
            return np.zeros((0, 4, 2)), np.zeros(0)
        regions = [region_of(*map(float, place)) for place in places]
        corners, chances = self._seen(np.stack([look(image, region) for region in regions]))
        return np.stack([to_photo(c, r) for c, r in zip(corners, regions, strict=True)]), chances

    def _seen(self, looks: NDArray[np.uint8]) -> tuple[Array, Array]:
        """(N, 64, 160, 3) -> corners (N, 4, 2) in units of a look, and how probably it shows a plate (N,)."""
        parts = [
            self._session.run(looks[start : start + BATCH].astype(np.float32)) for start in range(0, len(looks), BATCH)
        ]
        corners = np.concatenate([part["corners"] for part in parts]).astype(np.float64)
        plate = sigmoid(np.concatenate([part["plate"] for part in parts])[:, 0])
        return corners.reshape(-1, 4, 2), plate
