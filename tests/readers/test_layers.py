"""Standardised convolutions: their kernels, their shapes, and that folding changes nothing."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from pipeline.readers import network
from pipeline.readers.decoders import DECODERS
from pipeline.readers.layers import StandardConv, conv, folded, residual


def built(**changes: object) -> StandardConv:
    """A layer whose kernel has neither mean 0 nor one variance, nor all its gains the same."""
    rng = np.random.default_rng(0)
    layer = StandardConv(**{"filters": 5, "kernel_size": (3, 3), **changes})
    layer.build((None, 12, 20, 4))
    kernel, gain, bias = (rng.normal(0.7, 2.0, variable.shape) for variable in layer.weights)
    layer.set_weights([kernel * np.arange(1, 6), gain, bias])
    return layer


def test_a_kernel_has_mean_0_and_variance_gain_squared_over_fan_in() -> None:
    layer = built()
    kernel, gain = np.asarray(layer.standardised()), np.asarray(layer.gain)
    assert kernel.shape == (3, 3, 4, 5)
    np.testing.assert_allclose(kernel.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(kernel.var(axis=(0, 1, 2)), gain**2 / (3 * 3 * 4), rtol=1e-4)


def test_a_fresh_one_gives_unit_variance_behind_a_relu_of_unit_variance() -> None:
    rng = np.random.default_rng(0)
    layer = StandardConv(64, (3, 3), padding="valid")
    x = np.maximum(rng.normal(0, 1, (4, 16, 16, 32)), 0).astype(np.float32)
    assert np.asarray(layer(x)).var() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e6])
def test_kernels_of_any_size_give_finite_ones(scale: float) -> None:
    layer = built()
    layer.kernel.assign(np.asarray(layer.kernel) * scale)
    assert np.isfinite(np.asarray(layer.standardised())).all()


def test_in_half_precision_the_kernel_is_still_standardised_in_single() -> None:
    layer = built(dtype="mixed_bfloat16")
    out = layer(np.ones((1, 12, 20, 4), np.float32))
    assert keras.backend.standardize_dtype(out.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(layer.standardised().dtype) == "float32"
    whole = built()(np.ones((1, 12, 20, 4), np.float32))
    np.testing.assert_allclose(np.asarray(keras.ops.cast(out, "float32")), np.asarray(whole), atol=0.1)


SHAPES = {
    "same": {},
    "strides": {"strides": (2, 2)},
    "strides of one axis": {"strides": (2, 1), "kernel_size": (5, 5)},
    "valid": {"padding": "valid"},
    "all rows onto one": {"padding": "valid", "kernel_size": (12, 1)},
    "dilated along a row": {"kernel_size": (1, 3), "dilation": (1, 4)},
}


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES.keys())
def test_an_ordinary_convolution_with_the_standardised_kernel_does_the_same(changes: dict[str, object]) -> None:
    layer = built(**changes)
    x = np.random.default_rng(1).normal(0, 1, (2, 12, 20, 4)).astype(np.float32)
    found = np.asarray(layer(x))
    assert layer.compute_output_shape((2, 12, 20, 4)) == found.shape
    plain = layer.plain()
    plain.build(x.shape)
    plain.set_weights([np.asarray(layer.standardised()), np.asarray(layer.bias)])
    np.testing.assert_allclose(np.asarray(plain(x)), found, atol=1e-4)


def test_a_folded_network_gives_the_same_without_a_standardised_layer() -> None:
    keras.utils.set_random_seed(3)
    model = network.build(8, 5, tuple(DECODERS))
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:  # no bias at 0, no gain as it was made
        variable.assign(np.asarray(variable) + rng.normal(0, 0.05, variable.shape))
    plain = folded(model)
    assert not [layer for layer in plain.layers if isinstance(layer, StandardConv)]
    x = rng.uniform(0, 255, (3, 64, 192, 1)).astype(np.float32)
    expected, found = model(x), plain(x)
    assert set(found) == set(expected) == {*DECODERS, "region"}
    for name in expected:
        np.testing.assert_allclose(np.asarray(found[name]), np.asarray(expected[name]), atol=1e-4)
    assert np.ptp(np.asarray(expected["ctc"])) > 0.1


def test_blocks() -> None:
    x = keras.Input((8, 10, 6))
    down = conv(x, 7, (3, 3), (2, 1), "down")
    assert down.shape == (None, 4, 10, 7)
    assert residual(down, "block").shape == down.shape
    model = keras.Model(x, residual(x, "alone"))
    values = np.random.default_rng(0).normal(0, 1, (1, 8, 10, 6)).astype(np.float32)
    added = np.asarray(model(values)) - values
    assert (added >= -1e-6).all(), "x and a ReLU on it"
    assert 0.01 < added.std() < 0.25 * values.std(), "little at first: it may be added to a network that is trained"
    assert math.prod(model.get_layer("alone_conv").kernel.shape) == 3 * 3 * 6 * 6
