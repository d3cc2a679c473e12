"""What every source gives back, and how a picture enters data/raw/<source>/."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol, TypeVar

from pipeline import images
from pipeline.images import Header, ImageError
from pipeline.records import Sample

T = TypeVar("T")
ProblemKind = Literal["annotation", "image", "unpaired"]
MAX_IMAGE_BYTES = 200_000_000


class SourceError(ValueError):
    """A source that cannot be pulled; the message says what to set, mend or ask for."""


class Track(Protocol):
    """Passes items on while showing progress, as rich.progress.track does."""

    def __call__(self, sequence: Sequence[T], description: str) -> Iterable[T]: ...


def silently(sequence: Sequence[T], description: str) -> Iterable[T]:
    """A Track that shows nothing."""
    return sequence


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of the source that is not a Sample, and why; validate puts it into the quarantine.

    `image` and `annotation` are paths inside the origin. Kind "unpaired" is one without the other.
    """

    kind: ProblemKind
    reason: str
    image: str | None = None
    annotation: str | None = None

    def to_row(self) -> dict[str, Any]:
        return {"image": self.image, "annotation": self.annotation, "reason": self.reason, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one source gave: its samples, the rows that are none, and remarks for the person who pulls."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Sample | Problem) -> None:
        """Puts a row where it belongs."""
        if isinstance(found, Sample):
            self.samples.append(found)
        else:
            self.problems.append(found)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image copied into the source's folder: its SHA-256, its path below that folder, and its header."""

    id: str
    image: str
    header: Header


def read_picture(file: Path) -> tuple[bytes, Header]:
    """Reads a file's bytes and image header, no pixels. Raises ImageError with the reason."""
    try:
        if file.stat().st_size > MAX_IMAGE_BYTES:
            raise ImageError(f"more than the cap of {MAX_IMAGE_BYTES:,} bytes")
        data = file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from None
    return data, images.read_header(data)


def keep_picture(data: bytes, header: Header, out: Path, image: str) -> Picture:
    """Writes an image's bytes, unchanged, to out/image."""
    target = out / image
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return Picture(images.sha256(data), image, header)


def files_below(folder: Path) -> tuple[list[str], list[str]]:
    """(visible, hidden) files anywhere below a folder, as relative paths in natural order.

    Hidden is what an editor or an operating system leaves: names with a leading dot, __MACOSX, Thumbs.db.
    """
    visible: list[str] = []
    hidden: list[str] = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = (Path(root) / name).relative_to(folder)
            is_hidden = any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db") for part in path.parts)
            (hidden if is_hidden else visible).append(path.as_posix())
    return sorted(visible, key=natural), sorted(hidden, key=natural)


def natural(name: str) -> tuple[list[str | int], str]:
    """A sort key that puts Cars2 before Cars10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def is_image(name: str) -> bool:
    """Whether a file's name says that it is a picture."""
    return PurePosixPath(name).suffix.lower() in images.SUFFIXES


def image_name(relative: str, prefix: str = "") -> str:
    """The path of a picture in the source's folder: its path inside the origin, below images/."""
    return f"images/{prefix}{relative.removeprefix('images/')}"


def some(names: Sequence[str], most: int = 8) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def inside(root: Path, relative: str) -> Path:
    """The file `relative` below `root`. Raises SourceError where the path leads out of the folder."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\\" in relative or "\0" in relative:
        raise SourceError(f"{relative!r} is no path inside its folder")
    return root / path


def check_collisions(names: Iterable[str]) -> None:
    """SourceError naming two paths that are one file where case or Unicode form do not count.

    Also where one path is a file and, for another, a folder.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = PurePosixPath(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()))
        parents = [str(parent) for parent in key.parents if parent.name]
        other = files.get(str(key)) or folders.get(str(key)) or next((files[p] for p in parents if p in files), None)
        if other is not None:
            raise SourceError(f"{other!r} and {name!r} are the same file on some file systems; rename one")
        files[str(key)] = name
        folders.update(dict.fromkeys(parents, name))
