"""Rendered plates beside the data's: what stands where, and that one seed gives one picture."""

import numpy as np
import pytest

from pipeline.rendering.lookalikes import beside

RED = np.zeros((36, 88, 3), np.uint8) + np.array([250, 0, 0], np.uint8)


def red(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] > 240) & (picture[..., 1:].max(axis=2) < 15)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_the_datas_crops_stand_on_the_left_and_as_many_rendered_ones_on_the_right(count: int) -> None:
    picture = beside([(RED, "AB12")] * count, seed=2)
    half = picture.shape[1] // 2
    tile = 170 * 170 * 36 / 88  # pixels of a crop of 88 x 36, scaled to the tile's width
    assert red(picture[:, :half]).sum() == pytest.approx(count * tile, rel=0.05)
    right = beside([(RED * 0, "AB12")] * count, seed=2)[:, half:]
    assert np.array_equal(picture[:, half:], right), "the rendered half depends on the crops"
    assert right.std() > 10


def test_a_seed_gives_one_picture_and_another_seed_another() -> None:
    crops = [(RED, "AB12")] * 3
    assert np.array_equal(beside(crops, 1), beside(crops, 1))
    assert not np.array_equal(beside(crops, 1), beside(crops, 2))


def test_without_crops_there_is_an_empty_picture() -> None:
    assert beside([], 1).shape[0] > 0
