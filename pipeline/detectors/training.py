"""Builds a detector's network from its params and trains it, on any Keras backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from pipeline import checkpoints, fitting
from pipeline.detectors import backbone
from pipeline.detectors.crops import DetectorCrops
from pipeline.detectors.heads import HEADS
from pipeline.params import TrainDetector

ARCHITECTURE = ("backbone", "cut", "activation", "stride", "width", "fusion", "head")  # what a checkpoint must agree on


def build(settings: TrainDetector) -> keras.Model:
    """image (B, H, W, 3) RGB 0..255, H and W multiples of 32 -> the head's outputs."""
    trunk = backbone.build_trunk(
        settings.backbone, settings.cut, settings.activation, imagenet=settings.weights == "imagenet"
    )
    if settings.freeze is not None:
        backbone.freeze(trunk, settings.freeze)
    image = keras.Input((None, None, 3), name="image")
    features = backbone.pyramid(trunk(image), settings.stride, settings.width, settings.fusion)
    return keras.Model(image, HEADS[settings.head].build(features, settings.width), name="detector")


def architecture(settings: TrainDetector) -> dict[str, Any]:
    """The part of the params that decides the network's shape, as a checkpoint's card states it."""
    return {name: getattr(settings, name) for name in ARCHITECTURE}


def load(network: keras.Model, settings: TrainDetector, folder: Path) -> None:
    """Puts a checkpoint's weights into the network; CheckpointError names both where it is of another one."""
    arrays, card = checkpoints.load(folder)
    if card.get("kind") == "trunk":
        fitting.assign(network.get_layer(settings.backbone), arrays, str(folder))
        return
    wanted, found = architecture(settings), {name: card.get(name) for name in ARCHITECTURE}
    if wanted != found:
        differences = ", ".join(
            f"{k}: {found[k]} there, {wanted[k]} in params" for k in wanted if wanted[k] != found[k]
        )
        raise checkpoints.CheckpointError(f"{folder} is a checkpoint of another detector ({differences})")
    fitting.assign(network, arrays, str(folder))


def train(
    network: keras.Model, data: Path, settings: TrainDetector, seed: int, work: Path, fingerprint: str
) -> list[dict[str, float]]:
    """Fits the network on data/{train,val}; returns the learning curves."""
    head = HEADS[settings.head]
    crops = DetectorCrops(data / "train", head, settings.stride, settings.batch_size, seed, settings.epoch_crops)
    held_out = DetectorCrops(data / "val", head, settings.stride, settings.batch_size, seed)
    schedule = fitting.Schedule(settings.epochs, settings.learning_rate, settings.patience, settings.ema, seed=seed)
    return fitting.fit(network, head.loss, crops, held_out, schedule, work, fingerprint)
