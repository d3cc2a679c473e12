"""The reader's training data as Keras datasets, its loss, and the making of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pipeline import checkpoints
from pipeline.alphabet import MAX_LENGTH
from pipeline.fitting import Batches, assign, variables
from pipeline.readers.crops import as_input, distort
from pipeline.readers.network import build, ctc_loss
from pipeline.readers.reader import HEIGHT, PADDING, WIDTH, decode, encode

KIND = "reader"

Batch = tuple[NDArray[np.float32], NDArray[np.int32]]  # (B, 64, 192, 1) crops, (B, 12) labels padded with -1


class DataError(ValueError):
    """Training data that cannot be used; the message names the file."""


def loss(labels: Any, logits: Any) -> Mapping[str, Any]:
    """CTC over labels (B, 12), padded with -1, and logits (B, T, 37), averaged over the batch."""
    lengths = ops.sum(ops.cast(labels != PADDING, "int32"), axis=1)
    return {"ctc": ops.mean(ctc_loss(labels, lengths, logits))}


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
    """(crops (N, 64, 192) memory-mapped, labels (N, 12), ids of the samples they come from) of one split."""
    try:
        crops = np.load(folder / "crops.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        seen = (folder / "seen.txt").read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {error.strerror}; run the augment stage first") from None
    except ValueError as error:
        raise DataError(f"{folder}: damaged array ({error}); run the augment stage again") from None
    if crops.shape[1:] != (HEIGHT, WIDTH) or labels.shape != (len(crops), MAX_LENGTH):
        raise DataError(
            f"{folder}: crops {crops.shape} and labels {labels.shape}, wanted (N, {HEIGHT}, {WIDTH}) and "
            f"(N, {MAX_LENGTH}); set augment.reader_height and reader_width to that"
        )
    return crops, labels, seen


def start(weights: Path | None, width: int) -> tuple[keras.Model, frozenset[str]]:
    """(network, ids of the samples it has seen): from the checkpoint in `weights`, or fresh where that is None."""
    network = build(width)
    if weights is None:
        return network, frozenset()
    arrays, card = checkpoints.load(weights)
    if card.get("width") != width:
        raise checkpoints.CheckpointError(
            f"{weights}: a reader of width {card.get('width')}; set train_reader.width to that, or weights to none"
        )
    assign(network, arrays, str(weights))
    return network, checkpoints.read_seen(weights)


def save(network: keras.Model, folder: Path, width: int, seen: Iterable[str], figures: Mapping[str, Any]) -> None:
    """Writes the network as a checkpoint, in half precision."""
    arrays = {name: value.astype(np.float16) for name, value in variables(network).items()}
    checkpoints.save(folder, arrays, {"kind": KIND, "width": width, **figures}, seen)


def exact_match(network: keras.Model, data: Batches) -> float:
    """Share of crops that the network reads without a mistake."""
    right = total = 0
    for index in range(len(data)):
        crops, labels = data[index]
        logits = ops.convert_to_numpy(network(crops, training=False))  # (B, T, 37)
        for row, label in zip(logits, labels, strict=True):
            right += np.array_equal(encode(decode(row).text), label)
            total += 1
    return right / max(1, total)
