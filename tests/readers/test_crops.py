"""Real crops as arrays: cut, distorted, their characters in another order, stacked with their labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS
from pipeline.readers import crops
from pipeline.readers.crops import (
    LABEL,
    RealCrop,
    Said,
    again,
    as_input,
    distort,
    draw,
    draw_nothing,
    permuted,
    real_batch,
    region_codes,
    shifted,
    stack,
)
from pipeline.records import Box, Plate, Quad


def photo() -> np.ndarray:
    picture = np.full((100, 200, 3), 60, np.uint8)
    picture[40:60, 80:160] = 220
    picture[45:55, 110:130] = 10
    return picture


def plate(*box: float, **fields: object) -> Plate:
    return Plate(Box(*box), **fields)


def test_a_real_crop_keeps_its_corners_and_some_surroundings() -> None:
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60, region="SE"), "AB1", "voc")
    assert (real.said, real.source, real.char_boxes) == (Said("AB1", None, "SE"), "voc", None)
    assert real.picture.shape == (30, 120, 3)
    assert real.corners.tolist() == [[20, 5], [100, 5], [100, 25], [20, 25]]
    assert real.picture[6:24, 21:40].min() > 200
    assert real.picture[:3].max() < 80
    assert real.plain.shape == (20, 80, 3)
    assert real.plain[1:4, 1:].min() > 200


def test_known_corners_and_characters_are_kept_where_they_are() -> None:
    quad = Quad((80, 44), (160, 40), (160, 56), (80, 60))
    boxes = (Box(110, 45, 120, 55), Box(120, 45, 130, 55))
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60, quad=quad, char_boxes=boxes), "AB")
    assert real.corners.tolist() == [[20, 9], [100, 5], [100, 21], [20, 25]]
    assert real.upright.tolist() == [[20, 5], [100, 5], [100, 25], [20, 25]]
    assert real.char_boxes is not None
    assert real.char_boxes.tolist() == [[50, 10, 60, 20], [60, 10, 70, 20]]
    assert real.picture[11:19, 51:69].max() < 40, "the dark characters"


def test_boxes_that_are_not_one_for_each_character_are_dropped() -> None:
    """As where a province's character has a box and is not read."""
    found = RealCrop.of_plate(photo(), plate(80, 40, 160, 60, char_boxes=(Box(110, 45, 120, 55),)), "AB")
    assert found.char_boxes is None


LEFT, RIGHT, BELOW = Box(110, 41, 120, 49), Box(120, 41, 130, 49), Box(112, 51, 122, 59)
# rows, boxes of the characters, how many of ABC are in the upper one
ROWS = {
    "one row": (1, (), 3),
    "one row, with boxes": (1, (LEFT, RIGHT, Box(130, 41, 140, 49)), 3),
    "two rows": (2, (LEFT, RIGHT, BELOW), 2),
    "two rows, of whatever place": (2, (), None),
    "two rows, too few boxes": (2, (LEFT, RIGHT), None),
    "unknown": (None, (), None),
    "unknown, with boxes": (None, (LEFT, RIGHT, BELOW), None),
}


@pytest.mark.parametrize(("rows", "boxes", "upper"), ROWS.values(), ids=ROWS.keys())
def test_how_many_characters_are_in_the_upper_row(rows: int | None, boxes: tuple[Box, ...], upper: int | None) -> None:
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60, rows=rows, char_boxes=boxes), "ABC")
    assert real.said == Said("ABC", upper)


SIZES = {
    "all of the photo": ((0, 0, 200, 100), (150, 300)),
    "over its edge": ((190, 90, 230, 110), (30, 60)),
    "a hair": ((10, 10, 10.5, 10.5), (6, 6)),
}


@pytest.mark.parametrize(("box", "shape"), SIZES.values(), ids=SIZES.keys())
def test_a_plate_of_any_place_and_size_can_be_cut(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert RealCrop.of_plate(photo(), plate(*box), "A").picture.shape == (*shape, 3)


def test_large_plates_are_shrunk_with_all_that_is_known_of_them() -> None:
    large = np.zeros((2000, 4000, 3), np.uint8)
    box = (100, 100, 3940, 1380)  # 3840 x 1280: ten times twice the input's 192 x 64
    boxes = (Box(100, 100, 2020, 1380),)
    real = RealCrop.of_plate(large, plate(*box, char_boxes=boxes), "A")
    assert real.picture.shape == (192, 576, 3)
    assert np.ptp(real.corners, axis=0).tolist() == pytest.approx([384, 128])
    assert real.char_boxes is not None
    assert real.char_boxes[0].tolist() == pytest.approx([96, 32, 288, 160], abs=0.01)


def test_drawing_is_a_function_of_the_seed_and_varies() -> None:
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60), "AB1")
    first, same, other = (draw(np.random.default_rng(seed), real) for seed in (1, 1, 2))
    assert first.shape == (64, 192)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(8))
