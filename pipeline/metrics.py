"""Detection, OCR and end-to-end metrics of a recogniser, each with a bootstrap interval.

Matching is COCO's: detections in order of score, each to the unmatched plate that it overlaps most. Intervals are
95 % percentile intervals over resampled groups (Sample.group), because the plates of one picture, and the frames of
one track, are not independent. A figure that cannot be computed is None and says why; it is never NaN.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from scipy import stats

from pipeline import alphabet, boxes
from pipeline.calibration import expected_error
from pipeline.manifest import plate_to_row
from pipeline.records import Detection, Plate, Quad, Reading, Sample

Array = NDArray[np.floating]
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (R, U) times a unit was drawn -> (R,) values

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
HEIGHTS = (0.0, 16.0, 24.0, 32.0, 48.0, 96.0, float("inf"))  # pixels, edges of the slices by plate height
BLURS = (("blurred", 0.0), ("soft", 0.05), ("fair", 0.1), ("sharp", 0.25))  # each from this sharpness of the crop on
CONFIDENCE = 0.95
_BATCH_CELLS = 4_000_000  # resamples x detections held at once


@dataclass(frozen=True, slots=True)
class Case:
    """A sample and all that was predicted on it.

    `detections` come best first, down to a score far below the working point (AP needs them). `found` holds, for
    each reader by name, a Reading for each detection at or above the working point; `labelled`, for each reader, a
    Reading for each true plate by its index (plates that the reader was not asked for are left out). `placed` holds our
    reader's readings of true plates whose place was told and whose corners were found, by index. `sharpness` is that of
    true plates' crops, by index; `traits` say what the picture is like, by name.
    """

    sample: Sample
    detections: tuple[Detection, ...] = ()
    found: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    labelled: Mapping[str, Mapping[int, Reading]] = field(default_factory=dict)
    placed: Mapping[int, Reading] = field(default_factory=dict)
    sharpness: Mapping[int, float] = field(default_factory=dict)
    traits: Mapping[str, float] = field(default_factory=dict)

    def confident(self, min_score: float) -> tuple[Detection, ...]:
        return tuple(detection for detection in self.detections if detection.score >= min_score)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one true plate. `truth` is None where no certain text is known.

    `labelled` and `detected` are the readers' texts, or the guesses of their no-reads; `readings` those of `labelled`,
    `given` those of `detected`. `placed` and `sharpness` are the case's, None where they are not known.
    """

    sample: Sample
    plate: Plate
    truth: str | None
    detection: Detection | None
    labelled: Mapping[str, str]
    detected: Mapping[str, str]
    readings: Mapping[str, Reading] = field(default_factory=dict)
    given: Mapping[str, Reading] = field(default_factory=dict)
    placed: Reading | None = None
    sharpness: float | None = None


