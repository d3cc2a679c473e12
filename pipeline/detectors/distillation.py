"""What a small detector learns from a large one besides the labels, where both have a corner head at one stride.

The teacher's outputs on a crop stand beside its targets: how probable a centre is in each cell, also where a label is
missing or two cells are in doubt (Hinton et al. 2015, arXiv:1503.02531), and box and corners where it is sure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors import coding, corner
from pipeline.detectors.crops import DetectorCrops
from pipeline.fitting import Batches

Images = NDArray[np.float32]  # (B, S, S, 3) 0..255
Teacher = Callable[[Images], dict[str, NDArray[np.float32]]]

SURE = 0.1  # probability of a centre from which on the teacher's box is learnt


class TaughtCrops(Batches):
    """Crops whose targets hold the teacher's outputs too, as teacher_heatmap (0..1), teacher_box, teacher_corners."""

    def __init__(self, crops: DetectorCrops, teacher: Teacher) -> None:
        super().__init__()
        self._crops, self._teacher = crops, teacher

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, index: int) -> tuple[Images, dict[str, NDArray[np.float32]]]:
        self._crops.epoch = self.epoch
        images, targets = self._crops[index]
        taught = self._teacher(images)
        probability = coding.sigmoid(taught["heatmap"]).astype(np.float32)
        return images, {
            **targets,
            "teacher_heatmap": probability,
            "teacher_box": taught["box"],
            "teacher_corners": taught["corners"],
        }


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """The corner head's loss on the labels, and three terms that follow the teacher; all to be summed.

    Heatmap: quality focal loss (Li et al. 2020, arXiv:2006.04388, eq. 3), over the teacher's probabilities in sum.
    """
    from keras import ops

    from pipeline.detectors import losses

    probability = targets["teacher_heatmap"]
    logits = losses.float32(outputs["heatmap"])
    apart = (probability - ops.sigmoid(logits)) ** 2 * losses.cross_entropy(probability, logits) * targets["care"]
    sure = losses.float32(probability > SURE) * probability * targets["care"]
    total = ops.maximum(ops.sum(sure), 1.0)
    _, giou = losses.iou(losses.xyxy(targets["teacher_box"]), losses.xyxy(losses.float32(outputs["box"])))
    misplaced = losses.smooth_l1(targets["teacher_corners"], losses.float32(outputs["corners"]))
    return {
        **corner.loss(targets, outputs),
        "teacher_heatmap": 4.0 * ops.sum(apart) / total,
        "teacher_box": 2.0 * ops.sum(sure[..., 0] * (1 - giou)) / total,
        "teacher_corners": 2.0 * ops.sum(sure * misplaced) / total,
    }
