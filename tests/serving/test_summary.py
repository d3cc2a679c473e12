"""The summary at the end of `make run`."""

import json

import pytest

from pipeline.serving import summary


def measured(value, low=None, high=None, reason=None, name="exact"):
    return {name: value, "interval": {name: {"low": low, "high": high, **({"reason": reason} if reason else {})}}}


DOCUMENTS = {
    "validation": {"sources": {"synthetic": {"rows": 60, "passed": 59}}},
    "curation": {
        "sources": {"synthetic": {"pictures": 58, "plates": 70, "splits": {"train": 36, "val": 6, "test": 16}}},
        "leaks": 0,
    },
    "evaluation": {
        "data": {"photos": 16, "plates": 20, "crops": 30},
        "detection": measured(0.91, 0.85, 0.97, name="ap50"),
        "detection_fast": measured(0.83, 0.75, 0.9, name="ap50"),
        "ocr": {
            "network": {"labelled": measured(0.8, 0.7, 0.9)},
            "tesseract": {"labelled": measured(0.25, reason="a single group")},
        },
        "end_to_end": measured(None, reason="no plate with a certain text on a photo"),
    },
    "registration": {
        **{"model": "alpr", "version": 3, "alias": "champion", "moved": False, "sent": True},
        "reason": "0.5 is below 0.6",
    },
}


def test_the_summary_says_what_a_run_ended_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    for name, document in DOCUMENTS.items():
        (tmp_path / "metrics" / f"{name}.json").write_text(json.dumps(document))
    summary.main()
    said = capsys.readouterr().out
    for part in (
        "synthetic: 60 files pulled, 59 sound, 1 not",
        "58 distinct pictures, 70 plates: 36 train, 6 val, 16 test",
        "0.910 (0.850 to 0.970)",
        "small detector, AP50     0.830 (0.750 to 0.900)",
        "our reader  0.800 (0.700 to 0.900)",
        "Tesseract   0.250  on labelled",
        "not measured (no plate with a certain text on a photo)",
        "alpr version 3, not champion (0.5 is below 0.6)",
        (tmp_path / "report/index.html").as_uri(),
        (tmp_path / "review/index.html").as_uri(),
        "make mlflow",
    ):
        assert part in said


def test_a_registration_that_waits_is_no_version():
    waiting = DOCUMENTS["registration"] | {"version": None, "sent": False, "reason": "refused"}
    assert summary.model_lines(DOCUMENTS | {"registration": waiting})[-1] == "Model: alpr not registered yet (refused)"


def test_before_a_run_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="make run"):
        summary.main()
