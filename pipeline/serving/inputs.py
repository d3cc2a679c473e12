"""What a user names on the command line, as pictures and videos: files, folders, patterns, standard input.

Listing and decoding are apart, so that pictures can be decoded where they are worked on.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pipeline import images
from pipeline.images import ImageError, Photo
from pipeline.serving.video import SUFFIXES as VIDEOS

MAX_BYTES = 256 * 1024 * 1024
STDIN = "-"
_PEEKED = 512  # bytes of standard input that tell a picture from a list of names


@dataclass(frozen=True, slots=True)
class Named:
    """A file to be looked at, or bytes of standard input, or the reason why there is nothing."""

    name: str
    path: Path | None = None
    data: bytes | None = None
    error: str = ""
    folder: Path | None = None  # that was named, where the file was found in one

    @property
    def below(self) -> Path:
        """Where the file lies below the folder that was named; its own name where it was named itself."""
        path = self.path or Path(self.name)
        return path.relative_to(self.folder) if self.folder is not None else Path(path.name)

    @property
    def is_video(self) -> bool:
        return self.path is not None and self.path.suffix.lower() in VIDEOS

    def why(self, failure: Exception) -> str:
        """What went wrong with it, without its own name, which stands beside that."""
        return str(failure).removeprefix(f"{self.path}: ") or type(failure).__name__


@dataclass(frozen=True, slots=True)
class Input:
    """A picture, or the reason why there is none."""

    name: str
    photo: Photo | None
    error: str = ""


def named(arguments: Iterable[str], stdin: BinaryIO | None = None) -> Iterator[Named]:
    """All that the arguments name, in order, found only as it is asked for.

    A folder is all pictures and videos below it, a pattern (*.jpg, with ** for folders) what it matches. `-` is
    standard input: one picture's bytes, or names of files and folders, one a line.
    """
    for argument in arguments:
        if argument == STDIN:
            yield from _piped(stdin or sys.stdin.buffer)
        else:
            yield from _found(argument)


def count(arguments: Sequence[str]) -> int | None:
    """How many inputs the arguments name; None where standard input does, which can be read only once."""
    return None if STDIN in arguments else sum(1 for _ in named(arguments))


def _found(argument: str) -> Iterator[Named]:
    path = Path(argument)
    if path.is_dir():
        yield from _below(path)
    elif not os.path.lexists(path) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (an absolute pattern has no root to start from)
        for match in matches:
            yield from _found(match)
        if not matches:
            yield Named(argument, error="no file matches this pattern")
    else:
        yield Named(argument, path)


def _below(folder: Path) -> Iterator[Named]:
    empty = True
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in images.SUFFIXES | VIDEOS:
                empty = False
                path = Path(root, name)
                yield Named(str(path), path, folder=folder)
    if empty:
        yield Named(str(folder), error="no images in this folder")


def _piped(stdin: BinaryIO) -> Iterator[Named]:
    start = stdin.read(_PEEKED)
    if not start:
        yield Named(STDIN, error="standard input is empty")
    elif _is_text(start):
        yield from _listed(start, stdin)
    else:
        data = start + stdin.read(MAX_BYTES + 1 - len(start))
        yield Named(STDIN, data=data) if len(data) <= MAX_BYTES else Named(STDIN, error=_too_large(len(data)))


def _is_text(start: bytes) -> bool:
    """Names of files hold no control characters; every format of pictures does, near its beginning."""
    return not any(byte < 32 and byte not in b"\r\n\t" for byte in start)


def _listed(start: bytes, stdin: BinaryIO) -> Iterator[Named]:
    whole_lines = (start + stdin.readline()).split(b"\n")
    empty = True
    for line in chain(whole_lines, stdin):
        if name := os.fsdecode(line).strip("\r\n"):
            empty = False
            yield from _found(name)
    if empty:
        yield Named(STDIN, error="standard input names no file")


def _too_large(size: int) -> str:
    return f"{size:,} bytes, more than the cap of {MAX_BYTES:,}"


def load(one: Named, enough: int | None = None) -> Input:
    """One picture, decoded, or the reason why it cannot be; perhaps a smaller one, where `enough` pixels will do."""
    if one.error or (one.path is None and one.data is None):
        return Input(one.name, None, one.error)
    try:
        data = one.data if one.data is not None else _read(one.path or Path())
        return Input(one.name, Photo.of(images.decode(data)) if enough is None else images.decode_photo(data, enough))
    except (ImageError, MemoryError) as error:
        return Input(one.name, None, str(error) or "not enough memory to decode it")
    except OSError as error:
        return Input(one.name, None, error.strerror or str(error))


def _read(path: Path) -> bytes:
    if not path.exists():
        raise ImageError("no such file or folder")
    if not path.is_file():
        raise ImageError("not a file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ImageError(_too_large(size))
    return path.read_bytes()
