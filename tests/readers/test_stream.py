"""The endless stream: batches drawn ahead, none twice, in the shapes that Keras takes."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from pipeline.readers import stream
from pipeline.readers.crops import Said, stack
from pipeline.readers.rendered import Mixture, make

MIXTURE = Mixture(2, 0, 0, (), None, None)


class InlinePool:
    """Makes at once, without processes, a batch of its seed's last number; remembers what it is asked for."""

    def __init__(self, processes: int, mixture: Mixture) -> None:
        self.seeds: list[tuple[int, ...]] = []
        self.ended = False
        assert (processes, mixture) == (3, MIXTURE)

    def submit(self, function: object, seed: tuple[int, ...]) -> Future[object]:
        assert function is make
        self.seeds.append(seed)
        future: Future[object] = Future()
        future.set_result(stack([np.full((64, 192), seed[-1], np.uint8)] * 2, [Said("AB", 2, "SE"), Said("", 0)]))
        return future

    def shutdown(self, cancel_futures: bool) -> None:
        self.ended = cancel_futures


@pytest.fixture
def plates(monkeypatch: pytest.MonkeyPatch) -> stream.RenderedPlates:
    monkeypatch.setattr(stream, "workers", InlinePool)
    return stream.RenderedPlates(MIXTURE, 30, seed=5, processes=3)


def test_batches_come_in_order_drawn_ahead_and_none_twice(plates: stream.RenderedPlates) -> None:
    assert len(plates) == 30
    for index in (0, 1, 2, 3, 4, *range(30)):  # as Keras does: the first batches are looked at twice
        crops, labels = plates[index]
        assert (crops.shape, crops.dtype, crops[0, 0, 0, 0]) == ((2, 64, 192, 1), np.float32, index)
        assert (labels.shape, labels.dtype) == ((2, 14), np.int32)
        assert labels[:, 0].tolist() == [10, -1]
    assert plates._pool.seeds == [(5, 0, index) for index in range(30)]


def test_another_epoch_is_another_stream_and_nothing_is_kept_for_ever(plates: stream.RenderedPlates) -> None:
    for epoch in range(3):
        plates.epoch = epoch
        for index in range(30):
            assert plates[index][0][0, 0, 0, 0] == index
        assert len(plates._pending) <= 2 * stream._AHEAD
    assert sorted(plates._pool.seeds) == [(5, epoch, index) for epoch in range(3) for index in range(30)]


def test_the_workers_end(plates: stream.RenderedPlates) -> None:
    plates.close()
    assert plates._pool.ended
