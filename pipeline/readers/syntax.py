"""Settles characters that look alike by what a country's plates can say. An option: nobody's region is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from pipeline.images import RGB
from pipeline.readers.decoding import ReaderError
from pipeline.readers.reader import Reader
from pipeline.records import Reading
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.layouts import Layout

ALIKE = dict(zip("0O1I8B5S2Z", "O0I1B8S5Z2", strict=True))
CERTAIN = 0.98  # a character read with this score is never overruled


def layouts_of(region: str) -> tuple[Layout, ...]:
    """The layouts of a country by its code; ReaderError names those that are known."""
    found = Catalogue.shipped().of(region.upper())
    if not found:
        known = ", ".join(Catalogue.shipped().regions[:-1])
        raise ReaderError(f"no layouts of a region {region!r}: choose one of {known}")
    return found


def settle(reading: Reading, layouts: Sequence[Layout], certain: float = CERTAIN) -> Reading:
    """The reading with 0 and O, 1 and I, 8 and B, 5 and S, 2 and Z exchanged where only so it is a text of the layouts.

    As few characters as possible change, none that was read with a score of `certain`. A text that fits already, one
    that no exchange makes fit, and one that two exchanges of a size make fit, stay as they are. The characters that
    changed keep their scores.
    """
    text = reading.best
    if not reading.char_scores or any(layout.fits(text) for layout in layouts):
        return reading
    doubtful = [i for i, c in enumerate(text) if c in ALIKE and reading.char_scores[i] < certain]
    for size in range(1, len(doubtful) + 1):
        fitting = {
            other
            for places in combinations(doubtful, size)
            if any(layout.fits(other := _exchanged(text, places)) for layout in layouts)
        }
        if len(fitting) == 1:
            settled = fitting.pop()
            return replace(reading, text=settled if reading.text else "", guess=settled if reading.guess else "")
        if fitting:
            return reading
    return reading


class SettlingReader:
    """Another reader, whose readings are settled by one country's layouts."""

    def __init__(self, reader: Reader, region: str) -> None:
        self._reader, self._layouts = reader, layouts_of(region)

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order."""
        return [settle(reading, self._layouts) for reading in self._reader.read(crops)]


def _exchanged(text: str, places: Sequence[int]) -> str:
    return "".join(ALIKE[c] if i in places else c for i, c in enumerate(text))
