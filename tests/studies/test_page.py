"""The table and the picture of a study, from made-up answers of `dvc exp show --json`."""

import csv
import itertools
import re

import pytest

from pipeline.studies import experiments, page, picture
from pipeline.studies.definition import Study, settings
from pipeline.studies.results import FIGURES, Measure, difference, failed, result

STUDY = Study.model_validate(
    {
        "name": "trial",
        "base": {"seed": 8},
        "factors": {
            "head": {"ssd": {"train_detector.head": "ssd"}, "yolo": {"train_detector.head": "yolo"}},
            "data": {"more": {"synthetic.scenes": 200}},
            "decoder": {"slots": {"train_reader.decoder": "slots"}},
        },
    }
)


def figure(name, value, low=None, high=None):
    return {name: value, "interval": {name: {"low": low, "high": high}}}


def evaluation(exact, ap50, labelled, test_set="t"):
    return {
        "data": {"test_set": test_set, "photos": 9, "plates": 3, "crops": 12},
        "end_to_end": figure("exact", *exact),
        "detection": figure("ap50", *ap50),
        "ocr": {"network": {"labelled": figure("exact", *labelled)}},
    }


ANSWERS = {
    "base": evaluation((0.5, 0.4, 0.6), (0.8, 0.7, 0.9), (0.9, 0.8, 1.0)),
    "head: ssd": evaluation((0.2, 0.1, 0.3), (0.75, 0.6, 0.85), (None,)),
    "data: more": evaluation((0.7, 0.65, 0.8), (0.9, 0.85, 0.95), (0.9,), test_set="other"),
    "decoder: slots": evaluation((0.5, 0.4, 0.6), (0.8, 0.7, 0.9), (0.0, 0.0, 0.0)),
}


@pytest.fixture
def results():
    """All settings but yolo have figures; one of them is of another test split."""
    wanted = {one.experiment("trial", "code"): one for one in settings(STUDY)}
    shown = [
        {
            "name": name,
            "executor": None,
            "revs": [
                {
                    "data": {
                        "metrics": {
                            "metrics/evaluation.json": {"data": ANSWERS[one.label]},
                            "metrics/registration.json": {"data": {"run": f"run-{one.label}"}},
                            "metrics/export.json": {"error": {"type": "FileNotFoundError"}},
                        }
                    }
                }
            ],
        }
        for name, one in wanted.items()
        if one.label in ANSWERS
    ]
    known = experiments.parse([{"experiments": shown}], "trial")
    return [
        result(one, name, experiments.metrics(known[name]) if name in known else None) for name, one in wanted.items()
    ]


def cells(results, label):
    row = next(line for line in page.table(results) if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_table(results):
    assert cells(results, "base") == [
        "base",
        "",
        "0.500 [0.400, 0.600]",
        "0.800 [0.700, 0.900]",
        "0.900 [0.800, 1.000]",
    ]
    assert cells(results, "head: ssd") == [
        "head: ssd",
        '`train_detector.head="ssd"`',
        "0.200 [0.100, 0.300]<br>**-0.300**",
        "0.750 [0.600, 0.850]<br>-0.050",
        "-",
    ]
    assert cells(results, "head: yolo")[2:] == ["no figures"] * 3
    assert cells(results, "data: more")[2:] == ["0.700 [0.650, 0.800]", "0.900 [0.850, 0.950]", "0.900"]
    assert cells(results, "decoder: slots")[2:] == [
        "0.500 [0.400, 0.600]<br>0",
        "0.800 [0.700, 0.900]<br>0",
        "0.000 [0.000, 0.000]<br>**-0.900**",
    ]


def test_the_page_says_what_cannot_be_compared_and_what_is_missing(results):
    text = page.page(STUDY, results, "1234567")
    for part in (
        "4 of 5 settings run, on commit 1234567.",
        "9 photos with 3 plates, 12 crops",
        "    seed=8",
        "hollow in the picture: data: more.",
        "Without figures: head: yolo.",
        f"`{results[1].experiment}`, run `run-head: ssd`",
    ):
        assert part in text
    assert failed(results) == ["head: yolo"]


def test_a_study_of_which_nothing_ran_has_a_page_too(tmp_path):
    nothing = [result(one, "x", None) for one in settings(STUDY)]
    page.write(tmp_path, STUDY, nothing, "1234567")
    assert "0 of 5 settings run" in (tmp_path / "index.md").read_text()
    assert not (tmp_path / page.PICTURE).exists()


def test_the_numbers(results, tmp_path):
    page.write(tmp_path, STUDY, results, "1234567")
    with (tmp_path / "results.csv").open() as file:
        rows = {row["setting"]: row for row in csv.DictReader(file)}
    assert rows["head: ssd"]["end_to_end.exact.low"] == "0.1"
    assert rows["head: ssd"]["mlflow_run"] == "run-head: ssd"
    assert rows["head: yolo"]["detection.ap50"] == ""


def test_the_picture_shows_every_setting_and_is_the_same_twice(results, tmp_path):
    page.write(tmp_path, STUDY, results, "1234567")
    drawn = (tmp_path / page.PICTURE).read_text()
    for one in results:
        assert f">{one.setting.label}<" in drawn
    assert drawn.count(">no figures<") == len(FIGURES)
    assert drawn.count(">not measured<") == 1
    page.write(tmp_path, STUDY, results, "1234567")
    assert (tmp_path / page.PICTURE).read_text() == drawn


def test_the_picture_places_figures_and_intervals(results):
    panel = picture.figure(results).axes[0]
    dots = {(round(float(x), 3), y) for line in panel.lines if line.get_marker() == "o" for x, y in line.get_xydata()}
    rows = picture.heights(results)
    assert dots == {(0.5, rows[0]), (0.2, rows[1]), (0.7, rows[3]), (0.5, rows[4])}
    assert all(after > before for before, after in itertools.pairwise(rows))
    assert rows[2] - rows[1] < rows[3] - rows[2], "a gap between factors"
    hollow = [line for line in panel.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert [float(line.get_xdata()[0]) for line in hollow] == [0.7]


def test_a_picture_of_a_base_that_failed(results, tmp_path):
    picture.draw([result(results[0].setting, "x", None), *results[1:]], tmp_path / "picture.svg")
    assert re.search(">no figures<", (tmp_path / "picture.svg").read_text())


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (Measure(0.5, 0.4, 0.6), Measure(0.8, 0.7, 0.9), True),
        (Measure(0.8, 0.7, 0.9), Measure(0.5, 0.4, 0.6), True),
        (Measure(0.5, 0.4, 0.7), Measure(0.8, 0.7, 0.9), False),
        (Measure(0.0, 0.0, 0.0), Measure(0.5, 0.1, 0.9), True),
        (Measure(0.5), Measure(0.8, 0.7, 0.9), False),
        (Measure(), Measure(), False),
    ],
)
def test_intervals_that_have_nothing_in_common(one, other, apart):
    assert one.apart(other) is apart


def test_differences_are_of_the_same_test_split_only(results):
    base, ssd, yolo, more, _ = results
    assert difference(ssd, base, "detection.ap50") == pytest.approx(-0.05)
    assert difference(ssd, base, "ocr.network.labelled.exact") is None
    assert difference(yolo, base, "detection.ap50") is None
    assert difference(more, base, "detection.ap50") is None
    assert difference(base, base, "detection.ap50") is None
