"""What plates look like, as data: sizes, colours, syntax and furniture of some thirty kinds in twenty regions.

A pattern's letters: A a letter, 9 a digit, X either, @ one of the prefixes, lower case as itself in capitals; and what
is no character of the plate: a space, '-' a hyphen, '.' a bullet, '*' an emblem or seal, '/' the next row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.alphabet import CHARACTERS, normalise

Colour = tuple[int, int, int]  # RGB

UNKNOWN_REGION = "ZZ"  # ISO 3166's user-assigned code: a plate of no real syntax
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLEAR = "ABCDEFGHJKLMNPRSTUVWXYZ"  # without I, O, Q, which many countries avoid
INDIAN = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS = "0123456789"

WHITE: Colour = (238, 238, 234)
YELLOW: Colour = (242, 196, 24)
BLACK: Colour = (22, 22, 24)
RED: Colour = (176, 28, 34)
BLUE: Colour = (20, 62, 160)
NAVY: Colour = (28, 36, 92)
GREEN: Colour = (16, 110, 62)
SILVER: Colour = (190, 192, 192)

Paint = tuple[Colour, Colour]  # background, characters


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of plate. Shares are of the plate's height."""

    region: str
    width_mm: float
    height_mm: float
    patterns: tuple[str, ...]
    paints: tuple[Paint, ...]
    family: str = "din"
    rows: int = 1
    char_height: float = 0.68  # of a row's characters; with two rows, of the lower one
    upper_height: float = 0.0  # of the upper of two rows
    letters: str = CLEAR
    prefixes: tuple[str, ...] = ()
    border: float = 0.025  # width of the line round it; 0 none
    band: str = ""  # left, right, both, top
    band_paint: Paint = ((0, 51, 153), WHITE)
    band_texts: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()  # small lettering above the characters
    feet: tuple[str, ...] = ()  # and below
    caption_paints: tuple[Colour, ...] = ()
    scenic: float = 0.0  # chance of a picture or a gradient behind the characters
    script: str = ""  # foreign lettering as a scribble: first, below, above
    weight: float = 1.0  # how often it is drawn, beside the others

    def __post_init__(self) -> None:
        if self.rows not in (1, 2) or (self.rows == 2) != (self.upper_height > 0):
            raise ValueError(f"{self.region}: two rows need an upper_height, one row none")
        if any(pattern.count("/") != self.rows - 1 for pattern in self.patterns):
            raise ValueError(f"{self.region}: a pattern has other than {self.rows} rows")

    @property
    def aspect(self) -> float:
        return self.width_mm / self.height_mm

    def fits(self, text: str) -> bool:
        """True where a text (normalised or as displayed) could stand on this kind of plate."""
        return _syntax(self.patterns, self.letters, self.prefixes).fullmatch(normalise(text)) is not None


@lru_cache(maxsize=256)
def _syntax(patterns: tuple[str, ...], letters: str, prefixes: tuple[str, ...]) -> re.Pattern[str]:
    parts = {"A": f"[{letters}]", "9": "[0-9]", "X": f"[{letters}0-9]", "@": f"(?:{'|'.join(prefixes)})"}
    alternatives = []
    for pattern in patterns:
        kept = (parts.get(c, c.upper()) for c in pattern if c in parts or c.isalnum())
        alternatives.append("".join(kept))
    return re.compile("|".join(alternatives))


