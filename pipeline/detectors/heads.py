"""The heads by name. A head is a module: the network's last layers, its targets, its loss and its decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors import corner, ssd, yolo
from pipeline.records import Detection, Plate

Arrays = dict[str, NDArray[np.float32]]


class Head(Protocol):
    """What every head offers; decode(encode(plates)) gives the plates back.

    `stride` is that of the pyramid's finest level in pixels of the network's input.
    """

    def build(self, features: Mapping[int, Any], width: int) -> dict[str, Any]:
        """Pyramid {stride: (B, h, w, C)} -> named outputs (B, h, w, c)."""

    def encode(self, plates: Sequence[Plate], height: int, width: int, stride: int) -> Arrays:
        """The plates of one image of height x width pixels -> named targets of fixed shape."""

    def loss(self, targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        """Targets and outputs of a batch -> named scalars, to be summed."""

    def decode(self, outputs: Mapping[str, NDArray[np.float32]], stride: int, min_score: float) -> list[Detection]:
        """One image's outputs (h, w, c) -> Detections in pixels of the network's input, best first."""


HEADS: Mapping[str, Head] = {"corner": cast(Head, corner), "ssd": cast(Head, ssd), "yolo": cast(Head, yolo)}
