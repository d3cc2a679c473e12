"""A detector and a reader that others exported to ONNX, used together as `alpr recognize` uses ours.

python -m pipeline.benchmarks.pairs DETECTOR READER[:ALPHABET] PHOTO... prints a line of JSON for each photo: the same
work in a process of its own, so that its start and its memory can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from pipeline import images
from pipeline.benchmarks.foreign import ForeignDetector
from pipeline.benchmarks.foreign_reader import ALPHABET, Blank, Decoding, ForeignReader
from pipeline.images import RGB
from pipeline.records import Recognition
from pipeline.serving import looking, output
from pipeline.serving.inputs import Named
from pipeline.serving.looking import Look
from pipeline.serving.video import Video

MIN_SCORE = 0.25  # of a detection, as the YOLO family has it


class Recognizing(Protocol):
    """Finds and reads plates: for each image (H, W, 3), in order, its Recognitions, best detection first."""

    def recognize(self, images: list[RGB], min_score: float) -> list[list[Recognition]]: ...


class Pair:
    """Plates are cut out by their boxes, without a margin, as such readers were trained."""

    def __init__(self, detector: ForeignDetector, reader: ForeignReader) -> None:
        self._detector, self._reader = detector, reader

    @classmethod
    def load(
        cls, detector: Path, reader: str, threads: int, decoding: Decoding = "auto", blank: Blank = "last"
    ) -> Pair:
        """`reader` is PATH or PATH:ALPHABET. SessionError where one of the two is of no kind that is known."""
        path, alphabet = named_reader(reader)
        return cls(ForeignDetector(detector, threads), ForeignReader(path, alphabet, threads, decoding, blank))

    def recognize(self, images_: list[RGB], min_score: float = MIN_SCORE) -> list[list[Recognition]]:
        found = self._detector.detect(images_, min_score)
        crops = [images.crop(image, one.box) for image, own in zip(images_, found, strict=True) for one in own]
        readings = iter(self._reader.read(crops))
        return [[Recognition(one, next(readings)) for one in own] for own in found]


def named_reader(given: str) -> tuple[Path, str]:
    """PATH or PATH:ALPHABET -> both."""
    name, _, alphabet = given.partition(":")
    return Path(name), alphabet or ALPHABET


def looks(recognizer: Recognizing, min_score: float) -> Look:
    """What `alpr recognize` does with one decoded photo."""
    return looking.recognizing(lambda image, least: recognizer.recognize([image], least)[0], min_score)


def no_video(name: str, video: Video) -> Iterator[dict[str, Any]]:
    raise ValueError(f"{name}: videos are not measured")


def main(
    detector: Path,
    reader: Annotated[str, typer.Argument(metavar="READER[:ALPHABET]")],
    photos: list[Path],
    threads: int = 0,
    decoding: Decoding = "auto",
    blank: Blank = "last",
) -> None:
    """Prints a line of JSON for each photo."""
    at_once, each = looking.workers(threads, several=len(photos) > 1)
    pair = Pair.load(detector, reader, each, decoding, blank)
    out = output.writer("json", ())
    for one in looking.looked((Named(str(p), p) for p in photos), looks(pair, MIN_SCORE), no_video, at_once):
        out.write(one.row)


if __name__ == "__main__":
    typer.run(main)
