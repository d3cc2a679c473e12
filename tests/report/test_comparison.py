"""The champion put beside a run in its page."""

import re

import pytest

from pipeline.report import comparison
from pipeline.report.comparison import beside, place
from pipeline.report.profile import drift

PAGE = f"<main><p>before</p>\n{place()}\n<p>after</p></main>"
FIGURE = {
    "name": "End to end, exact",
    "challenger": 0.71,
    "champion": 0.702,
    "baseline": 0.2,
    "difference": 0.008,
    "low": -0.01,
    "high": 0.03,
    "plates": 99,
}
SLICE = {
    "slice": "region US",
    "plates": 61,
    "challenger": 0.5,
    "champion": 0.6,
    "difference": -0.1,
    "low": -0.2,
    "high": 0.0,
}
COMPARISON = {
    "champion": {"version": "3", "name": "models:/alpr/3"},
    "figures": [FIGURE],
    "slices": [SLICE],
    "drift": [{"feature": "region", "distance": 0.31, "verdict": "drifted"}],
    "checks": [
        {"check": "leaks", "good": True, "says": "no leak between splits"},
        {"check": "slices", "good": False, "says": "region US falls"},
    ],
    "moves": False,
    "reason": "region US falls by 10 points",
}


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_figures_slices_checks_and_the_decision():
    page = beside(PAGE, COMPARISON)
    assert "Not compared yet" not in page
    text = words(page)
    assert text.index("before") < text.index("Not promoted") < text.index("after")
    assert "Not promoted. region US falls by 10 points" in text
    assert "version 3 (models:/alpr/3)" in text
    assert "End to end, exact 71.0 % 70.2 % +0.8 \N{MINUS SIGN}1.0 to +3.0 20.0 % 99" in text
    assert "region US 50.0 % 60.0 % \N{MINUS SIGN}10.0 \N{MINUS SIGN}20.0 to 0.0 61" in text
    assert "leaks ✓ holds no leak between splits" in text
    assert "slices ✗ fails region US falls" in text
    assert "region 0.31" in text
    assert "alike" not in text


def test_what_is_alike_is_folded_away():
    alike = {"feature": "rows", "distance": 0.01, "verdict": "alike"}
    text = words(beside(PAGE, {**COMPARISON, "drift": [alike, alike]}))
    assert "No distribution has drifted. 2 alike" in text


def test_the_first_of_all_has_no_champion():
    nothing = {"champion": None, "difference": None, "low": None, "high": None}
    comparison_ = {
        **COMPARISON,
        "champion": None,
        "moves": True,
        "figures": [FIGURE | nothing | {"baseline": None}],
        "slices": [],
        "drift": [],
    }
    text = words(beside(PAGE, comparison_))
    assert "Promoted." in text
    assert "no champion yet" in text
    assert "71.0 % – – – 99" in text  # noqa: RUF001
    assert "Slice by slice" not in text
    assert "Drift" not in text


def test_every_text_is_escaped():
    evil = '<script>alert("x")</script>'
    spoilt = {
        "champion": {"version": evil, "name": evil},
        "figures": [FIGURE | {"name": evil}],
        "slices": [SLICE | {"slice": evil}],
        "drift": [{"feature": evil, "distance": None, "verdict": evil, "split": evil, "says": evil}],
        "checks": [{"check": evil, "good": True, "says": evil}],
        "moves": True,
        "reason": evil,
    }
    page = beside(PAGE, spoilt)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 11


def test_a_text_cannot_end_the_place():
    page = beside(PAGE, {**COMPARISON, "reason": comparison.END})
    assert page.count(comparison.END) == 1
    assert words(beside(page, COMPARISON)) == words(beside(PAGE, COMPARISON))


def test_backslashes_are_no_references():
    assert r"\1 \g<0>".replace("<", "&lt;").replace(">", "&gt;") in beside(PAGE, {**COMPARISON, "reason": r"\1 \g<0>"})


def test_the_last_comparison_replaces_the_earlier_ones():
    again = beside(beside(PAGE, {**COMPARISON, "reason": "the first time"}), COMPARISON)
    assert "the first time" not in again
    assert again == beside(PAGE, COMPARISON)


def test_a_page_without_a_place_says_what_to_do():
    with pytest.raises(ValueError, match="run evaluate again"):
        beside("<main></main>", COMPARISON)


def test_drifts_own_rows_are_understood():
    def of(counts):
        split = {"pictures": 99, "groups": 99, "plates": 99, "features": {"region": counts, "rows": {}}}
        return {"version": 1, "splits": {"test": split}}

    text = words(beside(PAGE, {**COMPARISON, "drift": drift(of({"US": 99}), of({"GB": 99}))}))
    assert "test region 1.00" in text
    assert "test rows – – unknown neither has no value of it" in text  # noqa: RUF001
