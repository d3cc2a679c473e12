"""What weather, light, lenses, sensors and codecs do to a picture of a plate. RGB uint8 (h, w, 3) in and out."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]  # (h, w, 3)
Field = NDArray[np.float32]  # (h, w), a factor for each pixel


_SHEET = 512  # rows of the sheets of grain


def smooth_field(rng: np.random.Generator, height: int, width: int, cells: int, low: float, high: float) -> Field:
    """A cloudy field (height, width) between low and high, about `cells` clouds across."""
    rows = max(2, round(cells * height / max(width, 1)) + 1)
    coarse = rng.uniform(low, high, (rows, max(2, cells))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def light(rng: np.random.Generator, height: int, width: int, strength: float = 1.0) -> Field:
    """A field of brightness factors round 1: a slope, and often a shadow's edge or a glare."""
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    slope = rng.normal(0, 0.16 * strength, 2).astype(np.float32)
    field = 1.0 + slope[0] * across + slope[1] * down
    if rng.random() < 0.3 * strength:  # a shadow with a straight, more or less soft edge
        angle = rng.uniform(0, 2 * math.pi) if rng.random() < 0.4 else math.pi / 2 + rng.normal(0, 0.25)
        offset, soft = rng.uniform(-0.4, 0.4), rng.uniform(0.01, 0.15)
        side = (across * math.cos(angle) + down * math.sin(angle) - offset) / soft
        field = field * (1.0 - rng.uniform(0.2, 0.6) * strength / (1.0 + np.exp(-np.clip(side, -30, 30))))
    if rng.random() < 0.12 * strength:  # glare
        x, y = rng.uniform(-0.5, 0.5, 2)
        wide, tall = rng.uniform(0.05, 0.35), rng.uniform(0.15, 0.8)
        field = field + rng.uniform(0.15, 0.5) * np.exp(-(((across - x) / wide) ** 2) - ((down - y) / tall) ** 2)
    return np.asarray(field, dtype=np.float32)


def dirt(rng: np.random.Generator, image: RGB, amount: float) -> RGB:
    """Lays brownish, greyish or whitish dust over the image; amount 0..1."""
    height, width = image.shape[:2]
    cover = smooth_field(rng, height, width, int(rng.integers(4, 24)), -0.7, 1.0)
    cover = np.clip(cover, 0, 1) * amount
    colour = np.array(((112, 96, 76), (70, 66, 62), (190, 186, 176))[int(rng.integers(3))], dtype=np.float32)
    worn = image + (colour - image) * cover[..., None]
    return np.clip(worn, 0, 255).astype(np.uint8)


def tone(image: RGB, gain: Field, gamma: float, lift: float, tint: tuple[float, float, float]) -> RGB:
    """Exposure (a factor for each pixel), gamma, haze (`lift`, 0..255) and a colour cast, in one pass."""
    levels = np.linspace(0, 1, 256, dtype=np.float32) ** gamma
    curve = lift + (255 - lift) * levels
    table = np.clip(curve[:, None] * np.asarray(tint, dtype=np.float32), 0, 255).astype(np.uint8)
    toned = cv2.LUT(image, table.reshape(256, 1, 3))
    hundredths = np.clip(gain * 100 + 0.5, 0, 255).astype(np.uint8)
    lit = cv2.multiply(toned, cv2.merge([hundredths] * 3), scale=0.01)
    return np.asarray(lit, dtype=np.uint8)


def motion_kernel(length: float, angle: float) -> Field:
    """A line of `length` pixels at `angle` degrees, as a normalised kernel of odd size."""
    size = max(3, 2 * math.ceil(length / 2) + 1)
    kernel = np.zeros((size, size), dtype=np.float32)
    middle = (size - 1) / 2
    dx, dy = math.cos(math.radians(angle)) * length / 2, math.sin(math.radians(angle)) * length / 2
    start = (round((middle - dx) * 16), round((middle - dy) * 16))
    end = (round((middle + dx) * 16), round((middle + dy) * 16))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA if size > 3 else cv2.LINE_8, shift=4)
    if size == 3:
        kernel[1, 1] += max(0.0, 3.0 - length)
    return _exact(kernel)


def _exact(kernel: NDArray[np.floating]) -> Field:
    """The kernel in steps of 1/256 with the sum 1: products with bytes are then exact, so all processors agree."""
    steps = np.round(kernel * (256.0 / float(kernel.sum())))
    middle = tuple(side // 2 for side in steps.shape)
    steps[middle] += 256.0 - steps.sum()
    return (steps / 256.0).astype(np.float32)


def blur(rng: np.random.Generator, image: RGB, reach: float) -> RGB:
    """Focus or motion blur of about `reach` pixels (a standard deviation, or the half length of a motion)."""
    if reach < 0.15:
        return image
    kind = rng.random()
    if kind < 0.55:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), reach), dtype=np.uint8)
    if kind < 0.85:
        angle = rng.normal(0, 20) if rng.random() < 0.7 else rng.uniform(0, 180)
        return np.asarray(cv2.filter2D(image, -1, motion_kernel(max(1.5, 2.6 * reach), angle)), dtype=np.uint8)
    size = 2 * math.ceil(1.6 * reach) + 1
    grid = np.hypot(*np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1])
    disc = np.clip(1.7 * reach + 0.5 - grid, 0, 1)
    return np.asarray(cv2.filter2D(image, -1, _exact(disc)), dtype=np.uint8)


@lru_cache(maxsize=3)
def _grain(kind: int) -> NDArray[np.float32]:
    """A sheet of grain of unit variance: 0 grey, 1 partly coloured, 2 coarse."""
    rng = np.random.default_rng([9, kind])
    grain = np.repeat(rng.standard_normal((_SHEET, 2 * _SHEET, 1), dtype=np.float32), 3, axis=2)
    if kind > 0:
        grain = ((grain + rng.standard_normal(grain.shape, dtype=np.float32)) * math.sqrt(0.5)).astype(np.float32)
    if kind > 1:  # with half of two neighbours and a quarter of the one between: 1.25 times the deviation
        grain = ((grain + 0.5 * np.roll(grain, 1, axis=0)) / 1.25).astype(np.float32)
        grain = (grain + 0.5 * np.roll(grain, 1, axis=1)).astype(np.float32)
    grain.setflags(write=False)
    return grain


def noise(rng: np.random.Generator, image: RGB, sigma: float) -> RGB:
    """Sensor noise: grey, partly in colour or in coarse grains. Cut from a sheet, for speed."""
    if sigma < 0.5:
        return image
    height, width = image.shape[:2]
    sheet = _grain(int(rng.integers(3)))
    if height > _SHEET or width > 2 * _SHEET:
        grain = rng.standard_normal((height, width, 3), dtype=np.float32)
    else:
        y, x = int(rng.integers(_SHEET - height + 1)), int(rng.integers(2 * _SHEET - width + 1))
        grain = sheet[y : y + height, x : x + width]
    return np.clip(image + grain * np.float32(sigma), 0, 255).astype(np.uint8)


def jpeg(image: RGB, quality: int) -> RGB:
    """Through a JPEG and back."""
    _, buffer = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(buffer, cv2.IMREAD_COLOR), dtype=np.uint8)


def sharpen(image: RGB, amount: float) -> RGB:
    """An unsharp mask, as phones and cameras apply."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), dtype=np.uint8)
