"""Puts the champion beside the run in a page that `evaluate` wrote: the page keeps a place for it below its headline.

beside(page, {"champion": {"version": "3", "name": "models:/alpr/3"},   # None: there is none yet
              "figures": [{"name": "End to end, exact", "challenger": 0.71, "champion": 0.70, "baseline": 0.2,
                           "difference": 0.01, "low": -0.01, "high": 0.03, "plates": 99}],
              "slices": [{"slice": "region US", "plates": 61, "challenger": 0.8, "champion": 0.7, "difference": 0.1,
                          "low": 0.0, "high": 0.2}],
              "drift": profile.drift(...),
              "checks": [{"check": "leaks", "good": True, "says": "no leak between splits"}],
              "moves": True, "reason": "..."})

Shares are in [0, 1], a difference is the challenger's less the champion's; what is not known is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.report import tables

TEMPLATE = "comparison.html"
START, END = "<!-- the champion's place -->", "<!-- end of the champion's place -->"
_PLACE = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)  # no text can hold the marks: < is escaped


def beside(page: str, comparison: Mapping[str, Any]) -> str:
    """The page with the comparison in its place, instead of an earlier one; ValueError where it has no such place."""
    filled = place(comparison)
    page, times = _PLACE.subn(lambda _: filled, page, count=1)
    if not times:
        raise ValueError("this report has no place for the champion; it is of an earlier version: run evaluate again")
    return page


def place(comparison: Mapping[str, Any] | None = None) -> str:
    """The marked place as HTML: the comparison, or a sentence where nothing was compared yet."""
    template = tables.environment().get_template(TEMPLATE)
    return f"{START}\n{template.render(comparison=comparison)}\n{END}"
