"""Plates warped onto photos: in place, at the right spot, and looking like their surroundings."""

import cv2
import numpy as np
import pytest

from pipeline.rendering.pasting import blur_of, grain_of, lay, paste_plate, plate_alpha
from pipeline.rendering.perspective import rectangle
from pipeline.rendering.plates import render_plate

QUAD = np.array([[100.0, 60.0], [180.0, 66.0], [178.0, 88.0], [99.0, 80.0]])


def photo(level: int = 120, height: int = 160, width: int = 240) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def plate() -> np.ndarray:
    return render_plate(np.random.default_rng(1), height=64).image


def test_only_pixels_round_the_quad_change() -> None:
    image = photo()
    before = image.copy()
    result = paste_plate(np.random.default_rng(2), image, plate(), QUAD)
    assert (image == before).all(), "the photo itself is left alone"
    changed = (result != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 60 - 8
    assert rows.max() <= 88 + 8
    assert columns.min() >= 99 - 8
    assert columns.max() <= 180 + 8
    inside = cv2.fillPoly(np.zeros(changed.shape, np.uint8), [np.round(QUAD).astype(np.int32)], 1).astype(bool)
    assert changed[inside].mean() > 0.9


def test_the_same_seed_pastes_the_same() -> None:
    first, second = (paste_plate(np.random.default_rng(4), photo(), plate(), QUAD) for _ in range(2))
    assert (first == second).all()


def test_corners_land_where_the_quad_says() -> None:
    """A picture laid on its own rectangle comes out as it went in."""
    rng = np.random.default_rng(3)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (40, 90, 3)).astype(np.uint8), (0, 0), 2)
    canvas = np.zeros((80, 140, 3), np.uint8)
    lay(canvas, picture, plate_alpha(40, 90, 0.0), rectangle(90, 40) + np.array([20.0, 15.0]))
    difference = np.abs(canvas[16:54, 21:109].astype(int) - picture[1:39, 1:89].astype(int))
    assert difference.mean() < 1.5
    assert canvas[:13].max() == 0
    assert canvas[:, :18].max() == 0


@pytest.mark.parametrize(
    "quad",
    [
        pytest.param(QUAD - np.array([120, 0]), id="half out at the left"),
        pytest.param(QUAD + np.array([0, 80]), id="half out below"),
        pytest.param(QUAD + np.array([500, 500]), id="wholly out"),
        pytest.param(QUAD * 0.001, id="a point"),
    ],
)
def test_quads_that_leave_the_frame_are_cut(quad: np.ndarray) -> None:
    image = photo()
    assert paste_plate(np.random.default_rng(0), image, plate(), quad).shape == image.shape


def test_a_quad_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        paste_plate(np.random.default_rng(0), photo(), plate(), np.zeros((3, 2)))


def test_small_plates_do_not_alias() -> None:
    """Fine stripes shrunk tenfold turn grey instead of into coarse stripes."""
    stripes = np.zeros((100, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    canvas = np.zeros((40, 80, 3), np.uint8)
    lay(canvas, stripes, plate_alpha(100, 400, 0.0), rectangle(37, 10) + np.array([20.3, 15.2]))
    inside = canvas[17:23, 24:54, 0].astype(float)
    assert inside.mean() == pytest.approx(127, abs=12)
    assert inside.std() < 12


def test_a_plate_in_the_dark_is_dark() -> None:
    mask = (slice(66, 78), slice(105, 170))
    dark, light = (paste_plate(np.random.default_rng(5), photo(level), plate(), QUAD)[mask] for level in (30, 220))
    assert dark.mean() < 0.7 * light.mean()


@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.5])
def test_blur_is_measured(sigma: float) -> None:
    step = np.zeros((60, 60), np.uint8)
    step[:, 30:] = 220
    assert blur_of(cv2.GaussianBlur(step, (0, 0), sigma)) == pytest.approx(sigma, rel=0.35)


def test_noise_is_measured() -> None:
    noisy = np.clip(128 + np.random.default_rng(0).normal(0, 6, (80, 80)), 0, 255).astype(np.uint8)
    assert grain_of(noisy) == pytest.approx(6, rel=0.15)
    assert grain_of(np.full((80, 80), 7, np.uint8)) == 0
