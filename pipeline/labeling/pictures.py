"""The pictures that can be asked about, with what is known of each: by its source, and with all corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.labeling import corrections
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.tasks import Extent
from pipeline.manifest import read_jsonl, read_manifest

SNAPSHOT, ORIGINAL, COPIES = "manifest.jsonl", "original.jsonl", "copies.jsonl"  # as curate writes them


@dataclass(frozen=True, slots=True)
class Picture:
    """A curated picture: `source` are its plates as its source drew them, `current` as they are known now.

    `ids` are its own id and those of copies with the same pixels: a correction may stand under any of them.
    """

    id: str
    ids: tuple[str, ...]
    image: str
    extent: Extent
    source: tuple[CorrectedPlate, ...]
    current: tuple[CorrectedPlate, ...]


def read(curated: Path, known: Mapping[str, Correction], match_iou: float) -> dict[str, Picture]:
    """The pictures of the last curation under today's corrections, by id."""
    originals = {one.id: corrections.known(one.plates, None, match_iou) for one in read_manifest(curated / ORIGINAL)}
    copies = {row["id"]: row["copies"] for row in read_jsonl(curated / COPIES)}
    found = {}
    for sample in read_manifest(curated / SNAPSHOT):
        source = current = originals[sample.id]
        ids = tuple(sorted({sample.id, *copies.get(sample.id, ())}))
        for correction in (known[identity] for identity in ids if identity in known):
            current = _corrected(current, correction, match_iou)
        extent = Extent(sample.width, sample.height)
        found[sample.id] = Picture(sample.id, ids, sample.image, extent, source, current)
    return found


def _corrected(
    before: tuple[CorrectedPlate, ...], correction: Correction, match_iou: float
) -> tuple[CorrectedPlate, ...]:
    """What is known with one more correction; what it says nothing of stays as it was known, questions included."""
    left = [one for one in before if not (one.certain and one.kind == "not_a_plate")]
    after = corrections.known([one.plate for one in left], correction, match_iou)
    if correction.complete:
        return after
    return tuple(old if new == CorrectedPlate(old.plate) else new for old, new in zip(left, after, strict=True))
