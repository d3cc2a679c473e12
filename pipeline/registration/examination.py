"""What a model finds and reads on the test pictures, so that two models can be compared on the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.examination import BATCH, certain_plates, detected, with_readings
from pipeline.images import RGB, ImageError, decode, sha256
from pipeline.manifest import read_manifest
from pipeline.metrics import Case
from pipeline.recognizer import Recognizer
from pipeline.records import Sample


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
        found = detected(batch, pictures, recognizer.detector)
        cases += with_readings(found, pictures, "network", recognizer.reader, min_score, certain_plates)
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
