"""What rectifying is worth: the same plates read from their corners, from their boxes, and as the recogniser does.

python -m pipeline.benchmarks.rectification --curated data/curated --images data/raw --out docs/bench-rectification.md

Every plate with a certain text is looked for by the detector; where it is found, its crop by the corners and its crop
by the box, both with the margin of `recognizer.cut`, go to the same reader; `recognizer.read_plates` takes the box
where it is not sure of the corners. A plate that is not found counts as wrong each time. Differences are paired: their
interval is over groups of pictures, each resampled with all its readings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import track

from pipeline import alphabet, metrics
from pipeline.benchmarks.detectors import chosen
from pipeline.benchmarks.pages import heading, line
from pipeline.checkpoints import SHIPPED
from pipeline.images import read_image
from pipeline.manifest import read_manifest, replacing
from pipeline.metrics import Bootstrap, Estimate
from pipeline.recognizer import MIN_SCORE, ReaderName, Recognizer, cut, read_plates
from pipeline.records import Detection, Plate, Sample
from pipeline.report.tables import READER_NAMES

LEANS = ((0.0, 4.0), (4.0, 10.0), (10.0, 90.0))  # degrees
FOUND = 0.5  # IoU of a plate with its detection


@dataclass(frozen=True, slots=True)
class Read:
    """A plate: how far it leans (degrees; None without corners), whether it was found, and read rightly each way."""

    group: str
    lean: float | None
    found: bool = False
    by_corners: bool = False
    by_box: bool = False
    by_both: bool = False


def main(
    curated: Annotated[Path, typer.Option(help="the folder that curate writes")] = Path("data/curated"),
    images: Annotated[Path, typer.Option(help="the folder that the manifest's paths start from")] = Path("data/raw"),
    out: Annotated[Path, typer.Option(help="the table, as Markdown")] = Path("docs/bench-rectification.md"),
    model: Annotated[Path, typer.Option(help="a folder with a bundle.json")] = SHIPPED / "export",
    source: Annotated[str | None, typer.Option(help="only pictures of this source")] = None,
    split: Annotated[Literal["test", "all"], typer.Option(help="all: only for networks that saw none of it")] = "test",
    reader: ReaderName = "network",
    bootstrap: int = 1000,
) -> None:
    """Reads, prints, and writes the table."""
    try:
        samples = chosen(read_manifest(curated / "manifest.jsonl"), source, split)
        reads = list(look(samples, images, Recognizer.load(model, reader=reader)))
        if not reads:
            raise ValueError(f"no plate of {source or 'any source'} with a certain text stands in the split {split}")
    except (ValueError, OSError) as error:
        raise SystemExit(f"rectification: {error}") from None
    page = table(reads, f"{source or 'all sources'}, split {split}", READER_NAMES[reader], Bootstrap(bootstrap, 7))
    with replacing(out) as file:
        file.write(page)
    print(page)


def look(samples: Sequence[Sample], images: Path, recognizer: Recognizer) -> Iterator[Read]:
    """Each plate with a certain text, read both ways where it is found."""
    for sample in track(samples, description="reading each plate twice"):
        plates = [plate for plate in sample.plates if metrics.certain_text(plate)]
        if not plates:
            continue
        image = read_image(images / sample.image)
        found = recognizer.detector.detect([image], MIN_SCORE)[0]
        for plate, detection in zip(plates, matched(plates, found), strict=True):
            if detection is None:
                yield Read(sample.group, lean(plate))
                continue
            crops = [cut(image, detection.box, detection.quad), cut(image, detection.box)]
            readings = [*recognizer.reader.read(crops), *read_plates(recognizer.reader, [(image, detection)])]
            right = [alphabet.readable(reading.best) == metrics.certain_text(plate) for reading in readings]
            yield Read(sample.group, lean(plate), True, *right)


def matched(plates: Sequence[Plate], found: Sequence[Detection]) -> list[Detection | None]:
    """The detection of each plate, or None."""
    plate_of = metrics.match(metrics.box_array(plates), metrics.box_array(found), FOUND)
    finder = {int(plate): detection for plate, detection in zip(plate_of, found, strict=True)}
    return [finder.get(index) for index in range(len(plates))]


def lean(plate: Plate) -> float | None:
    """Degrees, 0 to 90, between the plate's long sides and the horizon; None where its corners are not known."""
    if plate.quad is None:
        return None
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = plate.quad.points
    return math.degrees(abs(math.atan2(y2 - y1 + y3 - y4, abs(x2 - x1 + x3 - x4))))


def table(reads: Sequence[Read], data: str, reader: str, bootstrap: Bootstrap) -> str:
    """The page: all plates, then by how far they lean."""
    leaning = {f"leaning {low:g} to {high:g} degrees": within(low, high) for low, high in LEANS}
    rows = {"all": lambda read: True, **leaning}
    lines = [
        "# What rectifying is worth",
        "",
        f"Plates with a certain text of {data}, read by {reader}: found, and read exactly from the crop by its plain",
        "box, from the crop by the corners that the detector gives, and as the recogniser reads: by the corners, and",
        "where that is not sure by the box too, the surer one kept. Of all such plates: one that is not found is not",
        "read. In brackets the 95 % interval over groups of pictures; the gain over the plain box is paired.",
        "",
        *heading(("plates", "number", "found", "by box", "by corners", "as read", "corners, gain", "as read, gain")),
    ]
    for name, belongs in rows.items():
        if chosen_reads := [read for read in reads if belongs(read)]:
            lines.append(line((name, str(len(chosen_reads)), *figures(chosen_reads, bootstrap))))
    return "\n".join(lines) + "\n"


def within(low: float, high: float) -> Callable[[Read], bool]:
    return lambda read: read.lean is not None and low <= read.lean < high


def figures(reads: Iterable[Read], bootstrap: Bootstrap) -> list[str]:
    """Shares found and read rightly each way, and what the corners gain over the box."""
    every = list(reads)

    def share(value: Callable[[Read], float]) -> Estimate:
        return metrics.ratio(((read.group, value(read), 1) for read in every), bootstrap, "no plates")

    return [
        shown(share(lambda read: read.found)),
        shown(share(lambda read: read.by_box)),
        shown(share(lambda read: read.by_corners)),
        shown(share(lambda read: read.by_both)),
        shown(share(lambda read: read.by_corners - read.by_box), "+"),
        shown(share(lambda read: read.by_both - read.by_box), "+"),
    ]


def shown(estimate: Estimate, sign: str = "") -> str:
    interval = "" if estimate.low is None else f" [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
    return f"{estimate.value:{sign}.3f}{interval}"


if __name__ == "__main__":
    typer.run(main)
