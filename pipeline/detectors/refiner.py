"""The refiner's network, what it learns from, and its loss; refining.py uses it.

look (B, 64, 160, 3) RGB 0..255 -> corners (B, 8) x, y of tl, tr, br, bl in units of the look, from -0.5 to 0.5;
                                   plate (B, 1) logits of "this is a plate"

Looks are cut from the detector's training crops: at plates, with the errors that a detector makes, at random places,
and at the places that a detector took for a plate.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline import boxes, checkpoints, fitting
from pipeline.detectors import losses
from pipeline.detectors.crops import CropsError, stored, unpack
from pipeline.detectors.refining import HEIGHT, WIDTH, Region, look, region_of, to_look
from pipeline.fitting import Batches
from pipeline.records import Box, Detection, Plate

Array = NDArray[np.floating]
Arrays = dict[str, NDArray[np.float32]]
Mistakes = dict[int, list[Box]]  # by crop: boxes that a detector took for a plate

CHANNELS = (16, 32, 64, 96)  # at strides 2, 4, 8, 16
FUSED = 48  # at stride 4, where corners are found
HIDDEN = 64
PLATES = 0.6  # share of looks that show a plate
MISTAKEN = 0.5  # of the others, those at a place that a detector was wrong about, where there are any
# How wrong a detection is: deviation of its centre in units of its size, and of its size (log); shares of looks.
ERRORS = ((0.05, 0.07), (0.13, 0.18), (0.3, 0.45))  # one already refined, one of the detector's, a piece of a plate
ERROR_SHARES = (0.4, 0.5, 0.1)
CLEAR = 0.2  # of the smaller one, that a place and a plate may share if the place is none
AT_ONCE = 32  # crops that a detector looks at together
PIXEL = 0.25 / HEIGHT  # where an error of a corner stops counting by its square


def build() -> keras.Model:
    """An hourglass: down to stride 16, where the look is told for a plate, and up to stride 4, where corners are found.

    Each corner is the mean place under a heatmap (integral regression, Sun et al. 2018, arXiv:1711.08229).
    """
    image = keras.Input((HEIGHT, WIDTH, 3), name="look")
    x = keras.layers.Rescaling(1 / 64, -2.0, name="normalise")(image)
    levels = []
    for index, channels in enumerate(CHANNELS):
        x = _conv(x, channels, 2, f"stage{index}a")
        x = keras.layers.Add(name=f"stage{index}_add")([x, _conv(x, channels, 1, f"stage{index}b")])
        levels.append(x)
    narrow = keras.layers.Conv2D(16, 1, activation="silu", name="narrow")(x)  # (B, 4, 10, 16)
    hidden = keras.layers.Dense(HIDDEN, activation="silu", name="hidden")(keras.layers.Flatten(name="flat")(narrow))
    for index in (2, 1):
        x = keras.layers.Conv2D(FUSED, 1, name=f"up{index}_narrow")(x)
        x = keras.layers.UpSampling2D(2, interpolation="nearest", name=f"up{index}")(x)
        lateral = keras.layers.Conv2D(FUSED, 1, name=f"up{index}_lateral")(levels[index])
        x = _conv(keras.layers.Add(name=f"up{index}_add")([x, lateral]), FUSED, 1, f"up{index}_smooth")
    heat = keras.layers.Conv2D(4, 3, padding="same", name="heat")(x)  # (B, 16, 40, 4) logits
    return keras.Model(
        image,
        {"corners": MeanPlace(name="corners")(heat), "plate": keras.layers.Dense(1, name="plate")(hidden)},
        name="refiner",
    )


class MeanPlace(keras.layers.Layer):
    """(B, h, w, N) logits -> (B, 2 N) mean x, y under each map's softmax, each side from -0.5 to 0.5."""

    def call(self, heat: Any) -> Any:
        rows, columns, count = heat.shape[1:]
        xs, ys = (np.arange(columns) + 0.5) / columns - 0.5, (np.arange(rows) + 0.5) / rows - 0.5
        grid = np.stack(np.broadcast_arrays(xs[None, :], ys[:, None]), axis=-1).reshape(-1, 2).astype(np.float32)
        flat = keras.ops.transpose(keras.ops.reshape(heat, (-1, rows * columns, count)), (0, 2, 1))
        places = keras.ops.matmul(keras.ops.softmax(flat, axis=-1), keras.ops.convert_to_tensor(grid))  # (B, N, 2)
        return keras.ops.reshape(places, (-1, 2 * count))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 2 * shape[-1])


