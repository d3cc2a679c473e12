"""Rendered plates, flat and clean; cropping.py shows them as a detector would cut them from a photo.

The same generator state gives the same pixels. Small lettering, bands, stickers, hyphens, bullets and seals are drawn
but are no part of a plate's text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, normalise
from pipeline.records import UNKNOWN_REGION, Box
from pipeline.rendering import layouts, wear
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.fonts import Face, FontBook
from pipeline.rendering.layouts import Band, Colour, Layout
from pipeline.rendering.strokes import HEIGHT, Mask
from pipeline.rendering.texts import random_text
from pipeline.rendering.wear import RGB

Canvas = NDArray[np.float32]  # (h, w, 3) RGB 0..255

_SEPARATORS = {" ": 0.42, "-": 0.42, ".": 0.34, ":": 0.34, "*": 0.62}  # widths, as shares of the characters' height

_STACKED = 0.45  # height of small characters above one another, as a share of the row's

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SMALL_WORDS = ("DUBAI", "PARTICULAR", "TAXI", "2011", "NSW", "TRUCK", "Comercial", "DEALER", "COUNTY", "SHARJAH")


@dataclass(frozen=True, slots=True)
class RenderedPlate:
    """A flat plate. `char_boxes` are in reading order; `tones` the greys 0..255 of its ground and of its ink.

    `upper` is how many of the text's characters come before the lower row, or before the lower half of a stack.
    """

    image: RGB
    text: str
    region: str
    rows: int
    upper: int
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
    """A clean plate, `height` pixels high. `text` may hold separators (' ', '-', '.', ':', '*'), '/' between two rows,
    and [AB|12] for small characters above one another.

    ValueError for a text that has no character of the alphabet, or one outside it.
    """
    book = fonts or FontBook.reproducible()
    layout = layout or Catalogue.shipped().choose(rng)
    shown = random_text(layout, rng) if text is None else _arranged(text.upper(), layout)
    plain = normalise(shown)
    if not plain or not set("".join(map(layouts.plain, layouts.elements(shown)))) <= {*CHARACTERS, *_SEPARATORS, "/"}:
        raise ValueError(f"a plate cannot show {text!r}: only A-Z and 0-9, and ' -.:*/' between them")
    easel = _Easel(rng, layout, book, height)
    easel.furnish()
    easel.write(shown)
    easel.finish()
    region = layout.region if layout.fits(plain) else UNKNOWN_REGION
    image = np.clip(easel.image, 0, 255, out=easel.image).astype(np.uint8)
    upper = len(normalise(re.split(r"[/|]", shown, maxsplit=1)[0]))
    return RenderedPlate(image, plain, region, shown.count("/") + 1, upper, tuple(easel.char_boxes), easel.tones)


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
        if layout.band is not None:
            self._bands(layout.band)
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
        cv2.polylines(line, [rounded(inset, inset, w - inset, h - inset, radius)], True, 255, thick, cv2.LINE_AA, 4)
        self._blend(line, self.ink if self.rng.random() < 0.85 else self.ground * 0.6)
        self.left = max(self.left, inset + 1.5 * thick)
        self.right = w - self.left

    def _bands(self, band: Band) -> None:
        rng, h, w = self.rng, self.height, self.width
        colour = np.clip(np.asarray(band.paint[0], np.float32) + rng.normal(0, 12, 3), 0, 255)
        letters = band.texts[int(rng.integers(len(band.texts)))] if band.texts else ""
        if band.side == "top":
            deep = round(rng.uniform(0.19, 0.25) * h)
            self.image[:deep] = colour
            self.top = float(deep)
            if letters:
                self._caption(letters, w / 2, deep / 2, deep * 0.6, np.asarray(band.paint[1], np.float32))
            return
        wide = round(rng.uniform(0.32, 0.44) * h)
        for side in ("left", "right"):
            if band.side not in (side, "both"):
                continue
            start = 0 if side == "left" else w - wide
            self.image[:, start : start + wide] = colour
            if side == "left":
                self.left = wide + 0.05 * h
            else:
                self.right = w - wide - 0.05 * h
            if side == "right" and band.side == "both":
                continue
            if rng.random() < 0.75 and band.paint[0][2] > 100:
                self._stars(start + wide / 2, 0.32 * h, 0.3 * wide)
            if letters:
                paint = np.asarray(band.paint[1], np.float32)
                self._caption(letters, start + wide / 2, 0.76 * h, 0.24 * h, paint, room=0.8 * wide)

    def _stars(self, x: float, y: float, radius: float) -> None:
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
        if layout.heads and rng.random() < layout.head_chance:
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
        american = layout.type == "die"
        setting = _Setting(
            face=self.book.pick(rng, layout.type),
            stretch=float(rng.uniform(0.88, 1.12)),
            tracking=float(rng.uniform(0.09, 0.2) if not american else rng.uniform(0.1, 0.26)),
            spread=bool(rng.random() < 0.5),
            shift=float(rng.normal(0, 0.04) if rng.random() < 0.3 else 0.0),
        )
        rows = shown.split("/")
        if rng.random() < layout.emblem:
            rows[0] = "*" + rows[0] if rng.random() < 0.7 else rows[0] + "*"
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
        """Sets one row of characters, stacks and separators centred between the plate's inner edges."""
        parts = layouts.elements(row)
        widths = np.array([self._wide(part, setting, deep) for part in parts])
        spacing = setting.tracking * deep
        scribble = 0.62 * deep * scribbles
        available = self.right - self.left - 0.06 * deep
        total = float(widths.sum() + spacing * (len(parts) - 1) + scribble)
        if total > available:
            squeeze = available / total
            widths, spacing, scribble = widths * squeeze, spacing * squeeze, scribble * squeeze
            if squeeze < 0.66:
                deep *= squeeze / 0.66
        elif setting.spread and len(parts) > 1 and total < 0.85 * available:
            spacing += min((0.92 * available - total) / (len(parts) + 1), 0.3 * deep)
        total = float(widths.sum() + spacing * (len(parts) - 1) + scribble)
        x = (self.left + self.right - total) / 2
        x = float(np.clip(x + setting.shift * self.width, self.left, max(self.left, self.right - total)))
        for _ in range(scribbles):
            self._scribble(x, middle - deep / 2, scribble / scribbles * 0.84, deep)
            x += scribble / scribbles
        for part, width in zip(parts, map(float, widths), strict=True):
            if part in _SEPARATORS:
                self._separator(part, x, middle, width, deep)
            elif len(part) == 1:
                self._stamp(setting.face.glyph(part), x, middle - deep / 2, width, deep)
            else:
                self._stack(part, setting, x, middle, width, deep)
            x += width + spacing

    def _wide(self, part: str, setting: _Setting, deep: float) -> float:
        """How wide a character, a stack or a separator is in a row `deep` pixels high."""
        if part in _SEPARATORS:
            return _SEPARATORS[part] * deep
        if len(part) == 1:
            return setting.face.glyph(part).shape[1] * deep / HEIGHT * setting.stretch
        return max(total for _, total in self._stacked_rows(part, setting, deep))

    def _stacked_rows(self, part: str, setting: _Setting, deep: float) -> list[tuple[list[float], float]]:
        """Of the upper and the lower row of a stack: the characters' widths, and the row's."""
        small = _STACKED * deep
        rows = [[self._wide(c, setting, small) for c in row] for row in part[1:-1].split("|")]
        return [(widths, sum(widths) + setting.tracking * small * (len(widths) - 1)) for widths in rows]

    def _stack(self, part: str, setting: _Setting, x: float, middle: float, width: float, deep: float) -> None:
        """Small characters above one another, each row centred."""
        small = _STACKED * deep
        centres = (middle - (deep - small) / 2, middle + (deep - small) / 2)
        sized = self._stacked_rows(part, setting, deep)
        for row, centre, (widths, total) in zip(part[1:-1].split("|"), centres, sized, strict=True):
            squeeze = min(1.0, width / total)
            at = x + (width - total * squeeze) / 2
            for c, wide in zip(row, widths, strict=True):
                self._stamp(setting.face.glyph(c), at, centre - small / 2, wide * squeeze, small)
                at += (wide + setting.tracking * small) * squeeze

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
        elif kind in ".:":
            radius = rng.uniform(0.06, 0.1) * deep
            low = middle + 0.42 * deep if rng.random() < 0.2 else middle
            for y in (low,) if kind == "." else (middle - 0.22 * deep, middle + 0.22 * deep):
                centre = (round((x + width / 2) * 16), round(y * 16))
                cv2.circle(self.mask, centre, round(radius * 16), 255, -1, cv2.LINE_AA, 4)
        elif kind == "*" and rng.random() < 0.9:
            self._emblem(x + width / 2, middle, width, deep)

    def _emblem(self, x: float, y: float, width: float, deep: float) -> None:
        """A seal, sticker, star or crest between groups: coloured, and not to be read."""
        rng = self.rng
        mask = np.zeros((self.height, self.width), np.uint8)
        colour = rng.uniform(20, 235, 3).astype(np.float32)
        kind = rng.random()
        if kind > 0.85:
            self._small_words(x, y, width, deep)
            return
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
        elif kind < 0.65:  # a sticker
            a, b = 0.36 * width, rng.uniform(0.25, 0.5) * deep
            cv2.fillPoly(mask, [rounded(x - a, y - b, x + a, y + b, 0.1 * width)], 255, cv2.LINE_AA, 4)
        else:  # a star or a shield
            corners = int(rng.integers(3, 7))
            angles = np.arange(2 * corners) * math.pi / corners - math.pi / 2
            reach = np.where(np.arange(2 * corners) % 2, rng.uniform(0.4, 0.8) * radius, radius) * 1.15
            points = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
            cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        self._blend(mask, colour)
        if kind < 0.65 and deep > 20:  # something printed on it
            paint = np.full(3, 240.0 if _grey(colour) < 128 else 40.0, np.float32)
            band = np.zeros_like(mask)
            cv2.circle(band, (round(x), round(y)), max(1, round(0.5 * radius)), 255, max(1, round(0.02 * deep)))
            self._blend(np.minimum(band, mask), paint)

    def _small_words(self, x: float, y: float, width: float, deep: float) -> None:
        """A town, a year or a slogan between the characters, in letters too small to be meant; sometimes upright."""
        rng = self.rng
        words = _SMALL_WORDS[int(rng.integers(len(_SMALL_WORDS)))]
        ink = self.book.caption(rng, words)
        if rng.random() < 0.4:
            ink = np.ascontiguousarray(np.rot90(ink, 1 if rng.random() < 0.8 else 3))
        scale = min(width / ink.shape[1], rng.uniform(0.5, 0.9) * deep / ink.shape[0])
        d, w = max(2, round(ink.shape[0] * scale)), max(2, round(ink.shape[1] * scale))
        x0, y0 = round(x - w / 2), round(y + rng.uniform(-0.25, 0.25) * deep - d / 2)
        if d < 0.34 * deep or ink.shape[0] > ink.shape[1]:
            self._lay(
                ink, x0, y0, w, d, self.ink if rng.random() < 0.6 else np.asarray(rng.uniform(0, 200, 3), np.float32)
            )

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
        if rng.random() < (0.8 if self.layout.type in ("die", "cn") else 0.5):
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
        if w < 1:
            return
        self._lay(ink, x0, y0, w, d, colour)

    def _lay(self, ink: Mask, x0: int, y0: int, w: int, d: int, colour: NDArray[np.float32]) -> None:
        """Paints an ink mask, shrunk to w x d pixels, with its top-left at (x0, y0); nothing where it does not fit."""
        if x0 < 0 or y0 < 0 or x0 + w > self.width or y0 + d > self.height:
            return
        small = cv2.resize(ink, (w, d), interpolation=cv2.INTER_AREA)
        share = (small.astype(np.float32) / 255.0)[..., None]
        target = self.image[y0 : y0 + d, x0 : x0 + w]
        target += (colour - target) * share


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> NDArray[np.int32]:
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
