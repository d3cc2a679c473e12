"""What a picture is like: how bright, how rich in contrast, how sharp; and how sharp a plate's crop is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.images import RGB

PLATE_HEIGHT = 64  # pixels that a plate's crop is scaled to before its sharpness is measured: the reader's input
PICTURE_SIDE = 480  # pixels of the longer side, likewise
_LEAST_SPREAD = 4.0  # grey levels; a flat crop's noise is not sharpness


def plate_sharpness(crop: RGB) -> float:
    """Sharpness of a plate's crop (h, w, 3), seen at PLATE_HEIGHT pixels."""
    return _sharpness(_scaled(_grey(crop), PLATE_HEIGHT / crop.shape[0]))


def traits(picture: RGB) -> dict[str, float]:
    """brightness (mean grey, 0 to 255), contrast (its standard deviation) and sharpness of a picture (H, W, 3)."""
    grey = _scaled(_grey(picture), PICTURE_SIDE / max(picture.shape[:2]))
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "sharpness": _sharpness(grey),
    }


def _grey(picture: RGB) -> NDArray[np.float32]:
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)


def _scaled(grey: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    height, width = grey.shape
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=interpolation), dtype=np.float32)


def _sharpness(grey: NDArray[np.float32]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) as a share of the grey values' own, so that contrast and
    light don't change it."""
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / max(float(grey.var()), _LEAST_SPREAD**2))
