"""Kinds of plates: syntax, random ones, and that each can be drawn."""

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS, MAX_LENGTH, check, normalise
from pipeline.rendering import layouts
from pipeline.rendering.layouts import LAYOUTS, Layout, random_layout, random_text
from pipeline.rendering.plates import render_plate

BY_NAME = [pytest.param(layout, id=f"{number}-{layout.region}") for number, layout in enumerate(LAYOUTS)]


@pytest.mark.parametrize("layout", BY_NAME)
def test_texts_by_the_pattern_fit_their_layout(layout: Layout) -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        shown = random_text(layout, rng, free=0.0)
        assert layout.fits(shown), shown
        assert shown.count("/") == layout.rows - 1
        assert 1 <= len(check(shown)) <= MAX_LENGTH


@pytest.mark.parametrize("layout", BY_NAME)
def test_every_layout_renders(layout: Layout) -> None:
    plate = render_plate(np.random.default_rng(2), layout, height=64)
    assert plate.image.shape[0] == 64
    assert plate.rows == layout.rows
    assert plate.image.shape[1] / 64 == pytest.approx(layout.aspect, rel=0.06)


def test_regions_are_many() -> None:
    assert len({layout.region for layout in LAYOUTS}) >= 20
    assert {layout.rows for layout in LAYOUTS} == {1, 2}


def test_free_texts_stay_in_the_alphabet() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        layout = random_layout(rng)
        text = normalise(random_text(layout, rng, free=1.0))
        assert 1 <= len(text) <= MAX_LENGTH
        assert set(text) <= set(CHARACTERS)


def test_random_layouts_differ_and_belong_nowhere() -> None:
    rng = np.random.default_rng(4)
    made = [random_layout(rng) for _ in range(20)]
    assert {layout.region for layout in made} == {layouts.UNKNOWN_REGION}
    assert len({(layout.width_mm, layout.paints) for layout in made}) == 20


@pytest.mark.parametrize(
    ("text", "fits"), [("AB12 CDE", True), ("ab12cde", True), ("AB1 CDE", False), ("AB12 CDEF", False), ("", False)]
)
def test_fits_is_the_syntax(text: str, fits: bool) -> None:
    assert Layout("GB", 520, 111, ("AA99 AAA",), LAYOUTS[0].paints).fits(text) is fits


@pytest.mark.parametrize(
    ("rows", "upper", "pattern"), [(2, 0.0, "AA/99"), (1, 0.3, "AA99"), (3, 0.3, "A/A/A"), (2, 0.3, "AA99")]
)
def test_a_layout_whose_rows_contradict_each_other_is_refused(rows: int, upper: float, pattern: str) -> None:
    with pytest.raises(ValueError, match="row"):
        Layout("XX", 300, 150, (pattern,), LAYOUTS[0].paints, rows=rows, upper_height=upper)
