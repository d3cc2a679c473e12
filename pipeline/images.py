"""Safe decoding to upright RGB uint8, and the few geometric operations on pixels that plates need.

One orientation policy: an image is turned as its EXIF tag says before anything looks at it, so that
every width, height and box in the pipeline is that of the upright picture.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.records import Box, Quad

RGB = NDArray[np.uint8]  # (H, W, 3)

MAX_PIXELS = 40_000_000
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
FORMATS = frozenset({"JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "MPO"})
_TRANSPOSING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION_TAG = 0x0112


class ImageError(ValueError):
    """An image that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image says of itself before it is decoded; width and height as stored and when upright."""

    format: str
    mode: str
    stored_width: int
    stored_height: int
    orientation: int
    frames: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        if self.orientation in _TRANSPOSING:
            return self.stored_height, self.stored_width
        return self.stored_width, self.stored_height


def _open(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError("not an image of a known format") from None
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"unreadable header: {error}") from None
    if image.format not in FORMATS:
        raise ImageError(f"format {image.format} is not supported")
    return image


def read_header(data: bytes) -> Header:
    """Reads format, mode, size, orientation and frame count without decoding pixels."""
    image = _open(data)
    if image.format == "PNG" and "exif" not in image.info and (exif := _png_exif(data)):
        image.info["exif"] = exif
    try:  # the base class's getexif: PNG's own decodes the whole picture to look for a tag behind its pixels
        orientation = int(Image.Image.getexif(image).get(_ORIENTATION_TAG, 1))
    except (OSError, ValueError, SyntaxError, TypeError, struct.error):
        orientation = 1
    try:
        frames = int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, struct.error) as error:
        raise ImageError(f"unreadable header: {error}") from None
    width, height = image.size
    if image.format == "TIFF":  # whose size Pillow states as it is after the turn
        tags = getattr(image, "tag_v2", {})
        width, height = int(tags.get(256, width)), int(tags.get(257, height))
    return Header(str(image.format), image.mode, width, height, orientation, frames)


def _png_exif(data: bytes) -> bytes:
    """The payload of a PNG's eXIf chunk wherever it stands, or nothing."""
    start = 8  # behind the signature; a chunk is length, name, payload, checksum
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] == b"eXIf":
            return data[start + 8 : start + 8 + length]
        start += 12 + length
    return b""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> RGB:
    """Decodes bytes to upright RGB uint8 (H, W, 3); transparency is laid over white, 16 bits scaled to 8.

    Raises ImageError for what is truncated, larger than `max_pixels` (refused from the header, before
    any decode) or not an image. Of an animated image the first frame is taken.
    """
    image = _open(data)
    if image.width * image.height > max_pixels:
        raise ImageError(f"{image.width} x {image.height} pixels, more than the cap of {max_pixels:,}")
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            grey = np.asarray(image, dtype=np.float64)
            scale = 255.0 / 65535.0 if image.mode != "F" and grey.max(initial=0) > 255 else 1.0
            image = Image.fromarray(np.clip(grey * scale, 0, 255).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            layered = image.convert("RGBA")
            white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, layered)
        return np.ascontiguousarray(np.asarray(image.convert("RGB"), dtype=np.uint8))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot be decoded: {error}") from None


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> RGB:
    """Decodes a file to upright RGB uint8 (H, W, 3); ImageError names the file and the reason."""
    try:
        return decode(path.read_bytes(), max_pixels)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def sha256(data: bytes) -> str:
    """The sample id of an image's bytes."""
    return hashlib.sha256(data).hexdigest()


def encode_png(image: RGB) -> bytes:
    """RGB uint8 -> PNG bytes; the same pixels give the same bytes."""
    done, buffer = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise ImageError("cannot be written as PNG")
    return buffer.tobytes()


def encode_jpeg(image: RGB, quality: int = 92) -> bytes:
    """RGB uint8 -> JPEG bytes; the same pixels and quality give the same bytes."""
    done, buffer = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ImageError("cannot be written as JPEG")
    return buffer.tobytes()


def letterbox(image: RGB, height: int, width: int, fill: int = 114) -> tuple[RGB, float]:
    """Scales an image to fit (height, width), padded right and below. Returns it and the scale applied.

    A point of the original times the scale is the point of the result.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    new_width = max(1, min(width, round(image.shape[1] * scale)))
    new_height = max(1, min(height, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (new_width, new_height), interpolation=interpolation)
    canvas = np.full((height, width, 3), fill, dtype=np.uint8)
    canvas[:new_height, :new_width] = resized
    return canvas, scale


def rectify(image: RGB, quad: Quad, height: int = 64, max_width: int = 512) -> RGB:
    """Cuts the quad out as a fronto-parallel crop, `height` pixels high, its own aspect kept.

    Returns RGB uint8 (height, w, 3) with height/2 <= w <= max_width.
    """
    corners = np.asarray(quad.points, dtype=np.float32)
    across = (np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3])) / 2
    down = (np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])) / 2
    width = int(np.clip(round(height * float(across) / max(float(down), 1e-6)), height // 2, max_width))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(corners, target)
    warped = cv2.warpPerspective(
        image, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.uint8)


def crop(image: RGB, box: Box, margin: float = 0.0) -> RGB:
    """Cuts a box out, widened on each side by `margin` of its size, clipped to the image, at least a pixel."""
    rows, columns = image.shape[:2]
    left = int(np.clip(np.floor(box.x1 - margin * box.width), 0, columns - 1))
    top = int(np.clip(np.floor(box.y1 - margin * box.height), 0, rows - 1))
    right = int(np.clip(np.ceil(box.x2 + margin * box.width), left + 1, columns))
    bottom = int(np.clip(np.ceil(box.y2 + margin * box.height), top + 1, rows))
    return np.ascontiguousarray(image[top:bottom, left:right])
