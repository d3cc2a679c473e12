"""What annotators said: data/labels/annotations.jsonl, one picture a line, sorted by sample id, in git.

    {"id": "4f1c...", "image": "kaggle/images/Cars0.png", "task": 12, "base": [plates], "source": [plates],
     "annotations": [{"id": 7, "made": "2026-11-26T09:00:01Z", "when": "2026-11-26T09:00:01Z", "by": "ann@example.org",
     "seconds": 31.5, "state": "submitted", "plates": [...]}]}

`base` and `source` are what the next pull merges against: the plates as annotators knew them last (of the task, then of
the annotation that was taken), and those of the picture's source at that time. Nothing is ever taken out: an annotation
that is gone from the server stays as a tombstone, and what somebody said before changing it as `revised`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import cv2
import numpy as np

from pipeline import boxes
from pipeline.labeling.corrections import CorrectedPlate, corrected_from_row, corrected_to_row, match, read_rows
from pipeline.labeling.tasks import legibility
from pipeline.manifest import write_jsonl

ANNOTATIONS = "annotations.jsonl"
State = Literal["submitted", "revised", "skipped", "draft", "deleted", "refused"]
MATCH = 0.3  # IoU from which two annotators mean the same plate
Value = TypeVar("Value")


class AnnotationError(ValueError):
    """A row of annotations.jsonl that is not one; the message names file, row and field."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's word on one picture. Times are ISO 8601 in UTC, by the server's clock.

    A server may give an id again after a deletion: id and `made` together name an annotation.
    `overruled` ones took part in a disagreement that a later annotation settled. `refused` ones say something that
    cannot be, named in `problem`.
    """

    id: int
    made: str
    when: str
    by: str
    seconds: float | None
    state: State
    plates: tuple[CorrectedPlate, ...] = ()
    overruled: bool = False
    problem: str | None = None

    @property
    def key(self) -> tuple[int, str]:
        return (self.id, self.made)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture with all that was ever said of it. `merged` names the version that the labels hold: key and when."""

    id: str
    image: str
    task: int
    base: tuple[CorrectedPlate, ...]
    source: tuple[CorrectedPlate, ...]
    annotations: tuple[Annotation, ...]
    merged: tuple[int, str, str] | None = None


def read(path: Path) -> dict[str, Annotated]:
    """By sample id; a missing file holds none."""
    found: dict[str, Annotated] = {}
    for one in read_rows(path, _from_row, AnnotationError):
        if one.id in found:
            raise AnnotationError(f"{path}: two rows for the sample {one.id}; take them together in one")
        found[one.id] = one
    return found


def write(path: Path, rows: Iterable[Annotated]) -> None:
    """Writes rows sorted by sample id, annotations in the order in which they were made."""
    write_jsonl(path, (_to_row(row) for row in sorted(rows, key=lambda row: row.id)))


def plates_to_rows(plates: Iterable[CorrectedPlate]) -> list[dict[str, Any]]:
    return [corrected_to_row(plate) for plate in plates]


def plates_from_rows(rows: Iterable[dict[str, Any]]) -> tuple[CorrectedPlate, ...]:
    return tuple(corrected_from_row(row) for row in rows)


def _to_row(one: Annotated) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": one.id,
        "image": one.image,
        "task": one.task,
        "base": plates_to_rows(one.base),
        "source": plates_to_rows(one.source),
        "annotations": [_annotation_to_row(a) for a in sorted(one.annotations, key=lambda a: (a.made, a.id, a.when))],
    }
    if one.merged is not None:
        row["merged"] = list(one.merged)
    return row


def _annotation_to_row(one: Annotation) -> dict[str, Any]:
    row: dict[str, Any] = {"id": one.id, "made": one.made, "when": one.when, "by": one.by}
    row |= {"seconds": one.seconds, "state": one.state, "plates": plates_to_rows(one.plates)}
    if one.overruled:
        row["overruled"] = True
    if one.problem is not None:
        row["problem"] = one.problem
    return row


def _from_row(row: dict[str, Any]) -> Annotated:
    if unknown := sorted(row.keys() - {field.name for field in fields(Annotated)}):
        raise ValueError(f"unknown field {unknown[0]!r}")
    return Annotated(
        id=_field(row, "id", _text),
        image=_field(row, "image", _text),
        task=_field(row, "task", int),
        base=_field(row, "base", plates_from_rows),
        source=_field(row, "source", plates_from_rows),
        annotations=_field(row, "annotations", lambda rows: tuple(_annotation_from_row(one) for one in rows)),
        merged=_field(row, "merged", _version) if row.get("merged") is not None else None,
    )


