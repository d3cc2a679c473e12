"""Pictures and videos through a recogniser, shared among threads, each answer a row; what the command line prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pipeline.images import RGB, Photo, encode_jpeg, encode_png
from pipeline.manifest import replacing
from pipeline.recognizer import ENOUGH, cut
from pipeline.records import Detection, Recognition
from pipeline.serving import inputs, rows
from pipeline.serving.inputs import Named
from pipeline.serving.ordered import in_order
from pipeline.serving.tracks import LEAST_SCORE, Track, Tracker
from pipeline.serving.video import Frame, Video

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Looked:
    """A row, and for those who draw and cut the picture and its detections."""

    row: Row
    photo: Photo | None = None
    detections: tuple[Detection, ...] = ()


Look = Callable[[str, Photo], Looked]
Watch = Callable[[str, Video], Iterator[Row]]
See = Callable[[RGB, float], list[Recognition]]
Seen = TypeVar("Seen")


def workers(threads: int, several: bool) -> tuple[int, int]:
    """(pictures at a time, threads of each network): many pictures share the cores, one has them all."""
    cores = threads or os.cpu_count() or 1
    return (cores, 1) if several else (1, cores)


def looked(
    found: Iterable[Named],
    look: Look,
    watch: Watch,
    at_once: int,
    done: Callable[[], None] = lambda: None,
    whole: bool = False,
) -> Generator[Looked, None, None]:
    """An answer for every picture and the answers for every video, in order of the inputs.

    One that fails gets a row that says why, and the others go on. `done` is called after each input's last answer.
    `whole` decodes pictures at their full size also where the networks need less.
    """
    for is_video, group in groupby(found, key=lambda one: one.is_video):
        if is_video:
            for one in group:
                yield from _watched(one, watch)
                done()
        else:
            for answer in in_order(lambda one: _one(one, look, whole), group, at_once):
                yield answer
                done()


def _watched(one: Named, watch: Watch) -> Iterator[Looked]:
    """What a video shows; where it breaks off, what was seen until then, and a row that says where it ended."""
    try:
        with Video(one.path or Path()) as video:
            for seen in watch(one.name, video):
                yield Looked(seen)
            if video.error:
                yield Looked({"video": one.name, "error": video.error})
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        yield Looked({"video": one.name, "error": one.why(error)})


def _one(one: Named, look: Look, whole: bool) -> Looked:
    read = inputs.load(one, None if whole else ENOUGH)
    if read.photo is None:
        return Looked(rows.of_error(read.name, read.error))
    try:
        return look(read.name, read.photo)
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        return Looked(rows.of_error(read.name, one.why(error)))


def recognizing(see: See, min_score: float) -> Look:
    """What is done with a photo whose plates are to be found and read."""

    def look(name: str, photo: Photo) -> Looked:
        recognitions = see(photo.pixels, min_score)
        detections = tuple(one.detection for one in recognitions)
        return Looked(rows.of_recognitions(name, photo, recognitions), photo, detections)

    return look


def tracked(
    frames: Iterable[Frame], see: See, min_score: float, min_text_score: float | None, at_once: int
) -> Iterator[Track]:
    """The plates of a video's frames, each as soon as it has left; `at_once` frames are looked at at a time.

    `see` gives the recognitions of a frame of at least a score, which for those that go on with a track is a lower one.
    """
    tracker = Tracker(min_score, min_text_score=min_text_score)
    least = min(LEAST_SCORE, min_score)
    for frame, found in seen(frames, lambda image: see(image, least), at_once):
        yield from tracker.update(frame.time, found)
    yield from tracker.finish()


def seen(frames: Iterable[Frame], see: Callable[[RGB], Seen], at_once: int) -> Iterator[tuple[Frame, Seen]]:
    """Each frame with what is seen in it, in their order; `at_once` are looked at at a time."""
    return in_order(lambda frame: (frame, see(frame.image)), frames, at_once)


@dataclass
class Folder:
    """A folder to write pictures to, each under a name not yet used in this run.

    The names are remembered: some 150 bytes for each picture that is written.
    """

    path: Path
    _names: set[str] = field(default_factory=set)
    _next: dict[str, int] = field(default_factory=dict)  # of stems that came again: many folders may have an image.jpg

    def write(self, stem: str, suffix: str, data: bytes, numbered: bool = False) -> str:
        """Writes beside and renames; returns the path. `numbered` names have a number from the first on."""
        number = first = self._next.get(stem, 1)
        while (name := f"{stem}-{number}{suffix}" if numbered or number > 1 else f"{stem}{suffix}") in self._names:
            number += 1
        self._names.add(name)
        if number > first:
            self._next[stem] = number + 1
        with replacing(self.path / name, "wb") as file:
            file.write(data)
        return str(self.path / name)


def write_crops(folder: Folder, one: Looked) -> None:
    """Writes each plate as the readers see it, rectified, as PNG; its path goes into the plate's row."""
    if one.photo is None:
        return
    stem = _stem(one)
    for plate, detection in zip(one.row["plates"], one.detections, strict=True):
        crop = encode_png(cut(one.photo.pixels, detection.box, detection.quad))
        plate["crop"] = folder.write(stem, ".png", crop, numbered=True)


def write_annotated(folder: Folder, one: Looked) -> None:
    """Writes the photo with its plates drawn on it, as JPEG; its path goes into the row."""
    if one.photo is None:
        return
    from pipeline.serving.drawing import annotate

    drawn = encode_jpeg(annotate(one.photo.pixels, one.row["plates"]))
    one.row["annotated"] = folder.write(_stem(one), ".jpg", drawn)


def _stem(one: Looked) -> str:
    """What files made of a picture are called by."""
    name = one.row["image"]
    return "stdin" if name == inputs.STDIN else Path(name).stem
