"""The tables that dvc plots show draws."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.report import plots

from .conftest import CASES, document_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(tmp_path):
    plots.write(tmp_path, document_of(CASES), CASES)
    return {path.stem: list(csv.DictReader(path.open())) for path in tmp_path.iterdir()}


def test_curves_and_confusions(tables):
    curve = [(float(row["recall"]), float(row["precision"])) for row in tables["precision_recall"]]
    assert curve[0] == (pytest.approx(1 / 3, abs=1e-4), 1.0)
    assert curve[-1] == (1.0, 0.6)
    assert [row["case"] for row in tables["exact_match"]][:2] == ["network, labelled crops", "network, detected crops"]
    assert tables["confusions"] == [
        {"confusion": "D read as 0", "actual": "D", "predicted": "0", "times": "1"},
        {"confusion": "G read as 6", "actual": "G", "predicted": "6", "times": "1"},
    ]
    assert [row["swap"] for row in tables["attribution"]][:2] == ["as found", "missed plates shown"]
    assert [(row["n"], row["right"]) for row in tables["reliability"]] == [("4", "0.5")]
    assert tables["coverage"] == [{"given": "1.0", "wrong": "0.5", "threshold": "0.9", "n": "4"}]
    assert tables["recall_by_height"][0]["plates"] == "4"


def test_what_dvc_draws_is_written(tables):
    """Every file and column of dvc.yaml's plots that evaluate writes; and nothing is written that is not drawn."""
    drawn = {}
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]:
        ((_, settings),) = plot.items()
        for path, columns in settings["y"].items():
            if path.startswith("plots/"):
                asked = [settings["x"], *([columns] if isinstance(columns, str) else columns)]
                drawn.setdefault(Path(path).stem, set()).update(asked)
    assert set(drawn) == set(tables)
    header = {name: set(rows[0]) for name, rows in tables.items() if rows}
    assert all(columns <= header[name] for name, columns in drawn.items() if name in header)


@pytest.mark.integration
def test_dvc_shows_them(tmp_path):
    """`dvc plots show` finds every table that evaluate writes, and puts all of its rows into the plot."""
    settings = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    own = [plot for plot in settings for one in plot.values() if next(iter(one["y"])).startswith("plots/")]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": own}, sort_keys=False))
    dvc, quiet = [sys.executable, "-m", "dvc"], {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=tmp_path, env=quiet, check=True)
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    plots.write(tmp_path / "plots", document_of(CASES), CASES)
    shown = subprocess.run(
        [*dvc, "plots", "show", "--json"], cwd=tmp_path, env=quiet, check=True, capture_output=True, text=True
    ).stdout
    found = json.loads(shown)
    assert not found.get("errors")
    drawn = {name: one[0]["content"]["data"]["values"] for name, one in found["data"].items() if one}
    empty = {name for plot in own for name in plot} - set(drawn)
    assert empty <= {"Exact match by region, rows, height and blur"}  # no slice of CASES has texts enough
    swaps = drawn["Plates read right as truth is swapped in, end to end"]
    assert [row["swap"] for row in swaps][-1] == "true text"
