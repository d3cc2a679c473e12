"""Task-aligned assignment: the cells that agree with a plate best answer for it."""

import numpy as np
import pytest

from pipeline.detectors import yolo


def assigned(plate: list[int], score: list[float], ratio: list[float]) -> np.ndarray:
    """Quality of each cell of one image; `plate` gives each cell's plate, -1 for none."""
    one_hot = np.zeros((1, len(plate), yolo.MAX_PLATES), np.float32)
    for cell, index in enumerate(plate):
        if index >= 0:
            one_hot[0, cell, index] = 1
    return np.asarray(yolo.assign(one_hot, np.float32([score]), np.float32([ratio])))[0]


def test_the_best_cell_is_taught_its_own_iou_and_the_others_less() -> None:
    quality = assigned([0] * 12, [0.5] * 12, [0.9, 0.8, *[0.3] * 10])
    assert quality[0] == pytest.approx(0.9)
    assert 0 < quality[1] < 0.9 * (0.8 / 0.9) ** 5
    assert quality[1] > quality[2]


def test_at_most_ten_cells_answer() -> None:
    ratio = np.linspace(0.2, 0.9, 20).tolist()
    quality = assigned([0] * 20, [0.5] * 20, ratio)
    assert (quality > 0).sum() == yolo.TOP
    assert (quality[-yolo.TOP :] > 0).all()


def test_each_plate_has_its_own_cells_and_background_none() -> None:
    quality = assigned([0] * 6 + [1] * 6 + [-1] * 6, [0.5] * 18, [0.7] * 6 + [0.6] * 6 + [0.0] * 6)
    assert quality[:6] == pytest.approx([0.7] * 6, abs=1e-3)
    assert quality[6:12] == pytest.approx([0.6] * 6, abs=1e-3)
    assert (quality[12:] == 0).all()


def test_a_plate_that_no_box_meets_is_answered_for_all_the_same() -> None:
    quality = assigned([0] * 12, [0.01] * 12, [0.0] * 12)
    assert (quality > 0).any()


def test_a_confident_cell_goes_before_an_equal_one() -> None:
    quality = assigned([0] * 12, [0.9, *[0.1] * 11], [0.6] * 12)
    assert quality.argmax() == 0
