"""Safe decoding to upright RGB uint8, and the few geometric operations on pixels that plates need.

One orientation policy: an image is turned as its EXIF tag says before anything looks at it, so that
every width, height and box in the pipeline is that of the upright picture.
"""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.records import Box, Quad

RGB = NDArray[np.uint8]  # (H, W, 3)

MAX_PIXELS = 40_000_000
Image.MAX_IMAGE_PIXELS = None  # Pillow's own cap would be another one, and refuse to tell the size
PANORAMA = 3.0  # longer side over shorter, above which a photo is a panorama
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
FORMATS = frozenset({"JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "MPO"})
_TRANSPOSING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION_TAG = 0x0112


class ImageError(ValueError):
    """An image that cannot be used; the message says why."""


class TooManyPixelsError(ImageError):
    """A picture that is larger than may be; said before any of it is decoded."""


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
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError("not an image of a known format") from None
    except (OSError, ValueError, SyntaxError) as error:
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


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture, perhaps a smaller one: a pixel of `pixels` is `shrunk` x `shrunk` of the upright file's."""

    pixels: RGB
    width: int
    height: int
    shrunk: int = 1

    @classmethod
    def of(cls, pixels: RGB) -> Photo:
        """A picture that stands as it is."""
        return cls(pixels, pixels.shape[1], pixels.shape[0])


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> RGB:
    """Decodes bytes to upright RGB uint8 (H, W, 3); transparency is laid over white, 16 bits scaled to 8.

    Raises ImageError for what is truncated, larger than `max_pixels` (refused from the header, before
    any decode) or not an image. Of an animated image the first frame is taken.
    """
    return _decoded(_capped(data, max_pixels))


def decode_photo(data: bytes, enough: int, max_pixels: int = MAX_PIXELS) -> Photo:
    """As `decode`, but a JPEG comes at 1/2, 1/4 or 1/8 of its size where its longer side is then still `enough` pixels.

    That is several times faster: the coefficients of what is left out are never transformed. Panoramas come as they
    are, since they are looked at by their shorter side.
    """
    image = _capped(data, max_pixels)
    longer, shorter = max(image.size), min(image.size)
    fraction = next((by for by in (8, 4, 2) if longer // by >= enough and longer <= PANORAMA * shorter), 1)
    if fraction == 1 or not isinstance(image, JpegImageFile):
        return Photo.of(_decoded(image))
    width, height = image.size
    image.draft(None, (width // fraction, height // fraction))
    shrunk = round(longer / max(image.size))
    if image.getexif().get(_ORIENTATION_TAG, 1) in _TRANSPOSING:
        width, height = height, width
    return Photo(_decoded(image), width, height, shrunk)


def _capped(data: bytes, max_pixels: int) -> Image.Image:
    image = _open(data)
    if image.width * image.height > max_pixels:
        raise TooManyPixelsError(f"{image.width} x {image.height} pixels, more than the cap of {max_pixels:,}")
    return image


def _decoded(image: Image.Image) -> RGB:
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I") or image.mode == "F":
            grey = np.asarray(image, dtype=np.float64)
            scale = 255.0 / 65535.0 if image.mode != "F" and grey.max(initial=0) > 255 else 1.0
            image = Image.fromarray(np.clip(grey * scale, 0, 255).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = _over_white(image.convert("RGBA"))
        if image.mode != "RGB":
            image = image.convert("RGB")
        return np.ascontiguousarray(np.asarray(image, dtype=np.uint8))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise ImageError(f"cannot be decoded: {error}") from None


def _over_white(layered: Image.Image) -> Image.Image:
    if layered.getchannel("A").getextrema() == (255, 255):  # most have nothing to see through
        return layered
    return Image.alpha_composite(Image.new("RGBA", layered.size, (255, 255, 255, 255)), layered)


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
