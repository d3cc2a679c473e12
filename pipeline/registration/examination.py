"""What a model finds and reads on the test pictures, so that two models can be compared on the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.images import RGB, ImageError, decode, sha256
from pipeline.manifest import read_manifest
from pipeline.metrics import Case, certain_text
from pipeline.recognizer import Recognizer, cut
from pipeline.records import Sample

FLOOR = 0.01  # AP looks at detections far below the working point
BATCH = 16  # pictures held in memory at once


def held_out(manifest: Path) -> list[Sample]:
    """The test split of a curated manifest; ManifestError where it cannot be read."""
    return [sample for sample in read_manifest(manifest) if sample.split == "test"]


def examine(samples: Sequence[Sample], images: Path, recognizer: Recognizer, min_score: float) -> list[Case]:
    """A case for each sample: what is found on it, and read on its labelled plates and on what was found surely.

    ImageError where a picture is not here, or is not the one that the manifest names.
    """
    cases: list[Case] = []
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        pictures = [picture_of(sample, images) for sample in batch]
        photos = [picture for sample, picture in zip(batch, pictures, strict=True) if sample.kind == "photo"]
        found = iter(recognizer.detector.detect(photos, FLOOR) if photos else [])
        seen = [Case(sample, tuple(next(found)) if sample.kind == "photo" else ()) for sample in batch]
        cases += with_readings(seen, pictures, recognizer, min_score)
    return cases


def picture_of(sample: Sample, images: Path) -> RGB:
    """The sample's picture; its id is the SHA-256 of the file's bytes."""
    path = images / sample.image
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None
    if sha256(data) != sample.id:
        raise ImageError(f"{path} is not the picture that the manifest names: its bytes have changed")
    try:
        return decode(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def with_readings(
    cases: Sequence[Case], pictures: Sequence[RGB], recognizer: Recognizer, min_score: float
) -> list[Case]:
    """The cases with the reader's readings; all their crops are read in one call."""
    asked = [[at for at, plate in enumerate(case.sample.plates) if certain_text(plate)] for case in cases]
    sure = [case.confident(min_score) for case in cases]
    crops = [
        crop
        for case, picture, plates, detections in zip(cases, pictures, asked, sure, strict=True)
        for crop in (
            *(labelled_crop(case.sample, plate, picture) for plate in plates),
            *(cut(picture, detection.box, detection.quad) for detection in detections),
        )
    ]
    readings = iter(recognizer.reader.read(crops) if crops else [])
    read = []
    for case, plates, detections in zip(cases, asked, sure, strict=True):
        labelled = {plate: next(readings) for plate in plates}
        found = tuple(next(readings) for _ in detections)
        read.append(replace(case, found={"network": found}, labelled={"network": labelled}))
    return read


def labelled_crop(sample: Sample, plate: int, picture: RGB) -> RGB:
    """The true plate as a reader is shown it: by its corners where they are known; a crop sample as it is."""
    truth = sample.plates[plate]
    return picture if sample.kind == "crop" else cut(picture, truth.box, truth.quad)
