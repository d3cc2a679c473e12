"""Rendered plates and crops: the same seed gives the same pixels, and the truth is true."""

import cv2
import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS, MAX_LENGTH
from pipeline.rendering import plates
from pipeline.rendering.layouts import LAYOUTS, UNKNOWN_REGION
from pipeline.rendering.plates import render_crop, render_plate

ONE_ROW = next(layout for layout in LAYOUTS if layout.region == "ES")
TWO_ROWS = next(layout for layout in LAYOUTS if layout.region == "IN" and layout.rows == 2)


def test_the_same_seed_gives_the_same_plate() -> None:
    first, second = (render_plate(np.random.default_rng(5)) for _ in range(2))
    assert (first.image == second.image).all()
    assert (first.text, first.region, first.char_boxes) == (second.text, second.region, second.char_boxes)


def test_another_seed_gives_another_plate() -> None:
    assert render_plate(np.random.default_rng(5)).text != render_plate(np.random.default_rng(6)).text


@pytest.mark.parametrize("seed", range(30))
def test_a_plate_has_one_box_inside_it_for_each_character(seed: int) -> None:
    plate = render_plate(np.random.default_rng(seed), height=96)
    rows, columns = plate.image.shape[:2]
    assert len(plate.char_boxes) == len(plate.text)
    for box in plate.char_boxes:
        assert box.x1 >= 0
        assert box.y1 >= 0
        assert box.x2 <= columns
        assert box.y2 <= rows


def test_character_boxes_hold_ink_and_run_in_reading_order() -> None:
    plate = render_plate(np.random.default_rng(8), TWO_ROWS, "KA 01 MN/4711", height=128)
    upper, lower = plate.char_boxes[:6], plate.char_boxes[6:]
    assert plate.text == "KA01MN4711"
    assert max(box.y2 for box in upper) <= min(box.y1 for box in lower) + 2
    for row in (upper, lower):
        assert [box.x1 for box in row] == sorted(box.x1 for box in row)
    grey = cv2.cvtColor(plate.image, cv2.COLOR_RGB2GRAY).astype(float)
    for box in plate.char_boxes:
        inside = grey[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)]
        assert np.ptp(inside) > 0.5 * abs(plate.tones[0] - plate.tones[1])


@pytest.mark.parametrize(
    ("shown", "text", "region"),
    [("1234 BCD", "1234BCD", "ES"), ("12-34.BC*D", "1234BCD", "ES"), ("HELLO", "HELLO", UNKNOWN_REGION)],
)
def test_separators_are_no_text_and_a_foreign_syntax_is_no_region(shown: str, text: str, region: str) -> None:
    plate = render_plate(np.random.default_rng(1), ONE_ROW, shown)
    assert (plate.text, plate.region, plate.rows) == (text, region, 1)


def test_a_text_without_a_break_is_broken_on_a_plate_of_two_rows() -> None:
    assert render_plate(np.random.default_rng(1), TWO_ROWS, "KA01MN4711").rows == 2


@pytest.mark.parametrize("text", ["", " - ", "ÄB 12", "京A12345", "12_3"])
def test_a_text_that_no_plate_shows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a plate cannot show"):
        render_plate(np.random.default_rng(1), ONE_ROW, text)


@pytest.mark.parametrize("height", [24, 40, 64, 128, 200])
def test_long_texts_fit_at_every_height(height: int) -> None:
    for layout in (ONE_ROW, TWO_ROWS):
        plate = render_plate(np.random.default_rng(3), layout, "WWMMWWMMWWMM", height)
        assert plate.image.shape[0] == height
        assert len(plate.char_boxes) == 12


@pytest.mark.parametrize("seed", range(40))
def test_a_crop_is_of_the_height_asked_for_with_a_text_of_the_alphabet(seed: int) -> None:
    crop, text, region, rows = render_crop(np.random.default_rng(seed))
    assert crop.dtype == np.uint8
    assert crop.shape[0] == 64
    assert crop.shape[2] == 3
    assert 32 <= crop.shape[1] <= 2.7 * 192
    assert 1 <= len(text) <= MAX_LENGTH
    assert set(text) <= set(CHARACTERS)
    assert rows in (1, 2)
    assert len(region) == 2
    assert crop.std() > 4, "nothing to be seen"


def test_the_same_seed_gives_the_same_crop() -> None:
    first, second = (render_crop(np.random.default_rng(11)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert first[1:] == second[1:]


def test_crops_keep_their_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    honest = plates._exposed

    def watched(*arguments):  # type: ignore[no-untyped-def]
        image, contrast = honest(*arguments)
        kept.append(contrast)
        return image, contrast

    monkeypatch.setattr(plates, "_exposed", watched)
    for seed in range(120):
        render_crop(np.random.default_rng(seed))
    assert np.quantile(kept, 0.03) > 30
