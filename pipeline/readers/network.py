"""The reader's network: a small trunk that every decoder shares, the decoders' logits, and a guess at the region.

    crop (B, 64, 192, 1) grey 0..255
      trunk      convolutions to 1/16 of the height and 1/4 of the width: features (B, 4, 48, 4 w)
      decoder    ctc, slots or attention (decoders.py): logits (B, steps, 37)
      region     logits (B, regions): whose layout this looks like

The trunk has no batch normalisation: its kernels are standardised instead (Qiao et al. 2019, arXiv:1903.10520; Brock
et al. 2021, arXiv:2101.08692). That costs nothing for each crop, so training takes half the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from pipeline.readers.decoders import DECODERS
from pipeline.readers.layers import conv, residual
from pipeline.readers.reader import HEIGHT, WIDTH

REGION = "region"


def build(width: int, regions: int, decoders: Sequence[str] = ("ctc",)) -> keras.Model:
    """The network with `width` channels in its first block. Input "crop"; outputs the decoders' by name, and region."""
    crop = keras.Input((HEIGHT, WIDTH, 1), name="crop")
    features = trunk(crop, width)
    outputs = {name: DECODERS[name].build(features) for name in decoders}
    pooled = layers.GlobalAveragePooling2D(name="region_pool")(features)
    outputs[REGION] = layers.Dense(regions, dtype="float32", name=REGION)(pooled)
    return keras.Model(crop, outputs, name="reader")


def trunk(crop: Any, width: int) -> Any:
    """crop (B, 64, 192, 1) -> features (B, 4, 48, 4 width)."""
    x = layers.Rescaling(1 / 64, offset=-2.0, name="scale")(crop)
    x = conv(x, width, (5, 5), (2, 2), "stem")  # (B, 32, 96, w)
    x = conv(x, 2 * width, (3, 3), (2, 2), "down2")  # (B, 16, 48, 2 w)
    x = residual(x, "block2")
    x = conv(x, 3 * width, (3, 3), (2, 1), "down3")  # (B, 8, 48, 3 w)
    x = residual(x, "block3")
    x = conv(x, 4 * width, (3, 3), (2, 1), "down4")  # (B, 4, 48, 4 w)
    x = residual(x, "block4")
    return _gate(x, "context")


def _gate(x: Any, name: str) -> Any:
    """Scales each channel by what the whole picture holds, so that each place knows of one row or two."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    y = layers.Dense(channels // 4, activation="relu", name=f"{name}_squeeze")(y)
    y = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_gate")([x, y])
