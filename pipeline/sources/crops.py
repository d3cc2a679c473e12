"""Plate crops for OCR: a folder with labels.csv, whose rows are image_path,plate_text[,plate_region].

A crop's plate fills its image. Crops are for the readers only; a detector never sees them.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline import alphabet
from pipeline.images import ImageError
from pipeline.params import Crops
from pipeline.records import Box, Plate, Sample
from pipeline.sources.base import (
    Problem,
    Pulled,
    SourceError,
    Track,
    files_below,
    image_name,
    inside,
    is_image,
    keep_picture,
    read_picture,
    silently,
)
from pipeline.sources.origin import local_folders

COLUMNS = ("image_path", "plate_text")


@dataclass(frozen=True, slots=True)
class _Row:
    where: str  # "labels.csv line 12"
    image: str
    text: str
    region: str | None


def pull(settings: Crops, work: Path, out: Path, track: Track = silently) -> Pulled:
    """Every row of every origin's CSV as a Sample of kind "crop", or as a Problem that names the row."""
    pulled = Pulled()
    for prefix, folder in local_folders(settings.origin, "crops.origin", work):
        labels, root = _find_labels(folder)
        rows = _read_rows(labels)
        times = Counter(row.image for row in rows)
        for row in track(rows, "Reading crops"):
            try:
                if times[row.image] > 1:
                    raise SourceError(f"{row.image!r} is named {times[row.image]} times")
                pulled.add(_read_crop(row, root, out, prefix))
            except FileNotFoundError:
                reason = f"{row.where}: annotation without image: {row.image} is not there"
                pulled.add(Problem("unpaired", reason, annotation=row.where))
            except ImageError as error:
                pulled.add(Problem("image", f"{row.where}: {row.image}: {error}", row.image, row.where))
            except (SourceError, alphabet.TextError, OSError) as error:
                pulled.add(Problem("annotation", f"{row.where}: {error}", row.image, row.where))
        for name in files_below(root)[0]:
            if is_image(name) and name not in times:
                pulled.add(Problem("unpaired", f"{name}: image without a row in {labels.name}", name))
    return pulled


def _find_labels(folder: Path) -> tuple[Path, Path]:
    """(the CSV, its folder): labels.csv, else the only .csv, in the folder or one level below."""
    for pattern in ("labels.csv", "*.csv", "*/labels.csv", "*/*.csv"):
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0], found[0].parent
    raise SourceError(f"{folder}: needs one labels.csv with the columns image_path,plate_text[,plate_region]")


def _read_rows(labels: Path) -> list[_Row]:
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if lacking:
                raise SourceError(f"{labels}: has no column {' and no '.join(lacking)}; its first line names them")
            return [_row(row, f"{labels.name} line {reader.line_num}") for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{labels}: not a CSV in UTF-8: {error}") from None


def _row(row: dict[str, str | None], where: str) -> _Row:
    path, text, region = ((row.get(name) or "").strip() for name in (*COLUMNS, "plate_region"))
    return _Row(where, str(PurePosixPath(path)) if path else "", text, region or None)


def _read_crop(row: _Row, root: Path, out: Path, prefix: str) -> Sample:
    if not row.image or not row.text:
        raise SourceError("image_path and plate_text must both be given")
    file = inside(root, row.image)
    text = alphabet.check(row.text)
    if not file.is_file():
        raise FileNotFoundError(file)
    data, header = read_picture(file)
    picture = keep_picture(data, header, out, image_name(row.image, prefix))
    width, height = header.size
    plate = Plate(Box(0, 0, width, height), text=text, region=row.region)
    return Sample(picture.id, picture.image, width, height, (plate,), "crops", picture.id, kind="crop")
