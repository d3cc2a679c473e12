"""A recogniser: a detector finds the plates of a photo, each is rectified, a reader reads it.

Recognizer.load(Path("models/export")).recognize([image])  ->  [[Recognition, ...]]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np

from pipeline.boxes import is_convex_clockwise
from pipeline.images import RGB, rectify
from pipeline.records import Box, Detection, Quad, Reading, Recognition

Precision = Literal["float", "int8"]
ReaderName = Literal["network", "tesseract"]

MIN_SCORE = 0.3
VERSION = 1  # of bundle.json
ACROSS, DOWN = 0.02, 0.04  # of a plate's width and height, added on each side: the middle of what the reader trained on
_LEAST_HEIGHT, _MOST_HEIGHT = 64, 256  # pixels of a rectified crop; between, the plate's own height is kept


class BundleError(ValueError):
    """A model folder that cannot be used; the message says what is wrong and what to do."""


class Detector(Protocol):
    """Finds plates: for each image (H, W, 3), in order, its detections of at least `min_score`, best first."""

    def detect(self, images: list[RGB], min_score: float = MIN_SCORE) -> list[list[Detection]]: ...


class Reader(Protocol):
    """Reads plates: one Reading for each crop (h, w, 3), in order; an empty text is a no-read."""

    def read(self, crops: Sequence[RGB]) -> list[Reading]: ...


class Recognizer:
    """A detector and a reader, used together. Both are open to those who need only one."""

    def __init__(self, detector: Detector, reader: Reader) -> None:
        self.detector = detector
        self.reader = reader

    @classmethod
    def load(
        cls, bundle_dir: Path, threads: int = 0, precision: Precision = "float", reader: ReaderName = "network"
    ) -> Self:
        """The networks of a folder with a bundle.json; `threads` 0 leaves their number to the runtime.

        Raises BundleError, or another ValueError of the part that fails, with a sentence for the user.
        """
        read_bundle(bundle_dir, precision, ("detector",) if reader == "tesseract" else ("detector", "reader"))
        from pipeline.detectors.detector import Detector as NetworkDetector
        from pipeline.readers.reader import NetworkReader
        from pipeline.readers.tesseract import TesseractReader

        detector = NetworkDetector(bundle_dir, threads=threads, precision=precision)
        if reader == "tesseract":
            return cls(detector, TesseractReader(threads))
        return cls(detector, NetworkReader(bundle_dir, threads=threads, precision=precision))

    def recognize(self, images: list[RGB], min_score: float = MIN_SCORE) -> list[list[Recognition]]:
        """For each image, in order, its plates with their readings, best detection first.

        The crops of all images are read in one call.
        """
        found = self.detector.detect(images, min_score)
        crops = [
            cut(image, detection.box, detection.quad)
            for image, detections in zip(images, found, strict=True)
            for detection in detections
        ]
        readings = iter(self.reader.read(crops) if crops else [])
        return [[Recognition(detection, next(readings)) for detection in detections] for detections in found]


def cut(image: RGB, box: Box, quad: Quad | None = None) -> RGB:
    """Cuts a plate out as the readers see it: rectified, with a narrow margin; RGB uint8 (64 to 256, w, 3).

    Where the corners are not known, or cross each other, the box is cut out.
    """
    if quad is None or not is_convex_clockwise(np.asarray(quad.points)):
        quad = Quad.of_box(box)
    corners = np.asarray(quad.points)
    down = (np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])) / 2
    height = int(np.clip(round(float(down)), _LEAST_HEIGHT, _MOST_HEIGHT))
    return rectify(image, widen(quad), height=height, max_width=8 * height)


def widen(quad: Quad, across: float = ACROSS, down: float = DOWN) -> Quad:
    """Moves the corners outwards along the plate's own sides, by a share of its width and of its height."""
    tl, tr, br, bl = np.asarray(quad.points, dtype=np.float64)
    top, bottom, left, right = across * (tr - tl), across * (br - bl), down * (bl - tl), down * (br - tr)
    corners = (tl - top - left, tr + top - right, br + bottom + right, bl - bottom + left)
    return Quad(*((float(x), float(y)) for x, y in corners))


def read_bundle(
    bundle_dir: Path, precision: Precision = "float", parts: Sequence[str] = ("detector", "reader")
) -> dict[str, Any]:
    """A folder's bundle.json; BundleError where it is missing, damaged, of another version or names no such network.

    The networks' bytes are checked against its SHA-256 sums when they are opened (sessions.Session); here only that
    each network to be opened is a plain file name with a sum.
    """
    path = bundle_dir / "bundle.json"
    try:
        bundle: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BundleError(f"{bundle_dir}: no model here (no bundle.json); run the export stage first") from None
    except ValueError as error:
        raise BundleError(f"{path} is damaged ({error}); export the models again") from None
    if not isinstance(bundle, dict) or bundle.get("version") != VERSION:
        raise BundleError(f"{path} is not a bundle of version {VERSION}; export the models with this version")
    sums = bundle.get("sha256")
    for part in parts:
        section = bundle.get(part)
        name = section.get(precision) if isinstance(section, dict) else None
        if not isinstance(name, str):
            raise BundleError(f"{path} names no {precision} {part}; export the models again")
        if Path(name).name != name:
            raise BundleError(f"{path}: {name!r} is not a plain file name; the bundle is not to be trusted")
        if not isinstance(sums, dict) or not isinstance(sums.get(name), str):
            raise BundleError(f"{path} has no SHA-256 of {name}, so it is not opened; export the models again")
    return bundle
