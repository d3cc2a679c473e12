"""The detector as it is used: an exported network on ONNX Runtime, photos in, Detections out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.bundle import Bundle, BundleError, Precision
from pipeline.detectors.heads import HEADS
from pipeline.detectors.refining import Refiner
from pipeline.images import RGB, letterbox
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session

MULTIPLE = 32  # the network's input sides are multiples of this


class Detector:
    """Finds plates in photos of any size; each is scaled so that its longer side is the bundle's resolution."""

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
        return [self._detect(image, min_score) for image in images]

    def _detect(self, image: RGB, min_score: float) -> list[Detection]:
        height, width = image.shape[:2]
        found = self._refiner.refine(image, self._glance(image, min_score**2), min_score)
        return [one for one in (_clipped(detection, width, height) for detection in found) if one is not None]

    def _glance(self, image: RGB, min_score: float) -> list[Detection]:
        """What the detector's network alone finds."""
        pixels, scale = frame(image, self._resolution)
        outputs = {name: values[0] for name, values in self._session.run(pixels[None]).items()}
        return [_scaled(detection, 1 / scale) for detection in self._head.decode(outputs, self._stride, min_score)]


def frame(image: RGB, resolution: int) -> tuple[NDArray[np.float32], float]:
    """An image scaled so that its longer side is `resolution`, padded right and below to multiples of 32.

    Returns float32 (H, W, 3) 0..255 and the scale applied.
    """
    height, width = image.shape[:2]
    scale = resolution / max(height, width)
    rows, columns = (max(MULTIPLE, -(-round(side * scale) // MULTIPLE) * MULTIPLE) for side in (height, width))
    fitted, scale = letterbox(image, min(rows, resolution), min(columns, resolution))
    padded = np.full((rows, columns, 3), 114, dtype=np.float32)
    padded[: fitted.shape[0], : fitted.shape[1]] = fitted
    return padded, scale


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
