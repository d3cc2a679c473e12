"""Figures in words."""

import pytest

from pipeline.report import tables


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.0 %"), (0.83749, "83.7 %"), (1.0, "100.0 %")],  # noqa: RUF001
)
def test_percent(value, expected):
    assert tables.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),  # noqa: RUF001
        (float("nan"), "–"),  # noqa: RUF001
        (0.0123, "+1.2"),
        (-0.0123, "\N{MINUS SIGN}1.2"),
        (0.0001, "0.0"),
        (-0.0001, "0.0"),
    ],
)
def test_points(value, expected):
    assert tables.points(value) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"low": -0.01, "high": 0.03}, "\N{MINUS SIGN}1.0 to +3.0"),
        ({"low": None, "high": None}, ""),
        ({}, ""),
    ],
)
def test_between(row, expected):
    assert tables.between(row) == expected
