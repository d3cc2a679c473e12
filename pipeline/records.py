"""The nouns of the pipeline: frozen, and checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

UNKNOWN_REGION = "ZZ"  # ISO 3166's user-assigned code: a plate of no real syntax

Point = tuple[float, float]
Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in absolute pixels of the upright image, x1 < x2 and y1 < y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.x1, self.y1, self.x2, self.y2)):
            raise ValueError(f"box is not finite: {self.xyxy}")
        if self.x1 == self.x2:
            raise ValueError(f"box has zero width (x1 = x2 = {self.x1:g})")
        if self.y1 == self.y2:
            raise ValueError(f"box has zero height (y1 = y2 = {self.y1:g})")
        if self.x1 > self.x2 or self.y1 > self.y2:
            raise ValueError(f"box is inverted: {self.xyxy}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Quad:
    """Four corners in pixels, clockwise from the plate's own top-left."""

    tl: Point
    tr: Point
    br: Point
    bl: Point

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for point in self.points for v in point):
            raise ValueError(f"quad is not finite: {self.points}")

    @property
    def points(self) -> tuple[Point, Point, Point, Point]:
        return (self.tl, self.tr, self.br, self.bl)

    @property
    def box(self) -> Box:
        """The smallest axis-aligned box around the four corners."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return Box(min(xs), min(ys), max(xs), max(ys))

    @classmethod
    def of_box(cls, box: Box) -> Quad:
        return cls((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate as a person labelled it. `text` None means not transcribed; `legible` False, not readable."""

    box: Box
    quad: Quad | None = None
    text: str | None = None
    region: str | None = None
    rows: int | None = None
    legible: bool = True
    char_boxes: tuple[Box, ...] = ()
    vehicle: Box | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows not in (1, 2):
            raise ValueError(f"a plate has 1 or 2 rows of characters, not {self.rows}")
        if self.text == "":
            raise ValueError("an unread plate has text None, not an empty text")


@dataclass(frozen=True, slots=True)
class Sample:
    """One manifest row: an image and its true plates.

    `id` is the SHA-256 of the image's bytes, `image` a path relative to the manifest's folder.
    `group` never crosses a split; before curation it is the source's own (a video's track, or the id).
    `official_split` is the split that the source's authors published, where there is one.
    `kind` tells a photo (plates are to be found) from a crop (one plate fills it; for readers only).
    """

    id: str
    image: str
    width: int
    height: int
    plates: tuple[Plate, ...]
    source: str
    group: str
    split: Split | None = None
    official_split: Split | None = None
    kind: Literal["photo", "crop"] = "photo"

    def __post_init__(self) -> None:
        if len(self.id) != 64 or not set(self.id) <= set("0123456789abcdef"):
            raise ValueError(f"sample id is not a SHA-256: {self.id!r}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.image}: image of {self.width} x {self.height} pixels")
        for split in (self.split, self.official_split):
            if split not in (None, "train", "val", "test"):
                raise ValueError(f"{self.image}: {split!r} is not a split: train, val or test")
        if self.kind not in ("photo", "crop"):
            raise ValueError(f"{self.image}: a sample is a photo or a crop, not {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Detection:
    """A plate as a detector sees it. `score` in [0, 1]."""

    box: Box
    quad: Quad
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A plate as a reader reads it; an empty text is a no-read, of which `guess` keeps the best guess.

    `score` in [0, 1] is the probability that the text, or else the guess, is right; so is each character's.
    """

    text: str
    score: float
    char_scores: tuple[float, ...] = field(default=())
    region: str | None = None
    guess: str = ""

    def __post_init__(self) -> None:
        if self.text and self.guess:
            raise ValueError("a reading with a text keeps no guess beside it")
        if self.char_scores and len(self.char_scores) != len(self.best):
            raise ValueError(f"{len(self.char_scores)} scores for {len(self.best)} characters")

    @property
    def best(self) -> str:
        """The text, or the guess of a no-read: what accuracy is measured on."""
        return self.text or self.guess

    def answered_from(self, min_score: float) -> Reading:
        """The same reading as a text if it is at least so sure, else as a no-read with a guess."""
        sure = self.score >= min_score
        return replace(self, text=self.best if sure else "", guess="" if sure else self.best)


@dataclass(frozen=True, slots=True)
class Recognition:
    """A detection and what was read on it."""

    detection: Detection
    reading: Reading
