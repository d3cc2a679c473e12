"""A parametric alphabet of our own: A-Z and 0-9 as strokes, in the manner of the types that plates are stamped with.

A glyph is a few lines and quarter turns between the edges of its cell, swept by a pen. A `Style` says how wide,
heavy, round and slab the letters are and which of its shapes a character takes (open 4, slashed 0, flagged 1 ...),
so one set of strokes gives narrow DIN-like, square British-like, die-struck American-like and many more types.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]  # (HEIGHT, w) coverage, 0..255
Points = NDArray[np.float64]  # (N, 2) x, y

HEIGHT = 96  # rows of a finished glyph mask, from cap line to baseline
VARIETY = 160  # styles of each family
FAMILIES = ("din", "fe", "wright", "die", "cn", "free", "wide")
_ONES = {"wright": (0.5, 0.38, 0.12), "die": (0.2, 0.45, 0.35)}  # chances of a bare, flagged, footed 1
_SUPER = 3  # glyphs are drawn this many times larger, then averaged
_TURN_STEPS = 9
_WIDTHS = {"I": 0.42, "1": 0.7, "M": 1.18, "W": 1.32, "J": 0.88, "L": 0.9, "E": 0.92, "F": 0.9, "T": 0.98, "Q": 1.02}


@dataclass(frozen=True, slots=True)
class Style:
    """How the strokes are drawn. Lengths are shares of the letters' height, shapes are chosen by small numbers."""

    width: float  # of a plain letter
    digit_width: float
    weight: float  # of the pen
    radius_x: float  # of a bowl's corners, as a share of half its width
    radius_y: float  # of a bowl's corners, as a share of half the letter's height
    squareness: float  # 2: elliptic corners; larger is squarer
    waist: float  # height of the middle bars, from the top
    hook: float  # how far the open ends of C, G, S, 2, 3 ... turn back
    apex: float  # flat top of A and flat feet of V and W, as a share of the width
    round_ends: bool
    mono: bool  # every character as wide as the others
    slab: bool
    zero: int  # 0 plain, 1 slashed, 2 dotted
    one: int  # 0 bare, 1 flag, 2 flag and foot
    eye: int  # I: 0 bare, 1 slabs
    four: int  # 0 closed, 1 open, 2 closed with a stem at the edge
    seven: int  # 0 straight, 1 bent, 2 barred
    three: int  # 0 round, 1 flat top
    six: int  # 0 round, 1 straight back
    gee: int  # 0 bar, 1 bar and spur
    em: float  # depth of M's middle
    kay: int  # 0 arms meet at the stem, 1 leg from the arm
    jay: int  # 0 bare, 1 slab
    tail: int  # Q: 0 short, 1 long
    leg: float  # R: where its leg leaves the bowl, as a share of the width
    spine: int  # S: 0 flat, 1 slanted
    neck: float  # 2: how far its neck is bent


def _choice(rng: np.random.Generator, *weights: float) -> int:
    return int(rng.choice(len(weights), p=np.asarray(weights) / sum(weights)))


