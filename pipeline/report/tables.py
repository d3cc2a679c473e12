"""Figures as they stand in tables: shares in percent, intervals, differences in points; and the rows of exact match."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

READER_NAMES = {"network": "our reader", "tesseract": "Tesseract", "rapidocr": "RapidOCR"}
TEMPLATES = Path(__file__).parent.parent / "templates"
MISSING = "\N{EN DASH}"


def environment() -> jinja2.Environment:
    """What renders the templates: every text is escaped, and a name that is not there is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, interval=interval_text, points=points, between=between)
    return made


def percent(value: float | None) -> str:
    """0.8374 -> '83.7 %'; what is missing is a dash."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    """A difference of two shares in percentage points: 0.0123 -> '+1.2'; what is missing is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    rounded = round(100 * value, 1)
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0.0"


def between(row: Mapping[str, Any]) -> str:
    """'+1.0 to +3.0' of a difference's `low` and `high`, or ''."""
    if row.get("low") is None or row.get("high") is None:
        return ""
    return f"{points(row['low'])} to {points(row['high'])}"


def interval_text(section: Mapping[str, Any], name: str) -> str:
    """'79.1 to 88.0' of a figure's interval, or ''."""
    interval = section["interval"].get(name) or {}
    if interval.get("low") is None:
        return ""
    return f"{100 * interval['low']:.1f} to {100 * interval['high']:.1f}"


def exact_rows(document: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(reader, where, section with `exact`) for labelled crops, detected crops and end to end."""
    ocr = document["ocr"]
    whole = {next(iter(ocr)): document["end_to_end"], **document["end_to_end_baselines"]}
    rows = []
    for reader, section in ocr.items():
        rows += [(reader, "labelled crops", section["labelled"]), (reader, "detected crops", section["detected"])]
        rows.append((reader, "end to end", whole[reader]))
    return rows
