"""A study at a glance: a panel for each figure, a line for each setting, the base's interval shaded behind all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.manifest import replacing
from pipeline.studies.results import FIGURES, Result

_COLOURS = ("#3b82c4", "#d98324", "#7a5fb5", "#4c9f70", "#b5495b", "#6b7280")  # a factor each, in turn
_BASE = "#222222"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "study",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


def draw(results: Sequence[Result], path: Path) -> None:
    """Writes the picture as SVG; the same results give the same bytes."""
    with rc_context(_STYLE), replacing(path, "wb") as file:
        canvas = figure(results)
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def figure(results: Sequence[Result]) -> Figure:
    """The base on top, the others below in their order; a gap where the next factor begins."""
    rows = heights(results)
    canvas = Figure(figsize=(3.0 * len(FIGURES) + 1.6, 0.32 * (max(rows) + 1) + 1.1), layout="constrained")
    canvas.patch.set_facecolor("white")
    panels = canvas.subplots(1, len(FIGURES), sharey=True, squeeze=False)[0]
    for axes, (name, label) in zip(panels, FIGURES.items(), strict=True):
        panel(axes, results, rows, name)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x", alpha=0.25)
    panels[0].set_yticks(rows, [one.setting.label for one in results])
    panels[0].set_ylim(max(rows) + 0.7, -0.7)
    return canvas


def heights(results: Sequence[Result]) -> list[float]:
    """Where each setting's line is, from the top: a line each, and half a line more before another set of factors."""
    rows: list[float] = []
    previous: list[str] | None = None
    for one in results:
        factors = [factor for factor, _ in one.setting.levels]
        step = 0.0 if previous is None else 1.0 if factors == previous else 1.5
        rows.append((rows[-1] if rows else 0.0) + step)
        previous = factors
    return rows


def panel(axes: Axes, results: Sequence[Result], rows: Sequence[float], name: str) -> None:
    """One figure of all settings. Hollow: measured on other pictures than the base."""
    base = results[0]
    shared = base.measures.get(name)
    if shared and shared.value is not None:
        axes.axvline(shared.value, color=_BASE, linewidth=1, linestyle=":")
        if shared.low is not None and shared.high is not None:
            axes.axvspan(shared.low, shared.high, color=_BASE, alpha=0.08, linewidth=0)
    order = list(dict.fromkeys(tuple(factor for factor, _ in one.setting.levels) for one in results[1:]))
    for one, row in zip(results, rows, strict=True):
        measure = one.measures.get(name)
        if measure is None or measure.value is None:
            said = "not measured" if one.done else "no figures"
            place = axes.get_yaxis_transform()  # x as a share of the panel
            axes.text(0.5, row, said, ha="center", va="center", color="#888888", fontsize=8, transform=place)
            continue
        factors = tuple(factor for factor, _ in one.setting.levels)
        colour = _BASE if not factors else _COLOURS[order.index(factors) % len(_COLOURS)]
        if measure.low is not None and measure.high is not None:
            axes.plot([measure.low, measure.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        hollow = one is not base and not one.comparable(base)
        axes.plot(measure.value, row, "o", color=colour, markersize=6, markerfacecolor="white" if hollow else colour)
    axes.set_xlim(-0.02, 1.02)
