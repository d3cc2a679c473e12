"""Measures readers on the same crops in one run: `make bench-reader`.

python -m pipeline.benchmarks.readers --curated data/curated --images data/raw --out docs/bench-reader.md

The reader of every bundle given (--model, by default the one that ships), float and int8, stands beside Tesseract and
RapidOCR, where they are installed, and any ONNX reader (--onnx PATH:ALPHABET, see foreign_reader.py). The crops are the
plates with a certain text on curate's test split, cut out by the boxes that the source published, or as --labels and
--cut say. Pictures that a reader was trained on are left out for all. Accuracy is that of a reader's text or, where it
gives none, of its best guess; time is the median over the same crops, all readers taking turns, so that figures may be
compared within a run and not between machines.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.progress import track

from pipeline import metrics
from pipeline.alphabet import readable
from pipeline.benchmarks import crops as cutting
from pipeline.benchmarks.crops import Chosen, Crop, Labels, Way
from pipeline.benchmarks.foreign_reader import ALPHABET, Blank, Decoding, ForeignReader
from pipeline.benchmarks.pages import show
from pipeline.benchmarks.reader_page import (
    BATCH,
    TESSERACT,
    Measured,
    Row,
    brief,
    introduction,
    share_of_tesseract,
    table,
)
from pipeline.benchmarks.timing import ROUNDS, THREADS, in_turns
from pipeline.bundle import Bundle, Precision
from pipeline.checkpoints import SHIPPED
from pipeline.images import RGB
from pipeline.manifest import replacing, write_json
from pipeline.metrics import Bootstrap, Outcome
from pipeline.readers.decoding import ReaderError
from pipeline.readers.reader import NetworkReader, Reader
from pipeline.readers.tesseract import TesseractReader
from pipeline.records import UNKNOWN_REGION

BENCHMARK = "bench-reader"
RAPIDOCR = "RapidOCR"
TIMED = 50  # crops that are timed
FEW = 2  # rounds of what takes many times as long
HEIGHTS = ((16.0, "under 16 px"), (32.0, "16 to 32 px"), (float("inf"), "32 px and more"))
REGIONS = ("IN", "US", "GB", "SE", "CN", "RO")  # shown however few there are
LEAST_PLATES = 10  # of another region that is shown by itself
ROWS = {1: "one row", 2: "two rows", None: "not stated"}


@dataclass(frozen=True, slots=True)
class Contender:
    """A reader by name: how to open it with so many threads, what its files weigh, how often it is timed."""

    name: str
    open: Callable[[int], Reader]
    megabytes: float | None = None  # None: not known
    rounds: int = ROUNDS


def main(
    curated: Annotated[Path, typer.Option(help="the folder that curate writes")] = Path("data/curated"),
    images: Annotated[Path, typer.Option(help="the folder that the manifest's paths start from")] = Path("data/raw"),
    out: Annotated[Path, typer.Option(help="the tables, as Markdown; figures beside them, as JSON")] = Path(
        "docs/bench-reader.md"
    ),
    model: Annotated[list[Path] | None, typer.Option(help="folders with a bundle.json")] = None,
    onnx: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH[:ALPHABET]", help=f"other readers, as ONNX; alphabet by default {ALPHABET}"),
    ] = None,
    decoding: Annotated[Decoding, typer.Option(help="of --onnx; auto: CTC from 17 places on")] = "auto",
    blank: Annotated[Blank, typer.Option(help="of --onnx: which class is none")] = "last",
    tesseract: bool = True,
    rapidocr: bool = True,
    source: Annotated[str | None, typer.Option(help="only pictures of this source")] = None,
    split: Annotated[
        Literal["test", "all"], typer.Option(help="all: of train and val too, what no reader learnt from")
    ] = "test",
    labels: Annotated[
        Labels | None, typer.Option(help="whose boxes; by default published, with --cut corners corrected")
    ] = None,
    cut: Annotated[Way, typer.Option(help="by the box, plainly, or rectified by the corners")] = "box",
    seen: Annotated[
        list[Path] | None, typer.Option(help="folders with a seen.txt; by default `reader` beside each bundle")
    ] = None,
    keep_seen: Annotated[bool, typer.Option("--keep-seen", help="keep pictures that a reader learnt from")] = False,
    readme: Annotated[Path | None, typer.Option(help="a page that shows it in brief between two marks")] = None,
    bootstrap: int = 1000,
) -> None:
    """Measures, prints, and writes the tables."""
    try:
        bundles = model or [SHIPPED / "export"]
        labels = cutting.whose(labels, cut)
        learnt = cutting.seen_by_readers(seen, bundles, keep_seen)
        chosen = cutting.choose(curated, source, split, labels, learnt, keep_seen)
        contenders = distinct(
            [
                *(one for folder in bundles for one in of_bundle(folder)),
                *(of_onnx(given, decoding, blank) for given in onnx or []),
                *(installed(of_tesseract) if tesseract else []),
                *(installed(of_rapidocr) if rapidocr else []),
            ]
        )
        measured = measure(contenders, cutting.cut_out(chosen.targets, images, cut), Bootstrap(bootstrap, 7))
        page = table(measured, introduction(chosen, source or "all sources", split, labels, cut))
        with replacing(out) as file:
            file.write(page)
        write_json(out.with_suffix(".json"), as_row(measured, chosen, source, split, labels, cut))
        if readme is not None:
            show(readme, BENCHMARK, brief(measured))
    except (ValueError, OSError) as error:
        raise SystemExit(f"{BENCHMARK}: {error}") from None
    print(page)


# The contenders


def of_bundle(folder: Path) -> list[Contender]:
    """The reader of a bundle, float and int8; BundleError where it cannot be opened."""
    bundle = Bundle.load(folder)
    prefix = "" if folder == SHIPPED / "export" else f"{folder}: "
    precisions: tuple[Precision, ...] = get_args(Precision)
    return [
        Contender(
            f"{prefix}reader ({bundle.reader.get('decoder', 'unnamed')}), {precision}",
            lambda threads, p=precision: NetworkReader(bundle, threads, p),  # type: ignore[misc]
            bundle.file("reader", precision)[0].stat().st_size / 1e6,
        )
        for precision in precisions
    ]


def of_onnx(given: str, decoding: Decoding, blank: Blank) -> Contender:
    """PATH or PATH:ALPHABET -> that reader, opened once so that one that is not known is told before the run."""
    name, _, alphabet = given.partition(":")
    path = Path(name)

    def opened(threads: int) -> Reader:
        return ForeignReader(path, alphabet or ALPHABET, threads, decoding, blank)

    opened(1)
    return Contender(path.stem, opened, path.stat().st_size / 1e6)


def of_tesseract() -> Contender:
    """Tesseract, with a process for each look at a plate; ReaderError where it is not installed."""
    TesseractReader(1)
    return Contender(TESSERACT, TesseractReader, _tesseract_megabytes(), FEW)


def _tesseract_megabytes() -> float | None:
    """What its English network weighs, where it says where that is."""
    said = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    folder = re.search(r'"(.+)"', said.stdout + said.stderr)
    file = Path(folder[1], "eng.traineddata") if folder else Path("eng.traineddata")
    return file.stat().st_size / 1e6 if file.is_file() else None


def of_rapidocr() -> Contender:
    """RapidOCR; ReaderError where its package is not installed."""
    from pipeline.readers.rapidocr import RapidOcrReader

    RapidOcrReader(1)
    return Contender(RAPIDOCR, RapidOcrReader, _rapidocr_megabytes(), FEW)


def _rapidocr_megabytes() -> float | None:
    """What its recognition network weighs, which comes with its package."""
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    folders = (package.submodule_search_locations if package else None) or []
    sizes = [file.stat().st_size for folder in folders for file in Path(folder).rglob("*_rec_*.onnx")]
    return sum(sizes) / 1e6 if sizes else None


def installed(make: Callable[[], Contender]) -> list[Contender]:
    """The contender, or none and a printed sentence where it is not installed."""
    try:
        return [make()]
    except ReaderError as error:
        print(f"{BENCHMARK}: left out: {error}")
        return []


def distinct(contenders: list[Contender]) -> list[Contender]:
    """The contenders as they are; ValueError where two have one name, by which their figures are kept."""
    names = [one.name for one in contenders]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two readers are called {name!r}: give each once, and rename one of two files of a name")
    return contenders


# The figures


def measure(contenders: Sequence[Contender], crops: Sequence[Crop], bootstrap: Bootstrap) -> list[Measured]:
    """Accuracy of each on every crop; time of all on the first ones, in turns."""
    found = {one.name: accuracy(one, crops, bootstrap) for one in contenders}
    timed = [crop.image for crop in crops[:TIMED]]
    batch = (timed * BATCH)[:BATCH]
    rounds = {one.name: one.rounds for one in contenders}
    alone: dict[str, dict[int, float]] = {one.name: {} for one in contenders}
    for threads in THREADS:
        opened = {one.name: one.open(threads) for one in contenders}
        for name, seconds in in_turns({n: _alone(r, timed) for n, r in opened.items()}, rounds).items():
            alone[name][threads] = 1000 * seconds / len(timed)
    # What was opened last has the most threads.
    together = in_turns({n: _together(r, batch) for n, r in opened.items()}, rounds)
    return [
        Measured(one.name, one.megabytes, found[one.name], alone[one.name], BATCH / together[one.name])
        for one in contenders
    ]


def _alone(reader: Reader, crops: Sequence[RGB]) -> Callable[[], object]:
    return lambda: [reader.read([crop]) for crop in crops]


def _together(reader: Reader, crops: Sequence[RGB]) -> Callable[[], object]:
    return lambda: reader.read(crops)


def accuracy(contender: Contender, crops: Sequence[Crop], bootstrap: Bootstrap) -> Row:
    """A contender's figures on all crops and on parts of them; every crop is read once."""
    results = outcomes(contender, crops)
    return {
        **_text(results, contender.name, bootstrap),
        "answers": metrics.answers(results, contender.name, bootstrap),
        "parts": {
            part: {
                value: _text([results[index] for index in members], contender.name, bootstrap)
                for value, members in groups.items()
            }
            for part, groups in parts(crops).items()
        },
        "confusions": [
            {"truth": truth, "read": read, "count": count}
            for (truth, read), count in sorted(
                metrics.confusions(results, contender.name).items(), key=lambda item: (-item[1], item[0])
            )
        ],
    }


