"""The corner head: an anchor-free detector that gives a plate's centre, box and four corners from one feature map.

A cell near a plate's centre answers for it: a Gaussian heatmap says where (CenterNet, Zhou et al. 2019,
arXiv:1904.07850), and cells are weighted by that Gaussian (TTFNet, Liu et al. 2019, arXiv:1909.00700: far fewer
epochs).
`coding.py` says how a box and its corners are written.

    heatmap (B, h, w, 1)  logits of "a plate's centre is in this cell"
    box     (B, h, w, 4)  the plate's box
    corners (B, h, w, 8)  its corners
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors import coding
from pipeline.records import Detection, Plate

Arrays = dict[str, NDArray[np.float32]]

PRIOR = 0.01  # of a cell to hold a centre, at the start (Lin et al. 2017, arXiv:1708.02002)
SPREAD = 0.54 / 6  # the Gaussian's deviation as a share of the plate's width and height (TTFNet)
MIN_SPREAD = 0.4  # and at least so many cells
POSITIVE = 0.1  # cells where the Gaussian is above this learn the box
USUAL_SIZE = (8.0, 3.0)  # strides, width and height of a plate: where training starts


def build(features: Mapping[int, Any], width: int) -> dict[str, Any]:
    """A pyramid {stride: (B, h, w, C)} of Keras features -> the three outputs at its finest level.

    Box and corners share one tower, since both follow the plate's edges; the heatmap has its own.
    """
    import keras

    finest = features[min(features)]

    def tower(name: str) -> Any:
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(finest)
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
        return keras.layers.Activation("silu", name=f"{name}_silu")(x)

    prior = keras.initializers.Constant(float(np.log(PRIOR / (1 - PRIOR))))
    usual = np.array([0, 0, *np.log(USUAL_SIZE)], np.float32)
    shape = tower("shape")
    return {
        "heatmap": keras.layers.Conv2D(1, 1, bias_initializer=prior, name="heatmap")(tower("centre")),
        "box": keras.layers.Conv2D(4, 1, bias_initializer=lambda *_, **__: usual, name="box")(shape),
        "corners": keras.layers.Conv2D(8, 1, name="corners")(shape),
    }


def encode(plates: Sequence[Plate], height: int, width: int, stride: int) -> Arrays:
    """Targets of one image of `height` x `width` pixels: arrays (h, w, c) with h = height / stride.

    heatmap 1 at centres; box and corners as the outputs have them; `weight` where the box is learnt, summing to 1 for
    each plate; `corner_weight` the same where the plate has a quad; `care` 0 where an unreadable plate stands, which
    counts neither as a plate nor as background.
    """
    rows, columns = height // stride, width // stride
    target: Arrays = {
        "heatmap": np.zeros((rows, columns, 1), np.float32),
        "box": np.zeros((rows, columns, 4), np.float32),
        "corners": np.zeros((rows, columns, 8), np.float32),
        "weight": np.zeros((rows, columns, 1), np.float32),
        "corner_weight": np.zeros((rows, columns, 1), np.float32),
        "care": np.ones((rows, columns, 1), np.float32),
    }
    points = coding.centres(rows, columns, stride)
    # Larger plates first: where two overlap, the smaller one keeps its cells.
    for plate in sorted(plates, key=lambda p: -p.box.area):
        inside = coding.inside(plate, points)
        if not plate.legible:
            target["care"][inside] = 0
            continue
        row, column = coding.cell_of(plate, rows, columns, stride)
        spread_x = max(plate.box.width * SPREAD / stride, MIN_SPREAD)
        spread_y = max(plate.box.height * SPREAD / stride, MIN_SPREAD)
        gaussian = np.exp(
            -(((np.arange(columns)[None, :] - column) / spread_x) ** 2) / 2
            - (((np.arange(rows)[:, None] - row) / spread_y) ** 2) / 2
        ).astype(np.float32)
        heatmap = target["heatmap"][..., 0]
        np.maximum(heatmap, gaussian, out=heatmap)
        positive = (gaussian > POSITIVE) & inside
        positive[row, column] = True
        weight = np.where(positive, gaussian, 0)
        target["weight"][positive] = (weight / weight.sum())[positive][:, None]
        target["box"][positive] = coding.box_code(plate, points[positive], stride)
        target["corner_weight"][positive] = 0
        if plate.quad is not None:
            target["corner_weight"][positive] = target["weight"][positive]
            target["corners"][positive] = coding.corner_code(plate)
    return target


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Focal loss on the heatmap, GIoU on the box, smooth L1 on the corners; each a scalar for the batch.

    Heatmap: CornerNet's variant of the focal loss (Law & Deng 2018, arXiv:1808.01244, eq. 1).
    """
    from keras import ops

    from pipeline.detectors import losses

    logits = losses.float32(outputs["heatmap"])
    truth = targets["heatmap"]
    probability = ops.sigmoid(logits)
    log_p, log_not = -ops.softplus(-logits), -ops.softplus(logits)
    is_centre = losses.float32(truth > 0.999)
    positive = is_centre * (1 - probability) ** 2 * log_p
    negative = (1 - is_centre) * (1 - truth) ** 4 * probability**2 * log_not * targets["care"]
    count = ops.maximum(ops.sum(is_centre), 1.0)
    heat = -(ops.sum(positive) + ops.sum(negative)) / count

    plates = ops.maximum(ops.sum(targets["weight"]), 1.0)
    _, giou = losses.iou(losses.xyxy(targets["box"]), losses.xyxy(losses.float32(outputs["box"])))
    box = ops.sum(targets["weight"][..., 0] * (1 - giou)) / plates

    quads = ops.maximum(ops.sum(targets["corner_weight"]), 1.0)
    misplaced = losses.smooth_l1(targets["corners"], losses.float32(outputs["corners"]))
    corners = ops.sum(targets["corner_weight"] * misplaced) / quads
    return {"heatmap": heat, "box": 2.0 * box, "corners": 2.0 * corners}


def decode(outputs: Mapping[str, NDArray[np.float32]], stride: int, min_score: float) -> list[Detection]:
    """One image's outputs (h, w, c) -> Detections in pixels of the network's input, best first.

    A cell answers where its score is the highest among its neighbours.
    """
    scores = coding.sigmoid(outputs["heatmap"][..., 0])
    padded = np.pad(scores, 1, constant_values=-1)
    neighbours = np.max(
        [padded[i : i + scores.shape[0], j : j + scores.shape[1]] for i in range(3) for j in range(3)], axis=0
    )
    rows, columns = np.nonzero((scores >= neighbours) & (scores >= min_score))
    points = coding.centres(scores.shape[0], scores.shape[1], stride)[rows, columns]
    return coding.detections(
        scores[rows, columns], outputs["box"][rows, columns], outputs["corners"][rows, columns], points, stride
    )