@dataclass(frozen=True, slots=True)
class Ghost:
    """A detection at or above the working point that matches no plate, and the texts given for it."""

    sample: Sample
    detection: Detection
    read: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are drawn."""

    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; `reason` says why the figure or its interval is missing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def interval(self) -> dict[str, Any]:
        row: dict[str, Any] = {"low": self.low, "high": self.high}
        return row if self.reason is None else {**row, "reason": self.reason}


# Matching


def box_array(items: Sequence[Plate] | Sequence[Detection]) -> Array:
    """(N, 4) xyxy of plates or detections."""
    return np.array([item.box.xyxy for item in items], dtype=np.float64).reshape(-1, 4)


def match(truth: Array, found: Array, threshold: float) -> NDArray[np.intp]:
    """(N, 4) true and (M, 4) found boxes, best first -> (M,) the plate that each box finds, or -1.

    As COCO does it: each box takes the plate that is still free and that it overlaps most, at IoU >= threshold.
    """
    matched = np.full(len(found), -1, dtype=np.intp)
    if not len(truth) or not len(found):
        return matched
    overlaps = boxes.iou(found, truth)
    for index, row in enumerate(overlaps):
        best = int(row.argmax())
        if row[best] >= threshold:
            matched[index] = best
            overlaps[:, best] = -1.0
    return matched


def sought(case: Case) -> tuple[tuple[Plate, ...], tuple[Detection, ...]]:
    """What detection is measured by: the readable plates, and the detections but for those on unreadable ones.

    Of a plate that is not legible a person sees that it is there and no more: to find it or not counts neither way.
    A detection lies on it where half of the detection does, and where it finds no readable plate at IoU 0.5.
    """
    legible = tuple(plate for plate in case.sample.plates if plate.legible)
    if len(legible) == len(case.sample.plates) or not case.detections:
        return legible, case.detections
    found = box_array(case.detections)
    hidden = box_array([plate for plate in case.sample.plates if not plate.legible])
    top_left = np.maximum(found[:, None, :2], hidden[None, :, :2])
    bottom_right = np.minimum(found[:, None, 2:], hidden[None, :, 2:])
    covered = np.clip(bottom_right - top_left, 0, None).prod(axis=2) / boxes.area(found)[:, None]
    dropped = (covered.max(axis=1) >= 0.5) & (match(box_array(legible), found, 0.5) < 0)
    return legible, tuple(one for one, drop in zip(case.detections, dropped, strict=True) if not drop)


def certain_text(plate: Plate) -> str | None:
    """The text that a reading is compared with: Latin letters and digits; None where there is no certain one."""
    return (alphabet.readable(plate.text) or None) if plate.text and plate.legible else None


def outcomes(cases: Iterable[Case], min_score: float) -> tuple[list[Outcome], list[Ghost]]:
    """What became of every plate at IoU 0.5, and the detections that match none."""
    results, ghosts = [], []
    for case in cases:
        detections = case.confident(min_score)
        matched = match(box_array(case.sample.plates), box_array(detections), 0.5)
        read = {
            name: [alphabet.readable(reading.best) for reading in readings] for name, readings in case.found.items()
        }
        finder = {int(plate): index for index, plate in enumerate(matched) if plate >= 0}
        for index, plate in enumerate(case.sample.plates):
            at = finder.get(index)
            readings = {name: own[index] for name, own in case.labelled.items() if index in own}
            results.append(
                Outcome(
                    sample=case.sample,
                    plate=plate,
                    truth=certain_text(plate),
                    detection=None if at is None else detections[at],
                    labelled={name: alphabet.readable(reading.best) for name, reading in readings.items()},
                    detected={} if at is None else {name: texts[at] for name, texts in read.items()},
                    readings=readings,
                    given={} if at is None else {name: own[at] for name, own in case.found.items()},
                    placed=case.placed.get(index),
                    sharpness=case.sharpness.get(index),
                )
            )
        for at in np.flatnonzero(matched < 0):
            given = {name: alphabet.readable(readings[at].text) for name, readings in case.found.items()}
            ghosts.append(Ghost(case.sample, detections[at], given))
    return results, ghosts


# Intervals


def resampled(units: int, statistic: Statistic, bootstrap: Bootstrap, cells: int = 1) -> Estimate:
    """`statistic` of all units once, and its interval over resampled units; `cells` is its memory per resample."""
    value = float(statistic(np.ones((1, units)))[0])
    if not np.isfinite(value):
        return Estimate(None, reason="nothing to measure")
    if units < 2:
        return Estimate(value, reason="a single group of pictures cannot be resampled")

    def drawn(indices: NDArray[np.int64], axis: int) -> NDArray[np.float64]:  # (R, U) unit indices
        rows = np.arange(len(indices))[:, None] * units
        counts = np.bincount((indices + rows).ravel(), minlength=len(indices) * units)
        return statistic(counts.reshape(-1, units).astype(np.float64))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # all groups alike: an interval of no width
        result = stats.bootstrap(
            (np.arange(units),),
            drawn,
            n_resamples=bootstrap.resamples,
            batch=max(1, _BATCH_CELLS // max(cells, units)),
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(bootstrap.seed),
        )
    values = result.bootstrap_distribution
    values = values[np.isfinite(values)]
    if not len(values):
        return Estimate(value, reason="too few groups of pictures to resample")
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


def ratio(rows: Iterable[tuple[str, float, float]], bootstrap: Bootstrap, missing: str) -> Estimate:
    """Sum of parts over sum of wholes, from (group, part, whole) rows; `missing` is the reason where there are none."""
    parts: defaultdict[str, float] = defaultdict(float)
    wholes: defaultdict[str, float] = defaultdict(float)
    for group, part, whole in rows:
        parts[group] += part
        wholes[group] += whole
    groups = [group for group in sorted(wholes) if wholes[group]]
    if not groups:
        return Estimate(None, reason=missing)
    part_array = np.array([parts[group] for group in groups], dtype=np.float64)
    whole_array = np.array([wholes[group] for group in groups], dtype=np.float64)
    return resampled(len(groups), lambda counts: counts @ part_array / (counts @ whole_array), bootstrap)


def section(estimates: Mapping[str, Estimate], **others: Any) -> dict[str, Any]:
    """Figures beside their intervals, as they stand in the metrics file; a missing one's reason is in its interval."""
    return {
        **{name: estimate.value for name, estimate in estimates.items()},
        **others,
        "interval": {name: estimate.interval() for name, estimate in estimates.items()},
    }


