"""How heads write a plate relative to a cell of the feature map, and read it back.

A box is an offset from the cell's centre and a size: (dx, dy, log w, log h), in strides. A corner is an offset from the
box's own corner in units of the box's width and height, so that data with boxes alone still trains the box.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.records import Box, Detection, Plate, Quad

Array = NDArray[np.floating]

MAX_LOG = 6.0  # e^6 strides: no plate is larger, and exp cannot overflow
NMS_IOU = 0.4
CANDIDATES, MAX_DETECTIONS = 1000, 100  # before and after suppression


def centres(rows: int, columns: int, stride: int) -> Array:
    """(rows, columns, 2) x, y of the cells' centres in pixels."""
    xs, ys = (np.arange(columns) + 0.5) * stride, (np.arange(rows) + 0.5) * stride
    return np.stack(np.broadcast_arrays(xs[None, :], ys[:, None]), axis=-1)


def cell_of(plate: Plate, rows: int, columns: int, stride: int) -> tuple[int, int]:
    """(row, column) of the cell that holds the plate's centre."""
    x, y = (plate.box.x1 + plate.box.x2) / 2, (plate.box.y1 + plate.box.y2) / 2
    return int(np.clip(y / stride, 0, rows - 1)), int(np.clip(x / stride, 0, columns - 1))


def inside(plate: Plate, points: Array) -> NDArray[np.bool_]:
    """(..., 2) points -> (...) True for those in the plate's box."""
    x1, y1, x2, y2 = plate.box.xyxy
    within: NDArray[np.bool_] = np.all((points > (x1, y1)) & (points < (x2, y2)), axis=-1)
    return within


def box_code(plate: Plate, points: Array, stride: int) -> Array:
    """The plate's box as cells with these centres (..., 2) write it: (..., 4)."""
    x1, y1, x2, y2 = plate.box.xyxy
    size = np.log([plate.box.width / stride, plate.box.height / stride])
    offset = (np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - points) / stride
    return np.concatenate([offset, np.broadcast_to(size, offset.shape)], axis=-1)


def corner_code(plate: Plate) -> Array:
    """(8,) offsets of the quad's corners from the box's, in units of the box; the plate must have a quad."""
    if plate.quad is None:
        raise ValueError("a plate without a quad has no corners to write")
    own = np.array(plate.quad.points, dtype=np.float64)
    of_box = np.array(Quad.of_box(plate.box).points, dtype=np.float64)
    relative: Array = (own - of_box) / (plate.box.width, plate.box.height)
    return relative.reshape(8)


def detections(scores: Array, codes: Array, corners: Array, points: Array, strides: Array | int) -> list[Detection]:
    """(N,) scores, (N, 4) box codes, (N, 8) corner codes at (N, 2) centres -> Detections, best first, after NMS.

    The best thousand scores are looked at, the best hundred plates given.
    """
    order = np.argsort(-scores, kind="stable")
    best = order[:CANDIDATES]
    scores, points = scores[best], points[best]
    codes, corners = codes[best].astype(np.float64), corners[best].astype(np.float64)
    steps = np.broadcast_to(np.asarray(strides, dtype=np.float64), (len(order),))[best][:, None]
    middles = points + codes[:, :2] * steps
    sizes = np.exp(np.clip(codes[:, 2:], -MAX_LOG, MAX_LOG)) * steps
    xyxy = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)
    quads = boxes.boxes_to_quads(xyxy) + corners.reshape(-1, 4, 2) * sizes[:, None, :]
    return [
        Detection(
            box=Box(*map(float, xyxy[i])),
            quad=Quad(*((float(x), float(y)) for x, y in quads[i])),
            score=float(scores[i]),
        )
        for i in boxes.nms(xyxy, scores, NMS_IOU)[:MAX_DETECTIONS]
    ]


def sigmoid(logits: Array) -> Array:
    """Logits -> probabilities, in double precision."""
    values: Array = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return values


def levels(outputs: Mapping[str, Array], name: str) -> dict[int, Array]:
    """The outputs called NAME_STRIDE by their stride, finest first."""
    prefix = f"{name}_"
    found = {int(key.removeprefix(prefix)): value for key, value in outputs.items() if key.startswith(prefix)}
    return dict(sorted(found.items()))
