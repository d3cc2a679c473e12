"""Train, val and test: a pure function of a group and the seed, and the gate that lets no leak pass.

A group is named by the smallest sample id in it, so that its split does not change when other data are added.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

from pipeline.curation import duplicates
from pipeline.curation.duplicates import Picture, linking_texts
from pipeline.records import Plate, Sample, Split

# A source whose authors published two parts: what they held out is our test, and is never trained on.
HELD_OUT: Mapping[str, Split] = {"voc": "test"}
STRONGEST: tuple[Split, ...] = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class Rule:
    """How groups are shared out: `test` and `val` are fractions; with `folds`, fold number `fold` is the test part."""

    seed: int
    test: float
    val: float
    folds: int | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        if self.test + self.val > 1:
            raise ValueError(f"curate.test + curate.val is {self.test + self.val:g}: nothing is left to train on")
        if self.folds is not None and not (self.folds >= 2 and 0 <= self.fold < self.folds):
            raise ValueError(
                f"curate.fold {self.fold} of curate.folds {self.folds}: give 2 folds or more, and a fold below that"
            )

    def split(self, group: str) -> Split:
        """The split of a group without an official one."""
        place = unit(f"{self.seed}:{group}")
        if self.folds is not None:
            if int(place * self.folds) == self.fold:
                return "test"
            return "val" if unit(f"{self.seed}:val:{group}") < self.val else "train"
        if place < self.test:
            return "test"
        return "val" if place < self.test + self.val else "train"


def unit(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def official(samples: Iterable[Sample]) -> Split | None:
    """The split that the authors of the samples published; test before val before train where they differ."""
    known: set[Split] = set()
    for sample in samples:
        if sample.official_split == "val":
            known.add(HELD_OUT.get(sample.source, "val"))
        elif sample.official_split is not None:
            known.add(sample.official_split)
    return next((part for part in STRONGEST if part in known), None)


def group(
    pictures: Sequence[Picture], plates: Sequence[tuple[Plate, ...]], near: Sequence[tuple[int, int]]
) -> list[list[int]]:
    """Indices of the pictures that belong together: near-duplicates, of one source group, of one plate.

    A plate that only pictures with an official split show ties none of them: where its authors put it in two
    splits, that is theirs, and is reported (`official_overlaps`).
    """
    theirs = [[f"{copy.source}:{copy.group}" for copy in picture.copies] for picture in pictures]
    texts = [linking_texts(own) for own in plates]
    published = [all(copy.official_split is not None for copy in picture.copies) for picture in pictures]
    free = set(chain.from_iterable(own for own, fixed in zip(texts, published, strict=True) if not fixed))
    linking = [own & free for own in texts]
    pairs = [*near, *duplicates.shared_pairs(theirs), *duplicates.shared_pairs(linking)]
    return duplicates.components(len(pictures), pairs)


def torn_tracks(samples: Iterable[Sample]) -> set[tuple[str, str]]:
    """(source, group) of the tracks whose frames have several official splits: a track cannot keep to them."""
    parts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in samples:
        if sample.official_split is not None and sample.group != sample.id:
            parts[sample.source, sample.group].add(sample.official_split)
    return {track for track, found in parts.items() if len(found) > 1}


def split(
    pictures: Sequence[Picture],
    plates: Sequence[tuple[Plate, ...]],
    groups: Sequence[Sequence[int]],
    rule: Rule,
) -> list[Sample]:
    """One sample a picture, in the order of `pictures`, with its group's name and split."""
    made: dict[int, Sample] = {}
    torn = torn_tracks(chain.from_iterable(picture.copies for picture in pictures))
    for members in groups:
        copies = list(chain.from_iterable(pictures[index].copies for index in members))
        name = min(copy.id for copy in copies)
        part = official(copy for copy in copies if (copy.source, copy.group) not in torn) or rule.split(name)
        for index in members:
            made[index] = replace(pictures[index].copies[0], plates=plates[index], group=name, split=part)
    return [made[index] for index in range(len(pictures))]


def crossing(keys: Sequence[Iterable[str]], splits: Sequence[Split]) -> dict[str, list[Split]]:
    """The keys (groups, texts) that stand in more than one split, with these splits."""
    places: dict[str, set[str]] = defaultdict(set)
    for own, split in zip(keys, splits, strict=True):
        for key in own:
            places[key].add(split)
    return {
        key: [cast(Split, split) for split in sorted(found)] for key, found in sorted(places.items()) if len(found) > 1
    }


def leaks(samples: Sequence[Sample], near: Iterable[tuple[int, int]]) -> list[str]:
    """A sentence for each group, plate text or near-duplicate pair (of indices) that stands in two splits.

    Texts that cross only the authors' own official splits are left to `official_overlaps`.
    """
    parts = [_split(sample) for sample in samples]
    texts = [linking_texts(sample.plates) for sample in samples]
    theirs = official_overlaps(samples)
    found = [
        f"group {name[:12]} is in {' and '.join(where)}"
        for name, where in crossing([[sample.group] for sample in samples], parts).items()
    ]
    for text, where in crossing(texts, parts).items():
        if text not in theirs:
            images = [sample.image for sample, own in zip(samples, texts, strict=True) if text in own]
            found.append(f"the plate of {', '.join(images[:4])} is in {' and '.join(where)}")
    for a, b in near:
        if parts[a] != parts[b]:
            found.append(
                f"near-duplicates {samples[a].image} ({parts[a]}) and {samples[b].image} ({parts[b]}) are apart"
            )
    return found


def official_overlaps(samples: Sequence[Sample]) -> dict[str, list[Split]]:
    """The plate texts that a source's authors themselves published in more than one of their splits."""
    texts = [linking_texts(sample.plates) for sample in samples]
    chosen = [index for index, sample in enumerate(samples) if sample.official_split is not None]
    free = set(chain.from_iterable(texts[i] for i, sample in enumerate(samples) if sample.official_split is None))
    theirs = crossing([texts[index] for index in chosen], [_split(samples[index]) for index in chosen])
    return {text: where for text, where in theirs.items() if text not in free}


def moved(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that are not where their authors put them, since they are nearly the same as one elsewhere."""
    return [sample for sample in samples if sample.official_split is not None and official([sample]) != sample.split]


def seen_in_test(samples: Sequence[Sample], ids: Sequence[Collection[str]], seen: Collection[str]) -> list[Sample]:
    """The test samples that starting weights were trained on, by any id of the picture's copies."""
    return [
        sample
        for sample, own in zip(samples, ids, strict=True)
        if sample.split == "test" and any(identity in seen for identity in own)
    ]


def _split(sample: Sample) -> Split:
    if sample.split is None:
        raise ValueError(f"{sample.image} has no split")
    return sample.split
