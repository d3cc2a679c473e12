"""Real and rendered crops as arrays."""

from __future__ import annotations

import numpy as np

from pipeline.readers import crops
from pipeline.readers.crops import RealCrop, distort, draw, draw_nothing, real_batch, stack
from pipeline.records import Box


def photo() -> np.ndarray:
    picture = np.full((100, 200, 3), 60, np.uint8)
    picture[40:60, 80:160] = 220
    picture[45:55, 110:130] = 10
    return picture


def test_a_real_crop_keeps_its_corners_and_some_surroundings() -> None:
    real = RealCrop.of_box(photo(), Box(80, 40, 160, 60), "AB1")
    assert real.picture.shape == (30, 120, 3)
    assert real.corners.tolist() == [[20, 5], [100, 5], [100, 25], [20, 25]]
    assert real.picture[6:24, 21:40].min() > 200
    assert real.picture[:3].max() < 80


def test_a_plate_at_the_edge_and_a_large_one_can_be_cut() -> None:
    assert RealCrop.of_box(photo(), Box(0, 0, 200, 100), "A").picture.shape == (150, 300, 3)
    large = np.zeros((2000, 4000, 3), np.uint8)
    assert RealCrop.of_box(large, Box(10, 10, 3900, 1900), "A").picture.shape[0] <= 192


def test_drawing_is_a_function_of_the_seed_and_varies() -> None:
    real = RealCrop.of_box(photo(), Box(80, 40, 160, 60), "AB1")
    first, again, other = (draw(np.random.default_rng(seed), real) for seed in (1, 1, 2))
    assert first.shape == (64, 192)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_distort_keeps_shape_type_and_at_no_strength_the_picture() -> None:
    grey = crops.prepare(photo())
    for seed in range(20):
        changed = distort(np.random.default_rng(seed), grey, 1.0)
        assert changed.shape == (64, 192)
        assert changed.dtype == np.uint8
    assert np.array_equal(distort(np.random.default_rng(0), grey, 0.0), crops.stretch(grey))


def test_small_sources_are_not_drowned() -> None:
    picture, corners = photo(), np.array([[10, 10], [90, 10], [90, 40], [10, 40]], np.float32)
    many = [RealCrop(picture, corners, "A", "large")] * 400
    few = [RealCrop(picture, corners, "B", "small")] * 4
    _, labels = real_batch(np.random.default_rng(0), 200, [*many, *few])
    small = int((labels[:, 0] == 11).sum())
    assert 8 <= small <= 32  # 1 in 11, where its share of the crops is 1 in 101


def test_nothing_is_drawn_in_the_network_s_shape() -> None:
    for seed in range(10):
        assert draw_nothing(np.random.default_rng(seed)).shape == (64, 192)


def test_stack_of_nothing_has_the_right_shapes() -> None:
    empty, labels = stack([], [])
    assert empty.shape == (0, 64, 192)
    assert labels.shape == (0, 12)
