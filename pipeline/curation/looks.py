"""The looks of pictures that the last run decoded, in one file, by the SHA-256 of a picture's bytes.

version    (16,) uint8: the key of what made them
ids        (N, 32) uint8, and for each, as in duplicates.Look:
pixels     (N, 32) uint8
phash      (N,) uint64
thumbnail  (N, 1024) float32
aspect     (N,) float64
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import reuse
from pipeline.curation import duplicates
from pipeline.curation.duplicates import THUMBNAIL, Look
from pipeline.manifest import replacing


def version(max_pixels: int) -> bytes:
    """The key of how a look is made, and of the cap that refuses larger pictures before that."""
    code = reuse.code(Path(duplicates.__file__), "cv2", "imagehash", "numpy", "PIL", "scipy")
    return reuse.key(code, max_pixels)


def read(path: Path, made_by: bytes) -> dict[str, Look]:
    """The looks that a file keeps by sample id; none, and a sentence about it, where they are not `made_by` this."""
    if not path.exists():
        return {}
    try:
        with np.load(path) as stored:
            if stored["version"].tobytes() != made_by:
                print(f"{path} was made by other code or settings: every picture is decoded again")
                return {}
            columns = [stored[name] for name in ("ids", "pixels", "phash", "thumbnail", "aspect")]
        return {
            identity.tobytes().hex(): Look(pixels.tobytes().hex(), int(phash), thumbnail, float(aspect))
            for identity, pixels, phash, thumbnail, aspect in zip(*columns, strict=True)
        }
    except Exception as error:  # numpy and zipfile raise whatever they stumble over in a damaged file
        print(f"{path} is no file of looks, or is damaged ({error}): every picture is decoded again")
        return {}


def write(path: Path, made_by: bytes, looks: Mapping[str, Look]) -> None:
    """Writes looks by sample id, in place of those that the file kept."""
    values = looks.values()
    with replacing(path, "wb") as file:
        np.savez(
            file,
            version=np.frombuffer(made_by, np.uint8),
            ids=_digests(looks),
            pixels=_digests(look.pixels for look in values),
            phash=np.array([look.phash for look in values], np.uint64),
            thumbnail=np.array([look.thumbnail for look in values], np.float32).reshape(-1, THUMBNAIL**2),
            aspect=np.array([look.aspect for look in values], np.float64),
        )


def _digests(hexadecimal: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(hexadecimal)), np.uint8).reshape(-1, 32)
