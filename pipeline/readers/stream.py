"""The endless stream of crops that the shipped weights are made on: rendered plates, and a share of real ones."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from pipeline.fitting import Batches
from pipeline.readers.crops import Labelled, RealCrop, again, as_input, real_batch
from pipeline.readers.rendered import rendered_batch, workers
from pipeline.readers.training import Batch
from pipeline.rendering.fonts import FontBook

_AHEAD = 6  # batches rendered before they are asked for
_REMEMBERED = 200  # batches whose crops may come again


class RenderedPlates(Batches):
    """An endless stream of rendered plates, with a share of real crops; worker processes draw ahead.

    Of a batch, `real_share` are real; of the others `fresh_share` are rendered for it, and the rest stood in
    one of the last batches and are distorted anew.
    """

    def __init__(
        self,
        batch_size: int,
        batches: int,
        seed: int,
        real: Sequence[RealCrop] = (),
        real_share: float = 0.0,
        fresh_share: float = 1.0,
        fonts: FontBook | None = None,
        processes: int = 1,
    ) -> None:
        super().__init__()
        self._batches, self._seed, self._real, self._fonts = batches, seed, real, fonts
        self._real_count = round(batch_size * real_share) if real else 0
        self._rendered_count = batch_size - self._real_count
        self._fresh_count = max(1, round(self._rendered_count * fresh_share))
        self._past: deque[Labelled] = deque(maxlen=_REMEMBERED)
        self._pool = workers(processes)
        self._pending: OrderedDict[tuple[int, int], Future[Labelled]] = OrderedDict()

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> Batch:
        for ahead in range(index, min(index + _AHEAD, self._batches)):
            key = (self.epoch, ahead)
            if key not in self._pending:
                seed = (self._seed, *key)
                self._pending[key] = self._pool.submit(rendered_batch, seed, self._fresh_count, self._fonts)
        parts = [self._pending[self.epoch, index].result()]
        while len(self._pending) > 2 * _AHEAD:  # Keras looks at an epoch's first batches twice
            self._pending.popitem(last=False)
        rng = np.random.default_rng([self._seed, self.epoch, index, 1])
        self._past.append(parts[0])
        if (repeated := self._rendered_count - len(parts[0][1])) > 0:
            parts.append(again(rng, repeated, self._past))
        if self._real_count:
            parts.append(real_batch(rng, self._real_count, self._real))
        crops, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return as_input(crops), labels.astype(np.int32)

    def close(self) -> None:
        """Ends the worker processes."""
        self._pool.shutdown(cancel_futures=True)
