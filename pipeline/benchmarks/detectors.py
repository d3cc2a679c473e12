"""Measures detectors on the same pictures in one run: `make bench-detector`.

python -m pipeline.benchmarks.detectors --curated data/curated --images data/raw --out docs/bench-detector.md

Every bundle given (--model, by default the one that ships) stands with its large and its fast detector, float and int8;
any ONNX detector (--onnx) beside them. Accuracy is that on curate's test split, on the labels as corrected and on those
of the source; time is the median over the same photos, all detectors taking turns, so that figures may be compared
within a run and not between machines.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer
from rich.progress import track

from pipeline import metrics
from pipeline.benchmarks.foreign import ForeignDetector
from pipeline.benchmarks.pages import figure, heading, line, show, thread_count
from pipeline.benchmarks.timing import THREADS, in_turns
from pipeline.bundle import Bundle, Precision
from pipeline.checkpoints import SHIPPED
from pipeline.detectors.detector import Detector
from pipeline.images import RGB, read_image
from pipeline.manifest import read_manifest, replacing, write_json
from pipeline.metrics import Bootstrap, Case
from pipeline.records import Detection, Sample

FLOOR = 0.01  # AP looks at detections far below the working point
TIMED, BATCH = 12, 16  # photos that are timed, and in one call for throughput
HEIGHTS = ((0.0, 16.0), (16.0, 32.0), (32.0, float("inf")))  # pixels of a plate
BENCHMARK = "bench-detector"

Row = dict[str, Any]


class Finder(Protocol):
    def detect(self, images: Sequence[RGB], min_score: float) -> list[list[Detection]]: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector by name: how to open it with so many threads, and what its files weigh."""

    name: str
    open: Callable[[int], Finder]
    megabytes: float
    min_score: float = 0.4  # of the recall that is shown


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's figures, as they go to JSON and into the table."""

    name: str
    megabytes: float
    accuracy: Mapping[str, Row] = field(default_factory=dict)  # by labels: corrected, original
    milliseconds: Mapping[int, float] = field(default_factory=dict)  # a photo alone, by threads
    photos_a_second: Mapping[int, float] = field(default_factory=dict)  # sixteen in a call, by threads


def main(
    curated: Annotated[Path, typer.Option(help="the folder that curate writes")] = Path("data/curated"),
    images: Annotated[Path, typer.Option(help="the folder that the manifest's paths start from")] = Path("data/raw"),
    out: Annotated[Path, typer.Option(help="the table, as Markdown; figures beside it, as JSON")] = Path(
        "docs/bench-detector.md"
    ),
    model: Annotated[list[Path] | None, typer.Option(help="folders with a bundle.json")] = None,
    onnx: Annotated[list[Path] | None, typer.Option(help="other detectors, as ONNX")] = None,
    source: Annotated[str | None, typer.Option(help="only pictures of this source")] = None,
    split: Annotated[Literal["test", "all"], typer.Option(help="all: only for detectors that saw none of it")] = "test",
    readme: Annotated[Path | None, typer.Option(help="a page that shows it in brief between two marks")] = None,
    bootstrap: int = 1000,
) -> None:
    """Measures, prints, and writes the table."""
    try:
        labels = {
            "corrected": chosen(read_manifest(curated / "manifest.jsonl"), source, split),
            "original": chosen(read_manifest(curated / "original.jsonl"), source, split),
        }
        photos = {sample.id: read_image(images / sample.image) for sample in labels["corrected"]}
        contenders = [
            *(one for folder in model or [SHIPPED / "export"] for one in of_bundle(folder)),
            *(of_onnx(path) for path in onnx or []),
        ]
        if not photos:
            raise ValueError(f"no photo of {source or 'any source'} stands in the split {split} of {curated}")
        measured = measure(contenders, labels, photos, Bootstrap(bootstrap, 7))
    except (ValueError, OSError) as error:
        raise SystemExit(f"{BENCHMARK}: {error}") from None
    page = table(measured, source or "all sources", split, labels)
    with replacing(out) as file:
        file.write(page)
    write_json(out.with_suffix(".json"), [as_row(one) for one in measured])
    if readme is not None:
        show(readme, BENCHMARK, brief(measured))
    print(page)


