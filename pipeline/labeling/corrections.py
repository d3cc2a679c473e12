"""Corrections of labels: data/labels/corrections.jsonl, one picture a line, sorted by sample id, in git.

    {"id": "4f1c...", "image": "kaggle/images/Cars0.png", "complete": false,
     "plates": [{"box": [226, 125, 419, 173], "text": "KL01CA2555", "region": "IN", "rows": 1}],
     "by": "two readings of plate-text.csv", "when": "2026-11-22", "why": "the source has no texts"}

A complete correction was made with the whole picture in view: its plates are all that there are, boxes included.
An incomplete one adds to the source's plates what it knows of them; the boxes stay the source's own.
A plate that is not `certain` is no truth yet: its `readings` wait for an annotator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline import alphabet, boxes
from pipeline.manifest import plate_from_row, plate_to_row, read_jsonl, write_jsonl
from pipeline.records import Plate

CORRECTIONS = "corrections.jsonl"
Row = TypeVar("Row")
Kind = Literal["plate", "novelty", "lettering", "not_a_plate"]
_READABLE: frozenset[str] = frozenset({"plate", "novelty"})  # what a reader should read
_FIELDS = frozenset({"id", "image", "complete", "plates", "by", "when", "why"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REGION = re.compile(r"[A-Z]{2}")


class CorrectionError(ValueError):
    """A row of data/labels that is not a correction; the message names file, line and field."""


@dataclass(frozen=True, slots=True)
class CorrectedPlate:
    """A plate as an annotator sees it. `readings` are texts proposed while none is certain ('?' for a lost one)."""

    plate: Plate
    kind: Kind = "plate"
    certain: bool = True
    readings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known better of one picture than its source says."""

    id: str
    image: str
    plates: tuple[CorrectedPlate, ...]
    complete: bool
    by: str
    when: str
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plate that only an annotator can settle: the box, what was read, and the question."""

    plate: Plate
    reason: str
    readings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """A picture's plates after a correction, what waits for an annotator, and corrected plates that found no box.

    `complete` where somebody saw the whole picture: what its copies disagree in is settled then.
    """

    plates: tuple[Plate, ...]
    waiting: tuple[Waiting, ...]
    orphans: tuple[CorrectedPlate, ...]
    complete: bool = False


def apply(plates: Sequence[Plate], correction: Correction, match_iou: float) -> Applied:
    """Lays a correction over the plates of its picture.

    Of an incomplete correction each plate goes to the box that it overlaps by more than `match_iou`, one to one.
    """
    waiting = tuple(w for corrected in correction.plates if (w := _question(corrected)) is not None)
    if correction.complete:
        known = tuple(_truth(corrected, corrected.plate) for corrected in correction.plates)
        return Applied(tuple(plate for plate in known if plate is not None), waiting, (), complete=True)
    places = match(plates, [corrected.plate for corrected in correction.plates], match_iou)
    merged: list[Plate | None] = list(plates)
    for corrected, place in zip(correction.plates, places, strict=True):
        if place is not None:
            merged[place] = _truth(corrected, plates[place])
    orphans = tuple(c for c, place in zip(correction.plates, places, strict=True) if place is None)
    return Applied(tuple(plate for plate in merged if plate is not None), waiting, orphans)


def known(plates: Sequence[Plate], correction: Correction | None, match_iou: float) -> tuple[CorrectedPlate, ...]:
    """All that is known of a picture's plates, what is not certain yet included: what an annotator starts from."""
    if correction is None:
        return tuple(CorrectedPlate(plate) for plate in plates)
    if correction.complete:
        return correction.plates
    places = match(plates, [corrected.plate for corrected in correction.plates], match_iou)
    said = {place: c for place, c in zip(places, correction.plates, strict=True) if place is not None}
    return tuple(
        replace(said[i], plate=replace(_truth(said[i], plate) or plate, text=said[i].plate.text))
        if i in said
        else CorrectedPlate(plate)
        for i, plate in enumerate(plates)
    )


def _truth(corrected: CorrectedPlate, base: Plate) -> Plate | None:
    """The base with what is certain of the corrected plate; None where it is certain that there is no plate."""
    if corrected.certain and corrected.kind == "not_a_plate":
        return None
    text = corrected.plate.text if corrected.certain and corrected.kind in _READABLE else None
    quad = corrected.plate.quad if corrected.plate.quad is not None and base is corrected.plate else base.quad
    return replace(
        base,
        quad=quad,
        text=text,
        region=corrected.plate.region or base.region,
        rows=corrected.plate.rows or base.rows,
        legible=corrected.plate.legible,
    )


