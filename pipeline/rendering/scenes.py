"""Rendered photos: a backdrop, cars, and plates in true perspective whose corners and texts are known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.records import Plate, Quad
from pipeline.rendering import wear
from pipeline.rendering.backdrops import draw_backdrop, stamp_time
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.pasting import lay, paste_plate, plate_alpha
from pipeline.rendering.perspective import Corners, homography, random_quad, rectangle, through
from pipeline.rendering.plates import RenderedPlate, render_plate
from pipeline.rendering.vehicles import draw_vehicle
from pipeline.rendering.wear import RGB

__all__ = ["Scene", "paste_plate", "random_quad", "render_scene"]

MIN_WIDTH, MAX_WIDTH = 0.03, 0.5  # a plate's width, as a share of the frame's
LEGIBLE_HEIGHT = 7.5  # pixels of a character below which no text is claimed
LEGIBLE_CONTRAST = 36.0  # grey levels on a plate, likewise
MAX_PLATES = 3
_EDGE = 1.5  # pixels between a plate and the frame


@dataclass(frozen=True, slots=True)
class Scene:
    """A rendered photo and the truth about it."""

    image: RGB
    plates: tuple[Plate, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    plate: RenderedPlate
    quad: Corners


def render_scene(
    rng: np.random.Generator, width: int, height: int, plates: int | None = None, fonts: FontBook | None = None
) -> Scene:
    """A photo of width x height pixels with `plates` plates on it (0..3; by default mostly one).

    Every plate has its exact quad, the box round it, region and rows, and its text where it can be read. ValueError
    for a frame below 96 pixels, or for more plates than fit.
    """
    if min(width, height) < 96:
        raise ValueError(f"a scene is at least 96 pixels wide and high, not {width} x {height}")
    if plates is not None and not 0 <= plates <= MAX_PLATES:
        raise ValueError(f"a scene has 0 to {MAX_PLATES} plates, not {plates}")
    book = fonts or FontBook.reproducible()
    count = int(rng.choice(4, p=[0.1, 0.66, 0.17, 0.07])) if plates is None else plates
    image = draw_backdrop(rng, width, height, book)
    placed = _park(rng, image, count, book)
    for item in placed:
        tall, wide = item.plate.image.shape[:2]
        alpha = plate_alpha(tall, wide, rng.uniform(0, 0.1) * tall)
        lay(image, _weathered(rng, item.plate.image), alpha, item.quad)
    hidden = [bool(rng.random() < 0.06) for _ in placed]
    for item, covered in zip(placed, hidden, strict=True):
        if covered:
            _cover(rng, image, item.quad)
    heights = [_char_height(item) for item in placed]
    image = _exposed(rng, image, min((height for height in heights if height >= LEGIBLE_HEIGHT), default=20.0))
    clear = [
        not covered and height >= LEGIBLE_HEIGHT and _contrast(image, item.quad) >= LEGIBLE_CONTRAST
        for item, height, covered in zip(placed, heights, hidden, strict=True)
    ]
    if rng.random() < 0.15:
        stamp_time(rng, image, book)
    return Scene(image, tuple(_record(item, legible) for item, legible in zip(placed, clear, strict=True)))


def _park(rng: np.random.Generator, image: RGB, count: int, book: FontBook) -> list[_Placed]:
    """Draws the cars, far ones first, and says where their plates go: each in its own strip of the frame."""
    height, width = image.shape[:2]
    strip = width / max(count, 1)
    order = rng.permutation(count)
    placed = []
    for index in range(count):
        most = MAX_WIDTH if count == 1 else 0.55 * strip / width
        least = max(MIN_WIDTH if rng.random() < 0.15 else 2 * MIN_WIDTH, 12 / width)
        share = math.exp(rng.uniform(math.log(least), math.log(most)))
        plate = render_plate(rng, Catalogue.shipped().choose(rng), None, 64 if share * width < 130 else 112, book)
        aspect = plate.image.shape[1] / plate.image.shape[0]
        seen = share * width * min(1.0, aspect / 3.0)
        vehicle = draw_vehicle(rng, max(24, round(min(seen * 1.3, 260))), aspect, book)
        quad = random_quad(rng, (0.0, 0.0), seen, aspect)
        low, high = quad.min(axis=0), quad.max(axis=0)
        left, right = order[index] * strip + _EDGE - low[0], (order[index] + 1) * strip - _EDGE - high[0]
        top, bottom = _EDGE - low[1], height - _EDGE - high[1]
        x = left + (right - left) * float(np.clip(rng.normal(0.5, 0.22), 0, 1))
        y = top + (bottom - top) * float(np.clip(rng.normal(0.62, 0.2), 0, 1))
        quad = quad + np.array([x, y])
        corners = rectangle(vehicle.picture.shape[1], vehicle.picture.shape[0])
        around = through(homography(vehicle.plate, quad), corners)
        if _plausible(around, width):
            _ground_shadow(image, around)
            lay(image, vehicle.picture, vehicle.alpha, around)
        placed.append(_Placed(plate, quad))
    return placed


def _plausible(quad: Corners, width: int) -> bool:
    """False where a strong perspective throws a car's corners behind the camera or far away."""
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    edges = np.roll(quad, -1, axis=0) - quad
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    return bool((turns > 0).all() and sides.max() < 6 * width and sides.max() < 6 * sides.min())


