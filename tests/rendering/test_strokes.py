"""The stroke alphabet: every character in every style, and no two alike."""

import itertools

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS
from pipeline.rendering import strokes

# Pairs that many plate types draw (nearly) the same.
TWINS = {
    frozenset(pair) for pair in ("0O", "1I", "0D", "OD", "OQ", "0Q", "S5", "8B", "Z2", "G6", "UV", "MW", "HN", "PR")
}


def fitted(char: str, family: str, index: int) -> np.ndarray:
    """The glyph as coverage 0..1 on one grid, whatever its width."""
    import cv2

    return cv2.resize(strokes.glyph(char, family, index), (48, 72), interpolation=cv2.INTER_AREA) / 255.0


@pytest.mark.parametrize("family", strokes.FAMILIES)
def test_every_character_has_ink_from_cap_line_to_baseline(family: str) -> None:
    for index in (0, 1, 2):
        for char in CHARACTERS:
            mask = strokes.glyph(char, family, index)
            assert mask.shape[0] == strokes.HEIGHT
            assert mask.dtype == np.uint8
            assert mask[:8].max() > 200, f"{char} of {family} {index} does not reach the cap line"
            assert mask[-8:].max() > 200, f"{char} of {family} {index} does not reach the baseline"
            assert 0.08 < mask.mean() / 255 < 0.95


@pytest.mark.parametrize("family", strokes.FAMILIES)
def test_characters_differ(family: str) -> None:
    glyphs = {char: fitted(char, family, 1) for char in CHARACTERS}
    for a, b in itertools.combinations(CHARACTERS, 2):
        overlap = np.minimum(glyphs[a], glyphs[b]).sum() / np.maximum(glyphs[a], glyphs[b]).sum()
        assert overlap < (0.995 if frozenset(a + b) in TWINS else 0.9), f"{a} and {b} look the same"


def test_nine_is_a_six_turned_round() -> None:
    six, nine = strokes.glyph("6", "din", 3), strokes.glyph("9", "din", 3)
    assert (nine == six[::-1, ::-1]).all()


def test_styles_are_fixed_by_their_index() -> None:
    strokes.glyph.cache_clear()
    first = strokes.glyph("R", "fe", 7).copy()
    strokes.glyph.cache_clear()
    strokes.style.cache_clear()
    assert (strokes.glyph("R", "fe", 7) == first).all()


def test_glyphs_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        strokes.glyph("A", "din", 0)[0, 0] = 1


def test_heavier_styles_have_more_ink() -> None:
    by_weight = sorted(range(12), key=lambda index: strokes.style("free", index).weight)
    light, heavy = by_weight[0], by_weight[-1]
    assert strokes.glyph("H", "free", heavy).mean() > 1.2 * strokes.glyph("H", "free", light).mean()
