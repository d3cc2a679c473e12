"""Builds a detector's network from its params and trains it, on any Keras backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline import checkpoints, fitting
from pipeline.detectors import backbone, distillation
from pipeline.detectors.crops import DetectorCrops
from pipeline.detectors.distillation import TaughtCrops, Teacher
from pipeline.detectors.heads import HEADS
from pipeline.params import TrainDetector
from pipeline.records import Detection

ARCHITECTURE = ("backbone", "cut", "activation", "stride", "width", "fusion", "head")  # what a checkpoint must agree on


def build(settings: TrainDetector) -> keras.Model:
    """image (B, H, W, 3) RGB 0..255, H and W multiples of 32 -> the head's outputs."""
    before = keras.config.dtype_policy()
    fitting.compute_in(settings.precision)
    try:
        trunk = backbone.build_trunk(
            settings.backbone, settings.cut, settings.activation, imagenet=settings.weights == "imagenet"
        )
        if settings.freeze is not None:
            backbone.freeze(trunk, settings.freeze)
        return _assembled(trunk, architecture(settings))
    finally:
        keras.config.set_dtype_policy(before)


def _assembled(trunk: keras.Model, shape: Mapping[str, Any]) -> keras.Model:
    """Trunk, pyramid and head; `shape` as a checkpoint's card has it."""
    image = keras.Input((None, None, 3), name="image")
    features = backbone.pyramid(trunk(image), shape["stride"], shape["width"], shape["fusion"])
    return keras.Model(image, HEADS[shape["head"]].build(features, shape["width"]), name="detector")


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
    network: keras.Model,
    data: Path,
    settings: TrainDetector,
    seed: int,
    work: Path,
    fingerprint: str,
    teacher: Teacher | None = None,
) -> list[dict[str, float]]:
    """Fits the network on data/{train,val}, and to what the teacher sees there; returns the learning curves."""
    head = HEADS[settings.head]
    crops = DetectorCrops(data / "train", head, settings.stride, settings.batch_size, seed, settings.epoch_crops)
    held_out = DetectorCrops(data / "val", head, settings.stride, settings.batch_size, seed)
    schedule = fitting.Schedule(settings.epochs, settings.learning_rate, settings.patience, settings.ema, seed=seed)
    if teacher is None:
        return fitting.fit(network, head.loss, crops, held_out, schedule, work, fingerprint)
    taught, checked = TaughtCrops(crops, teacher), TaughtCrops(held_out, teacher)
    return fitting.fit(network, distillation.loss, taught, checked, schedule, work, fingerprint)


def restored(folder: Path) -> tuple[keras.Model, dict[str, Any]]:
    """The network of a checkpoint, as its card describes it, and the card."""
    card = checkpoints.read_card(folder)
    missing = [name for name in ARCHITECTURE if name not in card]
    if missing:
        raise checkpoints.CheckpointError(f"{folder}/card.json does not say its {', '.join(missing)}: not a detector's")
    network = _assembled(backbone.build_trunk(card["backbone"], card["cut"], card["activation"]), card)
    arrays, _ = checkpoints.load(folder)
    fitting.assign(network, arrays, str(folder))
    return network, card


def outputs(network: keras.Model, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The network's outputs for a batch, as arrays."""
    found = network(images, training=False)
    return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in found.items()}


def finder(folder: Path, min_score: float) -> Callable[[NDArray[np.float32]], list[list[Detection]]]:
    """The detector of a checkpoint as a function of a batch of crops (B, S, S, 3) 0..255."""
    network, card = restored(folder)

    def find(images: NDArray[np.float32]) -> list[list[Detection]]:
        found = outputs(network, images)
        return [
            HEADS[card["head"]].decode(
                {name: values[index] for name, values in found.items()}, card["stride"], min_score
            )
            for index in range(len(images))
        ]

    return find


def teacher(folder: Path, student: TrainDetector) -> Teacher:
    """The detector of a checkpoint, to be learnt from; CheckpointError where its outputs are not the student's."""
    network, card = restored(folder)
    wanted = {"head": "corner", "stride": student.stride}
    found = {name: card.get(name) for name in wanted}
    if wanted != found or student.head != "corner":
        raise checkpoints.CheckpointError(
            f"{folder} cannot teach this student: both need the head corner at one stride, the teacher has "
            f"{found['head']} at {found['stride']}, the student {student.head} at {student.stride}"
        )
    return lambda images: outputs(network, images)


def card(network: keras.Model, settings: TrainDetector, history: list[dict[str, float]]) -> dict[str, Any]:
    """What a checkpoint says of the network."""
    return {
        "kind": "detector",
        **architecture(settings),
        "resolution": settings.resolution,
        "parameters": network.count_params(),
        "epochs": len(history),
        "val_loss": min((row["val_loss"] for row in history), default=None),
    }


def run(
    data: Path,
    out: Path,
    work: Path,
    settings: TrainDetector,
    seed: int,
    start: Path | None,
    taught_by: Path | None = None,
) -> None:
    """Builds, loads `start`, trains (to what the checkpoint `taught_by` sees, too) and writes the checkpoint `out`."""
    keras.utils.set_random_seed(seed)
    network = build(settings)
    seen = frozenset((data / "train" / "seen.txt").read_text(encoding="utf-8").split())
    if taught_by is not None:  # what the teacher has seen, it passes on
        seen |= checkpoints.read_seen(taught_by)
    if start is not None:
        load(network, settings, start)
        seen |= checkpoints.read_seen(start)
    sources = [start] if taught_by is None else [start, taught_by]
    fingerprint = fitting.fingerprint(data, settings.model_dump(), seed, sources)
    # Without epochs nothing is taught: so a head that no teacher knows goes through the whole pipeline.
    tutor = teacher(taught_by, settings) if taught_by is not None and settings.epochs else None
    history = train(network, data, settings, seed, work, fingerprint, tutor)
    fitting.write_history(out / "history.csv", history)
    checkpoints.save(out, fitting.variables(network), card(network, settings, history), seen)
    print(f"{out}: {network.count_params():,} parameters, {len(history)} epochs")
