"""What only the corner head does: weights by plate, and one answer for each plate."""

import numpy as np
import pytest

from pipeline.detectors import corner
from pipeline.records import Box, Plate, Quad

STRIDE, HEIGHT, WIDTH = 8, 256, 320
TILTED = Quad((100, 60), (180, 52), (184, 80), (103, 90))


def test_every_plate_weighs_the_same_and_corners_only_where_they_are_known() -> None:
    target = corner.encode([Plate(Box(40, 40, 120, 64)), Plate(TILTED.box, TILTED)], HEIGHT, WIDTH, STRIDE)
    assert target["weight"].sum() == pytest.approx(2, abs=1e-4)
    assert target["corner_weight"].sum() == pytest.approx(1, abs=1e-4)


def test_an_unreadable_plate_has_no_cells() -> None:
    target = corner.encode([Plate(Box(40, 40, 120, 64), legible=False)], HEIGHT, WIDTH, STRIDE)
    assert target["heatmap"].max() == 0
    assert target["weight"].sum() == 0
    assert target["care"][6, 10, 0] == 0
    assert target["care"][20, 30, 0] == 1


def test_two_answers_for_one_plate_are_merged() -> None:
    target = corner.encode([Plate(Box(96, 96, 200, 130))], HEIGHT, WIDTH, STRIDE)
    heatmap = np.full_like(target["heatmap"], -9)
    heatmap[14, 17], heatmap[14, 19] = 4, 3
    found = corner.decode({**target, "heatmap": heatmap}, STRIDE, min_score=0.5)
    assert len(found) == 1
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-4)))
