"""The crops that readers are compared on: every plate with a certain text, cut out of its picture in one way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.progress import track

from pipeline import boxes, images
from pipeline.checkpoints import CheckpointError, read_seen
from pipeline.images import RGB
from pipeline.manifest import read_manifest
from pipeline.metrics import box_array, certain_text
from pipeline.recognizer import cut
from pipeline.records import Box, Plate, Sample

Labels = Literal["published", "corrected"]
Way = Literal["box", "corners"]

LEAST_IOU = 0.3  # from which on a published box may be that of a corrected plate


@dataclass(frozen=True, slots=True)
class Target:
    """A plate with a certain text, and the box that it is cut out by."""

    sample: Sample
    plate: Plate
    truth: str
    box: Box


@dataclass(frozen=True, slots=True)
class Crop:
    """What the readers are given of one plate. `height` is that of its box, in pixels of its picture."""

    target: Target
    image: RGB
    height: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plates to cut out. `learnt` counts those that a reader has learnt from, left out or not; `unboxed` those left
    out because no box of them was published."""

    targets: list[Target]
    learnt: int
    keeps_learnt: bool
    unboxed: int


def whose(labels: Labels | None, way: Way) -> Labels:
    """The labels that plates are cut out by, as asked for or by default."""
    if way == "corners" and labels == "published":
        raise ValueError("published labels have no corners: cut by --labels corrected, or by the box")
    return labels or ("corrected" if way == "corners" else "published")


def seen_by_readers(seen: Sequence[Path] | None, bundles: Sequence[Path], keep: bool) -> frozenset[str]:
    """The ids of all pictures that a reader was trained on: those in `seen`, or in `reader` beside each bundle.

    CheckpointError where one has no list of them, but for a default place where they are only counted (`keep`).
    """
    ids: frozenset[str] = frozenset()
    for folder in seen or sorted({bundle.parent / "reader" for bundle in bundles}):
        try:
            ids |= read_seen(folder)
        except CheckpointError as error:
            if seen or not keep:
                raise CheckpointError(f"{error}; name the folder that has it with --seen, or --keep-seen") from None
    return ids


def choose(
    curated: Path, source: str | None, split: str, labels: Labels, seen: Collection[str], keep_seen: bool
) -> Chosen:
    """The plates with a certain text of a source and split; ValueError where there is none.

    A picture counts as learnt from with its whole group: a near-duplicate is no new picture.
    """
    everything = read_manifest(curated / "manifest.jsonl")
    asked = [sample for sample in everything if source in (None, sample.source) and split in ("all", sample.split)]
    groups = {sample.group for sample in everything if sample.id in seen}
    learnt = [sample for sample in asked if sample.group in groups]
    kept = asked if keep_seen else [sample for sample in asked if sample.group not in groups]
    originals = None
    if labels == "published":
        originals = {sample.id: sample for sample in read_manifest(curated / "original.jsonl")}
    found, unboxed = targets(kept, originals)
    if not found:
        raise ValueError(
            f"no plate of {source or 'any source'} with a certain text stands in the split {split} of {curated}"
            + (", but for those that a reader has learnt from (--keep-seen)" if targets(learnt, None)[0] else "")
        )
    return Chosen(found, len(targets(learnt, None)[0]), keep_seen, unboxed)


def targets(samples: Sequence[Sample], published: Mapping[str, Sample] | None) -> tuple[list[Target], int]:
    """The plates with a certain text, by their own boxes or those published, and how many have no published box.

    A sample of kind crop is its plate, whatever its boxes.
    """
    found, missing = [], 0
    for sample in samples:
        by = {index: plate.box for index, plate in enumerate(sample.plates)}
        if published is not None and sample.kind == "photo":
            original = published.get(sample.id)
            by = matched(sample.plates, original.plates if original else ())
        for index, plate in enumerate(sample.plates):
            truth = certain_text(plate)
            if truth and index in by:
                found.append(Target(sample, plate, truth, by[index]))
            missing += bool(truth and index not in by)
    return found, missing


def matched(plates: Sequence[Plate], published: Sequence[Plate]) -> dict[int, Box]:
    """For each plate, by its index, the box published of it: one to one, the pairs that overlap most first."""
    found: dict[int, Box] = {}
    if not plates or not published:
        return found
    overlaps = boxes.iou(box_array(plates), box_array(published))  # (P, Q)
    while overlaps.max() > LEAST_IOU:
        plate, other = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        found[int(plate)] = published[int(other)].box
        overlaps[plate, :] = overlaps[:, other] = 0
    return found


def cut_out(chosen: Sequence[Target], folder: Path, way: Way) -> list[Crop]:
    """Reads each picture once and cuts its plates out, by their boxes or rectified by their corners."""
    pictures: defaultdict[str, list[Target]] = defaultdict(list)
    for target in chosen:
        pictures[target.sample.image].append(target)
    crops = []
    for path, own in track(pictures.items(), description="cutting plates out"):
        picture = images.read_image(folder / path)
        crops += [Crop(target, _crop(picture, target, way), target.box.height) for target in own]
    return crops


def _crop(picture: RGB, target: Target, way: Way) -> RGB:
    if target.sample.kind == "crop":
        return picture
    if way == "corners":
        return cut(picture, target.box, target.plate.quad)
    return images.crop(picture, target.box)
