"""Detectors that others exported to ONNX, behind the protocol of our own: to be measured on the same pictures.

Two kinds of network are known by their output. Input is (B, 3, S, S) RGB 0..1, the photo scaled to fit and centred on
grey, as the YOLO family has it.

    (N, 7) or (B, N, 7)         batch, x1, y1, x2, y2, class, score: suppression is in the graph
    (B, N, 6)                   x1, y1, x2, y2, score, class: likewise
    (B, 4 + C, M), M many       centre x, y, width, height, a score for each class, at every cell: we suppress
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.images import RGB
from pipeline.records import Box, Detection, Quad
from pipeline.sessions import Session, SessionError

FILL = 114
NMS_IOU = 0.5
USUAL_SIDE = 640  # where the graph leaves its input's side open

Array = NDArray[np.floating]


class ForeignDetector:
    """An ONNX detector of one of the kinds above; of several classes each counts as a plate."""

    def __init__(self, path: Path, threads: int = 0, side: int | None = None) -> None:
        self._session = Session(path, threads)
        shape = self._session.input_shape
        if len(shape) != 4 or shape[1] != 3:
            raise SessionError(f"{path}: its input is {shape}, not (B, 3, S, S): not a detector that is known here")
        fixed = shape[2] if isinstance(shape[2], int) else None
        self._side = side or fixed or USUAL_SIDE

    def detect(self, images: Sequence[RGB], min_score: float = 0.25) -> list[list[Detection]]:
        """RGB uint8 (H, W, 3) each -> that image's Detections in its own pixels, best first; corners are the box's."""
        return [self._detect(image, min_score) for image in images]

    def _detect(self, image: RGB, min_score: float) -> list[Detection]:
        height, width = image.shape[:2]
        batch, scale, (left, top) = centred(image, self._side)
        xyxy, scores = boxes_of(next(iter(self._session.run(batch).values())), min_score)
        xyxy = boxes.clip((xyxy - (left, top, left, top)) / scale, width, height)
        return [
            Detection(box, Quad.of_box(box), float(score))
            for row, score in sorted(zip(xyxy, scores, strict=True), key=lambda pair: -pair[1])
            if row[2] - row[0] >= 1 and row[3] - row[1] >= 1
            for box in [Box(*map(float, row))]
        ]


def centred(image: RGB, side: int) -> tuple[NDArray[np.float32], float, tuple[int, int]]:
    """RGB uint8 (H, W, 3) -> (1, 3, side, side) 0..1, the scale applied, and where the photo begins: x, y."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    canvas = np.full((side, side, 3), FILL, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255), scale, (left, top)


def boxes_of(output: Array, min_score: float) -> tuple[Array, Array]:
    """One image's output -> (N, 4) xyxy in pixels of the input, (N,) scores of at least `min_score`."""
    rows = output if output.ndim == 2 else output[0]
    if rows.ndim != 2:
        raise SessionError(f"an output of shape {output.shape} is not one of a detector that is known here")
    if rows.shape[1] == 7:
        xyxy, scores = rows[:, 1:5], rows[:, 6]
    elif rows.shape[1] == 6:
        xyxy, scores = rows[:, :4], rows[:, 4]
    elif 4 < rows.shape[0] < rows.shape[1]:
        centres, sizes, scores = rows[:2].T, rows[2:4].T, rows[4:].max(axis=0)
        likely = scores >= min_score
        xyxy, scores = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)[likely], scores[likely]
        kept = boxes.nms(xyxy, scores, NMS_IOU)
        return xyxy[kept].astype(np.float64), scores[kept]
    else:
        raise SessionError(f"an output of shape {output.shape} is not one of a detector that is known here")
    likely = scores >= min_score
    return xyxy[likely].astype(np.float64), scores[likely]
