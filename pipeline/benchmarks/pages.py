"""The pages of the benchmarks: Markdown tables, and the place between two marks where another page shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.manifest import replacing


def marks(benchmark: str) -> tuple[str, str]:
    """The lines between which a page shows a benchmark in brief."""
    return f"<!-- {benchmark}: begin -->", f"<!-- {benchmark}: end -->"


def show(page: Path, benchmark: str, text: str) -> None:
    """Puts a table between the benchmark's marks on a page; ValueError where it has none."""
    begin, end = marks(benchmark)
    whole = page.read_text(encoding="utf-8")
    if begin not in whole or end not in whole.split(begin, 1)[1]:
        raise ValueError(f"{page} has no {begin} ... {end} to put the table between")
    before, rest = whole.split(begin, 1)
    with replacing(page) as file:
        file.write(f"{before}{begin}\n{text}{end}{rest.split(end, 1)[1]}")


def heading(names: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [line(names), f"|{'---|' * len(names)}"]


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def figure(row: Mapping[str, Any], name: str) -> str:
    """A figure of a metrics section with its interval; a dash where there is none."""
    value, interval = row[name], row["interval"][name]
    if value is None:
        return "-"
    low, high = interval["low"], interval["high"]
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def thread_count(number: int) -> str:
    return f"{number} thread{'s'[: number > 1]}"
