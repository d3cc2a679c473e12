"""The endless stream of crops that the shipped weights are made on, as a Keras dataset."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future

import numpy as np

from pipeline.fitting import Batches
from pipeline.readers.crops import Labelled, as_input
from pipeline.readers.rendered import Mixture, make, workers
from pipeline.readers.training import Batch

_AHEAD = 12  # batches made before they are asked for


class RenderedPlates(Batches):
    """Batches of a mixture without an end; worker processes draw ahead."""

    def __init__(self, mixture: Mixture, batches: int, seed: int, processes: int = 1) -> None:
        super().__init__()
        self._batches, self._seed = batches, seed
        self._pool = workers(processes, mixture)
        self._pending: OrderedDict[tuple[int, int], Future[Labelled]] = OrderedDict()

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> Batch:
        for ahead in range(index, min(index + _AHEAD, self._batches)):
            key = (self.epoch, ahead)
            if key not in self._pending:
                self._pending[key] = self._pool.submit(make, (self._seed, *key))
        crops, labels = self._pending[self.epoch, index].result()
        while len(self._pending) > 2 * _AHEAD:  # Keras looks at an epoch's first batches twice
            self._pending.popitem(last=False)
        return as_input(crops), labels.astype(np.int32)

    def close(self) -> None:
        """Ends the worker processes."""
        self._pool.shutdown(cancel_futures=True)
