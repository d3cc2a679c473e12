"""Bins, calibration error and coverage against tables made by hand."""

import numpy as np
import pytest

from pipeline import metrics
from pipeline.calibration import expected_error
from pipeline.report import reliability
from pipeline.report.reliability import Scored

from .conftest import BOOTSTRAP, CASES


def scored(*rows):
    """(score, right) pairs, each of a group of its own."""
    scores, right = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], bool)
    return Scored(tuple(str(i) for i in range(len(rows))), scores, right)


FOUR = scored((0.95, True), (0.95, True), (0.95, False), (0.32, False))


def test_readings_of_labelled_crops_with_a_certain_text():
    results, _ = metrics.outcomes(CASES, 0.3)
    found = Scored.of(results)
    assert found.groups == ("1", "2", "3", "5")
    assert found.right.tolist() == [True, False, True, False]


def test_bins():
    low, high = reliability.bins(FOUR)
    assert (low["from"], low["to"], low["n"], low["right"], low["low"]) == (0.3, 0.4, 1, 0.0, 0.0)
    assert low["high"] == pytest.approx(0.975)  # of one wrong reading little is known: 1 - 0.025
    assert (high["n"], high["score"]) == (3, pytest.approx(0.95))
    assert high["right"] == pytest.approx(2 / 3)
    assert high["low"] < 2 / 3 < high["high"] < 1


def test_a_score_of_one_is_in_the_last_bin():
    (only,) = reliability.bins(scored((1.0, True), (0.9, True)))
    assert only["n"] == 2


def test_the_error_is_calibrations_own_with_an_interval():
    found = reliability.measure(FOUR, 0.5, BOOTSTRAP)
    assert found["ece"] == pytest.approx(expected_error(FOUR.scores, FOUR.right))
    assert found["interval"]["ece"]["low"] <= found["ece"] <= found["interval"]["ece"]["high"]
    assert (found["n"], found["threshold"]) == (4, 0.5)


def test_honest_scores_err_by_chance_and_less_where_there_are_more():
    few, many = (
        reliability.measure(scored(*[(0.7, i % 10 < 7) for i in range(count)]), None, BOOTSTRAP) for count in (10, 1000)
    )
    assert few["ece"] == many["ece"] == pytest.approx(0)
    assert many["by_chance"] < 0.03 < few["by_chance"] < 0.2


def test_nothing_read():
    found = reliability.measure(scored(), None, BOOTSTRAP)
    assert (found["ece"], found["by_chance"], found["n"]) == (None, None, 0)
    assert found["interval"]["ece"]["reason"] == "no plate with a certain text"
    assert reliability.bins(scored()) == reliability.sweep(scored()) == []


def test_sweep_gives_readings_of_one_score_together():
    rows = reliability.sweep(FOUR)
    assert [(row["threshold"], row["given"], row["n"]) for row in rows] == [(0.95, 0.75, 3), (0.32, 1.0, 4)]
    assert [row["wrong"] for row in rows] == pytest.approx([1 / 3, 1 / 2])
