"""The page's figures: SVG in the page's own text colour, so that one drawing suits light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from pipeline import metrics
from pipeline.metrics import Case, Outcome
from pipeline.report import attribution, reliability
from pipeline.report.reliability import Scored
from pipeline.report.tables import READER_NAMES, exact_rows

FEWEST = 5  # texts of a slice that is drawn
FACETS = {"region": "region", "rows": "rows", "height": "plate height", "blur": "blur"}
CONFUSIONS = 15
_INK = "#010203"  # stands for the page's own text colour
_COLOURS = ("#3b82c4", "#d98324", "#7a5fb5", "#4c9f70")
_SIZE = (4.6, 3.3)  # inches: as wide as a phone, at its text size
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with what it shows, in words."""

    title: str
    caption: str
    svg: str


def figures(document: Mapping[str, Any], cases: Sequence[Case]) -> dict[str, Figure]:
    """Each figure that the test split gives something to draw for, by name."""
    test = [case for case in cases if case.sample.split == "test"]
    results, _ = metrics.outcomes(test, document["detection"]["min_score"])
    return {
        **_of_detection(document, test),
        **_of_reading(document, results),
        **_of_scores(document, results),
    }


def _of_detection(document: Mapping[str, Any], test: Sequence[Case]) -> dict[str, Figure]:
    ranking = metrics.rank([case for case in test if case.sample.kind == "photo"])
    min_score = document["detection"]["min_score"]
    if not len(ranking.scores) or not ranking.plates.sum():
        return {}
    heights = {name: row for name, row in document["slices"]["height"].items() if row.get("ap50") is not None}
    return {
        "precision_recall": Figure(
            "Precision and recall",
            f"Every score as threshold, test photos. The dot is the working point, {min_score:g}.",
            _precision_recall(ranking, min_score),
        ),
        "scores": Figure(
            "Scores of detections",
            f"Right is a plate found at IoU 0.5. Those left of the line ({min_score:g}) are not read; those below 0.1, "
            "where most are, are left out.",
            _scores(ranking, min_score),
        ),
        "heights": Figure(
            "Recall by plate height",
            "Height of the plate's box in pixels of the photo, and the number of plates; lines are 95 % intervals. "
            f"Recall at score {min_score:g}, AP50 over all scores.",
            _bars(
                [
                    f"{name.replace(' px', '').replace(' to ', '-').replace(' and more', '+')}\n{row['plates']}"
                    for name, row in heights.items()
                ],
                {
                    "recall": [(row["recall"], row["interval"]["recall"]) for row in heights.values()],
                    "AP50": [(row["ap50"], row["interval"]["ap50"]) for row in heights.values()],
                },
                "share",
            ),
        ),
    }


def _of_reading(document: Mapping[str, Any], results: Sequence[Outcome]) -> dict[str, Figure]:
    made = {}
    rows = exact_rows(document)
    if any(row["exact"] is not None for _, _, row in rows):
        places = list(dict.fromkeys(place for _, place, _ in rows))
        by_reader = {
            READER_NAMES.get(name, name): [(row["exact"], row["interval"]["exact"]) for r, _, row in rows if r == name]
            for name in document["ocr"]
        }
        made["readers"] = Figure(
            "Exact match by reader",
            "Plates with a certain text, all characters right; lines are 95 % intervals over groups of pictures.",
            _bars(places, by_reader, "exact match"),
        )
    if facets := slice_rows(document):
        made["slices"] = Figure(
            "Exact match by region, rows, height and blur",
            f"Labelled crops with a certain text, their number in brackets; slices of less than {FEWEST} are left out. "
            "Lines are 95 % intervals over groups of pictures.",
            _slices(facets, list(document["ocr"])),
        )
    if document["attribution"]["n"]:
        made["attribution"] = Figure(
            "Plates read right, as truth is swapped in",
            f"{document['attribution']['n']} plates of test photos with a certain text; lines are 95 % intervals. "
            "The orange part is what the swap adds.",
            _attribution(document["attribution"]),
        )
    if counts := metrics.confusions(results, "network"):
        made["confusions"] = Figure(
            "Characters our reader confuses",
            f"True character, then what was read, on labelled crops; ∅ is none. The {CONFUSIONS} most frequent.",
            _confusions(counts.most_common(CONFUSIONS)),
        )
    return made


