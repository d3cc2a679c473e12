"""The reader's network: a small CNN, two learned vertical projections, temporal convolutions, CTC logits.

A plate of one row is read by lane A. A plate of two rows is read by lane A (the upper row) and lane B (the
lower one); the lanes' sequences stand one after the other in time, so that CTC sees one text either way.

    crop (B, 64, 192, 1) grey 0..255
      trunk    convolutions with batch norm and SiLU, 1/16 of the height and 1/4 of the width: (B, 4, 48, 4 w)
      lanes    each a projection of the 4 rows onto one, then dilated temporal convolutions: (B, 48, 3 w)
      logits   (B, 96, 37): 36 characters of the alphabet, then the CTC blank
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from pipeline.readers.reader import BLANK, HEIGHT, WIDTH

CLASSES = BLANK + 1
LANES = ("a", "b")
STEPS = WIDTH // 4  # of one lane: room for 12 characters and a blank between each two
_MOMENTUM = 0.9


def build(width: int) -> keras.Model:
    """The network with `width` channels in its first block. Input "crop", output "logits" (B, 96, 37)."""
    crop = keras.Input((HEIGHT, WIDTH, 1), name="crop")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(crop)
    x = _conv(x, width, (5, 5), (2, 2), "stem")  # (B, 32, 96, w)
    x = _conv(x, 2 * width, (3, 3), (2, 2), "down2")  # (B, 16, 48, 2 w)
    x = _residual(x, "block2")
    x = _conv(x, 3 * width, (3, 3), (2, 1), "down3")  # (B, 8, 48, 3 w)
    x = _residual(x, "block3")
    x = _conv(x, 4 * width, (3, 3), (2, 1), "down4")  # (B, 4, 48, 4 w)
    x = _residual(x, "block4")
    x = _gate(x, "context")
    sequences = [_lane(x, 3 * width, name) for name in LANES]
    x = layers.Concatenate(axis=1, name="lanes")(sequences)  # (B, 96, 3 w)
    logits = layers.Dense(CLASSES, name="logits")(x)
    return keras.Model(crop, logits, name="reader")


def ctc_loss(labels: Any, lengths: Any, logits: Any) -> Any:
    """Connectionist temporal classification (Graves et al. 2006) of each row of a batch.

    labels (B, 12) integer classes, what stands after a row's length is not looked at; lengths (B,);
    logits (B, T, 37). Returns (B,) negative log likelihoods, in nats.
    """
    steps = ops.full(ops.shape(lengths), ops.shape(logits)[1], dtype="int32")
    labels = ops.maximum(ops.cast(labels, "int32"), 0)
    return ops.ctc_loss(labels, ops.cast(logits, "float32"), ops.cast(lengths, "int32"), steps, mask_index=BLANK)


def _conv(x: Any, channels: int, kernel: tuple[int, int], strides: tuple[int, int], name: str) -> Any:
    x = layers.Conv2D(channels, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return layers.Activation("silu", name=f"{name}_silu")(x)


def _residual(x: Any, name: str) -> Any:
    return layers.Add(name=f"{name}_add")([x, _conv(x, x.shape[-1], (3, 3), (1, 1), name)])


def _gate(x: Any, name: str) -> Any:
    """Scales each channel by what the whole picture holds, so that each place knows of one row or two."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    y = layers.Dense(channels // 4, activation="silu", name=f"{name}_squeeze")(y)
    y = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_gate")([x, y])


def _lane(x: Any, channels: int, name: str) -> Any:
    """One lane: all rows projected onto one by a learned kernel, then context along the row. (B, 48, channels)"""
    y = layers.Conv2D(channels, (x.shape[1], 1), use_bias=False, name=f"lane_{name}_project")(x)
    y = layers.BatchNormalization(momentum=_MOMENTUM, name=f"lane_{name}_norm")(y)
    y = layers.Activation("silu", name=f"lane_{name}_silu")(y)
    y = layers.Reshape((y.shape[2], channels), name=f"lane_{name}_sequence")(y)
    for dilation in (1, 2, 4):
        y = _temporal(y, dilation, f"lane_{name}_time{dilation}")
    return y


def _temporal(x: Any, dilation: int, name: str) -> Any:
    """x + a convolution along the row: 3 steps, `dilation` apart."""
    convolution = layers.Conv1D(
        x.shape[-1], 3, dilation_rate=dilation, padding="same", use_bias=False, name=f"{name}_conv"
    )
    y = convolution(x)
    y = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(y)
    y = layers.Activation("silu", name=f"{name}_silu")(y)
    return layers.Add(name=f"{name}_add")([x, y])
