"""What of an evaluation is worth reading first: the headline figures with their intervals, and where it fails most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIGURES = {
    "end_to_end.found_and_read": "Plates found and read exactly",
    "end_to_end.exact": "The same, false readings held against it",
    "ocr.network.labelled.exact": "Read exactly on labelled plates",
    "ocr.network.labelled.cer": "Characters wrong on labelled plates",
    "ocr.network.answers.given": "Plates given a text, not a no-read",
    "ocr.network.answers.given_wrong": "Wrong among the texts given",
    "calibration.ece": "Calibration error of the texts' scores",
    "detection.ap50": "Detection AP50",
    "detection.ap50_95": "Detection AP50-95",
    "detection.recall": "Recall at IoU 0.5",
    "detection.recall_70": "Recall at IoU 0.7",
    "detection.precision": "Precision at IoU 0.5",
    "detection_fast.ap50": "Small detector AP50",
    "attribution.loss.missed_plate": "Plates lost because they were missed",
    "attribution.loss.bad_box": "Lost by a bad box",
    "attribution.loss.bad_crop": "Lost by a bad crop",
    "attribution.loss.wrong_character": "Lost by a wrong character",
}
BASELINE = {"end_to_end.": "end_to_end_baselines.tesseract.", "ocr.network.": "ocr.tesseract."}
PARTS = ("slices.", ".by_source.", "attribution.")  # in the names of figures of parts
COUNTS, KEPT = ("validation.", "curation."), ("curation.leaks", "attribution.loss.")  # how names begin
ENOUGH = 10  # plates, or certain texts, from which on a slice's figure says something
MOST = 0.75  # share of all plates above which a slice is the rule


@dataclass(frozen=True, slots=True)
class Line:
    """A figure: what it is, its name in the run, and how it is written for us and for Tesseract; "" if not measured."""

    label: str
    name: str
    ours: str
    tesseract: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Plates that have something in common, with how many of them are found, and found and read."""

    name: str
    plates: int
    texts: int
    recall: str
    found_and_read: str


def whole(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that a run is judged by: without those of its parts, a slice or a source, and counts of the data."""
    return {
        name: value
        for name, value in figures.items()
        if name.startswith(KEPT) or not (name.startswith(COUNTS) or any(part in name for part in PARTS))
    }


def glance(figures: Mapping[str, float]) -> str:
    """The two or three figures that say most, in a sentence's words."""
    said = {
        "end_to_end.found_and_read": "{} of the plates are found and read exactly",
        "ocr.network.answers.given_wrong": "{} of the texts given are wrong",
        "detection.ap50": "AP50 {}",
    }
    return ", ".join(text.format(f"**{written(figures, name)}**") for name, text in said.items() if name in figures)


def lines(figures: Mapping[str, float]) -> list[Line]:
    """The headline figures that were measured, of figures by dotted name."""
    return [
        Line(label, name, written(figures, name), written(figures, baseline(name)))
        for name, label in FIGURES.items()
        if name in figures
    ]


def test_split(data: Mapping[str, Any]) -> str:
    """89 photos with 102 plates, 66 certain texts"""
    photos, crops, plates, texts = (data.get(name, 0) for name in ("photos", "crops", "plates", "texts"))
    pictures = f"{photos} photos" + (f" and {crops} crops" if crops else "")
    return f"{pictures} with {plates} plates, {texts} certain texts"


def baseline(name: str) -> str:
    """What Tesseract's counterpart of a figure is called; "" where it has none."""
    return next((theirs + name.removeprefix(own) for own, theirs in BASELINE.items() if name.startswith(own)), "")


def written(values: Mapping[str, float], name: str) -> str:
    """A figure with its interval; "" where it was not measured."""
    section, _, figure = name.rpartition(".")
    low, high = (values.get(f"{section}.interval.{figure}.{end}") for end in ("low", "high"))
    return with_interval(values.get(name), low, high)


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """0.758 [0.657, 0.851]"""
    if value is None:
        return ""
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def worst_slices(slices: Mapping[str, Mapping[str, Any]], count: int) -> list[Slice]:
    """The slices of which the fewest plates are found and read, then those of which the fewest are found.

    Small ones say nothing; one of nearly all plates, or of those of which nothing is known, names no cause.
    """
    named = {f"{kind}: {value}": row for kind, rows in slices.items() for value, row in _telling(rows).items()}
    read = _lowest(named, "found_and_read", "texts")
    found = [name for name in _lowest(named, "recall", "plates") if name not in read[:count]]
    return [_slice(name, named[name]) for name in (*read[:count], *found[: max(1, count // 2)])]


def _telling(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The slices of one kind that are a part of the plates of which this is known."""
    known = {value: row for value, row in rows.items() if value != "unknown"}
    most = MOST * sum(row["plates"] for row in known.values())
    return {value: row for value, row in known.items() if row["plates"] <= most}


def _lowest(slices: Mapping[str, Mapping[str, Any]], figure: str, weight: str) -> list[str]:
    """Names of the slices with a figure of enough plates and below one, the lowest first."""
    large = [
        name
        for name, row in slices.items()
        if row.get(weight, 0) >= ENOUGH and row.get(figure) is not None and row[figure] < 1
    ]
    return sorted(large, key=lambda name: (slices[name][figure], name))


def _slice(name: str, row: Mapping[str, Any]) -> Slice:
    def figure(of: str) -> str:
        interval = row["interval"].get(of) or {}
        return with_interval(row.get(of), interval.get("low"), interval.get("high"))

    return Slice(name, row["plates"], row["texts"], figure("recall"), figure("found_and_read"))
