"""The layers that trunk and decoders are built of: convolutions with standardised kernels."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

_GAIN = math.sqrt(2 / (1 - 1 / math.pi))  # a ReLU of unit normal input, times this, has unit variance again

_SMALL = 0.2


class StandardConv(layers.Layer):
    """A convolution whose kernel has mean 0 and variance gain^2 / fan-in for each output channel, and a bias.

    The scaled weight standardisation of Brock et al. 2021 (arXiv:2101.08692, section 4.2), computed in float32.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: str = "same",
        gain: float = _GAIN,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.first_gain = gain
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.dilation, self.padding = dilation, padding

    def build(self, shape: Any) -> None:
        # autocast=False: the variance of a kernel in half precision would be noise
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, shape[-1], self.filters), initializer="he_normal", name="kernel", autocast=False
        )
        self.gain = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.Constant(self.first_gain),
            name="gamma",
            autocast=False,
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def standardised(self) -> Any:
        """The kernel that is convolved with, (h, w, channels in, channels out) float32."""
        fan_in = math.prod(self.kernel.shape[:3])
        mean, variance = ops.moments(self.kernel, axes=(0, 1, 2), keepdims=True)
        return (self.kernel - mean) * (self.gain * ops.rsqrt(ops.maximum(variance * fan_in, 1e-4)))

    def call(self, x: Any) -> Any:
        kernel = ops.cast(self.standardised(), self.compute_dtype)
        return ops.conv(x, kernel, self.strides, self.padding, dilation_rate=self.dilation) + self.bias

    def plain(self) -> layers.Conv2D:
        """An ordinary convolution that does the same, once `folded` has given it its weights."""
        return layers.Conv2D(
            self.filters,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation,
            dtype="float32",
            name=self.name,
        )

    def compute_output_shape(self, shape: Any) -> Any:
        sizes = []
        for size, kernel, stride in zip(shape[1:3], self.kernel_size, self.strides, strict=True):
            sizes.append(-(-size // stride) if self.padding == "same" else (size - kernel) // stride + 1)
        return (shape[0], *sizes, self.filters)


def folded(network: keras.Model) -> keras.Model:
    """The same network with ordinary convolutions, whose kernels are standardised once and for all: for export."""
    plain = keras.models.clone_model(
        network,
        clone_function=lambda layer: (
            layer.plain() if isinstance(layer, StandardConv) else layer.__class__.from_config(layer.get_config())
        ),
    )
    for layer in network.layers:
        weights = [layer.standardised(), layer.bias] if isinstance(layer, StandardConv) else layer.weights
        plain.get_layer(layer.name).set_weights([ops.convert_to_numpy(weight) for weight in weights])
    return plain


def conv(
    x: Any, channels: int, kernel: tuple[int, int], strides: tuple[int, int], name: str, padding: str = "same"
) -> Any:
    """A convolution and a ReLU."""
    x = StandardConv(channels, kernel, strides, padding=padding, name=f"{name}_conv")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def residual(x: Any, name: str, kernel: tuple[int, int] = (3, 3), dilation: tuple[int, int] = (1, 1)) -> Any:
    """x + a convolution and a ReLU of it, small at first so that it can be added to a network that is trained."""
    y = StandardConv(x.shape[-1], kernel, dilation=dilation, gain=_SMALL, name=f"{name}_conv")(x)
    y = layers.Activation("relu", name=f"{name}_relu")(y)
    return layers.Add(name=f"{name}_add")([x, y])
