"""Measures whole recognisers, from a photo's file to its row, on the same photos in one run: `make bench`.

python -m pipeline.benchmarks.speed --curated data/curated --images data/raw --out docs/bench-speed.md

Every bundle given (--model, by default the one that ships) stands with its large and its fast detector; any pair of an
ONNX detector and an ONNX reader (--onnx-detector with --onnx-reader, see foreign.py and foreign_reader.py) beside them.
Each does what `alpr recognize` does: alone on one photo after the other, on a folder with one and with two workers, and
in processes of its own. All take turns, so that figures may be compared within a run and not between machines.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.progress import track

from pipeline import metrics
from pipeline.benchmarks import parts, processes
from pipeline.benchmarks.detectors import chosen
from pipeline.benchmarks.foreign_reader import ALPHABET, Blank, Decoding
from pipeline.benchmarks.forms import Form, Photo, as_jpeg, as_they_are
from pipeline.benchmarks.machine import Machine
from pipeline.benchmarks.pages import show
from pipeline.benchmarks.pairs import MIN_SCORE as PAIRS_MIN_SCORE
from pipeline.benchmarks.pairs import Pair, Recognizing, looks, named_reader, no_video
from pipeline.benchmarks.speed_page import Measured, Sheet, brief, introduction, page
from pipeline.benchmarks.timing import THREADS, in_turns, of_each
from pipeline.bundle import Bundle, Network
from pipeline.checkpoints import SHIPPED
from pipeline.manifest import read_manifest, replacing, write_json
from pipeline.metrics import Bootstrap, Case
from pipeline.recognizer import MIN_SCORE, Recognizer
from pipeline.records import Box, Detection, Quad, Reading
from pipeline.serving import looking, output
from pipeline.serving.inputs import Named
from pipeline.serving.looking import Look

BENCHMARK = "bench-speed"
TIMED = 40  # photos that are timed, the first of those that are read
FOLDERS = 3  # rounds over a whole folder
SIDES = (1280, 4000)  # a video's frame, a telephone's photo of 12 megapixels
NAME = "it"  # of the reader, in a Case
ALPR = "from pipeline.serving.cli import app; app()"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contender:
    """A recogniser by name: how to open it with so many threads, and the command that runs it on photos.

    The command takes `--threads N` and the photos behind it, and prints a line for each.
    """

    name: str
    open: Callable[[int], Recognizing]
    command: tuple[str, ...]
    megabytes: float
    min_score: float = MIN_SCORE


def main(
    curated: Annotated[Path, typer.Option(help="the folder that curate writes")] = Path("data/curated"),
    images: Annotated[Path, typer.Option(help="the folder that the manifest's paths start from")] = Path("data/raw"),
    out: Annotated[Path, typer.Option(help="the tables, as Markdown; figures beside them, as JSON")] = Path(
        "docs/bench-speed.md"
    ),
    model: Annotated[list[Path] | None, typer.Option(help="folders with a bundle.json")] = None,
    onnx_detector: Annotated[
        list[Path] | None, typer.Option(help="other detectors, as ONNX, each with a reader")
    ] = None,
    onnx_reader: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH[:ALPHABET]", help=f"their readers, in the same order; alphabet by default {ALPHABET}"
        ),
    ] = None,
    decoding: Annotated[Decoding, typer.Option(help="of --onnx-reader; auto: CTC from 17 places on")] = "auto",
    blank: Annotated[Blank, typer.Option(help="of --onnx-reader: which class is none")] = "last",
    source: Annotated[str | None, typer.Option(help="only pictures of this source")] = None,
    split: Annotated[Literal["test", "all"], typer.Option(help="all: only where accuracy is no matter")] = "test",
    photos: Annotated[int, typer.Option(min=0, help=f"at most so many, of which {TIMED} are timed; 0: all")] = 100,
    side: Annotated[
        list[int] | None,
        typer.Option(min=0, help=f"longer side of copies as JPEG; by default {' and '.join(map(str, SIDES))}; 0: none"),
    ] = None,
    readme: Annotated[Path | None, typer.Option(help="a page that shows it in brief between two marks")] = None,
    bootstrap: int = 1000,
) -> None:
    """Measures, prints, and writes the tables."""
    try:
        machine = Machine.here()
        contenders = distinct(
            [
                *(one for folder in model or [SHIPPED / "export"] for one in of_bundle(folder)),
                *of_pairs(onnx_detector or [], onnx_reader or [], decoding, blank),
            ]
        )
        samples = chosen(read_manifest(curated / "manifest.jsonl"), source, split)[: photos or None]
        if not samples:
            raise ValueError(f"no photo of {source or 'any source'} stands in the split {split} of {curated}")
        own = as_they_are(samples, images)
        sheets = [
            measure(contenders, form, Bootstrap(bootstrap, 7))
            for form in forms(own, [value for value in side or SIDES if value])
        ]
        written = page(sheets, introduction(machine, source or "all sources", split))
        with replacing(out) as file:
            file.write(written)
        write_json(out.with_suffix(".json"), as_row(sheets, machine, source, split))
        if readme is not None:
            show(readme, BENCHMARK, brief(sheets))
    except (ValueError, OSError) as error:
        raise SystemExit(f"{BENCHMARK}: {error}") from None
    print(written)


def forms(own: Form, sides: Sequence[int]) -> Iterator[Form]:
    """The photos as they are, and copies of them, each kept only while it is measured."""
    yield own
    for side in sides:
        with tempfile.TemporaryDirectory(prefix="alpr-speed-") as folder:
            yield as_jpeg(own, side, Path(folder))


# The contenders


def of_bundle(folder: Path) -> list[Contender]:
    """A bundle with its large and with its fast detector; BundleError where it cannot be opened."""
    bundle = Bundle.load(folder)
    shipped = folder == SHIPPED / "export"
    found = []
    kinds: tuple[tuple[str, Network, tuple[str, ...]], ...] = (
        ("accurate", "detector", ()),
        ("fast", "fast", ("--fast",)),
    )
    for name, network, options in kinds:
        settings = bundle.settings(network)
        used: tuple[Network, ...] = (network, "refiner", "reader")
        found.append(
            Contender(
                f"{'ours' if shipped else folder}, {name} ({settings.get('backbone')} at {settings.get('resolution')})",
                partial(Recognizer.load, folder, fast=network == "fast"),
                (*_python("-c", ALPR), "recognize", "--json", *options, *(() if shipped else ("--model", str(folder)))),
                sum(bundle.file(part, "float")[0].stat().st_size for part in used) / 1e6,
            )
        )
    return found


def of_pairs(detectors: Sequence[Path], readers: Sequence[str], decoding: Decoding, blank: Blank) -> list[Contender]:
    """Detector and reader of others, each opened once so that one that is not known is told before the run."""
    if len(detectors) != len(readers):
        raise ValueError(f"{len(detectors)} --onnx-detector and {len(readers)} --onnx-reader: give them in pairs")
    found = []
    for detector, reader in zip(detectors, readers, strict=True):
        opened = partial(Pair.load, detector, reader, decoding=decoding, blank=blank)
        opened(1)
        path = named_reader(reader)[0]
        how = ("--decoding", decoding, "--blank", blank)
        found.append(
            Contender(
                f"{detector.stem} + {path.stem}",
                opened,
                _python("-m", "pipeline.benchmarks.pairs", str(detector), reader, *how),
                (detector.stat().st_size + path.stat().st_size) / 1e6,
                PAIRS_MIN_SCORE,
            )
        )
    return found


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def distinct(contenders: list[Contender]) -> list[Contender]:
    """The contenders as they are; ValueError where two have one name, by which their figures are kept."""
    names = [one.name for one in contenders]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two recognisers are called {name!r}: give each once, and rename files of one name")
    return contenders


# The figures


def measure(contenders: Sequence[Contender], form: Form, bootstrap: Bootstrap) -> Sheet:
    """Accuracy of each on every photo of a form; time and memory of all on the first ones, in turns."""
    looking_by = {one.name: looks(one.open(1), one.min_score) for one in contenders}
    accuracy = {name: found_and_read(name, look, form, bootstrap) for name, look in looking_by.items()}
    paths = [photo.path for photo in form.photos[:TIMED]]
    alone = {name: partial(_row, look) for name, look in looking_by.items()}
    _tell(form, "each photo by itself")
    taken = of_each(alone, paths)
    spent = parts.mean_parts(alone, paths)
    _tell(form, "all photos as a folder")
    folders = {(name, n): partial(_rows, look, paths, n) for name, look in looking_by.items() for n in THREADS}
    together = in_turns(folders, dict.fromkeys(folders, FOLDERS))
    _tell(form, "processes of their own")
    started = processes.starts({one.name: (*one.command, str(paths[0])) for one in contenders})
    return Sheet(
        form.name,
        form.size,
        form.megabytes,
        len(form.photos),
        len(paths),
        [
            Measured(
                name=one.name,
                megabytes=one.megabytes,
                milliseconds=1000 * float(np.median([each.clock for each in taken[one.name]])),
                milliseconds_p95=1000 * float(np.percentile([each.clock for each in taken[one.name]], 95)),
                cpu_milliseconds=1000 * float(np.median([each.cpu for each in taken[one.name]])),
                photos_a_second={n: len(paths) / together[one.name, n] for n in THREADS},
                first_row=1000 * started[one.name].first_line,
                process=1000 * started[one.name].end,
                process_cpu=1000 * started[one.name].cpu,
                peak_megabytes={n: processes.peak_megabytes(_folder_command(one, n, paths)) for n in THREADS},
                parts={part: 1000 * value for part, value in spent[one.name].items()},
                networks_share=parts.share_of_networks(spent[one.name]),
                accuracy=accuracy[one.name],
            )
            for one in contenders
        ],
    )


def _tell(form: Form, what: str) -> None:
    print(f"{BENCHMARK}: {form.name}: {what} ...", file=sys.stderr)


def _folder_command(contender: Contender, threads: int, paths: Sequence[Path]) -> list[str]:
    return [*contender.command, "--threads", str(threads), *map(str, paths)]


def _row(look: Look, path: Path) -> None:
    _rows(look, [path], 1)


def _rows(look: Look, paths: Sequence[Path], at_once: int) -> None:
    """The work of `alpr recognize --json` on these files, so many at a time."""
    out = output.writer("json", (), io.StringIO())
    for one in looking.looked((Named(str(path), path) for path in paths), look, no_video, at_once):
        out.write(one.row)


def found_and_read(name: str, look: Look, form: Form, bootstrap: Bootstrap) -> Row:
    """The end-to-end figures of the rows of every photo, as evaluate has them."""
    cases = [_case(look, photo) for photo in track(form.photos, description=f"{form.name}: reading, {name}")]
    return metrics.end_to_end(*metrics.outcomes(cases, min_score=0.0), NAME, bootstrap)


def _case(look: Look, photo: Photo) -> Case:
    (answer,) = looking.looked([Named(str(photo.path), photo.path)], look, no_video, 1)
    if "error" in answer.row:
        raise ValueError(f"{photo.path}: {answer.row['error']}")
    plates = answer.row["plates"]
    return Case(
        photo.sample,
        tuple(Detection(Box(*one["box"]), Quad(*map(tuple, one["corners"])), one["score"]) for one in plates),
        {NAME: tuple(Reading(one["text"], one["text_score"], guess=one["guess"]) for one in plates)},
    )


def as_row(sheets: Sequence[Sheet], machine: Machine, source: str | None, split: str) -> Row:
    return {"source": source, "split": split, "machine": asdict(machine), "forms": [asdict(sheet) for sheet in sheets]}


if __name__ == "__main__":
    typer.run(main)