def chosen(samples: Iterable[Sample], source: str | None, split: str) -> list[Sample]:
    return [
        sample
        for sample in samples
        if sample.kind == "photo" and source in (None, sample.source) and split in ("all", sample.split)
    ]


def of_bundle(folder: Path) -> list[Contender]:
    """The four detectors of a bundle: large and fast, float and int8, each with the refiner."""
    bundle = Bundle.load(folder)
    networks: tuple[Literal["detector", "fast"], ...] = ("detector", "fast")
    precisions: tuple[Precision, ...] = ("float", "int8")
    prefix = "" if folder == SHIPPED / "export" else f"{folder}: "
    return [
        Contender(
            f"{prefix}{network} ({_what(bundle.settings(network))}), {precision}",
            lambda threads, n=network, p=precision: Detector(bundle, threads, p, n),  # type: ignore[misc]
            sum(bundle.file(part, precision)[0].stat().st_size for part in (network, "refiner")) / 1e6,
        )
        for network in networks
        for precision in precisions
    ]


def _what(settings: Mapping[str, Any]) -> str:
    return f"{settings.get('backbone', 'unnamed')} at {settings.get('resolution')}"


def of_onnx(path: Path) -> Contender:
    return Contender(path.stem, lambda threads: ForeignDetector(path, threads), path.stat().st_size / 1e6, 0.25)


def measure(
    contenders: Sequence[Contender],
    labels: Mapping[str, Sequence[Sample]],
    photos: Mapping[str, RGB],
    bootstrap: Bootstrap,
) -> list[Measured]:
    """Accuracy of each on every photo; time of all on the first ones, in turns."""
    found = {one.name: accuracy(one, labels, photos, bootstrap) for one in contenders}
    timed = list(photos.values())[:TIMED]
    alone: dict[str, dict[int, float]] = {one.name: {} for one in contenders}
    many: dict[str, dict[int, float]] = {one.name: {} for one in contenders}
    for threads in THREADS:
        opened = {one.name: one.open(threads) for one in contenders}
        minimum = {one.name: one.min_score for one in contenders}
        single = in_turns({n: _alone(f, timed, minimum[n]) for n, f in opened.items()})
        batch = (timed * BATCH)[:BATCH]
        together = in_turns({n: _together(f, batch, minimum[n]) for n, f in opened.items()})
        for name in opened:
            alone[name][threads] = 1000 * single[name] / len(timed)
            many[name][threads] = BATCH / together[name]
    return [Measured(one.name, one.megabytes, found[one.name], alone[one.name], many[one.name]) for one in contenders]


def accuracy(
    contender: Contender,
    labels: Mapping[str, Sequence[Sample]],
    photos: Mapping[str, RGB],
    bootstrap: Bootstrap,
) -> dict[str, Row]:
    """The detection figures on each set of labels; every photo is looked at once."""
    finder = contender.open(0)
    found = {
        identity: tuple(finder.detect([photo], FLOOR)[0])
        for identity, photo in track(photos.items(), description=contender.name)
    }
    rows = {}
    for name, samples in labels.items():
        cases = [Case(sample, found[sample.id]) for sample in samples]
        ranking = metrics.rank(cases)
        parts = {_height(low, high): ranking.within(low, high) for low, high in HEIGHTS}
        rows[name] = {
            **metrics.detection_metrics(cases, contender.min_score, bootstrap),
            "plates": int(ranking.plates.sum()),
            "ap50_by_height": {
                height: metrics.section(
                    {"ap50": metrics.ap_estimate(part, [0], bootstrap)}, plates=int(part.plates.sum())
                )
                for height, part in parts.items()
            },
        }
    return rows


def _height(low: float, high: float) -> str:
    return f"{low:g} px and more" if high == float("inf") else f"{low:g} to {high:g} px"


