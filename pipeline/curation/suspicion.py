"""Which labels are probably wrong, judged by what was detected and read: what annotators should look at first.

Boxes are judged as ObjectLab does (Tkachenko et al. 2023, arXiv:2309.00832): plates that the labels overlook, boxes
that lie badly, labels where nothing is; each by how sure the detector is, and how far it is from the label. Of a text
counts what confident learning counts: how sure the reader is of what it reads in place of a labelled character.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from pipeline import alphabet, boxes, params
from pipeline.records import Plate, Sample

Row = Mapping[str, Any]
Array = NDArray[np.floating]

SECOND_OPINIONS = ("tesseract", "rapidocr")  # readers beside our own, as predictions.jsonl names them
TOUCHING = 0.3  # IoU from which on a detection speaks of a label; below, they are two places
SEEN = (0.4, 0.9)  # scores of a detection without a label: mostly a sticker or a name; surely a plate
FAR = 0.45  # IoU at which a label's box is surely wrong
SMALL = 8.0  # pixels of height below which a plate is easily missed or misplaced: that says the less, the smaller it is
NINES = 3.0  # a reader is as sure as it gets at 0.999
DELETED = 0.5  # what the reader's score counts where it leaves out a character: it often overlooks one, or a whole row
ALIKE = frozenset({"0O", "O0", "1I", "I1"})  # drawn alike on many plates: told apart by habit, which proves nothing

# How likely such a sample is wrong. People who contradict each other are certainly wrong somewhere; what networks
# contradict is as likely wrong as they are sure, so each kind has the same weight and a strength of its own; an unread
# plate only teaches nothing, and stands below every suspicion worth the name.
WEIGHTS: Mapping[str, float] = {
    "conflict": 1.0,
    "copies_disagree": 1.0,
    "correction_lost": 1.0,
    "text_contradicted": 0.9,
    "unlabelled_plate": 0.9,
    "unseen_box": 0.9,
    "far_box": 0.9,
    "unread": 0.1,
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


@dataclass(frozen=True, slots=True)
class Suspected:
    """A sample that there is a reason to look at, and the reasons, the strongest first."""

    sample: Sample
    found: tuple[Suspicion, ...]
    priority: float


def rank(
    samples: Iterable[Sample], predicted: Iterable[Row], asked: Iterable[Row], settings: params.Queue
) -> list[Suspected]:
    """The samples that there is a reason to look at, by priority, then by id.

    `predicted` are the rows of predictions.jsonl, `asked` those of disagreements.jsonl and of conflicts.jsonl.
    """
    by_id = {row["id"]: row for row in predicted}
    questions: dict[str, list[Row]] = defaultdict(list)
    for row in asked:
        questions[row["id"]].append(row)
    suspected = []
    for sample in samples:
        found = suspect(sample, by_id.get(sample.id), questions[sample.id], settings)
        if found:
            suspected.append(Suspected(sample, tuple(found), priority(found)))
    return sorted(suspected, key=lambda one: (-one.priority, one.sample.id))


def suspect(
    sample: Sample, prediction: Row | None, questions: Sequence[Row], settings: params.Queue
) -> list[Suspicion]:
    """Every reason to look at a sample, the strongest first.

    `prediction` is its row of predictions.jsonl (None: not predicted), `questions` are its rows of
    disagreements.jsonl and of conflicts.jsonl.
    """
    found = [_asked(question) for question in questions]
    if prediction is not None:
        if sample.kind == "photo":
            found += _boxes(sample, prediction, settings)
        found += _texts(sample, prediction["readings"])
    asked = [one.box for one in found if one.kind == "unread"]
    found += [
        Suspicion("unread", 0.5, "the plate has no text yet", plate.box.xyxy, _proposals(index, prediction))
        for index, plate in enumerate(sample.plates)
        if plate.text is None and plate.legible and not _meets(plate, asked)
    ]
    return sorted(found, key=lambda one: (-one.score, one.kind, one.box or (), one.reason))


def priority(found: Sequence[Suspicion]) -> float:
    """One score in [0, 1]: that of a sample with at least one of its reasons right, were the kinds independent.

    Of each kind the strongest counts: a street full of small plates that are hardly seen is no wrong label. A missing
    text is none either, and adds nothing. What people contradict each other in comes before all that networks suspect.
    """
    strongest: dict[str, float] = defaultdict(float)
    for one in found:
        strongest[one.kind] = max(strongest[one.kind], one.score)
    if "conflict" in strongest:
        return 1.0
    unread = strongest.pop("unread", 0.0)
    wrong = 1.0 - float(np.prod([1.0 - 0.9 * score for score in strongest.values()]))
    return max(wrong, 0.9 * unread)


def _asked(question: Row) -> Suspicion:
    reason = "; ".join(question["reasons"])
    box = tuple(question["box"]) if "box" in question else None
    if question["kind"] in ("annotators", "upstream"):
        return Suspicion("conflict", 1.0, reason, box)
    if question["kind"] == "copies":
        return Suspicion("copies_disagree", 1.0 - 0.5 * question["lowest_iou"], f"copies disagree: {reason}")
    if question["kind"] == "correction":
        return Suspicion("correction_lost", 1.0, reason, box)
    readings = tuple(question.get("readings", ()))
    return Suspicion("unread", 1.0 if readings else 0.6, reason, box, readings)


def _boxes(sample: Sample, prediction: Row, settings: params.Queue) -> list[Suspicion]:
    """Detections where no label is, labels where no detection is, and labels whose detection is beside them."""
    sure, faint = prediction["detections"], prediction["faint"]
    seen = np.array([one["box"] for one in (*sure, *faint)]).reshape(-1, 4)
    scores = np.array([one["score"] for one in (*sure, *faint)])
    labelled = np.array([plate.box.xyxy for plate in sample.plates]).reshape(-1, 4)
    overlaps = boxes.iou(seen, labelled)
    spoken_of = (overlaps >= TOUCHING) | (_covered(seen, labelled) >= 0.5)
    found = [
        _overlooked(detection)
        for detection, labels in zip(sure, spoken_of[: len(sure)], strict=True)
        if detection["score"] >= settings.min_score and not labels.any()
    ]
    for place, plate in enumerate(sample.plates):
        near = spoken_of[:, place]
        if plate.legible:
            found += _misplaced(plate, overlaps[near, place], scores[near], settings)
    return found


def _overlooked(detection: Row) -> Suspicion:
    """What speaks for a plate that is not labelled: the detector's score, and the reader's, as on what is no plate
    hardly ever a text is read with any certainty."""
    text, score = detection["text"], detection["score"]
    reason = f"a plate is seen where none is labelled (score {score:.2f})"
    strength = 1.0 - (1.0 - _ramp(score, *SEEN)) * (1.0 - detection["text_score"])
    return Suspicion("unlabelled_plate", strength, reason, tuple(detection["box"]), (text,) if text else ())


def _misplaced(plate: Plate, overlaps: Array, scores: Array, settings: params.Queue) -> list[Suspicion]:
    """What speaks against a label's box: IoU (N,) and scores (N,) of the detections that speak of it."""
    support, weight = float(scores.max(initial=0.0)), min(1.0, plate.box.height / SMALL)
    if support < settings.min_support:
        seen = f"only faintly (score {support:.2f})" if support else "not at all"
        strength = weight * _ramp(support, settings.min_support, 0.0)
        return [Suspicion("unseen_box", strength, f"a plate is labelled that is seen {seen}", plate.box.xyxy)]
    best = int((scores * overlaps).argmax())
    overlap = float(overlaps[best])
    if overlap >= settings.far_iou:
        return []
    strength = weight * float(scores[best]) * _ramp(overlap, settings.far_iou, FAR)
    reason = f"the box overlaps what the detector sees by only {overlap:.2f}"
    return [Suspicion("far_box", strength, reason, plate.box.xyxy)]


