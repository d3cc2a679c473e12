"""The photos of a benchmark in several forms: as a source has them, and as a camera would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from pipeline.images import RGB, encode_jpeg, read_image
from pipeline.records import Box, Plate, Quad, Sample


@dataclass(frozen=True, slots=True)
class Photo:
    """A file, and what is on it."""

    sample: Sample
    path: Path


@dataclass(frozen=True, slots=True)
class Form:
    """The same photos as all other forms have, in the same order."""

    name: str
    photos: Sequence[Photo]

    @property
    def size(self) -> tuple[int, int]:
        """Median width and height, in pixels."""
        width, height = np.median([(one.sample.width, one.sample.height) for one in self.photos], axis=0)
        return round(width), round(height)

    @property
    def megabytes(self) -> float:
        """A file's, the median."""
        return float(np.median([one.path.stat().st_size for one in self.photos])) / 1e6


def as_they_are(samples: Sequence[Sample], folder: Path) -> Form:
    return Form("as they are", [Photo(sample, folder / sample.image) for sample in samples])


def as_jpeg(form: Form, side: int, folder: Path) -> Form:
    """Copies as JPEG whose longer side has so many pixels, written to `folder`.

    A copy that is larger than its photo shows no more than that; it costs what a file of its size costs.
    """
    copies = []
    for number, photo in enumerate(track(form.photos, description=f"writing copies of {side} pixels")):
        image = resized(read_image(photo.path), side)
        path = folder / f"{number:05}.jpg"
        path.write_bytes(encode_jpeg(image))
        copies.append(Photo(scaled(photo.sample, image.shape[1], image.shape[0]), path))
    return Form(f"as JPEG of {side} pixels", copies)


def resized(image: RGB, side: int) -> RGB:
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def scaled(sample: Sample, width: int, height: int) -> Sample:
    """The sample of a copy of so many pixels: boxes and corners of its plates move along."""
    across, down = width / sample.width, height / sample.height

    def plate(one: Plate) -> Plate:
        x1, y1, x2, y2 = one.box.xyxy
        box = Box(x1 * across, y1 * down, x2 * across, y2 * down)
        quad = one.quad and Quad(*((x * across, y * down) for x, y in one.quad.points))
        return replace(one, box=box, quad=quad, char_boxes=(), vehicle=None)

    return replace(sample, width=width, height=height, plates=tuple(map(plate, sample.plates)))
