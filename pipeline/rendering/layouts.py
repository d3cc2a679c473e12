"""What plates look like, as data: one file for each country in regions/, with sizes, colours, syntax and furniture.

A pattern's letters: A a letter, 9 a digit, X either, @ one of the file's prefixes, ~ a word as owners choose them;
a lower-case letter stands for itself in capitals, and 0 to 8 for themselves; [A|9] small characters, one above the
other. What is no character of the plate: a space, '-' a hyphen, '.' a bullet, ':' two bullets, '*' an emblem or seal,
'/' the next row.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.alphabet import MAX_LENGTH, normalise

Colour = tuple[int, int, int]  # RGB
Paint = tuple[Colour, Colour]  # background, characters

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLEAR = "ABCDEFGHJKLMNPRSTUVWXYZ"  # without I, O, Q, which many countries avoid
DIGITS = "0123456789"
SEPARATORS = " -.:*"
_CHOSEN = 8  # characters that an owner may choose, at most

COLOURS: dict[str, Colour] = {
    "white": (238, 238, 234),
    "yellow": (242, 196, 24),
    "black": (22, 22, 24),
    "red": (176, 28, 34),
    "blue": (20, 62, 160),
    "navy": (28, 36, 92),
    "green": (16, 110, 62),
    "silver": (190, 192, 192),
}


class LayoutError(ValueError):
    """A file of layouts that cannot be used; the message names file and line."""


def colour(name: Any) -> Any:
    """'navy' or '#1c245c' -> (28, 36, 92)."""
    if not isinstance(name, str):
        return name
    if name in COLOURS:
        return COLOURS[name]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", name) is None:
        raise ValueError(f"{name!r} is no colour: write #rrggbb or one of {', '.join(COLOURS)}")
    return tuple(bytes.fromhex(name[1:]))


def paint(words: Any) -> Any:
    """'black on white' -> (white, black)."""
    if not isinstance(words, str):
        return words
    ink, on, ground = words.partition(" on ")
    if not on:
        raise ValueError(f"{words!r} is no paint: write `characters on background`")
    return colour(ground), colour(ink)


APaint = Annotated[Paint, BeforeValidator(paint)]
Capitals = Annotated[str, Field(pattern="^[A-Z]+$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Band(Strict):
    """A coloured strip with a country's letters."""

    side: Literal["left", "right", "both", "top"]
    paint: APaint
    texts: tuple[str, ...] = ()


class Layout(Strict):
    """One kind of plate. Shares are of the plate's height."""

    region: str
    name: str = ""
    size: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]  # millimetres, across and down
    patterns: Annotated[tuple[str, ...], Field(min_length=1)]
    paints: Annotated[tuple[APaint, ...], Field(min_length=1)]
    type: Literal["din", "fe", "wright", "die", "cn", "wide", "free"] = "din"  # of the stroke alphabet
    char_height: Share = 0.68  # of a row's characters; with two rows, of the lower one
    upper_height: Share = 0.0  # of the upper of two rows
    letters: Capitals = LETTERS
    prefixes: tuple[Capitals, ...] = ()
    border: Share = 0.025  # width of the line round it; 0 none
    band: Band | None = None
    heads: tuple[str, ...] = ()  # small lettering above the characters
    head_chance: Share = 0.9
    feet: tuple[str, ...] = ()  # and below
    caption_paints: tuple[Annotated[Colour, BeforeValidator(colour)], ...] = ()
    scenic: Share = 0.0  # chance of a picture or a gradient behind the characters
    emblem: Share = 0.0  # chance of an emblem before or after the characters
    script: Literal["", "first", "below", "above"] = ""  # foreign lettering, as a scribble
    weight: Annotated[float, Field(gt=0)] = 1.0  # how often it is drawn, beside the others

    @property
    def rows(self) -> int:
        return self.patterns[0].count("/") + 1

    @property
    def aspect(self) -> float:
        return self.size[0] / self.size[1]

    def fits(self, text: str) -> bool:
        """True where a text (normalised or as displayed) could stand on this kind of plate."""
        return _syntax(self.patterns, self.letters, self.prefixes).fullmatch(normalise(text)) is not None

    def problem(self) -> tuple[tuple[str | int, ...], str] | None:
        """What is wrong with it as a whole, if anything: where, and a sentence."""
        if self.rows > 2 or (self.rows == 2) != (self.upper_height > 0):
            return ("upper_height",), "two rows need an upper_height, one row none"
        for number, pattern in enumerate(self.patterns):
            if (wrong := _pattern_problem(pattern, self.prefixes, self.rows)) is not None:
                return ("patterns", number), f"pattern {pattern!r}: {wrong}"
        return None


