"""How far scores can be believed: against tables by hand, and scores that are made to be wrong in a known way."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.calibration import Calibration, coverage, expected_error


def test_as_it_is_made_a_score_stays_what_it_is() -> None:
    for score in (0.001, 0.3, 0.5, 0.99):
        assert Calibration()(score) == pytest.approx(score)


@pytest.mark.parametrize("score", [0.0, 1.0, 1e-300, 1.0 - 1e-12])
@pytest.mark.parametrize("slope", [0.1, 1.0, 40.0])
def test_the_surest_scores_give_probabilities_too(score: float, slope: float) -> None:
    assert 0.0 <= Calibration(slope, 0.3)(score) <= 1.0


def test_the_surer_the_more_probable() -> None:
    calibration = Calibration(0.4, -2.0)
    values = [calibration(score) for score in (0.0, 0.1, 0.5, 0.9, 0.999, 1.0)]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert calibration(0.5) == pytest.approx(1 / (1 + np.exp(2.0)))


# scores, whether right -> threshold; at most a quarter may be wrong
THRESHOLDS = {
    "all right: the least score": ([0.3, 0.9, 0.5], [1, 1, 1], 0.3),
    "all wrong: above 1": ([0.3, 0.9, 0.5], [0, 0, 0], 1.01),
    "nothing to judge: above 1": ([], [], 1.01),
}


@pytest.mark.parametrize(("scores", "right", "threshold"), THRESHOLDS.values(), ids=THRESHOLDS.keys())
def test_right_alone_or_wrong_alone_leave_scores_as_they_are(scores, right, threshold: float) -> None:
    found = Calibration.fit(np.array(scores, float), np.array(right, bool), most_wrong=0.25)
    assert (found.slope, found.intercept) == (1.0, 0.0)
    assert found.threshold == pytest.approx(threshold)


def rows(*counts: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(score, right, wrong) -> scores and whether each is right, in no order."""
    scores = np.array([score for score, good, bad in counts for _ in range(good + bad)])
    right = np.array([index < good for _, good, bad in counts for index in range(good + bad)])
    order = np.random.default_rng(0).permutation(len(scores))
    return scores[order], right[order]


# (score, right, wrong)..., most wrong, the least score from which on readings are given, None where none is
GIVEN = {
    "the wrong ones are below": ([(0.9, 300, 0), (0.6, 100, 3), (0.2, 0, 50)], 0.01, 0.6),
    "one of a hundred is allowed": ([(0.9, 99, 1), (0.5, 0, 10)], 0.01, 0.9),
    "two of a hundred are not": ([(0.9, 98, 2), (0.5, 10, 10)], 0.01, None),
    "a bad patch between good ones": ([(0.9, 50, 0), (0.8, 0, 1), (0.7, 60, 0), (0.3, 1, 9)], 0.01, 0.7),
    "readings of one score are given together": ([(0.9, 40, 0), (0.8, 40, 3), (0.2, 0, 5)], 0.01, 0.9),
    "more may be wrong": ([(0.9, 40, 0), (0.8, 40, 3), (0.2, 0, 5)], 0.05, 0.8),
    "none may be wrong": ([(0.9, 40, 0), (0.8, 4000, 1), (0.2, 0, 5)], 0.0, 0.9),
    "a single sure one that is wrong": ([(0.99, 0, 1), (0.9, 98, 0), (0.3, 0, 40)], 0.01, None),
}


@pytest.mark.parametrize(("counts", "most", "least"), GIVEN.values(), ids=GIVEN.keys())
def test_as_many_are_given_as_may_be_wrong(counts, most: float, least: float | None) -> None:
    scores, right = rows(*counts)
    found = Calibration.fit(scores, right, most_wrong=most)
    given = np.array([found(score) for score in scores]) >= found.threshold
    assert set(scores[given]) == {score for score in scores if least is not None and score >= least}
    share, wrong = coverage(np.array([found(score) for score in scores]), right, found.threshold)
    assert wrong <= most
    assert share == pytest.approx(given.mean())
    assert (found.threshold > 1) == (least is None)


