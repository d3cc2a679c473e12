"""Every head: what is encoded is decoded again, its loss falls where outputs are right, and it trains in a step."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.detectors import coding
from pipeline.detectors.heads import HEADS
from pipeline.records import Box, Plate, Quad

STRIDE, HEIGHT, WIDTH = 8, 256, 320
TILTED = Quad((100, 60), (180, 52), (184, 80), (103, 90))
CASES = {
    "empty": [],
    "one box": [Plate(Box(40, 40, 120, 64))],
    "tiny": [Plate(Box(100, 100, 108, 104))],
    "narrower than a cell": [Plate(Box(101, 101, 107, 103))],
    "wide": [Plate(Box(4, 100, 316, 180))],
    "tall": [Plate(Box(100, 60, 160, 140))],
    "tilted quad": [Plate(TILTED.box, TILTED)],
    "at the edge": [Plate(Box(0, 0, 50, 14)), Plate(Box(250, 230, 320, 256))],
    "side by side": [Plate(Box(20, 100, 100, 130)), Plate(Box(104, 100, 190, 130))],
    "large and small": [Plate(Box(10, 20, 300, 110)), Plate(Box(40, 150, 64, 158))],
}
heads = pytest.mark.parametrize("name", sorted(HEADS))


def ideal(name: str, target: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network outputs that would meet the targets exactly."""
    if name == "corner":
        truth = np.clip(target["heatmap"], 1e-4, 1 - 1e-4)
        return {"heatmap": np.log(truth / (1 - truth)), "box": target["box"], "corners": target["corners"]}
    outputs = {key: value for key, value in target.items() if key.startswith(("box_", "corners_"))}
    answering = "score" if name == "ssd" else "plate"
    for stride, truth in coding.levels(target, answering).items():
        held = truth if name == "ssd" else truth.max(axis=-1, keepdims=True)
        outputs[f"score_{stride}"] = np.where(held > 0, 9.0, -9.0)
    return outputs


def batch_of(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: value[None].astype(np.float32) for key, value in arrays.items()}


@heads
@pytest.mark.parametrize("plates", CASES.values(), ids=CASES.keys())
def test_decode_gives_back_what_encode_was_given(name: str, plates: list[Plate]) -> None:
    head = HEADS[name]
    found = head.decode(ideal(name, head.encode(plates, HEIGHT, WIDTH, STRIDE)), STRIDE, min_score=0.9)
    assert len(found) == len(plates)
    for plate in plates:
        nearest = min(found, key=lambda d: abs(d.box.x1 - plate.box.x1) + abs(d.box.y1 - plate.box.y1))
        np.testing.assert_allclose(nearest.box.xyxy, plate.box.xyxy, atol=0.01)
        wanted = plate.quad or Quad.of_box(plate.box)
        np.testing.assert_allclose(nearest.quad.points, wanted.points, atol=0.01)


@heads
def test_plates_of_every_size_and_place_come_back(name: str) -> None:
    head, rng = HEADS[name], np.random.default_rng(0)
    for _ in range(150):
        width = float(np.exp(rng.uniform(np.log(6), np.log(300))))
        height = float(np.clip(width / rng.uniform(1.2, 6), 2, 240))
        x, y = rng.uniform(0, WIDTH - width), rng.uniform(0, HEIGHT - height)
        jitter = rng.uniform(-0.1, 0.1, (4, 2)) * (width, height)
        corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]) + jitter
        quad = Quad(*((float(a), float(b)) for a, b in corners))
        (found,) = head.decode(
            ideal(name, head.encode([Plate(quad.box, quad)], HEIGHT, WIDTH, STRIDE)), STRIDE, min_score=0.9
        )
        np.testing.assert_allclose(found.quad.points, quad.points, atol=0.01)


@heads
def test_an_unreadable_plate_is_neither_plate_nor_background(name: str) -> None:
    """Whatever is said there costs nothing; the same said elsewhere does."""
    head = HEADS[name]
    hidden = Plate(Box(96, 96, 224, 160), legible=False)
    target = head.encode([hidden], HEIGHT, WIDTH, STRIDE)
    quiet = ideal(name, head.encode([], HEIGHT, WIDTH, STRIDE))
    inside = Plate(Box(112, 112, 208, 144))
    outside = Plate(Box(16, 192, 112, 224))
    said = {
        key: ideal(name, head.encode([plate], HEIGHT, WIDTH, STRIDE))
        for key, plate in (("in", inside), ("out", outside))
    }
    cost = {
        key: sum(float(part) for part in head.loss(batch_of(target), batch_of(outputs)).values())
        for key, outputs in {**said, "quiet": quiet}.items()
    }
    assert cost["in"] == pytest.approx(cost["quiet"], abs=0.05)
    assert cost["out"] > cost["quiet"] + 1


@heads
def test_boxes_alone_do_not_train_corners(name: str) -> None:
    head = HEADS[name]
    target = head.encode([Plate(Box(40, 40, 120, 64))], HEIGHT, WIDTH, STRIDE)
    outputs = ideal(name, target)
    wrong = {key: value + 1 if key.startswith("corners") else value for key, value in outputs.items()}
    assert float(head.loss(batch_of(target), batch_of(wrong))["corners"]) == 0


@heads
def test_loss_is_small_for_the_truth_and_larger_for_each_part_that_is_wrong(name: str) -> None:
    head = HEADS[name]
    target = head.encode([Plate(TILTED.box, TILTED)], HEIGHT, WIDTH, STRIDE)
    right = ideal(name, target)
    best = {key: float(value) for key, value in head.loss(batch_of(target), batch_of(right)).items()}
    assert best["box"] == pytest.approx(0, abs=1e-3)
    assert best["corners"] == pytest.approx(0, abs=1e-3)
    score = "heatmap" if name == "corner" else "score"
    for part, shift in ((score, -18.0), ("box", 0.5), ("corners", 0.3)):
        wrong = {key: value + shift if key.startswith(part) else value for key, value in right.items()}
        worse = {key: float(value) for key, value in head.loss(batch_of(target), batch_of(wrong)).items()}
        assert worse[part] > best[part] + 0.05


@heads
def test_it_learns_a_picture_by_heart(name: str) -> None:
    """A few steps of a small network on one picture: the plate is found where it is."""
    keras.utils.set_random_seed(0)
    head = HEADS[name]
    plate = Plate(TILTED.box, TILTED)
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, 1, (1, HEIGHT, WIDTH, 4)).astype(np.float32)
    image = keras.Input((None, None, 4))
    levels, x = {}, image
    for stride in (2, 4, 8, 16, 32):
        x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="silu")(x)
        levels |= {stride: x} if stride >= STRIDE else {}
    network = keras.Model(image, head.build(levels, 16))
    target = batch_of(head.encode([plate], HEIGHT, WIDTH, STRIDE))

    class Trained(keras.Model):
        def call(self, inputs, training=False):
            return network(inputs, training=training)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return sum(head.loss(y, y_pred).values())

    model = Trained()
    model.network = network
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    losses = [float(model.train_on_batch(pixels, target)) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    outputs = {key: np.asarray(value)[0] for key, value in network(pixels, training=True).items()}
    best = head.decode(outputs, STRIDE, min_score=0.01)[0]
    assert abs(best.box.x1 - plate.box.x1) < 12
    assert abs(best.box.y2 - plate.box.y2) < 12