def _field(row: dict[str, Any], name: str, read: Callable[[Any], Value]) -> Value:
    """A field as `read` makes it; ValueError names the field where it cannot be read."""
    if name not in row:
        raise ValueError(f"{name!r} is missing")
    try:
        return read(row[name])
    except KeyError as error:
        raise ValueError(f"{name}: {error} is missing") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _version(value: Any) -> tuple[int, str, str]:
    number, made, when = value
    return int(number), _text(made), _text(when)


def _annotation_from_row(row: dict[str, Any]) -> Annotation:
    if row["state"] not in get_args(State):
        raise ValueError(f"state {row['state']!r} is none of {', '.join(get_args(State))}")
    one = Annotation(**{**row, "plates": plates_from_rows(row["plates"])})
    for moment in (one.made, one.when):
        datetime.fromisoformat(moment)
    return one


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree who labelled the same pictures without a word of each other.

    `iou` is the mean over plates, 0 for one that only one of them has; `exact` the share of equal texts where either
    gave one; `kappa` Cohen's (1960) on what can be read. None where there is nothing to compare, or all chose alike.
    """

    pictures: int
    pairs: int
    iou: float | None
    exact: float | None
    kappa: float | None


def agreement(rows: Iterable[Annotated]) -> Agreement:
    """Over all pairs of annotators of each picture, each by their last word before any disagreement was settled."""
    ious: list[float] = []
    same: list[bool] = []
    choices: list[tuple[str, str]] = []
    pictures = pairs = 0
    for row in rows:
        words = list(last_words(first_round(row.annotations)))
        pictures += len(words) > 1
        for a, b in combinations(words, 2):
            pairs += 1
            places = matched(a.plates, b.plates)
            found = [
                (a.plates[place], other) for place, other in zip(places, b.plates, strict=True) if place is not None
            ]
            ious += [iou(one, other) for one, other in found]
            alone = [one for index, one in enumerate(a.plates) if index not in places]
            alone += [one for one, place in zip(b.plates, places, strict=True) if place is None]
            ious += [0.0 for one in alone if one.kind != "not_a_plate"]  # to say so and to delete the box is all one
            same += [one.plate.text == other.plate.text for one, other in found if one.plate.text or other.plate.text]
            choices += [(legibility(one) or "no answer", legibility(other) or "no answer") for one, other in found]
    return Agreement(pictures, pairs, _mean(ious), _mean(same), _kappa(choices))


def first_round(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Annotations that were made independently: those that were overruled, if any, else all that are submitted."""
    annotations = list(annotations)
    overruled = [one for one in annotations if one.overruled and one.state in ("submitted", "revised")]
    return overruled or [one for one in annotations if one.state == "submitted"]


def last_words(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Each annotator's latest annotation, in order of their names."""
    latest: dict[str, Annotation] = {}
    for one in sorted(annotations, key=lambda a: (a.when, a.id)):
        latest[one.by] = one
    return tuple(latest[name] for name in sorted(latest))


def matched(own: Sequence[CorrectedPlate], others: Sequence[CorrectedPlate]) -> list[int | None]:
    """For each of `others` the place of the same plate among one's own, one to one; None without any."""
    return match([one.plate for one in own], [one.plate for one in others], MATCH)


def iou(a: CorrectedPlate, b: CorrectedPlate) -> float:
    """Intersection over union of two plates: of their outlines where both have one, else of their boxes."""
    if a.plate.quad is None or b.plate.quad is None:
        return float(boxes.iou(np.array([a.plate.box.xyxy]), np.array([b.plate.box.xyxy]))[0, 0])
    first, second = (np.array(one.plate.quad.points, np.float32) for one in (a, b) if one.plate.quad is not None)
    shared = cv2.intersectConvexConvex(first, second)[0]
    return float(shared / max(cv2.contourArea(first) + cv2.contourArea(second) - shared, 1e-9))


def _mean(values: list[float] | list[bool]) -> float | None:
    return float(np.mean(values)) if values else None


def _kappa(choices: list[tuple[str, str]]) -> float | None:
    if len({choice for pair in choices for choice in pair}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(*zip(*choices, strict=True)))
