"""The gate that an alias passes."""

import pytest

from pipeline.registration.gate import Standing, decide

METRIC = "end_to_end.exact"


def standing(version="2", exact=0.8, test_set="t", **others):
    return Standing(version, {METRIC: exact, **others} if exact is not None else others, test_set)


@pytest.mark.parametrize(
    ("name", "challenger", "champion", "tolerance", "moves", "reason"),
    [
        ("the first", standing(), None, 0.0, True, "the first"),
        ("the first, not measured", standing(exact=None), None, 0.0, False, "could not be measured"),
        ("better", standing(exact=0.9), standing("1"), 0.0, True, "no worse"),
        ("equal", standing(), standing("1"), 0.0, True, "no worse"),
        ("worse", standing(exact=0.79), standing("1"), 0.0, False, "below the 0.8000 of version 1"),
        ("worse within the tolerance", standing(exact=0.79), standing("1"), 0.02, True, "no worse"),
        ("another test set", standing(exact=1.0), standing("1", test_set="u"), 0.0, False, "another test set"),
        ("champion without it", standing(), standing("1", exact=None), 0.0, False, "no end_to_end.exact"),
    ],
)
def test_decide(name, challenger, champion, tolerance, moves, reason):
    decision = decide(challenger, champion, METRIC, tolerance)
    assert decision.moves is moves
    assert reason in decision.reason


@pytest.mark.parametrize(("high", "moves"), [(0.59, False), (0.61, True)])
def test_a_challenger_that_is_surely_worse_in_one_slice_stays(high, moves):
    bound = {"slices.source.kaggle.recall": 0.5, "slices.source.kaggle.interval.recall.high": high}
    champion = {"slices.source.kaggle.recall": 0.6, "slices.source.kaggle.interval.recall.high": 0.7}
    decision = decide(standing(exact=0.9, **bound), standing("1", **champion), METRIC, 0.0)
    assert decision.moves is moves
    assert moves or "slices.source.kaggle.recall" in decision.reason
