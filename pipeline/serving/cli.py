"""alpr: recognise licence plates from the command line. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from pipeline.serving import labels, promotion

if TYPE_CHECKING:
    from pipeline.images import RGB
    from pipeline.serving.inputs import Named
    from pipeline.serving.looking import Folder, Looked
    from pipeline.serving.output import Format
    from pipeline.serving.video import Video

Row = dict[str, Any]
Loaded = TypeVar("Loaded")
Item = TypeVar("Item")

SHIPPED = Path(__file__).parent.parent / "weights" / "export"
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it

app = typer.Typer(
    help="Find and read licence plates in photos and videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(labels.app, name="labels")

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Images, videos, folders, patterns ('*.jpg'); - for standard input: a picture, or names of files.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON for each image, instead of a table.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV, a line for each plate, instead of a table.")]
MinScore = Annotated[float, typer.Option(min=0.0, max=1.0, help="Plates found with a lower score are left out.")]
Threads = Annotated[int, typer.Option(min=0, help="Pictures at a time; 0: as many as there are cores.")]
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
Crops = Annotated[Path | None, typer.Option(help="A folder to write each plate to, rectified.")]
Drawn = Annotated[
    Path | None, typer.Option("--annotate", help="A folder to write the photos to, plates drawn on them.")
]
Every = Annotated[float, typer.Option(min=0.0, help="Seconds between the frames of a video that are seen; 0: all.")]
Model = Annotated[
    str,
    typer.Option(
        help="A folder with a bundle.json (models/export), or models:/NAME@ALIAS of MLflow; `alpr models` lists them.",
        show_default="the model that ships",
    ),
]


@app.command()
def recognize(
    paths: Paths,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    crops: Crops = None,
    annotate: Drawn = None,
    min_score: MinScore = 0.4,
    threads: Threads = 0,
    reader: ReaderName = "network",
    fast: Fast = False,
    region: Region = None,
    min_text_score: MinTextScore = None,
    every: Every = 0.2,
    model: Model = str(SHIPPED),
) -> None:
    """Find the plates of photos and read them; of videos, each plate once, with the time in which it was seen."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import looking, rows, tracks

    found, at_once, each = named(paths, threads)
    recognizer = loaded(
        lambda: Recognizer.load(
            bundle(model), threads=each, reader=reader, fast=fast, region=region, min_text_score=min_text_score
        )
    )

    def look(name: str, image: RGB) -> Looked:
        recognitions = recognizer.recognize([image], min_score)[0]
        detections = tuple(one.detection for one in recognitions)
        return looking.Looked(rows.of_recognitions(name, image, recognitions), image, detections)

    def watch(name: str, video: Video) -> Iterator[Row]:
        least = bundle_threshold(model) if min_text_score is None and reader == "network" else min_text_score
        for track in tracks.follow(video.frames(every), recognizer, min_score, least):
            yield tracks.row_of(name, track)

    columns = ["text", "text score", "score", "box"]
    finish(looking.looked(watched(found), look, watch, at_once), form(as_json, as_csv), columns, crops, annotate)


@app.command()
def detect(
    paths: Paths,
    crops: Crops = None,
    annotate: Drawn = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    min_score: MinScore = 0.4,
    threads: Threads = 0,
    fast: Fast = False,
    every: Every = 0.2,
    model: Model = str(SHIPPED),
) -> None:
    """Find the plates of photos and of a video's frames, without reading them."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import looking, rows

    found, at_once, each = named(paths, threads)
    detector = loaded(lambda: Recognizer.load(bundle(model), threads=each, fast=fast)).detector

    def look(name: str, image: RGB) -> Looked:
        detections = detector.detect([image], min_score)[0]
        return looking.Looked(rows.of_detections(name, image, detections), image, tuple(detections))

    def watch(name: str, video: Video) -> Iterator[Row]:
        for frame in video.frames(every):
            row = rows.of_detections(name, frame.image, detector.detect([frame.image], min_score)[0])
            yield {"video": row.pop("image"), "time": round(frame.time, 3), **row}

    columns = ["score", "box", *(["crop"] if crops else [])]
    finish(looking.looked(watched(found), look, watch, at_once), form(as_json, as_csv), columns, crops, annotate)


@app.command()
def read(
    paths: Annotated[
        list[str], typer.Argument(metavar="CROP...", help="Images of one plate each.", show_default=False)
    ],
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    threads: Threads = 0,
    reader: ReaderName = "network",
    region: Region = None,
    min_text_score: MinTextScore = None,
    model: Model = str(SHIPPED),
) -> None:
    """Read images that each show one plate and nothing else."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import looking, rows

    found, at_once, each = named(paths, threads)
    chosen = loaded(
        lambda: Recognizer.load(
            bundle(model), threads=each, reader=reader, region=region, min_text_score=min_text_score
        )
    ).reader

    def look(name: str, image: RGB) -> Looked:
        return looking.Looked(rows.of_crop(name, image, chosen.read([image])[0]))

    def watch(name: str, video: Video) -> Iterator[Row]:
        raise ValueError("a video is no picture of one plate; `alpr recognize` finds and reads the plates in it")

    finish(looking.looked(watched(found), look, watch, at_once), form(as_json, as_csv), ["text", "score"])