def _alone(finder: Finder, photos: Sequence[RGB], min_score: float) -> Callable[[], object]:
    return lambda: [finder.detect([photo], min_score) for photo in photos]


def _together(finder: Finder, photos: Sequence[RGB], min_score: float) -> Callable[[], object]:
    return lambda: finder.detect(photos, min_score)


def as_row(one: Measured) -> Row:
    return {
        "name": one.name,
        "megabytes": one.megabytes,
        "milliseconds": {str(threads): value for threads, value in one.milliseconds.items()},
        "photos_a_second": {str(threads): value for threads, value in one.photos_a_second.items()},
        "accuracy": dict(one.accuracy),
    }


def table(measured: Sequence[Measured], source: str, split: str, labels: Mapping[str, Sequence[Sample]]) -> str:
    """The figures as a page of Markdown."""
    where = "all pictures" if split == "all" else "the grouped test split"
    count = len(labels["corrected"])
    lines = [f"{source}, {where}: {count} pictures. In brackets the 95 % interval over groups of pictures.", ""]
    for name, title in (("original", "Labels as published"), ("corrected", "Labels as corrected by eye")):
        plates = measured[0].accuracy[name]["plates"]
        heights = list(measured[0].accuracy[name]["ap50_by_height"])
        columns = ["detector", "AP50", "AP50-95", "recall, IoU 0.5", "recall, IoU 0.7", "corner error"]
        lines += [
            f"**{title}** ({plates} plates)",
            "",
            *heading([*columns, *(f"AP50, plates of {height}" for height in heights)]),
            *(_accuracy_line(one, one.accuracy[name], heights) for one in measured),
            "",
        ]
    lines += [
        f"**Time** ({platform.machine()}, ONNX Runtime; relative to the first row within this run)",
        "",
        *heading(
            [
                "detector",
                "MB",
                *(f"ms, {thread_count(n)}" for n in THREADS),
                "relative",
                *(f"photos/s in sixteens, {thread_count(n)}" for n in THREADS),
            ]
        ),
        *(_time_line(one, measured[0]) for one in measured),
    ]
    return "\n".join(lines) + "\n"


def brief(measured: Sequence[Measured]) -> str:
    """One line for each detector: what it finds on both sets of labels, and what it costs."""
    names = ["detector", "AP50", "AP50-95", "recall, IoU 0.7", "AP50 corrected", "corner error", "ms", "MB"]
    lines = heading(names)
    for one in measured:
        published, corrected = one.accuracy["original"], one.accuracy["corrected"]
        corners = corrected["corner_error"]["mean"]
        cells = [
            one.name,
            *(figure(published, name) for name in ("ap50", "ap50_95", "recall_70")),
            figure(corrected, "ap50"),
            "-" if corners is None else f"{corners:.3f}",
            f"{one.milliseconds[THREADS[0]]:.0f}",
            f"{one.megabytes:.1f}",
        ]
        lines.append(line(cells))
    return "\n".join(lines) + "\n"


def _accuracy_line(one: Measured, row: Row, heights: Sequence[str]) -> str:
    corners = row["corner_error"]["mean"]
    cells = [
        one.name,
        *(figure(row, name) for name in ("ap50", "ap50_95", "recall", "recall_70")),
        "-" if corners is None else f"{corners:.3f}",
        *(figure(row["ap50_by_height"][height], "ap50") for height in heights),
    ]
    return line(cells)


def _time_line(one: Measured, first: Measured) -> str:
    relative = one.milliseconds[THREADS[0]] / first.milliseconds[THREADS[0]]
    cells = [
        one.name,
        f"{one.megabytes:.1f}",
        *(f"{one.milliseconds[n]:.1f}" for n in THREADS),
        f"{relative:.2f}",
        *(f"{one.photos_a_second[n]:.0f}" for n in THREADS),
    ]
    return line(cells)


if __name__ == "__main__":
    typer.run(main)
