"""The page of the benchmark of readers, and its short form for another page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.benchmarks.crops import Chosen, Labels, Way
from pipeline.benchmarks.pages import figure, heading, line, thread_count
from pipeline.benchmarks.timing import THREADS

TESSERACT = "Tesseract"
BATCH = 32  # crops in one call for throughput
CONFUSIONS = 15  # that are shown

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's figures, as they go to JSON and into the tables."""

    name: str
    megabytes: float | None
    accuracy: Row
    milliseconds: Mapping[int, float]  # a plate alone, by threads
    plates_a_second: float  # BATCH in a call, on the most threads


def share_of_tesseract(one: Measured, measured: Sequence[Measured]) -> float | None:
    """A plate's time on one thread as a share of Tesseract's; None where that did not run."""
    times = [other.milliseconds[THREADS[0]] for other in measured if other.name == TESSERACT]
    return one.milliseconds[THREADS[0]] / times[0] if times else None


def introduction(chosen: Chosen, source: str, split: str, labels: Labels, cut: Way) -> str:
    """What was measured on, and what was left out."""
    where = "all pictures" if split == "all" else "the grouped test split"
    photos = [target for target in chosen.targets if target.sample.kind == "photo"]
    pictures = len({target.sample.id for target in chosen.targets})
    sentences = [f"{source}, {where}: {_plates(len(chosen.targets))} with a certain text on {pictures} pictures."]
    if photos:
        how = "rectified by their corners" if cut == "corners" else f"cut out by their {labels} boxes, without a margin"
        sentences.append(f"Plates of photos are {how}.")
    if len(photos) < len(chosen.targets):
        sentences.append(f"Cut out already: {_plates(len(chosen.targets) - len(photos))}.")
    sentences.append(
        f"{'Kept' if chosen.keeps_learnt else 'Left out'}: {_plates(chosen.learnt)} of pictures that a reader has "
        "learnt from, or of near-duplicates."
    )
    if labels == "published" and photos:
        sentences.append(f"Left out: {_plates(chosen.unboxed)} that the published labels lack.")
    return " ".join([*sentences, "In brackets the 95 % interval over groups of pictures."])


def _plates(count: int) -> str:
    return f"{count} plate{'s'[: count != 1]}"


def table(measured: Sequence[Measured], introduction: str) -> str:
    """The figures as a page of Markdown."""
    first = measured[0]
    lines = [introduction, "", *_accuracy_table(measured), ""]
    for part, title in (("region", "region"), ("rows", "rows of characters"), ("height", "height of the box")):
        values = first.accuracy["parts"][part]
        lines += [
            f"**Exact match by {title}** (in brackets behind a name: plates)",
            "",
            *heading(["reader", *(f"{value} ({row['n']})" for value, row in values.items())]),
            *(
                line([one.name, *(figure(one.accuracy["parts"][part][value], "exact") for value in values)])
                for one in measured
            ),
            "",
        ]
    return "\n".join([*lines, *_time_table(measured), "", *_confusion_table(first)]) + "\n"


def _accuracy_table(measured: Sequence[Measured]) -> list[str]:
    return [
        "**Accuracy**: of the text or, where a reader gives none, of its best guess. Answered: plates that it gives a "
        "text for, by its own threshold; wrong: these texts. Calibration error: between its scores and how often it is "
        "right.",
        "",
        *heading(["reader", "exact match", "CER", "answered", "wrong among answered", "calibration error"]),
        *(
            line(
                [
                    one.name,
                    figure(one.accuracy, "exact"),
                    figure(one.accuracy, "cer"),
                    *(figure(one.accuracy["answers"], name) for name in ("given", "given_wrong")),
                    f"{one.accuracy['answers']['calibration_error']:.3f}",
                ]
            )
            for one in measured
        ),
    ]


def _time_table(measured: Sequence[Measured]) -> list[str]:
    most = THREADS[-1]
    lines = [
        f"**Time** of a plate read alone ({platform.machine()}; in this run), and plates a second {BATCH} at a time. "
        f"{TESSERACT} starts a process for each plate, on one thread.",
        "",
        *heading(
            [
                "reader",
                "MB",
                *(f"ms, {thread_count(n)}" for n in THREADS),
                f"of {TESSERACT}'s time",
                f"plates/s, {thread_count(most)}",
            ]
        ),
    ]
    for one in measured:
        times = [f"{one.milliseconds[n]:.1f}" for n in THREADS]
        cells = [one.name, _megabytes(one), *times, _share(one, measured), f"{one.plates_a_second:.0f}"]
        lines.append(line(cells))
    return lines


def _megabytes(one: Measured) -> str:
    return "-" if one.megabytes is None else f"{one.megabytes:.1f}"


def _share(one: Measured, measured: Sequence[Measured]) -> str:
    share = share_of_tesseract(one, measured)
    return "-" if share is None else f"{share:.3f}"


def _confusion_table(one: Measured) -> list[str]:
    rows = one.accuracy["confusions"]
    often = [row for row in rows if row["count"] > 1] or rows
    if not rows:
        return [f"**Confusions**: {one.name} read every character right."]
    return [
        f"**Confusions** of {one.name}: the most frequent of its {sum(row['count'] for row in rows)} wrong characters",
        "",
        *heading(["truth", "read", "count"]),
        *(line([row["truth"] or "nothing", row["read"] or "nothing", str(row["count"])]) for row in often[:CONFUSIONS]),
    ]


def brief(measured: Sequence[Measured]) -> str:
    """One line for each reader: how much it reads right, how much it claims, and what it costs."""
    names = ["exact match", "CER", "answered", "wrong among answered", "ms", f"of {TESSERACT}'s time", "MB"]
    lines = heading(["reader", *names])
    for one in measured:
        answers = one.accuracy["answers"]
        cells = [
            one.name,
            *(figure(one.accuracy, name) for name in ("exact", "cer")),
            *("-" if answers[name] is None else f"{answers[name]:.3f}" for name in ("given", "given_wrong")),
            f"{one.milliseconds[THREADS[0]]:.1f}",
            _share(one, measured),
            _megabytes(one),
        ]
        lines.append(line(cells))
    return "\n".join(lines) + "\n"
