"""What a user names on the command line, as pictures: a file is itself, a folder all images below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import images
from pipeline.images import RGB, ImageError

MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Input:
    """A picture, or the reason why there is none."""

    name: str
    image: RGB | None
    error: str = ""


def read_all(paths: Iterable[Path]) -> Iterator[Input]:
    """Every picture that the paths name, decoded one at a time; what cannot be read comes as an Input with an error."""
    for path in paths:
        if not path.is_dir():
            yield read_one(path)
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in images.SUFFIXES)
        yield from map(read_one, found)
        if not found:
            yield Input(str(path), None, "no images in this folder")


def read_one(path: Path) -> Input:
    """One file, fully decoded."""
    try:
        if not path.exists():
            return Input(str(path), None, "no such file or folder")
        if not path.is_file():
            return Input(str(path), None, "not a file")
        if (size := path.stat().st_size) > MAX_BYTES:
            return Input(str(path), None, f"{size:,} bytes, more than the cap of {MAX_BYTES:,}")
        return Input(str(path), images.decode(path.read_bytes()))
    except (ImageError, MemoryError) as error:
        return Input(str(path), None, str(error) or "not enough memory to decode it")
    except OSError as error:
        return Input(str(path), None, error.strerror or str(error))
