"""Rendered plates beside real ones, in one picture: where they do not look alike, a reader learns the wrong thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.rendering.cropping import render_crop
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.wear import RGB

_WIDTH, _HEIGHT, _CAPTION = 176, 72, 20  # pixels of a tile's picture, and of the text below it
_COLUMNS = 4  # of each half
_GAP = 24

Labelled = tuple[RGB, str]  # a crop and what it says


def beside(real: Sequence[Labelled], seed: int) -> RGB:
    """The data's crops on the left, as many rendered ones on the right; under each its text. RGB uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    fonts = FontBook.reproducible()
    drawn = [(crop, plate.text) for crop, plate in (render_crop(rng, fonts=fonts) for _ in real)]
    rows = max(1, -(-len(real) // _COLUMNS))
    half = _COLUMNS * _WIDTH
    canvas = Image.new("RGB", (2 * half + _GAP, (rows * (_HEIGHT + _CAPTION)) + _GAP), (250, 250, 250))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for left, heading, crops in ((0, "from the data", list(real)), (half + _GAP, "rendered", drawn)):
        pen.text((left + 4, 4), heading, (20, 20, 20), font)
        for index, (crop, text) in enumerate(crops):
            x, y = left + (index % _COLUMNS) * _WIDTH, _GAP + (index // _COLUMNS) * (_HEIGHT + _CAPTION)
            scale = min((_WIDTH - 6) / crop.shape[1], _HEIGHT / crop.shape[0])
            size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
            tile = Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC)
            canvas.paste(tile, (x + (_WIDTH - size[0]) // 2, y + (_HEIGHT - size[1]) // 2))
            pen.text((x + 6, y + _HEIGHT + 1), text, (90, 90, 90), font)
    return np.asarray(canvas, dtype=np.uint8)
