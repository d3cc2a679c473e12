"""The Markdown summary of what a change does to the figures."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from pipeline.studies import change
from pipeline.studies.change import Side, flatten, main, report
from pipeline.studies.definition import StudyError

GIT = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@x.io", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@x.io"}


def evaluation(exact, cer=0.1, test_set="t"):
    return {
        "data": {"test_set": test_set},
        "end_to_end": {"exact": exact, "interval": {"exact": {"low": exact - 0.05, "high": exact + 0.05}}},
        "ocr": {"network": {"labelled": {"cer": cer, "interval": {"cer": {"low": 0.05, "high": 0.25}}}}},
    }


def curation(plates):
    return {"leaks": 0, "sources": {"kaggle": {"plates": plates, "splits": {"test": 30}}}}


def side(name="main", params=None, **documents):
    return Side(name, {stage: dict(flatten(one)) for stage, one in documents.items()}, params or {"seed": 7})


def row(text, start):
    return next(line for line in text.splitlines() if line.startswith(f"| {start} |"))


@pytest.mark.parametrize(
    ("exact", "cer", "said"),
    [
        (0.5, 0.1, "No figure moved."),
        (0.3, 0.1, "**Worse**: found and read exactly."),
        (0.7, 0.1, "**Better**: found and read exactly."),
        (0.48, 0.1, "Worse within the intervals: found and read exactly."),
        (0.5, 0.2, "Worse within the intervals: characters wrong on labelled plates."),  # less is better
        (0.7, 0.2, "**Better**: found and read exactly."),
        (0.7, 0.2, "Worse within the intervals: characters wrong on labelled plates."),
    ],
)
def test_the_verdict(exact, cer, said):
    assert said in report(side(evaluation=evaluation(0.5)), side("here", evaluation=evaluation(exact, cer)))


def test_the_table():
    text = report(side(evaluation=evaluation(0.5)), side("here", evaluation=evaluation(0.3, 0.05)))
    assert row(text, "found and read exactly") == (
        "| found and read exactly | 0.500 [0.450, 0.550] | 0.300 [0.250, 0.350] | **-0.200 worse** |"
    )
    assert row(text, "characters wrong on labelled plates").endswith("| -0.050 better |")
    assert row(text, "detection, AP50") == "| detection, AP50 | - | - | |"


def test_another_test_split_gives_no_difference():
    text = report(side(evaluation=evaluation(0.5)), side("here", evaluation=evaluation(0.3, test_set="other")))
    assert "The test split is another one" in text
    assert "worse" not in text
    assert row(text, "found and read exactly").endswith("| 0.300 [0.250, 0.350] | |")


def test_a_base_without_figures_is_said_and_ours_are_shown():
    text = report(side(params={"seed": 7}), side("here", {"seed": 7}, evaluation=evaluation(0.3)))
    assert "main has no figures to compare with" in text
    assert "| found and read exactly | - | 0.300 [0.250, 0.350] | |" in text
    assert "Params: the same." in text
    assert "Data" not in text


def test_params_and_data_that_changed():
    base = side(params={"seed": 7, "train.head": "ssd", "old": 3}, curation=curation(120))
    here = side(params={"seed": 7, "train.head": "yolo", "new": [1]}, curation=curation(150))
    text = report(base, here)
    assert '| train.head | `"ssd"` | `"yolo"` |' in text
    assert "| old | `3` | - |" in text
    assert "| new | - | `[1]` |" in text
    assert "| kaggle.plates | 120 | 150 |" in text
    assert "seed" not in text
    assert "splits" not in text
    assert "leaks" not in text


@pytest.mark.parametrize(
    ("registration", "said"),
    [
        (
            {"model": "alpr", "version": 3, "alias": "champion", "moved": False, "reason": "worse"},
            "Model: alpr version 3, not champion (worse).",
        ),
        (
            {"model": "alpr", "version": 3, "alias": "champion", "moved": True, "reason": "better"},
            "Model: alpr version 3, now champion (better).",
        ),
        ({"model": "alpr", "version": None, "reason": "no answer"}, "Model: not registered yet (no answer)."),
    ],
)
def test_what_registration_decided(registration, said):
    assert said in report(side(), side("here", registration=registration))


def checkout(folder, exact, seed=7):
    """A folder as a run leaves it."""
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics/evaluation.json").write_text(json.dumps(evaluation(exact)))
    (folder / "params.yaml").write_text(f"seed: {seed}\n")
    return folder


def test_against_another_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(checkout(tmp_path / "here", 0.7, seed=8))
    main(base=str(checkout(tmp_path / "there", 0.5)), out=tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "**Better**: found and read exactly." in text
    assert "| seed | `7` | `8` |" in text
    main(base=str(tmp_path / "there"))
    assert capsys.readouterr().out == text


def test_before_a_run_it_says_so(tmp_path, monkeypatch):
    there = checkout(tmp_path / "there", 0.5)
    here = checkout(tmp_path / "here", 0.5)
    shutil.rmtree(here / "metrics")
    monkeypatch.chdir(here)
    with pytest.raises(SystemExit, match="make run"):
        main(base=str(there))


def test_a_damaged_file_is_a_sentence(tmp_path):
    folder = checkout(tmp_path / "there", 0.5)
    (folder / "metrics/evaluation.json").write_text("{")
    with pytest.raises(StudyError, match="holds a damaged file"):
        change.of_folder(folder, "base")


def test_against_a_revision_that_dvc_knows(tmp_path, monkeypatch):
    """Two commits of a DVC project whose stage writes the metrics; and one before it that has no dvc.lock."""
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*words):
        subprocess.run(words, cwd=folder, check=True, env=os.environ | GIT, capture_output=True)

    def dvc(*words):
        run(sys.executable, "-m", "dvc", *words)

    run("git", "init", "-q", "-b", "main")
    (folder / "params.yaml").write_text("seed: 7\n")
    run("git", "add", "params.yaml")
    run("git", "commit", "-qm", "no pipeline yet")
    run("git", "tag", "before")
    dvc("init", "-q")
    (folder / "dvc.yaml").write_text(
        "stages:\n  evaluate:\n    cmd: mkdir -p metrics; cp evaluation.json metrics/evaluation.json\n"
        "    deps: [evaluation.json]\n    metrics: [metrics/evaluation.json]\n"
    )
    (folder / "evaluation.json").write_text(json.dumps(evaluation(0.5)))
    dvc("repro", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "main")
    (folder / "evaluation.json").write_text(json.dumps(evaluation(0.7)))
    (folder / "params.yaml").write_text("seed: 8\n")
    dvc("repro", "-q")

    monkeypatch.chdir(folder)
    main(base="main", out=tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "| found and read exactly | 0.500 [0.450, 0.550] | 0.700 [0.650, 0.750] | **+0.200 better** |" in text
    assert "| seed | `7` | `8` |" in text

    main(base="before", out=tmp_path / "report.md")
    assert "before has no figures to compare with" in (tmp_path / "report.md").read_text()
    with pytest.raises(SystemExit, match="ci-report: dvc metrics diff nowhere: "):
        main(base="nowhere")
