"""Pictures as a user names them: files, folders, patterns, standard input, and all that is none of these."""

import io
import os

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.serving import inputs

PIXEL = encode_png(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))


def read_all(*arguments, stdin=b""):
    return [inputs.load(one) for one in inputs.named(map(str, arguments), io.BytesIO(stdin))]


@pytest.fixture
def album(tmp_path):
    """1.png, b/2.PNG, b/clip.MP4 and a text file."""
    (tmp_path / "b").mkdir()
    for name in ("b/2.PNG", "1.png", "b/clip.MP4"):
        (tmp_path / name).write_bytes(PIXEL)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(album, *arguments, stdin=b""):
    found = inputs.named(map(str, arguments), io.BytesIO(stdin))
    return [os.path.relpath(one.name, album) if not one.error else one.error for one in found]


def test_a_folder_is_all_images_and_videos_below_it_in_order(album):
    assert names(album, album) == ["1.png", "b/2.PNG", "b/clip.MP4"]
    assert [one.is_video for one in inputs.named([str(album)])] == [False, False, True]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["1.png"]),
        ("**/*.[pP][nN][gG]", ["1.png", "b/2.PNG"]),
        ("?", ["b/2.PNG", "b/clip.MP4"]),
        ("*.tiff", ["no file matches this pattern"]),
    ],
)
def test_a_pattern_is_what_it_matches(album, pattern, expected):
    assert names(album, album / pattern) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(album):
    (album / "a[1].png").write_bytes(PIXEL)
    assert names(album, album / "a[1].png") == ["a[1].png"]


def test_standard_input_is_a_picture():
    (one,) = read_all("-", stdin=PIXEL)
    assert (one.name, one.error) == ("-", "")
    assert one.photo.pixels.shape == (4, 6, 3)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("many", [1, 60], ids=["short", "longer than what is peeked at"])
def test_standard_input_is_a_list_of_names(album, ending, many):
    listed = ("\n".join([f"{album}/1.png", "", f"{album}/b"] * many) + ending).encode()
    assert names(album, "-", stdin=listed) == ["1.png", "b/2.PNG", "b/clip.MP4"] * many


def test_empty_and_endless_standard_input_are_errors(monkeypatch):
    assert read_all("-")[0].error == "standard input is empty"
    assert read_all("-", stdin=b"\n\r\n\n")[0].error == "standard input names no file"
    monkeypatch.setattr(inputs, "MAX_BYTES", len(PIXEL) - 1)
    assert "more than the cap" in read_all("-", stdin=PIXEL)[0].error


def test_what_is_named_can_be_counted_unless_standard_input_names_it(album):
    assert inputs.count([str(album), str(album / "?" / "*.PNG"), "gone.png"]) == 5
    assert inputs.count([str(album), "-"]) is None


def test_nothing_is_looked_for_before_it_is_asked_for(album):
    found = inputs.named([str(album / "1.png"), str(album / "b")])
    next(found)
    (album / "b" / "3.png").write_bytes(PIXEL)
    assert len(list(found)) == 3


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("empty.png", b"", "empty file"),
        ("cut.png", PIXEL[:-40], "decoded"),
        ("page.jpg", b"<html></html>", "image"),
    ],
)
def test_a_bad_file_is_an_error_and_the_next_is_read(tmp_path, name, data, error):
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.png").write_bytes(PIXEL)
    bad, good = read_all(tmp_path / name, tmp_path / "good.png")
    assert bad.photo is None
    assert error in bad.error
    assert good.photo is not None


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty").mkdir()
    read = read_all(tmp_path / "gone.png", tmp_path / "pipe.png", tmp_path / "empty")
    assert [one.error for one in read] == ["no such file or folder", "not a file", "no images in this folder"]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_BYTES", len(PIXEL) - 1)
    (tmp_path / "a.png").write_bytes(PIXEL)
    assert "more than the cap" in read_all(tmp_path / "a.png")[0].error
