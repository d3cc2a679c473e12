"""The SSD head: anchors over a feature pyramid (Liu et al. 2016, arXiv:1512.02325), with RetinaNet's focal loss where
SSD mines hard negatives (Lin et al. 2017, arXiv:1708.02002).

At each cell of each of three levels stand anchors of the shapes that plates have. A plate is given to the anchors that
it overlaps enough, and always to its best one. For each level of stride S, with A anchors a cell:

    score_S   (B, h, w, A)    logits
    box_S     (B, h, w, 4 A)  shift of the centre in units of the anchor / 0.1, log of size over the anchor's / 0.2
    corners_S (B, h, w, 8 A)  corners, as coding.py writes them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.detectors import coding
from pipeline.records import Detection, Plate

Array = NDArray[np.floating]
Arrays = dict[str, NDArray[np.float32]]

LEVELS = 3
WIDTHS = (2.5, 4.5, 8.0)  # of anchors, in strides
ASPECTS = (2.0, 4.0)  # width / height
SHAPES = tuple((width, width / aspect) for width in WIDTHS for aspect in ASPECTS)
POSITIVE, NEGATIVE = 0.5, 0.4  # IoU with a plate, of anchors that answer for it; of those that are background
VARIANCES = (0.1, 0.2)
PRIOR = 0.01
FOCUS, BALANCE = 2.0, 0.25  # gamma and alpha of the focal loss


def build(features: Mapping[int, Any], width: int) -> dict[str, Any]:
    """A pyramid {stride: (B, h, w, C)} of Keras features -> three outputs for each of its three finest levels."""
    import keras

    prior = keras.initializers.Constant(float(np.log(PRIOR / (1 - PRIOR))))
    count = len(SHAPES)
    outputs = {}
    for stride in sorted(features)[:LEVELS]:
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"anchor_{stride}_conv")(
            features[stride]
        )
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"anchor_{stride}_bn")(x)
        x = keras.layers.Activation("silu", name=f"anchor_{stride}_silu")(x)
        outputs[f"score_{stride}"] = keras.layers.Conv2D(count, 1, bias_initializer=prior, name=f"score_{stride}")(x)
        outputs[f"box_{stride}"] = keras.layers.Conv2D(4 * count, 1, name=f"box_{stride}")(x)
        outputs[f"corners_{stride}"] = keras.layers.Conv2D(8 * count, 1, name=f"corners_{stride}")(x)
    return outputs


def anchors(rows: int, columns: int, stride: int) -> tuple[Array, Array]:
    """Centres and sizes of a level's anchors in pixels: (rows, columns, A, 2) each."""
    shape = (rows, columns, len(SHAPES), 2)
    points = np.broadcast_to(coding.centres(rows, columns, stride)[:, :, None], shape)
    return points, np.broadcast_to(np.array(SHAPES) * stride, shape)


