"""Open disagreements: data/labels/conflicts.jsonl, one picture a line, sorted by sample id, in git.

    {"id": "4f1c...", "image": "kaggle/images/Cars0.png", "kind": "annotators", "task": 12,
     "reasons": ["ann@example.org and bob@example.org: they read the plate at (226, 125) differently"],
     "since": "2026-11-26T09:00:01Z"}

The labels stay as they are until an annotation made after `since` settles it; the queue asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.labeling.corrections import read_rows
from pipeline.manifest import write_jsonl

CONFLICTS = "conflicts.jsonl"
Kind = Literal["annotators", "upstream"]


class ConflictError(ValueError):
    """A row of conflicts.jsonl that is not one; the message names file and row."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a picture's labels are not settled: two annotators, or an annotator and the labels here, differ."""

    id: str
    image: str
    kind: Kind
    task: int
    reasons: tuple[str, ...]
    since: str


def read(path: Path) -> dict[str, Conflict]:
    """By sample id; a missing file holds none."""
    found: dict[str, Conflict] = {}
    for one in read_rows(path, _from_row, ConflictError):
        if one.id in found:
            raise ConflictError(f"{path}: two rows for the sample {one.id}; make one of them")
        found[one.id] = one
    return found


def _from_row(row: dict[str, Any]) -> Conflict:
    if row["kind"] not in get_args(Kind):
        raise ValueError(f"kind {row['kind']!r} is none of {', '.join(get_args(Kind))}")
    if not isinstance(row["reasons"], list):
        raise ValueError(f"reasons {row['reasons']!r} are not a list")
    return Conflict(**{**row, "reasons": tuple(row["reasons"])})


def write(path: Path, rows: Iterable[Conflict]) -> None:
    """Writes conflicts sorted by sample id."""
    write_jsonl(path, ({**asdict(one), "reasons": list(one.reasons)} for one in sorted(rows, key=lambda one: one.id)))
