"""The terms that heads build their losses of: Keras tensors in, tensors out, on any backend.

Keras is imported where it is used: heads are imported for their decoding too, where no Keras is installed.
"""

from __future__ import annotations

from typing import Any

from pipeline.detectors.coding import MAX_LOG, levels

BETA = 0.05  # of a box: where an error of a corner stops counting by its square


def xyxy(code: Any) -> Any:
    """(..., 4) box codes -> (..., 4) x1, y1, x2, y2 in strides from the cell's centre."""
    from keras import ops

    centre, half = code[..., :2], ops.exp(ops.clip(code[..., 2:], -MAX_LOG, MAX_LOG)) / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def iou(a: Any, b: Any) -> tuple[Any, Any]:
    """(..., 4), (..., 4) xyxy -> (...) IoU and generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630)."""
    from keras import ops

    overlap = ops.prod(ops.relu(ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2])), axis=-1)
    hull = ops.prod(ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2]), axis=-1)
    union = ops.prod(a[..., 2:] - a[..., :2], axis=-1) + ops.prod(b[..., 2:] - b[..., :2], axis=-1) - overlap
    ratio = overlap / ops.maximum(union, 1e-9)
    return ratio, ratio - (hull - union) / ops.maximum(hull, 1e-9)


def smooth_l1(truth: Any, value: Any, beta: float = BETA) -> Any:
    """Squared below `beta`, absolute above, element by element (Girshick 2015, arXiv:1504.08083, eq. 3)."""
    from keras import ops

    difference = ops.abs(truth - value)
    return ops.where(difference < beta, 0.5 * difference**2 / beta, difference - 0.5 * beta)


def cross_entropy(truth: Any, logits: Any) -> Any:
    """Binary cross entropy of logits with a truth in [0, 1], element by element."""
    from keras import ops

    return ops.softplus(logits) - truth * logits


def float32(x: Any) -> Any:
    """Losses are taken in float32 whatever precision the network computes in."""
    from keras import ops

    return ops.cast(x, "float32")


def flat(values: dict[str, Any], name: str, channels: int) -> Any:
    """The maps (B, h, w, k channels) called NAME_STRIDE of all levels, finest first, as (B, N, channels)."""
    from keras import ops

    parts = [float32(value) for value in levels(values, name).values()]
    return ops.concatenate([ops.reshape(p, (ops.shape(p)[0], -1, channels)) for p in parts], axis=1)