@app.command()
def redact(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="The folder to write to, with the folders below those that were named.")],
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Blurred from this score on; lower misses less.")
    ] = 0.2,
    threads: Threads = 0,
    fast: Fast = False,
    model: Model = str(SHIPPED),
) -> None:
    """Write photos and videos with their plates blurred, and without metadata."""
    from pipeline.recognizer import Recognizer
    from pipeline.serving import redaction

    found, _, each = named(paths, threads)
    detector = loaded(lambda: Recognizer.load(bundle(model), threads=each, fast=fast)).detector
    failed = False
    for one in watched(found):
        try:
            plates, written, ended = redaction.redact_to(out, one, detector, min_score)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            plates, written, ended = 0, "", str(error) or type(error).__name__
        if written:
            print(f"{written}: {plates} plates blurred", flush=True)
        if ended:
            failed = True
            complain(one.name, ended)
    raise typer.Exit(1 if failed else 0)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Others can reach it on 0.0.0.0, if ALPR_API_KEYS is set.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the networks; 0: one fewer than cores.")] = 0,
    patience: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds until an answer at most.", show_default="twice an idle one's")
    ] = None,
    show_texts: Annotated[bool, typer.Option(help="Write plates' texts to the log.")] = False,
    reader: ReaderName = "network",
    fast: Fast = False,
    model: Model = str(SHIPPED),
) -> None:
    """Answer over HTTP, with a page to drop a photo on."""
    import os

    from pipeline.recognizer import Recognizer
    from pipeline.serving import http
    from pipeline.serving.models import find

    def start() -> None:
        found = find(model)
        each = threads or max(1, (os.cpu_count() or 2) - 1)
        settings = http.Settings(
            host=host,
            port=port,
            api_keys=http.keys_of(os.environ),
            model=found.name,
            version=http.version_of(found.folder),
            patience=patience,
            show_texts=show_texts,
        )
        http.run(Recognizer.load(found.folder, threads=each, reader=reader, fast=fast), settings)

    loaded(start)


@app.command()
def models() -> None:
    """List the models that --model takes: the one that ships, this folder's own, and MLflow's versions."""
    from pipeline.serving.models import listed

    found = list(listed())
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        print(f"{'ok     ' if one.whole else 'PROBLEM'} {one.name:{width}}  {one.about}")
    raise typer.Exit(0 if all(one.whole for one in found) else 1)


@app.command()
def doctor() -> None:
    """Check what is installed and stored, and say what to do about what is not right."""
    from pipeline.serving.doctor import examine

    findings = examine(Path(), SHIPPED)
    for finding in findings:
        print(f"{'ok     ' if finding.good else 'PROBLEM'} {finding.subject}: {finding.says}")
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)


promotion.add(app)


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """A model, or its error as a sentence and exit code 2."""
    try:
        return load()
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"alpr: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def bundle(model: str) -> Path:
    """The folder of a model that is whole; of the one that ships each file is checked as it is opened."""
    if model == str(SHIPPED):
        return SHIPPED
    from pipeline.serving.models import find

    return find(model).folder


def bundle_threshold(model: str) -> float:
    """The score from which on the model's reader answers, chosen on validation."""
    from pipeline.bundle import Bundle
    from pipeline.calibration import Calibration

    return Calibration.of(Bundle.load(bundle(model)).reader["calibration"]).threshold


def form(as_json: bool, as_csv: bool) -> Format:
    """What to print; two forms at once are wrong usage."""
    if as_json and as_csv:
        raise typer.BadParameter("either --json or --csv")
    return "json" if as_json else "csv" if as_csv else "table"


def named(paths: Iterable[str], threads: int) -> tuple[Iterable[Named], int, int]:
    """What the paths name, how many pictures to look at at once, and with how many threads each network."""
    from itertools import chain, islice

    from pipeline.serving import inputs, looking

    found: Iterator[Named] = inputs.named(paths)
    first = list(islice(found, 2))
    at_once, each = looking.workers(threads, several=len(first) > 1)
    return chain(first, found), at_once, each


def watched(items: Iterable[Item]) -> Iterator[Item]:
    """The items, with a bar of progress on stderr where a person looks on; they are listed first to be counted."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    every = list(items)
    if len(every) < 2:
        yield from every
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.speed:.1f}/s"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(every)


def finish(
    found: Iterator[Looked], wanted: Format, columns: list[str], crops: Path | None = None, drawn: Path | None = None
) -> None:
    """Writes the rows, names those that failed on stderr, and ends with 1 if there were any, after Ctrl-C with 130."""
    from pipeline.serving import looking, output

    out = output.writer(wanted, columns)
    cut, painted = (None if path is None else looking.Folder(path) for path in (crops, drawn))
    failed = False
    try:
        for one in found:
            failed |= not told(one, cut, painted)
            out.write(one.row)
    except KeyboardInterrupt:
        print("alpr: interrupted; the lines above are whole", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read along, `head` say, has enough
        sys.stderr.close()
        raise typer.Exit(0) from None
    raise typer.Exit(1 if failed else 0)


def told(one: Looked, crops: Folder | None, drawn: Folder | None) -> bool:
    """Writes the pictures that were asked for; False for a row that is an error, which is named on stderr."""
    from pipeline.serving import looking

    if "error" not in one.row:
        try:
            if crops is not None:
                looking.write_crops(crops, one)
            if drawn is not None:
                looking.write_annotated(drawn, one)
            return True
        except OSError as error:
            one.row["error"] = f"its pictures cannot be written: {error.strerror or error}"
    complain(one.row.get("image", one.row.get("video")), one.row["error"])
    return False


def complain(name: object, error: str) -> None:
    """Names what failed, and why, on stderr."""
    print(f"alpr: {name}: {error}".encode(errors="replace").decode(), file=sys.stderr)
