"""Trunks cut where it pays, and the feature pyramid that fuses what they see.

image (B, H, W, 3) RGB 0..255 -> trunk -> [stride 4, 8, 16] -> pyramid {stride: (B, H/stride, W/stride, width)}
"""

from __future__ import annotations

from typing import Any

import keras

# The channels-wise mean and deviation of ImageNet, as EfficientNet's published weights expect their input.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BUILDERS = {
    "efficientnetb3": keras.applications.EfficientNetB3,
    "efficientnetb0": keras.applications.EfficientNetB0,
}
LITE = "efficientnet-lite0"
# EfficientNet-Lite0's first five stages: kernel, stride, expansion, channels, blocks (Tan & Le 2019, arXiv:1905.11946,
# table 1; the Lite variant leaves out squeeze-and-excite and has ReLU6).
_LITE_STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3))
COARSEST = 32  # the top of the pyramid: there few cells look at the whole of a plate that fills the picture


class BackboneError(ValueError):
    """A trunk or cut that does not exist."""


def build_trunk(name: str, cut: str, activation: str = "relu6", imagenet: bool = False) -> keras.Model:
    """The trunk up to layer `cut`: image -> [stride 4, stride 8, stride 16] features.

    Normalisation is one Rescaling, in front of keras.applications' own graph without its preprocessing layers
    (which do not survive an export to ONNX). `activation` is relu6 (quantises well, costs less) or swish (as
    published, and as the ImageNet weights of Keras need it). Raises BackboneError for an unknown name or cut.
    """
    if imagenet and (activation != "swish" or name == LITE):
        raise BackboneError("weights: imagenet needs activation: swish and a trunk of keras.applications")
    if name == LITE:
        whole = _lite()
    elif name in _BUILDERS:
        whole = _BUILDERS[name](
            include_top=False, weights="imagenet" if imagenet else None, input_shape=(None, None, 3), name=name
        )
    else:
        raise BackboneError(f"backbone {name!r} is not one of {', '.join((*_BUILDERS, LITE))}")
    names = [layer.name for layer in whole.layers]
    # Inside block4a the stride is still 8, and a squeeze has no rows and columns: only a block's end will do.
    if cut not in names or not cut.startswith(("block4", "block5")) or not cut.endswith(("_project_bn", "_add")):
        raise BackboneError(
            f"{name} cannot be cut at {cut!r}: name the end (_add or _project_bn) of a block4 or block5 (stride 16)"
        )
    ends = [_last_add(names, "block2"), _last_add(names, "block3"), cut]
    entry = whole.get_layer("stem_conv" if name == LITE else "stem_conv_pad").input
    body = keras.Model(entry, [whole.get_layer(end).output for end in ends], name="trunk")
    for layer in body.layers:
        if isinstance(layer, keras.layers.Activation):
            layer.activation = keras.activations.get(activation)
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # stochastic depth regularises 300 epochs of ImageNet; it slows a short fine-tuning
    image = keras.Input((None, None, 3), name="image")
    normalised = keras.layers.Rescaling(
        [1 / (255 * d) for d in _DEVIATION],
        [-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)],
        name="normalise",
    )(image)
    return keras.Model(image, body(normalised), name=name)


