"""A few drawn crops and an untrained detector: what the stages that train start from."""

import numpy as np
import pytest

from pipeline import checkpoints, params

SIDE = 64


def _crops(folder, count: int, seen: str) -> None:
    """White plates on noise, every third crop without one."""
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    images = rng.integers(0, 120, (count, SIDE, SIDE, 3), dtype=np.uint8)
    corners, kinds = np.full((count, 1, 6, 2), np.nan, np.float32), np.zeros((count, 1), np.uint8)
    for crop in range(count):
        if crop % 3 < 2:
            x, y = rng.integers(2, 20), rng.integers(2, 40)
            images[crop, y : y + 14, x : x + 40] = 255
            corners[crop, 0, :2], kinds[crop] = [(x, y), (x + 40, y + 14)], 1
            corners[crop, 0, 2:] = [(x, y), (x + 40, y), (x + 40, y + 14), (x, y + 14)]
    for name, array in (("images", images), ("corners", corners), ("kinds", kinds)):
        np.save(folder / f"{name}.npy", array)
    (folder / "seen.txt").write_text(f"{seen}\n")


@pytest.fixture
def crops(tmp_path):
    """data/augmented/detector: 8 crops cut from the sample bb..., 4 of val cut from cc..."""
    _crops(tmp_path / "crops/train", 8, "b" * 64)
    _crops(tmp_path / "crops/val", 4, "c" * 64)
    return tmp_path / "crops"


@pytest.fixture(scope="session")
def small() -> params.TrainDetector:
    """The params of a detector that is built and trained in seconds."""
    return params.TrainDetector(
        backbone="efficientnet-lite0",
        weights="none",
        cut="block4b_add",
        activation="relu6",
        stride=8,
        width=16,
        fusion="fpn",
        head="corner",
        epochs=1,
        epoch_crops=8,
        batch_size=4,
        learning_rate=1e-3,
        patience=2,
        ema=0.5,
        resolution=64,
        precision="float32",
    )


@pytest.fixture(scope="session")
def detector(small, tmp_path_factory):
    """A checkpoint of a detector that learnt nothing, from the sample dd..."""
    import keras

    from pipeline import fitting
    from pipeline.detectors import training

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("checkpoints") / "detector"
    network = training.build(small)
    checkpoints.save(folder, fitting.variables(network), training.card(network, small, []), ["d" * 64])
    return folder
