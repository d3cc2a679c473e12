"""Stage queue: the most suspicious first, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import manifest
from pipeline.records import Box, Plate, Sample
from pipeline.stages import queue

ROOT = Path(__file__).parents[2]


def sample(number: int, text: str | None) -> Sample:
    identity = f"{number:064x}"
    plates = (Plate(Box(10, 10, 50, 20), text=text),)
    return Sample(identity, f"voc/{number}.png", 80, 60, plates, "voc", identity, split="train")


def prediction(number: int, text: str) -> dict[str, Any]:
    readings = [{"plate": 0, "reader": {"text": text, "score": 0.9}, "tesseract": None}]
    return {"id": f"{number:064x}", "split": "train", "source": "voc", "detections": [], "readings": readings}


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
    return [tmp_path / name for name in ("predictions.jsonl", "manifest.jsonl", "disagreements.jsonl", "queue.jsonl")]


def test_queue(arguments: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    queue.main(*arguments)
    rows = manifest.read_jsonl(arguments[3])
    assert [row["id"][-1] for row in rows] == ["4", "3"]  # the unread plate is beyond the limit
    assert [row["reasons"][0]["kind"] for row in rows] == ["copies_disagree", "text_contradicted"]
    assert rows[0]["priority"] > rows[1]["priority"]
    assert rows[1]["reasons"][0]["readings"] == ["AB128"]
    assert "2 of 3 suspicious samples" in capsys.readouterr().out
    first = arguments[3].read_bytes()
    queue.main(*arguments)
    assert arguments[3].read_bytes() == first


def test_no_texts_are_printed(arguments: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    queue.main(*arguments)
    assert "AB12" not in capsys.readouterr().out


def test_a_broken_line_is_named(arguments: list[Path]) -> None:
    arguments[0].write_text("{")
    with pytest.raises(SystemExit, match=r"predictions\.jsonl: line 1 is not JSON"):
        queue.main(*arguments)
