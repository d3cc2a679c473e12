"""conflicts.jsonl: the same bytes again, sorted, and bad rows by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.labeling import conflicts
from pipeline.labeling.conflicts import Conflict, ConflictError


def conflict(number: int = 1, kind: Any = "annotators", *reasons: str) -> Conflict:
    return Conflict(f"{number:064x}", f"kaggle/images/{number}.png", kind, 12, reasons, "2026-11-26T09:00:01.000000Z")


GOOD = {
    **json.loads(json.dumps({"id": f"{1:064x}", "image": "a.png", "kind": "upstream", "task": 1})),
    "reasons": ["r"],
}
GOOD["since"] = "2026-11-26T09:00:01Z"


def test_file_round_trip_in_order_of_the_ids(tmp_path: Path) -> None:
    path = tmp_path / "labels" / conflicts.CONFLICTS
    told = [conflict(2, "upstream", "Ann reads “AB1”", "Bob: AB7"), conflict(1)]
    conflicts.write(path, told)
    first = path.read_bytes()
    assert conflicts.read(path) == {one.id: one for one in told}
    assert list(conflicts.read(path)) == [told[1].id, told[0].id]
    conflicts.write(path, conflicts.read(path).values())
    assert path.read_bytes() == first
    assert list(json.loads(first.splitlines()[0])) == ["id", "image", "kind", "task", "reasons", "since"]


def test_no_file_holds_no_conflicts(tmp_path: Path) -> None:
    assert conflicts.read(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"kind": "war"}, "kind 'war' is none of annotators, upstream", id="unknown kind"),
        pytest.param({"kind": []}, r"kind \[\] is none of", id="a kind that is a list"),
        pytest.param({"colour": "red"}, "'colour'", id="a field too many"),
        pytest.param({"reasons": "they differ"}, "reasons 'they differ' are not a list", id="reasons that are a text"),
        pytest.param({"reasons": None}, "reasons None are not a list", id="no reasons"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / conflicts.CONFLICTS
    path.write_text(json.dumps({**GOOD, **change}) + "\n")
    with pytest.raises(ConflictError, match=rf"conflicts.jsonl: row 1 \(a.png\): .*{words}"):
        conflicts.read(path)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / conflicts.CONFLICTS
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != name}) + "\n")
    with pytest.raises(ConflictError, match=f"(?s)row 1 .*missing.*'{name}'|row 1 .*'{name}' is missing"):
        conflicts.read(path)


def test_two_rows_of_a_sample_are_refused(tmp_path: Path) -> None:
    path = tmp_path / conflicts.CONFLICTS
    path.write_text(2 * (json.dumps(GOOD) + "\n"))
    with pytest.raises(ConflictError, match="two rows for the sample 0000"):
        conflicts.read(path)


def test_the_file_in_git_is_sound() -> None:
    conflicts.read(Path(__file__).parents[2] / "data" / "labels" / conflicts.CONFLICTS)
