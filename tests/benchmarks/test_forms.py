"""Photos in other sizes: the labels move with the pixels, and the files are what they say."""

import numpy as np
import pytest

from pipeline.benchmarks import forms
from pipeline.benchmarks.forms import Form, Photo
from pipeline.images import encode_png, read_image, sha256
from pipeline.records import Box, Plate, Quad, Sample

BOX = Box(10, 12, 30, 18)


def photo(folder, width: int = 40, height: int = 30) -> Photo:
    data = encode_png(np.full((height, width, 3), 90, np.uint8))
    (folder / "a.png").write_bytes(data)
    plate = Plate(BOX, Quad.of_box(BOX), text="AB12", char_boxes=(BOX,))
    return Photo(Sample(sha256(data), "a.png", width, height, (plate,), "made", "g"), folder / "a.png")


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((40, 30), 80, (80, 60)), ((30, 40), 80, (60, 80)), ((40, 30), 20, (20, 15)), ((400, 1), 40, (40, 1))],
    ids=["wide", "tall", "smaller", "a ribbon"],
)
def test_the_longer_side_has_so_many_pixels(size, side, expected) -> None:
    image = forms.resized(np.zeros((size[1], size[0], 3), np.uint8), side)
    assert (image.shape[1], image.shape[0]) == expected


def test_a_copy_is_a_jpeg_with_its_labels_in_its_own_pixels(tmp_path) -> None:
    own = photo(tmp_path)
    copies = forms.as_jpeg(Form("as they are", [own]), 80, tmp_path)
    (copy,) = copies.photos
    assert copies.name == "as JPEG of 80 pixels"
    assert copy.path.read_bytes().startswith(b"\xff\xd8\xff")
    assert read_image(copy.path).shape == (60, 80, 3)
    assert (copy.sample.width, copy.sample.height) == (80, 60) == copies.size
    (plate,) = copy.sample.plates
    assert plate.box.xyxy == (20, 24, 60, 36)
    assert plate.quad == Quad.of_box(plate.box)
    assert (plate.text, copy.sample.group) == ("AB12", "g")
    assert plate.char_boxes == ()


def test_a_plate_without_corners_stays_without() -> None:
    sample = Sample("0" * 64, "a.png", 40, 30, (Plate(BOX),), "made", "g")
    (plate,) = forms.scaled(sample, 60, 60).plates
    assert plate.quad is None
    assert plate.box.xyxy == (15, 24, 45, 36)


def test_size_and_weight_are_those_of_the_middle_photo(tmp_path) -> None:
    own = photo(tmp_path)
    many = [Photo(forms.scaled(own.sample, width, 30), own.path) for width in (10, 40, 900)]
    form = Form("as they are", many)
    assert form.size == (40, 30)
    assert form.megabytes == own.path.stat().st_size / 1e6


def test_photos_as_they_are_lie_in_the_folder(tmp_path) -> None:
    own = photo(tmp_path)
    assert forms.as_they_are([own.sample], tmp_path).photos == [own]
