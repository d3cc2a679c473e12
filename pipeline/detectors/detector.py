"""The detector as it is used: an exported network on ONNX Runtime, photos in, Detections out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.bundle import Bundle, BundleError, Precision
from pipeline.detectors.coding import NMS_IOU
from pipeline.detectors.heads import HEADS
from pipeline.detectors.refining import Refiner
from pipeline.images import PANORAMA, RGB
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session

BATCH = 8  # images of one shape that are run together
FILL = 114  # grey, where there is no photo
MULTIPLE = 32  # the network's input sides are multiples of this


class Detector:
    """Finds plates in photos of any size; each is scaled so that its longer side is the bundle's resolution.

    A panorama (longer than three times its other side) is looked at in overlapping windows of twice that side.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        precision: Precision = "float",
        network: Literal["detector", "fast"] = "detector",
    ) -> None:
        settings = bundle.settings(network)
        try:
            head = settings["head"]
            self._resolution, self._stride = int(settings["resolution"]), int(settings["stride"])
        except KeyError as error:
            raise BundleError(
                f"{bundle.folder}/bundle.json lacks the {network}'s {error}; export the models again"
            ) from None
        if head not in HEADS:
            raise BundleError(f"{bundle.folder}: detector head {head!r} is unknown here; it needs a newer version")
        path, digest = bundle.file(network, precision)
        self._session = Session(path, threads, digest)
        self._head = HEADS[head]
        path, digest = bundle.file("refiner", precision)
        self._refiner = Refiner(Session(path, threads, digest))

    def detect(self, images: Sequence[RGB], min_score: float = 0.4) -> list[list[Detection]]:
        """RGB uint8 (H, W, 3) each -> that image's Detections in its own pixels, best first."""
        return [
            self._refined(image, found, min_score)
            for image, found in zip(images, self._glances(images, min_score**2), strict=True)
        ]

    def _glances(self, images: Sequence[RGB], min_score: float) -> list[list[Detection]]:
        """What the detector's network alone finds, window by window."""
        places = [(index, window) for index, image in enumerate(images) for window in windows(image)]
        parts = self._seen([images[index][y1:y2, x1:x2] for index, (x1, y1, x2, y2) in places], min_score)
        found: list[list[Detection]] = [[] for _ in images]
        for (index, (x1, y1, _, _)), part in zip(places, parts, strict=True):
            found[index] += [_moved(one, x1, y1) for one in part] if x1 or y1 else part
        return [_merged(own) for own in found]

    def _seen(self, images: Sequence[RGB], min_score: float) -> list[list[Detection]]:
        """Images that become one shape are run together."""
        framed = [frame(image, self._resolution) for image in images]
        together: dict[tuple[int, ...], list[int]] = {}
        for index, (pixels, _) in enumerate(framed):
            together.setdefault(pixels.shape, []).append(index)
        found: dict[int, list[Detection]] = {}
        for members in together.values():
            for start in range(0, len(members), BATCH):
                part = members[start : start + BATCH]
                outputs = self._session.run(np.stack([framed[index][0] for index in part]))
                for place, index in enumerate(part):
                    own = {name: values[place] for name, values in outputs.items()}
                    decoded = self._head.decode(own, self._stride, min_score)
                    found[index] = [_scaled(detection, 1 / framed[index][1]) for detection in decoded]
        return [found[index] for index in range(len(images))]

    def _refined(self, image: RGB, found: Sequence[Detection], min_score: float) -> list[Detection]:
        height, width = image.shape[:2]
        clipped = (_clipped(one, width, height) for one in self._refiner.refine(image, found, min_score))
        return [one for one in clipped if one is not None]


def frame(image: RGB, resolution: int) -> tuple[NDArray[np.float32], float]:
    """An image scaled so that its longer side is `resolution`, padded right and below to multiples of 32.

    Returns float32 (H, W, 3) 0..255 and the scale applied.
    """
    sides = np.array(image.shape[:2])
    scale = resolution / max(sides)
    rows, columns = np.maximum(MULTIPLE, -(-np.rint(sides * scale) // MULTIPLE) * MULTIPLE).astype(int)
    scale = float(min(scale, rows / sides[0], columns / sides[1]))
    height, width = np.maximum(1, np.rint(sides * scale)).astype(int)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    padded = np.full((rows, columns, 3), FILL, dtype=np.float32)
    padded[:height, :width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return padded, scale


def windows(image: RGB) -> list[tuple[int, int, int, int]]:
    """x1, y1, x2, y2 of the parts that an image is looked at in: itself, or along a panorama every half of a window."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    if long <= PANORAMA * short:
        return [(0, 0, width, height)]
    side = max(2 * short, MULTIPLE, long // 12)  # two dozen windows at most
    count = max(1, math.ceil((long - side) / (side / 2)) + 1)
    starts = np.linspace(0, max(long - side, 0), count).round().astype(int)
    if width == long:
        return [(int(start), 0, min(int(start) + side, width), height) for start in starts]
    return [(0, int(start), width, min(int(start) + side, height)) for start in starts]


def _merged(found: list[Detection]) -> list[Detection]:
    """Best first, each plate once: two windows see what lies where they overlap."""
    kept = boxes.nms(
        np.array([one.box.xyxy for one in found]).reshape(-1, 4), np.array([o.score for o in found]), NMS_IOU
    )
    return [found[index] for index in kept]


def _moved(detection: Detection, x: float, y: float) -> Detection:
    x1, y1, x2, y2 = detection.box.xyxy
    quad = Quad(*((a + x, b + y) for a, b in detection.quad.points))
    return Detection(Box(x1 + x, y1 + y, x2 + x, y2 + y), quad, detection.score)


def _scaled(detection: Detection, by: float) -> Detection:
    """From the network's pixels to the image's."""
    x1, y1, x2, y2 = (value * by for value in detection.box.xyxy)
    return Detection(Box(x1, y1, x2, y2), Quad(*((x * by, y * by) for x, y in detection.quad.points)), detection.score)


def _clipped(detection: Detection, width: int, height: int) -> Detection | None:
    """The box cut at the image's edges; None if nothing is left."""
    x1, y1, x2, y2 = boxes.clip(np.array([detection.box.xyxy]), width, height)[0]
    if x2 - x1 < 1 or y2 - y1 < 1:
        return None
    return Detection(Box(float(x1), float(y1), float(x2), float(y2)), detection.quad, detection.score)
