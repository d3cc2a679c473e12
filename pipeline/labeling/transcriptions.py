"""Turns a table of transcribed plates into corrections, where its pictures are in a source's manifest.

    python -m pipeline.labeling.transcriptions plate-text.csv --manifest data/raw/kaggle/manifest.jsonl \\
        --prefix kaggle --out data/labels/corrections.jsonl

Columns: image (stem), xmin, ymin, xmax, ymax, text, certain (0 or 1), rows, region, kind, text_a, text_b, note.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, cast

import typer

from pipeline import alphabet, manifest
from pipeline.labeling import corrections
from pipeline.labeling.corrections import CorrectedPlate, Correction, CorrectionError, Kind
from pipeline.records import Box, Plate, Sample

BY = "two independent readings"
WHY = "the source has boxes only"


def convert(rows: Iterable[Mapping[str, str]], samples: Sequence[Sample], prefix: str, when: str) -> list[Correction]:
    """One correction a picture of the table; `prefix` is the source's folder below data/raw.

    CorrectionError names a picture that the manifest does not have.
    """
    by_stem = {PurePosixPath(sample.image).stem: sample for sample in samples}
    plates: dict[str, list[CorrectedPlate]] = defaultdict(list)
    images: dict[str, str] = {}
    for row in rows:
        sample = by_stem.get(row["image"])
        if sample is None:
            raise CorrectionError(f"{row['image']}: no such picture in the manifest; pull the whole source first")
        plates[sample.id].append(_plate(row))
        images.setdefault(sample.id, f"{prefix}/{PurePosixPath(sample.image).with_stem(row['image'])}")
    return [
        Correction(identity, images[identity], tuple(own), complete=False, by=BY, when=when, why=WHY)
        for identity, own in sorted(plates.items())
    ]


def _plate(row: Mapping[str, str]) -> CorrectedPlate:
    certain = row["certain"] == "1"
    readings = () if certain else tuple(text for text in (row["text_a"], row["text_b"]) if text)
    plate = Plate(
        Box(*(float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))),
        text=alphabet.check(row["text"]) if certain else None,
        region=row["region"] or None,
        rows=int(row["rows"]) if row["rows"] else None,
    )
    return CorrectedPlate(plate, cast(Kind, row["kind"]), certain, readings)


def main(
    table: Path,
    manifest_: Annotated[Path, typer.Option("--manifest")],
    prefix: Annotated[str, typer.Option()],
    out: Annotated[Path, typer.Option()],
    when: Annotated[str, typer.Option(help="the day of the transcription")] = date.today().isoformat(),
) -> None:
    """Writes the corrections of a table of transcribed plates."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            made = convert(csv.DictReader(file), manifest.read_manifest(manifest_), prefix, when)
    except (CorrectionError, manifest.ManifestError) as error:
        raise SystemExit(str(error)) from None
    corrections.write(out, made)
    certain = sum(plate.certain for correction in made for plate in correction.plates)
    total = sum(len(correction.plates) for correction in made)
    print(f"{out}: {len(made)} pictures, {total} plates, {certain} of them certain")


if __name__ == "__main__":
    typer.run(main)
