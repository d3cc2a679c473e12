"""Light, dirt, blur, noise and compression: each does what its name says, and no more."""

import numpy as np
import pytest

from pipeline.rendering import wear

GREY = np.full((60, 120, 3), 128, np.uint8)


def checks() -> np.ndarray:
    squares = (np.indices((60, 120)).sum(axis=0) // 6 % 2 * 160 + 40).astype(np.uint8)
    return np.repeat(squares[..., None], 3, axis=2)


@pytest.mark.parametrize("seed", range(8))
def test_noise_has_the_deviation_asked_for(seed: int) -> None:
    noisy = wear.noise(np.random.default_rng(seed), GREY, 10.0)
    assert noisy.std() == pytest.approx(10.0, rel=0.12)
    assert noisy.mean() == pytest.approx(128, abs=1.5)


def test_pictures_larger_than_the_sheet_of_grain_are_grained_too() -> None:
    large = np.full((600, 40, 3), 128, np.uint8)
    assert wear.noise(np.random.default_rng(0), large, 10.0).std() == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize("seed", range(8))
def test_blur_softens_and_keeps_the_mean(seed: int) -> None:
    sharp = checks()
    soft = wear.blur(np.random.default_rng(seed), sharp, 1.5)
    assert soft.std() < 0.97 * sharp.std()
    assert soft.mean() == pytest.approx(sharp.mean(), abs=2)


def test_no_blur_and_no_noise_leave_the_picture() -> None:
    assert wear.blur(np.random.default_rng(0), checks(), 0.0) is not None
    assert (wear.blur(np.random.default_rng(0), checks(), 0.0) == checks()).all()
    assert (wear.noise(np.random.default_rng(0), checks(), 0.0) == checks()).all()


@pytest.mark.parametrize(("length", "angle"), [(1.5, 0), (4, 30), (9, 90)])
def test_motion_kernels_sum_to_one_in_exact_steps(length: float, angle: float) -> None:
    kernel = wear.motion_kernel(length, angle)
    assert kernel.sum() == 1.0
    assert (kernel * 256 == np.round(kernel * 256)).all()
    assert kernel.shape[0] % 2 == 1


def test_tone_is_exposure_gamma_haze_and_cast() -> None:
    plain = np.ones((60, 120), np.float32)
    assert (wear.tone(GREY, plain, 1.0, 0.0, (1, 1, 1)) == GREY).all()
    assert wear.tone(GREY, plain * 0.5, 1.0, 0.0, (1, 1, 1)).mean() == pytest.approx(64, abs=1)
    assert wear.tone(GREY, plain, 2.0, 0.0, (1, 1, 1)).mean() == pytest.approx(64, abs=1)
    assert wear.tone(np.zeros_like(GREY), plain, 1.0, 50.0, (1, 1, 1)).mean() == pytest.approx(50, abs=1)
    warm = wear.tone(GREY, plain, 1.0, 0.0, (1.2, 1.0, 0.8)).mean(axis=(0, 1))
    assert warm[0] > warm[1] > warm[2]


def test_dirt_grows_with_its_amount() -> None:
    amounts = [
        np.abs(wear.dirt(np.random.default_rng(1), checks(), a).astype(int) - checks()).mean() for a in (0, 0.3, 1)
    ]
    assert amounts[0] == 0
    assert amounts[0] < amounts[1] < amounts[2]


def test_light_is_a_field_round_one() -> None:
    fields = [wear.light(np.random.default_rng(seed), 40, 80) for seed in range(60)]
    assert all(field.shape == (40, 80) and field.dtype == np.float32 for field in fields)
    assert min(field.min() for field in fields) > 0
    assert np.mean([field.mean() for field in fields]) == pytest.approx(1, abs=0.12)


def test_jpeg_costs_more_at_low_quality() -> None:
    sharp = wear.noise(np.random.default_rng(0), checks(), 12)
    losses = [np.abs(wear.jpeg(sharp, quality).astype(int) - sharp).mean() for quality in (95, 30)]
    assert losses[0] < losses[1]


def test_sharpening_steepens() -> None:
    soft = wear.blur(np.random.default_rng(0), checks(), 1.2)
    assert wear.sharpen(soft, 1.0).std() > soft.std()
