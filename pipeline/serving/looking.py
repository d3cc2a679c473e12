"""Pictures and videos through a recogniser, shared among threads, each answer a row; what the command line prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.images import RGB, encode_jpeg, encode_png
from pipeline.manifest import replacing
from pipeline.recognizer import cut
from pipeline.records import Detection
from pipeline.serving import inputs, rows
from pipeline.serving.inputs import Named
from pipeline.serving.ordered import in_order
from pipeline.serving.video import Video

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Looked:
    """A row, and for those who draw and cut the picture and its detections."""

    row: Row
    image: RGB | None = None
    detections: tuple[Detection, ...] = ()


Look = Callable[[str, RGB], Looked]
Watch = Callable[[str, Video], Iterator[Row]]


def workers(threads: int, several: bool) -> tuple[int, int]:
    """(pictures at a time, threads of each network): many pictures share the cores, one has them all."""
    cores = threads or os.cpu_count() or 1
    return (cores, 1) if several else (1, cores)


def looked(found: Iterable[Named], look: Look, watch: Watch, at_once: int) -> Iterator[Looked]:
    """An answer for every picture and the answers for every video, in order of the inputs.

    One that fails gets a row that says why, and the others go on.
    """
    for is_video, group in groupby(found, key=lambda one: one.is_video):
        if is_video:
            for one in group:
                yield from _watched(one, watch)
        else:
            yield from in_order(lambda one: _one(one, look), group, at_once)


def _watched(one: Named, watch: Watch) -> Iterator[Looked]:
    """What a video shows; where it breaks off, what was seen until then, and a row that says where it ended."""
    try:
        with Video(one.path or Path()) as video:
            for seen in watch(one.name, video):
                yield Looked(seen)
            if video.error:
                yield Looked({"video": one.name, "error": video.error})
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        yield Looked({"video": one.name, "error": str(error) or type(error).__name__})


def _one(one: Named, look: Look) -> Looked:
    read = inputs.load(one)
    if read.image is None:
        return Looked(rows.of_error(read.name, read.error))
    try:
        return look(read.name, read.image)
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        return Looked(rows.of_error(read.name, str(error) or type(error).__name__))


@dataclass
class Folder:
    """A folder to write pictures to, each under a name not yet used in this run."""

    path: Path
    _names: set[str] = field(default_factory=set)

    def write(self, stem: str, suffix: str, data: bytes, numbered: bool = False) -> str:
        """Writes beside and renames; returns the path. `numbered` names have a number from the first on."""
        number = 1
        while (name := f"{stem}-{number}{suffix}" if numbered or number > 1 else f"{stem}{suffix}") in self._names:
            number += 1
        self._names.add(name)
        with replacing(self.path / name, "wb") as file:
            file.write(data)
        return str(self.path / name)


def write_crops(folder: Folder, one: Looked) -> None:
    """Writes each plate as the readers see it, rectified, as PNG; its path goes into the plate's row."""
    if one.image is None:
        return
    stem = Path(one.row["image"]).stem
    for plate, detection in zip(one.row["plates"], one.detections, strict=True):
        crop = encode_png(cut(one.image, detection.box, detection.quad))
        plate["crop"] = folder.write(stem, ".png", crop, numbered=True)


def write_annotated(folder: Folder, one: Looked) -> None:
    """Writes the photo with its plates drawn on it, as JPEG; its path goes into the row."""
    if one.image is None:
        return
    from pipeline.serving.drawing import annotate

    drawn = encode_jpeg(annotate(one.image, one.row["plates"]))
    one.row["annotated"] = folder.write(Path(one.row["image"]).stem, ".jpg", drawn)