def outcomes(contender: Contender, crops: Sequence[Crop]) -> list[Outcome]:
    """What the contender makes of each crop."""
    reader, name, results = contender.open(0), contender.name, []
    for start in track(range(0, len(crops), BATCH), description=name):
        own = crops[start : start + BATCH]
        for crop, reading in zip(own, reader.read([crop.image for crop in own]), strict=True):
            results.append(
                Outcome(
                    sample=crop.target.sample,
                    plate=crop.target.plate,
                    truth=crop.target.truth,
                    detection=None,
                    labelled={name: readable(reading.best)},
                    detected={},
                    readings={name: reading},
                )
            )
    return results


def _text(results: Sequence[Outcome], name: str, bootstrap: Bootstrap) -> Row:
    rows = [(o.sample.group, o.truth, o.labelled[name]) for o in results if o.truth]
    return metrics.text_metrics(rows, bootstrap, "no plate with a certain text")


def parts(crops: Sequence[Crop]) -> dict[str, dict[str, list[int]]]:
    """The crops' indices by region, rows and height, in the order of the page; parts without a crop are left out."""
    regions = [crop.target.plate.region for crop in crops]
    often = {region for region in regions if region and regions.count(region) >= LEAST_PLATES}
    shown = (*REGIONS, *sorted(often - {*REGIONS, UNKNOWN_REGION}))
    keys: dict[str, tuple[list[str], Callable[[Crop], str]]] = {
        "region": ([*shown, "other", "not stated"], lambda crop: _region(crop.target.plate.region, shown)),
        "rows": (list(ROWS.values()), lambda crop: ROWS[crop.target.plate.rows]),
        "height": (
            [name for _, name in HEIGHTS],
            lambda crop: next(name for high, name in HEIGHTS if crop.height < high),
        ),
    }
    table_: dict[str, dict[str, list[int]]] = {}
    for part, (values, key) in keys.items():
        found = [key(crop) for crop in crops]
        table_[part] = {value: [i for i, own in enumerate(found) if own == value] for value in values if value in found}
    return table_


def _region(region: str | None, shown: Sequence[str]) -> str:
    if region is None:
        return "not stated"
    return region if region in shown else "other"


def as_row(
    measured: Sequence[Measured], chosen: Chosen, source: str | None, split: str, labels: Labels, cut: Way
) -> Row:
    return {
        "source": source,
        "split": split,
        "labels": labels,
        "cut": cut,
        "plates": len(chosen.targets),
        "plates_learnt_from": {"count": chosen.learnt, "left_out": not chosen.keeps_learnt},
        "plates_without_published_box": chosen.unboxed,
        "readers": [
            {
                "name": one.name,
                "megabytes": one.megabytes,
                "milliseconds": {str(threads): value for threads, value in one.milliseconds.items()},
                "of_tesseract": share_of_tesseract(one, measured),
                "plates_a_second": one.plates_a_second,
                **one.accuracy,
            }
            for one in measured
        ],
    }


if __name__ == "__main__":
    typer.run(main)
