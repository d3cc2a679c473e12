"""A detector's training crops as memory-mapped arrays: training reads pixels, it never decodes.

images.npy   (N, S, S, 3) uint8 RGB
corners.npy  (N, P, 6, 2) float32: a plate's box (two corners), then its quad (four); NaN where unknown
kinds.npy    (N, P) uint8: 0 nothing, 1 a plate, 2 something to be ignored
seen.txt     ids of the samples that the crops were cut from
keys.npy, sums.npy: see pipeline/reuse.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fitting import Batches
from pipeline.records import Box, Plate, Quad


class CropsError(ValueError):
    """A folder of crops that is missing or damaged."""


def unpack(corners: NDArray[np.float32], kinds: NDArray[np.uint8]) -> list[Plate]:
    """One crop's rows -> its plates; those to be ignored have `legible` False."""
    plates = []
    for points, kind in zip(corners, kinds, strict=True):
        if kind == 0:
            continue
        box = Box(*(float(v) for v in points[:2].reshape(4)))
        quad = None if np.isnan(points[2:]).any() else Quad(*((float(x), float(y)) for x, y in points[2:]))
        plates.append(Plate(box, quad, legible=bool(kind == 1)))
    return plates


def stored(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """(images, corners, kinds) of a folder, the images memory-mapped; CropsError where they are missing or unlike."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
        corners, kinds = np.load(folder / "corners.npy"), np.load(folder / "kinds.npy")
    except (OSError, ValueError) as error:
        raise CropsError(f"{folder} does not hold the augmented crops ({error}); run the augment stage") from None
    if not 0 < len(images) == len(corners) == len(kinds):
        raise CropsError(
            f"{folder} holds {len(images)} images, {len(corners)} rows of corners and {len(kinds)} of kinds; "
            "run the augment stage again"
        )
    return images, corners, kinds


class DetectorCrops(Batches):
    """Batches of (images float32 (B, S, S, 3) 0..255, targets of a head), shuffled anew for each epoch."""

    def __init__(
        self, folder: Path, head: Any, stride: int, batch_size: int, seed: int, epoch_crops: int | None = None
    ) -> None:
        """`epoch_crops` of them make an epoch, the next ones the next; None: each epoch in order, all of them."""
        super().__init__()
        self._images, self._corners, self._kinds = stored(folder)
        self._head, self._stride, self._batch_size = head, stride, batch_size
        if epoch_crops is not None and epoch_crops < batch_size:
            raise CropsError(f"an epoch of {epoch_crops} crops holds no batch of {batch_size}")
        self._seed, self._epoch_crops = seed, epoch_crops

    def __len__(self) -> int:
        if self._epoch_crops is not None:
            return self._epoch_crops // self._batch_size
        return -(-len(self._images) // self._batch_size)

    def _indices(self, batch: int) -> NDArray[np.intp]:
        """Places of one batch's crops: through one shuffled pass over the data after another."""
        if self._epoch_crops is None:
            return np.arange(len(self._images))[batch * self._batch_size :][: self._batch_size]
        first = (self.epoch * len(self) + batch) * self._batch_size
        places = np.arange(first, first + self._batch_size)
        count = len(self._images)
        orders = {p: np.random.default_rng([self._seed, int(p)]).permutation(count) for p in set(places // count)}
        return np.sort([orders[place // count][place % count] for place in places])

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        chosen = self._indices(index)
        images = self._images[chosen].astype(np.float32)
        height, width = images.shape[1:3]
        targets = [
            self._head.encode(unpack(self._corners[i], self._kinds[i]), height, width, self._stride) for i in chosen
        ]
        return images, {name: np.stack([target[name] for target in targets]) for name in targets[0]}
