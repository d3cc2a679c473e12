"""evaluate: finds and reads every picture, and measures detection, OCR and both together on the test split.

python -m pipeline.stages.evaluate --models models/export --manifest data/curated/manifest.jsonl --images data/raw \
    --validation metrics/validation.json --curation metrics/curation.json \
    --out data/evaluated --metrics metrics/evaluation.json --report report --plots plots
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline import metrics as measures
from pipeline import params
from pipeline.bundle import Bundle, Network
from pipeline.curation import predictions
from pipeline.detectors.refining import Refiner
from pipeline.examination import (
    BATCH,
    FLOOR,
    certain_test_plates,
    detected,
    every_plate,
    labelled_crop,
    with_readings,
)
from pipeline.images import RGB, read_image
from pipeline.manifest import read_manifest, write_json, write_jsonl
from pipeline.metrics import Bootstrap, Case
from pipeline.readers.reader import Reader
from pipeline.readers.tesseract import TesseractReader
from pipeline.recognizer import Recognizer, cut
from pipeline.records import Box, Detection, Quad, Sample
from pipeline.report import attribution, page, plots, quality, reliability, tables
from pipeline.report.profile import profile
from pipeline.report.reliability import Scored
from pipeline.sessions import Session

Option = typer.Option()
Corners = Callable[[RGB, Box], Quad]  # a photo and a plate's true box -> the corners that are found there


def main(
    models: Annotated[Path, Option],
    manifest: Annotated[Path, Option],
    images: Annotated[Path, Option],
    out: Annotated[Path, Option],
    metrics: Annotated[Path, Option],
    report: Annotated[Path, Option],
    plots_: Annotated[Path, typer.Option("--plots")],
    validation: Annotated[Path | None, typer.Option(help="what validate counted, for the report")] = None,
    curation: Annotated[Path | None, typer.Option(help="what curate counted, for the report")] = None,
) -> None:
    try:
        settings = params.load()
        bundle = Bundle.load(models)
        recognizer = Recognizer.load(models)
        baselines = other_readers(settings.evaluate)
        upstream = read_upstream(validation=validation, curation=curation)
        samples = sorted(read_manifest(manifest), key=lambda sample: (sample.id, sample.image))
        corners = corner_finder(bundle)
        cases = examine(samples, images, recognizer, baselines, corners, settings.evaluate.min_score)
        fast = found_fast(samples, images, models)
    except (ValueError, OSError) as error:
        raise SystemExit(f"evaluate: {error}") from None
    bootstrap = Bootstrap(settings.evaluate.bootstrap, settings.seed)
    document = measure(cases, fast, ["network", *baselines], bundle, settings.evaluate.min_score, bootstrap)
    rows = (predictions.row(case.sample, case.detections, case.found["network"], case.labelled) for case in cases)
    write_jsonl(out / "predictions.jsonl", rows)
    write_json(out / "profile.json", profile(cases))
    plots.write(plots_, document, cases)
    page.write(
        report,
        document,
        cases,
        images,
        worst=settings.evaluate.worst,
        command=shlex.join(["python", "-m", "pipeline.stages.evaluate", *sys.argv[1:]]),
        model={name: bundle.settings(name) for name in get_args(Network)},
        upstream=upstream,
    )
    write_json(metrics, document)
    Console().print(summary(document))


def read_upstream(**paths: Path | None) -> dict[str, Any]:
    """What earlier stages counted, by the stage's name; ValueError names a file that is not JSON."""
    found: dict[str, Any] = {}
    for name, path in paths.items():
        if path is None:
            continue
        try:
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}; run the stage that writes it again") from None
    return found


