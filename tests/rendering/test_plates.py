"""Rendered plates: the same seed gives the same pixels, and the truth is true."""

import cv2
import numpy as np
import pytest

from pipeline.records import UNKNOWN_REGION
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.plates import render_plate

ONE_ROW = Catalogue.shipped().of("ES")[0]
TWO_ROWS = next(layout for layout in Catalogue.shipped().of("IN") if layout.rows == 2)


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
    assert (plate.text, plate.upper) == ("KA01MN4711", 6)
    assert max(box.y2 for box in upper) <= min(box.y1 for box in lower) + 2
    for row in (upper, lower):
        assert [box.x1 for box in row] == sorted(box.x1 for box in row)
    grey = cv2.cvtColor(plate.image, cv2.COLOR_RGB2GRAY).astype(float)
    for box in plate.char_boxes:
        inside = grey[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)]
        assert np.ptp(inside) > 0.5 * abs(plate.tones[0] - plate.tones[1])


# shown, the text, the places of the upper and of the lower small characters in it
STACKS = {
    "two": ("A[B|1]9", "AB19", [1], [2]),
    "rows of two": ("A[BC|12]9", "ABC129", [1, 2], [3, 4]),
    "uneven rows": ("A[BCD|1]9", "ABCD19", [1, 2, 3], [4]),
    "at the start": ("[M|H]20", "MH20", [0], [1]),
    "at the end": ("20[M|H]", "20MH", [2], [3]),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("shown", "text", "upper", "lower"), STACKS.values(), ids=STACKS.keys())
def test_stacks_are_read_upper_then_lower(shown: str, text: str, upper: list[int], lower: list[int], seed: int) -> None:
    plate = render_plate(np.random.default_rng(seed), ONE_ROW, shown, height=128)
    boxes = plate.char_boxes
    assert (plate.text, plate.rows, len(boxes)) == (text, 1, len(text))
    assert plate.upper == upper[-1] + 1, "the lower half of a stack is read with the lower row"
    small = [*upper, *lower]
    large = [place for place in range(len(text)) if place not in small]
    assert max(boxes[i].y2 for i in upper) <= min(boxes[i].y1 for i in lower) + 1
    assert max(boxes[i].height for i in small) < 0.6 * min(boxes[i].height for i in large)
    for row in (upper, lower):
        assert [boxes[i].x1 for i in row] == sorted(boxes[i].x1 for i in row)
    for place in large:
        before, after = ([i for i in small if i < place], [i for i in small if i > place])
        assert all(boxes[i].x2 <= boxes[place].x1 + 2 for i in before), "a character that follows stands to the right"
        assert all(boxes[i].x1 >= boxes[place].x2 - 2 for i in after)


REGIONS = {
    "as its country writes it": ("1234 BCD", "1234BCD", "ES"),
    "with other separators": ("12-34.BC*D", "1234BCD", "ES"),
    "a stack of its country's": ("1234 [B|C]D", "1234BCD", "ES"),
    "of no country": ("HELLO", "HELLO", UNKNOWN_REGION),
}


@pytest.mark.parametrize(("shown", "text", "region"), REGIONS.values(), ids=REGIONS.keys())
def test_separators_are_no_text_and_a_foreign_syntax_is_no_region(shown: str, text: str, region: str) -> None:
    plate = render_plate(np.random.default_rng(1), ONE_ROW, shown)
    assert (plate.text, plate.region, plate.rows) == (text, region, 1)
    assert plate.upper == (5 if "|" in shown else len(text))


def test_a_text_without_a_break_is_broken_on_a_plate_of_two_rows() -> None:
    plate = render_plate(np.random.default_rng(1), TWO_ROWS, "KA01MN471")
    assert (plate.rows, plate.upper) == (2, 5)


@pytest.mark.parametrize("text", ["", " - ", "[ | ]", "ÄB 12", "京A12345", "12_3", "A[B|1", "A[Ä|1]"])
def test_a_text_that_no_plate_shows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a plate cannot show"):
        render_plate(np.random.default_rng(1), ONE_ROW, text)


@pytest.mark.parametrize("height", [24, 40, 64, 128, 200])
def test_long_texts_fit_at_every_height(height: int) -> None:
    for layout in (ONE_ROW, TWO_ROWS):
        plate = render_plate(np.random.default_rng(3), layout, "WWMMWWMMWWMM", height)
        assert plate.image.shape[0] == height
        assert len(plate.char_boxes) == 12
