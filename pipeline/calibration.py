"""How far a reader's scores can be believed: calibration, its error, and the score from which on a reading is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BINS = 10
MOST_WRONG = 0.01  # of the readings given
_EDGE = 1e-6

Scores = NDArray[np.floating]  # (N,)
Right = NDArray[np.bool_]  # (N,)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A decoder's score -> the probability that the text is right (Platt 1999), and the least one to answer with."""

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5

    def __call__(self, score: float) -> float:
        return 1 / (1 + math.exp(-(self.slope * _logit(score) + self.intercept)))

    @classmethod
    def fit(cls, scores: Scores, right: Right, most_wrong: float = MOST_WRONG) -> Self:
        """Fits slope and intercept by maximum likelihood, then the threshold. Needs right and wrong readings; where
        there are none of either, scores stay as they are."""
        line = cls._line(scores, right)
        probabilities = np.array([line(float(score)) for score in scores])
        return replace(line, threshold=_threshold(probabilities, right, most_wrong))

    @classmethod
    def _line(cls, scores: Scores, right: Right) -> Self:
        """Slope and intercept, the threshold still to be chosen."""
        if right.all() or not right.any():
            return cls()
        from sklearn.linear_model import LogisticRegression

        logits = np.array([[_logit(float(score))] for score in scores])
        fitted = LogisticRegression(C=10.0).fit(logits, right)
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        if slope <= 0:  # the less sure, the more often right: nothing to learn from so few
            return cls()
        return cls(slope, intercept)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(float(row["slope"]), float(row["intercept"]), float(row["threshold"]))

    def as_row(self) -> dict[str, float]:
        return asdict(self)  # not rounded: at 0.99996 even the fourth place decides what is given


def _logit(score: float) -> float:
    inside = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(inside / (1 - inside))


def _threshold(scores: Scores, right: Right, most_wrong: float) -> float:
    """The least score from which on at most a share `most_wrong` of the readings is wrong; above 1 where none is."""
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    last_of_score = np.append(np.diff(scores[order]) != 0, True)  # readings of one score are given or kept together
    allowed = np.flatnonzero((wrong <= most_wrong) & last_of_score)
    return float(scores[order[allowed[-1]]]) if len(allowed) else 1.01


def expected_error(scores: Scores, right: Right, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599): over bins of equal width of the score, the mean
    distance between score and accuracy, weighted by the readings in each."""
    if not len(scores):
        return float("nan")
    places = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(scores[places == b].mean() - right[places == b].mean()) * (places == b).sum() for b in set(places)]
    return float(sum(gaps) / len(scores))


def coverage(scores: Scores, right: Right, threshold: float) -> tuple[float, float]:
    """(share of readings given, share of these that is wrong) from a threshold on."""
    given = scores >= threshold
    return float(given.mean()), float((~right[given]).mean()) if given.any() else 0.0
