"""How far text scores can be believed, on labelled crops with a certain text: bins, calibration error, coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.calibration import BINS, expected_error
from pipeline.metrics import CONFIDENCE, Bootstrap, Estimate, Outcome, resampled, section

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Scored:
    """Readings of N plates: each one's group of pictures, its score, and whether its text (or guess) is right."""

    groups: tuple[str, ...]
    scores: NDArray[np.float64]  # (N,)
    right: NDArray[np.bool_]  # (N,)

    @classmethod
    def of(cls, results: Iterable[Outcome], reader: str = "network") -> Scored:
        """A reader's readings of the labelled crops whose text is certain."""
        chosen = [outcome for outcome in results if outcome.truth and reader in outcome.readings]
        return cls(
            tuple(outcome.sample.group for outcome in chosen),
            np.array([outcome.readings[reader].score for outcome in chosen], dtype=np.float64),
            np.array([outcome.labelled[reader] == outcome.truth for outcome in chosen], dtype=np.bool_),
        )

    @property
    def bins(self) -> NDArray[np.intp]:
        """(N,) the bin of each score, as calibration.expected_error has them."""
        places: NDArray[np.intp] = np.minimum((self.scores * BINS).astype(np.intp), BINS - 1)
        return places


def measure(scored: Scored, threshold: float | None, bootstrap: Bootstrap) -> dict[str, Any]:
    """The word ECE with its interval, and what it would be by chance if every score were honest.

    `threshold` is the score from which on a text is given.
    """
    by_chance = _by_chance(scored, bootstrap.seed)
    return section({"ece": ece(scored, bootstrap)}, n=len(scored.scores), by_chance=by_chance, threshold=threshold)


def ece(scored: Scored, bootstrap: Bootstrap) -> Estimate:
    """Expected calibration error over words; it is never negative, so its interval lies high where readings are few."""
    if not len(scored.scores):
        return Estimate(None, reason="no plate with a certain text")
    names = {group: index for index, group in enumerate(sorted(set(scored.groups)))}
    units = np.array([names[group] for group in scored.groups])
    gaps = np.zeros((len(names), BINS))  # of each group and bin: sum of score less right
    np.add.at(gaps, (units, scored.bins), scored.scores - scored.right)
    sizes = np.bincount(units, minlength=len(names)).astype(np.float64)

    def statistic(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        error: NDArray[np.float64] = np.abs(counts @ gaps).sum(axis=1) / (counts @ sizes)
        return error

    return resampled(len(names), statistic, bootstrap)


def _by_chance(scored: Scored, seed: int) -> float | None:
    """The mean ECE of as many readings that are right exactly as often as their scores say."""
    if not len(scored.scores):
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.random((DRAWS, len(scored.scores))) < scored.scores
    return round(float(np.mean([expected_error(scored.scores, right) for right in drawn])), 4)


def bins(scored: Scored) -> list[dict[str, Any]]:
    """A row for each bin that holds a reading: its edges, mean score, share that is right with interval, readings.

    The intervals are the binomial's exact ones (Clopper & Pearson 1934): resampling says nothing of a bin of three that
    are all right.
    """
    table = []
    for place in sorted(set(scored.bins.tolist())):
        inside = np.flatnonzero(scored.bins == place)
        right = int(scored.right[inside].sum())
        bounds = stats.binomtest(right, len(inside)).proportion_ci(CONFIDENCE)
        table.append(
            {
                "from": place / BINS,
                "to": (place + 1) / BINS,
                "score": float(scored.scores[inside].mean()),
                "right": right / len(inside),
                "low": float(bounds.low),
                "high": float(bounds.high),
                "n": len(inside),
            }
        )
    return table


def sweep(scored: Scored) -> list[dict[str, Any]]:
    """A row for each score as threshold, highest first: the share of readings given, and how much of it is wrong."""
    order: Sequence[int] = np.argsort(-scored.scores, kind="stable").tolist()
    table: list[dict[str, Any]] = []
    wrong = 0
    for given, index in enumerate(order, start=1):
        wrong += not scored.right[index]
        score = float(scored.scores[index])
        row = {"threshold": score, "given": given / len(order), "wrong": wrong / given, "n": given}
        if table and table[-1]["threshold"] == score:
            table[-1] = row  # readings of one score are given or kept together
        else:
            table.append(row)
    return table
