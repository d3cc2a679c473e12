"""What stands behind the cars: sky, road, walls, trees, people's lettering. None of it is a plate."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.rendering import wear
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.wear import RGB

_WORDS = (
    "PHARMACY",
    "HOTEL",
    "CAFE",
    "STOP",
    "PARKING",
    "TAXI",
    "OPEN",
    "SALE",
    "BAKERY",
    "Repair",
    "EXIT",
    "BANK",
    "ONE WAY",
    "NO ENTRY",
    "MARKET",
    "ROUTE 66",
    "Welcome",
    "DINER",
    "GARAGE",
    "CARGO",
    "EXPRESS",
    "LOGISTICS",
    "24 HOURS",
    "ZONE 30",
    "PIZZA",
    "Tel 555 0199",
    "M4 WEST",
    "km 120",
    "EST 1962",
    "KIOSK",
    "BUS STOP",
    "FOR RENT",
    "2.99",
    "Main St",
    "A7",
)


def draw_backdrop(rng: np.random.Generator, width: int, height: int, book: FontBook) -> RGB:
    """A street, a yard, a wall or a show room, with some lettering."""
    horizon = round(height * rng.uniform(0.2, 0.6))
    picture = np.empty((height, width, 3), np.float32)
    picture[:horizon] = _sky(rng, horizon, width)
    picture[horizon:] = _ground(rng, height - horizon, width)
    image = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 7))):
        _block(rng, image, horizon)
    if rng.random() < 0.5:
        _trees(rng, image, horizon)
    _markings(rng, image, horizon)
    for _ in range(int(rng.integers(0, 4))):
        _sign(rng, image, book)
    return image


def _sky(rng: np.random.Generator, height: int, width: int) -> wear.Field:
    tops = np.array(((120, 160, 210), (200, 205, 212), (236, 238, 240), (60, 70, 90), (150, 140, 130), (190, 170, 150)))
    top = tops[int(rng.integers(len(tops)))] + rng.normal(0, 12, 3)
    low = top * rng.uniform(0.8, 1.3) + rng.normal(0, 8, 3)
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    clouds = wear.smooth_field(rng, height, width, int(rng.integers(3, 12)), 0.88, 1.12)[..., None]
    field: wear.Field = ((top + (low - top) * share) * clouds).astype(np.float32)
    return field


def _ground(rng: np.random.Generator, height: int, width: int) -> wear.Field:
    base = np.array(((96, 96, 98), (130, 128, 124), (70, 70, 74), (150, 138, 118), (110, 120, 90), (180, 178, 174)))
    colour = base[int(rng.integers(len(base)))] + rng.normal(0, 8, 3)
    slope = np.linspace(rng.uniform(0.85, 1.15), rng.uniform(0.75, 1.15), height, dtype=np.float32)[:, None]
    texture = wear.smooth_field(rng, height, width, int(rng.integers(3, 10)), 0.9, 1.1)
    grain = 1.0 + rng.standard_normal((height, width), dtype=np.float32) * np.float32(rng.uniform(0.01, 0.06))
    field: wear.Field = (colour * (slope * texture * grain)[..., None]).astype(np.float32)
    return field


def _block(rng: np.random.Generator, image: RGB, horizon: int) -> None:
    """A house, a wall, a van or a fence with windows, boards or bars."""
    height, width = image.shape[:2]
    w, h = round(rng.uniform(0.08, 0.5) * width), round(rng.uniform(0.1, 0.55) * height)
    x, y = round(rng.uniform(-0.1, 0.95) * width), horizon - h + round(rng.uniform(0, 0.08) * height)
    colour = rng.uniform(40, 220) + rng.normal(0, 18, 3)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    area = image[y0:y1, x0:x1]
    shade = wear.smooth_field(rng, y1 - y0, x1 - x0, 4, 0.85, 1.15)[..., None]
    area[:] = np.clip(colour * shade, 0, 255).astype(np.uint8)
    kind, step = rng.random(), max(5, round(rng.uniform(0.02, 0.09) * width))
    paint = tuple(float(v) for v in np.clip(colour * rng.uniform(0.3, 1.5), 0, 255))
    if kind < 0.5:
        tall = round(step * rng.uniform(0.8, 2.2))
        for top in range(step // 2, area.shape[0] - tall // 2, round(tall * 1.7)):
            for left in range(step // 2, area.shape[1] - step // 2, round(step * 1.9)):
                cv2.rectangle(area, (left, top), (left + step, top + tall), paint, -1)
    elif kind < 0.75:
        for top in range(0, area.shape[0], max(3, step // 2)):
            cv2.line(area, (0, top), (area.shape[1], top), paint, 1)
    elif kind < 0.9:
        for left in range(0, area.shape[1], step):
            cv2.line(area, (left, 0), (left, area.shape[0]), paint, max(1, step // 5))


def _trees(rng: np.random.Generator, image: RGB, horizon: int) -> None:
    width = image.shape[1]
    for _ in range(int(rng.integers(1, 5))):
        x, radius = rng.uniform(0, width), rng.uniform(0.04, 0.2) * width
        for _ in range(int(rng.integers(12, 50))):
            spot = (round(x + rng.normal(0, radius * 0.5)), round(horizon - radius + rng.normal(0, radius * 0.5)))
            green = (rng.uniform(20, 90), rng.uniform(50, 120), rng.uniform(15, 60))
            cv2.circle(image, spot, max(1, round(radius * rng.uniform(0.06, 0.3))), green, -1, cv2.LINE_AA)


def _markings(rng: np.random.Generator, image: RGB, horizon: int) -> None:
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(0, 5))):
        colour = (235.0, 235.0, 230.0) if rng.random() < 0.7 else (220.0, 180.0, 60.0)
        vanish = (round(width * rng.uniform(0.2, 0.8)), horizon)
        foot = (round(width * rng.uniform(-0.4, 1.4)), height)
        start = rng.uniform(0.1, 0.8)
        near = (round(vanish[0] + (foot[0] - vanish[0]) * start), round(vanish[1] + (foot[1] - vanish[1]) * start))
        cv2.line(image, near, foot, colour, max(1, round(0.008 * width)), cv2.LINE_AA)


def random_words(rng: np.random.Generator) -> str:
    """What a sign says."""
    return _WORDS[int(rng.integers(len(_WORDS)))]


def _sign(rng: np.random.Generator, image: RGB, book: FontBook) -> None:
    """A shop sign, a street sign or a board, somewhere."""
    height, width = image.shape[:2]
    ink = book.caption(rng, random_words(rng))
    deep = round(rng.uniform(0.025, 0.09) * height)
    wide = max(4, round(ink.shape[1] * deep / ink.shape[0]))
    pad = max(2, round(deep * rng.uniform(0.2, 0.8)))
    dark = rng.random() < 0.5
    ground = rng.uniform(0, 110, 3) if dark else rng.uniform(150, 255, 3)
    board = np.empty((deep + 2 * pad, wide + 2 * pad, 3), np.float32)
    board[:] = ground
    share = cv2.resize(ink, (wide, deep), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    middle = board[pad : pad + deep, pad : pad + wide]
    middle += ((235.0 if dark else 30.0) - middle) * share
    if board.shape[0] >= height or board.shape[1] >= width:
        return
    y, x = int(rng.integers(height - board.shape[0])), int(rng.integers(width - board.shape[1]))
    image[y : y + board.shape[0], x : x + board.shape[1]] = board.astype(np.uint8)


def stamp_time(rng: np.random.Generator, image: RGB, book: FontBook) -> None:
    """A camera's date and time, or a photographer's mark, written into a corner in place."""
    height, width = image.shape[:2]
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(2004, 2027))
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    words = (
        f"{day:02d}/{month:02d}/{year} {hour:02d}:{minute:02d}",
        f"{year}-{month:02d}-{day:02d}",
        f"CAM {int(rng.integers(1, 17))}  {hour:02d}:{minute:02d}:{int(rng.integers(60)):02d}",
        "(c) example photo",
    )[int(rng.integers(4))]
    ink = book.caption(rng, words)
    deep = max(5, round(rng.uniform(0.025, 0.05) * height))
    wide = round(ink.shape[1] * deep / ink.shape[0])
    if wide + 8 >= width:
        return
    x = 4 if rng.random() < 0.5 else width - wide - 4
    y = 4 if rng.random() < 0.4 else height - deep - 4
    share = cv2.resize(ink, (wide, deep), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    paint = np.array(((250, 250, 250), (250, 200, 40), (240, 60, 40))[int(rng.integers(3))], np.float32)
    target = image[y : y + deep, x : x + wide]
    target[:] = (target + (paint - target) * share * np.float32(rng.uniform(0.6, 1.0))).astype(np.uint8)
