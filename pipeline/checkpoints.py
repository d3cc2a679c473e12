"""Training checkpoints: a network's arrays, and a card that says what it is and which samples it has seen.

weights.npz    one array a variable, named by its path in the network
card.json      kind, build parameters, step, figures; SHA-256 of weights.npz
seen.txt       one sample id a line: every sample that this network, or one it started from, was trained on
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.images import sha256
from pipeline.manifest import replacing, write_json

SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another network; the message names both sides."""


def save(folder: Path, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any], seen: Iterable[str]) -> None:
    """Writes a checkpoint; the card is written last, so that a folder with a card is whole."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    data = buffer.getvalue()
    with replacing(folder / "weights.npz", "wb") as file:
        file.write(data)
    with replacing(folder / "seen.txt") as file:
        file.writelines(f"{sample}\n" for sample in sorted(set(seen)))
    write_json(folder / "card.json", {**card, "sha256": sha256(data)})


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the checkpoint in `folder`."""
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no checkpoint here (no card.json)") from None
    except ValueError as error:
        raise CheckpointError(f"{folder}/card.json is damaged: {error}") from None
    if not isinstance(card, dict):
        raise CheckpointError(f"{folder}/card.json is damaged: it is not an object")
    return card


def load(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """(arrays, card) of the checkpoint in `folder`, its bytes checked against the card; no pickles are read."""
    card = read_card(folder)
    try:
        data = (folder / "weights.npz").read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: weights.npz is missing") from None
    if sha256(data) != card.get("sha256"):
        raise CheckpointError(f"{folder}/weights.npz is not the file that its card.json describes; restore it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)), np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}, card
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{folder}/weights.npz is not an archive of plain arrays: {error}") from None


def read_seen(folder: Path) -> frozenset[str]:
    """The ids of the samples that the checkpoint in `folder` was trained on."""
    try:
        return frozenset((folder / "seen.txt").read_text(encoding="utf-8").split())
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: seen.txt is missing, so a leak cannot be excluded") from None
