"""What the data are like, as counts small enough to keep with a model; and how far two data sets have drifted apart.

{"version": 1,
 "splits": {"test": {"pictures": 89, "groups": 88, "plates": 102,
                     "features": {"plate height": {"0 to 16 px": 18, "16 to 24 px": 31}, "source": {"kaggle": 89}}}}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from pipeline import metrics
from pipeline.metrics import Case
from pipeline.records import Plate, Sample

VERSION = 1
SPLITS = ("train", "test")
DRIFTED = 0.2  # Jensen-Shannon distance, base 2, from which a feature counts as drifted; if chance does not reach it
DRAWS = 400
_LIKELY = 0.95  # share of chance's distances that lie below `chance`

Row = dict[str, Any]

ASPECTS = (0.0, 1.5, 2.5, 3.5, 4.5, 5.5, float("inf"))  # of a plate's box, width over height
BRIGHTNESS = (0.0, 60.0, 90.0, 120.0, 150.0, 180.0, float("inf"))  # mean grey
CONTRAST = (0.0, 30.0, 45.0, 60.0, 75.0, 90.0, float("inf"))  # standard deviation of grey
SHARPNESS = (0.0, 0.03, 0.06, 0.12, 0.24, 0.48, float("inf"))  # quality.traits'


def profile(cases: Iterable[Case]) -> Row:
    """Counts of each feature over the pictures and plates of the splits train and test."""
    by_split: dict[str, list[Case]] = {name: [] for name in SPLITS}
    for case in cases:
        if case.sample.split in by_split:
            by_split[case.sample.split].append(case)
    return {"version": VERSION, "splits": {name: _profile(own) for name, own in by_split.items()}}


def _profile(cases: Sequence[Case]) -> Row:
    features: dict[str, Counter[str]] = {}

    def count(feature: str, value: str) -> None:
        features.setdefault(feature, Counter())[value] += 1

    for case in cases:
        count("source", case.sample.source)
        for trait, edges in (("brightness", BRIGHTNESS), ("contrast", CONTRAST), ("sharpness", SHARPNESS)):
            if trait in case.traits:
                count(f"picture {trait}", bin_name(case.traits[trait], edges))
        for index, plate in enumerate(case.sample.plates):
            for feature, value in _of_plate(case.sample, plate):
                count(feature, value)
            if index in case.sharpness:
                count("plate blur", metrics.blur_name(case.sharpness[index]))
    return {
        "pictures": len(cases),
        "groups": len({case.sample.group for case in cases}),
        "plates": sum(len(case.sample.plates) for case in cases),
        "features": {name: dict(sorted(counts.items())) for name, counts in sorted(features.items())},
    }


def _of_plate(sample: Sample, plate: Plate) -> Iterable[tuple[str, str]]:
    """(feature, value) of a plate; the height in a crop says nothing of the photo that it is from."""
    if sample.kind == "photo":
        yield "plate height", metrics.height_name(plate.box.height)
    yield "plate aspect", bin_name(plate.box.width / plate.box.height, ASPECTS)
    yield "region", plate.region or "unknown"
    yield "rows", str(plate.rows or "unknown")
    if text := metrics.certain_text(plate):
        yield "text length", str(len(text))


def bin_name(value: float, edges: Sequence[float]) -> str:
    """The bin of a value: '0.5 to 1', or '2 and more' for the last."""
    low, high = next((pair for pair in pairwise(edges) if value < pair[1]), (edges[-2], edges[-1]))
    return f"{low:g} and more" if high == float("inf") else f"{low:g} to {high:g}"


def drift(profile: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[Row]:
    """A row for each split and feature: how far its distribution lies from the earlier one's, farthest first.

    {"split": "train", "feature": "region", "distance": 0.31, "chance": 0.12, "n": 264, "earlier_n": 250,
     "verdict": "drifted", "says": "..."}; distance, Jensen-Shannon's to base 2, is None where either has no value.
    `chance` is what two draws of these sizes from one distribution stay below in 95 % of cases; a size is never more
    than the groups of pictures, which are what was drawn. The verdict is alike below DRIFTED; from there on drifted, or
    unknown where chance reaches as far.
    """
    if profile.get("version") != earlier.get("version"):
        says = "the earlier profile counts in another way (another version), so the two cannot be compared"
        return [{"split": "", "feature": "all", "distance": None, "verdict": "unknown", "says": says}]
    rows = []
    for split, own in profile["splits"].items():
        other = earlier["splits"].get(split, {"features": {}, "groups": 0})
        for feature in sorted({*own["features"], *other["features"]}):
            now, then = own["features"].get(feature, {}), other["features"].get(feature, {})
            rows.append({"split": split, "feature": feature, **_drift(now, then, own["groups"], other["groups"])})
    return sorted(rows, key=lambda row: (row["distance"] is None, -(row["distance"] or 0.0)))


def _drift(now: Mapping[str, int], then: Mapping[str, int], groups: int, earlier_groups: int) -> Row:
    values = sorted({*now, *then})
    counts = np.array([[side.get(value, 0) for value in values] for side in (now, then)], dtype=np.float64)
    sizes = counts.sum(axis=1)
    row: Row = {"n": int(sizes[0]), "earlier_n": int(sizes[1])}
    if not sizes.all():
        which = "these data have" if sizes[1] else ("the earlier data had" if sizes[0] else "neither has")
        return {**row, "distance": None, "chance": None, "verdict": "unknown", "says": f"{which} no value of it"}
    distance = float(_distances(counts[0] / sizes[0], counts[1] / sizes[1]))
    drawn = min(int(sizes[0]), max(groups, 1)), min(int(sizes[1]), max(earlier_groups, 1))
    chance = _by_chance(counts.sum(axis=0) / sizes.sum(), drawn)
    verdict, says = _verdict(counts / sizes[:, None], values, distance, chance)
    return {**row, "distance": round(distance, 4), "chance": round(chance, 4), "verdict": verdict, "says": says}


def _distances(now: NDArray[np.float64], then: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., values) shares -> (...,) Jensen-Shannon distances to base 2, 0 to 1."""
    found = np.asarray(jensenshannon(now, then, base=2, axis=-1), dtype=np.float64)
    return np.nan_to_num(found)  # the root of a zero that rounding left below zero


def _by_chance(shares: NDArray[np.float64], sizes: tuple[int, int]) -> float:
    """The distance that two draws of these sizes from one distribution stay below in 95 % of cases."""
    rng = np.random.default_rng(0)
    now, then = (rng.multinomial(size, shares, DRAWS) / size for size in sizes)
    return float(np.quantile(_distances(now, then), _LIKELY))


def _verdict(shares: NDArray[np.float64], values: Sequence[str], distance: float, chance: float) -> tuple[str, str]:
    """The verdict, and why; `shares` (2, values) are those of now and of then."""
    if distance < DRIFTED:
        return "alike", f"below {DRIFTED:g}"
    if distance <= chance:
        return "unknown", f"{DRIFTED:g} or more, which so few pictures reach by chance"
    most = int(np.abs(shares[0] - shares[1]).argmax())
    change = f"{values[most]}, {shares[0, most]:.0%}, was {shares[1, most]:.0%}"
    return "drifted", f"{DRIFTED:g} or more, and more than by chance; most changed: {change}"
