"""The characters that plates are read in, and the one way to normalise a plate's text."""

from __future__ import annotations

import unicodedata

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使学警港澳挂"
MAX_LENGTH = 12


class TextError(ValueError):
    """A text that cannot stand on a plate."""


def normalise(text: str) -> str:
    """Upper-cases and drops spaces, dashes, dots and bullets: what is left is what is compared.

    >>> normalise("mh-20 ej·0364")
    'MH20EJ0364'
    """
    decomposed = unicodedata.normalize("NFKC", text).upper()
    return "".join(c for c in decomposed if not (c.isspace() or unicodedata.category(c)[0] in "PS"))


def check(text: str) -> str:
    """Normalises and returns a plate text; TextError names the first character outside the alphabet."""
    normal = normalise(text)
    for character in normal:
        if character not in CHARACTERS and character not in PROVINCES:
            raise TextError(f"character {character!r} is not in the plate alphabet")
    if not 1 <= len(normal) <= MAX_LENGTH:
        raise TextError(f"a plate has 1 to {MAX_LENGTH} characters, not {len(normal)}")
    return normal


def readable(text: str) -> str:
    """The part of a text that the readers are trained and scored on: Latin letters and digits."""
    return "".join(c for c in normalise(text) if c in CHARACTERS)
