"""The corner head: what is encoded is decoded again, and its loss falls where outputs are right."""

import numpy as np
import pytest

from pipeline.detectors import corner
from pipeline.records import Box, Plate, Quad

STRIDE, HEIGHT, WIDTH = 8, 256, 320


def outputs_of(target: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network outputs that would meet the targets exactly."""
    truth = np.clip(target["heatmap"], 1e-4, 1 - 1e-4)
    return {
        "heatmap": np.log(truth / (1 - truth)),
        "box": np.log(target["box"]),
        "corners": target["corners"],
    }


def decode(target: dict[str, np.ndarray]) -> list:
    made = outputs_of(target)
    return corner.decode(made["heatmap"], made["box"], made["corners"], STRIDE, min_score=0.9)


TILTED = Quad((100, 60), (180, 52), (184, 80), (103, 90))

CASES = {
    "empty": [],
    "one box": [Plate(Box(40, 40, 120, 64))],
    "tiny": [Plate(Box(100, 100, 108, 104))],
    "wide": [Plate(Box(4, 100, 316, 180))],
    "tilted quad": [Plate(TILTED.box, TILTED)],
    "at the edge": [Plate(Box(0, 0, 50, 14)), Plate(Box(250, 230, 320, 256))],
    "side by side": [Plate(Box(20, 100, 100, 130)), Plate(Box(104, 100, 190, 130))],
}


@pytest.mark.parametrize("plates", CASES.values(), ids=CASES.keys())
def test_decode_gives_back_what_encode_was_given(plates: list[Plate]) -> None:
    found = decode(corner.encode(plates, HEIGHT, WIDTH, STRIDE))
    assert len(found) == len(plates)
    for plate in plates:
        nearest = min(found, key=lambda d: abs(d.box.x1 - plate.box.x1) + abs(d.box.y1 - plate.box.y1))
        np.testing.assert_allclose(nearest.box.xyxy, plate.box.xyxy, atol=0.5)
        wanted = plate.quad or Quad.of_box(plate.box)
        np.testing.assert_allclose(nearest.quad.points, wanted.points, atol=0.5)


def test_an_unreadable_plate_is_neither_plate_nor_background() -> None:
    target = corner.encode([Plate(Box(40, 40, 120, 64), legible=False)], HEIGHT, WIDTH, STRIDE)
    assert target["heatmap"].max() == 0
    assert target["weight"].sum() == 0
    assert target["care"][6, 10, 0] == 0
    assert target["care"][20, 30, 0] == 1


def test_boxes_alone_do_not_train_corners() -> None:
    target = corner.encode([Plate(Box(40, 40, 120, 64)), Plate(TILTED.box, TILTED)], HEIGHT, WIDTH, STRIDE)
    assert target["weight"].sum() == pytest.approx(2, abs=1e-4)
    assert target["corner_weight"].sum() == pytest.approx(1, abs=1e-4)


def test_loss_is_small_for_the_truth_and_larger_for_each_part_that_is_wrong() -> None:
    target = corner.encode([Plate(TILTED.box, TILTED)], HEIGHT, WIDTH, STRIDE)
    batch = {name: value[None] for name, value in target.items()}
    right = {name: value[None].astype(np.float32) for name, value in outputs_of(target).items()}
    best = {name: float(value) for name, value in corner.loss(batch, right).items()}
    assert best["box"] == pytest.approx(0, abs=1e-3)
    assert best["corners"] == pytest.approx(0, abs=1e-3)
    for name, shift in (("heatmap", -12.0), ("box", 0.5), ("corners", 0.3)):
        wrong = {**right, name: right[name] + np.float32(shift)}
        worse = {key: float(value) for key, value in corner.loss(batch, wrong).items()}
        assert worse[name] > best[name] + 0.05


def test_two_answers_for_one_plate_are_merged() -> None:
    target = corner.encode([Plate(Box(96, 96, 200, 130))], HEIGHT, WIDTH, STRIDE)
    made = outputs_of(target)
    made["heatmap"][:] = -9
    made["heatmap"][14, 17] = 4
    made["heatmap"][14, 19] = 3
    found = corner.decode(made["heatmap"], made["box"], made["corners"], STRIDE, min_score=0.5)
    assert len(found) == 1
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-4)))
