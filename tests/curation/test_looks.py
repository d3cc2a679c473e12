"""Looks that are kept for the next run: the same when read again, and none at all where the file is not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline import reuse
from pipeline.curation import duplicates, looks
from pipeline.curation.duplicates import Look

MADE_BY = looks.version(1000)


def kept(*numbers: int) -> dict[str, Look]:
    pictures = (np.random.default_rng(number).integers(0, 255, (40, 50 + number, 3), np.uint8) for number in numbers)
    return {f"{number:064x}": duplicates.look(picture) for number, picture in zip(numbers, pictures, strict=True)}


def same(a: Look, b: Look) -> bool:
    return (a.pixels, a.phash, a.aspect, a.thumbnail.dtype) == (b.pixels, b.phash, b.aspect, b.thumbnail.dtype) and (
        np.array_equal(a.thumbnail, b.thumbnail)
    )


@pytest.mark.parametrize("numbers", [(), (1,), (3, 1, 2)], ids=["none", "one", "some"])
def test_looks_are_the_same_when_read_again(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    written = kept(*numbers)
    looks.write(tmp_path / "cache" / "looks.npz", MADE_BY, written)
    read = looks.read(tmp_path / "cache" / "looks.npz", MADE_BY)
    assert list(read) == list(written)
    assert all(same(read[name], look) for name, look in written.items())
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["looks.npz"]


def test_a_look_takes_little_more_than_its_thumbnail(tmp_path: Path) -> None:
    looks.write(tmp_path / "looks.npz", MADE_BY, kept(*range(50)))
    assert (tmp_path / "looks.npz").stat().st_size < 50 * 4300


def test_no_file_is_nothing_to_speak_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert looks.read(tmp_path / "looks.npz", MADE_BY) == {}
    assert capsys.readouterr().out == ""


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def one_byte_changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def other_arrays(path: Path) -> None:
    np.savez(path, names=np.zeros(3))


@pytest.mark.parametrize("damage", [cut_short, one_byte_changed, emptied, a_single_array, other_arrays])
def test_a_damaged_or_foreign_file_is_told_in_one_sentence(tmp_path: Path, capsys, damage) -> None:
    path = tmp_path / "looks.npz"
    looks.write(path, MADE_BY, kept(1, 2, 3))
    damage(path)
    assert looks.read(path, MADE_BY) == {}
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{path} is no file of looks, or is damaged")


def test_looks_of_other_code_are_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "looks.npz"
    looks.write(path, MADE_BY, kept(1))
    assert looks.read(path, looks.version(1001)) == {}
    assert "made by other code or settings" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["curation/duplicates.py", "images.py"])
def test_a_version_stands_for_how_a_look_is_made(module: str) -> None:
    assert reuse.PACKAGE / module in reuse.sources(Path(duplicates.__file__))


@pytest.mark.parametrize("library", ["cv2", "imagehash", "numpy", "PIL"])
def test_a_version_stands_for_its_libraries(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setattr(f"{library}.__version__", "0.0")
    assert looks.version(1000) != MADE_BY
