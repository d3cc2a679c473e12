"""Rendered plates as arrays, and the stream that mixes them with real ones."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from pipeline.readers import stream
from pipeline.readers.crops import RealCrop
from pipeline.readers.reader import encode
from pipeline.readers.rendered import rendered_batch


def test_rendered_plates_are_a_function_of_the_seed() -> None:
    first, labels = rendered_batch((1, 2), 6, nothing_share=0.3)
    again, _ = rendered_batch((1, 2), 6, nothing_share=0.3)
    other, _ = rendered_batch((1, 3), 6, nothing_share=0.3)
    assert first.shape == (6, 64, 192)
    assert labels.shape == (6, 12)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class InlinePool:
    """Renders at once, without processes; counts what it is asked for."""

    def __init__(self, _: int) -> None:
        self.counts: list[int] = []

    def submit(self, function: object, seed: tuple[int, ...], count: int, fonts: object) -> Future[object]:
        self.counts.append(count)
        future: Future[object] = Future()
        future.set_result((np.full((count, 64, 192), 9, np.uint8), np.stack([encode("AB")] * count)))
        return future

    def shutdown(self, cancel_futures: bool) -> None:
        self.counts.clear()


def test_a_batch_is_part_fresh_part_repeated_part_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "workers", InlinePool)
    real = RealCrop(np.zeros((60, 100, 3), np.uint8), np.array([[5, 5], [95, 5], [95, 55], [5, 55]], np.float32), "Z")
    plates = stream.RenderedPlates(10, 30, seed=1, real=[real], real_share=0.2, fresh_share=0.5)
    for index in (0, 1, 2, 3, 4, *range(30)):  # as Keras does: the first batches are looked at twice
        crops, labels = plates[index]
        assert crops.shape == (10, 64, 192, 1)
        assert [int(row[0]) for row in labels] == [10] * 8 + [35] * 2
    assert set(plates._pool.counts) == {4}
    assert len(plates._pool.counts) == 30  # none is rendered twice
    plates.close()
