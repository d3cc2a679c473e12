"""alpr: recognise licence plates from the command line. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from pipeline.serving import labels

if TYPE_CHECKING:
    from pipeline.images import RGB
    from pipeline.records import Detection

Row = dict[str, Any]
Loaded = TypeVar("Loaded")

SHIPPED = Path(__file__).parent.parent / "weights" / "export"

app = typer.Typer(
    help="Find and read licence plates in photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(labels.app, name="labels")

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Images, and folders of images.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON for each image, instead of a table.")]
MinScore = Annotated[float, typer.Option(min=0.0, max=1.0, help="Plates found with a lower score are left out.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the networks; 0: as many as there are cores.")]
ReaderName = Annotated[
    Literal["network", "tesseract", "rapidocr"],
    typer.Option("--reader", help="Who reads the plates; rapidocr: `make rapidocr` installs it."),
]
Region = Annotated[
    str | None,
    typer.Option(help="A country's code (IN, DE, US ...): 0 and O, 1 and I ... are told apart by what its plates say."),
]
MinTextScore = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Texts of our reader less sure than this are withheld; the best guess stays in --json.",
        show_default="the model's own, for 1 % wrong",
    ),
]
Fast = Annotated[bool, typer.Option("--fast", help="Find plates with the small detector: faster, misses more.")]
Model = Annotated[
    Path,
    typer.Option(
        help="A folder with a bundle.json, as the export stage writes it (models/export).",
        show_default="the model that ships",
    ),
]


@app.command()
def recognize(
    paths: Paths,
    as_json: AsJson = False,
    min_score: MinScore = 0.4,
    threads: Threads = 0,
    reader: ReaderName = "network",
    fast: Fast = False,
    region: Region = None,
    min_text_score: MinTextScore = None,
    model: Model = SHIPPED,
) -> None:
    """Find the plates of photos and read them."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import rows

    recognizer = loaded(
        lambda: Recognizer.load(
            model, threads=threads, reader=reader, fast=fast, region=region, min_text_score=min_text_score
        )
    )
    found = each(
        paths, lambda name, image: rows.of_recognitions(name, image, recognizer.recognize([image], min_score)[0])
    )
    finish(found, as_json, ["text", "text score", "score", "box"])


@app.command()
def detect(
    paths: Paths,
    crops: Annotated[Path | None, typer.Option(help="A folder to write each plate to, rectified.")] = None,
    as_json: AsJson = False,
    min_score: MinScore = 0.4,
    threads: Threads = 0,
    fast: Fast = False,
    model: Model = SHIPPED,
) -> None:
    """Find the plates of photos, without reading them."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import rows

    detector = loaded(lambda: Recognizer.load(model, threads=threads, fast=fast)).detector
    names: set[str] = set()

    def find(name: str, image: RGB) -> Row:
        detections = detector.detect([image], min_score)[0]
        row = rows.of_detections(name, image, detections)
        if crops is not None:
            for plate, detection in zip(row["plates"], detections, strict=True):
                plate["crop"] = write_crop(crops, names, name, image, detection)
        return row

    finish(each(paths, find), as_json, ["score", "box", *(["crop"] if crops else [])])


@app.command()
def read(
    paths: Annotated[
        list[Path], typer.Argument(metavar="CROP...", help="Images of one plate each.", show_default=False)
    ],
    as_json: AsJson = False,
    threads: Threads = 0,
    reader: ReaderName = "network",
    region: Region = None,
    min_text_score: MinTextScore = None,
    model: Model = SHIPPED,
) -> None:
    """Read images that each show one plate and nothing else."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import rows

    chosen = loaded(
        lambda: Recognizer.load(model, threads=threads, reader=reader, region=region, min_text_score=min_text_score)
    ).reader
    finish(
        each(paths, lambda name, image: rows.of_crop(name, image, chosen.read([image])[0])), as_json, ["text", "score"]
    )


@app.command()
def doctor() -> None:
    """Check what is installed and stored, and say what to do about what is not right."""
    from pipeline.serving.doctor import examine

    findings = examine(Path(), SHIPPED)
    for finding in findings:
        print(f"{'ok     ' if finding.good else 'PROBLEM'} {finding.subject}: {finding.says}")
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """A model, or its error as a sentence and exit code 2."""
    try:
        return load()
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"alpr: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def each(paths: Iterable[Path], work: Callable[[str, RGB], Row]) -> Iterator[Row]:
    """A row for every picture; one that fails gets a row that says why, and the others go on."""
    from pipeline.serving import inputs, rows

    for one in inputs.read_all(paths):
        if one.image is None:
            yield rows.of_error(one.name, one.error)
            continue
        try:
            yield work(one.name, one.image)
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            yield rows.of_error(one.name, str(error) or type(error).__name__)


def finish(found: Iterable[Row], as_json: bool, columns: list[str]) -> None:
    """Prints the rows, names those that failed on stderr, and ends with 1 if there were any."""
    kept, failed = [], False
    for row in found:
        if "error" in row:
            failed = True
            print(f"alpr: {row['image']}: {row['error']}".encode(errors="replace").decode(), file=sys.stderr)
        if as_json:
            print(json.dumps(row), flush=True)
        elif "error" not in row:
            kept.append(row)
    if kept:
        print_table(kept, columns)
    raise typer.Exit(1 if failed else 0)


def print_table(found: list[Row], columns: list[str]) -> None:
    """A line for each plate; a picture without one says so."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ["image", *columns]:
        table.add_column(heading, overflow="fold")
    for row in found:
        name = row["image"].encode(errors="replace").decode()
        plates = row.get("plates", [row])
        for plate in plates:
            table.add_row(Text(name), *(Text(cell(plate, column)) for column in columns))
        if not plates:
            table.add_row(Text(name), Text("no plate", style="dim"))
    console.print(table)


def cell(plate: Row, column: str) -> str:
    """A plate's value as text."""
    value = plate[column.replace(" ", "_")]
    if isinstance(value, list):
        return " ".join(f"{number:.0f}" for number in value)
    return f"{value:.2f}" if isinstance(value, float) else (value or "(not read)")


def write_crop(folder: Path, names: set[str], image_name: str, image: RGB, detection: Detection) -> str:
    """Writes a plate as the readers see it, as PNG, under a name not yet used in this run; returns its path."""
    from pipeline.images import encode_png
    from pipeline.recognizer import cut

    stem, number = Path(image_name).stem, 1
    while (name := f"{stem}-{number}.png") in names:
        number += 1
    names.add(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encode_png(cut(image, detection.box, detection.quad)))
    return str(folder / name)
