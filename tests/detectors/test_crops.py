"""Batches of training crops: their shapes, their order, and folders that hold none."""

import numpy as np
import pytest

from pipeline.detectors import corner, crops
from pipeline.detectors.crops import CropsError, DetectorCrops
from pipeline.records import Box, Plate, Quad

SIDE, COUNT, PLATES = 32, 10, 2
TILTED = Quad((4, 5), (20, 4), (21, 12), (5, 13))


def write(folder, count: int = COUNT, corner_rows: int | None = None) -> None:
    """Crop i is of the one colour i, so that it is known again in a batch; the even ones have a plate."""
    folder.mkdir(exist_ok=True)
    images = np.zeros((count, SIDE, SIDE, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
    rows = count if corner_rows is None else corner_rows
    corners, kinds = np.full((rows, PLATES, 6, 2), np.nan, np.float32), np.zeros((count, PLATES), np.uint8)
    corners[::2, 0, :2], kinds[::2, 0] = [(4, 4), (28, 12)], 1
    for name, array in (("images", images), ("corners", corners), ("kinds", kinds)):
        np.save(folder / f"{name}.npy", array)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "train")
    return tmp_path / "train"


def batches(folder, batch_size: int, seed: int = 7, epoch_crops: int | None = None) -> DetectorCrops:
    return DetectorCrops(folder, corner, 8, batch_size, seed, epoch_crops)


def order(made: DetectorCrops, epoch: int = 0) -> list[int]:
    """The crops of one epoch, in their order, known by their colour."""
    made.epoch = epoch
    return [int(image[0, 0, 0]) for index in range(len(made)) for image in made[index][0]]


def test_a_batch_is_images_and_the_heads_targets(folder) -> None:
    images, targets = batches(folder, 4)[0]
    assert (images.shape, images.dtype) == ((4, SIDE, SIDE, 3), np.float32)
    assert images[3].max() == 3, "pixels are not scaled"
    assert {name: (value.shape, value.dtype) for name, value in targets.items()} == {
        name: ((4, 4, 4, channels), np.float32)
        for name, channels in (
            ("heatmap", 1),
            ("box", 4),
            ("corners", 8),
            ("weight", 1),
            ("corner_weight", 1),
            ("care", 1),
        )
    }


def test_targets_are_those_of_their_image(folder) -> None:
    made = batches(folder, 3, epoch_crops=9)
    for index in range(len(made)):
        images, targets = made[index]
        has_plate = targets["heatmap"].max(axis=(1, 2, 3)) == 1
        np.testing.assert_array_equal(has_plate, images[:, 0, 0, 0] % 2 == 0)


# batch size, crops an epoch -> batches, crops in them
SIZES = {
    "all, in order": (5, None, 2, 10),
    "all, the last batch smaller": (4, None, 3, 10),
    "all in one": (99, None, 1, 10),
    "half of them": (5, 5, 1, 5),
    "more than there are": (5, 25, 5, 25),
    "what fills no batch is left out": (4, 11, 2, 8),
}


@pytest.mark.parametrize(("size", "epoch_crops", "length", "count"), SIZES.values(), ids=SIZES.keys())
def test_an_epochs_length(folder, size: int, epoch_crops, length: int, count: int) -> None:
    made = batches(folder, size, epoch_crops=epoch_crops)
    assert len(made) == length
    assert len(order(made)) == count


def test_validation_is_the_same_in_every_epoch(folder) -> None:
    made = batches(folder, 4)
    assert order(made, 0) == order(made, 3) == list(range(COUNT))


def test_the_order_is_a_function_of_seed_and_epoch(folder) -> None:
    made = batches(folder, 5, epoch_crops=10)
    first = order(made, 2)
    order(made, 0)
    assert order(made, 2) == first == order(batches(folder, 5, epoch_crops=10), 2)
    assert order(made, 3) != first
    assert order(batches(folder, 5, seed=8, epoch_crops=10), 2) != first


@pytest.mark.parametrize("epoch_crops", [2, 4, 10, 30])
def test_each_crop_is_seen_once_in_a_pass(folder, epoch_crops: int) -> None:
    """Passes go on over epochs: 10 crops in epochs of 4 are through after two and a half."""
    made = batches(folder, 2, epoch_crops=epoch_crops)
    seen = [index for epoch in range(60 // epoch_crops) for index in order(made, epoch)]
    passes = [seen[start : start + COUNT] for start in range(0, len(seen), COUNT)]
    assert len(passes) == 6
    assert all(sorted(one) == list(range(COUNT)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_a_batch_that_spans_two_passes_holds_both(folder) -> None:
    made = batches(folder, 8, epoch_crops=40)
    seen = order(made)
    assert len(made) == 5
    assert sorted(seen) == sorted(list(range(COUNT)) * 4)


UNPACKED = {
    "nothing": ([], []),
    "a box": ([(1, [4, 4, 28, 12], None)], [Plate(Box(4, 4, 28, 12))]),
    "a box and its corners": ([(1, [4, 4, 21, 13], TILTED)], [Plate(Box(4, 4, 21, 13), TILTED)]),
    "one to be ignored": ([(2, [0, 0, 8, 8], None)], [Plate(Box(0, 0, 8, 8), legible=False)]),
    "two": (
        [(1, [4, 4, 28, 12], None), (2, [0, 0, 8, 8], None)],
        [Plate(Box(4, 4, 28, 12)), Plate(Box(0, 0, 8, 8), legible=False)],
    ),
}


@pytest.mark.parametrize(("rows", "plates"), UNPACKED.values(), ids=UNPACKED.keys())
def test_unpack(rows, plates) -> None:
    corners, kinds = np.full((PLATES, 6, 2), np.nan, np.float32), np.zeros(PLATES, np.uint8)
    for place, (kind, box, quad) in enumerate(rows):
        kinds[place], corners[place, :2] = kind, np.reshape(box, (2, 2))
        if quad is not None:
            corners[place, 2:] = quad.points
    assert crops.unpack(corners, kinds) == plates


def test_a_quad_known_in_part_is_not_known() -> None:
    corners = np.full((1, 6, 2), np.nan, np.float32)
    corners[0, :5] = [(4, 4), (21, 13), (4, 5), (20, 4), (21, 12)]
    assert crops.unpack(corners, np.ones(1, np.uint8)) == [Plate(Box(4, 4, 21, 13))]


BAD = {
    "no folder": (lambda f: [path.unlink() for path in f.iterdir()], "does not hold the augmented crops"),
    "no corners": (lambda f: (f / "corners.npy").unlink(), "does not hold the augmented crops"),
    "images cut off": (
        lambda f: (f / "images.npy").write_bytes((f / "images.npy").read_bytes()[:900]),
        "does not hold",
    ),
    "a pickle": (lambda f: np.save(f / "kinds.npy", np.array([{}], dtype=object)), "does not hold"),
    "no crops": (lambda f: write(f, 0), "holds 0 images, 0 rows of corners"),
    "of two runs": (lambda f: write(f, COUNT, 9), "holds 10 images, 9 rows of corners and 10 of kinds"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD.keys())
def test_a_folder_without_crops_is_named(folder, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(CropsError, match=rf"train {message}.*run the augment stage"):
        batches(folder, 2)


def test_an_epoch_shorter_than_a_batch_is_refused(folder) -> None:
    with pytest.raises(CropsError, match="an epoch of 3 crops holds no batch of 4"):
        batches(folder, 4, epoch_crops=3)
