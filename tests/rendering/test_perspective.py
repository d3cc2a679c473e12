"""Quads of plates in space."""

import numpy as np
import pytest

from pipeline.boxes import is_convex_clockwise
from pipeline.rendering.perspective import homography, random_quad, rectangle, through, turned_quad


def test_a_plate_seen_from_the_front_is_its_rectangle() -> None:
    quad = turned_quad(4.0, 1.0, 0, 0, 0, 5.0)
    assert quad == pytest.approx(rectangle(4.0, 1.0) - (2.0, 0.5))


def test_yaw_brings_one_side_nearer() -> None:
    quad = turned_quad(4.0, 1.0, 30, 0, 0, 3.0)
    left, right = quad[3, 1] - quad[0, 1], quad[2, 1] - quad[1, 1]
    assert abs(left - right) > 0.05
    assert np.ptp(quad[:, 0]) < 4.0


def test_roll_turns_clockwise() -> None:
    quad = turned_quad(4.0, 1.0, 0, 0, 10, 5.0)
    assert quad[1, 1] > quad[0, 1]


@pytest.mark.parametrize("aspect", [1.2, 2.0, 4.7])
def test_random_quads_are_convex_clockwise_as_wide_as_asked_and_centred(aspect: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        quad = random_quad(rng, (50.0, 40.0), 120.0, aspect)
        assert is_convex_clockwise(quad)
        assert np.ptp(quad[:, 0]) == pytest.approx(120.0)
        assert np.linalg.norm((quad.min(axis=0) + quad.max(axis=0)) / 2 - (50.0, 40.0)) < 30


def test_a_homography_takes_corners_to_corners_and_back() -> None:
    source, target = rectangle(10, 5), random_quad(np.random.default_rng(1), (30, 30), 40, 2.0)
    matrix = homography(source, target)
    assert through(matrix, source) == pytest.approx(target, abs=1e-3)
    assert through(np.linalg.inv(matrix), target) == pytest.approx(source, abs=1e-3)