def _of_scores(document: Mapping[str, Any], results: Sequence[Outcome]) -> dict[str, Figure]:
    scored, calibration = Scored.of(results), document["calibration"]
    if calibration["ece"] is None:
        return {}
    n, threshold = calibration["n"], calibration["threshold"]
    marked = "" if threshold is None else f" The dot is the chosen threshold, {threshold:.3f}, with its 95 % intervals."
    return {
        "reliability": Figure(
            "Reliability of text scores",
            f"{n} labelled crops, in tenths of the score; by each dot its number, lines are 95 % intervals. "
            f"On the diagonal scores are honest. Word ECE {calibration['ece']:.3f}; as many honest scores would show "
            f"{calibration['by_chance']:.3f} by chance.",
            _reliability(reliability.bins(scored)),
        ),
        "coverage": Figure(
            "Texts given against wrong ones among them",
            f"Every score as threshold, {n} labelled crops.{marked}",
            _coverage(reliability.sweep(scored), threshold, document["ocr"]["network"]["answers"]),
        ),
    }


def slice_rows(document: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(facet, slice, its figures) of each slice with enough certain texts to be drawn."""
    return [
        (title, value, row)
        for facet, title in FACETS.items()
        for value, row in document["slices"][facet].items()
        if row["texts"] >= FEWEST and value != "unknown"
    ]


def _svg(paint: Callable[[Axes], None], size: tuple[float, float] = _SIZE) -> str:
    """What `paint` draws, as inline SVG in the page's text colour; the same drawing gives the same bytes."""
    buffer = io.StringIO()
    with rc_context(_STYLE):
        canvas = Canvas(figsize=size, layout="constrained")
        axes = canvas.add_subplot()
        canvas.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        paint(axes)
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return text.replace(_INK, "currentColor")


def _precision_recall(ranking: metrics.Ranking, min_score: float) -> str:
    def paint(axes: Axes) -> None:
        working_point = int((ranking.scores >= min_score).sum()) - 1
        for index, colour in ((0, _COLOURS[0]), (4, _COLOURS[1])):
            precision, recall = metrics.precision_recall(ranking, index)
            shown = len(recall) - int(ranking.right[index][::-1].argmax())  # beyond the last right one, recall stands
            axes.plot(recall[:shown], precision[:shown], color=colour, label=f"IoU {metrics.IOUS[index]:g}")
            if working_point >= 0:
                axes.plot(recall[working_point], precision[working_point], "o", color=colour)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.legend(loc="lower left")

    return _svg(paint)


def _scores(ranking: metrics.Ranking, min_score: float) -> str:
    def paint(axes: Axes) -> None:
        right = ranking.right[0]
        edges = [edge / 20 for edge in range(2, 21)]
        values = [ranking.scores[right], ranking.scores[~right]]
        axes.hist(values, bins=edges, stacked=True, color=_COLOURS[:2], label=["right", "wrong"])
        axes.axvline(min_score, color=_INK, linewidth=1, linestyle="--")
        axes.set(xlabel="score", ylabel="detections", xlim=(edges[0], 1))
        axes.legend()

    return _svg(paint)


def _bars(
    names: Sequence[str], series: Mapping[str, Iterable[tuple[float | None, Mapping[str, Any]]]], label: str
) -> str:
    """Bars side by side for each name, one of each series: (share, interval)."""
    width = 0.8 / len(series)

    def paint(axes: Axes) -> None:
        for index, (name, values) in enumerate(series.items()):
            chosen = [(at, value, interval) for at, (value, interval) in enumerate(values) if value is not None]
            xs = [at + (index - (len(series) - 1) / 2) * width for at, _, _ in chosen]
            colour = _COLOURS[index % len(_COLOURS)]
            axes.bar(xs, [value for _, value, _ in chosen], width * 0.92, color=colour, label=name)
            for x, (_, _, interval) in zip(xs, chosen, strict=True):
                if interval.get("low") is not None:
                    axes.vlines(x, interval["low"], interval["high"], color=_INK, linewidth=1.5)
        axes.set_xticks(range(len(names)), names)
        axes.set(ylim=(0, 1.02), ylabel=label)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(series))

    return _svg(paint)