def test_drawing_and_shifting_keep_the_plate_in_the_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60), "AB1")
    for grey in (draw(rng, real), shifted(rng, crops.prepare(real.plain))):
        assert grey.shape == (64, 192)
        assert grey.dtype == np.uint8
        assert grey[26:38, 90:102].mean() < 80, "the dark bar in the middle of the plate"
        assert grey[26:38, 20:52].mean() > 150


def test_distort_keeps_shape_type_and_at_no_strength_the_picture() -> None:
    grey = crops.prepare(photo())
    for seed in range(20):
        changed = distort(np.random.default_rng(seed), grey, 1.0)
        assert changed.shape == (64, 192)
        assert changed.dtype == np.uint8
    assert np.array_equal(distort(np.random.default_rng(0), grey, 0.0), crops.stretch(grey))


# Characters in another order


def grey_of(character: str) -> int:
    return 20 + 6 * CHARACTERS.index(character)


def characters(rows: list[str], widths: dict[str, int] | None = None) -> RealCrop:
    """A plate whose characters are blocks, each of its own grey, 12 x 20 pixels unless in `widths`."""
    picture = np.full((20 + 30 * len(rows), 30 + 20 * max(map(len, rows)), 3), 255, np.uint8)
    boxes = []
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            left, top = 15 + 20 * x, 10 + 30 * y
            right = left + (widths or {}).get(character, 12)
            picture[top : top + 20, left:right] = grey_of(character)
            boxes.append([left, top, right, top + 20])
    height, width = picture.shape[:2]
    corners = np.array([[5, 5], [width - 5, 5], [width - 5, height - 5], [5, height - 5]], np.float32)
    said = Said("".join(rows), len(rows[0]), "SE")
    return RealCrop(picture, corners, said, "made", np.array(boxes, np.float32))


def shown(real: RealCrop) -> str:
    """What the picture says: the character of each box's grey."""
    assert real.char_boxes is not None
    greys = [real.picture[int((y1 + y2) / 2), int((x1 + x2) / 2), 0] for x1, y1, x2, y2 in real.char_boxes]
    return "".join(min(CHARACTERS, key=lambda c: abs(grey_of(c) - int(grey))) for grey in greys)


PLATES = {
    "one row": ["ABC123"],
    "repeated characters": ["AAB11"],
    "two rows": ["AB1", "CD23"],
    "a lower row that begins further right": ["ABCDE", "12"],
    "one character": ["A"],
}


@pytest.mark.parametrize("rows", PLATES.values(), ids=PLATES.keys())
def test_characters_change_places_within_their_rows_and_the_text_with_them(rows: list[str]) -> None:
    real = characters(rows)
    assert shown(real) == real.said.text
    before, texts = real.picture.copy(), set()
    for seed in range(20):
        other = permuted(np.random.default_rng(seed), real)
        assert shown(other) == other.said.text
        start = 0
        for row in rows:
            assert Counter(other.said.text[start : start + len(row)]) == Counter(row)
            start += len(row)
        assert (other.said.upper, other.source) == (len(rows[0]), "made")
        assert np.array_equal(other.corners, real.corners)
        assert np.array_equal(other.char_boxes, real.char_boxes)
        assert other.picture.shape == real.picture.shape
        texts.add(other.said.text)
    assert len(texts) > 1 or len(real.said.text) == 1
    assert np.array_equal(real.picture, before), "the crop itself is not painted over"


def test_a_character_of_another_width_stays_where_it_is() -> None:
    real = characters(["AB1CD"], {"1": 5})
    found = [permuted(np.random.default_rng(seed), real) for seed in range(20)]
    assert {other.said.text[2] for other in found} == {"1"}
    assert len({other.said.text for other in found}) > 5
    assert all(shown(other) == other.said.text for other in found)


