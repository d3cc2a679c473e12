"""A rendered plate as a detector would cut it from a photo: surroundings, a frame, a tilted or loose cut, then wear.

The same generator state gives the same pixels.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.rendering import wear
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.perspective import Corners, homography, rectangle, turned_quad
from pipeline.rendering.plates import RenderedPlate, render_plate, rounded
from pipeline.rendering.wear import RGB

MIN_CHAR_HEIGHT = 8.0  # pixels in the photo, of a character that a person can still read
_LEAST_CONTRAST = 38.0  # grey levels between ground and ink that a crop keeps


def render_crop(
    rng: np.random.Generator,
    height: int = 64,
    width: int = 192,
    fonts: FontBook | None = None,
    catalogue: Catalogue | None = None,
) -> tuple[RGB, RenderedPlate]:
    """(crop, plate): a plate, worn, as a detector would cut it from a photo.

    The crop is RGB uint8 (height, w, 3) in the plate's own proportions, height/2 <= w <= 2.7 width; a person can read
    its text.
    """
    layout = (catalogue or Catalogue.shipped()).choose(rng)
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
    return crop, plate


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
        cv2.fillPoly(outside, [rounded(0, 0, w - 1, h - 1, radius)], 0, cv2.LINE_8, 4)
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
    """A plate holder, often with a dealer's name below the plate, above it or both."""
    side = rng.uniform(0.03, 0.09) * h
    below = rng.uniform(0.04, 0.3) * h
    above = rng.uniform(0.1, 0.25) * h if rng.random() < 0.25 else side
    dark = rng.random() < 0.75
    x0, y0 = round(pad - side), round(pad - above)
    x1, y1 = round(pad + w + side), round(pad + h + below)
    picture[y0:y1, x0:x1] = round(rng.uniform(5, 50) if dark else rng.uniform(140, 240))
    paint = rng.uniform(180, 250) if dark else rng.uniform(5, 60)
    fill = rng.uniform(0.5, 0.85)
    for top, room in ((pad + h, below), (pad - above, above)):
        if room < 0.1 * h:
            continue
        ink = book.caption(rng, _DEALERS[int(rng.integers(len(_DEALERS)))])
        deep = max(2, round(fill * room))
        wide = max(2, min(round(ink.shape[1] * deep / ink.shape[0] * rng.uniform(1.0, 1.5)), round(0.95 * w)))
        share = cv2.resize(ink, (wide, deep), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
        start, left = round(top + (room - deep) / 2), round(pad + (w - wide) * rng.uniform(0.2, 0.8))
        target = picture[start : start + deep, left : left + wide]
        target[:] = (target + (paint - target) * share).astype(np.uint8)


_DEALERS = (
    "AUTOHAUS MEIER", "www.example.com", "Hillside Motors", "CITY CARS", "AUTO CENTER NORD", "Lakeview Ford",
    "MOTOR GROUP", "BILCENTRUM AB", "Garage du Lac", "AUTOSALON", "Sunrise Honda", "www.example.in", "TOYOTA",
    "VALLEY MOTORS", "EST. 1987", "STORMS", "ROAD RACE", "SAN FRANCISCO", "SOLANA BEACH", "UNIVERSITY", "smart",
    "PROUD DAD", "Tel. 0123 456789", "ALUMNI", "MY OTHER CAR", "AUTOMOBILES",
)  # fmt: skip


def _cut(rng: np.random.Generator, picture: RGB, corners: Corners, aspect: float, height: int) -> RGB:
    """Cuts the plate out as a corner detector would, a little off; or by an upright box round a tilted plate."""
    if rng.random() < 0.55:
        off = rng.normal(0, 0.028, (4, 2)) * height * rng.choice([0.5, 1.0, 1.8])
        margins = rng.uniform(-0.03, 0.12, 4) * height if rng.random() < 0.8 else rng.uniform(0.0, 0.4, 4) * height
        left, top, right, bottom = margins
        grown = corners + np.array([[-left, -top], [right, -top], [right, bottom], [-left, bottom]]) + off
        wide, tall = aspect * height + left + right, height + top + bottom
        size = (max(16, round(wide)), max(16, round(tall)))
        matrix = homography(grown, rectangle(*size))
    else:
        angles = rng.normal(0, (20.0, 10.0, 4.5 if rng.random() < 0.6 else 12.0))
        yaw, pitch, roll = np.clip(angles, (-48, -24, -26), (48, 24, 26))
        quad = turned_quad(aspect * height, height, float(yaw), float(pitch), float(roll), float(rng.uniform(2.5, 10)))
        low, high = quad.min(axis=0), quad.max(axis=0)
        margin = rng.uniform(-0.03, 0.1 if rng.random() < 0.7 else 0.3, 4) * height
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
