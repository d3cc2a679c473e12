"""The detector as it is used: an exported network on ONNX Runtime, photos in, Detections out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.bundle import Bundle, BundleError, Precision
from pipeline.detectors.heads import HEADS
from pipeline.images import RGB, letterbox
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session

MULTIPLE = 32  # the network's input sides are multiples of this


class Detector:
    """Finds plates in photos of any size; each is scaled so that its longer side is the bundle's resolution."""

    def __init__(self, bundle: Bundle, threads: int = 0, precision: Precision = "float") -> None:
        try:
            head = bundle.detector["head"]
            self._resolution, self._stride = int(bundle.detector["resolution"]), int(bundle.detector["stride"])
        except KeyError as error:
            raise BundleError(
                f"{bundle.folder}/bundle.json lacks the detector's {error}; export the models again"
            ) from None
        if head not in HEADS:
            raise BundleError(f"{bundle.folder}: detector head {head!r} is unknown here; it needs a newer version")
        path, digest = bundle.file("detector", precision)
        self._session = Session(path, threads, digest)
        self._head = HEADS[head]

    def detect(self, images: Sequence[RGB], min_score: float = 0.4) -> list[list[Detection]]:
        """RGB uint8 (H, W, 3) each -> that image's Detections in its own pixels, best first."""
        return [self._detect(image, min_score) for image in images]

    def _detect(self, image: RGB, min_score: float) -> list[Detection]:
        pixels, scale = frame(image, self._resolution)
        outputs = {name: values[0] for name, values in self._session.run(pixels[None]).items()}
        found = self._head.decode(outputs, self._stride, min_score)
        height, width = image.shape[:2]
        return [d for d in (_to_image(detection, scale, width, height) for detection in found) if d is not None]


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


def _to_image(detection: Detection, scale: float, width: int, height: int) -> Detection | None:
    """From the network's pixels to the image's; the box is cut at the image's edges, None if nothing is left."""
    x1, y1, x2, y2 = boxes.clip(np.array([detection.box.xyxy]) / scale, width, height)[0]
    if x2 - x1 < 1 or y2 - y1 < 1:
        return None
    quad = Quad(*((x / scale, y / scale) for x, y in detection.quad.points))
    return Detection(Box(float(x1), float(y1), float(x2), float(y2)), quad, detection.score)
