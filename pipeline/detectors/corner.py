"""The corner head: an anchor-free detector that gives a plate's centre, box and four corners from one feature map.

A cell near a plate's centre answers for it: a Gaussian heatmap says where (CenterNet, Zhou et al. 2019,
arXiv:1904.07850), cells are weighted by that Gaussian (TTFNet, Liu et al. 2019, arXiv:1909.00700: far fewer epochs),
distances to the four sides give the box (FCOS, Tian et al. 2019, arXiv:1904.01355), and each corner is an offset from
the box's own corner in units of the box, so that data with boxes alone still trains the box.

    heatmap (B, h, w, 1)  logits of "a plate's centre is in this cell"
    box     (B, h, w, 4)  log distance from the cell's centre to left, top, right, bottom, in strides
    corners (B, h, w, 8)  (corner - box corner) / box size for tl, tr, br, bl, as x, y
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.records import Box, Detection, Plate, Quad

Arrays = dict[str, NDArray[np.float32]]

PRIOR = 0.01  # of a cell to hold a centre, at the start (Lin et al. 2017, arXiv:1708.02002)
SPREAD = 0.54 / 6  # the Gaussian's deviation as a share of the plate's width and height (TTFNet)
MIN_SPREAD = 0.4  # and at least so many cells
POSITIVE = 0.1  # cells where the Gaussian is above this learn the box
MAX_LOG = 6.0  # e^6 strides: no plate is larger, and exp cannot overflow


def build(features: Any, width: int) -> dict[str, Any]:
    """(B, h, w, C) Keras features -> the three outputs."""
    import keras

    def branch(name: str, channels: int, bias: Any = "zeros") -> Any:
        x = features
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
        x = keras.layers.Activation("silu", name=f"{name}_silu")(x)
        return keras.layers.Conv2D(channels, 1, bias_initializer=bias, name=name)(x)

    prior = keras.initializers.Constant(float(np.log(PRIOR / (1 - PRIOR))))
    return {
        "heatmap": branch("heatmap", 1, prior),
        "box": branch("box", 4, keras.initializers.Constant(1.0)),
        "corners": branch("corners", 8),
    }


def encode(plates: Sequence[Plate], height: int, width: int, stride: int) -> Arrays:
    """Targets of one image of `height` x `width` pixels: arrays (h, w, c) with h = height / stride.

    heatmap 1 at centres; box as distances in strides; corners in units of the box; `weight` where the box is learnt,
    summing to 1 for each plate; `corner_weight` the same where the plate has a quad; `care` 0 where an unreadable
    plate stands, which counts neither as a plate nor as background.
    """
    rows, columns = height // stride, width // stride
    target: Arrays = {
        "heatmap": np.zeros((rows, columns, 1), np.float32),
        "box": np.ones((rows, columns, 4), np.float32),
        "corners": np.zeros((rows, columns, 8), np.float32),
        "weight": np.zeros((rows, columns, 1), np.float32),
        "corner_weight": np.zeros((rows, columns, 1), np.float32),
        "care": np.ones((rows, columns, 1), np.float32),
    }
    xs, ys = (np.arange(columns) + 0.5) * stride, (np.arange(rows) + 0.5) * stride
    # Larger plates first: where two overlap, the smaller one keeps its cells.
    for plate in sorted(plates, key=lambda p: -p.box.area):
        x1, y1, x2, y2 = plate.box.xyxy
        centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
        column = int(np.clip(centre_x / stride, 0, columns - 1))
        row = int(np.clip(centre_y / stride, 0, rows - 1))
        if not plate.legible:
            inside = (xs[None, :] > x1) & (xs[None, :] < x2) & (ys[:, None] > y1) & (ys[:, None] < y2)
            target["care"][inside] = 0
            continue
        spread_x = max(plate.box.width * SPREAD / stride, MIN_SPREAD)
        spread_y = max(plate.box.height * SPREAD / stride, MIN_SPREAD)
        gaussian = np.exp(
            -(((np.arange(columns)[None, :] - column) / spread_x) ** 2) / 2
            - (((np.arange(rows)[:, None] - row) / spread_y) ** 2) / 2
        ).astype(np.float32)
        heatmap = target["heatmap"][..., 0]
        np.maximum(heatmap, gaussian, out=heatmap)
        sides = np.stack(
            np.broadcast_arrays(xs[None, :] - x1, ys[:, None] - y1, x2 - xs[None, :], y2 - ys[:, None]), axis=-1
        )
        positive = (gaussian > POSITIVE) & (sides.min(axis=-1) > 0)
        positive[row, column] = True
        weight = np.where(positive, gaussian, 0)
        target["weight"][positive] = (weight / weight.sum())[positive][:, None]
        target["box"][positive] = np.maximum(sides[positive] / stride, 0.05)
        target["corner_weight"][positive] = 0
        if plate.quad is not None:
            target["corner_weight"][positive] = target["weight"][positive]
            target["corners"][positive] = _relative_corners(plate)
    return target


def _relative_corners(plate: Plate) -> NDArray[np.float32]:
    """(8,) offsets of the quad's corners from the box's, in units of the box's width and height."""
    assert plate.quad is not None
    own = np.array(plate.quad.points, dtype=np.float32)
    of_box = np.array(Quad.of_box(plate.box).points, dtype=np.float32)
    size = np.array([plate.box.width, plate.box.height], dtype=np.float32)
    return np.asarray((own - of_box) / size, dtype=np.float32).reshape(8)


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Focal loss on the heatmap, GIoU on the box, smooth L1 on the corners; each a scalar for the batch.

    Heatmap: CornerNet's variant (Law & Deng 2018, arXiv:1808.01244, eq. 1). Box: Rezatofighi et al. 2019,
    arXiv:1902.09630.
    """
    from keras import ops

    logits = ops.cast(outputs["heatmap"], "float32")
    truth = targets["heatmap"]
    probability = ops.sigmoid(logits)
    log_p, log_not = -ops.softplus(-logits), -ops.softplus(logits)
    is_centre = ops.cast(truth > 0.999, "float32")
    positive = is_centre * (1 - probability) ** 2 * log_p
    negative = (1 - is_centre) * (1 - truth) ** 4 * probability**2 * log_not * targets["care"]
    count = ops.maximum(ops.sum(is_centre), 1.0)
    heat = -(ops.sum(positive) + ops.sum(negative)) / count

    plates = ops.maximum(ops.sum(targets["weight"]), 1.0)
    sides = ops.exp(ops.clip(ops.cast(outputs["box"], "float32"), -MAX_LOG, MAX_LOG))
    giou = _giou(targets["box"], sides)
    box = ops.sum(targets["weight"][..., 0] * (1 - giou)) / plates

    quads = ops.maximum(ops.sum(targets["corner_weight"]), 1.0)
    difference = ops.abs(targets["corners"] - ops.cast(outputs["corners"], "float32"))
    beta = 0.05
    smooth = ops.where(difference < beta, 0.5 * difference**2 / beta, difference - 0.5 * beta)
    corners = ops.sum(targets["corner_weight"] * smooth) / quads
    return {"heatmap": heat, "box": 2.0 * box, "corners": 2.0 * corners}


def _giou(a: Any, b: Any) -> Any:
    """(..., 4), (..., 4) distances from one point to left, top, right, bottom -> (...) generalised IoU."""
    from keras import ops

    inner, outer = ops.minimum(a, b), ops.maximum(a, b)
    overlap = (inner[..., 0] + inner[..., 2]) * (inner[..., 1] + inner[..., 3])
    hull = (outer[..., 0] + outer[..., 2]) * (outer[..., 1] + outer[..., 3])
    union = (
        (a[..., 0] + a[..., 2]) * (a[..., 1] + a[..., 3]) + (b[..., 0] + b[..., 2]) * (b[..., 1] + b[..., 3]) - overlap
    )
    return overlap / union - (hull - union) / hull


def decode(
    heatmap: NDArray[np.float32],
    box: NDArray[np.float32],
    corners: NDArray[np.float32],
    stride: int,
    min_score: float,
    max_detections: int = 100,
    nms_iou: float = 0.4,
) -> list[Detection]:
    """One image's outputs (h, w, c) -> Detections in pixels of the network's input, best first."""
    scores = 1 / (1 + np.exp(-heatmap[..., 0].astype(np.float64)))
    padded = np.pad(scores, 1, constant_values=-1)
    neighbours = np.max(
        [padded[i : i + scores.shape[0], j : j + scores.shape[1]] for i in range(3) for j in range(3)], axis=0
    )
    rows, columns = np.nonzero((scores >= neighbours) & (scores >= min_score))
    order = np.argsort(-scores[rows, columns], kind="stable")[:max_detections]
    rows, columns = rows[order], columns[order]
    if rows.size == 0:
        return []
    centres = np.stack([columns + 0.5, rows + 0.5], axis=1) * stride
    sides = np.exp(np.clip(box[rows, columns].astype(np.float64), -MAX_LOG, MAX_LOG)) * stride
    xyxy = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
    sizes = (xyxy[:, 2:] - xyxy[:, :2])[:, None, :]
    quads = boxes.boxes_to_quads(xyxy) + corners[rows, columns].reshape(-1, 4, 2) * sizes
    kept = boxes.nms(xyxy, scores[rows, columns], nms_iou)
    return [
        Detection(
            box=Box(*map(float, xyxy[i])),
            quad=Quad(*((float(x), float(y)) for x, y in quads[i])),
            score=float(scores[rows[i], columns[i]]),
        )
        for i in kept
    ]
