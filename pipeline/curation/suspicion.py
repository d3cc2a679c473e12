"""Which labels are probably wrong, judged by what was detected and read: what annotators should look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from pipeline import alphabet, boxes
from pipeline.records import Plate, Sample

Row = Mapping[str, Any]
MIN_READING = 0.6  # score below which a reading contradicts nobody
SECOND_OPINIONS = ("tesseract", "rapidocr")  # readers beside our own, as predictions.jsonl names them

# How likely such a sample is wrong, and how much a wrong one harms: copies that contradict each other are certainly
# wrong somewhere, a box that was missed teaches the detector a falsehood, an unread plate only teaches nothing.
WEIGHTS: Mapping[str, float] = {
    "copies_disagree": 1.0,
    "correction_lost": 1.0,
    "text_contradicted": 0.9,
    "unlabelled_plate": 0.8,
    "far_box": 0.6,
    "unread": 0.3,
}


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One reason to look at a sample: `kind` is a key of WEIGHTS, `strength` in [0, 1] says how strong a case it is."""

    kind: str
    strength: float
    reason: str
    box: tuple[float, float, float, float] | None = None
    readings: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        return WEIGHTS[self.kind] * self.strength


def suspect(
    sample: Sample, prediction: Row | None, questions: Sequence[Row], min_score: float, far_iou: float
) -> list[Suspicion]:
    """Every reason to look at a sample, the strongest first.

    `prediction` is its row of predictions.jsonl (None: not predicted), `questions` are its rows of
    disagreements.jsonl.
    """
    found = [_asked(question) for question in questions]
    if prediction is not None:
        if sample.kind == "photo":
            found += _boxes(sample, prediction["detections"], min_score, far_iou)
        found += _texts(sample, prediction["readings"])
    asked = [one.box for one in found if one.kind == "unread"]
    found += [
        Suspicion("unread", 0.5, "the plate has no text yet", plate.box.xyxy, _proposals(index, prediction))
        for index, plate in enumerate(sample.plates)
        if plate.text is None and plate.legible and not _meets(plate, asked)
    ]
    return sorted(found, key=lambda one: (-one.score, one.kind, one.box or (), one.reason))


def priority(found: Sequence[Suspicion]) -> float:
    """One score in [0, 1): that of a sample with at least one of its reasons right, were they independent."""
    return 1.0 - float(np.prod([1.0 - 0.9 * one.score for one in found]))


def _asked(question: Row) -> Suspicion:
    reason = "; ".join(question["reasons"])
    box = tuple(question["box"]) if "box" in question else None
    if question["kind"] == "copies":
        return Suspicion("copies_disagree", 1.0 - 0.5 * question["lowest_iou"], f"copies disagree: {reason}")
    if question["kind"] == "correction":
        return Suspicion("correction_lost", 1.0, reason, box)
    readings = tuple(question.get("readings", ()))
    return Suspicion("unread", 1.0 if readings else 0.6, reason, box, readings)


def _boxes(sample: Sample, detections: Sequence[Row], min_score: float, far_iou: float) -> list[Suspicion]:
    """Detections where no label is, and labels whose best detection is beside them."""
    confident = [detection for detection in detections if detection["score"] >= min_score]
    if not confident:
        return []
    seen = np.array([detection["box"] for detection in confident])
    labelled = np.array([plate.box.xyxy for plate in sample.plates]).reshape(-1, 4)
    overlaps = boxes.iou(seen, labelled)
    found = []
    for detection, own in zip(confident, overlaps, strict=True):
        if own.max(initial=0.0) == 0.0:
            reason = f"a plate is seen where none is labelled (score {detection['score']:.2f})"
            text = detection["text"]
            found.append(
                Suspicion(
                    "unlabelled_plate", detection["score"], reason, tuple(detection["box"]), (text,) if text else ()
                )
            )
    for plate, own in zip(sample.plates, overlaps.T, strict=True):
        best = int(own.argmax())
        if 0.0 < own[best] < far_iou:
            reason = f"the box overlaps what the detector sees by only {own[best]:.2f}"
            strength = confident[best]["score"] * (1.0 - float(own[best]))
            found.append(Suspicion("far_box", strength, reason, plate.box.xyxy))
    return found


def _texts(sample: Sample, readings: Sequence[Row]) -> list[Suspicion]:
    """Labelled texts that the reader, sure of itself, reads otherwise."""
    found = []
    for row in readings:
        plate, reader = sample.plates[row["plate"]], row["reader"]
        if plate.text is None or reader is None:
            continue
        labelled, read = alphabet.readable(plate.text), alphabet.readable(reader["text"])
        if not read or read == labelled or reader["score"] < MIN_READING:
            continue
        differing = Levenshtein.distance(labelled, read)
        others = [row[name] for name in SECOND_OPINIONS if row.get(name) is not None]
        agreed = any(alphabet.readable(other["text"]) == read for other in others)
        reason = f"the reader differs from the text in {differing} characters"
        strength = 1.0 if agreed else float(reader["score"]) * (0.8 if differing <= 2 else 0.6)
        found.append(Suspicion("text_contradicted", strength, reason, plate.box.xyxy, (read,)))
    return found


def _proposals(plate: int, prediction: Row | None) -> tuple[str, ...]:
    """What the readers read on a plate without a text."""
    rows = [] if prediction is None else [row for row in prediction["readings"] if row["plate"] == plate]
    texts = [(row.get(name) or {}).get("text") for row in rows for name in ("reader", *SECOND_OPINIONS)]
    return tuple(dict.fromkeys(text for text in texts if text))


def _meets(plate: Plate, asked: Sequence[tuple[float, float, float, float] | None]) -> bool:
    known = np.array([box for box in asked if box is not None]).reshape(-1, 4)
    return bool(boxes.iou(np.array([plate.box.xyxy]), known).max(initial=0.0) > 0.3)
