"""Manifests: Samples as JSONL, sorted by id, written beside and renamed. Same samples, same bytes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.records import Box, Plate, Quad, Sample


class ManifestError(ValueError):
    """A manifest row that is not a Sample."""


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a temporary file beside `path`; it takes the place of `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder beside `path`; it takes the place of `path` only if the block succeeds.

    What a killed run left is cleared first, so two runs must not write the same folder at once: lock.
    """
    fresh, old = (path.parent / f".{path.name}.{state}" for state in ("new", "old"))
    if old.exists() and not path.exists():
        old.rename(path)
    for leftover in (fresh, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes one JSON object a line, keys in the given order."""
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Reads one JSON object a line; ManifestError names the line that is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}; run the stage that writes it") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8: {error}") from None
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also split at U+2028 inside a text
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path}: line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ManifestError(f"{path}: line {number} is not an object")
        rows.append(row)
    return rows


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON document with sorted keys, two spaces deep."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def plate_to_row(plate: Plate) -> dict[str, Any]:
    """A Plate as JSON; what is unknown is left out."""
    row: dict[str, Any] = {"box": list(plate.box.xyxy)}
    if plate.quad is not None:
        row["quad"] = [list(point) for point in plate.quad.points]
    for name in ("text", "region", "rows"):
        if (value := getattr(plate, name)) is not None:
            row[name] = value
    if not plate.legible:
        row["legible"] = False
    if plate.char_boxes:
        row["char_boxes"] = [list(box.xyxy) for box in plate.char_boxes]
    if plate.vehicle is not None:
        row["vehicle"] = list(plate.vehicle.xyxy)
    return row


def plate_from_row(row: dict[str, Any]) -> Plate:
    """The inverse of plate_to_row; ValueError says what is wrong with the box, quad or text."""
    quad = row.get("quad")
    vehicle = row.get("vehicle")
    return Plate(
        box=Box(*row["box"]),
        quad=Quad(*((float(x), float(y)) for x, y in quad)) if quad else None,
        text=row.get("text"),
        region=row.get("region"),
        rows=row.get("rows"),
        legible=row.get("legible", True),
        char_boxes=tuple(Box(*box) for box in row.get("char_boxes", ())),
        vehicle=Box(*vehicle) if vehicle else None,
    )


def sample_to_row(sample: Sample) -> dict[str, Any]:
    """A Sample as JSON."""
    row: dict[str, Any] = {
        "id": sample.id,
        "image": sample.image,
        "width": sample.width,
        "height": sample.height,
        "plates": [plate_to_row(plate) for plate in sample.plates],
        "source": sample.source,
        "group": sample.group,
    }
    for name in ("split", "official_split"):
        if (value := getattr(sample, name)) is not None:
            row[name] = value
    if sample.kind != "photo":
        row["kind"] = sample.kind
    return row


def sample_from_row(row: dict[str, Any]) -> Sample:
    """The inverse of sample_to_row; ValueError, TypeError or KeyError where a field is wrong or missing."""
    if not isinstance(row["plates"], list) or not all(isinstance(plate, dict) for plate in row["plates"]):
        raise ValueError("its plates are not a list of objects")
    return Sample(**{**row, "plates": tuple(plate_from_row(plate) for plate in row["plates"])})


def write_manifest(path: Path, samples: Iterable[Sample]) -> None:
    """Writes samples sorted by id, then by image (byte-identical files share an id)."""
    ordered = sorted(samples, key=lambda sample: (sample.id, sample.image))
    write_jsonl(path, (sample_to_row(sample) for sample in ordered))


def read_manifest(path: Path) -> list[Sample]:
    """Reads a manifest; ManifestError names the file and row of what is not a Sample."""
    samples = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            samples.append(sample_from_row(row))
        except KeyError as error:
            raise ManifestError(f"{path}: row {number}: {error} is missing") from None
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{path}: row {number}: {error}") from None
    return samples
