"""A line of predictions.jsonl: what is sure is told in full, what is faint in brief, what is fainter not at all."""

from __future__ import annotations

from pipeline.curation import predictions
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample

BOX = Box(10, 10, 50.006, 20)


def test_row() -> None:
    sample = Sample("a" * 64, "a.png", 80, 60, (Plate(BOX, text="AB1"),), "kaggle", "g", "val")
    found = [Detection(BOX, Quad.of_box(BOX), score) for score in (0.91234, 0.39, 0.06, 0.04)]
    reading = Reading("", 0.5, (0.9, 0.81234, 1.0), guess="AB7")
    row = predictions.row(sample, found, [reading], {"network": {0: reading}, "tesseract": {0: Reading("AB1", 0.3)}})
    assert {name: row[name] for name in ("id", "image", "split", "source", "kind")} == {
        "id": "a" * 64,
        "image": "a.png",
        "split": "val",
        "source": "kaggle",
        "kind": "photo",
    }
    assert row["detections"] == [
        {
            "box": [10, 10, 50.01, 20],
            "quad": [[10, 10], [50.01, 10], [50.01, 20], [10, 20]],
            "score": 0.9123,
            "text": "AB7",
            "text_score": 0.5,
            "char_scores": [0.9, 0.8123, 1.0],
        }
    ]
    assert [one["score"] for one in row["faint"]] == [0.39, 0.06]
    assert row["readings"] == [
        {
            "plate": 0,
            "reader": {"text": "AB7", "score": 0.5, "char_scores": [0.9, 0.8123, 1.0]},
            "tesseract": {"text": "AB1", "score": 0.3, "char_scores": []},
            "rapidocr": None,
        }
    ]
