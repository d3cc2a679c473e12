"""Rendered plates: flat and clean (`render_plate`), and as a detector would cut them from a photo (`render_crop`).

The same generator state gives the same pixels. Small lettering, bands, stickers, hyphens, bullets and seals are drawn
but are no part of a plate's text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, normalise
from pipeline.records import Box
from pipeline.rendering import layouts, wear
from pipeline.rendering.fonts import Face, FontBook
from pipeline.rendering.layouts import Colour, Layout
from pipeline.rendering.perspective import Corners, homography, rectangle, turned_quad
from pipeline.rendering.strokes import HEIGHT, Mask
from pipeline.rendering.wear import RGB

Canvas = NDArray[np.float32]  # (h, w, 3) RGB 0..255

MIN_CHAR_HEIGHT = 8.0  # pixels in the photo, of a character that a person can still read
_LEAST_CONTRAST = 38.0  # grey levels between ground and ink that a crop keeps
_SEPARATORS = {" ": 0.42, "-": 0.42, ".": 0.34, "*": 0.62}  # widths, as shares of the characters' height


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class RenderedPlate:
    """A flat plate. `char_boxes` are in reading order; `tones` the greys 0..255 of its ground and of its ink."""

    image: RGB
    text: str
    region: str
    rows: int
    char_boxes: tuple[Box, ...]
    tones: tuple[float, float]

    @property
    def char_height(self) -> float:
        """Pixels of the smallest row's characters."""
        return min(box.height for box in self.char_boxes)

    @property
    def detail(self) -> float:
        """Pixels by which to judge what the characters can bear: their height, less where they are squeezed."""
        widths = sorted(box.width for box in self.char_boxes)
        return min(self.char_height, 1.9 * widths[(2 * len(widths)) // 3])


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a plate's characters are set: shares of their height."""

    face: Face
    stretch: float
    tracking: float
    spread: bool
    shift: float


def render_plate(
    rng: np.random.Generator,
    layout: Layout | None = None,
    text: str | None = None,
    height: int = 128,
    fonts: FontBook | None = None,
) -> RenderedPlate:
    """A clean plate, `height` pixels high. `text` may hold separators (' ', '-', '.', '*') and '/' between two rows.

    ValueError for a text that has no character of the alphabet, or one outside it.
    """
    book = fonts or FontBook.reproducible()
    layout = layout or layouts.choose(rng)
    shown = layouts.random_text(layout, rng) if text is None else _arranged(text.upper(), layout)
    plain = normalise(shown)
    if not plain or not set(shown) <= {*CHARACTERS, *_SEPARATORS, "/"}:
        raise ValueError(f"a plate cannot show {text!r}: only A-Z and 0-9, and ' -.*/' between them")
    easel = _Easel(rng, layout, book, height)
    easel.furnish()
    easel.write(shown)
    easel.finish()
    region = layout.region if layout.fits(plain) else layouts.UNKNOWN_REGION
    image = np.clip(easel.image, 0, 255, out=easel.image).astype(np.uint8)
    return RenderedPlate(image, plain, region, shown.count("/") + 1, tuple(easel.char_boxes), easel.tones)


def _arranged(text: str, layout: Layout) -> str:
    """A given text with a row break where the layout has two rows."""
    if layout.rows == 1:
        return text.replace("/", " ")
    if "/" in text:
        return text
    half = (len(text) + 1) // 2
    return f"{text[:half]}/{text[half:]}" if len(text) > 1 else text


def _grey(colour: Colour | NDArray[np.float32]) -> float:
    return float(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])


def _jittered(rng: np.random.Generator, colour: Colour) -> NDArray[np.float32]:
    """A colour a little lighter or darker, and hardly another hue."""
    return np.clip(np.asarray(colour) + rng.normal(0, 9) + rng.normal(0, 3, 3), 0, 255).astype(np.float32)


class _Easel:
    """One plate while it is painted, in float RGB."""

    def __init__(self, rng: np.random.Generator, layout: Layout, book: FontBook, height: int) -> None:
        self.rng, self.layout, self.book = rng, layout, book
        self.height = height
        self.width = max(height, round(height * layout.aspect * rng.uniform(0.96, 1.04)))
        ground, ink = layout.paints[int(rng.integers(len(layout.paints)))]
        self.ground = _jittered(rng, ground)
        self.ink = _jittered(rng, ink)
        self.tones = (_grey(self.ground), _grey(self.ink))
        self.image: Canvas = np.empty((height, self.width, 3), np.float32)
        self.image[:] = self.ground
        self.mask: Mask = np.zeros((height, self.width), np.uint8)
        self.char_boxes: list[Box] = []
        self.left, self.right = 0.035 * height, self.width - 0.035 * height
        self.top, self.bottom = 0.0, float(height)

    # what stands around the characters

    def furnish(self) -> None:
        rng, layout = self.rng, self.layout
        if rng.random() < layout.scenic:
            self._scenery()
        if layout.border and rng.random() < 0.9:
            self._border()
        if layout.band:
            self._bands()
        if layout.heads or layout.feet:
            self._captions()

    def _scenery(self) -> None:
        """A picture or gradient, kept faint where the characters stand."""
        rng = self.rng
        rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 8))
        patches = self.ground + rng.normal(0, 34, (rows, columns, 3)).astype(np.float32)
        if rng.random() < 0.5:  # bands from top to bottom, as many states have
            patches = np.repeat(patches[:, :1], columns, axis=1)
        pull = (self.ground - self.ink) * rng.uniform(0.0, 0.25)
        field = cv2.resize(patches + pull, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        limit = 0.24 * abs(self.tones[0] - self.tones[1])
        self.image += np.clip(field - self.image, -limit, limit)

    def _border(self) -> None:
        h, w = self.height, self.width
        thick = max(1, round(self.layout.border * h))
        inset = thick / 2 + (self.rng.uniform(0.01, 0.035) * h if self.rng.random() < 0.6 else 0)
        radius = self.rng.uniform(0.03, 0.12) * h
        line = np.zeros((h, w), np.uint8)
        cv2.polylines(line, [_rounded(inset, inset, w - inset, h - inset, radius)], True, 255, thick, cv2.LINE_AA, 4)
        self._blend(line, self.ink if self.rng.random() < 0.85 else self.ground * 0.6)
        self.left = max(self.left, inset + 1.5 * thick)
        self.right = w - self.left

    def _bands(self) -> None:
        rng, layout, h, w = self.rng, self.layout, self.height, self.width
        colour = np.clip(np.asarray(layout.band_paint[0], np.float32) + rng.normal(0, 12, 3), 0, 255)
        letters = layout.band_texts[int(rng.integers(len(layout.band_texts)))] if layout.band_texts else ""
        if layout.band == "top":
            deep = round(rng.uniform(0.19, 0.25) * h)
            self.image[:deep] = colour
            self.top = float(deep)
            if letters:
                self._caption(letters, w / 2, deep / 2, deep * 0.6, np.asarray(layout.band_paint[1], np.float32))
            return
        wide = round(rng.uniform(0.32, 0.44) * h)
        for side in ("left", "right"):
            if layout.band not in (side, "both"):
                continue
            start = 0 if side == "left" else w - wide
            self.image[:, start : start + wide] = colour
            if side == "left":
                self.left = wide + 0.05 * h
            else:
                self.right = w - wide - 0.05 * h
            if side == "right" and layout.band == "both":
                continue
            self._stars(start + wide / 2, 0.32 * h, 0.3 * wide)
            if letters:
                paint = np.asarray(layout.band_paint[1], np.float32)
                self._caption(letters, start + wide / 2, 0.76 * h, 0.24 * h, paint, room=0.8 * wide)

    def _stars(self, x: float, y: float, radius: float) -> None:
        if self.rng.random() < 0.25 or self.layout.band_paint[0][2] < 100:
            return
        mask = np.zeros((self.height, self.width), np.uint8)
        for step in range(12):
            angle = step * math.pi / 6
            spot = (round((x + radius * math.cos(angle)) * 16), round((y + radius * math.sin(angle)) * 16))
            cv2.circle(mask, spot, max(8, round(0.16 * radius * 16)), 255, -1, cv2.LINE_AA, 4)
        self._blend(mask, np.array([250, 205, 40], np.float32))

    def _captions(self) -> None:
        rng, layout, h, w = self.rng, self.layout, self.height, self.width
        paints = layout.caption_paints
        colour = np.asarray(paints[int(rng.integers(len(paints)))], np.float32) if paints else self.ink
        if layout.heads and rng.random() < 0.9:
            words = layout.heads[int(rng.integers(len(layout.heads)))]
            words = words.upper() if rng.random() < 0.4 else words
            self._caption(words, w / 2, rng.uniform(0.1, 0.14) * h, rng.uniform(0.1, 0.17) * h, colour, room=0.62 * w)
        if layout.feet:
            words = layout.feet[int(rng.integers(len(layout.feet)))]
            deep = 0.055 if not layout.heads else rng.uniform(0.07, 0.11)
            y = h * (0.96 if not layout.heads else rng.uniform(0.88, 0.92))
            self._caption(words, w / 2, y, deep * h, colour, room=0.66 * w)
        if layout.heads and rng.random() < 0.45:
            self._stickers()

    def _stickers(self) -> None:
        """Month and year, in the upper or lower corners."""
        rng, h, w = self.rng, self.height, self.width
        up = rng.random() < 0.8
        for side in (0, 1):
            if rng.random() < 0.35:
                continue
            wide, deep = rng.uniform(0.2, 0.32) * h, rng.uniform(0.12, 0.17) * h
            x = 0.16 * h if side == 0 else w - 0.16 * h - wide
            y = 0.03 * h if up else h - 0.03 * h - deep
            colour = rng.uniform(20, 245, 3).astype(np.float32)
            self.image[int(y) : int(y + deep), int(x) : int(x + wide)] = colour
            ink = np.full(3, 245.0 if _grey(colour) < 128 else 20.0, np.float32)
            words = _MONTHS[int(rng.integers(12))] if side == 0 else f"{int(rng.integers(0, 30)):02d}"
            self._caption(words, x + wide / 2, y + deep / 2, 0.62 * deep, ink, room=0.8 * wide)

    # the characters

    def write(self, shown: str) -> None:
        rng, layout, h = self.rng, self.layout, self.height
        american = layout.family == "die"
        setting = _Setting(
            face=self.book.pick(rng, layout.family),
            stretch=float(rng.uniform(0.88, 1.12)),
            tracking=float(rng.uniform(0.09, 0.2) if not american else rng.uniform(0.1, 0.26)),
            spread=bool(rng.random() < 0.5),
            shift=float(rng.normal(0, 0.04) if rng.random() < 0.3 else 0.0),
        )
        rows = shown.split("/")
        room = self.bottom - self.top
        size = rng.uniform(0.92, 1.06)
        if len(rows) == 1:
            share = layout.char_height if layout.rows == 1 else 0.6
            deep = min(share * h * size, 0.9 * room)
            below = 0.16 * deep if layout.script == "below" else 0.0
            heights, middles = [deep], [self.top + room / 2 - below + rng.normal(0, 0.008) * h]
        else:
            deep_upper, deep_lower = layout.upper_height * h * size, layout.char_height * h * size
            gap = (room - deep_upper - deep_lower) / 3
            gap = float(np.clip(gap * rng.uniform(0.8, 1.2), 0.02 * h, 0.2 * h))
            start = self.top + (room - deep_upper - deep_lower - gap) / 2
            heights = [deep_upper, deep_lower]
            middles = [start + deep_upper / 2, start + deep_upper + gap + deep_lower / 2]
        for number, (row, deep, middle) in enumerate(zip(rows, heights, middles, strict=True)):
            scribbles = {"first": (1,) * (len(rows) == 1), "above": (2, 1)}.get(layout.script, ())
            self._row(row.strip(), setting, middle, deep, scribbles[number] if number < len(scribbles) else 0)
        if layout.script == "below":
            x = self.left + rng.uniform(0.1, 0.5) * (self.right - self.left)
            self._scribble(x, middles[-1] + 0.56 * heights[-1], 0.9 * heights[-1], 0.22 * heights[-1])
        self._print()

    def _row(self, row: str, setting: _Setting, middle: float, deep: float, scribbles: int) -> None:
        """Sets one row of characters and separators centred between the plate's inner edges."""
        glyphs = [setting.face.glyph(c) if c not in _SEPARATORS else None for c in row]
        widths = np.array(
            [
                glyph.shape[1] * deep / HEIGHT * setting.stretch if glyph is not None else _SEPARATORS[c] * deep
                for c, glyph in zip(row, glyphs, strict=True)
            ]
        )
        spacing = setting.tracking * deep
        scribble = 0.62 * deep * scribbles
        available = self.right - self.left - 0.06 * deep
        total = float(widths.sum() + spacing * (len(row) - 1) + scribble)
        if total > available:
            squeeze = available / total
            widths, spacing, scribble = widths * squeeze, spacing * squeeze, scribble * squeeze
            if squeeze < 0.66:
                deep *= squeeze / 0.66
        elif setting.spread and len(row) > 1 and total < 0.85 * available:
            spacing += min((0.92 * available - total) / (len(row) + 1), 0.3 * deep)
        total = float(widths.sum() + spacing * (len(row) - 1) + scribble)
        x = (self.left + self.right - total) / 2
        x = float(np.clip(x + setting.shift * self.width, self.left, max(self.left, self.right - total)))
        for _ in range(scribbles):
            self._scribble(x, middle - deep / 2, scribble / scribbles * 0.84, deep)
            x += scribble / scribbles
        for character, glyph, width in zip(row, glyphs, widths, strict=True):
            if glyph is None:
                self._separator(character, x, middle, float(width), deep)
            else:
                self._stamp(glyph, x, middle - deep / 2, float(width), deep)
            x += float(width) + spacing

    def _stamp(self, glyph: Mask, x: float, y: float, width: float, deep: float) -> None:
        """Puts one glyph on the ink mask and notes its box."""
        w, d = max(2, round(width)), max(4, round(deep))
        x0, y0 = round(x), round(y)
        x0, y0 = max(0, min(x0, self.width - w)), max(0, min(y0, self.height - d))
        if w > self.width or d > self.height:
            raise ValueError(f"a glyph of {w} x {d} does not fit a plate of {self.width} x {self.height} pixels")
        small = cv2.resize(glyph, (w, d), interpolation=cv2.INTER_AREA if d < HEIGHT else cv2.INTER_LINEAR)
        target = self.mask[y0 : y0 + d, x0 : x0 + w]
        np.maximum(target, small, out=target)
        self.char_boxes.append(Box(x0, y0, x0 + w, y0 + d))

    def _separator(self, kind: str, x: float, middle: float, width: float, deep: float) -> None:
        rng = self.rng
        if kind == "-":
            half = rng.uniform(0.05, 0.08) * deep
            inset = 0.12 * width
            self.mask[round(middle - half) : round(middle + half) + 1, round(x + inset) : round(x + width - inset)] = (
                255
            )
        elif kind == ".":
            y = middle + 0.42 * deep if rng.random() < 0.2 else middle
            centre = (round((x + width / 2) * 16), round(y * 16))
            cv2.circle(self.mask, centre, round(rng.uniform(0.06, 0.1) * deep * 16), 255, -1, cv2.LINE_AA, 4)
        elif kind == "*" and rng.random() < 0.9:
            self._emblem(x + width / 2, middle, width, deep)

    def _emblem(self, x: float, y: float, width: float, deep: float) -> None:
        """A seal, sticker, star or crest between groups: coloured, and not to be read."""
        rng = self.rng
        mask = np.zeros((self.height, self.width), np.uint8)
        colour = rng.uniform(20, 235, 3).astype(np.float32)
        kind = rng.random()
        radius = 0.34 * min(width, 0.7 * deep)
        if kind < 0.4:  # two seals, one above the other, or one
            for offset in (-0.26 * deep, 0.24 * deep) if rng.random() < 0.5 else (0.0,):
                cv2.circle(
                    mask,
                    (round(x * 16), round((y + offset) * 16)),
                    max(16, round(radius * 16)),
                    255,
                    -1,
                    cv2.LINE_AA,
                    4,
                )
        elif kind < 0.75:  # a sticker
            a, b = 0.36 * width, rng.uniform(0.25, 0.5) * deep
            cv2.fillPoly(mask, [_rounded(x - a, y - b, x + a, y + b, 0.1 * width)], 255, cv2.LINE_AA, 4)
        else:  # a star or a shield
            corners = int(rng.integers(3, 7))
            angles = np.arange(2 * corners) * math.pi / corners - math.pi / 2
            reach = np.where(np.arange(2 * corners) % 2, rng.uniform(0.4, 0.8) * radius, radius) * 1.15
            points = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
            cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        self._blend(mask, colour)
        if kind < 0.75 and deep > 20:  # something printed on it
            paint = np.full(3, 240.0 if _grey(colour) < 128 else 40.0, np.float32)
            band = np.zeros_like(mask)
            cv2.circle(band, (round(x), round(y)), max(1, round(0.5 * radius)), 255, max(1, round(0.02 * deep)))
            self._blend(np.minimum(band, mask), paint)

    def _scribble(self, x: float, y: float, width: float, deep: float) -> None:
        """A foreign character, or a line of them, that no reader is asked to read."""
        rng = self.rng
        pen = max(1, round(0.08 * min(deep, width)))
        for _ in range(int(rng.integers(6, 11))):
            level = rng.random() < 0.55
            long, short = rng.uniform(0.35, 1.0), rng.normal(0, 0.07)
            a, b = rng.uniform(0, 1 - long), rng.uniform(0.05, 0.95)
            ends = ((a, b), (a + long, b + short)) if level else ((b, a), (b + short, a + long))
            start, end = ((round((x + u * width) * 16), round((y + v * deep) * 16)) for u, v in ends)
            cv2.line(self.mask, start, end, 255, pen, cv2.LINE_AA, 4)

    def _print(self) -> None:
        """Brings the ink onto the plate: slanted, worn, with a drop shadow or an outline, stamped."""
        rng, h, w = self.rng, self.height, self.width
        mask = self.mask
        if rng.random() < 0.08:
            slant = rng.normal(0, 0.1)
            shear = np.array([[1, slant, -slant * h / 2], [0, 1, 0]], np.float32)
            mask = np.asarray(cv2.warpAffine(mask, shear, (w, h)), np.uint8)
        self.mask = mask
        if rng.random() < 0.08:
            by = max(1, round(0.02 * h))
            cast: Mask = np.zeros_like(mask)
            cast[by:, by:] = mask[:-by, :-by]
            self._blend(cast, 0.5 * (self.ground + self.ink), 0.8)
        elif rng.random() < 0.06:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, h // 40) + 1,) * 2)
            dark = _grey(self.ground) < 140
            rim = np.full(3, 243.0, np.float32) if dark else self.ground * np.float32(0.75)
            self._blend(np.asarray(cv2.dilate(mask, kernel), np.uint8), rim)
        if rng.random() < 0.2:
            worn = wear.smooth_field(rng, h, w, int(rng.integers(6, 40)), 0.55, 1.25)
            self._blend((mask * np.clip(worn, 0, 1)).astype(np.uint8), self.ink)
        else:
            self._blend(mask, self.ink)
        if rng.random() < (0.8 if self.layout.family in ("die", "cn") else 0.5):
            self._stamped(rng.uniform(8, 46))

    def _stamped(self, strength: float) -> None:
        """Light and dark edges, as pressed metal has them."""
        by = max(1, self.height // 64)
        soft = cv2.GaussianBlur(self.mask, (0, 0), 0.7 * by + 0.3).astype(np.float32)
        relief = np.zeros_like(soft)
        relief[by:-by, by:-by] = soft[2 * by :, 2 * by :] - soft[: -2 * by, : -2 * by]
        self.image += (relief * (strength / 255.0))[..., None]

    def finish(self) -> None:
        """Screws."""
        rng, h, w = self.rng, self.height, self.width
        if rng.random() < 0.5:
            return
        radius = rng.uniform(0.018, 0.04) * h
        low = rng.random() < 0.3
        if self.layout.aspect < 3.2:
            x, ys = rng.uniform(0.17, 0.25) * w, (0.07 * h, h - 0.07 * h) if low else (0.07 * h,)
            spots = [(place, y) for y in ys for place in (x, w - x)]
        else:
            x = rng.uniform(0.02, 0.3) * w
            y = float(rng.choice([0.07, 0.5, 0.93])) * h if x < 0.06 * w else (0.94 if low else 0.06) * h
            spots = [(x, y), (w - x, y)]
        colour = rng.uniform(20, 245) * np.ones(3, np.float32)
        if rng.random() < 0.15:
            colour = np.array([230, 190, 40], np.float32)
        mask = np.zeros((h, w), np.uint8)
        for x, y in spots:
            cv2.circle(mask, (round(x * 16), round(y * 16)), round(radius * 16), 255, -1, cv2.LINE_AA, 4)
        self._blend(mask, colour)

    # paint

    def _blend(self, mask: Mask, colour: NDArray[np.float32], strength: float = 1.0) -> None:
        x, y, w, h = cv2.boundingRect(mask)
        share = (mask[y : y + h, x : x + w].astype(np.float32) * np.float32(strength / 255.0))[..., None]
        target = self.image[y : y + h, x : x + w]
        target += (colour - target) * share

    def _caption(
        self, words: str, x: float, y: float, deep: float, colour: NDArray[np.float32], room: float | None = None
    ) -> None:
        """Small lettering centred at (x, y), `deep` pixels high, within `room` pixels of width."""
        if not words or deep < 2:
            return
        ink = self.book.caption(self.rng, words)
        d = max(2, round(deep))
        w = max(1, round(ink.shape[1] * d / ink.shape[0]))
        w = min(w, int(room)) if room is not None else w
        x0, y0 = round(x - w / 2), round(y - d / 2)
        if w < 1 or x0 < 0 or y0 < 0 or x0 + w > self.width or y0 + d > self.height:
            return
        small = cv2.resize(ink, (w, d), interpolation=cv2.INTER_AREA)
        share = (small.astype(np.float32) / 255.0)[..., None]
        target = self.image[y0 : y0 + d, x0 : x0 + w]
        target += (colour - target) * share


def _rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> NDArray[np.int32]:
    """A rounded rectangle's outline, in sixteenths of a pixel."""
    points = []
    for cx, cy, first in (
        (x0 + radius, y0 + radius, 180),
        (x1 - radius, y0 + radius, 270),
        (x1 - radius, y1 - radius, 0),
        (x0 + radius, y1 - radius, 90),
    ):
        for step in range(5):
            angle = math.radians(first + step * 22.5)
            points.append((cx + radius * math.cos(angle), cy + radius * math.sin(angle)))
    return np.round(np.array(points) * 16).astype(np.int32)


def render_crop(
    rng: np.random.Generator, height: int = 64, width: int = 192, fonts: FontBook | None = None
) -> tuple[RGB, str, str, int]:
    """(crop, text, region, rows): a worn plate as a detector would cut it from a photo.

    The crop is RGB uint8 (height, w, 3) in the plate's own proportions, height/2 <= w <= 2.7 width; a person can read
    its text.
    """
    layout = layouts.choose(rng)
    share = min(layout.char_height, layout.upper_height or 1.0)
    char_height = math.exp(rng.uniform(math.log(MIN_CHAR_HEIGHT), math.log(60.0)))
    seen_height = max(char_height / share, 11.0)  # of the plate, in the photo
    drawn_height = int(np.clip(1.4 * seen_height, 40, 80))
    plate = render_plate(rng, layout, None, drawn_height, fonts)
    seen_height = max(seen_height, MIN_CHAR_HEIGHT * drawn_height / plate.detail)
    picture, corners = _surrounded(rng, plate, fonts or FontBook.reproducible())
    cut = _cut(rng, picture, corners, plate.image.shape[1] / plate.image.shape[0], drawn_height)
    scale = min(1.0, seen_height / drawn_height)
    small = (max(12, round(cut.shape[1] * scale)), max(8, round(cut.shape[0] * scale)))
    if scale < 1.0:
        cut = np.asarray(cv2.resize(cut, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    worn = _photographed(rng, cut, plate.detail * scale, plate.tones)
    wide = int(np.clip(round(height * worn.shape[1] / worn.shape[0]), height // 2, round(2.7 * width)))
    ways = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
    way = ways[int(rng.integers(len(ways)))]
    crop = np.asarray(cv2.resize(worn, (wide, height), interpolation=way), dtype=np.uint8)
    return crop, plate.text, plate.region, plate.rows


def _surrounded(rng: np.random.Generator, plate: RenderedPlate, book: FontBook) -> tuple[RGB, Corners]:
    """Lays the plate on car body, bumper or shade, perhaps in a frame; returns its corners there too."""
    h, w = plate.image.shape[:2]
    pad = round(0.55 * h)
    tall, wide = h + 2 * pad, w + 2 * pad
    level = rng.choice([rng.uniform(4, 40), rng.uniform(40, 140), rng.uniform(140, 245)], p=[0.5, 0.3, 0.2])
    base = np.clip(level + rng.normal(0, 26, 3) * (rng.random() < 0.5), 2, 250)
    clouds = base * rng.uniform(0.7, 1.3, (int(rng.integers(2, 5)), int(rng.integers(2, 7)), 1))
    picture: RGB = cv2.resize(clouds.clip(0, 255).astype(np.uint8), (wide, tall), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 5))):  # edges of bumper, boot lid, grille
        y = round(rng.uniform(0, tall))
        shade = (rng.uniform(0, 255),) * 3
        thick = max(1, round(rng.uniform(0.01, 0.14) * h))
        cv2.line(picture, (0, y), (wide, round(y + rng.normal(0, 0.15) * h)), shade, thick, cv2.LINE_AA)
    framed = rng.random() < 0.4
    if framed:
        _framed(rng, picture, pad, h, w, book)
    elif rng.random() < 0.5:  # its shadow
        by = max(1, round(0.05 * h))
        below = picture[pad + by : pad + h + by, pad + by : pad + w + by]
        below[:] = (below * rng.uniform(0.2, 0.7)).astype(np.uint8)
    radius = rng.uniform(0.0, 0.1) * h
    corners = picture[pad : pad + h, pad : pad + w].copy()
    picture[pad : pad + h, pad : pad + w] = plate.image
    if framed and rng.random() < 0.4:
        _lipped(rng, picture[pad : pad + h, pad : pad + w], plate)
    elif radius > 1:
        outside = np.full((h, w), 255, np.uint8)
        cv2.fillPoly(outside, [_rounded(0, 0, w - 1, h - 1, radius)], 0, cv2.LINE_8, 4)
        cv2.copyTo(corners, outside, picture[pad : pad + h, pad : pad + w])
    return picture, rectangle(w, h) + pad


def _lipped(rng: np.random.Generator, picture: RGB, plate: RenderedPlate) -> None:
    """The holder's lip over the plate's edges, as far as the characters leave room."""
    h, w = picture.shape[:2]
    shade = round(rng.uniform(5, 60) if rng.random() < 0.8 else rng.uniform(150, 240))
    above = min(box.y1 for box in plate.char_boxes) * rng.uniform(0.0, 0.8)
    below = (h - max(box.y2 for box in plate.char_boxes)) * rng.uniform(0.0, 0.8)
    beside = min(min(box.x1 for box in plate.char_boxes), w - max(box.x2 for box in plate.char_boxes), 0.12 * h)
    beside *= rng.uniform(0.0, 0.8)
    inside = picture[int(above) : h - int(below), int(beside) : w - int(beside)].copy()
    picture[:] = shade
    picture[int(above) : h - int(below), int(beside) : w - int(beside)] = inside


def _framed(rng: np.random.Generator, picture: RGB, pad: int, h: int, w: int, book: FontBook) -> None:
    """A plate holder, often with a dealer's name on it."""
    side = rng.uniform(0.03, 0.09) * h
    below = rng.uniform(0.04, 0.28) * h
    dark = rng.random() < 0.75
    x0, y0 = round(pad - side), round(pad - side)
    x1, y1 = round(pad + w + side), round(pad + h + below)
    picture[y0:y1, x0:x1] = round(rng.uniform(5, 50) if dark else rng.uniform(140, 240))
    if below < 0.12 * h:
        return
    ink = book.caption(rng, _DEALERS[int(rng.integers(len(_DEALERS)))])
    deep = max(2, round(0.55 * below))
    wide = max(2, min(round(ink.shape[1] * deep / ink.shape[0]), round(0.9 * w)))
    share = cv2.resize(ink, (wide, deep), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    top = round(pad + h + 0.22 * below)
    left = round(pad + (w - wide) * rng.uniform(0.2, 0.8))
    target = picture[top : top + deep, left : left + wide]
    paint = rng.uniform(180, 250) if dark else rng.uniform(5, 60)
    target[:] = (target + (paint - target) * share).astype(np.uint8)


_DEALERS = (
    "AUTOHAUS MEIER", "www.example.com", "Hillside Motors", "CITY CARS", "AUTO CENTER NORD", "Lakeview Ford",
    "MOTOR GROUP", "BILCENTRUM AB", "Garage du Lac", "AUTOSALON", "Sunrise Honda", "www.example.in", "TOYOTA",
    "VALLEY MOTORS", "EST. 1987", "Tel. 0123 456789", "ALUMNI", "MY OTHER CAR", "AUTOMOBILES",
)  # fmt: skip


def _cut(rng: np.random.Generator, picture: RGB, corners: Corners, aspect: float, height: int) -> RGB:
    """Cuts the plate out as a corner detector would, a little off; or by an upright box round a tilted plate."""
    if rng.random() < 0.62:
        off = rng.normal(0, 0.028, (4, 2)) * height * rng.choice([0.5, 1.0, 1.8])
        margins = rng.uniform(-0.03, 0.12, 4) * height if rng.random() < 0.8 else rng.uniform(0.0, 0.4, 4) * height
        left, top, right, bottom = margins
        grown = corners + np.array([[-left, -top], [right, -top], [right, bottom], [-left, bottom]]) + off
        wide, tall = aspect * height + left + right, height + top + bottom
        size = (max(16, round(wide)), max(16, round(tall)))
        matrix = homography(grown, rectangle(*size))
    else:
        angles = rng.normal(0, (20.0, 10.0, 4.5))
        yaw, pitch, roll = np.clip(angles, (-48, -24, -11), (48, 24, 11))
        quad = turned_quad(aspect * height, height, float(yaw), float(pitch), float(roll), float(rng.uniform(2.5, 10)))
        low, high = quad.min(axis=0), quad.max(axis=0)
        margin = rng.uniform(-0.02, 0.1, 4) * height
        quad = quad - low + margin[:2]
        reach = high - low + margin[:2] + margin[2:]
        size = (max(16, round(reach[0])), max(16, round(reach[1])))
        matrix = homography(corners, quad)
    cut = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.12:
        cut = _bent(np.asarray(cut, dtype=np.uint8), rng.normal(0, 0.05) * size[1])
    return np.asarray(cut, dtype=np.uint8)


def _bent(image: RGB, bow: float) -> RGB:
    """A plate that is not flat, or a lens that bends lines: the middle `bow` pixels lower than the ends."""
    h, w = image.shape[:2]
    across = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    xs = np.broadcast_to(np.arange(w, dtype=np.float32)[None, :], (h, w))
    ys = np.arange(h, dtype=np.float32)[:, None] + np.float32(bow) * (across**2 - np.float32(0.5))
    return np.asarray(cv2.remap(image, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def _photographed(rng: np.random.Generator, image: RGB, detail: float, tones: tuple[float, float]) -> RGB:
    """Dirt, light, exposure, blur, noise and compression, as far as characters `detail` pixels high can bear them."""
    if rng.random() < 0.25:
        image = wear.dirt(rng, image, rng.uniform(0.1, 0.4))
    image, kept = _exposed(rng, image, tones)
    ease = float(np.clip((detail - 7.0) / 14.0, 0.0, 1.0))  # small characters bear less
    soft = min(abs(float(rng.normal(0, 0.45))), 1.0)
    image = wear.blur(rng, image, soft * detail * (0.05 + 0.045 * ease))
    rough = min(abs(float(rng.normal(0, 0.4))), 1.0) * (1.0 - 0.6 * soft)
    image = wear.noise(rng, image, rough * kept * (0.07 + 0.11 * ease))
    if rng.random() < 0.2:
        image = wear.sharpen(image, rng.uniform(0.3, 1.5))
    if rng.random() < 0.7:
        image = wear.jpeg(image, int(rng.integers(50 - round(22 * ease), 96)))
    if rng.random() < 0.15:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    return image


def _exposed(rng: np.random.Generator, image: RGB, tones: tuple[float, float]) -> tuple[RGB, float]:
    """(image, contrast): light, exposure, haze and cast, that leave enough contrast between ground and ink."""
    height, width = image.shape[:2]
    night = rng.random() < 0.12
    for attempt in range(4):
        gain = wear.light(rng, height, width, 1.0 - attempt / 5)
        exposure = rng.uniform(0.25, 0.6) if night else math.exp(rng.normal(0, 0.28))
        gamma = math.exp(rng.normal(0, 0.2))
        lift = float(rng.uniform(0, 90)) if rng.random() < 0.25 else float(rng.uniform(0, 16))
        gain = gain * np.float32(np.clip(exposure, 0.25, 1.6))
        curve = lift + (255 - lift) * (np.array(tones) / 255) ** gamma
        seen = np.clip(np.outer((gain.min(), gain.max()), curve), 0, 255)
        kept = float(np.abs(seen[:, 0] - seen[:, 1]).min())
        if kept > _LEAST_CONTRAST:
            break
    else:
        gain, gamma, lift, kept = np.ones((height, width), np.float32), 1.0, 0.0, abs(tones[0] - tones[1])
    cast = np.exp(rng.normal(0, 0.055, 3))
    if night:
        cast = cast * ((1.12, 1.0, 0.78) if rng.random() < 0.6 else (0.9, 1.0, 1.15))
    return wear.tone(image, gain, gamma, lift, (float(cast[0]), float(cast[1]), float(cast[2]))), kept
