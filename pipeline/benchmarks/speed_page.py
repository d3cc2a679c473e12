"""The page of the benchmark of whole recognisers, and its short form for another page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.benchmarks.machine import Machine
from pipeline.benchmarks.pages import figure, heading, line, thread_count
from pipeline.benchmarks.parts import PARTS
from pipeline.benchmarks.timing import ROUNDS, THREADS

ONE, MOST = THREADS[0], THREADS[-1]


@dataclass(frozen=True, slots=True)
class Measured:
    """A recogniser's figures on one form of the photos, as they go to JSON and into the tables; times are ms."""

    name: str
    megabytes: float  # of its networks
    milliseconds: float  # a photo from its file to its row, on one thread
    milliseconds_p95: float
    cpu_milliseconds: float
    photos_a_second: Mapping[int, float]  # of a folder, by workers
    first_row: float  # of a new process
    process: float  # from its start to its end
    process_cpu: float
    peak_megabytes: Mapping[int, float]  # of a process over all timed photos, by workers
    parts: Mapping[str, float]  # a photo's mean
    networks_share: float  # of those
    accuracy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All figures on one form of the photos."""

    form: str
    size: tuple[int, int]
    megabytes: float  # of a file
    photos: int
    timed: int
    measured: Sequence[Measured]


def introduction(machine: Machine, source: str, split: str) -> str:
    """What was measured on, and what the figures are."""
    where = "all pictures" if split == "all" else "the grouped test split"
    notes = [
        "ms: a photo from its file to its row (read, decode, find, cut out, read, JSON) on one thread: the median over "
        f"photos of each photo's median of {ROUNDS}. p95: what one photo in twenty exceeds. Recognisers take turns.",
        "CPU ms: of the same, what the process itself computed. Others on a busy machine hardly change it.",
        f"Parts: of the same, the mean over photos of each part's median of {ROUNDS}. To count adds two or three ms to "
        "what is no network. In networks: their share.",
        "photos/s: of a folder; each worker has the networks on one thread.",
        "first row, end: of a new process with one photo. Peak MB: RAM of a process over all timed photos.",
        "found and read: the share of plates with a certain text that are found at IoU 0.5 and read exactly, whether "
        "the text is given or a guess. exact: the same, with texts given where no plate is held against it.",
        "In parentheses the ratio to the first recogniser; in brackets the 95 % interval over groups of pictures.",
        "JPEG copies have so many pixels on their longer side. Enlarged ones show no more, and weigh less than a "
        "camera's files.",
    ]
    return "\n".join(
        [f"{source}, {where}. {machine}. Our networks are those in float32.", "", *(f"- {note}" for note in notes)]
    )


def page(sheets: Sequence[Sheet], introduction: str) -> str:
    """The figures as a page of Markdown."""
    lines = [introduction, ""]
    for sheet in sheets:
        lines += [_title(sheet), "", *_speed_table(sheet), "", *_parts_table(sheet), ""]
    return "\n".join(lines[:-1]) + "\n"


def _title(sheet: Sheet) -> str:
    width, height = sheet.size
    timed = "" if sheet.timed == sheet.photos else f", of which the first {sheet.timed} are timed"
    return (
        f"**Photos {sheet.form}**: {sheet.photos} photos{timed}; the middle one has {width} x {height} pixels and "
        f"{_megabytes(sheet.megabytes)} MB"
    )


def _megabytes(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def _speed_table(sheet: Sheet) -> list[str]:
    names = [
        "recogniser",
        "ms",
        "p95",
        "CPU ms",
        *(f"photos/s, {thread_count(n)}" for n in THREADS),
        f"{MOST} threads over {ONE}",
        "in networks",
        "first row, ms",
        "end, ms",
        "CPU ms to its end",
        *(f"peak MB, {thread_count(n)}" for n in THREADS),
        "networks, MB",
        "found and read",
        "exact",
    ]
    return [*heading(names), *(line(_speed_cells(one, sheet.measured[0])) for one in sheet.measured)]


def _speed_cells(one: Measured, first: Measured) -> list[str]:
    return [
        one.name,
        compared(one.milliseconds, first.milliseconds),
        compared(one.milliseconds_p95, first.milliseconds_p95),
        compared(one.cpu_milliseconds, first.cpu_milliseconds),
        *(compared(one.photos_a_second[n], first.photos_a_second[n]) for n in THREADS),
        f"{one.photos_a_second[MOST] / one.photos_a_second[ONE]:.2f}",
        f"{100 * one.networks_share:.0f} %",
        compared(one.first_row, first.first_row, 0),
        compared(one.process, first.process, 0),
        compared(one.process_cpu, first.process_cpu, 0),
        *(compared(one.peak_megabytes[n], first.peak_megabytes[n], 0) for n in THREADS),
        f"{one.megabytes:.1f}",
        *(figure(one.accuracy, name) for name in ("found_and_read", "exact")),
    ]


def compared(value: float, first: float, digits: int = 1) -> str:
    """A figure with its ratio to the first recogniser's."""
    return f"{value:.{digits}f} ({value / first:.2f})"


def _parts_table(sheet: Sheet) -> list[str]:
    """A line for each part that takes any time of anyone."""
    lines = heading(["CPU ms a photo; share of the whole", *(one.name for one in sheet.measured)])
    for part in PARTS:
        if any(one.parts[part] for one in sheet.measured):
            lines.append(line([part, *(_part_cell(one, part) for one in sheet.measured)]))
    return [*lines, line(["whole", *(f"{sum(one.parts.values()):.2f}" for one in sheet.measured)])]


def _part_cell(one: Measured, part: str) -> str:
    if not one.parts[part]:
        return "-"
    return f"{one.parts[part]:.2f}; {100 * one.parts[part] / sum(one.parts.values()):.1f} %"


def brief(sheets: Sequence[Sheet]) -> str:
    """One line for each recogniser on each form of the photos."""
    most = thread_count(MOST)
    names = ["photos", "recogniser", "ms", f"photos/s, {most}", "first row, ms", f"peak MB, {most}", "found and read"]
    lines = heading(names)
    for sheet in sheets:
        for one in sheet.measured:
            first = sheet.measured[0]
            cells = [
                sheet.form,
                one.name,
                compared(one.milliseconds, first.milliseconds, 0),
                compared(one.photos_a_second[MOST], first.photos_a_second[MOST], 0),
                f"{one.first_row:.0f}",
                f"{one.peak_megabytes[MOST]:.0f}",
                figure(one.accuracy, "found_and_read"),
            ]
            lines.append(line(cells))
    return "\n".join(lines) + "\n"