def measure(
    cases: Sequence[Case],
    fast: Sequence[Case],
    readers: Sequence[str],
    bundle: Bundle,
    min_score: float,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """The document metrics/evaluation.json: all figures of the test split."""
    document = measures.evaluate(cases, readers, min_score, bootstrap)
    results, _ = measures.outcomes([case for case in cases if case.sample.split == "test"], min_score)
    threshold = bundle.reader.get("calibration", {}).get("threshold")
    return {
        **document,
        "detection_fast": measures.detection_metrics(fast, min_score, bootstrap),
        "attribution": attribution.measure(results, bootstrap),
        "calibration": reliability.measure(Scored.of(results), threshold, bootstrap),
    }


def other_readers(settings: params.Evaluate) -> dict[str, Reader]:
    """The readers to compare with, by name; ReaderError where one that is asked for is not installed."""
    readers: dict[str, Reader] = {}
    if settings.tesseract:
        readers["tesseract"] = TesseractReader()
    if settings.rapidocr:
        from pipeline.readers.rapidocr import RapidOcrReader

        readers["rapidocr"] = RapidOcrReader()
    return readers


def corner_finder(bundle: Bundle) -> Corners:
    """The bundle's refiner, shown a true box; where it sees no corners, the box's own."""
    path, digest = bundle.file("refiner", "float")
    refiner = Refiner(Session(path, 0, digest))

    def corners(image: RGB, box: Box) -> Quad:
        found = refiner.refine(image, [Detection(box, Quad.of_box(box), 1.0)], 0.0)
        return found[0].quad if found else Quad.of_box(box)

    return corners


def examine(
    samples: Sequence[Sample],
    images: Path,
    recognizer: Recognizer,
    others: Mapping[str, Reader],
    corners: Corners,
    min_score: float,
) -> list[Case]:
    """Detects in every photo, and reads every labelled plate and every detection of at least `min_score`.

    Tesseract is slow, so it reads only what the metrics compare: detections and certain texts of the test split.
    """
    cases: list[Case] = []
    for start in track(range(0, len(samples), BATCH), description="finding and reading"):
        batch = samples[start : start + BATCH]
        pictures = [read_image(images / sample.image) for sample in batch]
        found = detected(batch, pictures, recognizer.detector)
        found = with_readings(found, pictures, "network", recognizer.reader, min_score, every_plate)
        for name, reader in others.items():
            asked = certain_test_plates if name == "tesseract" else every_plate
            found = with_readings(found, pictures, name, reader, min_score, asked)
        found = with_placed(found, pictures, recognizer.reader, corners)
        cases += [with_quality(case, picture) for case, picture in zip(found, pictures, strict=True)]
    return cases


def found_fast(samples: Sequence[Sample], images: Path, models: Path) -> list[Case]:
    """What the small detector finds on the photos of the test split."""
    detector = Recognizer.load(models, fast=True).detector
    shown = [sample for sample in samples if sample.split == "test" and sample.kind == "photo"]
    return [
        Case(sample, tuple(detector.detect([read_image(images / sample.image)], FLOOR)[0]))
        for sample in track(shown, description="finding with the small detector")
    ]


def with_placed(cases: Sequence[Case], pictures: Sequence[RGB], reader: Reader, corners: Corners) -> list[Case]:
    """The test photos with a reading of each plate whose text is certain, cut at the corners found in its true box."""
    asked = [certain_test_plates(case) or [] if case.sample.kind == "photo" else [] for case in cases]
    crops = [
        cut(picture, box, corners(picture, box))
        for case, picture, plates in zip(cases, pictures, asked, strict=True)
        for box in (case.sample.plates[plate].box for plate in plates)
    ]
    readings = iter(reader.read(crops) if crops else [])
    return [
        replace(case, placed={plate: next(readings) for plate in plates})
        for case, plates in zip(cases, asked, strict=True)
    ]


def with_quality(case: Case, picture: RGB) -> Case:
    """The case with what its picture is like, and how sharp its plates are."""
    crops = (labelled_crop(case.sample, plate, picture) for plate in range(len(case.sample.plates)))
    sharpness = {plate: quality.plate_sharpness(crop) for plate, crop in enumerate(crops)}
    return replace(case, sharpness=sharpness, traits=quality.traits(picture))


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
        (f"exact match, {tables.READER_NAMES[reader]}, {place}", section, "exact", section["n"])
        for reader, place, section in tables.exact_rows(document)
    ]
    for label, section, name, count in rows:
        interval = tables.interval_text(section, name) or section["interval"][name].get("reason", "")
        table.add_row(label, tables.percent(section[name]), interval, str(count))
    return table


if __name__ == "__main__":
    typer.run(main)
