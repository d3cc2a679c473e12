"""Which pictures are the same, nearly the same, or of the same plate; and what to make of their several labels.

Copies (the same pixels) become one sample. Near-duplicates stay apart, but in one group, as do pictures of one plate.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline import alphabet, boxes
from pipeline.images import RGB
from pipeline.records import Box, Plate, Sample

THUMBNAIL = 32  # pixels, square
MIN_CORRELATION = 0.85  # of two thumbnails; nothing below is a near-duplicate, however near the hashes
MAX_STRETCH = 1.05  # ratio of two aspects
MIN_LINKING_TEXT = 5  # characters; a shorter text stands on many plates
_BLOCK = 1024  # rows of hashes compared at a time


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a decoded picture to compare it with others."""

    pixels: str  # SHA-256 of size and RGB
    phash: int  # 64 bits
    thumbnail: NDArray[np.float32]  # (32 * 32,) grey, zero mean, unit length; all zero for a picture of one colour
    aspect: float


@dataclass(frozen=True, slots=True)
class Picture:
    """One distinct picture: the manifest's samples that show it, the smallest id first."""

    copies: tuple[Sample, ...]
    look: Look

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(sorted({copy.id for copy in self.copies}))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What the labels of one picture's copies contradict each other in."""

    severe: bool  # an annotator has to look: a plate is missing in some, a box is elsewhere, a text differs
    reasons: tuple[str, ...]
    lowest_iou: float  # of two boxes of one plate; 0.0 where a plate is missing in some copies


def look(image: RGB) -> Look:
    """The look of RGB uint8 (H, W, 3)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    digest = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}:".encode() + image.tobytes()).hexdigest()
    return Look(
        pixels=digest,
        phash=int(str(imagehash.phash(Image.fromarray(image))), 16),
        thumbnail=small / length if length > 1e-3 else np.zeros_like(small),
        aspect=image.shape[1] / image.shape[0],
    )


def gather(samples: Sequence[Sample], looks: Sequence[Look]) -> list[Picture]:
    """Puts samples with the same pixels (and kind) into one Picture each, in order of their smallest ids."""
    found: dict[tuple[str, str], list[tuple[Sample, Look]]] = defaultdict(list)
    for sample, seen in zip(samples, looks, strict=True):
        found[sample.kind, seen.pixels].append((sample, seen))
    pictures = []
    for members in found.values():
        copies = sorted((sample for sample, _ in members), key=lambda sample: (sample.id, sample.image))
        pictures.append(Picture(tuple(copies), members[0][1]))
    return sorted(pictures, key=lambda picture: picture.copies[0].id)


def near_pairs(pictures: Sequence[Picture], distance: int) -> list[tuple[int, int]]:
    """Index pairs of photos that are nearly the same: hashes within `distance` bits, like thumbnails, like shapes.

    Crops are left out: plates of one design look alike, and it is their texts that tell them apart.
    """
    photos = [index for index, picture in enumerate(pictures) if picture.copies[0].kind == "photo"]
    hashes = np.array([pictures[index].look.phash for index in photos], dtype=np.uint64)
    pairs = []
    for start in range(0, len(photos), _BLOCK):
        differing = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes[None, :])
        for row, column in np.argwhere(differing <= distance):
            a, b = photos[start + int(row)], photos[int(column)]
            if a < b and _alike(pictures[a].look, pictures[b].look):
                pairs.append((a, b))
    return pairs


def _alike(a: Look, b: Look) -> bool:
    stretch = max(a.aspect, b.aspect) / min(a.aspect, b.aspect)
    return stretch <= MAX_STRETCH and float(a.thumbnail @ b.thumbnail) >= MIN_CORRELATION


def linking_texts(plates: Iterable[Plate]) -> frozenset[str]:
    """The texts that tie a picture to others of the same plates: those long enough to belong to one vehicle."""
    texts = (alphabet.normalise(plate.text) for plate in plates if plate.text)
    return frozenset(text for text in texts if len(text) >= MIN_LINKING_TEXT)


def shared_pairs(keys: Sequence[Iterable[str]]) -> list[tuple[int, int]]:
    """Index pairs, enough to connect all that have a key in common."""
    first: dict[str, int] = {}
    pairs = []
    for index, own in enumerate(keys):
        for key in own:
            if first.setdefault(key, index) != index:
                pairs.append((first[key], index))
    return pairs


def components(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Connected components of `count` nodes: sorted indices, components in order of their first index."""
    if count == 0:
        return []
    rows, columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[int(label)].append(index)
    return sorted(members.values())


def merge(
    copies: Sequence[Sample], merge_iou: float, disagree_iou: float
) -> tuple[tuple[Plate, ...], Disagreement | None]:
    """One list of plates from those of several copies, and what they disagree in (None: nothing at all).

    Boxes of different copies that overlap by more than `merge_iou` are one plate, whose box is their median.
    A plate that only some of the copies have is kept. The disagreement is severe where a plate is missing in some
    copies, two of its boxes overlap by less than `disagree_iou`, or its texts differ.
    """
    drawn = [(index, plate) for index, copy in enumerate(copies) for plate in copy.plates]
    if len(copies) == 1 or not drawn:
        return tuple(plate for _, plate in drawn), None
    overlaps = boxes.iou(*(2 * [np.array([plate.box.xyxy for _, plate in drawn])]))
    owner = np.array([index for index, _ in drawn])
    linked = np.argwhere((overlaps > merge_iou) & (owner[:, None] != owner[None, :]))
    clusters = components(len(drawn), [(int(a), int(b)) for a, b in linked])
    merged = [_median([drawn[i][1] for i in cluster]) for cluster in clusters]
    merged.sort(key=lambda plate: plate.box.xyxy)
    return tuple(merged), _compare(len(copies), drawn, clusters, overlaps, disagree_iou)


def _median(plates: list[Plate]) -> Plate:
    """The plate nearest to the median box; it takes that box itself unless a quad holds it in place."""
    corners = np.array([plate.box.xyxy for plate in plates])
    median = np.median(corners, axis=0)
    nearest = plates[int(np.argmax(boxes.iou(corners, median[None])[:, 0]))]
    texts = {plate.text for plate in plates if plate.text is not None}
    text = texts.pop() if len(texts) == 1 else None
    box = nearest.box if nearest.quad is not None else Box(*(float(v) for v in median))
    return replace(nearest, box=box, text=text)


def _compare(
    copies: int,
    drawn: list[tuple[int, Plate]],
    clusters: list[list[int]],
    overlaps: NDArray[np.floating],
    disagree_iou: float,
) -> Disagreement | None:
    reasons = []
    lowest = 1.0
    for cluster in clusters:
        owners = {drawn[i][0] for i in cluster}
        x1, y1, *_ = drawn[cluster[0]][1].box.xyxy
        where = f"the plate at ({x1:g}, {y1:g})"
        if len(owners) < copies:
            reasons.append(f"{where} is drawn in {len(owners)} of {copies} copies")
            lowest = 0.0
        if len(cluster) > 1:
            agreement = float(overlaps[np.ix_(cluster, cluster)].min())
            lowest = min(lowest, agreement)
            if agreement < disagree_iou:
                reasons.append(f"{where} has boxes that overlap by only {agreement:.2f}")
        texts = {drawn[i][1].text for i in cluster} - {None}
        if len(texts) > 1:
            reasons.append(f"{where} has {len(texts)} different texts")
    if not reasons and lowest == 1.0:
        return None
    return Disagreement(bool(reasons), tuple(reasons), lowest)
