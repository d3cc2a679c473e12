"""What a pull asks of a picture: its bytes, and what its header says, never its pixels."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from PIL import Image

from pipeline import images
from pipeline.images import ImageError
from pipeline.sources import base
from pipeline.sources.base import SourceError, files_below, image_name, inside, natural, read_picture, some


def chunk(kind: bytes, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + kind + payload + zlib.crc32(kind + payload).to_bytes(4, "big")


def png(width: int, height: int, pixels: bytes, *behind: bytes) -> bytes:
    """A PNG put together by hand, so that its pixels may be nonsense and chunks may stand behind them."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(pixels)), *behind, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_an_orientation_behind_the_pixels_counts(tmp_path: Path) -> None:
    data = png(4, 2, bytes(10), turned())
    _, header = read_picture(saved(tmp_path / "a.png", data))
    assert header.size == (2, 4)
    assert images.decode(data).shape == (4, 2, 3)


def test_pixels_are_not_decoded(tmp_path: Path) -> None:
    """Nonsense for pixels is found by validate, which decodes; a header is read without them."""
    _, header = read_picture(saved(tmp_path / "a.png", png(400, 200, b"too short")))
    assert header.size == (400, 200)


def test_the_size_of_a_huge_picture_is_told_by_its_header(tmp_path: Path) -> None:
    """And validate, whose cap it is, puts it into quarantine without decoding it."""
    _, header = read_picture(saved(tmp_path / "a.png", png(30_000, 30_000, bytes(1000))))
    assert header.size == (30_000, 30_000)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(ImageError, match="more than the cap of 10 bytes"):
        read_picture(saved(tmp_path / "a.png", bytes(11)))


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_picture(tmp_path / name)


def test_files_are_found_in_natural_order_hidden_ones_apart(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/9.png", "a[1].txt", ".git/x", "b/.DS_Store", "__MACOSX/b/9.png", "b/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    visible, hidden = files_below(tmp_path)
    assert visible == ["a[1].txt", "b/9.png", "b/10.png"]
    assert sorted(hidden) == [".git/x", "__MACOSX/b/9.png", "b/.DS_Store", "b/Thumbs.db"]


def test_natural_order() -> None:
    assert sorted(["a10", "a2", "2", "", "b", "a2b"], key=natural) == ["", "2", "a2", "a2b", "a10", "b"]


@pytest.mark.parametrize(
    ("relative", "prefix", "name"),
    [
        ("a.jpg", "", "images/a.jpg"),
        ("images/a.jpg", "", "images/a.jpg"),
        ("train/images/a.jpg", "", "images/train/images/a.jpg"),
        ("images/a.jpg", "one/", "images/one/a.jpg"),
    ],
)
def test_where_a_picture_is_kept(relative: str, prefix: str, name: str) -> None:
    assert image_name(relative, prefix) == name


@pytest.mark.parametrize("relative", ["../a", "b/../../a", "/a", "..\\a", "a\0"])
def test_paths_that_lead_out(tmp_path: Path, relative: str) -> None:
    with pytest.raises(SourceError, match="no path inside"):
        inside(tmp_path, relative)
    assert inside(tmp_path, "b/a.png") == tmp_path / "b/a.png"


def test_some() -> None:
    assert [some([]), some(["a"]), some(["a", "b", "c"], 2)] == ["", "a", "a, b and 1 more"]