def test_a_permuted_plate_is_of_no_country() -> None:
    assert permuted(np.random.default_rng(0), characters(["ABC123"])).said.region is None


def test_without_character_boxes_or_with_boxes_of_no_size_nothing_moves() -> None:
    real = RealCrop.of_plate(photo(), plate(80, 40, 160, 60), "AB1")
    assert permuted(np.random.default_rng(0), real) is real
    outside = np.array([[-50, 5, -40, 9], [-30, 5, -20, 9]], np.float32)
    beyond = RealCrop(photo(), real.corners, Said("AB"), char_boxes=outside)
    assert {permuted(np.random.default_rng(seed), beyond).said.text for seed in range(8)} == {"AB"}


def test_real_batches_hold_plates_as_they_are_and_permuted_ones() -> None:
    _, labels = real_batch(np.random.default_rng(0), 60, [characters(["ABC123"])])
    unchanged = [np.array_equal(row[:6], [10, 11, 12, 1, 2, 3]) for row in labels]
    assert 0.3 < np.mean(unchanged) < 0.7
    known = [row[-1] == region_codes().index("SE") for row in labels]
    assert 0.3 < np.mean(known) < 0.7
    assert all(row[-1] == -1 for row, same in zip(labels, unchanged, strict=True) if not same)


def test_small_sources_are_not_drowned() -> None:
    picture, corners = photo(), np.array([[10, 10], [90, 10], [90, 40], [10, 40]], np.float32)
    many = [RealCrop(picture, corners, Said("A"), "large")] * 400
    few = [RealCrop(picture, corners, Said("B"), "small")] * 4
    _, labels = real_batch(np.random.default_rng(0), 200, [*many, *few])
    small = int((labels[:, 0] == 11).sum())
    assert 8 <= small <= 32  # 1 in 11, where its share of the crops is 1 in 101


def test_earlier_crops_come_again_cut_and_lit_anew_with_their_labels() -> None:
    one = crops.prepare(photo())
    past = [stack([one], [Said("A", 1, "SE")]), stack([one, one], [Said("B", 0), Said("C", None, "DE")])]
    pictures, labels = again(np.random.default_rng(0), 40, past)
    assert pictures.shape == (40, 64, 192)
    assert labels.shape == (40, LABEL)
    known = {tuple(row) for _, rows in past for row in rows}
    assert {tuple(row) for row in labels} == known
    assert np.mean([np.array_equal(picture, one) for picture in pictures]) < 0.1


def test_nothing_is_drawn_in_the_network_s_shape() -> None:
    drawn = [draw_nothing(np.random.default_rng(seed)) for seed in range(10)]
    assert {(picture.shape, picture.dtype) for picture in drawn} == {((64, 192), np.dtype(np.uint8))}
    assert len({picture.tobytes() for picture in drawn}) == 10


def test_labels_are_the_characters_how_many_are_above_and_the_region() -> None:
    codes = region_codes()
    crop = np.zeros((64, 192), np.uint8)
    said = [Said("A0", 2, "DE"), Said("", 0), Said("1" * 12, 5, codes[-1]), Said("B", None, "XX")]
    pictures, labels = stack([crop] * 4, said)
    assert pictures.shape == (4, 64, 192)
    assert (LABEL, labels.dtype) == (14, np.int8)
    assert labels.tolist() == [
        [10, 0, *[-1] * 10, 2, codes.index("DE")],
        [*[-1] * 12, 0, -1],
        [*[1] * 12, 5, len(codes) - 1],
        [11, *[-1] * 13],  # a country of which there are no layouts is not learnt
    ]


def test_all_regions_fit_a_label() -> None:
    assert len(region_codes()) - 1 <= np.iinfo(np.int8).max


def test_stack_of_nothing_has_the_right_shapes() -> None:
    empty, labels = stack([], [])
    assert empty.shape == (0, 64, 192)
    assert labels.shape == (0, 14)


def test_a_text_that_the_readers_do_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 12"):
        stack([np.zeros((64, 192), np.uint8)], [Said("京A1")])


def test_the_network_s_input() -> None:
    batch = as_input(np.full((2, 64, 192), 7, np.uint8))
    assert (batch.shape, batch.dtype, batch.max()) == ((2, 64, 192, 1), np.float32, 7)
