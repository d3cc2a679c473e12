"""One way to normalise a plate's text, whatever it was written with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import alphabet
from pipeline.alphabet import CHARACTERS, PROVINCES, TextError, check, normalise, readable

NORMAL = {
    "as it should be": ("MH20EJ0364", "MH20EJ0364"),
    "empty": ("", ""),
    "lower case": ("mh20ej0364", "MH20EJ0364"),
    "spaces and dashes": (" MH 20-EJ\u20130364 ", "MH20EJ0364"),
    "tabs and newlines": ("AB\t12\n", "AB12"),
    "no-break space": ("AB\u00a012", "AB12"),
    "dots, bullets, slashes": ("京A·12.3/4•5", "京A12345"),
    "full-width digits and letters": ("\uff21\uff22\uff11\uff12", "AB12"),
    "symbols": ("A+B=1|2★", "AB12"),
    "only punctuation": ("-- · --", ""),
    "letters of other alphabets stay": ("Ж1", "Ж1"),
}


@pytest.mark.parametrize(("text", "normal"), NORMAL.values(), ids=NORMAL.keys())
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


CHECKED = {
    "letters and digits": ("ab-123", "AB123"),
    "one character": ("7", "7"),
    "the longest": ("ABCDEF123456", "ABCDEF123456"),
    "a Chinese province": ("京A·12345", "京A12345"),
    "a trailer": ("粤B1234挂", "粤B1234挂"),
}


@pytest.mark.parametrize(("text", "normal"), CHECKED.values(), ids=CHECKED.keys())
def test_check_gives_the_normal_text(text: str, normal: str) -> None:
    assert check(text) == normal


REFUSED = {
    "empty": ("", "1 to 12 characters, not 0"),
    "only punctuation": (" - ", "not 0"),
    "too long": ("ABCDEF1234567", "not 13"),
    "accent": ("ÅB12", "character 'Å'"),
    "Cyrillic look-alike": ("\u0410B12", "character '\u0410'"),
    "the first of several is named": ("AÑ1Ж", "character 'Ñ'"),
    "markup": ("<b>ä", "character 'Ä'"),
    "invisible": ("AB\u200b12", "u200b"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_check_names_what_it_refuses(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        check(text)


READABLE = {
    "latin": ("ab-12", "AB12"),
    "province dropped": ("京A12345", "A12345"),
    "nothing left": ("京", ""),
    "foreign letters dropped": ("ЖÄ1", "1"),
}


@pytest.mark.parametrize(("text", "left"), READABLE.values(), ids=READABLE.keys())
def test_readable_is_what_the_readers_are_scored_on(text: str, left: str) -> None:
    assert readable(text) == left


@given(st.text(alphabet=CHARACTERS + CHARACTERS.lower() + PROVINCES + " -.·", max_size=20))
def test_what_check_takes_is_normal_already(text: str) -> None:
    try:
        normal = check(text)
    except TextError:
        assert not 1 <= len(normalise(text)) <= alphabet.MAX_LENGTH
    else:
        assert check(normal) == normal
        assert readable(normal) == "".join(c for c in normal if c not in PROVINCES)


@given(st.text(max_size=30))
def test_any_text_is_normalised_or_refused_in_words(text: str) -> None:
    assert set(readable(text)) <= set(CHARACTERS)
    if set(normalise(text)) <= set(CHARACTERS + PROVINCES) and 1 <= len(normalise(text)) <= alphabet.MAX_LENGTH:
        assert check(text) == normalise(text)
    else:
        with pytest.raises(TextError, match="character"):
            check(text)


def test_characters_are_told_apart() -> None:
    assert len(set(CHARACTERS + PROVINCES)) == len(CHARACTERS) + len(PROVINCES)
    assert len(CHARACTERS) == 36
