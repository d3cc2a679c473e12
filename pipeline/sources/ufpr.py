"""UFPR-ALPR: 4,500 frames of 150 tracks, each frame with a vehicle, its plate, and the plate's characters.

    {training,validation,testing}/trackNNNN/trackNNNN[FF].png  and a .txt of the same stem:

    camera: GoPro Hero4 Silver                    (five files spell it ccamera:)
    position_vehicle: 750 316 314 275             x y w h
        type: car                                 and make, model, year
    plate: AYU0035                                older files: AYU-0035
    corners: 872,436 949,437 950,462 871,462      clockwise from top-left; older files: position_plate: x y w h
        char 1: 876 445 8 14                      x y w h

The data set may be used under a licence that its authors sign with a university or a company; it comes
from nowhere else: https://web.inf.ufpr.br/vri/databases/ufpr-alpr/
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from pipeline import alphabet
from pipeline.images import ImageError
from pipeline.params import Ufpr
from pipeline.records import Box, Plate, Quad, Sample, Split
from pipeline.sources.base import (
    Problem,
    Pulled,
    SourceError,
    Track,
    files_below,
    image_name,
    keep_picture,
    read_picture,
    silently,
)
from pipeline.sources.origin import local_folder

LICENCE_PAGE = "https://web.inf.ufpr.br/vri/databases/ufpr-alpr/"
SPLITS: dict[str, Split] = {"training": "train", "validation": "val", "testing": "test"}
MAX_TEXT_BYTES = 100_000


class UfprError(ValueError):
    """An annotation that cannot be used; the message names the file and the reason."""


def parse_ufpr(text: str, name: str) -> Plate:
    """An annotation of either version -> its plate: box, quad (newer version), text, characters, vehicle.

    Raises UfprError, which names the file and the line's key.
    """
    try:
        fields = _fields(text)
        numbered = sorted((int(key.removeprefix("char ")), key) for key in fields if re.fullmatch(r"char \d+", key))
        characters = [_xywh(fields[key], key) for _, key in numbered]
        quad = _corners(fields["corners"]) if "corners" in fields else None
        if quad is None and "position_plate" not in fields:
            raise ValueError("has neither corners nor position_plate")
        plate_text = alphabet.check(fields.get("plate", ""))
        if characters and len(characters) != len(plate_text):
            raise ValueError(f"plate of {len(plate_text)} characters, but boxes of {len(characters)}")
        return Plate(
            box=quad.box if quad else _xywh(fields["position_plate"], "position_plate"),
            quad=quad,
            text=plate_text,
            region="BR",
            rows=_rows(characters),
            char_boxes=tuple(characters),
            vehicle=_xywh(fields["position_vehicle"], "position_vehicle") if "position_vehicle" in fields else None,
        )
    except ValueError as error:
        raise UfprError(f"{name}: {error}") from None


def _fields(text: str) -> dict[str, str]:
    """`key: value` lines, however indented."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.strip().partition(":")
        if colon:
            fields[key.strip().lower()] = value.strip()
    return fields


def _numbers(value: str, count: int, key: str) -> list[float]:
    words = value.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{key}: {value[:60]!r} are not numbers") from None
    if len(numbers) != count:
        raise ValueError(f"{key}: {len(numbers)} numbers, expected {count}")
    return numbers


def _xywh(value: str, key: str) -> Box:
    x, y, width, height = _numbers(value, 4, key)
    try:
        return Box(x, y, x + width, y + height)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _corners(value: str) -> Quad:
    x1, y1, x2, y2, x3, y3, x4, y4 = _numbers(value, 8, "corners")
    quad = Quad((x1, y1), (x2, y2), (x3, y3), (x4, y4))
    try:
        _ = quad.box
    except ValueError as error:
        raise ValueError(f"corners: {error}") from None
    return quad


def _rows(characters: Sequence[Box]) -> int | None:
    """2 where the next character stands further left, as on a motorcycle's plate; None without characters."""
    middles = [(box.x1 + box.x2) / 2 for box in characters]
    return (2 if any(after < before for before, after in pairwise(middles)) else 1) if middles else None


