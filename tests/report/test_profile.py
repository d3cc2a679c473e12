"""Profiles of a handful of cases, and what counts as drift."""

import copy
import json

import pytest

from pipeline.report import profile as profiles
from pipeline.report.profile import DRIFTED, drift, profile

from .conftest import CASES, case, plate, sample


def of(features, pictures=200):
    """A profile of a test split with these counts."""
    split = {"pictures": pictures, "groups": pictures, "plates": pictures, "features": features}
    return {"version": profiles.VERSION, "splits": {"test": split}}


def test_what_is_counted():
    found = profile(CASES)
    json.dumps(found, allow_nan=False)
    assert set(found["splits"]) == {"train", "test"}
    test = found["splits"]["test"]
    assert (test["pictures"], test["groups"], test["plates"]) == (5, 5, 4)
    assert test["features"]["source"] == {"s": 5}
    assert test["features"]["region"] == {"GB": 1, "unknown": 3}
    assert test["features"]["text length"] == {"4": 4}
    assert test["features"]["plate height"] == {"16 to 24 px": 3}  # a crop has none
    assert test["features"]["plate aspect"] == {"4.5 to 5.5": 4}
    assert test["features"]["plate blur"] == {"fair": 4}
    assert test["features"]["picture brightness"] == {"90 to 120": 5}
    assert "text length" not in found["splits"]["train"]["features"]


def test_val_is_left_out():
    assert profile([case(sample(1, plate(0, 0), split="val"))])["splits"]["test"]["pictures"] == 0


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0 to 1"), (0.99, "0 to 1"), (1, "1 to 2"), (2, "2 and more"), (9e9, "2 and more")]
)
def test_bin_name(value, expected):
    assert profiles.bin_name(value, (0.0, 1.0, 2.0, float("inf"))) == expected


def test_data_do_not_drift_from_themselves():
    rows = drift(profile(CASES), copy.deepcopy(profile(CASES)))
    assert len(rows) == 10 + 9
    assert {(row["distance"], row["verdict"]) for row in rows} == {(0.0, "alike")}


# counts now, counts then, pictures -> verdict, distance
DRIFTS = {
    "the same shares": ({"a": 50, "b": 50}, {"a": 100, "b": 100}, 200, "alike", 0.0),
    "a little": ({"a": 52, "b": 48}, {"a": 50, "b": 50}, 200, "alike", 0.017),
    "nothing in common": ({"a": 100}, {"b": 100}, 200, "drifted", 1.0),
    "so few that chance does it": ({"a": 3, "b": 1}, {"a": 1, "b": 3}, 4, "unknown", 0.4344),
    "many frames of few tracks": ({"a": 300, "b": 100}, {"a": 100, "b": 300}, 4, "unknown", 0.4344),
    "the same, of many": ({"a": 300, "b": 100}, {"a": 100, "b": 300}, 400, "drifted", 0.4344),
    "nothing now": ({}, {"a": 5}, 200, "unknown", None),
    "nothing then": ({"a": 5}, {}, 200, "unknown", None),
}


@pytest.mark.parametrize(("now", "then", "pictures", "verdict", "distance"), DRIFTS.values(), ids=DRIFTS)
def test_drift(now, then, pictures, verdict, distance):
    (row,) = drift(of({"region": now}, pictures), of({"region": then}, pictures))
    assert (row["split"], row["feature"], row["verdict"]) == ("test", "region", verdict)
    assert row["distance"] == (None if distance is None else pytest.approx(distance, abs=1e-3))
    assert (row["n"], row["earlier_n"]) == (sum(now.values()), sum(then.values()))


def test_a_verdict_says_why():
    (row,) = drift(of({"region": {"US": 90, "GB": 10}}), of({"region": {"US": 10, "GB": 90}}))
    assert row["says"].startswith(f"{DRIFTED:g} or more, and more than by chance; most changed: ")
    assert ("US, 90%, was 10%" in row["says"]) or ("GB, 10%, was 90%" in row["says"])


def test_the_farthest_stands_first_and_the_unknown_last():
    now = of({"rows": {"1": 5}, "region": {"a": 50, "b": 50}, "source": {"a": 100}})
    then = of({"rows": {}, "region": {"a": 55, "b": 45}, "source": {"b": 100}})
    assert [row["feature"] for row in drift(now, then)] == ["source", "region", "rows"]


def test_a_profile_that_counts_otherwise_is_not_compared():
    (row,) = drift(of({"region": {"a": 5}}), {"version": 0})
    assert (row["verdict"], row["distance"]) == ("unknown", None)
    assert "another version" in row["says"]


def test_a_split_that_the_earlier_data_had_not():
    (row,) = drift(of({"region": {"a": 5}}), {"version": profiles.VERSION, "splits": {}})
    assert row["says"] == "the earlier data had no value of it"
