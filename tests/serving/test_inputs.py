"""Pictures as a user names them: files, folders, and all that is neither."""

import os

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.serving import inputs

PIXEL = encode_png(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))


def test_a_folder_is_all_images_below_it_in_order_of_path(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.PNG", "1.png"):
        (tmp_path / name).write_bytes(PIXEL)
    (tmp_path / "notes.txt").write_text("no image")
    read = list(inputs.read_all([tmp_path]))
    assert [one.name for one in read] == [str(tmp_path / "1.png"), str(tmp_path / "b/2.PNG")]
    assert all(one.image.shape == (4, 6, 3) and not one.error for one in read)


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
    bad, good = inputs.read_all([tmp_path / name, tmp_path / "good.png"])
    assert bad.image is None
    assert error in bad.error
    assert good.image is not None


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty").mkdir()
    read = inputs.read_all([tmp_path / "gone.png", tmp_path / "pipe.png", tmp_path / "empty"])
    assert [one.error for one in read] == ["no such file or folder", "not a file", "no images in this folder"]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_BYTES", len(PIXEL) - 1)
    (tmp_path / "a.png").write_bytes(PIXEL)
    assert "more than the cap" in inputs.read_one(tmp_path / "a.png").error