def _ramp(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, linear between; `high` may be the lesser."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def _covered(found: Array, labelled: Array) -> Array:
    """(D, 4), (P, 4) -> (D, P) the share of each detection that lies inside each label."""
    top_left = np.maximum(found[:, None, :2], labelled[None, :, :2])
    bottom_right = np.minimum(found[:, None, 2:], labelled[None, :, 2:])
    shares: Array = np.clip(bottom_right - top_left, 0, None).prod(axis=2) / boxes.area(found)[:, None]
    return shares


def _texts(sample: Sample, readings: Sequence[Row]) -> list[Suspicion]:
    """Labelled texts that the reader reads otherwise: the surer it is of one of the characters, the stronger."""
    found = []
    for row in readings:
        plate, reader = sample.plates[row["plate"]], row["reader"]
        if plate.text is None or reader is None or not reader["text"]:
            continue
        labelled, read = alphabet.readable(plate.text), reader["text"]
        differing = _differing(labelled, reader)
        if not differing:
            continue
        others = [row[name] for name in SECOND_OPINIONS if row.get(name) is not None]
        agreed = any(alphabet.readable(other["text"]) == read for other in others)
        count = f"{len(differing)} character{'s'[: len(differing) != 1]}"
        reason = f"the reader differs from the text in {count}, as sure as {max(differing):.3f}"
        strength = 1.0 if agreed else _nines(max(differing))
        found.append(Suspicion("text_contradicted", strength, reason, plate.box.xyxy, (read,)))
    return found


def _differing(labelled: str, reader: Row) -> list[float]:
    """How sure the reader is of each character that it reads otherwise; of those that look alike nothing is said."""
    read = reader["text"]
    return [
        float(DELETED * reader["score"] if edit.tag == "delete" else reader["char_scores"][edit.dest_pos])
        for edit in Levenshtein.editops(labelled, read)
        if not (edit.tag == "replace" and labelled[edit.src_pos] + read[edit.dest_pos] in ALIKE)
    ]


def _nines(score: float) -> float:
    """A probability on the scale of its error's logarithm, to [0, 1]: 0.9 is a third, 0.99 two thirds, 0.999 all."""
    return float(np.clip(-np.log10(max(1.0 - score, 1e-9)) / NINES, 0.0, 1.0))


def _proposals(plate: int, prediction: Row | None) -> tuple[str, ...]:
    """What the readers read on a plate without a text."""
    rows = [] if prediction is None else [row for row in prediction["readings"] if row["plate"] == plate]
    texts = [(row.get(name) or {}).get("text") for row in rows for name in ("reader", *SECOND_OPINIONS)]
    return tuple(dict.fromkeys(text for text in texts if text))


def _meets(plate: Plate, asked: Sequence[tuple[float, float, float, float] | None]) -> bool:
    known = np.array([box for box in asked if box is not None]).reshape(-1, 4)
    return bool(boxes.iou(np.array([plate.box.xyxy]), known).max(initial=0.0) > 0.3)
