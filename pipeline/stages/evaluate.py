"""evaluate: finds and reads every picture, and measures detection, OCR and both together on the test split.

python -m pipeline.stages.evaluate --models models/export --manifest data/curated/manifest.jsonl --images data/raw \
    --out data/evaluated --metrics metrics/evaluation.json --report report --plots plots
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline import metrics as measures
from pipeline import params, report
from pipeline.bundle import Bundle, Network
from pipeline.curation import predictions
from pipeline.images import RGB, read_image
from pipeline.manifest import read_manifest, write_json, write_jsonl
from pipeline.metrics import Bootstrap, Case
from pipeline.readers.reader import Reader
from pipeline.readers.tesseract import TesseractReader
from pipeline.recognizer import Recognizer, cut, read_plates
from pipeline.records import Sample

FLOOR = 0.01  # AP looks at detections far below the working point
BATCH = 16  # pictures held in memory at once
Option = typer.Option()


def main(
    models: Annotated[Path, Option],
    manifest: Annotated[Path, Option],
    images: Annotated[Path, Option],
    out: Annotated[Path, Option],
    metrics: Annotated[Path, Option],
    report_: Annotated[Path, typer.Option("--report")],
    plots: Annotated[Path, Option],
) -> None:
    try:
        settings = params.load()
        bundle = Bundle.load(models)
        recognizer = Recognizer.load(models)
        baselines = other_readers(settings.evaluate)
        samples = sorted(read_manifest(manifest), key=lambda sample: (sample.id, sample.image))
        cases = examine(samples, images, recognizer, baselines, settings.evaluate.min_score)
        fast = found_fast(samples, images, models)
    except (ValueError, OSError) as error:
        raise SystemExit(f"evaluate: {error}") from None
    readers = ["network", *baselines]
    bootstrap = Bootstrap(settings.evaluate.bootstrap, settings.seed)
    document = measures.evaluate(cases, readers, settings.evaluate.min_score, bootstrap)
    document["detection_fast"] = measures.detection_metrics(fast, settings.evaluate.min_score, bootstrap)
    rows = (predictions.row(case.sample, case.detections, case.found["network"], case.labelled) for case in cases)
    write_jsonl(out / "predictions.jsonl", rows)
    report.write_plots(plots, document, cases)
    report.write(
        report_,
        document,
        cases,
        images,
        worst=settings.evaluate.worst,
        command=shlex.join(["python", "-m", "pipeline.stages.evaluate", *sys.argv[1:]]),
        model={name: bundle.settings(name) for name in get_args(Network)},
    )
    write_json(metrics, document)
    Console().print(summary(document))


def other_readers(settings: params.Evaluate) -> dict[str, Reader]:
    """The readers to compare with, by name; ReaderError where one that is asked for is not installed."""
    readers: dict[str, Reader] = {}
    if settings.tesseract:
        readers["tesseract"] = TesseractReader()
    if settings.rapidocr:
        from pipeline.readers.rapidocr import RapidOcrReader

        readers["rapidocr"] = RapidOcrReader()
    return readers


def examine(
    samples: Sequence[Sample], images: Path, recognizer: Recognizer, others: Mapping[str, Reader], min_score: float
) -> list[Case]:
    """Detects in every photo, and reads every labelled plate and every detection of at least `min_score`.

    Tesseract is slow, so it reads only what the metrics compare: detections and certain texts of the test split.
    """
    cases: list[Case] = []
    for start in track(range(0, len(samples), BATCH), description="finding and reading"):
        batch = samples[start : start + BATCH]
        pictures = [read_image(images / sample.image) for sample in batch]
        found = detect(batch, pictures, recognizer)
        found = with_readings(found, pictures, "network", recognizer.reader, min_score)
        for name, reader in others.items():
            found = with_readings(found, pictures, name, reader, min_score, test_only=name == "tesseract")
        cases += found
    return cases


def found_fast(samples: Sequence[Sample], images: Path, models: Path) -> list[Case]:
    """What the small detector finds on the photos of the test split."""
    detector = Recognizer.load(models, fast=True).detector
    shown = [sample for sample in samples if sample.split == "test" and sample.kind == "photo"]
    return [
        Case(sample, tuple(detector.detect([read_image(images / sample.image)], FLOOR)[0]))
        for sample in track(shown, description="finding with the small detector")
    ]


def detect(samples: Sequence[Sample], pictures: Sequence[RGB], recognizer: Recognizer) -> list[Case]:
    """A case for each sample; crops are not for the detector."""
    photos = [picture for sample, picture in zip(samples, pictures, strict=True) if sample.kind == "photo"]
    found = iter(recognizer.detector.detect(photos, FLOOR))
    return [Case(sample, tuple(next(found)) if sample.kind == "photo" else ()) for sample in samples]


def with_readings(
    cases: Sequence[Case],
    pictures: Sequence[RGB],
    name: str,
    reader: Reader,
    min_score: float,
    test_only: bool = False,
) -> list[Case]:
    """The cases with a reader's readings added; plates of many pictures are read together."""
    asked = [_plates_to_read(case, test_only) for case in cases]
    shown = [() if test_only and case.sample.split != "test" else case.confident(min_score) for case in cases]
    labelled_crops = [
        labelled_crop(case.sample, plate, picture)
        for case, picture, plates in zip(cases, pictures, asked, strict=True)
        for plate in plates
    ]
    found_plates = [
        (picture, detection) for picture, detections in zip(pictures, shown, strict=True) for detection in detections
    ]
    by_label = iter(reader.read(labelled_crops) if labelled_crops else [])
    by_detection = iter(read_plates(reader, found_plates))
    read = []
    for case, plates, detections in zip(cases, asked, shown, strict=True):
        labelled = {plate: next(by_label) for plate in plates}
        found = tuple(next(by_detection) for _ in detections)
        if test_only and case.sample.split != "test":
            read.append(case)
        else:
            read.append(replace(case, found={**case.found, name: found}, labelled={**case.labelled, name: labelled}))
    return read


