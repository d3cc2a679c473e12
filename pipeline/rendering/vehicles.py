"""Simple fronts and rears of cars, drawn flat: what plates hang on in rendered scenes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.rendering import wear
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.perspective import Corners, rectangle
from pipeline.rendering.wear import RGB

_PAINTS = (
    (228, 230, 232), (190, 194, 198), (120, 124, 128), (30, 32, 36), (14, 14, 16), (150, 22, 26), (190, 40, 30),
    (24, 44, 110), (40, 90, 160), (20, 70, 50), (196, 150, 40), (170, 160, 140), (90, 60, 46), (220, 120, 30),
)  # fmt: skip
_BADGES = ("XDRIVE", "TURBO", "2.0 TDI", "SPORT", "4x4", "GLX", "HYBRID", "LIMITED", "CROSS", "GT", "V6", "i20", "LE")
_BUMPER = ("BABY ON BOARD", "I LOVE NY", "HONK", "VOTE", "PEACE", "TAXI", "POLICE", "SCHOOL BUS", "CAUTION", "STUDENT")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A flat vehicle with its coverage, and the corners of the place for its plate."""

    picture: RGB
    alpha: NDArray[np.uint8]
    plate: Corners


class _Body:
    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng, self.w, self.h = rng, width, height
        self.picture: RGB = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)

    def fill(self, points: list[tuple[float, float]], colour: tuple[float, float, float], part: bool = False) -> None:
        """Fills a polygon of shares of the body's size; `part`: it belongs to the outline."""
        corners = np.round(np.array(points) * (self.w, self.h) * 16).astype(np.int32)
        cv2.fillPoly(self.picture, [corners], colour, cv2.LINE_AA, 4)
        if part:
            cv2.fillPoly(self.alpha, [corners], 255, cv2.LINE_AA, 4)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[float, float, float]) -> None:
        self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def pair(self, points: list[tuple[float, float]], colour: tuple[float, float, float], part: bool = False) -> None:
        self.fill(points, colour, part)
        self.fill([(1 - x, y) for x, y in points], colour, part)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: tuple[float, float, float]) -> None:
        centre, axes = (round(x * self.w), round(y * self.h)), (max(1, round(rx * self.w)), max(1, round(ry * self.h)))
        cv2.ellipse(self.picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    def line(self, y: float, colour: tuple[float, float, float], x0: float = 0.05, x1: float = 0.95) -> None:
        ends = (round(x0 * self.w), round(y * self.h)), (round(x1 * self.w), round(y * self.h))
        cv2.line(self.picture, *ends, colour, max(1, self.h // 140), cv2.LINE_AA)

    def words(self, book: FontBook, words: str, x: float, y: float, deep: float, colour: float) -> None:
        """Lettering with its top-left at (x, y), where it fits."""
        ink = book.caption(self.rng, words)
        d = max(2, round(deep * self.h))
        w = max(2, round(ink.shape[1] * d / ink.shape[0]))
        x0, y0 = round(x * self.w), round(y * self.h)
        if x0 < 0 or y0 < 0 or x0 + w > self.w or y0 + d > self.h:
            return
        share = cv2.resize(ink, (w, d), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
        target = self.picture[y0 : y0 + d, x0 : x0 + w]
        target[:] = (target + (colour - target) * share).astype(np.uint8)


def _grey(level: float) -> tuple[float, float, float]:
    return (level, level, level)


def draw_vehicle(rng: np.random.Generator, plate_width: int, plate_aspect: float, book: FontBook) -> Vehicle:
    """A front or a rear whose plate is `plate_width` pixels wide."""
    width = round(plate_width * rng.uniform(3.1, 4.6) * (plate_aspect / 4.5) ** -0.6)
    height = round(width * rng.uniform(0.62, 0.95))
    body = _Body(rng, width, height)
    rear = bool(rng.random() < 0.5)
    paint = np.clip(np.array(_PAINTS[int(rng.integers(len(_PAINTS)))]) + rng.normal(0, 10, 3), 4, 250)
    colour = (float(paint[0]), float(paint[1]), float(paint[2]))
    dark = (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)
    roof, belt = rng.uniform(0.02, 0.08), rng.uniform(0.36, 0.48)
    lean = rng.uniform(0.1, 0.2)
    body.pair([(0.03, 0.8), (0.16, 0.8), (0.16, 0.99), (0.04, 0.99)], _grey(rng.uniform(12, 34)), part=True)  # tyres
    outline = [
        (lean + 0.04, roof), (1 - lean - 0.04, roof), (1 - lean, roof + 0.03), (0.95, belt), (0.995, belt + 0.09),
        (0.985, 0.86), (0.94, 0.92), (0.06, 0.92), (0.015, 0.86), (0.005, belt + 0.09), (0.05, belt),
        (lean, roof + 0.03),
    ]  # fmt: skip
    body.fill(outline, colour, part=True)
    glass = rng.uniform(20, 90)
    body.fill(
        [(lean + 0.06, roof + 0.04), (1 - lean - 0.06, roof + 0.04), (0.9, belt - 0.02), (0.1, belt - 0.02)],
        (glass * 0.85, glass * 0.95, glass),
    )
    if rng.random() < 0.6:
        x = rng.uniform(0.2, 0.6)
        body.fill([(x, roof + 0.05), (x + 0.12, roof + 0.05), (x + 0.04, belt - 0.03), (x - 0.1, belt - 0.03)],
                  (glass + 40, glass + 46, glass + 50))  # fmt: skip
    _lights(body, belt, rear)
    bumper = rng.uniform(0.66, 0.72)
    body.box(0.01, bumper, 0.99, bumper + 0.01, dark)
    if rng.random() < 0.4:
        body.fill(
            [(0.02, bumper + 0.06), (0.98, bumper + 0.06), (0.95, 0.91), (0.05, 0.91)], _grey(rng.uniform(25, 70))
        )
    middle = rng.uniform(0.5, 0.64) if rear else rng.uniform(0.66, 0.8)
    if not rear:
        _grille(body, belt + 0.1, min(middle - 0.07, 0.64))
    body.disc(0.5, belt + 0.07, 0.025, 0.03, _grey(rng.uniform(150, 230)))
    body.line(belt + 0.02, dark)
    body.line(rng.uniform(0.84, 0.9), dark, 0.1, 0.9)
    if rng.random() < 0.5:
        x, y = rng.choice([0.08, 0.7]), rng.uniform(belt + 0.03, belt + 0.14)
        body.words(book, _BADGES[int(rng.integers(len(_BADGES)))], x, y, 0.035, 30 if paint.mean() > 120 else 215)
    if rng.random() < 0.2:
        x, y = rng.choice([0.14, 0.62]), rng.uniform(0.78, 0.84)
        body.box(x - 0.01, y - 0.01, x + 0.24, y + 0.055, _grey(rng.uniform(180, 250)))
        body.words(book, _BUMPER[int(rng.integers(len(_BUMPER)))], x, y + 0.005, 0.035, 30)
    share = plate_width / width
    tall = plate_width / plate_aspect / height
    middle = min(middle, 0.9 - tall / 2)
    x0, y0 = 0.5 - share / 2 + rng.normal(0, 0.004), middle - tall / 2
    grow = rng.uniform(0.06, 0.35)
    if rng.random() < 0.7:  # the recess, or the holder
        body.box(x0 - grow * 0.1, y0 - grow * 0.16, x0 + share + grow * 0.1, y0 + tall + grow * 0.16,
                 dark if rng.random() < 0.6 else _grey(rng.uniform(15, 60)))  # fmt: skip
    _shade(body)
    corners = rectangle(share * width, tall * height) + np.array([x0 * width, y0 * height])
    return Vehicle(body.picture, body.alpha, corners)


def _lights(body: _Body, belt: float, rear: bool) -> None:
    rng = body.rng
    top, deep, reach = belt + rng.uniform(0.04, 0.1), rng.uniform(0.08, 0.18), rng.uniform(0.12, 0.24)
    glow = rng.random() < 0.25
    if rear:
        red = (230.0, 60.0, 50.0) if glow else (150.0, 20.0, 24.0)
        body.pair([(0.02, top), (reach, top + 0.01), (reach - 0.03, top + deep), (0.03, top + deep)], red)
        body.pair([(0.05, top + 0.4 * deep), (reach - 0.05, top + 0.4 * deep), (reach - 0.06, top + 0.7 * deep),
                   (0.06, top + 0.7 * deep)], (226, 190, 160))  # fmt: skip
    else:
        body.pair([(0.03, top), (reach, top + 0.03), (reach - 0.02, top + deep), (0.05, top + 0.8 * deep)], _grey(60))
        level = 254 if glow else rng.uniform(150, 225)
        for x in (0.5 * reach + 0.02, 1 - 0.5 * reach - 0.02):
            body.disc(x, top + 0.5 * deep, 0.3 * reach, 0.34 * deep, (level, level, level * 0.96))


def _grille(body: _Body, top: float, bottom: float) -> None:
    rng = body.rng
    reach = rng.uniform(0.16, 0.26)
    if bottom - top < 0.03:
        return
    slope = rng.uniform(0, 0.04)
    body.fill([(0.5 - reach, top), (0.5 + reach, top), (0.5 + reach - slope, bottom), (0.5 - reach + slope, bottom)],
              _grey(rng.uniform(8, 40)))  # fmt: skip
    bright = _grey(rng.uniform(60, 210))
    count = int(rng.integers(2, 9))
    for step in range(1, count):
        if rng.random() < 0.75:
            body.line(top + (bottom - top) * step / count, bright, 0.5 - reach + slope, 0.5 + reach - slope)
        else:
            x = 0.5 - reach + 2 * reach * step / count
            body.box(x - 0.003, top, x + 0.003, bottom, bright)


def _shade(body: _Body) -> None:
    """Light from above: a slope from top to bottom, darker flanks, faint reflections."""
    rng, h, w = body.rng, body.h, body.w
    down = np.linspace(rng.uniform(1.0, 1.25), rng.uniform(0.6, 0.9), h, dtype=np.float32)[:, None]
    across = 1.0 - rng.uniform(0.05, 0.4) * np.abs(np.linspace(-1, 1, w, dtype=np.float32))[None, :] ** 3
    clouds = wear.smooth_field(rng, h, w, int(rng.integers(2, 6)), 0.85, 1.15)
    lit = body.picture * (down * across * clouds)[..., None]
    body.picture = np.clip(lit, 0, 255).astype(np.uint8)
