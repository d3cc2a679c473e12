"""Font books: what is reproducible, and what is refused."""

from pathlib import Path

import numpy as np

from pipeline.alphabet import CHARACTERS
from pipeline.rendering.fonts import FileFace, FontBook, StrokeFace
from pipeline.rendering.strokes import HEIGHT


def test_the_reproducible_book_needs_no_installed_font() -> None:
    paths = [path for family in FontBook.reproducible().families for path in family]
    assert paths
    assert all("matplotlib" in path and Path(path).is_file() for path in paths)


def test_file_faces_draw_the_whole_alphabet_at_one_height() -> None:
    path = FontBook.reproducible().families[0][0]
    for char in CHARACTERS:
        mask = FileFace(path).glyph(char)
        assert mask.shape[0] == HEIGHT
        assert mask.max() > 200


def test_folders_without_usable_fonts_leave_the_reproducible_ones(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    book = FontBook.installed((tmp_path, tmp_path / "nowhere"))
    assert book.families == FontBook.reproducible().families


def test_pick_mixes_strokes_and_files_by_the_share() -> None:
    rng = np.random.default_rng(0)
    book = FontBook(FontBook.reproducible().families, stroke_share=0.5)
    faces = [book.pick(rng, "din") for _ in range(200)]
    strokes = sum(isinstance(face, StrokeFace) for face in faces)
    assert 60 < strokes < 140
    only = FontBook(book.families, stroke_share=1.0)
    assert all(isinstance(only.pick(rng, "fe"), StrokeFace) for _ in range(50))
