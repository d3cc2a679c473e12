"""Training batches of rendered and real plates, made in worker processes. No Keras here: each worker imports this."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from threading import Thread

import numpy as np

from pipeline.alphabet import MAX_LENGTH
from pipeline.readers.crops import Labelled, RealCrop, Said, again, draw_nothing, real_batch, stack
from pipeline.readers.reader import HEIGHT, WIDTH, Grey, prepare
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.cropping import render_crop
from pipeline.rendering.fonts import FontBook

REMEMBERED = 200_000  # rendered crops that may come again, in all workers: 2.5 GB


def rendered_batch(
    seed: Sequence[int],
    count: int,
    fonts: FontBook | None = None,
    catalogue: Catalogue | None = None,
    nothing_share: float = 0.02,
) -> Labelled:
    """`count` rendered plates, a pure function of the arguments; a few crops hold nothing at all."""
    rng = np.random.default_rng(list(seed))
    crops: list[Grey] = []
    said: list[Said] = []
    while len(crops) < count:
        if rng.random() < nothing_share:
            crops.append(draw_nothing(rng))
            said.append(Said("", 0))
            continue
        crop, plate = render_crop(rng, HEIGHT, WIDTH, fonts, catalogue)
        if len(plate.text) <= MAX_LENGTH:
            crops.append(prepare(crop))
            said.append(Said(plate.text, plate.upper, plate.region))
    return stack(crops, said)


@dataclass(frozen=True)
class Mixture:
    """What a batch is made of: `fresh` newly rendered crops, `repeated` ones out of the last batches, cut and lit
    anew, and `real_count` real ones."""

    fresh: int
    repeated: int
    real_count: int
    real: Sequence[RealCrop]
    fonts: FontBook | None
    catalogue: Catalogue | None
    remembered: int = REMEMBERED

    @classmethod
    def of(
        cls,
        batch_size: int,
        real: Sequence[RealCrop],
        real_share: float,
        fresh_share: float,
        fonts: FontBook | None,
        catalogue: Catalogue | None,
        processes: int,
    ) -> Mixture:
        """`fresh_share` is of the rendered ones; without real crops, all are rendered."""
        real_count = round(batch_size * real_share) if real else 0
        fresh = max(1, round((batch_size - real_count) * fresh_share))
        repeated = batch_size - real_count - fresh
        return cls(fresh, repeated, real_count, real, fonts, catalogue, REMEMBERED // processes)


@dataclass
class Maker:
    """Makes the batches of a mixture, remembering what it rendered."""

    mixture: Mixture
    past: deque[Labelled] = field(init=False)

    def __post_init__(self) -> None:
        self.past = deque(maxlen=max(1, self.mixture.remembered // self.mixture.fresh))

    def batch(self, seed: Sequence[int]) -> Labelled:
        mixture = self.mixture
        self.past.append(rendered_batch(seed, mixture.fresh, mixture.fonts, mixture.catalogue))
        parts = [self.past[-1]]
        rng = np.random.default_rng([*seed, 1])
        if mixture.repeated:
            parts.append(again(rng, mixture.repeated, self.past))
        if mixture.real_count:
            parts.append(real_batch(rng, mixture.real_count, mixture.real))
        crops, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return crops, labels


_maker: Maker  # of this worker process


def make(seed: Sequence[int]) -> Labelled:
    """A batch, in a worker process."""
    return _maker.batch(seed)


def workers(processes: int, mixture: Mixture) -> ProcessPoolExecutor:
    """A pool to submit `make` to; its processes end with this one, even where it is killed."""
    context = get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(mixture,))


def _start(mixture: Mixture) -> None:
    global _maker
    _maker = Maker(mixture)

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