def _plates_to_read(case: Case, test_only: bool) -> list[int]:
    if not test_only:
        return list(range(len(case.sample.plates)))
    if case.sample.split != "test":
        return []
    return [index for index, plate in enumerate(case.sample.plates) if measures.certain_text(plate)]


def labelled_crop(sample: Sample, plate: int, picture: RGB) -> RGB:
    """The true plate as a reader is shown it: by its corners where they are known; a crop sample as it is."""
    truth = sample.plates[plate]
    return picture if sample.kind == "crop" else cut(picture, truth.box, truth.quad)


def summary(document: Mapping[str, Any]) -> Table:
    """The figures that matter, as a table for the terminal."""
    data, detection = document["data"], document["detection"]
    title = f"test split: {data['photos']} photos, {data['plates']} plates, {data['crops']} crops"
    table = Table(title=title, title_justify="left")
    for heading in ("", "figure", "95 % interval", "plates"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    rows: list[tuple[str, Mapping[str, Any], str, int]] = [
        ("detection, AP50", detection, "ap50", data["plates"]),
        ("detection, AP50-95", detection, "ap50_95", data["plates"]),
        ("detection by the small detector, AP50", document["detection_fast"], "ap50", data["plates"]),
        (f"precision at score {detection['min_score']:g}", detection, "precision", detection["detections"]),
        (f"recall at score {detection['min_score']:g}", detection, "recall", data["plates"]),
    ]
    rows += [
        (f"exact match, {report.READER_NAMES[reader]}, {place}", section, "exact", section["n"])
        for reader, place, section in report.exact_rows(document)
    ]
    for label, section, name, count in rows:
        interval = report.interval_text(section, name) or section["interval"][name].get("reason", "")
        table.add_row(label, report.percent(section[name]), interval, str(count))
    return table


if __name__ == "__main__":
    typer.run(main)
