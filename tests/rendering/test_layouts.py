"""Files of layouts: what they say, and that a mistake is named by file and line."""

import re
from pathlib import Path

import pytest

from pipeline.rendering.layouts import COLOURS, DIGITS, Layout, LayoutError, classes, colour, elements, read_layouts

FILE = """\
letters: ABC
prefixes: [AB, C]
layouts:
  - size: [520, 110]
    patterns:
      - "@ 99"
      - A[9|X]k
    paints: [black on white]
    band:
      side: left
      paint: white on blue
  - size: [200, 150]
    patterns: [A/99]
    paints: ["#102030 on yellow"]
    upper_height: 0.3
    letters: XY
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "QQ.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def layout(*patterns: str, **fields: object) -> Layout:
    plain = {"region": "QQ", "size": (520, 110), "patterns": patterns, "paints": ("black on white",)}
    return Layout(**{**plain, **fields})


def test_a_file_says_what_its_country_s_plates_look_like(tmp_path: Path) -> None:
    one, two = read_layouts(written(tmp_path, FILE))
    assert (one.region, one.rows, one.letters, one.prefixes) == ("QQ", 1, "ABC", ("AB", "C"))
    assert one.aspect == pytest.approx(520 / 110)
    assert one.paints == ((COLOURS["white"], COLOURS["black"]),)
    assert one.band is not None
    assert (one.band.side, one.band.paint) == ("left", (COLOURS["blue"], COLOURS["white"]))
    assert (two.region, two.rows, two.letters, two.prefixes) == ("QQ", 2, "XY", ("AB", "C"))
    assert two.paints == ((COLOURS["yellow"], (16, 32, 48)),)


# what stands in FILE, what stands there instead, the line that is named, what is said
MISTAKES = {
    "a sign that means nothing": ('"@ 99"', '"@ 99!"', 6, "'!' means nothing"),
    "a letter beyond the alphabet": ("A/99", "Ä/99", 13, "'Ä' means nothing"),
    "an open stack": ("A[9|X]k", "A[9|Xk", 7, "'[' means nothing"),
    "a row too many": ("A[9|X]k", "A/9", 7, "2 rows, the first pattern has 1"),
    "13 characters": ("[A/99]", "[AAAAAA/9999999]", 13, "1 to 12 characters, not 13"),
    "13 characters by the longest prefix": ("A[9|X]k", '"@[9|X]AAAAAAAAA"', 7, "1 to 12 characters, not 13"),
    "separators alone": ("A[9|X]k", '" - "', 7, "a row without characters"),
    "no prefixes for @": ("[AB, C]", "[]", 6, "'@' stands for a prefix, and the file has no prefixes"),
    "no pattern": ("[A/99]", "[]", 13, "patterns"),
    "a number for a pattern": ("[A/99]", "[9999]", 13, "valid string"),
    "Norway as a prefix": ("[AB, C]", "[NO, C]", 2, "prefixes.0"),
    "an unknown key of the file": ("letters: ABC", "leters: ABC", 1, "leters: Extra inputs"),
    "an unknown key of a layout": ("upper_height", "uper_height", 15, "uper_height: Extra inputs"),
    "an unknown key of a band": ("white on blue", "white on blue\n      ink: red", 12, "band.ink: Extra inputs"),
    "an unknown side": ("side: left", "side: middle", 10, "band.side"),
    "an unknown colour": ("white on blue", "white on blu", 11, "'blu' is no colour: write #rrggbb or one of white"),
    "half a colour": ("#102030", "#10203", 14, "'#10203' is no colour"),
    "one colour": ("black on white", "black", 8, "'black' is no paint"),
    "a size below zero": ("[520, 110]", "[520, -1]", 4, "size.1"),
    "lower-case letters": ("letters: ABC", "letters: abc", 1, "letters"),
    "no paints": ("    paints: [black on white]\n", "", 4, "paints: Field required"),
    "two rows of no height": ("    upper_height: 0.3\n", "", 12, "two rows need an upper_height"),
    "a height for a row that is not there": ("[A/99]", "[A99]", 15, "one row none"),
    "three rows": ("[A/99]", "[A/9/9]", 15, "two rows"),
    "a tab": ("    patterns:\n", "\tpatterns:\n", 5, "not YAML"),
    "an open list": ("[AB, C]", "[AB, C", 3, "not YAML"),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert FILE.count(old) == 1
    path = written(tmp_path, FILE.replace(old, new, 1))
    with pytest.raises(LayoutError, match=re.escape(message)) as caught:
        read_layouts(path)
    assert str(caught.value).startswith(f"{path} line {line}: ")


NOT_A_COUNTRY = {
    "nothing": ("", 1),
    "a list": ("- 1", 1),
    "no layouts": ("letters: ABC", 1),
    "layouts that are none": ("letters: ABC\nlayouts:", 2),
    "an empty list of layouts": ("letters: ABC\nlayouts: []", 2),
    "a number of layouts": ("letters: ABC\nlayouts: 3", 2),
    "a layout that is a word": ("layouts:\n  - din", 2),
}


@pytest.mark.parametrize(("text", "line"), NOT_A_COUNTRY.values(), ids=NOT_A_COUNTRY.keys())
def test_a_file_that_is_no_country_s_is_refused(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(LayoutError, match=rf"QQ\.yaml line {line}: "):
        read_layouts(written(tmp_path, text))


FITS = {
    "as displayed": ("AB12 CDE", True),
    "small letters": ("ab12cde", True),
    "its other pattern": ("A1B", True),
    "a letter that stands for itself": ("99K", True),
    "no such letter": ("99L", False),
    "a digit that stands for itself": ("D05", True),
    "no such digit": ("D15", False),
    "a stack, upper first": ("X1Y", True),
    "a prefix": ("HH1234", True),
    "no such prefix": ("XX1234", False),
    "a digit too few": ("AB1 CDE", False),
    "a letter too many": ("AB12 CDEF", False),
    "part of a pattern before and after": ("A1BAB12CDE", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("text", "fits"), FITS.values(), ids=FITS.keys())
def test_fits_is_the_syntax(text: str, fits: bool) -> None:
    kind = layout("AA99 AAA", "A[9|A]", "99k", "D0X", "[A|9]*A", "@-9999", prefixes=("HH", "B"))
    assert kind.fits(text) is fits


def test_letters_are_the_country_s_own() -> None:
    assert layout("AX", letters="BC").fits("B7")
    assert not layout("AX", letters="BC").fits("BA")


ELEMENTS = {
    "nothing": ("", []),
    "single ones": ("A9 -", ["A", "9", " ", "-"]),
    "a stack": ("A[9|9]A", ["A", "[9|9]", "A"]),
    "stacks side by side": ("[AB|12][C|3]", ["[AB|12]", "[C|3]"]),
    "two rows": ("A/[9|9]", ["A", "/", "[9|9]"]),
    "an open stack is no stack": ("[9|9", ["[", "9", "|", "9"]),
}


@pytest.mark.parametrize(("pattern", "parts"), ELEMENTS.values(), ids=ELEMENTS.keys())
def test_elements(pattern: str, parts: list[str]) -> None:
    assert elements(pattern) == parts


def test_classes_have_one_expression_for_each_part_that_stands_for_characters() -> None:
    found = classes("@ A[9|X]-k8", "BC", ("HH", "B"))
    assert found == ["(?:HH|B)", "[BC]", "[0-9]", "[BC0-9]", "K", "8"]
    assert re.fullmatch("".join(found), "HHC" + DIGITS[0] + "BK8")


@pytest.mark.parametrize(
    ("name", "rgb"), [("navy", COLOURS["navy"]), ("#1c245c", (28, 36, 92)), ("#FFFFFF", (255, 255, 255))]
)
def test_colours(name: str, rgb: tuple[int, int, int]) -> None:
    assert colour(name) == rgb
