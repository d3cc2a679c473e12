"""Markdown of this room's templates, for MLflow's pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parent


def render(template: str, **names: Any) -> str:
    """The template filled; blank lines in a row are one."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, which MLflow's pages clean of scripts
    )
    environment.filters.update(cell=cell, number=number, difference=difference, counted=counted)
    return re.sub(r"\n{3,}", "\n\n", environment.get_template(template).render(**names)).strip() + "\n"


def spaced(text: str) -> str:
    """The same with room between the columns of its tables and below them, which MLflow's pages set without any."""
    rows = [re.sub(r"(?<=\S) \|", "&ensp; |", line) if line.startswith("| ") else line for line in text.split("\n")]
    return re.sub(r"\|\n\n", "|\n\n<br>\n\n", "\n".join(rows))


def cell(text: object) -> str:
    """A text that stays in its table's cell, and is no HTML."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("\n", " ")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def difference(value: float | None) -> str:
    """+0.012, so that nobody takes it for a share."""
    return "" if value is None else f"{value:+.3f}"


def counted(split: Mapping[str, int]) -> str:
    """175 photos, 264 plates, 127 texts: what of a source is in a split."""
    return (
        ", ".join(f"{split[name]} {name}" for name in ("photos", "crops", "plates", "texts") if split.get(name))
        or "nothing"
    )
