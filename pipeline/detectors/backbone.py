"""EfficientNet trunks from keras.applications, cut where it pays, and their features fused to one map.

image (B, H, W, 3) RGB 0..255 -> trunk -> fused features (B, H/stride, W/stride, width)
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


class BackboneError(ValueError):
    """A trunk or cut that does not exist."""


def build_trunk(name: str, cut: str, activation: str = "relu6", imagenet: bool = False) -> keras.Model:
    """The trunk up to layer `cut`: image -> [stride 4, stride 8, stride 16] features.

    Normalisation is one Rescaling, in front of keras.applications' own graph without its preprocessing layers
    (which do not survive an export to ONNX). `activation` is relu6 (quantises well, costs less) or swish (as
    published, and as the ImageNet weights of Keras need it). Raises BackboneError for an unknown name or cut.
    """
    if imagenet and activation != "swish":
        raise BackboneError("weights: imagenet needs activation: swish, which those weights were trained with")
    if name not in _BUILDERS:
        raise BackboneError(f"backbone {name!r} is not one of {', '.join(_BUILDERS)}")
    whole = _BUILDERS[name](
        include_top=False, weights="imagenet" if imagenet else None, input_shape=(None, None, 3), name=name
    )
    names = [layer.name for layer in whole.layers]
    # Inside block4a the stride is still 8, and a squeeze has no rows and columns: only a block's end will do.
    if cut not in names or not cut.startswith(("block4", "block5")) or not cut.endswith(("_project_bn", "_add")):
        raise BackboneError(
            f"{name} cannot be cut at {cut!r}: name the end (_add or _project_bn) of a block4 or block5 (stride 16)"
        )
    ends = [_last_add(names, "block2"), _last_add(names, "block3"), cut]
    body = keras.Model(
        whole.get_layer("stem_conv_pad").input, [whole.get_layer(end).output for end in ends], name="trunk"
    )
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


def fuse(levels: list[Any], stride: int, width: int) -> Any:
    """Feature pyramid down to one map (Lin et al. 2017, arXiv:1612.03144): (B, H/stride, W/stride, width)."""
    stride4, stride8, stride16 = levels
    fused = _smooth(_lateral(stride16, width, "p16"), width, "p16")
    for name, level, level_stride in (("p8", stride8, 8), ("p4", stride4, 4)):
        if level_stride < stride:
            break
        upsampled = keras.layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(fused)
        fused = keras.layers.Add(name=f"{name}_add")([upsampled, _lateral(level, width, name)])
        fused = _smooth(fused, width, name)
    return fused


def _lateral(x: Any, width: int, name: str) -> Any:
    x = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_lateral")(x)
    return keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_lateral_bn")(x)


def _smooth(x: Any, width: int, name: str) -> Any:
    """A residual depthwise-separable 5x5 block: context at little cost."""
    y = keras.layers.DepthwiseConv2D(5, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    y = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_depthwise_bn")(y)
    y = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(y)
    y = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_pointwise_bn")(y)
    y = keras.layers.Activation("silu", name=f"{name}_silu")(y)
    return keras.layers.Add(name=f"{name}_residual")([x, y])
