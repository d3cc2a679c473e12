"""Stage queue: the most suspicious first, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import manifest
from pipeline.labeling import conflicts, history
from pipeline.labeling.conflicts import Conflict
from pipeline.labeling.history import Annotated
from pipeline.records import Box, Plate, Sample
from pipeline.stages import queue

ROOT = Path(__file__).parents[2]


def sample(number: int, text: str | None) -> Sample:
    identity = f"{number:064x}"
    plates = (Plate(Box(10, 10, 50, 20), text=text),)
    return Sample(identity, f"voc/{number}.png", 80, 60, plates, "voc", identity, split="train")


def prediction(number: int, text: str) -> dict[str, Any]:
    found = {"box": [10, 10, 50, 20], "score": 0.9, "text": text, "text_score": 0.9}
    reader = {"text": text, "score": 0.9, "char_scores": [0.99] * len(text)}
    readings = [{"plate": 0, "reader": reader, "tesseract": None}]
    split = {"split": "train", "source": "voc"}
    return {"id": f"{number:064x}", **split, "detections": [found], "faint": [], "readings": readings}


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["queue"]["limit"] = 2
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    samples = [sample(1, None), sample(2, "AB123"), sample(3, "AB123"), sample(4, "AB123")]
    manifest.write_manifest(tmp_path / "manifest.jsonl", samples)
    manifest.write_jsonl(tmp_path / "predictions.jsonl", [prediction(2, "AB123"), prediction(3, "AB128")])
    copies = {"id": f"{4:064x}", "kind": "copies", "reasons": ["a plate is drawn in 1 of 2 copies"], "lowest_iou": 0.0}
    manifest.write_jsonl(tmp_path / "disagreements.jsonl", [copies])
    monkeypatch.chdir(tmp_path)
    names = ("predictions.jsonl", "manifest.jsonl", "disagreements.jsonl", "labels", "queue.jsonl")
    return [tmp_path / name for name in names]


def test_queue(arguments: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    queue.main(*arguments)
    rows = manifest.read_jsonl(arguments[4])
    assert [row["id"][-1] for row in rows] == ["4", "3"]  # the unread plate is beyond the limit
    assert [row["reasons"][0]["kind"] for row in rows] == ["copies_disagree", "text_contradicted"]
    assert rows[0]["priority"] > rows[1]["priority"]
    assert rows[1]["reasons"][0]["readings"] == ["AB128"]
    assert "2 of 3 suspicious samples" in capsys.readouterr().out
    first = arguments[4].read_bytes()
    queue.main(*arguments)
    assert arguments[4].read_bytes() == first


def test_conflicts_come_first(arguments: list[Path]) -> None:
    dispute(arguments, 2)
    queue.main(*arguments)
    first = manifest.read_jsonl(arguments[4])[0]
    assert (first["id"], first["priority"]) == (f"{2:064x}", 1.0)
    assert first["reasons"] == [{"kind": "conflict", "score": 1.0, "reason": "they differ"}]


def dispute(arguments: list[Path], number: int) -> None:
    conflict = Conflict(f"{number:064x}", f"voc/{number}.png", "annotators", 7, ("they differ",), "2026-11-26")
    conflicts.write(arguments[3] / conflicts.CONFLICTS, [conflict])


@pytest.mark.parametrize(
    ("merged", "disputed", "asked"),
    [
        ((1, "2026-11-26", "2026-11-26"), False, False),
        (None, False, True),
        ((1, "2026-11-26", "2026-11-26"), True, True),
    ],
    ids=["answered", "looked at and skipped", "answered, and disputed since"],
)
def test_what_is_answered_is_not_asked_again(
    arguments: list[Path], merged: tuple[int, str, str] | None, disputed: bool, asked: bool
) -> None:
    annotated = Annotated(f"{4:064x}", "voc/4.png", 7, (), (), (), merged)
    history.write(arguments[3] / history.ANNOTATIONS, [annotated])
    if disputed:
        dispute(arguments, 4)
    queue.main(*arguments)
    assert (annotated.id in [row["id"] for row in manifest.read_jsonl(arguments[4])]) == asked


def test_no_texts_are_printed(arguments: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    queue.main(*arguments)
    assert "AB12" not in capsys.readouterr().out


def test_a_broken_line_is_named(arguments: list[Path]) -> None:
    arguments[0].write_text("{")
    with pytest.raises(SystemExit, match=r"predictions\.jsonl: line 1 is not JSON"):
        queue.main(*arguments)
