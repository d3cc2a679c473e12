"""A recogniser: a detector finds the plates of a photo, each is rectified, a reader reads it.

Recognizer.load(Path("models/export")).recognize([image])  ->  [[Recognition, ...]]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from pipeline.boxes import is_convex_clockwise
from pipeline.bundle import Bundle, Precision
from pipeline.detectors.detector import Detector as NetworkDetector
from pipeline.images import RGB, rectify
from pipeline.readers.reader import NetworkReader, Reader
from pipeline.readers.tesseract import TesseractReader
from pipeline.records import Box, Detection, Quad, Reading, Recognition

ReaderName = Literal["network", "tesseract", "rapidocr"]

ENOUGH = 1920  # pixels of a photo's longer side: plates that the detectors can find at all are then 40 pixels high
MIN_SCORE = 0.4  # of a detection: the best end-to-end figure on the val split (docs/experiments.md)
ACROSS, DOWN = 0.04, 0.1  # of a plate's width and height, added on each side (docs/experiments.md)
DOUBTFUL = 0.5  # score of a reading below which a plate's box is read too
_LEAST_HEIGHT, _MOST_HEIGHT = 64, 256  # pixels of a rectified crop; between, the plate's own height is kept


class Detector(Protocol):
    """Finds plates: for each image (H, W, 3), in order, its detections of at least `min_score`, best first."""

    def detect(self, images: list[RGB], min_score: float = MIN_SCORE) -> list[list[Detection]]: ...


class Recognizer:
    """A detector and a reader, used together. Both are open to those who need only one."""

    def __init__(self, detector: Detector, reader: Reader) -> None:
        self.detector = detector
        self.reader = reader

    @classmethod
    def load(
        cls,
        bundle_dir: Path,
        threads: int = 0,
        precision: Precision = "float",
        reader: ReaderName = "network",
        fast: bool = False,
        region: str | None = None,
        min_text_score: float | None = None,
    ) -> Self:
        """The networks of a folder with a bundle.json; `threads` 0 leaves their number to the runtime.

        `fast` takes the small detector in place of the large one. `region` is a country's code: characters that look
        alike are then settled by what its plates can say. Readings less sure than `min_text_score` are no-reads; None
        takes the threshold that was chosen on validation.
        Raises BundleError, or another ValueError of the part that fails, with a sentence for the user.
        """
        bundle = Bundle.load(bundle_dir)
        detector = NetworkDetector(bundle, threads=threads, precision=precision, network="fast" if fast else "detector")
        chosen: Reader
        if reader == "tesseract":
            chosen = TesseractReader(threads)
        elif reader == "rapidocr":
            from pipeline.readers.rapidocr import RapidOcrReader

            chosen = RapidOcrReader(threads)
        else:
            chosen = NetworkReader(bundle, threads=threads, precision=precision, min_score=min_text_score)
        if region:
            from pipeline.readers.syntax import SettlingReader  # layouts need pydantic and YAML: a fifth of a second

            chosen = SettlingReader(chosen, region)
        return cls(detector, chosen)

    def recognize(self, images: list[RGB], min_score: float = MIN_SCORE) -> list[list[Recognition]]:
        """For each image, in order, its plates with their readings, best detection first.

        The plates of all images are read together.
        """
        found = self.detector.detect(images, min_score)
        plates = [
            (image, detection) for image, detections in zip(images, found, strict=True) for detection in detections
        ]
        readings = iter(read_plates(self.reader, plates))
        return [[Recognition(detection, next(readings)) for detection in detections] for detections in found]


def read_plates(reader: Reader, plates: Sequence[tuple[RGB, Detection]]) -> list[Reading]:
    """A reading for each photo's detection, by its corners; where that is not sure, by its box too, the surer one kept.

    Corners that are a little off cut characters, which the box still holds.
    """
    if not plates:
        return []
    readings = reader.read([cut(image, detection.box, detection.quad) for image, detection in plates])
    doubtful = [index for index, reading in enumerate(readings) if reading.score < DOUBTFUL]
    if doubtful:
        boxed = reader.read([cut(plates[index][0], plates[index][1].box) for index in doubtful])
        for index, other in zip(doubtful, boxed, strict=True):
            readings[index] = max(readings[index], other, key=lambda reading: reading.score)
    return readings


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