# Detection


@dataclass(frozen=True, slots=True)
class Ranking:
    """The detections of many photos in order of score, and whether each is right at each of `IOUS`.

    `height` is that of the plate found at IoU 0.5, or of the detection itself where it finds none; `unit` indexes
    the groups that are resampled; `plates` counts the true plates of each unit, `plate_heights` lists them.
    """

    scores: Array  # (D,)
    right: NDArray[np.bool_]  # (10, D)
    height: Array  # (D,)
    unit: NDArray[np.intp]  # (D,)
    plates: Array  # (U,)
    plate_heights: tuple[Array, ...]  # U of (n,)

    def within(self, low: float, high: float) -> Ranking:
        """What concerns plates of low <= height < high."""
        kept = (self.height >= low) & (self.height < high)
        heights = tuple(h[(h >= low) & (h < high)] for h in self.plate_heights)
        return Ranking(
            scores=self.scores[kept],
            right=self.right[:, kept],
            height=self.height[kept],
            unit=self.unit[kept],
            plates=np.array([len(h) for h in heights], dtype=np.float64),
            plate_heights=heights,
        )


def rank(cases: Sequence[Case]) -> Ranking:
    """Puts the detections of all photos in one order, each matched to its photo's plates at each of IOUS."""
    groups = {group: index for index, group in enumerate(sorted({case.sample.group for case in cases}))}
    heights: list[list[float]] = [[] for _ in groups]
    rights: list[NDArray[np.bool_]] = []
    scores: list[float] = []
    found_heights: list[float] = []
    units: list[int] = []
    for case in cases:
        unit, (plates, detections) = groups[case.sample.group], sought(case)
        heights[unit].extend(plate.box.height for plate in plates)
        found = box_array(detections)
        matches = np.stack([match(box_array(plates), found, threshold) for threshold in IOUS])
        rights.append(matches >= 0)
        scores.extend(detection.score for detection in detections)
        units.extend([unit] * len(found))
        for at, detection in zip(matches[0], detections, strict=True):
            found_heights.append((plates[at] if at >= 0 else detection).box.height)
    order = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")
    right = np.concatenate(rights, axis=1) if rights else np.zeros((len(IOUS), 0), dtype=bool)
    return Ranking(
        scores=np.array(scores, dtype=np.float64)[order],
        right=right[:, order],
        height=np.array(found_heights, dtype=np.float64)[order],
        unit=np.array(units, dtype=np.intp)[order],
        plates=np.array([len(h) for h in heights], dtype=np.float64),
        plate_heights=tuple(np.array(h, dtype=np.float64) for h in heights),
    )


