"""Warping a flat picture onto a photo at a quad, anti-aliased by area, and matched to what is round it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.rendering.perspective import Corners, homography, rectangle
from pipeline.rendering.wear import RGB

Alpha = NDArray[np.float32]  # (h, w) 0..1

_SUPER = 2  # samples a pixel and direction of the warp, before they are averaged
_DIFFERENCE_VARIANCE = 0.42  # square pixels by which sampling and central differences soften a step
_FLAT_BLUR = 0.8  # taken where the surroundings have no edge to measure blur by


def _sides(quad: Corners) -> tuple[float, float]:
    """(width, height) in pixels: the longer of each pair of opposite sides."""
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(max(edges[0], edges[2])), float(max(edges[1], edges[3]))


def _window(quad: Corners, shape: tuple[int, ...], margin: float) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) of the pixels round a quad, inside the image; empty where x0 >= x1 or y0 >= y1."""
    low, high = np.floor(quad.min(axis=0) - margin), np.ceil(quad.max(axis=0) + margin)
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    return x0, y0, min(shape[1], int(high[0])), min(shape[0], int(high[1]))


def _warp(
    picture: RGB, alpha: NDArray[np.uint8], quad: Corners, window: tuple[int, int, int, int]
) -> tuple[RGB, NDArray[np.uint8]]:
    """The picture and its coverage as seen in the window; area-averaged, so that small plates do not alias."""
    x0, y0, x1, y1 = window
    wide, tall = _sides(quad)
    shrink_x = min(1.0, 1.3 * _SUPER * max(wide, 2.0) / picture.shape[1])
    shrink_y = min(1.0, 1.3 * _SUPER * max(tall, 2.0) / picture.shape[0])
    if shrink_x < 1.0 or shrink_y < 1.0:
        size = (max(4, round(picture.shape[1] * shrink_x)), max(4, round(picture.shape[0] * shrink_y)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    # Pixel centres lie at half integers: a quad's corner at x is the left edge of pixel x.
    target = (quad - (x0, y0)) * _SUPER - 0.5
    matrix = homography(rectangle(picture.shape[1], picture.shape[0]) - 0.5, target)
    size = ((x1 - x0) * _SUPER, (y1 - y0) * _SUPER)
    seen = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    small = (x1 - x0, y1 - y0)
    return (
        np.asarray(cv2.resize(seen, small, interpolation=cv2.INTER_AREA), dtype=np.uint8),
        np.asarray(cv2.resize(cover, small, interpolation=cv2.INTER_AREA), dtype=np.uint8),
    )


def lay(image: RGB, picture: RGB, alpha: NDArray[np.uint8], quad: Corners) -> None:
    """Lays a flat picture with its coverage (h, w) over `image`, in place, its corners at the quad."""
    window = _window(quad, image.shape, 2.0)
    x0, y0, x1, y1 = window
    if x0 >= x1 or y0 >= y1:
        return
    seen, cover = _warp(picture, alpha, quad, window)
    target = image[y0:y1, x0:x1]
    share = cover[..., None] * np.float32(1 / 255)
    target[:] = (target + (seen.astype(np.float32) - target) * share + 0.5).astype(np.uint8)


def plate_alpha(height: int, width: int, radius: float) -> NDArray[np.uint8]:
    """Coverage (height, width) of a plate with rounded corners of `radius` pixels."""
    alpha = np.full((height, width), 255, np.uint8)
    r = int(radius)
    if r < 1:
        return alpha
    distance = np.hypot(*np.meshgrid(np.arange(r) + 0.5 - radius, np.arange(r) + 0.5 - radius))
    corner = (np.clip(radius + 0.5 - distance, 0, 1) * 255).astype(np.uint8)
    alpha[:r, :r], alpha[:r, -r:] = corner, corner[:, ::-1]
    alpha[-r:, :r], alpha[-r:, -r:] = corner[::-1], corner[::-1, ::-1]
    return alpha


def blur_of(grey: NDArray[np.uint8]) -> float:
    """The blur of a photo, as the standard deviation in pixels of a Gaussian that would soften a step as much.

    A step of height c through a Gaussian has the slope c / (s sqrt(2 pi)): the steepest strong edges tell s.
    """
    if min(grey.shape) < 8:
        return _FLAT_BLUR
    values = grey.astype(np.float32)
    kernel = np.ones((7, 7), np.uint8)
    step = cv2.dilate(grey, kernel).astype(np.float32) - cv2.erode(grey, kernel)
    slope = cv2.magnitude(cv2.Sobel(values, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(values, cv2.CV_32F, 0, 1) / 8)
    strong = step > 40
    if strong.sum() < 20:
        return _FLAT_BLUR
    steepest = float(np.percentile(np.asarray(slope[strong] / step[strong], np.float64), 97))
    measured = 1.0 / (max(steepest, 1e-3) * math.sqrt(2 * math.pi))
    return float(np.clip(math.sqrt(max(measured**2 - _DIFFERENCE_VARIANCE, 0.0)), 0.4, 3.0))


def grain_of(grey: NDArray[np.uint8]) -> float:
    """The noise of a photo (standard deviation), from the median of its second differences (Immerkaer's mask)."""
    if min(grey.shape) < 8:
        return 0.0
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(grey, cv2.CV_32F, mask)))) / 0.6745 / 6.0