def elements(pattern: str) -> list[str]:
    """A pattern or a text as displayed, cut into single characters and stacks: 'A[9|9]' -> ['A', '[9|9]']."""
    return re.findall(r"\[[^\[\]|]+\|[^\[\]|]+\]|.", pattern)


def plain(element: str) -> str:
    """The characters of an element, a stack's without its brackets: '[A|9]' -> 'A9'."""
    return element[1:-1].replace("|", "") if len(element) > 1 else element


def _pattern_problem(pattern: str, prefixes: tuple[str, ...], rows: int) -> str | None:
    if pattern.count("/") != rows - 1:
        return f"{pattern.count('/') + 1} rows, the first pattern has {rows}"
    if not all(row.strip(SEPARATORS) for row in pattern.split("/")):
        return "a row without characters"
    longest = 0
    for element in elements(pattern):
        for c in plain(element):
            if c == "@" and not prefixes:
                return "'@' stands for a prefix, and the file has no prefixes"
            if c not in "A9X@~/" + SEPARATORS + "012345678" and not (c.isascii() and c.islower()):
                return f"{c!r} means nothing: use A, 9, X, @, ~, small letters, [upper|lower], / and {SEPARATORS!r}"
            longest += max(map(len, prefixes)) if c == "@" else _CHOSEN if c == "~" else c not in "/" + SEPARATORS
    if not 1 <= longest <= MAX_LENGTH:
        return f"a plate has 1 to {MAX_LENGTH} characters, not {longest}"
    return None


@lru_cache(maxsize=512)
def _syntax(patterns: tuple[str, ...], letters: str, prefixes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join("".join(classes(p, letters, prefixes)) for p in patterns))


def classes(pattern: str, letters: str, prefixes: tuple[str, ...]) -> list[str]:
    """A pattern as regular expressions, one for each of its parts that stand for characters."""
    parts = {"A": f"[{letters}]", "9": "[0-9]", "X": f"[{letters}0-9]", "@": f"(?:{'|'.join(prefixes)})"}
    parts["~"] = f"[{letters}0-9]{{1,{_CHOSEN}}}"
    return [parts.get(c, c.upper()) for c in pattern if c in parts or c.isalnum()]


class _File(Strict):
    letters: Capitals = LETTERS
    prefixes: tuple[Capitals, ...] = ()
    layouts: Annotated[tuple[Layout, ...], Field(min_length=1)]


def read_layouts(path: Path) -> tuple[Layout, ...]:
    """The layouts of one country's file, named by its code; LayoutError names file and line of the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        raw: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LayoutError(f"{path} line {line}: not YAML: {error.problem}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LayoutError(f"{path} line 1: not YAML in UTF-8: {error}") from None
    common = {key: raw[key] for key in ("letters", "prefixes") if isinstance(raw, dict) and key in raw}
    for layout in raw["layouts"] if isinstance(raw, dict) and isinstance(raw.get("layouts"), list) else []:
        if isinstance(layout, dict):
            layout.update({**common, **layout, "region": path.stem})
    try:
        layouts = _File.model_validate(raw).layouts
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise LayoutError(f"{path} line {_line(node, first['loc'])}: {where}: {first['msg']}") from None
    for number, layout in enumerate(layouts):
        if (found := layout.problem()) is not None:
            raise LayoutError(f"{path} line {_line(node, ('layouts', number, *found[0]))}: {found[1]}")
    return layouts


def _line(node: Any, place: tuple[str | int, ...]) -> int:
    """The line, from 1, on which the value at `place` begins, or the last of its parents that is there."""
    for key in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == key), node)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
    return int(node.start_mark.line) + 1 if node is not None else 1
