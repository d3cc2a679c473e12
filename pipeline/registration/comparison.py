"""Challenger against champion on the same test pictures, figure by figure and slice by slice.

Intervals are of the difference, challenger less champion, over resampled groups of pictures; in each resample both are
measured on the same pictures, so that what is hard for both does not widen them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.calibration import expected_error
from pipeline.metrics import Bootstrap, Case, Ghost, Outcome, Ranking, Statistic, average_precision

READER = "network"
Row = tuple[str, float, float]  # group, part, whole
HEADLINE = "End to end, exact"
SLICES: dict[str, Callable[[Outcome], str]] = {
    "source": lambda outcome: outcome.sample.source,
    "region": lambda outcome: outcome.plate.region or "unknown",
    "rows": lambda outcome: str(outcome.plate.rows or "unknown"),
    "height": lambda outcome: metrics.height_name(outcome.plate.box.height),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both, in [0, 1], and the challenger's less the champion's; None where there is nothing to measure."""

    name: str
    plates: int
    challenger: float | None
    champion: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was compared; `calibration` is the champion's error on these pictures.

    `same` says that both are the same networks, which need no measuring to be told apart.
    """

    figures: tuple[Difference, ...]  # the headline first
    slices: tuple[Difference, ...]
    calibration: float | None
    same: bool = False


def compare(
    challenger: Sequence[Case], champion: Sequence[Case], min_score: float, bootstrap: Bootstrap, least: int
) -> Comparison:
    """The comparison of two models' cases of the same samples in the same order; slices of `least` plates or more."""
    own, own_ghosts = metrics.outcomes(challenger, min_score)
    theirs, their_ghosts = metrics.outcomes(champion, min_score)
    exact = ratio(HEADLINE, end_to_end(own, own_ghosts), end_to_end(theirs, their_ghosts), bootstrap, _texts(own))
    labelled = ratio("Exact match on labelled plates", _read(own), _read(theirs), bootstrap, len(_read(own)))
    return Comparison(
        figures=(exact, average(challenger, champion, bootstrap), labelled),
        slices=tuple(slices(own, theirs, bootstrap, least)),
        calibration=calibration_error(theirs),
    )


def end_to_end(outcomes: Iterable[Outcome], ghosts: Iterable[Ghost]) -> list[Row]:
    """As metrics.end_to_end: plates of photos, right where found and read exactly, and every false reading."""
    plates = [(one.sample.group, _right(one), 1) for one in outcomes if one.truth and one.sample.kind == "photo"]
    return [*plates, *((ghost.sample.group, 0, 1) for ghost in ghosts if ghost.read.get(READER))] if plates else []


def _texts(outcomes: Iterable[Outcome]) -> int:
    return sum(bool(one.truth) and one.sample.kind == "photo" for one in outcomes)


def _read(outcomes: Iterable[Outcome]) -> list[Row]:
    return [(o.sample.group, o.labelled[READER] == o.truth, 1) for o in outcomes if o.truth and READER in o.labelled]


def _right(outcome: Outcome) -> bool:
    """Found and read exactly; a crop, which is found already, read exactly."""
    read = outcome.labelled if outcome.sample.kind == "crop" else outcome.detected
    return read.get(READER) == outcome.truth


def calibration_error(outcomes: Iterable[Outcome]) -> float | None:
    """The expected calibration error of whole texts, on labelled plates; None where there is none."""
    chosen = [one for one in outcomes if one.truth and READER in one.readings]
    if not chosen:
        return None
    scores = np.array([one.readings[READER].score for one in chosen])
    return round(expected_error(scores, np.array([one.labelled[READER] == one.truth for one in chosen], np.bool_)), 4)


def slices(own: Sequence[Outcome], theirs: Sequence[Outcome], bootstrap: Bootstrap, least: int) -> Iterator[Difference]:
    """For each slice of enough plates, the share of plates found, and of those with a certain text found and read."""
    for kind, name_of in SLICES.items():
        members: dict[str, list[int]] = defaultdict(list)
        for index, outcome in enumerate(own):
            if outcome.plate.legible:
                members[name_of(outcome)].append(index)
        for name, indices in sorted(members.items()):
            on_photos = [index for index in indices if own[index].sample.kind == "photo"]
            texts = [index for index in indices if own[index].truth]
            for figure, chosen, right in (("found", on_photos, _found), ("read", texts, _right)):
                if len(chosen) >= least:
                    first, second = ([(o[i].sample.group, right(o[i]), 1) for i in chosen] for o in (own, theirs))
                    yield ratio(f"{kind} {name}: {figure}", first, second, bootstrap, len(chosen))


def _found(outcome: Outcome) -> bool:
    return outcome.detection is not None


# Paired intervals


def ratio(name: str, own: Sequence[Row], theirs: Sequence[Row], bootstrap: Bootstrap, plates: int) -> Difference:
    """The difference of two sums of parts over sums of wholes, from (group, part, whole) rows."""
    groups = sorted({group for group, _, whole in (*own, *theirs) if whole})
    place = {group: index for index, group in enumerate(groups)}
    sums = np.zeros((2, 2, len(groups)))  # whose, part and whole, group
    for side, rows in enumerate((own, theirs)):
        for group, part, whole in rows:
            sums[side, :, place[group]] += part, whole

    def share(side: int) -> Statistic:
        def of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore", divide="ignore"):
                shares: NDArray[np.float64] = counts @ sums[side, 0] / (counts @ sums[side, 1])
            return shares

        return of

    return paired(name, len(groups), share(0), share(1), bootstrap, plates)


def average(own: Sequence[Case], theirs: Sequence[Case], bootstrap: Bootstrap) -> Difference:
    """The difference of two AP50 on the photos."""
    rankings = [metrics.rank([case for case in cases if case.sample.kind == "photo"]) for cases in (own, theirs)]
    plates = int(rankings[0].plates.sum())

    def precision(ranking: Ranking) -> Statistic:
        def of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            values = average_precision(ranking.right[0], counts[:, ranking.unit], counts @ ranking.plates)
            return values.astype(np.float64)

        return of

    first, second = (precision(ranking) for ranking in rankings)
    units = len(rankings[0].plates) if plates else 0
    cells = max(1, *(len(ranking.scores) for ranking in rankings))
    return paired("Detection, AP50", units, first, second, bootstrap, plates, cells)


def paired(
    name: str, units: int, own: Statistic, theirs: Statistic, bootstrap: Bootstrap, plates: int, cells: int = 1
) -> Difference:
    """Two statistics of the same units, and the interval of their difference over the same resamples."""
    if not units:
        return Difference(name, plates, None, None, None)
    once = np.ones((1, units))
    values = [float(statistic(once)[0]) for statistic in (own, theirs)]
    challenger, champion = (value if np.isfinite(value) else None for value in values)
    estimate = metrics.resampled(units, lambda counts: own(counts) - theirs(counts), bootstrap, cells)
    return Difference(name, plates, challenger, champion, estimate.value, estimate.low, estimate.high)
