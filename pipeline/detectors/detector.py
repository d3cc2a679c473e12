"""The detector as it is used: an exported network on ONNX Runtime, photos in, Detections out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline import boxes
from pipeline.detectors import corner
from pipeline.images import RGB, letterbox
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session, SessionError

MULTIPLE = 32  # the network's input sides are multiples of this
_DECODERS = {"corner": corner.decode}


class Detector:
    """Finds plates in photos of any size; each is scaled so that its longer side is the bundle's resolution."""

    def __init__(self, bundle: Path, threads: int = 0, precision: Literal["float", "int8"] = "float") -> None:
        manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
        settings = manifest["detector"]
        if settings["head"] not in _DECODERS:
            raise SessionError(f"{bundle}: head {settings['head']!r} is unknown here; it needs a newer version")
        file = settings[precision]
        self._session = Session(bundle / file, threads, manifest["sha256"][file])
        self._decode = _DECODERS[settings["head"]]
        self._resolution, self._stride = int(settings["resolution"]), int(settings["stride"])

    def detect(self, images: Sequence[RGB], min_score: float = 0.3) -> list[list[Detection]]:
        """RGB uint8 (H, W, 3) each -> that image's Detections in its own pixels, best first."""
        return [self._detect(image, min_score) for image in images]

    def _detect(self, image: RGB, min_score: float) -> list[Detection]:
        height, width = image.shape[:2]
        longer = max(height, width)
        rows = max(MULTIPLE, -(-round(height * self._resolution / longer) // MULTIPLE) * MULTIPLE)
        columns = max(MULTIPLE, -(-round(width * self._resolution / longer) // MULTIPLE) * MULTIPLE)
        # Not letterbox(image, rows, columns) alone: the scale must be the resolution's, not the padded frame's.
        fitted, scale = letterbox(image, min(rows, self._resolution), min(columns, self._resolution))
        frame = np.full((rows, columns, 3), 114, dtype=np.float32)
        frame[: fitted.shape[0], : fitted.shape[1]] = fitted
        outputs = self._session.run(frame[None])
        found = self._decode(outputs["heatmap"][0], outputs["box"][0], outputs["corners"][0], self._stride, min_score)
        return [d for d in (_to_image(detection, scale, width, height) for detection in found) if d is not None]


def _to_image(detection: Detection, scale: float, width: int, height: int) -> Detection | None:
    """From the network's pixels to the image's; the box is cut at the image's edges, None if nothing is left."""
    x1, y1, x2, y2 = boxes.clip(np.array([detection.box.xyxy]) / scale, width, height)[0]
    if x2 - x1 < 1 or y2 - y1 < 1:
        return None
    quad = Quad(*((x / scale, y / scale) for x, y in detection.quad.points))
    return Detection(Box(float(x1), float(y1), float(x2), float(y2)), quad, detection.score)