_IN_STATES = (
    "AP", "AR", "AS", "BR", "CG", "CH", "DD", "DL", "GA", "GJ", "HP", "HR", "JH", "JK", "KA", "KL", "LA", "LD",
    "MH", "ML", "MN", "MP", "MZ", "NL", "OD", "OR", "PB", "PY", "RJ", "SK", "TN", "TR", "TS", "UK", "UP", "WB",
)  # fmt: skip
_IN_PATTERNS = (
    "@ 99 A 9999", "@ 99 AA 9999", "@ 9A AA 9999", "@ 99 9999", "@ 9 AAA 9999", "@99AA9999", "@99 AA 9999",
    "@ 99AA 9999", "@-99-AA-9999", "@.99.AA.9999", "@9A AA 9999", "@9AA 9999", "@ 99 AA 99", "@ 99 AA 9",
    "@-99 A-9999", "@99A9999",
)  # fmt: skip
_IN_TWO = (
    "@ 99 A/9999",
    "@ 99 AA/9999",
    "@-99/AA-9999",
    "@ 9A AA/9999",
    "@99/A 9999",
    "@ 99 AA/999",
    "@99AA/9",
    "@ 99/AA 9999",
    "@99AA/9999",
)
_IN_PAINTS = ((WHITE, BLACK), (WHITE, BLACK), (WHITE, BLACK), (YELLOW, BLACK), (BLACK, YELLOW), (GREEN, WHITE))
_US_PATTERNS = (
    "AAA 9999", "AAA-9999", "9AAA999", "AAA 999", "999 AAA", "AA9 9AA", "AAA*999", "AA 99999", "9999 AA", "AA9*A999",
    "99A 9A9", "A99 9AA", "999-AAA", "AA-999", "999 999", "99 999", "9999", "999", "AAAAAAA", "AAAAAA", "AAAAA", "AAAA",
    "AAA AAA", "AA AAAAA", "AAAA 99", "99 AAAA", "AAAA9", "AAAAAA9", "AA AA",
)  # fmt: skip
_US_STATES = (
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida",
    "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine",
    "Maryland", "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska",
    "Nevada", "Ohio", "Oklahoma", "Oregon", "Pennsylvania", "Tennessee", "Texas", "Utah", "Vermont", "Virginia",
    "Washington", "Wisconsin", "Wyoming", "NEW YORK", "NEW JERSEY", "New Mexico", "Rhode Island", "South Carolina",
    "OHIO", "TEXAS", "FLORIDA", "NEVADA", "IDAHO", "MAINE", "UTAH", "VIRGINIA", "COLORADO", "ARIZONA", "GEORGIA",
    "CALIFORNIA",
)  # fmt: skip
_US_FEET = (
    "The Empire State", "Garden State", "Sunshine State", "dmv.example.gov", "The Golden State", "Lone Star State",
    "Ocean State", "Land of Lakes", "Famous Potatoes", "Great Faces Great Places", "PASSENGER", "DISABLED VETERAN",
    "The Silver State", "Land of Enchantment", "Evergreen State", "", "", "",
)  # fmt: skip
_US_CAPTIONS = (NAVY, RED, BLUE, GREEN, BLACK)
_US_LIGHT = (
    (WHITE, NAVY), ((214, 224, 240), NAVY), ((236, 232, 214), (120, 22, 40)), (WHITE, BLACK), (WHITE, GREEN),
    ((206, 226, 232), (30, 40, 60)), ((240, 224, 180), (20, 30, 70)), (WHITE, (140, 20, 36)), ((226, 218, 190), BLACK),
)  # fmt: skip
_US_DARK = ((NAVY, (240, 196, 60)), ((20, 70, 60), WHITE), (RED, WHITE), (BLACK, WHITE), (BLUE, WHITE), (YELLOW, NAVY))
_FORWARD = (WHITE, BLACK)
_DE_TOWNS = (
    "B", "M", "HH", "K", "F", "S", "D", "L", "H", "N", "DO", "E", "HB", "DD", "WOB", "KA", "MA", "BN", "MS", "AC",
    "OF", "FR", "LU", "RE", "PB", "OS", "WI", "KS", "GI", "TR",
)  # fmt: skip
_GB_TOWNS = tuple(a + b for a in "ABCDEFGHKLMNOPRSVWY" for b in "ABDEFGHJKLMNOPRSVXY")

