"""Characters that look alike, settled by what a country's plates can say: only where that leaves one text."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.readers.decoding import NO_READ, ReaderError
from pipeline.readers.syntax import SettlingReader, layouts_of, settle
from pipeline.records import Reading
from pipeline.rendering.layouts import Layout


def reading(text: str, unsure: str = "", guess: bool = False, score: float = 0.7) -> Reading:
    """Each character read with 0.5 where `unsure` has a '?' below it, else with 0.99."""
    scores = tuple(0.5 if mark == "?" else 0.99 for mark in unsure.ljust(len(text)))
    return Reading("" if guess else text, score, scores, "GB", text if guess else "")


def layout(*patterns: str, **fields: object) -> Layout:
    plain = {"region": "QQ", "size": (520, 110), "patterns": patterns, "paints": ("black on white",)}
    return Layout(**{**plain, **fields})


# what is read, where it is unsure, what it is settled to
BRITISH = {
    "a digit's place": ("LBO2ABC", "  ?    ", "LB02ABC"),
    "a letter's place": ("LB02A8C", "     ? ", "LB02ABC"),
    "both": ("LBO2A8C", "  ?  ? ", "LB02ABC"),
    "each that looks alike: 1": ("LBI2ABC", "  ?    ", "LB12ABC"),
    "8": ("LBB2ABC", "  ?    ", "LB82ABC"),
    "5": ("LBS2ABC", "  ?    ", "LB52ABC"),
    "2": ("LB0ZABC", "   ?   ", "LB02ABC"),
    "fits already, unsure or not": ("LB02ABC", "???????", "LB02ABC"),
    "never what is certain": ("LBO2ABC", "       ", "LBO2ABC"),
    "nor a part of what must change": ("LBO2A8C", "  ?    ", "LBO2A8C"),
    "no exchange makes it fit": ("LBX2ABC", "???????", "LBX2ABC"),
    "another country's": ("1234BCD", "???????", "1234BCD"),
}


@pytest.mark.parametrize(("text", "unsure", "expected"), BRITISH.values(), ids=BRITISH.keys())
@pytest.mark.parametrize("guess", [False, True], ids=["text", "guess"])
def test_settled_by_great_britain_s_patterns(text: str, unsure: str, expected: str, guess: bool) -> None:
    patterns = [kind.model_copy(update={"patterns": ("@99 AAA",)}) for kind in layouts_of("GB")]
    before = reading(text, unsure, guess)
    after = settle(before, patterns)
    assert after.best == expected
    assert bool(after.guess) == guess
    assert (after.score, after.char_scores, after.region) == (before.score, before.char_scores, before.region)
    if text == expected:
        assert after is before


GERMAN = {
    "a zero among the letters": ("B0B123", "???   ", "BOB123"),
    "a letter among the digits": ("MAB1Z3", "    ? ", "MAB123"),
    "a district": ("8AB123", "?     ", "BAB123"),
}


@pytest.mark.parametrize(("text", "unsure", "expected"), GERMAN.values(), ids=GERMAN.keys())
def test_settled_by_germany_s_patterns(text: str, unsure: str, expected: str) -> None:
    assert settle(reading(text, unsure), layouts_of("DE")).text == expected


def test_as_few_as_possible_change() -> None:
    """One exchange fits the first pattern, two fit the second."""
    assert settle(reading("B0", "??"), [layout("90", "9o")]).text == "80"
    assert settle(reading("B0", "??"), [layout("9o")]).text == "8O"


def test_what_two_exchanges_of_a_size_make_fit_stays_as_it_is() -> None:
    before = reading("OO", "??")
    assert settle(before, [layout("A9", "9A")]) is before
    assert settle(reading("OO", " ?"), [layout("A9", "9A")]).text == "O0", "the first is certain"


def test_how_sure_is_certain_may_be_said() -> None:
    before = reading("OA", "")
    assert settle(before, [layout("9A")]) is before
    assert settle(before, [layout("9A")], certain=0.995).text == "0A"


def test_what_has_no_scores_or_no_text_stays_as_it_is() -> None:
    unscored = Reading("OA", 0.9)
    assert settle(unscored, [layout("9A")]) is unscored
    assert settle(NO_READ, [layout("9A")]) is NO_READ


@pytest.mark.parametrize("region", ["GB", "gb"])
def test_layouts_of_a_country(region: str) -> None:
    assert {kind.region for kind in layouts_of(region)} == {"GB"}


@pytest.mark.parametrize("region", ["XX", "ZZ", "", "Germany"])
def test_an_unknown_region_is_an_error_that_names_the_known_ones(region: str) -> None:
    with pytest.raises(ReaderError, match=rf"no layouts of a region '{region}': choose one of .*DE, .*GB") as caught:
        layouts_of(region)
    assert "ZZ" not in str(caught.value).partition(": choose")[2]


class FakeReader:
    """Reads a crop's height as one of three readings."""

    def read(self, crops):  # type: ignore[no-untyped-def]
        readings = (reading("LBO2ABC", "  ?    "), NO_READ, reading("LBO2ABC", "  ?    ", guess=True))
        return [readings[len(crop)] for crop in crops]


def test_a_reader_whose_readings_are_settled() -> None:
    crops = [np.zeros((height, 9, 3), np.uint8) for height in (1, 0, 2, 0)]
    found = SettlingReader(FakeReader(), "gb").read(crops)
    assert [(one.text, one.guess) for one in found] == [("", ""), ("LB02ABC", ""), ("", "LB02ABC"), ("LB02ABC", "")]
    assert SettlingReader(FakeReader(), "GB").read([]) == []
    with pytest.raises(ReaderError, match="no layouts of a region 'XX'"):
        SettlingReader(FakeReader(), "XX")
