"""Kaggle's car-plate-detection: 433 photos with Pascal VOC boxes, every byte known.

Kaggle publishes it as images/Cars<n>.png and annotations/Cars<n>.xml (CC0 1.0). The SHA-256 of all
866 files stands in car-plate-detection/SHA256SUMS, so a damaged or partial copy is refused by name.
Copies of one picture under several names all stay: curate makes them one group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.params import Kaggle
from pipeline.sources.base import (
    Problem,
    Pulled,
    SourceError,
    Track,
    files_below,
    image_name,
    is_image,
    natural,
    silently,
    some,
)
from pipeline.sources.origin import kagglehub_folder, local_folder
from pipeline.sources.voc import read_pair

HANDLE = "andrewmvd/car-plate-detection"
SUMS = Path(__file__).parent / "car-plate-detection" / "SHA256SUMS"


class DamagedError(SourceError):
    """A copy of the data set that lacks files, or whose bytes are not the published ones; each is named."""


def pull(settings: Kaggle, work: Path, out: Path, track: Track = silently) -> Pulled:
    """The first `limit` pictures in natural order, or all. Raises DamagedError, OriginError."""
    if settings.origin != "kagglehub":
        with local_folder(settings.origin, settings.sha256, work) as folder:
            return _read(folder, settings.limit, out, track)
    try:
        return _read(kagglehub_folder(HANDLE, settings.version), settings.limit, out, track)
    except DamagedError:  # what an earlier download left in kagglehub's cache: fetch it once more
        return _read(kagglehub_folder(HANDLE, settings.version, again=True), settings.limit, out, track)


def read_sums(path: Path = SUMS) -> dict[str, str]:
    """Relative path -> SHA-256 of every published file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def _read(folder: Path, limit: int | None, out: Path, track: Track) -> Pulled:
    sums = read_sums()
    root = _find_root(folder)
    pictures = sorted((name for name in sums if is_image(name)), key=natural)[:limit]
    pairs = [(name, f"annotations/{PurePosixPath(name).stem}.xml") for name in pictures]
    _check(root, [name for pair in pairs for name in pair], sums, track)
    visible, hidden = files_below(root)
    notes = [f"hidden files left aside: {some(hidden)}"] if hidden else []
    pulled = Pulled(notes=notes)
    for image, annotation in track(pairs, "Reading pairs"):
        pulled.add(read_pair(root, image, annotation, out, image_name(image), "kaggle"))
    for name in visible:
        if name not in sums and name.startswith(("images/", "annotations/")):
            pulled.add(_extra(name))
    return pulled


def _find_root(folder: Path) -> Path:
    """The folder with images/ and annotations/: the given one, or one or two levels below."""
    for pattern in (".", "*", "*/*"):
        for candidate in sorted(folder.glob(pattern)) if pattern != "." else [folder]:
            if (candidate / "images").is_dir() and (candidate / "annotations").is_dir():
                return candidate
    raise DamagedError(f"kaggle: no folder with images/ and annotations/ in {folder}; see kaggle.origin in params.yaml")


def _check(root: Path, names: Sequence[str], sums: dict[str, str], track: Track) -> None:
    """DamagedError unless every named file is there with its published bytes."""
    missing, damaged = [], []
    for name in track(names, "Checking bytes"):
        try:
            with (root / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sums[name]:
                    damaged.append(name)
        except FileNotFoundError:
            missing.append(name)
    wrong = [
        f"{len(files)} {how} ({some(files)})" for how, files in (("missing", missing), ("damaged", damaged)) if files
    ]
    if wrong:
        raise DamagedError(
            f"kaggle: of {len(names)} files in {root}: {'; '.join(wrong)}. Get these again from "
            f"https://www.kaggle.com/datasets/{HANDLE}; if they were edited on purpose, pull the folder as voc"
        )


def _extra(name: str) -> Problem:
    reason = f"{name}: not a file of the published data set; take it out, or pull the folder as voc"
    return Problem("image", reason, image=name) if is_image(name) else Problem("annotation", reason, annotation=name)