def _slices(rows: Sequence[tuple[str, str, Mapping[str, Any]]], readers: Sequence[str]) -> str:
    """A line for each slice, a dot and an interval for each reader; facets stand apart."""
    places, at = [], 0.0
    for index, (facet, _, _) in enumerate(rows):
        at += 1.0 if index and facet == rows[index - 1][0] else 1.7
        places.append(at)

    def paint(axes: Axes) -> None:
        for index, reader in enumerate(readers):
            name = f"exact_{reader}"
            shift = (index - (len(readers) - 1) / 2) * 0.28
            chosen = [(y + shift, row) for y, (_, _, row) in zip(places, rows, strict=True) if row[name] is not None]
            colour = _COLOURS[index % len(_COLOURS)]
            label = READER_NAMES.get(reader, reader)
            axes.plot([row[name] for _, row in chosen], [y for y, _ in chosen], "o", color=colour, label=label)
            for y, row in chosen:
                if row["interval"][name]["low"] is not None:
                    bounds = row["interval"][name]
                    axes.hlines(y, bounds["low"], bounds["high"], color=colour, linewidth=1.8)
        axes.set_yticks(places, [f"{facet} {value} ({row['texts']})" for facet, value, row in rows])
        axes.set(xlim=(-0.02, 1.02), ylim=(places[-1] + 0.8, places[0] - 0.8), xlabel="exact match")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(readers))

    return _svg(paint, (_SIZE[0], 1.1 + 0.27 * (places[-1] + 0.6)))


def _attribution(section: Mapping[str, Any]) -> str:
    rows = attribution.rows(section)
    right, bounds = section["right"], section["right"]["interval"]

    def paint(axes: Axes) -> None:
        before = 0.0
        for y, row in enumerate(rows):
            value = right[row["key"]]
            axes.barh(y, min(before, value) if y else value, color=_COLOURS[0], height=0.62)
            if y and value > before:
                axes.barh(y, value - before, left=before, color=_COLOURS[1], height=0.62)
            if bounds[row["key"]].get("low") is not None:
                axes.hlines(y, bounds[row["key"]]["low"], bounds[row["key"]]["high"], color=_INK, linewidth=1.5)
            axes.text(1.02, y, f"{100 * value:.1f} %", va="center", fontsize=10)
            before = value
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.16), xlabel="plates read right")
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        axes.grid(visible=False, axis="y")

    return _svg(paint, (_SIZE[0], 2.9))


def _reliability(rows: Sequence[Mapping[str, Any]]) -> str:
    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--", alpha=0.6)
        axes.plot([row["score"] for row in rows], [row["right"] for row in rows], "o", color=_COLOURS[0])
        for row in rows:
            if row["low"] is not None:
                axes.vlines(row["score"], row["low"], row["high"], color=_COLOURS[0], linewidth=1.8)
            at_the_edge = row["score"] > 0.93
            axes.annotate(
                str(row["n"]),
                (row["score"], row["right"]),
                xytext=(-7, -14) if at_the_edge else (7, -4),
                textcoords="offset points",
                ha="right" if at_the_edge else "left",
                fontsize=10,
            )
        axes.set(xlabel="score", ylabel="texts that are right", xlim=(0, 1.02), ylim=(-0.02, 1.04))

    return _svg(paint)


def _coverage(rows: Sequence[Mapping[str, Any]], threshold: float | None, answers: Mapping[str, Any]) -> str:
    def paint(axes: Axes) -> None:
        axes.step(
            [row["given"] for row in rows],
            [row["wrong"] for row in rows],
            where="post",
            color=_COLOURS[0],
            linewidth=1.8,
        )
        top = max(row["wrong"] for row in rows)
        if threshold is not None and answers["given"]:
            given, wrong = answers["given"], answers["given_wrong"]
            across, along = answers["interval"]["given"], answers["interval"]["given_wrong"]
            if across.get("low") is not None:
                axes.hlines(wrong, across["low"], across["high"], color=_COLOURS[1], linewidth=1.5)
            if along.get("low") is not None:
                axes.vlines(given, along["low"], along["high"], color=_COLOURS[1], linewidth=1.5)
                top = max(top, along["high"])
            axes.plot(given, wrong, "o", color=_COLOURS[1])
        top = max(1.1 * top, 0.05)
        axes.set(xlabel="texts given", ylabel="wrong ones of these", xlim=(0, 1.02), ylim=(-0.02 * top, top))

    return _svg(paint)


def _confusions(counts: Sequence[tuple[tuple[str, str], int]]) -> str:
    def paint(axes: Axes) -> None:
        names = [f"{true or '∅'} → {read or '∅'}" for (true, read), _ in counts]
        axes.barh(range(len(counts)), [count for _, count in counts], color=_COLOURS[0])
        axes.set_yticks(range(len(counts)), names)
        axes.invert_yaxis()
        axes.set(xlabel="times")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=False, axis="y")

    return _svg(paint)