def test_overconfident_scores_are_brought_down_to_what_they_are_worth() -> None:
    """Of those that claim 0.98 only 8 in 10 are right, of those that claim 0.7 only 4 in 10."""
    scores, right = rows((0.98, 800, 200), (0.7, 400, 600))
    found = Calibration.fit(scores, right)
    assert found(0.98) == pytest.approx(0.8, abs=0.02)
    assert found(0.7) == pytest.approx(0.4, abs=0.02)
    before, after = expected_error(scores, right), expected_error(np.vectorize(found)(scores), right)
    assert before == pytest.approx((0.18 + 0.3) / 2, abs=1e-6)
    assert after < 0.03


def test_calibrated_scores_stay_what_they_are() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, 4000)
    right = rng.random(4000) < scores
    found = Calibration.fit(scores, right)
    assert (found.slope, found.intercept) == pytest.approx((1.0, 0.0), abs=0.12)
    assert expected_error(scores, right) < 0.03


def test_scores_that_say_the_opposite_teach_nothing() -> None:
    scores, right = rows((0.9, 0, 40), (0.2, 40, 0))
    found = Calibration.fit(scores, right)
    assert (found.slope, found.intercept, found.threshold) == (1.0, 0.0, 1.01)


def test_a_row_gives_it_back_to_the_last_place() -> None:
    """Of very sure readings the scores differ in the sixth place: a threshold rounded to 1 would give none."""
    calibration = Calibration(0.512345678, -1.25, 0.999987)
    assert Calibration.of(json.loads(json.dumps(calibration.as_row()))) == calibration
    with pytest.raises(KeyError, match="threshold"):
        Calibration.of({"slope": 1.0, "intercept": 0.0})


ERRORS = {
    # 2 readings at 0.95 of which 1 is right: 0.45 apart. 1 at 0.85, right: 0.15. 2 at 0.15, wrong: 0.15.
    "by hand": ([0.95, 0.95, 0.85, 0.15, 0.15], [1, 0, 1, 0, 0], (2 * 0.45 + 0.15 + 2 * 0.15) / 5),
    "bins, not readings, are compared": ([0.81, 0.89], [1, 1], 0.15),
    "errors of one bin cancel": ([0.5, 0.5], [1, 0], 0.0),
    "score 1 is in the last bin": ([1.0, 0.92], [1, 1], 0.04),
    "score 0 is in the first": ([0.0, 0.08], [0, 0], 0.04),
    "perfect": ([1.0, 1.0, 0.0], [1, 1, 0], 0.0),
    "perfectly wrong": ([1.0, 0.0], [0, 1], 1.0),
}


@pytest.mark.parametrize(("scores", "right", "expected"), ERRORS.values(), ids=ERRORS.keys())
def test_expected_calibration_error(scores: list[float], right: list[int], expected: float) -> None:
    assert expected_error(np.array(scores), np.array(right, bool)) == pytest.approx(expected)


def test_the_error_of_nothing_is_no_number() -> None:
    assert np.isnan(expected_error(np.array([]), np.array([], bool)))


def test_fewer_bins() -> None:
    assert expected_error(np.array([0.6, 1.0]), np.array([True, True]), bins=2) == pytest.approx(0.2)


COVERAGE = {
    "none": (1.01, (0.0, 0.0)),
    "some, at the threshold too": (0.8, (0.5, 0.5)),
    "all": (0.0, (1.0, 0.25)),
}


@pytest.mark.parametrize(("threshold", "expected"), COVERAGE.values(), ids=COVERAGE.keys())
def test_coverage(threshold: float, expected: tuple[float, float]) -> None:
    scores, right = np.array([0.9, 0.8, 0.5, 0.1]), np.array([True, False, True, True])
    assert coverage(scores, right, threshold) == pytest.approx(expected)