@cache
def style(family: str, index: int) -> Style:
    """The `index`-th style of a family (0 <= index < VARIETY): the same one on every machine."""
    rng = np.random.default_rng([FAMILIES.index(family), index])
    u = rng.uniform
    width, weight, radius_x, radius_y, square, round_share, mono = {
        "din": (u(0.46, 0.62), u(0.115, 0.165), u(0.85, 1.0), u(0.38, 0.68), u(2.0, 2.5), 0.15, 0.4),
        "fe": (u(0.54, 0.66), u(0.125, 0.16), u(0.7, 1.0), u(0.3, 0.55), u(2.1, 2.8), 0.1, 0.8),
        "wright": (u(0.54, 0.68), u(0.15, 0.19), u(0.55, 0.9), u(0.25, 0.45), u(2.0, 2.8), 0.1, 0.6),
        "die": (u(0.40, 0.58), u(0.09, 0.14), u(0.8, 1.0), u(0.35, 0.6), u(2.0, 2.4), 0.75, 0.5),
        "cn": (u(0.44, 0.54), u(0.10, 0.14), u(0.7, 1.0), u(0.26, 0.5), u(2.0, 2.6), 0.2, 0.8),
        "wide": (u(0.66, 1.0), u(0.09, 0.17), u(0.4, 0.9), u(0.4, 0.9), u(2.0, 3.4), 0.35, 0.5),
        "free": (u(0.40, 0.80), u(0.08, 0.22), u(0.35, 1.0), u(0.2, 1.0), u(2.0, 3.2), 0.35, 0.4),
    }[family]
    return Style(
        width=width,
        digit_width=width * u(0.88, 1.02),
        weight=min(weight, 0.34 * width),
        radius_x=radius_x,
        radius_y=radius_y,
        squareness=square,
        waist=u(0.46, 0.53),
        hook=u(0.24, 0.36),
        apex=u(0.0, 0.16) if rng.random() < 0.8 else u(0.16, 0.4),
        round_ends=bool(rng.random() < round_share),
        mono=bool(rng.random() < mono),
        slab=bool(rng.random() < (0.06 if family in ("free", "die") else 0.02)),
        zero=_choice(rng, 0.86, 0.11, 0.03),
        one=_choice(rng, *_ONES.get(family, (0.06, 0.74, 0.2))),
        eye=_choice(rng, 0.6, 0.4),
        four=_choice(rng, 0.8, 0.1, 0.1),
        seven=_choice(rng, 0.72, 0.2, 0.08),
        three=_choice(rng, 0.72, 0.28),
        six=_choice(rng, 0.68, 0.32),
        gee=_choice(rng, 0.7, 0.3),
        em=u(0.45, 0.75) if rng.random() < 0.7 else 1.0,
        kay=_choice(rng, 0.5, 0.5),
        jay=_choice(rng, 0.8, 0.2),
        tail=_choice(rng, 0.6, 0.4),
        leg=u(0.3, 0.75),
        spine=_choice(rng, 0.45, 0.55),
        neck=u(0.1, 0.6),
    )


class _Trace:
    """A path of straight lines and quarter turns."""

    def __init__(self, x: float, y: float, squareness: float) -> None:
        self._points = [(x, y)]
        self._power = 2.0 / squareness

    def to(self, x: float, y: float) -> _Trace:
        if math.dist(self._points[-1], (x, y)) > 0.5:
            self._points.append((x, y))
        return self

    def turn(self, x: float, y: float, upright: bool) -> _Trace:
        """A quarter turn to (x, y), that leaves upright (or else level)."""
        x0, y0 = self._points[-1]
        for step in range(1, _TURN_STEPS + 1):
            angle = math.pi / 2 * step / _TURN_STEPS
            far, near = math.sin(angle) ** self._power, 1.0 - max(math.cos(angle), 0.0) ** self._power
            along_x, along_y = (near, far) if upright else (far, near)
            self._points.append((x0 + (x - x0) * along_x, y0 + (y - y0) * along_y))
        return self

    def bend(self, x: float, y: float, leave: tuple[float, float], arrive: tuple[float, float]) -> _Trace:
        """A cubic curve to (x, y) with the two control points given."""
        x0, y0 = self._points[-1]
        for step in range(1, 13):
            f = step / 12
            a, b, c, d = (1 - f) ** 3, 3 * f * (1 - f) ** 2, 3 * f * f * (1 - f), f**3
            self._points.append(
                (a * x0 + b * leave[0] + c * arrive[0] + d * x, a * y0 + b * leave[1] + c * arrive[1] + d * y)
            )
        return self

    @property
    def points(self) -> Points:
        return np.asarray(self._points, dtype=np.float64)

    def cut(self, start: Callable[[float, float], bool], end: Callable[[float, float], bool]) -> Points:
        """The points, without those at the start and at the end for which `start` and `end` are true."""
        points = list(self._points)
        while len(points) > 3 and start(*points[0]):
            points.pop(0)
        while len(points) > 3 and end(*points[-1]):
            points.pop()
        return np.asarray(points, dtype=np.float64)


def _never(_x: float, _y: float) -> bool:
    return False