def precision_recall(ranking: Ranking, iou_index: int = 0) -> tuple[Array, Array]:
    """(D,) precision and recall after each detection, best first, at IOUS[iou_index]; empty where no plate is."""
    total = ranking.plates.sum()
    if not total:
        return np.zeros(0), np.zeros(0)
    right = np.cumsum(ranking.right[iou_index])
    return right / np.arange(1, len(right) + 1), right / total


def average_precision(right: NDArray[np.bool_], weights: Array, plates: Array) -> Array:
    """COCO's 101-point average precision of R weightings of D ranked detections at once.

    `right` (D,), `weights` (R, D) how often each detection counts, `plates` (R,) true plates -> (R,), NaN where
    a weighting holds no plate. A weight of 2 gives what a picture standing twice in the set gives.
    """
    hits, all_found = np.cumsum(weights * right, axis=1), np.cumsum(weights, axis=1)
    precision = hits / np.maximum(all_found, 1e-12)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)  # recalls that are never reached
    values = np.full(len(weights), np.nan)
    for row in np.flatnonzero(plates):
        reached = np.searchsorted(hits[row] / plates[row], RECALLS, side="left")
        values[row] = envelope[row, reached].mean()
    return values


def ap_estimate(ranking: Ranking, iou_indices: Sequence[int], bootstrap: Bootstrap) -> Estimate:
    """AP, averaged over the IoU thresholds of these indices, with its interval."""
    if not ranking.plates.sum():
        return Estimate(None, reason="no plate to find")

    def statistic(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        weights, plates = counts[:, ranking.unit], counts @ ranking.plates
        values = [average_precision(ranking.right[i], weights, plates) for i in iou_indices]
        mean: NDArray[np.float64] = np.mean(values, axis=0)
        return mean

    return resampled(len(ranking.plates), statistic, bootstrap, cells=max(1, len(ranking.scores)))


def coco_ap(cases: Sequence[Case]) -> tuple[float | None, float | None]:
    """(AP50, AP50-95) by faster-coco-eval; None where there is no plate."""
    from faster_coco_eval import COCO, COCOeval_faster

    def silent(*_: object) -> None: ...

    def xywh(item: Plate | Detection) -> list[float]:
        return [item.box.x1, item.box.y1, item.box.width, item.box.height]

    images = [{"id": i, "width": c.sample.width, "height": c.sample.height} for i, c in enumerate(cases, start=1)]
    truth = [
        {"image_id": i, "category_id": 1, "bbox": xywh(plate), "area": plate.box.area, "iscrowd": 0}
        for i, case in enumerate(cases, start=1)
        for plate in sought(case)[0]
    ]
    found = [
        {"image_id": i, "category_id": 1, "bbox": xywh(detection), "score": detection.score}
        for i, case in enumerate(cases, start=1)
        for detection in sought(case)[1]
    ]
    if not truth:
        return None, None
    if not found:
        return 0.0, 0.0
    annotations = [{"id": i, **row} for i, row in enumerate(truth, start=1)]
    categories = [{"id": 1, "name": "plate"}]
    coco = COCO({"images": images, "annotations": annotations, "categories": categories}, print_function=silent)
    evaluation = COCOeval_faster(coco, coco.loadRes(found), "bbox", print_function=silent)
    evaluation.run()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


def _hits(cases: Iterable[Case], min_score: float, threshold: float) -> list[tuple[str, int, int, int]]:
    """(group, right detections, detections, plates) of each photo."""
    rows = []
    for case in cases:
        plates, found = sought(case)
        detections = [detection for detection in found if detection.score >= min_score]
        right = int((match(box_array(plates), box_array(detections), threshold) >= 0).sum())
        rows.append((case.sample.group, right, len(detections), len(plates)))
    return rows


def corner_error(truth: Quad, found: Quad) -> float:
    """Mean distance of the four corners, as a share of the plate's height (the mean of its two upright sides)."""
    a, b = np.array(truth.points), np.array(found.points)
    height = (np.linalg.norm(a[3] - a[0]) + np.linalg.norm(a[2] - a[1])) / 2
    return float(np.linalg.norm(a - b, axis=1).mean() / max(float(height), 1e-9))


def detection_metrics(cases: Sequence[Case], min_score: float, bootstrap: Bootstrap) -> dict[str, Any]:
    """AP50, AP50-95 (COCO's figures), and at `min_score`: precision, recall, recall at IoU 0.7, corner error."""
    ranking = rank(cases)
    ap50, ap50_95 = coco_ap(cases)
    at_50, at_70 = _hits(cases, min_score, 0.5), _hits(cases, min_score, 0.7)
    missing = "no plate to find" if cases else "no photo in the test split"

    def with_interval(value: float | None, iou_indices: Sequence[int]) -> Estimate:
        own = ap_estimate(ranking, iou_indices, bootstrap)
        return Estimate(value, own.low, own.high, missing if value is None else own.reason)

    estimates = {
        "ap50": with_interval(ap50, [0]),
        "ap50_95": with_interval(ap50_95, range(len(IOUS))),
        "precision": ratio([(g, right, found) for g, right, found, _ in at_50], bootstrap, "no detection"),
        "recall": ratio([(g, right, plates) for g, right, _, plates in at_50], bootstrap, missing),
        "recall_70": ratio([(g, right, plates) for g, right, _, plates in at_70], bootstrap, missing),
    }
    return section(
        estimates,
        min_score=min_score,
        detections=sum(found for _, _, found, _ in at_50),
        false_positives=sum(found - right for _, right, found, _ in at_50),
        missed=sum(plates - right for _, right, _, plates in at_50),
        corner_error=_corner_errors(cases, min_score, bootstrap),
    )


def _corner_errors(cases: Sequence[Case], min_score: float, bootstrap: Bootstrap) -> dict[str, Any]:
    errors = [
        (outcome.sample.group, corner_error(outcome.plate.quad, outcome.detection.quad))
        for outcome in outcomes(cases, min_score)[0]
        if outcome.plate.quad is not None and outcome.detection is not None
    ]
    mean = ratio([(group, error, 1) for group, error in errors], bootstrap, "no found plate with known corners")
    median = float(np.median([error for _, error in errors])) if errors else None
    return section({"mean": mean}, median=median, n=len(errors))


# OCR and end to end


def text_metrics(rows: Sequence[tuple[str, str, str]], bootstrap: Bootstrap, missing: str) -> dict[str, Any]:
    """Exact match and character error rate from (group, truth, read) rows.

    CER is the sum of edit distances over the sum of true lengths, so it may exceed 1.
    """
    exact = ratio([(group, truth == read, 1) for group, truth, read in rows], bootstrap, missing)
    edits = [(group, Levenshtein.distance(truth, read), len(truth)) for group, truth, read in rows]
    return section({"exact": exact, "cer": ratio(edits, bootstrap, missing)}, n=len(rows))


def reader_metrics(results: Sequence[Outcome], reader: str, bootstrap: Bootstrap) -> dict[str, Any]:
    """One reader on the labelled crops, and on the detected crops of the plates that were found."""
    labelled = [(o.sample.group, o.truth, o.labelled[reader]) for o in results if o.truth and reader in o.labelled]
    detected = [(o.sample.group, o.truth, o.detected[reader]) for o in results if o.truth and reader in o.detected]
    return {
        "labelled": text_metrics(labelled, bootstrap, "no plate with a certain text"),
        "answers": answers(results, reader, bootstrap),
        "detected": text_metrics(detected, bootstrap, "no found plate with a certain text"),
    }


def answers(results: Sequence[Outcome], reader: str, bootstrap: Bootstrap) -> dict[str, Any]:
    """How a reader knows what it doesn't know, on labelled crops: the share of plates that it gives a text for, how
    much of that is wrong, and the calibration error of its scores."""
    chosen = [o for o in results if o.truth and reader in o.readings]
    given = [(o.sample.group, bool(o.readings[reader].text), 1) for o in chosen]
    wrong = [(o.sample.group, o.labelled[reader] != o.truth, 1) for o in chosen if o.readings[reader].text]
    shares = {
        "given": ratio(given, bootstrap, "no plate with a text"),
        "given_wrong": ratio(wrong, bootstrap, "no text was given"),
    }
    scores = np.array([o.readings[reader].score for o in chosen])
    right = np.array([o.labelled[reader] == o.truth for o in chosen], np.bool_)
    error = round(expected_error(scores, right), 4) if chosen else None
    return section(shares, n=len(chosen), calibration_error=error)


def end_to_end(
    results: Sequence[Outcome], ghosts: Sequence[Ghost], reader: str, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Plates of photos that are found at IoU 0.5 and read exactly.

    `found_and_read` is their share of the plates with a certain text; `exact` also holds every false reading (a text
    given where no plate is) against the recogniser: right / (plates + false readings).
    """
    missing = "no plate with a certain text on a photo"
    plates = [
        (o.sample.group, o.detected.get(reader) == o.truth, 1) for o in results if o.truth and o.sample.kind == "photo"
    ]
    false = [(ghost.sample.group, 0, 1) for ghost in ghosts if ghost.read.get(reader)]
    if not plates:
        nothing = Estimate(None, reason=missing)
        return section({"exact": nothing, "found_and_read": nothing}, n=0, false_readings=len(false))
    estimates = {
        "exact": ratio([*plates, *false], bootstrap, missing),
        "found_and_read": ratio(plates, bootstrap, missing),
    }
    return section(estimates, n=len(plates), false_readings=len(false))


def confusions(results: Iterable[Outcome], reader: str) -> Counter[tuple[str, str]]:
    """(true character, read character) of every wrong character on labelled crops; '' stands for none."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in results:
        if outcome.truth is None or reader not in outcome.labelled:
            continue
        truth, read = outcome.truth, outcome.labelled[reader]
        for operation in Levenshtein.editops(truth, read):
            true = "" if operation.tag == "insert" else truth[operation.src_pos]
            counts[true, "" if operation.tag == "delete" else read[operation.dest_pos]] += 1
    return counts


# Slices, counts, and all together


def height_name(height: float) -> str:
    """The slice that a plate of this height in pixels belongs to."""
    low, high = next(pair for pair in pairwise(HEIGHTS) if pair[0] <= height < pair[1])
    return f"{low:g} px and more" if high == float("inf") else f"{low:g} to {high:g} px"


def blur_name(sharpness: float | None) -> str:
    """The slice that a plate whose crop is so sharp belongs to."""
    if sharpness is None:
        return "unknown"
    return next(name for name, least in reversed(BLURS) if sharpness >= least)


def slices(
    cases: Sequence[Case], readers: Sequence[str], min_score: float, bootstrap: Bootstrap
) -> dict[str, dict[str, Any]]:
    """Figures for each source, region, number of rows, plate height and blur.

    As in detection, plates that are not legible count neither way. AP50 is given where a false detection can be
    assigned to the slice: for a source, and for a height.
    """
    results = [outcome for outcome in outcomes(cases, min_score)[0] if outcome.plate.legible]
    photos = [case for case in cases if case.sample.kind == "photo"]
    whole = rank(photos)
    rankings = {
        "source": {
            name: rank([case for case in photos if case.sample.source == name])
            for name in {case.sample.source for case in photos}
        },
        "height": {height_name(low): whole.within(low, high) for low, high in pairwise(HEIGHTS)},
    }
    keys: dict[str, Callable[[Outcome], str]] = {
        "source": lambda o: o.sample.source,
        "region": lambda o: o.plate.region or "unknown",
        "rows": lambda o: str(o.plate.rows or "unknown"),
        "height": lambda o: height_name(o.plate.box.height),
        "blur": lambda o: blur_name(o.sharpness),
    }
    table: dict[str, dict[str, Any]] = {}
    for name, key in keys.items():
        members: dict[str, list[Outcome]] = {}
        for outcome in results:
            members.setdefault(key(outcome), []).append(outcome)
        table[name] = {
            value: _slice(members[value], rankings.get(name, {}).get(value), readers, bootstrap)
            for value in sorted(members, key=_slice_order)
        }
    return table


def _slice_order(value: str) -> tuple[float, str]:
    """Heights by their number, blurs from worst to best, names by the alphabet, what is unknown at the end."""
    first = value.split()[0]
    if first == "unknown":
        return float("inf"), value
    if value in dict(BLURS):
        return dict(BLURS)[value], value
    return (float(first), value) if first.isdecimal() else (0.0, value)


def _slice(
    results: Sequence[Outcome], ranking: Ranking | None, readers: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any]:
    on_photos = [outcome for outcome in results if outcome.sample.kind == "photo"]
    found = [(outcome.sample.group, outcome.detection is not None, 1) for outcome in on_photos]
    estimates = {} if ranking is None else {"ap50": ap_estimate(ranking, [0], bootstrap)}
    estimates["recall"] = ratio(found, bootstrap, "no plate to find")
    no_text = "no plate with a certain text"
    for reader in readers:
        rows = [(o.sample.group, o.labelled[reader] == o.truth, 1) for o in results if o.truth and reader in o.labelled]
        estimates[f"exact_{reader}"] = ratio(rows, bootstrap, no_text)
    rows = [(o.sample.group, o.detected.get(readers[0]) == o.truth, 1) for o in on_photos if o.truth]
    estimates["found_and_read"] = ratio(rows, bootstrap, no_text)
    return section(estimates, plates=len(results), texts=sum(outcome.truth is not None for outcome in results))


def truth_hash(samples: Iterable[Sample]) -> str:
    """SHA-256 of the test samples' ids and truth: equal for two evaluations that may be compared."""
    rows = [
        json.dumps([sample.id, [plate_to_row(plate) for plate in sample.plates]], sort_keys=True)
        for sample in samples
        if sample.split == "test"
    ]
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def counts(samples: Iterable[Sample]) -> dict[str, dict[str, dict[str, int]]]:
    """source -> split -> photos, crops, plates, certain texts, groups."""
    groups: dict[tuple[str, str], set[str]] = {}
    table: dict[str, dict[str, dict[str, int]]] = {}
    for sample in samples:
        split = sample.split or "none"
        fresh = {"photos": 0, "crops": 0, "plates": 0, "texts": 0, "groups": 0}
        row = table.setdefault(sample.source, {}).setdefault(split, fresh)
        members = groups.setdefault((sample.source, split), set())
        members.add(sample.group)
        row["photos" if sample.kind == "photo" else "crops"] += 1
        row["plates"] += len(sample.plates)
        row["texts"] += sum(certain_text(plate) is not None for plate in sample.plates)
        row["groups"] = len(members)
    return table


def evaluate(cases: Sequence[Case], readers: Sequence[str], min_score: float, bootstrap: Bootstrap) -> dict[str, Any]:
    """The metrics document of the test split; `readers[0]` is the recogniser's own, others are baselines."""
    test = [case for case in cases if case.sample.split == "test"]
    photos = [case for case in test if case.sample.kind == "photo"]
    results, ghosts = outcomes(test, min_score)
    whole = {reader: end_to_end(results, ghosts, reader, bootstrap) for reader in readers}
    return {
        "detection": detection_metrics(photos, min_score, bootstrap),
        "ocr": {reader: reader_metrics(results, reader, bootstrap) for reader in readers},
        "end_to_end": whole[readers[0]],
        "end_to_end_baselines": {reader: whole[reader] for reader in readers[1:]},
        "slices": slices(test, readers, min_score, bootstrap),
        "data": {
            "photos": len(photos),
            "crops": len(test) - len(photos),
            "plates": sum(len(sought(case)[0]) for case in photos),
            "texts": sum(outcome.truth is not None for outcome in results),
            "test_set": truth_hash(case.sample for case in test),
            "by_source": counts(case.sample for case in cases),
        },
    }
