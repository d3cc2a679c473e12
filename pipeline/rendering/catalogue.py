"""Which kinds of plate are drawn: the countries' files, weighted, and kinds that exist nowhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.records import UNKNOWN_REGION
from pipeline.rendering.layouts import CLEAR, COLOURS, LETTERS, Band, Colour, Layout, read_layouts

FOLDER = Path(__file__).parent / "regions"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The kinds of plate to draw from. A share `invented` of the plates are of a kind that exists nowhere."""

    layouts: tuple[Layout, ...]
    invented: float = 0.15

    @classmethod
    def shipped(cls) -> Catalogue:
        return _shipped()

    def without(self, regions: Collection[str]) -> Catalogue:
        """The same, but for some countries: what a reader that never saw them is trained on."""
        return Catalogue(tuple(layout for layout in self.layouts if layout.region not in regions), self.invented)

    def of(self, region: str) -> tuple[Layout, ...]:
        """One country's layouts; none where there is no file of it."""
        return tuple(layout for layout in self.layouts if layout.region == region)

    @property
    def regions(self) -> tuple[str, ...]:
        """The countries' codes, in order, and last the one of no country."""
        return (*sorted({layout.region for layout in self.layouts}), UNKNOWN_REGION)

    def choose(self, rng: np.random.Generator) -> Layout:
        """A layout as plates come: the common kinds more often."""
        if rng.random() < self.invented:
            return invented_layout(rng)
        return self.layouts[int(rng.choice(len(self.layouts), p=_shares(self.layouts)))]


@lru_cache(maxsize=8)
def _shares(layouts: tuple[Layout, ...]) -> NDArray[np.float64]:
    weights = np.array([layout.weight for layout in layouts])
    return np.asarray(weights / weights.sum())


@cache
def _shipped() -> Catalogue:
    return Catalogue(tuple(layout for path in sorted(FOLDER.glob("*.yaml")) for layout in read_layouts(path)))


def invented_layout(rng: np.random.Generator) -> Layout:
    """A kind of plate that exists nowhere."""
    two = bool(rng.random() < 0.3)
    dark = bool(rng.random() < 0.35)
    background = _random_colour(rng, 5, 95) if dark else _random_colour(rng, 150, 250)
    foreground = _random_colour(rng, 185, 255) if dark else _random_colour(rng, 0, 70)
    side: Any = str(rng.choice(["", "", "", "left", "both", "top", "right"])) if not two else ""
    captioned = bool(rng.random() < 0.3) and not two and side != "top"
    tall = rng.uniform(0.42, 0.56) if captioned or side == "top" else rng.uniform(0.55, 0.84)
    letters = "".join(rng.permutation(list(LETTERS))[:3])[: int(rng.integers(1, 4))]
    words = tuple("".join(rng.permutation(list(LETTERS))[: int(rng.integers(4, 12))]).title() for _ in range(3))
    kind: Any = str(rng.choice(["din", "fe", "wright", "die", "cn", "wide", "free", "free"]))
    across, down = (
        (rng.uniform(220, 380), rng.uniform(140, 210)) if two else (rng.uniform(280, 540), rng.uniform(95, 150))
    )
    return Layout(
        region=UNKNOWN_REGION,
        size=(float(across), float(down)),
        patterns=tuple(_random_pattern(rng, two) for _ in range(4)),
        paints=((background, foreground),),
        type=kind,
        char_height=float(rng.uniform(0.34, 0.46)) if two else float(tall),
        upper_height=float(rng.uniform(0.22, 0.4)) if two else 0.0,
        letters=LETTERS if rng.random() < 0.4 else CLEAR,
        border=float(rng.choice([0.0, 0.015, 0.025, 0.04])),
        band=Band(side=side, paint=(_random_colour(rng, 10, 130), COLOURS["white"]), texts=(letters,))
        if side
        else None,
        heads=words if captioned and rng.random() < 0.6 else (),
        feet=words if captioned else (),
        scenic=0.25,
        emblem=0.15,
        script="first" if side == "" and not two and rng.random() < 0.08 else "",
    )


def _random_pattern(rng: np.random.Generator, two: bool) -> str:
    """Groups of letters, of digits or of either, 3 to 10 characters in all."""
    rows = []
    for row in range(1 + two):
        left = int(rng.integers(2, 6)) if two else int(rng.integers(4, 10))
        if two and row == 1 and rng.random() < 0.25:
            left = 1
        groups = []
        while left > 0:
            size = min(left, int(rng.integers(1, 5)))
            groups.append(str(rng.choice(["A", "9", "A", "9", "X"])) * size)
            left -= size
        if not two and len(groups) > 1 and len(groups[0]) < 3 and rng.random() < 0.12:
            groups[0] = f"[{groups[0]}|{'A9'[int(rng.integers(2))] * len(groups[0])}]"
        rows.append(str(rng.choice(["", " ", " ", "-", ".", "*"])).join(groups))
    return "/".join(rows)


def _random_colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    """A colour of a luminance between low and high, grey as often as not."""
    level = float(rng.uniform(low, high))
    tint = rng.normal(0, 40, 3) * (rng.random() < 0.5)
    tint = tint - float(tint @ np.array([0.299, 0.587, 0.114]))
    red, green, blue = (int(v) for v in np.clip(level + tint, 0, 255))
    return red, green, blue
