"""Runs a command: inputs shared among threads, results shown as they come, failures named, an exit code at the end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from pipeline.serving.inputs import Named
    from pipeline.serving.looking import Look, Looked, Watch
    from pipeline.serving.output import Format
    from pipeline.serving.progress import Bars
    from pipeline.serving.redacted_files import Written

Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130  # exit codes: an input; the model; Ctrl-C, as shells have it


@dataclass(frozen=True, slots=True)
class Work:
    """What a command is to look at, with how many threads, and the bars that show how far it has come."""

    found: Iterator[Named]
    at_once: int  # pictures that are looked at at a time
    each: int  # threads of each network
    bars: Bars


def begun(paths: Sequence[str], threads: int) -> Work:
    """The work that the paths name; with `threads` 0 on as many cores as there are."""
    from pipeline.serving import inputs, looking
    from pipeline.serving.progress import Bars

    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may have letters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    found = inputs.named(paths)
    first = list(islice(found, 2))
    several = len(first) > 1
    at_once, each = looking.workers(threads, several or any(one.is_video for one in first))
    return Work(chain(first, found), at_once, each, Bars((lambda: inputs.count(paths)) if several else None))


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """A model, or a sentence why there is none and exit code 2."""
    try:
        return load()
    except (ValueError, OSError) as error:
        refuse(str(error))
    except (KeyError, TypeError, AttributeError) as error:  # a bundle.json that is JSON, but not what export writes
        refuse(f"the model's bundle.json is damaged ({type(error).__name__}: {error}); export the models again")


def refuse(sentence: str) -> NoReturn:
    """Says why nothing can be done, and ends with exit code 2."""
    print(f"alpr: {sentence}", file=sys.stderr)
    raise typer.Exit(UNUSABLE)


def form(as_json: bool, as_csv: bool) -> Format:
    """What to print; two forms at once are wrong usage."""
    if as_json and as_csv:
        raise typer.BadParameter("either --json or --csv")
    return "json" if as_json else "csv" if as_csv else "table"


def print_rows(
    work: Work,
    look: Look,
    watch: Watch,
    wanted: Format,
    columns: Sequence[str],
    crops: Path | None = None,
    drawn: Path | None = None,
) -> NoReturn:
    """Prints a row for each picture and those of each video, and writes the pictures that are asked for."""
    from pipeline.serving import looking, output

    out = output.writer(wanted, columns)
    cut, painted = (None if path is None else looking.Folder(path) for path in (crops, drawn))

    def show(one: Looked) -> bool:
        if "error" not in one.row:
            try:
                if cut is not None:
                    looking.write_crops(cut, one)
                if painted is not None:
                    looking.write_annotated(painted, one)
            except OSError as error:
                one.row["error"] = f"its pictures cannot be written: {error.strerror or error}"
        if "error" in one.row:
            complain(one.row.get("image", one.row.get("video")), one.row["error"])
        out.write(one.row)
        return "error" not in one.row

    whole = bool(crops or drawn)
    finish(looking.looked(work.found, look, watch, work.at_once, work.bars.done, whole), show, work.bars)


def print_written(written: Generator[Written, None, None], bars: Bars) -> NoReturn:
    """Prints a line for each file that was written."""
    from pipeline.serving.output import plain

    def show(one: Written) -> bool:
        if one.path:
            plates = f"{one.plates} plate{'s'[: one.plates != 1]} blurred"
            print(f"{plain(one.path)}: {plates}", flush=True)
        if one.error:
            complain(one.name, one.error)
        return not one.error

    finish(written, show, bars)


def finish(results: Generator[Result, None, None], show: Callable[[Result], bool], bars: Bars) -> NoReturn:
    """Shows each result as it comes; ends with 1 where `show` said of one that it is a failure, else with 0.

    After Ctrl-C what is in work is let finish, nothing new is begun, and the exit code is 130.
    """
    failed = False
    try:
        with closing(results), bars:
            for one in results:
                with bars.aside():
                    failed |= not show(one)
    except KeyboardInterrupt:
        print("alpr: interrupted; what was written is whole", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read along, `head` say, has enough
        _leave_stdout()
    except OSError as error:
        _leave_stdout()
        complain("standard output", error.strerror or str(error))
        failed = True
    raise typer.Exit(FAILED if failed else 0)


def _leave_stdout() -> None:
    """Python writes what it still holds when it ends, and would fail once more."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a device and no file of ours)
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def complain(name: object, error: str) -> None:
    """Names on stderr what failed, and why."""
    from pipeline.serving.output import plain

    print(f"alpr: {plain(str(name))}: {plain(error)}", file=sys.stderr)
