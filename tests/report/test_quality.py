"""What is measured of a picture changes with what it should, and with nothing else."""

import cv2
import numpy as np
import pytest

from pipeline.report import quality


@pytest.fixture
def plate():
    crop = np.full((64, 256, 3), 200, np.uint8)
    cv2.putText(crop, "AB12CD", (10, 46), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (30, 30, 30), 4)
    return crop


def test_the_more_blurred_the_less_sharp(plate):
    values = [quality.plate_sharpness(cv2.GaussianBlur(plate, (0, 0), sigma)) for sigma in (0.5, 1.5, 3, 6)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 5 * values[-1]


def test_neither_light_nor_contrast_is_sharpness(plate):
    darker = (plate * 0.5 + 10).astype(np.uint8)
    assert quality.plate_sharpness(darker) == pytest.approx(quality.plate_sharpness(plate), rel=0.05)


def test_a_flat_crop_is_not_sharp():
    noise = np.random.default_rng(0).integers(99, 102, (64, 200, 3), dtype=np.uint8)
    assert quality.plate_sharpness(noise) < 1
    assert quality.plate_sharpness(np.zeros((1, 1, 3), np.uint8)) == 0


def test_traits(plate):
    found = quality.traits(plate)
    assert set(found) == {"brightness", "contrast", "sharpness"}
    brighter = quality.traits(np.clip(plate.astype(int) + 40, 0, 255).astype(np.uint8))
    assert brighter["brightness"] == pytest.approx(found["brightness"] + 40, abs=1)
    assert brighter["contrast"] == pytest.approx(found["contrast"], rel=0.01)