def load(network: keras.Model, folder: Path) -> None:
    """Puts a checkpoint's weights into the network; CheckpointError where it is of another kind."""
    arrays, card = checkpoints.load(folder)
    if card.get("kind") != "refiner":
        raise checkpoints.CheckpointError(f"{folder} is a checkpoint of a {card.get('kind')}, not of a refiner")
    fitting.assign(network, arrays, str(folder))


def _conv(x: Any, channels: int, stride: int, name: str) -> Any:
    x = keras.layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
    return keras.layers.Activation("silu", name=f"{name}_silu")(x)


def encode(plate: Plate | None, region: Region) -> Arrays:
    """Targets of one look: `plate` 1 or 0; `corners` (8,) and `corner_weight` where the quad is known, else `box`
    (4,) and `box_weight`, all in units of the look and cut at its edges."""
    target: Arrays = {
        "plate": np.zeros(1, np.float32),
        "corners": np.zeros(8, np.float32),
        "corner_weight": np.zeros(1, np.float32),
        "box": np.zeros(4, np.float32),
        "box_weight": np.zeros(1, np.float32),
    }
    if plate is None:
        return target
    target["plate"][:] = 1
    if plate.quad is not None:
        target["corners"][:] = np.clip(to_look(np.array(plate.quad.points), region).reshape(8), -0.5, 0.5)
        target["corner_weight"][:] = 1
    else:
        target["box"][:] = np.clip(to_look(np.array(plate.box.xyxy).reshape(2, 2), region).reshape(4), -0.5, 0.5)
        target["box_weight"][:] = 1
    return target


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Cross entropy of `plate`; smooth L1 of the corners, or of the box round them where only a box is known."""
    from keras import ops

    found = losses.float32(outputs["corners"])
    off = ops.sum(losses.smooth_l1(targets["corners"], found, PIXEL), axis=-1, keepdims=True)
    xs, ys = found[..., 0::2], found[..., 1::2]
    around = ops.stack([ops.min(xs, -1), ops.min(ys, -1), ops.max(xs, -1), ops.max(ys, -1)], axis=-1)
    box_off = ops.sum(losses.smooth_l1(targets["box"], around, PIXEL), axis=-1, keepdims=True)
    known = targets["corner_weight"] * off + targets["box_weight"] * 2 * box_off
    count = ops.maximum(ops.sum(targets["corner_weight"] + targets["box_weight"]), 1.0)
    return {
        "plate": ops.mean(losses.cross_entropy(targets["plate"], losses.float32(outputs["plate"]))),
        "corners": 5.0 * ops.sum(known) / count,
    }


class Looks(Batches):
    """Batches of (looks float32 (B, 64, 160, 3), targets), drawn anew in each epoch from a folder of detector crops."""

    def __init__(self, folder: Path, batch_size: int, batches: int, seed: int, mistakes: Mistakes) -> None:
        """`mistakes` are places of crops, by index, that a detector took for plates."""
        super().__init__()
        self._images, self._corners, self._kinds = stored(folder)
        self._shown = np.flatnonzero((self._kinds == 1).any(axis=1))
        if not len(self._shown):
            raise CropsError(f"{folder} holds no crop with a plate: there is nothing to refine")
        self._batch_size, self._batches, self._seed = batch_size, batches, seed
        self._mistakes = {crop: found for crop, found in sorted(mistakes.items()) if found}
        self._mistaken = np.array(list(self._mistakes), dtype=np.intp)

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Arrays]:
        rng = np.random.default_rng([self._seed, self.epoch, index])
        seen = [self._one(rng) for _ in range(self._batch_size)]
        images = np.stack([image for image, _ in seen]).astype(np.float32)
        return images, {name: np.stack([target[name] for _, target in seen]) for name in seen[0][1]}

    def _one(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Arrays]:
        while True:
            wanted = rng.random() < PLATES
            if wanted:
                crop, plate, box = self._plate(rng)
            else:
                crop, plate, box = self._nothing(rng)
            if box is not None:
                region = region_of(*box.xyxy)
                return look(np.asarray(self._images[crop]), region), encode(plate, region)

    def _plate(self, rng: np.random.Generator) -> tuple[int, Plate | None, Box | None]:
        crop = int(self._shown[rng.integers(len(self._shown))])
        plates = [plate for plate in unpack(self._corners[crop], self._kinds[crop]) if plate.legible]
        plate = plates[int(rng.integers(len(plates)))]
        return crop, plate, jittered(rng, plate.box)

    def _nothing(self, rng: np.random.Generator) -> tuple[int, None, Box | None]:
        """A place where no plate is, or None where the place that was drawn overlaps one."""
        if len(self._mistaken) and rng.random() < MISTAKEN:
            crop = int(self._mistaken[rng.integers(len(self._mistaken))])
            found = self._mistakes[crop]
            box = jittered(rng, found[int(rng.integers(len(found)))])
        else:
            crop = int(rng.integers(len(self._images)))
            side = self._images.shape[1]
            width = float(np.exp(rng.uniform(np.log(12), np.log(0.8 * side))))
            height = width / rng.uniform(1.2, 5.5)
            x, y = rng.uniform(0, side - width), rng.uniform(0, max(side - height, 1))
            box = Box(x, y, x + width, y + height)
        return crop, None, box if clear(box, unpack(self._corners[crop], self._kinds[crop])) else None


def jittered(rng: np.random.Generator, box: Box) -> Box:
    """A box as a detector would say it that is not quite right."""
    off, scaled = ERRORS[int(rng.choice(len(ERRORS), p=ERROR_SHARES))]
    shift = np.clip(rng.normal(0, off, 2), -2.5 * off, 2.5 * off) * (box.width, box.height)
    stretch = np.exp(np.clip(rng.normal(0, scaled, 2), -2.5 * scaled, 2.5 * scaled))
    x, y = (box.x1 + box.x2) / 2 + shift[0], (box.y1 + box.y2) / 2 + shift[1]
    width, height = box.width * stretch[0], box.height * stretch[1]
    return Box(float(x - width / 2), float(y - height / 2), float(x + width / 2), float(y + height / 2))


def clear(box: Box, plates: list[Plate]) -> bool:
    """True where a box holds no good part of a plate, readable or not, and lies on none."""
    if not plates:
        return True
    own, theirs = np.array([box.xyxy]), np.array([plate.box.xyxy for plate in plates])
    sides = np.minimum(own[:, 2:], theirs[:, 2:]) - np.maximum(own[:, :2], theirs[:, :2])
    smaller = np.minimum(boxes.area(own), boxes.area(theirs))
    return bool((np.clip(sides, 0, None).prod(axis=1) / smaller).max() < CLEAR)


def mistakes(folder: Path, detect: Callable[[NDArray[np.float32]], list[list[Detection]]], most: int) -> Mistakes:
    """What a detector takes for plates, and is not, in the first `most` crops of a folder."""
    images, corners, kinds = stored(folder)
    images = images[:most]
    found: Mistakes = {}
    for start in range(0, len(images), AT_ONCE):
        for offset, detections in enumerate(detect(images[start : start + AT_ONCE].astype(np.float32))):
            crop = start + offset
            plates = unpack(corners[crop], kinds[crop])
            wrong = [one.box for one in detections if clear(one.box, plates)]
            if wrong:
                found[crop] = wrong
    return found
