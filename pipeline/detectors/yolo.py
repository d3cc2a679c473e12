"""The YOLO head: decoupled, anchor-free, on three levels, with task-aligned assignment.

Score and shape have towers of their own (YOLOX, Ge et al. 2021, arXiv:2107.08430). Which cells answer for a plate is
not fixed: among those inside it, the ones do whose score and box already agree with it best (TOOD, Feng et al. 2021,
arXiv:2108.07755), and their score is taught how good their box is. For each level of stride S:

    score_S   (B, h, w, 1)  logits
    box_S     (B, h, w, 4)  the plate's box, as coding.py writes it
    corners_S (B, h, w, 8)  its corners
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors import coding
from pipeline.records import Detection, Plate

Arrays = dict[str, NDArray[np.float32]]

LEVELS = 3
PRIOR = 0.01  # of a cell to answer for a plate, at the start
USUAL_SIZE = (4.0, 1.5)  # strides, width and height of a plate: where training starts
MAX_PLATES = 8  # of a training crop
TOP = 10  # cells that answer for a plate, at most
SCORE_POWER, IOU_POWER = 0.5, 6.0  # of the alignment score^a IoU^b (a smaller a than TOOD's 1, as later YOLOs have it)
BOX_WEIGHT, CORNER_WEIGHT = 2.0, 2.0


def build(features: Mapping[int, Any], width: int) -> dict[str, Any]:
    """A pyramid {stride: (B, h, w, C)} of Keras features -> three outputs for each of its three finest levels."""
    import keras

    prior = keras.initializers.Constant(float(np.log(PRIOR / (1 - PRIOR))))
    usual = np.array([0, 0, *np.log(USUAL_SIZE)], np.float32)
    outputs = {}
    for stride in sorted(features)[:LEVELS]:

        def tower(name: str, stride: int = stride) -> Any:
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_{stride}_conv")(
                features[stride]
            )
            x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_{stride}_bn")(x)
            return keras.layers.Activation("silu", name=f"{name}_{stride}_silu")(x)

        shape = tower("shape")
        outputs[f"score_{stride}"] = keras.layers.Conv2D(1, 1, bias_initializer=prior, name=f"score_{stride}")(
            tower("class")
        )
        outputs[f"box_{stride}"] = keras.layers.Conv2D(
            4, 1, bias_initializer=lambda *_, **__: usual, name=f"box_{stride}"
        )(shape)
        outputs[f"corners_{stride}"] = keras.layers.Conv2D(8, 1, name=f"corners_{stride}")(shape)
    return outputs


def encode(plates: Sequence[Plate], height: int, width: int, stride: int) -> Arrays:
    """Targets of one image: for each level and cell the plate that it may answer for, the smallest if there are two.

    plate_S (h, w, 8) one-hot, by the plate's place in order of area; box_S, corners_S as the outputs; corner_weight_S
    1 where the plate has a quad; care_S 0 where an unreadable plate stands.
    """
    target: Arrays = {}
    ordered = sorted(plates, key=lambda p: -p.box.area)[-MAX_PLATES:]
    for step in (stride * 2**level for level in range(LEVELS)):
        rows, columns = height // step, width // step
        points = coding.centres(rows, columns, step)
        plate_map = np.zeros((rows, columns, MAX_PLATES), np.float32)
        code, corners = np.zeros((rows, columns, 4), np.float32), np.zeros((rows, columns, 8), np.float32)
        has_quad, care = np.zeros((rows, columns, 1), np.float32), np.ones((rows, columns, 1), np.float32)
        for index, plate in enumerate(ordered):
            inside = coding.inside(plate, points)
            if not plate.legible:
                care[inside] = 0
                continue
            inside[coding.cell_of(plate, rows, columns, step)] = True  # where a plate is smaller than a cell
            plate_map[inside] = np.eye(MAX_PLATES, dtype=np.float32)[index]
            code[inside] = coding.box_code(plate, points[inside], step)
            corners[inside] = 0 if plate.quad is None else coding.corner_code(plate)
            has_quad[inside] = float(plate.quad is not None)
        target |= {
            f"plate_{step}": plate_map,
            f"box_{step}": code,
            f"corners_{step}": corners,
            f"corner_weight_{step}": has_quad,
            f"care_{step}": care,
        }
    return target


def loss(targets: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Cross entropy of the scores with the assigned quality, GIoU of boxes and smooth L1 of corners weighted by it."""
    from keras import ops

    from pipeline.detectors import losses

    logits = losses.flat(outputs, "score", 1)[..., 0]
    ratio, giou = losses.iou(losses.xyxy(losses.flat(targets, "box", 4)), losses.xyxy(losses.flat(outputs, "box", 4)))
    plate, care = losses.flat(targets, "plate", MAX_PLATES), losses.flat(targets, "care", 1)[..., 0]
    quality = ops.stop_gradient(assign(plate, ops.sigmoid(logits), ratio))
    total = ops.maximum(ops.sum(quality), 1.0)
    answering = losses.float32(quality > 0)
    scored = losses.cross_entropy(quality, logits) * ops.maximum(care, answering)
    misplaced = ops.sum(
        losses.smooth_l1(losses.flat(targets, "corners", 8), losses.flat(outputs, "corners", 8)), axis=-1
    )
    known = quality * losses.flat(targets, "corner_weight", 1)[..., 0]
    return {
        "score": ops.sum(scored) / total,
        "box": BOX_WEIGHT * ops.sum(quality * (1 - giou)) / total,
        "corners": CORNER_WEIGHT * ops.sum(known * misplaced) / ops.maximum(ops.sum(known), 1.0),
    }


