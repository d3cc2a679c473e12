"""The reader's training data as Keras datasets, its loss, and the making of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pipeline import checkpoints
from pipeline.alphabet import MAX_LENGTH
from pipeline.calibration import Calibration, Right, Scores
from pipeline.fitting import Batches, assign, variables
from pipeline.readers.crops import LABEL, as_input, distort, region_codes
from pipeline.readers.decoders import DECODERS
from pipeline.readers.decoding import DECODE, PADDING, encode
from pipeline.readers.network import REGION, build
from pipeline.readers.reader import HEIGHT, WIDTH, surest
from pipeline.records import Reading

KIND = "reader"
REGION_WEIGHT = 0.1  # of the region's cross-entropy beside the text's

Batch = tuple[NDArray[np.float32], NDArray[np.int32]]  # (B, 64, 192, 1) crops, (B, 14) labels


class DataError(ValueError):
    """Training data that cannot be used; the message names the file."""


def loss(labels: Any, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each decoder's loss and the region's, averaged over the batch, in nats. labels (B, 14), as crops.stack makes."""
    texts, upper, regions = labels[:, :MAX_LENGTH], labels[:, MAX_LENGTH], labels[:, MAX_LENGTH + 1]
    parts = {name: ops.mean(DECODERS[name].loss(texts, upper, outputs[name])) for name in outputs if name in DECODERS}
    known = ops.cast(regions >= 0, "float32")
    wrong = ops.sparse_categorical_crossentropy(ops.maximum(regions, 0), outputs[REGION], from_logits=True)
    parts[REGION] = REGION_WEIGHT * ops.sum(known * wrong) / ops.maximum(ops.sum(known), 1.0)
    return parts


class StoredCrops(Batches):
    """Crops that were made before; with `shuffle` in an order of the epoch, and each distorted anew."""

    def __init__(
        self, crops: NDArray[Any], labels: NDArray[Any], batch_size: int, seed: int = 0, shuffle: bool = False
    ) -> None:
        super().__init__()
        self._crops, self._labels = crops, labels
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle

    @property
    def count(self) -> int:
        return len(self._labels)

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        order: NDArray[np.intp] = np.arange(len(self._labels))
        if self._shuffle:
            order = np.random.default_rng([self._seed, self.epoch]).permutation(order)
        chosen = np.sort(order[index * self._batch_size : (index + 1) * self._batch_size])
        crops = np.asarray(self._crops[chosen])
        if self._shuffle:
            rng = np.random.default_rng([self._seed, self.epoch, index])
            crops = np.stack([distort(rng, crop) for crop in crops])
        return as_input(crops), self._labels[chosen].astype(np.int32)


def load_stored(folder: Path) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """(crops (N, 64, 192) memory-mapped, labels (N, 14), ids of the samples they come from) of one split."""
    try:
        crops = np.load(folder / "crops.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        seen = (folder / "seen.txt").read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {error.strerror}; run the augment stage first") from None
    except ValueError as error:
        raise DataError(f"{folder}: damaged array ({error}); run the augment stage again") from None
    if crops.shape[1:] != (HEIGHT, WIDTH) or labels.shape != (len(crops), LABEL):
        raise DataError(
            f"{folder}: crops {crops.shape} and labels {labels.shape}, wanted (N, {HEIGHT}, {WIDTH}) and "
            f"(N, {LABEL}); run the augment stage again"
        )
    return crops, labels, seen


def start(weights: Path | None, width: int, decoders: Sequence[str] = ("ctc",)) -> tuple[keras.Model, frozenset[str]]:
    """(network, ids of the samples it has seen): from the checkpoint in `weights`, or fresh where that is None.

    What the checkpoint does not hold (another decoder, a country whose file is new) starts fresh.
    """
    codes = region_codes()
    network = build(width, len(codes), decoders)
    if weights is None:
        return network, frozenset()
    arrays, card = checkpoints.load(weights)
    if card.get("kind") != KIND or card.get("width") != width:
        raise checkpoints.CheckpointError(
            f"{weights}: a {card.get('kind')} of width {card.get('width')}; set train_reader.width to that, "
            "or weights to none"
        )
    fresh = variables(network)
    known = {code: place for place, code in enumerate(card.get("regions", ()))}
    for name in (name for name in fresh if name.startswith(f"{REGION}/")):
        columns = [arrays[name][..., known[c]] if c in known else fresh[name][..., i] for i, c in enumerate(codes)]
        arrays[name] = np.stack(columns, axis=-1)
    assign(network, {**fresh, **arrays}, str(weights))
    return network, checkpoints.read_seen(weights)


def freeze(network: keras.Model, weights: Path | None) -> None:
    """Stops the training of every layer that a checkpoint holds."""
    if weights is None:
        raise checkpoints.CheckpointError("there is nothing to freeze without a checkpoint to start from")
    held = checkpoints.load(weights)[0]
    for layer in network.layers:
        if layer.weights and all(variable.path in held for variable in layer.weights):
            layer.trainable = False


def save(
    network: keras.Model,
    folder: Path,
    width: int,
    calibrations: Mapping[str, Calibration],
    seen: Iterable[str],
    figures: Mapping[str, Any],
) -> None:
    """Writes the network as a checkpoint, in half precision; `calibrations` by decoder."""
    arrays = {name: value.astype(np.float16) for name, value in variables(network).items()}
    card = {
        "kind": KIND,
        "width": width,
        "parameters": network.count_params(),
        "calibrations": {name: calibration.as_row() for name, calibration in calibrations.items()},
        "regions": list(region_codes()),
    }
    checkpoints.save(folder, arrays, {**card, **figures}, seen)


def decoders_of(network: keras.Model) -> list[str]:
    """The names of the decoders that a network has."""
    return [name for name in network.output if name in DECODERS]


def judged(network: keras.Model, data: Batches, decoder: str) -> tuple[Scores, Right]:
    """(scores (N,), right (N,)) of the readings of every crop that has a text, as the exported reader makes them but
    for calibration; nothing read is score 0 and wrong."""

    def read(crops: NDArray[np.float32]) -> list[Reading]:
        logits = ops.convert_to_numpy(network(crops, training=False)[decoder])  # (B, T, 37)
        return [DECODE[decoder](row) for row in logits]

    scores, right = [], []
    for index in range(len(data)):
        crops, labels = data[index]
        readings = surest(crops[..., 0].astype(np.uint8), read(crops), read)
        for reading, label in zip(readings, labels[:, :MAX_LENGTH], strict=True):
            if label[0] != PADDING:
                scores.append(reading.score)
                right.append(bool(np.array_equal(encode(reading.text), label)))
    return np.array(scores, np.float64), np.array(right, np.bool_)
