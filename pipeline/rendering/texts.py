"""What plates say: texts by a layout's patterns, words as owners choose them, and plain random ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from pipeline.rendering.layouts import CLEAR, DIGITS, LETTERS, Layout

WORDS = Path(__file__).parent / "words.txt"
_LONGEST = 8  # characters that an owner may choose
_SOUNDS = {"TO": "2", "FOR": "4", "ATE": "8", "ONE": "1", "YOU": "U", "ARE": "R", "SEE": "C", "BE": "B", "EASY": "EZ"}


def random_text(layout: Layout, rng: np.random.Generator, free: float = 0.25) -> str:
    """A text as it is displayed, with separators: by one of the layout's patterns, or (`free`) purely random."""
    if rng.random() >= free:
        return _fill(layout, layout.patterns[int(rng.integers(len(layout.patterns)))], rng)
    if layout.rows == 2:
        return "/".join(_free_word(rng, layout.letters, int(rng.integers(least, 6))) for least in (2, 1))
    longest = int(np.clip(layout.aspect * 2.1, 5, 10))
    length = int(rng.integers(min(3, longest), longest + 1)) if rng.random() < 0.92 else 2
    word = _free_word(rng, layout.letters, length)
    if len(word) > 3 and rng.random() < 0.65:
        at = int(rng.integers(1, len(word)))
        word = word[:at] + _pick(rng, "    --.*") + word[at:]
    return word


def chosen_word(rng: np.random.Generator) -> str:
    """What an owner may choose: one or two words, some of them spelt with digits; 1 to 8 characters and one space."""
    words = _words()
    first = words[int(rng.integers(len(words)))]
    kind = rng.random()
    parts = [first]
    if kind < 0.3:
        parts.append(words[int(rng.integers(len(words)))])
    elif kind < 0.5:
        parts.insert(int(rng.integers(2)), str(int(rng.integers(1, 100))))
    elif kind < 0.6:
        parts.insert(int(rng.integers(2)), _pick(rng, LETTERS))
    if rng.random() < 0.25:
        parts = [_SOUNDS.get(part, part) for part in parts]
    while len("".join(parts)) > _LONGEST:
        parts = parts[1:] if len(parts) > 1 else [parts[0][:_LONGEST]]
    return (" " if rng.random() < 0.35 else "").join(parts)


@cache
def _words() -> tuple[str, ...]:
    return tuple(WORDS.read_text(encoding="utf-8").split())


def _pick(rng: np.random.Generator, characters: str) -> str:
    return characters[int(rng.integers(len(characters)))]


def _fill(layout: Layout, pattern: str, rng: np.random.Generator) -> str:
    out = []
    for c in pattern:
        if c == "@":
            out.append(layout.prefixes[int(rng.integers(len(layout.prefixes)))])
        elif c == "~":
            out.append(chosen_word(rng))
        elif c == "A":
            out.append(_pick(rng, layout.letters))
        elif c == "9":
            out.append(_pick(rng, DIGITS))
        elif c == "X":
            out.append(_pick(rng, layout.letters + DIGITS))
        else:
            out.append(c.upper())
    return "".join(out)


def _free_word(rng: np.random.Generator, letters: str, length: int) -> str:
    """Of a country's own letters only: where a country has no I, a bare stroke on its plates is a 1."""
    kind = int(rng.choice(4, p=[0.55, 0.2, 0.1, 0.15]))
    clear = "".join(c for c in letters if c in CLEAR)
    mixed = (letters if rng.random() < 0.4 else clear) + DIGITS  # among digits, a round letter is mostly a zero
    if kind == 3 and len(letters) > 20 and set(letters) & set("AEIOU"):  # something that can be spoken
        sounds = ["".join(c for c in letters if (c in "AEIOU") == vowel) for vowel in (False, True)]
        return "".join(_pick(rng, sounds[i % 2]) for i in range(length))
    return "".join(_pick(rng, (mixed, letters, DIGITS)[min(kind, 2)]) for _ in range(length))
