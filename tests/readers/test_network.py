"""The network: one trunk, the decoders asked for, and the region; its shapes and its size."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.readers import network
from pipeline.readers.decoders import CLASSES

BATCH = np.random.default_rng(0).uniform(0, 255, (2, 64, 192, 1)).astype(np.float32)
STEPS = {"ctc": 96, "slots": 12, "attention": 12}


@pytest.mark.parametrize("decoders", [("ctc",), ("slots", "attention")], ids="+".join)
def test_outputs_are_the_decoders_by_name_and_the_region(decoders: tuple[str, ...]) -> None:
    model = network.build(8, 7, decoders)
    outputs = model(BATCH)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {**{name: (2, STEPS[name], CLASSES) for name in decoders}, "region": (2, 7)}
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"float32"}


def test_features_are_a_sixteenth_of_the_height_and_a_quarter_of_the_width() -> None:
    crop = keras.Input((64, 192, 1))
    assert network.trunk(crop, 8).shape == (None, 4, 48, 32)


def test_the_shipped_width_is_small_and_trains_without_batch_statistics() -> None:
    model = network.build(24, 50)
    assert 100_000 < model.count_params() < 800_000
    assert model.count_params() == sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    alone, together = model(BATCH[:1], training=True), model(BATCH, training=True)
    np.testing.assert_allclose(np.asarray(together["ctc"])[:1], np.asarray(alone["ctc"]), atol=1e-4)


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(KeyError, match="magic"):
        network.build(8, 7, ("magic",))