LAYOUTS: tuple[Layout, ...] = (
    Layout("IN", 500, 120, _IN_PATTERNS, _IN_PAINTS, "wright", letters=INDIAN, prefixes=_IN_STATES, border=0.02,
           char_height=0.6, band_texts=("IND",), weight=5.0),
    Layout("IN", 500, 120, _IN_PATTERNS, _IN_PAINTS, "din", letters=INDIAN, prefixes=_IN_STATES, border=0.02,
           char_height=0.62, band="left", band_paint=(WHITE, (40, 90, 180)), band_texts=("IND",), weight=4.0),
    Layout("IN", 340, 200, _IN_TWO, _IN_PAINTS, "wright", rows=2, char_height=0.38, upper_height=0.34, letters=INDIAN,
           prefixes=_IN_STATES, border=0.02, weight=2.5),
    Layout("IN", 285, 150, _IN_TWO, _IN_PAINTS, "free", rows=2, char_height=0.44, upper_height=0.26, letters=INDIAN,
           prefixes=_IN_STATES, border=0.0, weight=1.5),
    Layout("US", 305, 152, _US_PATTERNS, _US_LIGHT, "die", char_height=0.46, letters=LETTERS, border=0.012,
           heads=_US_STATES, feet=_US_FEET, caption_paints=_US_CAPTIONS, scenic=0.6, weight=6.0),
    Layout("US", 305, 152, _US_PATTERNS, _US_DARK, "die", char_height=0.46, letters=LETTERS, border=0.02,
           heads=_US_STATES, feet=_US_FEET, scenic=0.2, weight=2.0),
    Layout("US", 305, 152, ("9AAA999", "AAAAAAA", "AAA 999", "AAA-9999"), _US_LIGHT, "wright", char_height=0.48,
           letters=LETTERS, border=0.0, heads=_US_STATES, feet=_US_FEET, caption_paints=_US_CAPTIONS, scenic=0.5,
           weight=1.5),
    Layout("CA", 305, 152, ("AAAA 999", "AAA*999", "AAA 99A", "999 AAA"), ((WHITE, (24, 60, 150)), (WHITE, RED)), "die",
           char_height=0.46, letters=LETTERS, border=0.012,
           heads=("ONTARIO", "Alberta", "Manitoba", "Quebec", "British Columbia"),
           feet=("Yours to discover", "Je me souviens", "Wild Rose Country", ""), weight=1.0),
    Layout("GB", 520, 111, ("@99 AAA", "@99 AAA", "A999 AAA", "AAA 999A", "A99 AAA", "AA9 AAA", "AAA 99"),
           (_FORWARD,), "wright", prefixes=_GB_TOWNS,
           char_height=0.71, border=0.0, feet=("", "", "Motor Company", "CITY CARS"), weight=2.0),
    Layout("GB", 520, 111, ("@99 AAA", "@99 AAA", "A999 AAA", "AAA 999A", "A9 AAA", "AAA 99A"), ((YELLOW, BLACK),),
           "wright", prefixes=_GB_TOWNS, char_height=0.71,
           border=0.0, feet=("", "", "Motor Company", "www.example.co.uk"), weight=2.0),
    Layout("GB", 520, 111, ("@99 AAA", "A999 AAA"), ((YELLOW, BLACK), _FORWARD), "wright", char_height=0.71,
           band="left",
           prefixes=_GB_TOWNS, border=0.0,
           band_texts=("GB", "UK", "GB"), weight=1.5),
    Layout("DE", 520, 110, ("@*AA 999", "@*A 9999", "@*AA 99", "@*AA 9999", "@*A 99"), (_FORWARD,), "fe",
           letters=LETTERS, prefixes=_DE_TOWNS, band="left", band_texts=("D",), weight=1.5),
    Layout("FR", 520, 110, ("AA-999-AA",), (_FORWARD,), "din", band="both", band_texts=("F",), border=0.0),
    Layout("IT", 520, 110, ("AA 999AA", "AA*999AA"), (_FORWARD,), "din", band="both", band_texts=("I",), border=0.0),
    Layout("ES", 520, 110, ("9999 AAA",), (_FORWARD,), "din", letters="BCDFGHJKLMNPRSTVWXYZ", band="left",
           band_texts=("E",)),
    Layout("PL", 520, 114, ("AA 99999", "AAA 99AA", "AA 9999A", "AAA*9999A"), (_FORWARD,), "din", band="left",
           letters=LETTERS, band_texts=("PL",)),
    Layout("RO", 520, 110, ("AA 99 AAA", "b 99 AAA", "b 999 AAA"), (_FORWARD,), "din", band="left",
           band_texts=("RO",), weight=1.2),
    Layout("SE", 520, 110, ("AAA 999", "AAA*999", "AAA 99A"), (_FORWARD, _FORWARD, ((30, 170, 90), BLACK), ((40, 125,
           215), BLACK)),
           "din",
           letters="ABCDEFGHJKLMNOPRSTUWXYZ", band="left", band_texts=("S",), weight=1.5),
    Layout("SE", 480, 110, ("AAA*999", "AAA 999"), (_FORWARD,), "wright", letters="ABCDEFGHJKLMNOPRSTUWXYZ",
           weight=0.8),
    Layout("NL", 520, 110, ("99-AAA-9", "A-999-AA", "AA-999-A", "99-AA-AA", "AA-99-99"), ((YELLOW, BLACK),), "fe",
           band="left", band_texts=("NL",)),
    Layout("BR", 400, 130, ("AAA-9999", "AAA.9999"), ((SILVER, BLACK), (SILVER, BLACK), (RED, WHITE)), "wright",
           char_height=0.5, letters=LETTERS, heads=("SP SAO PAULO", "PR CURITIBA", "RJ RIO DE JANEIRO", "BA SALVADOR"),
           border=0.015, weight=1.2),
    Layout("BR", 400, 130, ("AAA9A99",), (_FORWARD, (WHITE, RED)), "fe", char_height=0.54, letters=LETTERS, band="top",
           band_paint=((20, 60, 150), WHITE), band_texts=("BRASIL",), weight=1.2),
    Layout("AR", 400, 130, ("AA 999 AA", "AAA 999"), (_FORWARD, (BLACK, WHITE)), "fe", char_height=0.54,
           letters=LETTERS,
           band="top", band_paint=((20, 60, 150), WHITE), band_texts=("REPUBLICA ARGENTINA",), weight=0.8),
    Layout("MX", 300, 150, ("AAA-99-99", "AAA-999-A", "A99-AAA"), (_FORWARD, ((226, 236, 220), BLACK)), "die",
           char_height=0.44, heads=("JALISCO", "MEXICO", "CDMX", "NUEVO LEON"), feet=("DELANTERA", "TRASERA", ""),
           border=0.015, scenic=0.3, weight=0.8),
    Layout("CN", 440, 140, ("A.99999", "A.9A999", "A.AA999", "A.A9999", "A.99A99", "A.9999A"),
           (((16, 60, 190), WHITE), ((30, 110, 230), WHITE), ((16, 60, 190), WHITE), (YELLOW, BLACK)), "cn",
           char_height=0.64, script="first", weight=2.5),
    Layout("CN", 480, 140, ("A.X99999", "A.XA9999"), (((120, 205, 150), BLACK),), "cn", char_height=0.64,
           script="first", weight=0.5),
    Layout("JP", 330, 165, ("999/99-99", "599/9999"), (_FORWARD, (YELLOW, BLACK), (WHITE, GREEN)), "cn", rows=2,
           char_height=0.46, upper_height=0.22, border=0.0, script="above", weight=0.7),
    Layout("AE", 520, 110, ("A 99999", "A 9999", "99 99999"), (_FORWARD,), "din", char_height=0.6, script="below",
           heads=("", "DUBAI"), weight=0.7),
    Layout("AU", 372, 134, ("AAA.999", "AAA 999", "AA 99 AA", "9AA 9AA"), ((WHITE, BLUE), (YELLOW, BLACK), (BLACK,
           WHITE)),
           "wright", char_height=0.6, letters=LETTERS, feet=("NSW", "VICTORIA", "THE EDUCATION STATE", "Queensland"),
           border=0.02),
    Layout("ZA", 520, 110, ("AA 99 AA gp", "AAA 999 gp", "ca 999-999", "AAA 999 ec"), (_FORWARD, (WHITE, GREEN)),
           "wright", letters=CLEAR, border=0.015, weight=0.8),
    Layout("IL", 520, 110, ("99-999-99", "999-99-999"), ((YELLOW, BLACK),), "din", weight=0.8),
    Layout("GB", 285, 203, ("@99/AAA", "A999/AAA"), (_FORWARD, (YELLOW, BLACK)), "wright", rows=2, border=0.0,
           prefixes=_GB_TOWNS, char_height=0.38,
           upper_height=0.38, weight=0.4),
    Layout("SE", 300, 170, ("AAA/999", "AAA/99A"), (_FORWARD,), "din", rows=2, char_height=0.38, upper_height=0.38,
           letters="ABCDEFGHJKLMNOPRSTUWXYZ", weight=0.3),
)  # fmt: skip

