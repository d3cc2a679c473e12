"""What the refiner is shown of training crops, and that it learns from it."""

import numpy as np
import pytest
from keras import ops, optimizers, utils

from pipeline import fitting
from pipeline.detectors import refiner
from pipeline.detectors.crops import CropsError
from pipeline.detectors.refiner import Looks
from pipeline.records import Box, Detection, Quad

SIDE = 96
SHOWN, HIDDEN = Box(20, 30, 60, 46), Box(50, 60, 90, 76)


def write(folder, rows: list[list[tuple[int, Box]]]) -> None:
    """Crop i is grey i, its plates white; (kind, box) of each, without corners."""
    folder.mkdir()
    images = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8) + np.arange(len(rows), dtype=np.uint8)[:, None, None, None]
    corners, kinds = np.full((len(rows), 2, 6, 2), np.nan, np.float32), np.zeros((len(rows), 2), np.uint8)
    for crop, plates in enumerate(rows):
        for place, (kind, box) in enumerate(plates):
            kinds[crop, place], corners[crop, place, :2] = kind, np.reshape(box.xyxy, (2, 2))
            x1, y1, x2, y2 = map(int, box.xyxy)
            images[crop, y1:y2, x1:x2] = 255
    for name, array in (("images", images), ("corners", corners), ("kinds", kinds)):
        np.save(folder / f"{name}.npy", array)


@pytest.fixture
def folder(tmp_path):
    """A plate, an unreadable one, both, neither."""
    write(tmp_path / "train", [[(1, SHOWN)], [(2, HIDDEN)], [(1, SHOWN), (2, HIDDEN)], []])
    return tmp_path / "train"


def test_looks_are_a_function_of_seed_epoch_and_index(folder) -> None:
    looks = Looks(folder, 6, 3, 7, {})
    assert len(looks) == 3
    looks.epoch = 2
    images, targets = looks[1]
    assert (images.shape, images.dtype) == ((6, 64, 160, 3), np.float32)
    assert {name: value.shape for name, value in targets.items()} == {
        name: (6, size)
        for name, size in (("plate", 1), ("corners", 8), ("corner_weight", 1), ("box", 4), ("box_weight", 1))
    }
    again = Looks(folder, 6, 3, 7, {})
    again.epoch = 2
    np.testing.assert_array_equal(again[1][0], images)
    others = [again[0], Looks(folder, 6, 3, 7, {})[1], Looks(folder, 6, 3, 8, {})[1]]
    assert not any(np.array_equal(other, images) for other, _ in others)


def test_looks_show_plates_where_they_are_and_other_places(folder) -> None:
    """Of a white plate on black more is white where `plate` is 1; its box holds what is white."""
    images, targets = Looks(folder, 300, 1, 0, {})[0]
    shown = targets["plate"][:, 0] == 1
    assert shown.mean() == pytest.approx(refiner.PLATES / (refiner.PLATES + 0.4 * 0.9), abs=0.1)
    assert (targets["box_weight"][:, 0] == shown).all()
    for image, box in zip(images[shown], targets["box"][shown], strict=True):
        x1, y1, x2, y2 = (
            ((box.reshape(2, 2) + 0.5) * (160, 64)).reshape(4).clip(0, (160, 64, 160, 64)).round().astype(int)
        )
        assert image[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].min() > 200, "the plate is where its target says"
    assert (images[~shown] > 200).mean() < 0.3 * (images[shown] > 200).mean()


def test_half_of_the_other_looks_show_mistakes(folder) -> None:
    """Crop 3 is of grey 3; only its place was taken for a plate."""
    images, targets = Looks(folder, 300, 1, 0, {1: [], 3: [Box(40, 40, 56, 48)]})[0]
    elsewhere = images[targets["plate"][:, 0] == 0]
    mistaken = np.array([set(np.unique(image)) <= {3.0} for image in elsewhere])
    assert 0.45 < mistaken.mean() < 0.8, "half, and some of the random places look the same"
    without = Looks(folder, 300, 1, 0, {})[0]
    plain = without[0][without[1]["plate"][:, 0] == 0]
    assert np.mean([set(np.unique(image)) <= {3.0} for image in plain]) < 0.3


BAD = {
    "missing": (
        lambda f: [path.unlink() for path in f.iterdir()],
        "does not hold the augmented crops.*run the augment",
    ),
    "damaged": (lambda f: (f / "images.npy").write_bytes(b"no"), "does not hold the augmented crops"),
    "without plates": (lambda f: np.save(f / "kinds.npy", np.full((4, 2), 2, np.uint8)), "holds no crop with a plate"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD.keys())
def test_a_folder_with_nothing_to_refine_is_named(folder, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(CropsError, match=f"train {message}"):
        Looks(folder, 2, 1, 0, {})


def test_mistakes_are_detections_on_no_plate(folder) -> None:
    asked = []

    def detect(images):
        asked.append((images.shape, images.dtype))
        places = [SHOWN, HIDDEN, Box(4, 4, 24, 12)]
        return [[Detection(box, Quad.of_box(box), 0.9) for box in places] for _ in images]

    elsewhere = Box(4, 4, 24, 12)
    expected = {0: [HIDDEN, elsewhere], 1: [SHOWN, elsewhere], 2: [elsewhere], 3: [SHOWN, HIDDEN, elsewhere]}
    assert refiner.mistakes(folder, detect, 4) == expected
    assert asked == [((4, SIDE, SIDE, 3), np.float32)]
    assert refiner.mistakes(folder, lambda images: [[] for _ in images], 99) == {}


@pytest.mark.parametrize("most", [0, 1, 3, 99])
def test_mistakes_are_looked_for_in_the_first_crops(folder, most: int) -> None:
    everywhere = Box(4, 4, 24, 12)
    found = refiner.mistakes(
        folder, lambda images: [[Detection(everywhere, Quad.of_box(everywhere), 0.9)]] * len(images), most
    )
    assert sorted(found) == list(range(min(most, 4)))


def test_it_learns_a_few_looks_by_heart(folder) -> None:
    utils.set_random_seed(0)
    network = refiner.build()
    looks, targets = Looks(folder, 8, 1, 0, {})[0]
    model = fitting.Objective(network, refiner.loss)
    model.compile(optimizer=optimizers.Adam(1e-3))
    losses = [float(model.train_on_batch(looks, targets)) for _ in range(45)]
    assert losses[-1] < 0.4 * losses[0]
    said = ops.convert_to_numpy(network(looks, training=True)["plate"])
    np.testing.assert_array_equal(said > 0, targets["plate"] == 1)