def pull(settings: Ufpr, work: Path, out: Path, track: Track = silently) -> Pulled:
    """Every frame of every track; a track is a group.

    With `split: official` the authors' split is kept, and plates that stand in several of its parts are
    noted. With `split: grouped` tracks of one plate are one group, and curate splits anew.
    """
    if settings.origin is None:
        raise SourceError(
            "UFPR-ALPR needs a signed licence: the agreement is at "
            f"{LICENCE_PAGE}; send it signed, from a university's or company's address, to the authors named there. "
            "Then set ufpr.origin in params.yaml to the archive or folder that they send"
        )
    with local_folder(settings.origin, settings.sha256, work) as folder:
        frames, unpaired = _frames(folder)
        if not frames:
            raise SourceError(f"{folder}: no training/, validation/ or testing/ with tracks; see ufpr.origin")
        pulled = Pulled(problems=unpaired)
        for frame in track(frames, "Reading frames"):
            pulled.add(_read_frame(folder, frame, out))
    grouped = settings.split == "grouped"
    notes = _overlaps(pulled.samples, "one group now" if grouped else "ufpr.split: grouped keeps them apart")
    return Pulled(_grouped(pulled.samples) if grouped else pulled.samples, pulled.problems, notes)


@dataclass(frozen=True, slots=True)
class _Frame:
    image: str
    annotation: str
    kept: str
    track: str
    split: Split


def _frames(folder: Path) -> tuple[list[_Frame], list[Problem]]:
    """Frames with both files, and a Problem for each file without the other."""
    frames: list[_Frame] = []
    problems: list[Problem] = []
    stems: dict[str, set[str]] = defaultdict(set)
    for name in files_below(folder)[0]:
        path = PurePosixPath(name)
        if len(path.parts) >= 3 and path.parts[-3] in SPLITS and path.suffix in (".png", ".txt"):
            stems[str(path.with_suffix(""))].add(path.suffix)
    for stem, suffixes in stems.items():
        image, annotation = f"{stem}.png", f"{stem}.txt"
        if suffixes == {".png"}:
            problems.append(Problem("unpaired", f"{image}: image without annotation", image=image))
        elif suffixes == {".txt"}:
            problems.append(Problem("unpaired", f"{annotation}: annotation without image", annotation=annotation))
        else:
            split, track, _ = PurePosixPath(image).parts[-3:]
            kept = image_name("/".join(PurePosixPath(image).parts[-3:]))
            frames.append(_Frame(image, annotation, kept, track, SPLITS[split]))
    return frames, problems


def _read_frame(folder: Path, frame: _Frame, out: Path) -> Sample | Problem:
    try:
        data, header = read_picture(folder / frame.image)
        plate = parse_ufpr(_read_text(folder / frame.annotation), frame.annotation)
    except ImageError as error:
        return Problem("image", f"{frame.image}: {error}", frame.image, frame.annotation)
    except (UfprError, OSError) as error:
        return Problem("annotation", str(error), frame.image, frame.annotation)
    picture = keep_picture(data, header, out, frame.kept)
    width, height = header.size
    group = f"ufpr/{frame.track}"
    return Sample(picture.id, picture.image, width, height, (plate,), "ufpr", group, official_split=frame.split)


def _read_text(file: Path) -> str:
    with file.open("rb") as opened:
        data = opened.read(MAX_TEXT_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _tracks_of_plates(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Plate text -> the tracks (groups) it stands in, sorted."""
    tracks: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        for plate in sample.plates:
            if plate.text is not None:
                tracks[plate.text].add(sample.group)
    return {text: sorted(groups) for text, groups in tracks.items()}


def _overlaps(samples: Sequence[Sample], remedy: str) -> list[str]:
    """A note for each plate whose tracks stand in more than one part of the official split; texts are not told."""
    splits = {sample.group: str(sample.official_split) for sample in samples}
    notes = []
    for tracks in sorted(_tracks_of_plates(samples).values()):
        if len({splits[track] for track in tracks}) > 1:
            told = ", ".join(f"{track} ({splits[track]})" for track in tracks)
            notes.append(f"one plate in several parts of the official split: {told}; {remedy}")
    return notes


def _grouped(samples: Sequence[Sample]) -> list[Sample]:
    """Tracks that share a plate, directly or through others, become one group; the official split is dropped."""
    leader = {sample.group: sample.group for sample in samples}
    for tracks in _tracks_of_plates(samples).values():
        joined = {leader[track] for track in tracks}
        leader = {track: min(joined) if lead in joined else lead for track, lead in leader.items()}
    return [replace(sample, group=leader[sample.group], official_split=None) for sample in samples]