_FREE_PATTERNS = ("AAA 999", "AA-99-99", "9 AAA 999", "A 99999", "AAAA 99", "99 AA 999", "AAA9A99", "999.999", "AAAAA")
_FREE_TWO = ("AAA/999", "AA 99/AA 999", "999/AAAA", "A 99/9999", "AAA/99 99", "99/999")


def random_layout(rng: np.random.Generator) -> Layout:
    """A kind of plate that exists nowhere."""
    two = bool(rng.random() < 0.2)
    dark = bool(rng.random() < 0.35)
    background = _random_colour(rng, 5, 95) if dark else _random_colour(rng, 150, 250)
    foreground = _random_colour(rng, 185, 255) if dark else _random_colour(rng, 0, 70)
    band = str(rng.choice(["", "", "", "left", "both", "top", "right"])) if not two else ""
    captioned = bool(rng.random() < 0.3) and not two and band != "top"
    tall = rng.uniform(0.42, 0.56) if captioned or band == "top" else rng.uniform(0.55, 0.84)
    letters = "".join(rng.permutation(list(LETTERS))[:3])
    return Layout(
        region=UNKNOWN_REGION,
        width_mm=float(rng.uniform(220, 380) if two else rng.uniform(280, 540)),
        height_mm=float(rng.uniform(140, 210) if two else rng.uniform(95, 150)),
        patterns=_FREE_TWO if two else _FREE_PATTERNS,
        paints=((background, foreground),),
        family=str(rng.choice(["din", "fe", "wright", "die", "cn", "free", "free"])),
        rows=2 if two else 1,
        char_height=float(rng.uniform(0.34, 0.44)) if two else float(tall),
        upper_height=float(rng.uniform(0.24, 0.4)) if two else 0.0,
        letters=LETTERS,
        border=float(rng.choice([0.0, 0.015, 0.025, 0.04])),
        band=band,
        band_paint=(_random_colour(rng, 10, 130), WHITE),
        band_texts=(letters[: int(rng.integers(1, 4))],),
        heads=_US_STATES if captioned and rng.random() < 0.6 else (),
        feet=_US_FEET if captioned else (),
        scenic=0.25,
        script="first" if band == "" and not two and rng.random() < 0.08 else "",
    )