def _ground_shadow(image: RGB, around: Corners) -> None:
    height, width = image.shape[:2]
    foot = (around[2] + around[3]) / 2
    reach = float(np.linalg.norm(around[2] - around[3]))
    mask = np.zeros((height, width), np.uint8)
    centre = (round(float(np.clip(foot[0], -9000, 9000))), round(float(np.clip(foot[1], -9000, 9000))))
    cv2.ellipse(mask, centre, (max(1, round(0.55 * reach)), max(1, round(0.07 * reach))), 0, 0, 360, 150, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.02 * min(reach, 400)))
    image[:] = (image * (1 - soft[..., None] / np.float32(255))).astype(np.uint8)


def _weathered(rng: np.random.Generator, plate: RGB) -> RGB:
    """A plate as it hangs on a car: dirt, its own light, a bumper's shadow."""
    if rng.random() < 0.3:
        plate = wear.dirt(rng, plate, rng.uniform(0.1, 0.5))
    gain = wear.light(rng, *plate.shape[:2]) * np.float32(rng.uniform(0.75, 1.05))
    return wear.tone(plate, gain, 1.0, rng.uniform(0, 12), (1.0, 1.0, 1.0))


def _cover(rng: np.random.Generator, image: RGB, quad: Corners) -> None:
    """Hides a good part of a plate behind a pole, a hand's breadth of mud or a tow bar."""
    start = rng.uniform(0.1, 0.5)
    end = start + rng.uniform(0.35, 0.5)
    along = quad[1] - quad[0], quad[2] - quad[3]
    down = (quad[3] - quad[0]) * rng.uniform(0.2, 0.6)
    patch = np.array(
        [quad[0] + start * along[0] - down, quad[0] + end * along[0] - down, quad[3] + end * along[1] + down,
         quad[3] + start * along[1] + down]
    )  # fmt: skip
    shade = tuple(float(v) for v in np.clip(rng.uniform(10, 140) + rng.normal(0, 12, 3), 0, 255))
    cv2.fillPoly(image, [np.round(patch * 16).astype(np.int32)], shade, cv2.LINE_AA, 4)


def _exposed(rng: np.random.Generator, image: RGB, char_height: float) -> RGB:
    """Light, exposure, blur, noise and compression of the whole frame; less where its plates are small."""
    height, width = image.shape[:2]
    ease = float(np.clip((char_height - 5.0) / 12.0, 0.1, 1.0))
    gain = wear.light(rng, height, width, 0.6)
    night = rng.random() < 0.1
    exposure = rng.uniform(0.3, 0.6) if night else math.exp(rng.normal(0, 0.18))
    cast = np.exp(rng.normal(0, 0.05, 3)) * ((1.1, 1.0, 0.82) if night else (1, 1, 1))
    haze = rng.uniform(0, 60) if rng.random() < 0.15 else rng.uniform(0, 10)
    tint = (float(cast[0]), float(cast[1]), float(cast[2]))
    image = wear.tone(image, gain * np.float32(exposure), math.exp(rng.normal(0, 0.15)), haze, tint)
    image = wear.blur(rng, image, min(0.35 + abs(rng.normal(0, 0.7)) * ease, 1.8, 0.09 * char_height))
    image = wear.noise(rng, image, abs(rng.normal(0, 7.0)) * (0.3 + 0.7 * ease))
    if rng.random() < 0.3:
        image = wear.sharpen(image, rng.uniform(0.3, 1.0))
    if rng.random() < 0.6:
        image = wear.jpeg(image, int(rng.integers(50, 96)))
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return image


def _char_height(item: _Placed) -> float:
    """Pixels of the plate's smallest characters in the frame."""
    sides = np.linalg.norm(np.roll(item.quad, -1, axis=0) - item.quad, axis=1)
    return float(item.plate.char_height / item.plate.image.shape[0] * min(sides[1], sides[3]))


def _contrast(image: RGB, quad: Corners) -> float:
    """Grey levels between the dark and the light parts of what the quad holds."""
    low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
    window = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    inside = cv2.fillConvexPoly(np.zeros(window.shape, np.uint8), np.round(quad - low).astype(np.int32), 1)
    dark, light = np.percentile(np.asarray(window[inside > 0], np.float64), (8, 92))
    return float(light - dark)


def _record(item: _Placed, legible: bool) -> Plate:
    points = [(float(x), float(y)) for x, y in np.round(item.quad, 3)]
    quad = Quad(*points)
    return Plate(
        box=quad.box,
        quad=quad,
        text=item.plate.text if legible else None,
        region=item.plate.region,
        rows=item.plate.rows,
        legible=legible,
    )
