"""What plates say: by the pattern, by chance, or as their owners wish."""

import re

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS, MAX_LENGTH, check, normalise
from pipeline.rendering.catalogue import FOLDER, Catalogue
from pipeline.rendering.layouts import DIGITS, LETTERS, Layout
from pipeline.rendering.texts import WORDS, chosen_word, random_text

REGIONS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def layout(*patterns: str, **fields: object) -> Layout:
    plain = {"region": "QQ", "size": (520, 110), "patterns": patterns, "paints": ("black on white",)}
    return Layout(**{**plain, **fields})


@pytest.mark.parametrize("region", REGIONS)
def test_texts_by_the_pattern_fit_their_layout_and_the_alphabet(region: str) -> None:
    rng = np.random.default_rng(1)
    for kind in Catalogue.shipped().of(region):
        for _ in range(40):
            shown = random_text(kind, rng, free=0.0)
            assert kind.fits(shown), shown
            assert shown.count("/") == kind.rows - 1
            assert set(check(shown)) <= set(CHARACTERS)


PATTERNS = {
    "letters and digits": ("AA 99", {"letters": "BC"}, r"[BC]{2} \d\d"),
    "either": ("XXX", {"letters": "BC"}, r"[BC\d]{3}"),
    "a prefix": ("@*9", {"prefixes": ("HH", "B")}, r"(HH|B)\*\d"),
    "themselves": ("k1A", {"letters": "D"}, "K1D"),
    "a stack keeps its brackets": ("A[9|A]", {"letters": "D"}, r"D\[\d\|D\]"),
    "two rows": ("A/99", {"upper_height": 0.3, "letters": "D"}, r"D/\d\d"),
}


@pytest.mark.parametrize(("pattern", "fields", "expected"), PATTERNS.values(), ids=PATTERNS.keys())
def test_a_pattern_is_filled(pattern: str, fields: dict[str, object], expected: str) -> None:
    rng = np.random.default_rng(3)
    texts = [random_text(layout(pattern, **fields), rng, free=0.0) for _ in range(60)]
    assert all(re.fullmatch(expected, text) for text in texts), texts
    assert len(set(texts)) > 1 or expected == "K1D"


def test_a_pattern_is_chosen_as_often_as_it_is_written() -> None:
    rng = np.random.default_rng(0)
    texts = [random_text(layout("A", "A", "A", "9"), rng, free=0.0) for _ in range(400)]
    assert sum(text.isalpha() for text in texts) / 400 == pytest.approx(0.75, abs=0.07)


@pytest.mark.parametrize("region", REGIONS)
def test_free_texts_are_of_the_country_s_own_letters(region: str) -> None:
    """Where a country has no I, a bare stroke is a 1."""
    rng = np.random.default_rng(3)
    for kind in Catalogue.shipped().of(region):
        for _ in range(40):
            shown = random_text(kind, rng, free=1.0)
            text = normalise(shown)
            assert shown.count("/") == kind.rows - 1
            assert 1 <= len(text) <= MAX_LENGTH
            assert set(text) <= {*kind.letters, *DIGITS}


@pytest.mark.parametrize("letters", ["A", "IO", "BCDFGHJKLMNPQRSTVWXYZ", LETTERS], ids=len)
def test_free_texts_of_few_and_of_many_letters(letters: str) -> None:
    rng = np.random.default_rng(4)
    kind = layout("AA", letters=letters)
    texts = [normalise(random_text(kind, rng, free=1.0)) for _ in range(200)]
    assert set("".join(texts)) <= {*letters, *DIGITS}
    assert set(letters) <= set("".join(texts)), "each of them comes"


def test_some_texts_are_free_by_the_share_asked_for() -> None:
    kind = layout("AAAAAAAAAAAA")  # 12 letters: no free text is as long
    rng = np.random.default_rng(5)
    free = [len(normalise(random_text(kind, rng, free=0.25))) < 12 for _ in range(400)]
    assert np.mean(free) == pytest.approx(0.25, abs=0.07)


def test_words_are_as_owners_choose_them() -> None:
    rng = np.random.default_rng(6)
    words = [chosen_word(rng) for _ in range(500)]
    for word in words:
        assert 1 <= len(normalise(word)) <= 8
        assert word.count(" ") <= 1
        assert word == word.strip()
        assert set(word) <= {*CHARACTERS, " "}
    assert any(" " in word for word in words)
    assert 0.05 < np.mean([any(c.isdigit() for c in word) for word in words]) < 0.6
    assert len(set(words)) > 200


def test_the_words_are_letters_that_fit_a_plate() -> None:
    words = WORDS.read_text(encoding="utf-8").split()
    assert len(words) == len(set(words)) > 100
    assert [word for word in words if not set(word) <= set(LETTERS) or len(word) > 8] == []