def _random_colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    """A colour of a luminance between low and high, grey as often as not."""
    level = float(rng.uniform(low, high))
    tint = rng.normal(0, 40, 3) * (rng.random() < 0.5)
    tint = tint - float(tint @ np.array([0.299, 0.587, 0.114]))
    red, green, blue = (int(v) for v in np.clip(level + tint, 0, 255))
    return red, green, blue


def _pick(rng: np.random.Generator, characters: str) -> str:
    return characters[int(rng.integers(len(characters)))]


def _fill(layout: Layout, pattern: str, rng: np.random.Generator) -> str:
    out = []
    for c in pattern:
        if c == "@":
            out.append(layout.prefixes[int(rng.integers(len(layout.prefixes)))])
        elif c == "A":
            out.append(_pick(rng, layout.letters))
        elif c == "9":
            out.append(_pick(rng, DIGITS))
        elif c == "X":
            out.append(_pick(rng, layout.letters + DIGITS))
        else:
            out.append(c.upper())
    return "".join(out)


def _free_word(rng: np.random.Generator, length: int) -> str:
    kind = int(rng.choice(4, p=[0.55, 0.2, 0.1, 0.15]))
    mixed = CHARACTERS if rng.random() < 0.4 else CLEAR + DIGITS  # among digits, a round letter is mostly a zero
    if kind == 3:  # something that can be spoken, as owners choose
        return "".join(_pick(rng, "AEIOU" if i % 2 else "BCDFGHJKLMNPRSTVWXYZ") for i in range(length))
    return "".join(_pick(rng, (mixed, LETTERS, DIGITS)[kind]) for _ in range(length))


def random_text(layout: Layout, rng: np.random.Generator, free: float = 0.25) -> str:
    """A text as it is displayed, with separators: by one of the layout's patterns, or (`free`) purely random."""
    if rng.random() >= free:
        return _fill(layout, layout.patterns[int(rng.integers(len(layout.patterns)))], rng)
    if layout.rows == 2:
        return _free_word(rng, int(rng.integers(2, 6))) + "/" + _free_word(rng, int(rng.integers(1, 6)))
    longest = int(np.clip(layout.aspect * 2.1, 5, 10))
    word = _free_word(rng, int(rng.integers(min(3, longest), longest + 1)) if rng.random() < 0.92 else 2)
    if len(word) > 3 and rng.random() < 0.65:
        at = int(rng.integers(1, len(word)))
        word = word[:at] + _pick(rng, "    --.*") + word[at:]
    return word


def choose(rng: np.random.Generator) -> Layout:
    """A layout as plates come: the common kinds more often, and one in seven that exists nowhere."""
    if rng.random() < 0.14:
        return random_layout(rng)
    return LAYOUTS[int(rng.choice(len(LAYOUTS), p=_SHARES))]


_SHARES = np.array([layout.weight for layout in LAYOUTS]) / sum(layout.weight for layout in LAYOUTS)
