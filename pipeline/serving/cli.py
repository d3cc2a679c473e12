"""alpr: recognise licence plates from the command line. Heavy imports wait until a command needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.serving import labels, promotion, running

if TYPE_CHECKING:
    from pipeline.images import RGB, Photo
    from pipeline.records import Detection, Recognition
    from pipeline.serving.looking import Looked
    from pipeline.serving.video import Video

Row = dict[str, Any]

SHIPPED = Path(__file__).parent.parent / "weights" / "export"

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
Threads = Annotated[int, typer.Option(min=0, help="Pictures or frames at a time; 0: as many as there are cores.")]
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
        help="Texts of our reader less sure than this are withheld; the best guess has a question mark.",
        show_default="the model's own, for 1 % wrong",
    ),
]
Fast = Annotated[bool, typer.Option("--fast", help="Find plates with the small detector: faster, misses more.")]
Crops = Annotated[Path | None, typer.Option(help="A folder to write each plate of photos to, rectified.")]
Drawn = Annotated[Path | None, typer.Option("--annotate", help="A folder to write photos to, plates drawn on them.")]
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
    from pipeline.serving import looking, models, tracks

    form, work = running.form(as_json, as_csv), running.begun(paths, threads)
    options: Any = {"reader": reader, "fast": fast, "region": region, "min_text_score": min_text_score}
    folder = running.loaded(lambda: models.folder_of(model))
    recognizer = running.loaded(lambda: Recognizer.load(folder, threads=work.each, **options))

    def see(image: RGB, least: float) -> list[Recognition]:
        return recognizer.recognize([image], least)[0]

    def watch(name: str, video: Video) -> Iterator[Row]:
        given_from = min_text_score
        if given_from is None and reader == "network":
            given_from = models.least_text_score(folder)
        frames = work.bars.frames(name, video, every)
        for track in looking.tracked(frames, see, min_score, given_from, work.at_once):
            yield tracks.row_of(name, track)

    look = looking.recognizing(see, min_score)
    running.print_rows(work, look, watch, form, ["text", "text score", "score", "box"], crops, annotate)


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
    from pipeline.images import Photo
    from pipeline.recognizer import Recognizer
    from pipeline.serving import looking, models, rows

    form, work = running.form(as_json, as_csv), running.begun(paths, threads)
    folder = running.loaded(lambda: models.folder_of(model))
    detector = running.loaded(lambda: Recognizer.load(folder, threads=work.each, fast=fast)).detector

    def see(image: RGB) -> list[Detection]:
        return detector.detect([image], min_score)[0]

    def look(name: str, photo: Photo) -> Looked:
        detections = see(photo.pixels)
        return looking.Looked(rows.of_detections(name, photo, detections), photo, tuple(detections))

    def watch(name: str, video: Video) -> Iterator[Row]:
        frames = work.bars.frames(name, video, every)
        for frame, found in looking.seen(frames, see, work.at_once):
            row = rows.of_detections(name, Photo.of(frame.image), found)
            yield {"video": row.pop("image"), "time": round(frame.time, 3), **row}

    running.print_rows(work, look, watch, form, ["score", "box"], crops, annotate)


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
    from pipeline.serving import looking, models, rows

    form, work = running.form(as_json, as_csv), running.begun(paths, threads)
    options: Any = {"reader": reader, "region": region, "min_text_score": min_text_score}
    folder = running.loaded(lambda: models.folder_of(model))
    chosen = running.loaded(lambda: Recognizer.load(folder, threads=work.each, **options)).reader

    def look(name: str, photo: Photo) -> Looked:
        return looking.Looked(rows.of_crop(name, photo, chosen.read([photo.pixels])[0]))

    def watch(name: str, video: Video) -> Iterator[Row]:
        raise ValueError("a video is no picture of one plate; `alpr recognize` finds and reads the plates in it")

    running.print_rows(work, look, watch, form, ["text", "score"])


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
    from pipeline.serving import models, redacted_files

    work = running.begun(paths, threads)
    folder = running.loaded(lambda: models.folder_of(model))
    detector = running.loaded(lambda: Recognizer.load(folder, threads=work.each, fast=fast)).detector
    written = redacted_files.written(work.found, out, detector, min_score, work.at_once, work.bars)
    running.print_written(written, work.bars)


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
    from pipeline.serving import api_keys, http, models

    found = running.loaded(lambda: models.find(model))
    each = threads or max(1, (os.cpu_count() or 2) - 1)
    settings = running.loaded(
        lambda: http.Settings(
            host=host,
            port=port,
            api_keys=api_keys.keys_of(os.environ),
            model=found.name,
            version=http.version_of(found.folder),
            patience=patience,
            show_texts=show_texts,
        )
    )
    recognizer = running.loaded(lambda: Recognizer.load(found.folder, threads=each, reader=reader, fast=fast))
    try:
        http.run(recognizer, settings)
    except ValueError as error:
        running.refuse(str(error))


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
