"""Rows as people and programs want them: a table in colours, lines of JSON, or CSV; whole lines, written at once."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any, Literal, Protocol

Row = dict[str, Any]
Format = Literal["table", "json", "csv"]
_CSV = ("image", "plate", "text", "text_score", "score", "x1", "y1", "x2", "y2", "region", "guess", "error")
_WIDTHS = {"text": 14, "text score": 10, "score": 6, "box": 22}  # characters of the table's columns


class Writer(Protocol):
    """Takes a row for each input as it comes; nothing is kept, so that a hundred thousand cost no memory."""

    def write(self, row: Row) -> None: ...


def writer(form: Format, columns: Sequence[str], out: IO[str] | None = None) -> Writer:
    """The writer of a form; `columns` are those of the table."""
    target = out or sys.stdout
    if form == "table":
        return Table(target, columns)
    return Json(target) if form == "json" else Csv(target)


class Json:
    """One object a line."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def write(self, row: Row) -> None:
        self._out.write(json.dumps(row) + "\n")
        self._out.flush()


class Csv:
    """A line for each plate, one for a picture without, one for an error; the same columns for all commands."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._begun = False

    def write(self, row: Row) -> None:
        if not self._begun:
            self._begun = True
            self._line(_CSV)
        name = _name(row)
        if "error" in row:
            self._line(_fields({"image": name, "error": row["error"]}))
            return
        plates = row.get("plates", [{**row.get("best", {}), **row}])
        for index, plate in enumerate(plates, start=1):
            box = dict(zip(("x1", "y1", "x2", "y2"), plate.get("box", ()), strict=False))
            self._line(_fields({**plate, **box, "image": name, "plate": index}))
        if not plates:
            self._line(_fields({"image": name}))

    def _line(self, fields: Sequence[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(fields)
        self._out.write(line.getvalue().encode(errors="surrogateescape").decode(errors="replace"))
        self._out.flush()


def _name(row: Row) -> str:
    """The picture, or the video with the seconds in which something was seen."""
    if "image" in row:
        return str(row["image"])
    times = [f"{row[key]:.1f}" for key in ("first_seen", "last_seen", "time") if key in row]
    return f"{row['video']} [{' to '.join(times)} s]" if times else str(row["video"])


def plain(text: str) -> str:
    """A text as one line that moves no cursor: what a name holds of control characters and stray bytes, escaped."""
    shown = os.fsencode(text).decode(errors="backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)


def _fields(row: Row) -> list[Any]:
    return ["" if row.get(name) is None else row[name] for name in _CSV]


class Table:
    """Columns of a fixed width, then the picture's name and its crop's: a row is shown as soon as it is there."""

    def __init__(self, out: IO[str], columns: Sequence[str]) -> None:
        from rich.console import Console

        self._out = out
        self._columns = columns
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._begun = False

    def write(self, row: Row) -> None:
        if "error" in row:
            return  # stderr names it
        if not self._begun:
            self._begun = True
            self._show([(heading, "bold") for heading in self._columns], "image", "bold")
        plates = row.get("plates", [{**row.get("best", {}), **row}])
        name = plain(_name(row))
        for plate in plates:
            cut = f"  {plain(plate['crop'])}" if "crop" in plate else ""
            self._show([(cell(plate, column), _style(plate, column)) for column in self._columns], name + cut, "")
        if not plates:
            self._show([("no plate", "dim"), *[("", "")] * (len(self._columns) - 1)], name, "dim")

    def _show(self, cells: Sequence[tuple[str, str]], name: str, style: str) -> None:
        from rich.text import Text

        line = Text()
        for (text, own), column in zip(cells, self._columns, strict=True):
            line.append(text.ljust(_WIDTHS[column]) + "  ", own)
        line.append(name, style)
        with self._console.capture() as shown:  # where nobody reads any more it would end the program by itself
            self._console.print(line)
        self._out.write(shown.get())
        self._out.flush()


def cell(plate: Row, column: str) -> str:
    """A plate's value as text; a guess has a question mark behind it."""
    if column == "text" and not plate["text"] and plate["guess"]:
        return f"{plate['guess']}?"
    value = plate[column.replace(" ", "_")]
    if isinstance(value, list):
        return " ".join(f"{number:.0f}" for number in value)
    return f"{value:.2f}" if isinstance(value, float) else (value or "(not read)")


def _style(plate: Row, column: str) -> str:
    if column == "text":
        return "bold green" if plate["text"] else "yellow"
    return ""