class _Pen:
    """Draws on one glyph's cell. l, r, t, b are the centre lines of strokes at its edges, m its waist."""

    def __init__(self, char: str, s: Style) -> None:
        self.s = s
        self.h = float(HEIGHT * _SUPER)
        self.k = s.weight * self.h
        plain = s.digit_width if char.isdigit() else s.width
        cell = plain if s.mono and char not in "MW" else plain * _WIDTHS.get(char, 1.0)
        if s.mono and char in "MW":
            cell = plain * (1.0 if plain > 4.3 * s.weight else 1.18)
        self.w = max(cell * self.h, (2.5 if char not in "I1" else 1.1) * self.k)
        self.l, self.r, self.c = self.k / 2, self.w - self.k / 2, self.w / 2
        self.t, self.b, self.m = self.k / 2, self.h - self.k / 2, s.waist * self.h
        self.rx = s.radius_x * (self.r - self.l) / 2
        self.ry = max(s.radius_y * (self.b - self.t) / 2, self.rx * 0.5)
        self.mask: Mask = np.zeros((int(self.h), max(1, round(self.w))), dtype=np.uint8)

    def trace(self, x: float, y: float) -> _Trace:
        return _Trace(x, y, self.s.squareness)

    def line(self, x0: float, y0: float, x1: float, y1: float, start: float = 0.5, end: float = 0.5) -> None:
        """A straight stroke, made longer at its ends by `start` and `end` pen widths."""
        self.sweep(np.array([[x0, y0], [x1, y1]]), start, end)

    def slant(self, x0: float, y0: float, x1: float, y1: float, start: bool = True, end: bool = True) -> None:
        """A slanted stroke; where it ends at the cell's top or bottom it is cut level."""
        lengthen = 0.0 if self.s.round_ends else 1.2
        self.line(x0, y0, x1, y1, lengthen * start, lengthen * end)

    def stem(self, x: float, y0: float, y1: float, slab: bool = True) -> None:
        self.line(x, y0, x, y1)
        if self.s.slab and slab:
            reach = min(0.2 * self.w, 0.9 * self.k)
            for y in (y0, y1):
                if y in (self.t, self.b):
                    self.line(max(x - reach, self.l), y, min(x + reach, self.r), y)

    def sweep(self, points: Points, start: float = 0.0, end: float = 0.0, closed: bool = False) -> None:
        points = points.copy()
        if self.s.round_ends and not closed:
            for x, y in (points[0], points[-1]):
                centre = (round(x * 16), round(y * 16))
                cv2.circle(self.mask, centre, round(self.k * 8), 255, -1, cv2.LINE_8, shift=4)
        elif not closed:
            points[0] += _unit(points[0] - points[1]) * start * self.k
            points[-1] += _unit(points[-1] - points[-2]) * end * self.k
        steps = np.diff(points, axis=0)
        along = steps / np.maximum(np.hypot(steps[:, 0], steps[:, 1])[:, None], 1e-6)
        before = np.concatenate([along[-1:] if closed else along[:1], along])
        after = np.concatenate([along, along[:1] if closed else along[-1:]])
        mean = before + after
        mean /= np.maximum(np.hypot(mean[:, 0], mean[:, 1])[:, None], 1e-6)
        side = np.stack([-mean[:, 1], mean[:, 0]], axis=1) * self.k / 2
        left, right = points + side, points - side
        quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
        for quad in np.round(quads * 16).astype(np.int32):
            cv2.fillConvexPoly(self.mask, quad, 255, cv2.LINE_8, shift=4)

    def ring(self, left: float, top: float, right: float, bottom: float) -> None:
        """A closed bowl between four centre lines."""
        rx = min(self.rx, (right - left) / 2)
        ry = min(self.ry, (bottom - top) / 2)
        path = self.trace(left, bottom - ry).to(left, top + ry).turn(left + rx, top, True).to(right - rx, top)
        path.turn(right, top + ry, False).to(right, bottom - ry).turn(right - rx, bottom, True)
        path.to(left + rx, bottom).turn(left, bottom - ry, False)
        self.sweep(path.points, closed=True)

    def lobe(self, left: float, top: float, right: float, bottom: float) -> None:
        """Half a bowl, open to the left, as in B, D, P, R."""
        rx = min(self.rx, (right - left) / 2)
        ry = min(self.ry, (bottom - top) / 2)
        path = self.trace(left, top).to(right - rx, top).turn(right, top + ry, False).to(right, bottom - ry)
        path.turn(right - rx, bottom, True).to(left, bottom)
        self.sweep(path.points)

    def glyph(self) -> Mask:
        width = max(2, round(self.mask.shape[1] / _SUPER))
        return np.asarray(cv2.resize(self.mask, (width, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _unit(vector: Points) -> Points:
    return vector / max(float(np.hypot(*vector)), 1e-6)


def _a(p: _Pen) -> None:
    gap = p.s.apex * p.w / 2
    foot = p.k * 0.08
    p.slant(p.c - gap, p.t, p.l + foot, p.b)
    p.slant(p.c + gap, p.t, p.r - foot, p.b)
    if gap > p.k / 2:
        p.line(p.c - gap, p.t, p.c + gap, p.t)
    y = p.h * (0.68 if p.s.waist < 0.5 else 0.72)
    inset = (p.c - gap - p.l) * (1 - y / p.h)
    p.line(p.l + inset, y, p.r - inset, y, 0, 0)


def _b(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b, slab=False)
    p.lobe(p.l, p.t, p.r - 0.07 * p.w, p.m)
    p.lobe(p.l, p.m, p.r, p.b)


def _open_round(p: _Pen, low: float) -> _Trace:
    """From the upper end of C or G round to the right edge at height `low`."""
    path = p.trace(p.r, max(p.t + p.ry, p.t + p.s.hook * p.h)).to(p.r, p.t + p.ry).turn(p.r - p.rx, p.t, True)
    path.to(p.l + p.rx, p.t).turn(p.l, p.t + p.ry, False).to(p.l, p.b - p.ry).turn(p.l + p.rx, p.b, True)
    return path.to(p.r - p.rx, p.b).turn(p.r, p.b - p.ry, False).to(p.r, min(low, p.b - p.ry))


def _c(p: _Pen) -> None:
    top, low = p.s.hook * p.h, (1 - p.s.hook) * p.h
    p.sweep(_open_round(p, low).cut(lambda _, y: y > top + 1, lambda _, y: y < low - 1))


def _d(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.lobe(p.l, p.t, p.r, p.b)


def _e(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b, slab=False)
    p.line(p.l, p.t, p.r, p.t)
    p.line(p.l, p.m, p.r - 0.1 * p.w, p.m, 0, 0.5)
    p.line(p.l, p.b, p.r, p.b)


def _f(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.line(p.l, p.t, p.r, p.t)
    p.line(p.l, p.m, p.r - 0.1 * p.w, p.m, 0, 0.5)


def _g(p: _Pen) -> None:
    top, bar = p.s.hook * p.h, 0.56 * p.h
    p.sweep(_open_round(p, bar).cut(lambda _, y: y > top + 1, lambda _, y: y < bar - 1))
    p.line(p.c + 0.02 * p.w, bar, p.r, bar)
    if p.s.gee == 1:
        p.line(p.r, bar, p.r, p.b)


def _h(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.stem(p.r, p.t, p.b)
    p.line(p.l, p.m, p.r, p.m, 0, 0)


def _i(p: _Pen) -> None:
    p.line(p.c, p.t, p.c, p.b)
    if p.s.eye == 1 or p.s.slab:
        reach = max(min(p.w / 2 - p.k / 2, 1.1 * p.k), 0.0)
        for y in (p.t, p.b):
            p.line(p.c - reach, y, p.c + reach, y)


def _j(p: _Pen) -> None:
    low = (0.94 - p.s.hook) * p.h
    path = p.trace(p.r, p.t).to(p.r, p.b - p.ry).turn(p.r - p.rx, p.b, True).to(p.l + p.rx, p.b)
    path.turn(p.l, p.b - p.ry, False).to(p.l, min(low, p.b - p.ry))
    p.sweep(path.cut(_never, lambda x, y: x < p.c and y < low - 1), 0.5, 0)
    if p.s.jay == 1 or p.s.slab:
        p.line(p.c, p.t, p.r, p.t)


def _k(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    if p.s.kay == 0:
        p.slant(p.r, p.t, p.l, p.m, end=False)
        p.slant(p.l + 0.1 * p.w, p.m - 0.05 * p.h, p.r, p.b, start=False)
    else:
        low = p.h * 0.62
        p.slant(p.r, p.t, p.l, low, end=False)
        f = 0.38
        p.slant(p.l + (p.r - p.l) * f, low + (p.t - low) * f, p.r, p.b, start=False)


def _l(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b, slab=False)
    p.line(p.l, p.b, p.r, p.b)


def _m(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.stem(p.r, p.t, p.b)
    y = p.s.em * p.h if p.s.em < 1 else p.b
    end = p.s.em == 1.0
    p.slant(p.l, p.t, p.c, y, end=end)
    p.slant(p.r, p.t, p.c, y, end=end)


def _n(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.stem(p.r, p.t, p.b)
    p.slant(p.l, p.t, p.r, p.b)


def _o(p: _Pen) -> None:
    p.ring(p.l, p.t, p.r, p.b)


def _p(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    p.lobe(p.l, p.t, p.r, p.m + 0.05 * p.h)


def _q(p: _Pen) -> None:
    p.ring(p.l, p.t, p.r, p.b)
    y = (0.62 if p.s.tail else 0.72) * p.h
    p.slant(p.c + (0.0 if p.s.tail else 0.08) * p.w, y, p.r + 0.1 * p.k, p.b, start=False)


def _r(p: _Pen) -> None:
    p.stem(p.l, p.t, p.b)
    bottom = p.m + 0.03 * p.h
    p.lobe(p.l, p.t, p.r, bottom)
    p.slant(p.l + (p.r - p.l) * p.s.leg, bottom, p.r, p.b, start=False)


def _s(p: _Pen) -> None:
    upper, lower = min(p.ry, (p.m - p.t) / 2), min(p.ry, (p.b - p.m) / 2)
    top, low = p.s.hook * 0.9 * p.h, (1 - p.s.hook * 0.9) * p.h
    path = p.trace(p.r, max(p.t + upper, top)).to(p.r, p.t + upper).turn(p.r - p.rx, p.t, True)
    path.to(p.l + p.rx, p.t).turn(p.l, p.t + upper, False)
    if p.s.spine == 0:
        path.to(p.l, p.m - upper).turn(p.l + p.rx, p.m, True).to(p.r - p.rx, p.m).turn(p.r, p.m + lower, False)
    else:
        y0, y1 = p.t + max(upper, 0.2 * p.h), p.b - max(lower, 0.2 * p.h)
        path.to(p.l, y0).bend(p.r, y1, (p.l, y0 + 0.24 * p.h), (p.r, y1 - 0.24 * p.h))
    path.to(p.r, p.b - lower).turn(p.r - p.rx, p.b, True).to(p.l + p.rx, p.b).turn(p.l, p.b - lower, False)
    path.to(p.l, min(low, p.b - lower))
    p.sweep(path.cut(lambda _, y: y > top + 1, lambda _, y: y < low - 1))


def _t(p: _Pen) -> None:
    p.line(p.l, p.t, p.r, p.t)
    p.stem(p.c, p.t, p.b)


def _u(p: _Pen) -> None:
    path = p.trace(p.l, p.t).to(p.l, p.b - p.ry).turn(p.l + p.rx, p.b, True).to(p.r - p.rx, p.b)
    p.sweep(path.turn(p.r, p.b - p.ry, False).to(p.r, p.t).points, 0.5, 0.5)


def _v(p: _Pen) -> None:
    gap = p.s.apex * p.w / 4
    p.slant(p.l, p.t, p.c - gap, p.b)
    p.slant(p.r, p.t, p.c + gap, p.b)


def _w(p: _Pen) -> None:
    quarter = (p.r - p.l) / 4
    top = p.t + (0.0 if p.s.em == 1.0 else (1 - p.s.em) * 0.8 * p.h)
    for outer, inner in ((p.l, p.l + quarter), (p.r, p.r - quarter)):
        p.slant(outer, p.t, inner, p.b)
        p.slant(inner, p.b, p.c, top, end=p.s.em == 1.0)


def _x(p: _Pen) -> None:
    p.slant(p.l, p.t, p.r, p.b)
    p.slant(p.r, p.t, p.l, p.b)


def _y(p: _Pen) -> None:
    fork = (0.42 + 0.2 * p.s.apex) * p.h + 0.08 * p.h
    p.slant(p.l, p.t, p.c, fork, end=False)
    p.slant(p.r, p.t, p.c, fork, end=False)
    p.line(p.c, fork - 0.3 * p.k, p.c, p.b)


def _z(p: _Pen) -> None:
    p.line(p.l, p.t, p.r, p.t)
    p.line(p.l, p.b, p.r, p.b)
    p.line(p.r, p.t, p.l, p.b, 0, 0)


def _0(p: _Pen) -> None:
    p.ring(p.l, p.t, p.r, p.b)
    if p.s.zero == 1:
        heavy, p.k = p.k, p.k * 0.7
        p.line(p.r - 0.4 * p.k, 0.24 * p.h, p.l + 0.4 * p.k, 0.76 * p.h, 0, 0)
        p.k = heavy
    elif p.s.zero == 2:
        p.line(p.c, 0.47 * p.h, p.c, 0.53 * p.h)


def _1(p: _Pen) -> None:
    if p.s.one == 0:
        p.line(p.c, p.t, p.c, p.b)
        return
    x = min(p.c + (0.12 * p.w if p.s.one == 1 else 0.04 * p.w), p.r)
    p.line(x, p.t, x, p.b)
    reach = min(0.36 * p.w, x - p.l)
    p.slant(x, p.t + 0.1 * p.k, x - reach, p.t + min(0.24 * p.h, reach + 0.06 * p.h), start=False, end=False)
    if p.s.one == 2:
        p.line(max(x - 0.36 * p.w, p.l), p.b, min(x + 0.36 * p.w, p.r), p.b)


def _2(p: _Pen) -> None:
    top = p.s.hook * p.h
    upper = min(p.ry, 0.24 * p.h)
    path = p.trace(p.l, max(p.t + upper, top)).to(p.l, p.t + upper).turn(p.l + p.rx, p.t, True)
    path.to(p.r - p.rx, p.t).turn(p.r, p.t + upper, False).to(p.r, max(0.3 * p.h, p.t + upper))
    y = 0.3 * p.h
    path.bend(p.l, p.b, (p.r, y + (0.12 + 0.2 * p.s.neck) * p.h), (p.l, p.b - 0.42 * p.s.neck * p.h))
    p.sweep(path.cut(lambda _, y: y > top + 1, _never), 0, 0)
    p.line(p.l, p.b, p.r, p.b)


def _3(p: _Pen) -> None:
    lower = min(p.ry, (p.b - p.m) / 2)
    top, low = p.s.hook * 0.9 * p.h, (1 - p.s.hook * 0.9) * p.h
    if p.s.three == 1:
        p.line(p.l, p.t, p.r, p.t)
        start = (p.l + 0.42 * (p.r - p.l), p.m - 0.06 * p.h)
        p.line(p.r - 0.1 * p.k, p.t + 0.2 * p.k, *start, 0, 0)
        path = p.trace(*start)
        rx = min(p.rx, p.r - start[0])
        path.to(p.r - rx, start[1]).turn(p.r, start[1] + lower, False)
    else:
        right, upper = p.r - 0.05 * p.w, min(p.ry, (p.m - p.t) / 2)
        rx = min(p.rx, (right - p.l) / 2)
        arm = p.trace(p.l, max(p.t + upper, top)).to(p.l, p.t + upper).turn(p.l + rx, p.t, True).to(right - rx, p.t)
        arm.turn(right, p.t + upper, False).to(right, p.m - upper).turn(right - rx, p.m, True)
        p.sweep(arm.to(p.c - 0.12 * p.w, p.m).cut(lambda _, y: y > top + 1, _never))
        path = p.trace(p.c - 0.12 * p.w, p.m).to(p.r - p.rx, p.m).turn(p.r, p.m + lower, False)
    path.to(p.r, p.b - lower).turn(p.r - p.rx, p.b, True).to(p.l + p.rx, p.b).turn(p.l, p.b - lower, False)
    path.to(p.l, min(low, p.b - lower))
    p.sweep(path.cut(_never, lambda x, y: x < p.c and y < low - 1))


def _4(p: _Pen) -> None:
    bar = 0.74 * p.h
    x = p.r if p.s.four == 2 else p.l + 0.74 * (p.r - p.l)
    if p.s.four == 1:
        top = p.l + 0.3 * (p.r - p.l)
        p.slant(top, p.t, p.l, bar, end=False)
        p.line(x, 0.42 * p.h, x, p.b)
    else:
        p.slant(x - 0.1 * p.k, p.t, p.l, bar, end=False)
        p.line(x, p.t, x, p.b)
    p.line(p.l, bar, p.r, bar)


def _5(p: _Pen) -> None:
    shoulder, low = 0.42 * p.h, (1 - p.s.hook * 0.9) * p.h
    left = p.l + 0.05 * p.w
    p.line(left, p.t, p.r - 0.03 * p.w, p.t)
    p.line(left, p.t, left - 0.03 * p.w, shoulder + 0.06 * p.h, 0.5, 0.3)
    lower = min(p.ry, (p.b - shoulder) / 2)
    path = p.trace(left, shoulder).to(p.r - p.rx, shoulder).turn(p.r, shoulder + lower, False).to(p.r, p.b - lower)
    path.turn(p.r - p.rx, p.b, True).to(p.l + p.rx, p.b).turn(p.l, p.b - lower, False).to(p.l, min(low, p.b - lower))
    p.sweep(path.cut(_never, lambda x, y: x < p.c and y < low - 1))


def _6(p: _Pen) -> None:
    waist, top = 0.43 * p.h, p.s.hook * p.h
    if p.s.six == 1:
        p.ring(p.l, waist, p.r, p.b)
        y = (waist + p.b) / 2 - 0.04 * p.h
        p.slant(p.l + 0.62 * (p.r - p.l), p.t, p.l, y, end=False)
        return
    lower = min(p.ry, (p.b - waist) / 2)
    p.ring(p.l, waist, p.r, p.b)
    path = p.trace(p.r, max(p.t + p.ry, top)).to(p.r, p.t + p.ry).turn(p.r - p.rx, p.t, True)
    path.to(p.l + p.rx, p.t).turn(p.l, p.t + p.ry, False).to(p.l, max(p.b - lower, p.t + p.ry))
    p.sweep(path.cut(lambda _, y: y > top + 1, _never))


def _7(p: _Pen) -> None:
    p.line(p.l, p.t, p.r, p.t)
    foot = p.l + 0.26 * (p.r - p.l)
    if p.s.seven == 1:
        y = p.t + 0.14 * p.h
        path = p.trace(p.r, p.t).to(p.r, y)
        path.bend(foot, p.b, (p.r, y + 0.2 * p.h), (foot, p.b - 0.4 * p.h))
        p.sweep(path.points, 0, 0.5)
    else:
        p.slant(p.r, p.t, foot, p.b)
    if p.s.seven == 2:
        p.line(p.l + 0.2 * p.w, p.m, p.r, p.m, 0, 0)


def _8(p: _Pen) -> None:
    inset = 0.05 * p.w
    waist = p.m - 0.01 * p.h
    p.ring(p.l + inset, p.t, p.r - inset, waist)
    p.ring(p.l, waist, p.r, p.b)


def _9(p: _Pen) -> None:
    _6(p)
    p.mask = np.ascontiguousarray(p.mask[::-1, ::-1])


_DRAW: dict[str, Callable[[_Pen], None]] = {
    name[1].upper(): function
    for name, function in list(globals().items())
    if len(name) == 2 and name[0] == "_" and callable(function)
}


@lru_cache(maxsize=16384)
def glyph(char: str, family: str, index: int) -> Mask:
    """The coverage mask (HEIGHT, w) of a character of A-Z0-9 in one style; w is its advance. Read-only."""
    pen = _Pen(char, style(family, index))
    _DRAW[char](pen)
    mask = pen.glyph()
    mask.setflags(write=False)
    return mask
