"""Box and quad maths on arrays. Boxes are (N, 4) xyxy, quads (N, 4, 2) clockwise from top-left, in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def area(boxes: Array) -> Array:
    """(N, 4) -> (N,) areas in square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: Array, b: Array) -> Array:
    """(N, 4), (M, 4) -> (N, M) intersection over union."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    ratios: Array = overlap / np.maximum(union, 1e-9)
    return ratios


def nms(boxes: Array, scores: Array, threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the indices kept, best score first."""
    order = np.argsort(-scores, kind="stable")
    overlaps = iou(boxes, boxes)
    kept: list[int] = []
    for index in order:
        if not kept or overlaps[index, kept].max() <= threshold:
            kept.append(int(index))
    return np.asarray(kept, dtype=np.intp)


def quads_to_boxes(quads: Array) -> Array:
    """(N, 4, 2) -> (N, 4): the axis-aligned box around each quad."""
    return np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)


def boxes_to_quads(boxes: Array) -> Array:
    """(N, 4) -> (N, 4, 2): a box's own corners, clockwise from top-left."""
    x1, y1, x2, y2 = boxes.T
    return np.stack([np.stack(p, axis=1) for p in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], axis=1)


def is_convex_clockwise(quad: Array) -> bool:
    """True where (4, 2) corners turn right at each step (y grows downwards) and enclose an area."""
    edges = np.roll(quad, -1, axis=0) - quad
    following = np.roll(edges, -1, axis=0)
    cross = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    return bool((cross > 0).all())


def clip(boxes: Array, width: float, height: float) -> Array:
    """(N, 4) -> (N, 4) boxes cut at the image's edges."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)