def _lite() -> keras.Model:
    """EfficientNet-Lite0 up to stride 16, its layers named as keras.applications names those of B0."""
    image = keras.Input((None, None, 3))
    x = _conv_bn(keras.layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv"), "stem", image)
    x = keras.layers.Activation("relu6", name="stem_activation")(x)
    for stage, (kernel, stride, expansion, channels, depth) in enumerate(_LITE_STAGES, start=1):
        for position in range(depth):
            name = f"block{stage}{'abc'[position]}"
            x = _inverted_residual(x, name, kernel, stride if position == 0 else 1, expansion, channels)
    return keras.Model(image, x, name=LITE)


def _inverted_residual(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    """MobileNetV2's block (Sandler et al. 2018, arXiv:1801.04381)."""
    start, wide = x, x.shape[-1] * expansion
    if expansion != 1:
        x = _conv_bn(keras.layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv"), f"{name}_expand", x)
        x = keras.layers.Activation("relu6", name=f"{name}_expand_activation")(x)
    depthwise = keras.layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )
    x = keras.layers.Activation("relu6", name=f"{name}_activation")(_conv_bn(depthwise, name, x))
    x = _conv_bn(keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv"), f"{name}_project", x)
    return keras.layers.Add(name=f"{name}_add")([x, start]) if stride == 1 and start.shape[-1] == channels else x


def _conv_bn(conv: keras.layers.Layer, name: str, x: Any) -> Any:
    return keras.layers.BatchNormalization(name=f"{name}_bn")(conv(x))


def _last_add(names: list[str], stage: str) -> str:
    return [name for name in names if name.startswith(stage) and name.endswith("_add")][-1]


def freeze(trunk: keras.Model, last: str) -> None:
    """Stops training of every trunk layer up to and with stage `last` ("block2", say), statistics included."""
    body = trunk.get_layer("trunk")
    stages = {layer.name.split("_")[0][:6] for layer in body.layers if layer.name.startswith("block")}
    if last not in stages:
        raise BackboneError(f"cannot freeze up to {last!r}: the trunk's stages are {', '.join(sorted(stages))}")
    for layer in body.layers:
        stage = layer.name.split("_")[0]
        if stage == "stem" or (stage.startswith("block") and stage[:6] <= last):
            layer.trainable = False


def pyramid(levels: list[Any], finest: int, width: int, fusion: str = "fpn") -> dict[int, Any]:
    """The trunk's features of strides 4, 8, 16, fused with a coarser level: {stride: (B, H/stride, W/stride, width)}.

    Strides run from `finest` to 32, which is made from the trunk's last. `fusion` is fpn (from the top down,
    Lin et al. 2017, arXiv:1612.03144) or bifpn (down, up and down again, with learnt weights, Tan et al. 2020,
    arXiv:1911.09070).
    """
    lateral = {
        stride: _lateral(level, width, f"p{stride}")
        for stride, level in zip((4, 8, 16), levels, strict=True)
        if stride >= finest
    }
    stride = max(lateral)
    while stride < COARSEST:
        lateral[2 * stride] = _halve(lateral[stride], width, f"p{2 * stride}")
        stride *= 2
    if fusion == "fpn":
        return _down(lateral, width, "fpn", weighted=False)
    first = _down(lateral, width, "bifpn1", weighted=True)
    second = _up(first, lateral, width, "bifpn2")
    return _down(second, width, "bifpn3", weighted=True)


def _down(levels: dict[int, Any], width: int, name: str, weighted: bool) -> dict[int, Any]:
    """From the coarsest level to the finest, each added to the next."""
    fused: dict[int, Any] = {}
    above = None
    for stride in sorted(levels, reverse=True):
        x = levels[stride]
        if above is not None:
            upsampled = keras.layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_p{stride}_up")(above)
            x = _add([x, upsampled], f"{name}_p{stride}", weighted)
        fused[stride] = above = _smooth(x, width, f"{name}_p{stride}")
    return fused


def _up(levels: dict[int, Any], lateral: dict[int, Any], width: int, name: str) -> dict[int, Any]:
    """From the finest level to the coarsest; each hears its own lateral again."""
    fused: dict[int, Any] = {}
    below = None
    for stride in sorted(levels):
        x = levels[stride]
        if below is not None:
            pooled = keras.layers.MaxPooling2D(2, name=f"{name}_p{stride}_pool")(below)
            x = _add([x, pooled, lateral[stride]], f"{name}_p{stride}", True)
        fused[stride] = below = _smooth(x, width, f"{name}_p{stride}")
    return fused


def _add(parts: list[Any], name: str, weighted: bool) -> Any:
    return WeightedSum(name=f"{name}_sum")(parts) if weighted else keras.layers.Add(name=f"{name}_add")(parts)


class WeightedSum(keras.layers.Layer):
    """Fast normalised fusion: sum of w x / sum of w, with w = relu of a learnt scalar for each input."""

    def build(self, shapes: Any) -> None:
        self.shares = self.add_weight(shape=(len(shapes),), initializer="ones", name="shares")

    def call(self, parts: Any) -> Any:
        shares = keras.ops.relu(self.shares)
        shares = shares / (keras.ops.sum(shares) + 1e-4)
        total = parts[0] * shares[0]
        for index, part in enumerate(parts[1:], start=1):
            total = total + part * shares[index]
        return total

    def compute_output_shape(self, shapes: Any) -> Any:
        return shapes[0]


def _lateral(x: Any, width: int, name: str) -> Any:
    x = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_lateral")(x)
    return keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_lateral_bn")(x)


def _halve(x: Any, width: int, name: str) -> Any:
    """A depthwise-separable 5x5 step to half the rows and columns."""
    x = keras.layers.DepthwiseConv2D(5, strides=2, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_depthwise_bn")(x)
    x = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_pointwise_bn")(x)
    return keras.layers.Activation("silu", name=f"{name}_silu")(x)


def _smooth(x: Any, width: int, name: str) -> Any:
    """A residual depthwise-separable 5x5 block: context at little cost."""
    y = keras.layers.DepthwiseConv2D(5, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    y = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_depthwise_bn")(y)
    y = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(y)
    y = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_pointwise_bn")(y)
    y = keras.layers.Activation("silu", name=f"{name}_silu")(y)
    return keras.layers.Add(name=f"{name}_residual")([x, y])
