"""Files that are no picture, are damaged, or are pictures of a rare kind: each way in answers them the same.

from .bad_images import bad_images
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

SIZE = WIDTH, HEIGHT = 48, 32  # of every picture that can be decoded, upright
_ORIENTATION = 0x0112


@cache
def bad_images() -> dict[str, tuple[bytes, str | None]]:
    """{file name: (bytes, a part of the error's sentence, or None where the picture is decoded like any other)}."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    jpeg, png = _saved(noise, "JPEG"), _saved(noise, "PNG")
    return {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"AB 123 CD\n", "not an image of a known format"),
        "page.png": (b"<!doctype html><title>Log in</title>", "not an image of a known format"),
        "signature.png": (png[:8], "not an image of a known format"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "cannot be decoded: image file is truncated"),
        "truncated.png": (png[: len(png) // 2], "cannot be decoded: image file is truncated"),
        "flipped.png": (png[:200] + bytes([png[200] ^ 255]) + png[201:], "cannot be decoded"),
        "truncated.gif": ((gif := _animated(noise, "GIF"))[: len(gif) // 2], "cannot be decoded"),
        "portable.jpg": (_saved(noise, "PPM"), "format PPM is not supported"),
        "bomb.png": (_one_bit_png(30_000, 30_000), "30000 x 30000 pixels, more than the cap"),
        "large.png": (_one_bit_png(8_000, 5_001), "8000 x 5001 pixels, more than the cap of 40,000,000"),
        "cmyk.jpg": (_saved(noise.convert("CMYK"), "JPEG"), None),
        "cmyk.tif": (_saved(noise.convert("CMYK"), "TIFF"), None),
        "grey16.png": (_saved(Image.fromarray(np.full((HEIGHT, WIDTH), 40_000, np.uint16)), "PNG"), None),
        "colour16.png": (_png(WIDTH, HEIGHT, 16, 2, bytes((1 + 6 * WIDTH) * HEIGHT)), None),
        "palette.png": (_saved(noise.quantize(16), "PNG"), None),
        "see-through.png": (_saved(noise.convert("RGBA"), "PNG"), None),
        "animated.gif": (_animated(noise, "GIF"), None),
        "animated.webp": (_animated(noise, "WEBP"), None),
        "animated.png": (_animated(noise, "PNG"), None),
        "turned.jpg": (_turned(noise), None),
    }


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _animated(image: Image.Image, form: str) -> bytes:
    return _saved(image, form, save_all=True, append_images=[Image.new("RGB", SIZE)], duration=50)


def _turned(image: Image.Image) -> bytes:
    """The picture as a camera held on its side stores it, with the tag that says so."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    return _saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def _one_bit_png(width: int, height: int) -> bytes:
    """A whole black picture of one bit a pixel: 30,000 x 30,000 of them are 109 KB, and 2.7 GB once decoded."""
    return _png(width, height, 1, 0, bytes((1 + (width + 7) // 8) * height))


def _png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG of a kind that Pillow does not write; `rows` each begin with their filter's byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