def _question(corrected: CorrectedPlate) -> Waiting | None:
    if corrected.certain and corrected.kind in _READABLE | {"not_a_plate"}:
        return None
    if corrected.kind == "lettering":
        reason = "lettering where a plate would be: keep the box?"
    elif corrected.kind == "not_a_plate":
        reason = "perhaps not a plate: keep the box?"
    elif not corrected.readings:
        reason = "nobody could read the plate: read it, or mark it as not legible"
    elif len(set(corrected.readings)) > 1:
        reason = "two readings of the plate differ"
    else:
        reason = "the reading is not certain"
    return Waiting(corrected.plate, reason, corrected.readings)


def match(own: Sequence[Plate], others: Sequence[Plate], match_iou: float) -> list[int | None]:
    """For each of `others` the index of its own plate, one to one with the largest total IoU; None without any."""
    places: list[int | None] = [None] * len(others)
    if own and others:
        overlaps = boxes.iou(np.array([p.box.xyxy for p in others]), np.array([p.box.xyxy for p in own]))
        for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
            if overlaps[row, column] > match_iou:
                places[int(row)] = int(column)
    return places


def read_rows(path: Path, read_row: Callable[[dict[str, Any]], Row], wrong: type[ValueError]) -> list[Row]:
    """The rows of a file of data/labels; `wrong` says of which row and picture what is wrong. A missing file: none."""
    if not path.exists():
        return []
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            rows.append(read_row(row))
        except (ValueError, TypeError, KeyError) as error:
            missing = f"{error} is missing" if isinstance(error, KeyError) else error
            raise wrong(f"{path}: row {number} ({row.get('image', 'no image')}): {missing}") from None
    return rows


def read(path: Path) -> list[Correction]:
    """Reads corrections; CorrectionError says on which line what is wrong. A missing file holds none."""
    corrections = read_rows(path, from_row, CorrectionError)
    ids = [correction.id for correction in corrections]
    for first, second in pairwise(ids):
        if first == second:
            raise CorrectionError(f"{path}: two rows for the sample {first}; make one of them")
        if first > second:
            raise CorrectionError(f"{path}: not sorted by id at {second}; sort the lines")
    return corrections


def write(path: Path, corrections: Iterable[Correction]) -> None:
    """Writes corrections sorted by id, so that a change of one picture is a change of one line."""
    write_jsonl(path, (to_row(c) for c in sorted(corrections, key=lambda c: c.id)))


def to_row(correction: Correction) -> dict[str, Any]:
    """A Correction as JSON."""
    return {
        "id": correction.id,
        "image": correction.image,
        "complete": correction.complete,
        "plates": [corrected_to_row(plate) for plate in correction.plates],
        "by": correction.by,
        "when": correction.when,
        "why": correction.why,
    }


def from_row(row: dict[str, Any]) -> Correction:
    """The inverse of to_row; ValueError, TypeError or KeyError (a missing field) where it is not one."""
    if unknown := sorted(set(row) - _FIELDS):
        raise ValueError(f"unknown field {unknown[0]!r}")
    if not _SHA256.fullmatch(str(row["id"])):
        raise ValueError(f"id {row['id']!r} is not a SHA-256")
    if not isinstance(row["complete"], bool):
        raise ValueError("complete is true or false")
    date.fromisoformat(row["when"])
    return Correction(
        id=row["id"],
        image=str(row["image"]),
        plates=tuple(corrected_from_row(plate) for plate in row["plates"]),
        complete=row["complete"],
        by=str(row["by"]),
        when=row["when"],
        why=str(row["why"]),
    )


def corrected_to_row(corrected: CorrectedPlate) -> dict[str, Any]:
    """A CorrectedPlate as JSON; what goes without saying is left out."""
    row: dict[str, Any] = {name: _plain(value) for name, value in plate_to_row(corrected.plate).items()}
    if corrected.kind != "plate":
        row["kind"] = corrected.kind
    if not corrected.certain:
        row["certain"] = False
    if corrected.readings:
        row["readings"] = list(corrected.readings)
    return row


def _plain(value: Any) -> Any:
    """The value with whole numbers written as such, at any depth: 12 and 12.0 are one line in git."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def corrected_from_row(row: dict[str, Any]) -> CorrectedPlate:
    """The inverse of corrected_to_row; ValueError says what is wrong with a field."""
    plate = plate_from_row({**row, "box": [float(v) for v in row["box"]]})
    kind, certain = row.get("kind", "plate"), row.get("certain", True)
    if kind not in get_args(Kind):
        raise ValueError(f"kind {kind!r} is none of {', '.join(get_args(Kind))}")
    if plate.text is not None and alphabet.check(plate.text) != plate.text:
        raise ValueError(f"text {plate.text!r} is not in the form {alphabet.check(plate.text)!r}")
    if plate.text is not None and not certain:
        raise ValueError("a text that is not certain belongs in readings")
    if plate.region is not None and not _REGION.fullmatch(plate.region):
        raise ValueError(f"region {plate.region!r} is not two capital letters (ISO 3166)")
    return CorrectedPlate(plate, cast(Kind, kind), bool(certain), tuple(row.get("readings", ())))
