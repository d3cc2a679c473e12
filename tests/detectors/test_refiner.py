"""The refiner's network, its targets and its loss."""

import numpy as np
import pytest

from pipeline import checkpoints, fitting
from pipeline.checkpoints import CheckpointError
from pipeline.detectors import refiner
from pipeline.records import Box, Plate, Quad

REGION = (0, 0, 160, 64)  # here a look's pixels are the photo's
TILTED = Quad((40, 20), (120, 16), (121, 40), (42, 45))


def test_outputs() -> None:
    outputs = refiner.build()(np.zeros((2, 64, 160, 3), np.float32))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"corners": (2, 8), "plate": (2, 1)}


# plate -> the targets that are not zero
TARGETS = {
    "none": (None, {}),
    "a box": (Plate(Box(40, 16, 120, 48)), {"plate": 1, "box": [-0.25, -0.25, 0.25, 0.25], "box_weight": 1}),
    "a quad": (
        Plate(TILTED.box, TILTED),
        {"plate": 1, "corner_weight": 1, "corners": np.array(TILTED.points) / (160, 64) - 0.5},
    ),
}


@pytest.mark.parametrize(("plate", "expected"), TARGETS.values(), ids=TARGETS.keys())
def test_encode(plate, expected) -> None:
    target = refiner.encode(plate, REGION)
    assert {name: (value.shape, value.dtype) for name, value in target.items()} == {
        name: ((size,), np.float32)
        for name, size in (("plate", 1), ("corners", 8), ("corner_weight", 1), ("box", 4), ("box_weight", 1))
    }
    for name, value in target.items():
        wanted = np.broadcast_to(np.ravel(expected.get(name, 0)), value.shape)
        np.testing.assert_allclose(value, wanted, atol=1e-6)


def cost(plate, corners, logit: float = 30.0) -> dict[str, float]:
    targets = {name: value[None] for name, value in refiner.encode(plate, REGION).items()}
    outputs = {"corners": np.reshape(corners, (1, 8)).astype(np.float32), "plate": np.full((1, 1), logit, np.float32)}
    return {name: float(value) for name, value in refiner.loss(targets, outputs).items()}


QUAD, BOXED = Plate(TILTED.box, TILTED), Plate(TILTED.box)
TRUTH = np.array(TILTED.points) / (160, 64) - 0.5


def turned(corners: np.ndarray) -> np.ndarray:
    """Other corners with the same box round them."""
    mirrored = corners * (1, -1) + (0, corners[:, 1].min() + corners[:, 1].max())
    return mirrored[[3, 2, 1, 0]]


COSTS = {
    "all right": (QUAD, TRUTH, 30, False, False),
    "a corner off": (QUAD, TRUTH + np.eye(4, 2) * 0.1, 30, False, True),
    "no plate, it says": (QUAD, TRUTH, -3, True, False),
    "a plate where none is": (None, TRUTH, 3, True, False),
    "none, wherever its corners are": (None, TRUTH * 9, -30, False, False),
    "a box met": (BOXED, TRUTH, 30, False, False),
    "a box met by other corners": (BOXED, turned(TRUTH), 30, False, False),
    "the same corners, where they are known": (QUAD, turned(TRUTH), 30, False, True),
    "a box missed": (BOXED, TRUTH + 0.1, 30, False, True),
}


@pytest.mark.parametrize(
    ("plate", "corners", "logit", "plate_wrong", "corners_wrong"), COSTS.values(), ids=COSTS.keys()
)
def test_loss_is_zero_for_the_truth_and_more_for_what_is_wrong(
    plate, corners, logit, plate_wrong: bool, corners_wrong: bool
) -> None:
    found = cost(plate, corners, logit)
    assert (found["plate"] > 0.5, found["corners"] > 0.05) == (plate_wrong, corners_wrong)
    assert plate_wrong or found["plate"] == pytest.approx(0, abs=1e-6)
    assert corners_wrong or found["corners"] == pytest.approx(0, abs=1e-5)


def test_a_checkpoint_gives_its_weights_and_no_other_kind_is_taken(tmp_path) -> None:
    network = refiner.build()
    arrays = {path: np.full_like(value, 0.25) for path, value in fitting.variables(network).items()}
    checkpoints.save(tmp_path / "own", arrays, {"kind": "refiner"}, [])
    checkpoints.save(tmp_path / "other", arrays, {"kind": "reader"}, [])
    with pytest.raises(CheckpointError, match="other is a checkpoint of a reader, not of a refiner"):
        refiner.load(network, tmp_path / "other")
    refiner.load(network, tmp_path / "own")
    for path, value in fitting.variables(network).items():
        np.testing.assert_array_equal(value, arrays[path])