def assign(plate: Any, score: Any, ratio: Any) -> Any:
    """Task-aligned assignment: (B, N) the quality that each cell's score is taught, 0 where it answers for no plate.

    `plate` (B, N, P) one-hot of the plate that a cell may answer for, `score` (B, N) in 0..1, `ratio` (B, N) IoU of
    the cell's box with that plate. The best cells' alignment is scaled so that the best one has the best IoU.
    """
    from keras import ops

    alignment = (score**SCORE_POWER) * (ratio**IOU_POWER) + 1e-9  # a plate that no box meets is still answered for
    by_plate = ops.transpose(plate * alignment[..., None], (0, 2, 1))  # (B, P, N)
    best, _ = ops.top_k(by_plate, TOP)
    least = best[..., -1:]
    chosen = (by_plate >= least) & (by_plate > 0)
    kept = ops.where(chosen, by_plate, 0.0)
    overlap = ops.transpose(plate * ratio[..., None], (0, 2, 1))
    highest = ops.max(ops.where(chosen, overlap, 0.0), axis=-1, keepdims=True)
    scaled = kept / ops.maximum(ops.max(kept, axis=-1, keepdims=True), 1e-12) * ops.maximum(highest, 0.05)
    return ops.sum(scaled, axis=1)


def decode(outputs: Mapping[str, NDArray[np.float32]], stride: int, min_score: float) -> list[Detection]:
    """One image's outputs (h, w, c) -> Detections in pixels of the network's input, best first."""
    scores, codes, corners, points, strides = [], [], [], [], []
    for step, logits in coding.levels(outputs, "score").items():
        level = coding.sigmoid(logits[..., 0])
        rows, columns = np.nonzero(level >= min_score)
        scores.append(level[rows, columns])
        codes.append(outputs[f"box_{step}"][rows, columns])
        corners.append(outputs[f"corners_{step}"][rows, columns])
        points.append(coding.centres(level.shape[0], level.shape[1], step)[rows, columns])
        strides.append(np.full(len(rows), step))
    return coding.detections(
        np.concatenate(scores),
        np.concatenate(codes),
        np.concatenate(corners),
        np.concatenate(points),
        np.concatenate(strides),
    )
