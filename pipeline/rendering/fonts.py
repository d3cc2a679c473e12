"""Where glyphs come from: the stroke alphabet, and font files, as coverage masks of one height.

`FontBook.reproducible()` holds the stroke alphabet and matplotlib's DejaVu only, so it draws the same pixels on every
machine; the `synthetic` source uses it. `FontBook.installed()` adds what open fonts a machine has, for training the
weights that ship. On Debian these packages make a good book (sans, condensed, DIN-like, drafting, mono; all under
free licences):

    apt-get install fonts-opendin fonts-bebas-neue fonts-roboto-unhinted fonts-liberation fonts-play fonts-dosis \
        fonts-routed-gothic fonts-osifont fonts-national-park fonts-urw-base35 fonts-clear-sans fonts-league-mono \
        fonts-jetbrains-mono fonts-dejavu-extra
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.alphabet import CHARACTERS
from pipeline.rendering import strokes
from pipeline.rendering.strokes import HEIGHT, Mask

FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/Library/Fonts"))
_REFUSED = (
    "symbol",
    "dingbat",
    "math",
    "emoji",
    "d050000l",
    "standardsymbols",
    "chancery",
    "z003",
    "italic",
    "oblique",
    "bdita",
    "outline",
)
_THIN = ("thin", "extralight", "hairline", "ultralight")
_CAPTION_HEIGHT = 40


@dataclass(frozen=True, slots=True)
class StrokeFace:
    """One style of the stroke alphabet."""

    family: str
    index: int

    def glyph(self, char: str) -> Mask:
        return strokes.glyph(char, self.family, self.index)


@dataclass(frozen=True, slots=True)
class FileFace:
    """A font file."""

    path: str

    def glyph(self, char: str) -> Mask:
        return _file_glyph(self.path, char)


Face = StrokeFace | FileFace


@lru_cache(maxsize=256)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=256)
def _capital_size(path: str) -> int:
    """The font size at which the capital H is HEIGHT pixels high."""
    box = _font(path, 200).getbbox("H")
    return max(8, round(200 * HEIGHT / max(box[3] - box[1], 1)))


def _ink(path: str, size: int, text: str) -> Mask:
    """Draws a text and cuts it to its ink; ValueError where there is none."""
    font = _font(path, size)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(image).text((4 - left, 4 - top), text, fill=255, font=font)
    mask = np.asarray(image, dtype=np.uint8)
    rows, columns = np.flatnonzero(mask.max(axis=1) > 32), np.flatnonzero(mask.max(axis=0) > 32)
    if not len(rows):
        raise ValueError(f"{path} draws nothing for {text!r}")
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@lru_cache(maxsize=16384)
def _file_glyph(path: str, char: str) -> Mask:
    ink = _ink(path, _capital_size(path), char)
    if char != "I" and not 0.9 * HEIGHT < ink.shape[0] < 1.45 * HEIGHT:
        raise ValueError(f"{path} has no capital {char}")
    mask = np.asarray(cv2.resize(ink, (ink.shape[1], HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=4096)
def _caption(path: str, text: str) -> Mask:
    ink = _ink(path, _CAPTION_HEIGHT, text)
    ink.setflags(write=False)
    return ink


def _usable(path: Path) -> bool:
    """True where every plate character can be drawn, upright and not hair-thin, and no two are the same."""
    name = path.name.lower().replace(" ", "").replace("-", "")
    if any(word in name for word in (*_REFUSED, *_THIN)):
        return False
    try:
        glyphs = [_file_glyph(str(path), char) for char in CHARACTERS]
    except (OSError, ValueError):
        return False
    shapes = {cv2.resize(glyph, (24, 36)).tobytes() for glyph in glyphs}
    return len(shapes) >= len(CHARACTERS) - 2 and min(float(glyph.mean()) for glyph in glyphs) > 30


@dataclass(frozen=True, slots=True)
class FontBook:
    """The faces to draw plates with. `stroke_share` of the plates take the stroke alphabet, the rest a file.

    `families` are font files in groups; each group is as likely as the others.
    """

    families: tuple[tuple[str, ...], ...]
    stroke_share: float = 0.8

    @classmethod
    def reproducible(cls) -> FontBook:
        return _reproducible()

    @classmethod
    def installed(cls, folders: tuple[Path, ...] = FONT_FOLDERS, stroke_share: float = 0.65) -> FontBook:
        """Every usable font below `folders`, beside matplotlib's DejaVu."""
        found = sorted({path for folder in folders if folder.is_dir() for path in folder.rglob("*.[to]tf")})
        groups: dict[str, list[str]] = {}
        for path in found:
            name = path.stem.split("-")[0]
            if not name.startswith("DejaVu") and _usable(path):
                groups.setdefault(name, []).append(str(path))
        return cls(_reproducible().families + tuple(map(tuple, groups.values())), stroke_share)

    def _path(self, rng: np.random.Generator) -> str:
        group = self.families[int(rng.integers(len(self.families)))]
        return group[int(rng.integers(len(group)))]

    def pick(self, rng: np.random.Generator, family: str) -> Face:
        """A face for a plate's characters: of the stroke family asked for, mostly."""
        if rng.random() < self.stroke_share:
            if rng.random() < 0.1:
                family = strokes.FAMILIES[int(rng.integers(len(strokes.FAMILIES)))]
            return StrokeFace(family, int(rng.integers(strokes.VARIETY)))
        return FileFace(self._path(rng))

    def caption(self, rng: np.random.Generator, text: str) -> Mask:
        """Small lettering (state names, dealers, shop signs): ink mask (h, w)."""
        return _caption(self._path(rng), text)


@lru_cache(maxsize=1)
def _reproducible() -> FontBook:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif-Bold.ttf")
    return FontBook((tuple(str(folder / name) for name in names),))
