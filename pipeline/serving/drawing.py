"""What was found, drawn on the photo: corners, box and text of each plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from pipeline.images import RGB

_READ, _UNREAD, _BACK = (0, 200, 83), (255, 160, 0), (20, 20, 20)


def annotate(image: RGB, plates: Sequence[dict[str, Any]]) -> RGB:
    """A copy of RGB uint8 (H, W, 3) with the plates of a row (rows.py) drawn on it; thicker lines on larger photos.

    Green where a text was read; orange where not, and there the best guess, if there is one, has a question mark. The
    text stands above its plate, or below where there is no room.
    """
    canvas = image.copy()
    thick = max(1, round(max(image.shape[:2]) / 500))
    for plate in plates:
        colour = _READ if plate.get("text") else _UNREAD
        corners = np.rint(np.array(plate["corners"])).astype(np.int32)
        x1, y1, x2, y2 = (round(value) for value in plate["box"])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, 1)
        cv2.polylines(canvas, [corners], True, colour, thick, cv2.LINE_AA)
        guess = plate.get("guess")
        label = plate.get("text") or (f"{guess}?" if guess else f"{plate['score']:.2f}")
        _write(canvas, label, (x1, y1, y2), colour, thick)
    return canvas


def _write(canvas: RGB, label: str, place: tuple[int, int, int], colour: tuple[int, int, int], thick: int) -> None:
    x, top, bottom = place
    scale = 0.5 * thick
    (width, height), base = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    x = max(0, min(x, canvas.shape[1] - width - 4))
    y = top - base - 4 if top - height - base - 8 >= 0 else min(bottom + height + 6, canvas.shape[0] - base - 2)
    cv2.rectangle(canvas, (x, y - height - 4), (x + width + 4, y + base + 2), _BACK, cv2.FILLED)
    cv2.putText(canvas, label, (x + 2, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)