def paste_plate(
    rng: np.random.Generator, image: RGB, plate: RGB, quad: Corners, feather: float = 0.6, match: float = 1.0
) -> RGB:
    """A copy of the photo with the plate warped onto it; only pixels round the quad change.

    The plate takes the surroundings' brightness and colour cast (`match` 0: not at all), their blur and their noise.
    `quad` (4, 2) runs clockwise from the plate's own top-left and may leave the frame; `feather` softens the edge, in
    pixels. ValueError for a quad that is not (4, 2).
    """
    quad = np.asarray(quad, dtype=np.float64)
    if quad.shape != (4, 2):
        raise ValueError(f"a quad has shape (4, 2), not {quad.shape}")
    result = image.copy()
    wide, tall = _sides(quad)
    window = _window(quad, image.shape, 4.0 + 3.0 * feather)
    x0, y0, x1, y1 = window
    if x0 >= x1 or y0 >= y1 or wide < 1.0 or tall < 1.0:
        return result
    rx0, ry0, rx1, ry1 = _window(quad, image.shape, 0.5 * tall + 6)
    around = image[ry0:ry1, rx0:rx1]
    grey = np.asarray(cv2.cvtColor(around, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    alpha = plate_alpha(plate.shape[0], plate.shape[1], rng.uniform(0.0, 0.1) * plate.shape[0])
    seen, cover = _warp(_lit(rng, plate, around, match), alpha, quad, window)
    softness = math.sqrt(max(blur_of(grey) ** 2 - 0.16, 0.0)) * float(rng.uniform(0.8, 1.1))
    softness = min(softness, 0.07 * tall)
    if softness > 0.2:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), softness), dtype=np.uint8)
    edge = max(feather, softness)
    if edge > 0.2:
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), edge), dtype=np.uint8)
    worn = seen.astype(np.float32)
    sigma = min(grain_of(grey), 8.0)
    if sigma > 0.5:
        worn += rng.standard_normal((*seen.shape[:2], 1), dtype=np.float32) * np.float32(sigma)
    target = result[y0:y1, x0:x1]
    share = cover[..., None] * np.float32(1 / 255)
    target[:] = np.clip(target + (worn - target) * share + 0.5, 0, 255).astype(np.uint8)
    return result


def _lit(rng: np.random.Generator, plate: RGB, around: RGB, match: float) -> RGB:
    """The plate under the light of its surroundings: its bright parts as bright as theirs, partly their cast."""
    if match <= 0:
        return plate
    bright = np.percentile(around.reshape(-1, 3), 92, axis=0)
    level = float(np.clip(bright.mean(), 60, 250)) * float(rng.uniform(0.85, 1.15))
    own = float(np.clip(np.percentile(plate, 92), 120, 255))
    gain = float(np.clip(level / own, 0.35, 1.25)) ** match
    cast = np.clip(bright / max(float(bright.mean()), 1.0), 0.8, 1.25) ** (0.4 * match)
    haze = float(np.clip(np.percentile(around, 2) * 0.5, 0, 40)) * match
    table = np.clip(haze + np.arange(256)[:, None] * (1 - haze / 255) * gain * cast, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(plate, table.reshape(256, 1, 3)), dtype=np.uint8)