def encode(plates: Sequence[Plate], height: int, width: int, stride: int) -> Arrays:
    """Targets of one image: score_S 1 for anchors that answer for a plate; box_S, corners_S as the outputs.

    care_S is 0 for anchors that overlap a plate neither enough nor too little, or lie on an unreadable one;
    corner_weight_S (h, w, A) 1 where the plate has a quad.
    """
    grids = {
        step: anchors(height // step, width // step, step) for step in (stride * 2**level for level in range(LEVELS))
    }
    points = np.concatenate([p.reshape(-1, 2) for p, _ in grids.values()])
    sizes = np.concatenate([s.reshape(-1, 2) for _, s in grids.values()])
    target = _assigned(plates, points, sizes)
    result: Arrays = {}
    start = 0
    for step, (grid, _) in grids.items():
        rows, columns, count = grid.shape[:3]
        end = start + rows * columns * count
        for name, values in target.items():
            result[f"{name}_{step}"] = values[start:end].reshape(rows, columns, -1)
        start = end
    return result


def _assigned(plates: Sequence[Plate], points: Array, sizes: Array) -> Arrays:
    """Targets of the (N, 2) anchors, flat."""
    count = len(points)
    target: Arrays = {
        "score": np.zeros((count, 1), np.float32),
        "box": np.zeros((count, 4), np.float32),
        "corners": np.zeros((count, 8), np.float32),
        "corner_weight": np.zeros((count, 1), np.float32),
        "care": np.ones((count, 1), np.float32),
    }
    for plate in plates:
        if not plate.legible:
            target["care"][coding.inside(plate, points)] = 0
    wanted = [plate for plate in plates if plate.legible]
    if not wanted:
        return target
    overlaps = boxes.iou(
        np.concatenate([points - sizes / 2, points + sizes / 2], axis=1), np.array([p.box.xyxy for p in wanted])
    )
    owner = overlaps.argmax(axis=1)
    nearest = overlaps.max(axis=1)
    answering = nearest >= POSITIVE
    for index in range(len(wanted)):  # whatever its shape, somebody answers for each plate
        best = int(overlaps[:, index].argmax())
        owner[best], answering[best] = index, True
    target["care"][(nearest >= NEGATIVE) & ~answering] = 0
    target["care"][answering] = 1
    target["score"][answering] = 1
    for index, plate in enumerate(wanted):
        own = answering & (owner == index)
        box = np.array(plate.box.xyxy)
        target["box"][own, :2] = ((box[:2] + box[2:]) / 2 - points[own]) / sizes[own] / VARIANCES[0]
        target["box"][own, 2:] = np.log((box[2:] - box[:2]) / sizes[own]) / VARIANCES[1]
        if plate.quad is not None:
            target["corners"][own] = coding.corner_code(plate)
            target["corner_weight"][own] = 1
    return target


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Focal loss of the scores, smooth L1 of the box's and the corners' codes, all over the number of anchors that
    answer for a plate."""
    from keras import ops

    from pipeline.detectors import losses

    truth, logits = losses.flat(targets, "score", 1), losses.flat(outputs, "score", 1)
    probability = ops.sigmoid(logits)
    missed = truth * (1 - probability) + (1 - truth) * probability
    balance = truth * BALANCE + (1 - truth) * (1 - BALANCE)
    focal = balance * missed**FOCUS * losses.cross_entropy(truth, logits) * losses.flat(targets, "care", 1)
    count = ops.maximum(ops.sum(truth), 1.0)
    boxes_off = truth * losses.smooth_l1(losses.flat(targets, "box", 4), losses.flat(outputs, "box", 4), beta=1.0)
    known = losses.flat(targets, "corner_weight", 1)
    corners_off = known * losses.smooth_l1(losses.flat(targets, "corners", 8), losses.flat(outputs, "corners", 8))
    return {
        "score": ops.sum(focal) / count,
        "box": ops.sum(boxes_off) / count,
        "corners": 2.0 * ops.sum(corners_off) / ops.maximum(ops.sum(known), 1.0),
    }


def decode(outputs: Mapping[str, NDArray[np.float32]], stride: int, min_score: float) -> list[Detection]:
    """One image's outputs (h, w, c) -> Detections in pixels of the network's input, best first."""
    scores, codes, corners, points = [], [], [], []
    for step, logits in coding.levels(outputs, "score").items():
        level = coding.sigmoid(logits)
        rows, columns, shapes = np.nonzero(level >= min_score)
        centre, size = (grid[rows, columns, shapes] for grid in anchors(level.shape[0], level.shape[1], step))
        grid = (*level.shape, -1)
        code = outputs[f"box_{step}"].reshape(grid)[rows, columns, shapes].astype(np.float64)
        scores.append(level[rows, columns, shapes])
        points.append(centre + code[:, :2] * VARIANCES[0] * size)
        codes.append(np.concatenate([np.zeros_like(centre), code[:, 2:] * VARIANCES[1] + np.log(size)], axis=1))
        corners.append(outputs[f"corners_{step}"].reshape(grid)[rows, columns, shapes])
    # With the centre known and the size in pixels, what is left is a code at stride 1.
    return coding.detections(
        np.concatenate(scores), np.concatenate(codes), np.concatenate(corners), np.concatenate(points), 1
    )
