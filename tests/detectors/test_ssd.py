"""Which anchors answer for a plate, which are background, and which are left alone."""

import numpy as np

from pipeline.detectors import coding, ssd
from pipeline.records import Box, Plate

HEIGHT, WIDTH, STRIDE = 128, 192, 8


def levels(plates: list[Plate], name: str) -> np.ndarray:
    """All anchors' values of a target, flat."""
    return np.concatenate([v.ravel() for v in coding.levels(ssd.encode(plates, HEIGHT, WIDTH, STRIDE), name).values()])


def test_every_anchor_is_background_without_a_plate() -> None:
    assert levels([], "score").max() == 0
    assert levels([], "care").min() == 1


def test_anchors_stand_at_the_cells_centres_in_the_shapes_of_plates() -> None:
    points, sizes = ssd.anchors(2, 3, 16)
    assert points.shape == sizes.shape == (2, 3, len(ssd.SHAPES), 2)
    np.testing.assert_allclose(points[1, 2, 0], (40, 24))
    np.testing.assert_allclose(sizes[0, 0, :2], [(40, 20), (40, 10)])


def test_anchors_that_overlap_enough_answer_and_those_that_overlap_somewhat_are_left_alone() -> None:
    plate = Plate(Box(60, 50, 96, 59))  # as an anchor of the finest level: 4.5 strides wide, aspect 4
    score, care = levels([plate], "score"), levels([plate], "care")
    assert 1 <= score.sum() < 20
    assert (care == 0).any()
    assert care[score == 1].min() == 1


def test_the_best_anchor_answers_for_a_plate_that_none_overlaps_enough() -> None:
    assert levels([Plate(Box(10, 10, 14, 40))], "score").sum() == 1
