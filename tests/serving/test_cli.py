"""The command line with a fake recogniser: rows, tables, crops, exit codes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.images import encode_png, read_image
from pipeline.recognizer import Recognizer
from pipeline.records import Box, Detection, Quad, Reading
from pipeline.serving.cli import app

BOX = Box(10, 12.345, 50, 24)
DETECTION = Detection(BOX, Quad.of_box(BOX), 0.98765)
READING = Reading("AB12", 0.9, (0.9, 0.8, 0.7, 0.6), "GB")


class FakeDetector:
    """One plate in every picture that is not black."""

    def detect(self, images, min_score=0.3):
        return [[DETECTION] if image.any() and DETECTION.score >= min_score else [] for image in images]


class FakeReader:
    def read(self, crops):
        return [READING if crop.any() else Reading("", 0.0) for crop in crops]


@pytest.fixture
def alpr(monkeypatch):
    """Runs a command line on fakes; returns what CliRunner saw."""
    fakes = Recognizer(FakeDetector(), FakeReader())
    monkeypatch.setattr("pipeline.recognizer.Recognizer.load", lambda *args, **options: fakes)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photos(tmp_path):
    """a.png with a plate, b.png without, c.png broken."""
    for name, grey in (("a", 200), ("b", 0)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(np.full((40, 60, 3), grey, dtype=np.uint8)))
    (tmp_path / "c.png").write_bytes(b"not an image")
    return tmp_path


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_recognize_prints_a_line_for_each_image(alpr, photos):
    result = alpr("recognize", photos / "a.png", photos / "b.png", "--json")
    assert result.exit_code == 0
    assert lines(result) == [
        {
            "image": str(photos / "a.png"),
            "width": 60,
            "height": 40,
            "plates": [
                {
                    "box": [10, 12.35, 50, 24],
                    "corners": [[10, 12.35], [50, 12.35], [50, 24], [10, 24]],
                    "score": 0.9877,
                    "text": "AB12",
                    "guess": "",
                    "text_score": 0.9,
                    "char_scores": [0.9, 0.8, 0.7, 0.6],
                    "region": "GB",
                }
            ],
        },
        {"image": str(photos / "b.png"), "width": 60, "height": 40, "plates": []},
    ]


def test_one_bad_input_stops_no_other_and_is_named(alpr, photos):
    result = alpr("recognize", photos / "c.png", "gone.png", photos / "a.png", "--json")
    assert result.exit_code == 1
    broken, gone, good = lines(result)
    assert broken["image"] == str(photos / "c.png")
    assert gone == {"image": "gone.png", "error": "no such file or folder"}
    assert len(good["plates"]) == 1
    assert "c.png" in result.stderr
    assert "gone.png" in result.stderr


def test_a_failing_network_is_a_row_too(alpr, photos, monkeypatch):
    def fail(self, images, min_score=0.3):
        raise RuntimeError("no memory")

    monkeypatch.setattr(FakeDetector, "detect", fail)
    assert lines(alpr("recognize", photos / "a.png", "--json")) == [
        {"image": str(photos / "a.png"), "error": "no memory"}
    ]


def test_the_table_names_text_and_pictures_without_plates(alpr, photos):
    result = alpr("recognize", photos / "a.png", photos / "b.png")
    assert result.exit_code == 0
    assert "AB12" in result.stdout
    assert "no plate" in result.stdout


def test_min_score_reaches_the_recogniser(alpr, photos):
    assert lines(alpr("recognize", photos / "a.png", "--json", "--min-score", "0.99"))[0]["plates"] == []


@pytest.mark.parametrize("command", ["recognize", "read"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [([], (None, None)), (["--region", "IN", "--min-text-score", "0.8"], ("IN", 0.8))],
    ids=["left out", "given"],
)
def test_country_and_least_text_score_reach_the_recogniser(photos, monkeypatch, command, options, expected):
    asked = []

    def load(*args, region, min_text_score, **others):
        asked.append((region, min_text_score))
        return Recognizer(FakeDetector(), FakeReader())

    monkeypatch.setattr("pipeline.recognizer.Recognizer.load", load)
    assert CliRunner().invoke(app, [command, str(photos / "a.png"), *options]).exit_code == 0
    assert asked == [expected]


@pytest.mark.parametrize("command", ["recognize", "detect"])
@pytest.mark.parametrize("options", [[], ["--fast"]], ids=["large", "fast"])
def test_fast_takes_the_small_detector(photos, monkeypatch, command, options):
    asked = []

    def load(*args, fast=False, **others):
        asked.append(fast)
        return Recognizer(FakeDetector(), FakeReader())

    monkeypatch.setattr("pipeline.recognizer.Recognizer.load", load)
    assert CliRunner().invoke(app, [command, str(photos / "a.png"), *options]).exit_code == 0
    assert asked == [bool(options)]


def test_detect_writes_rectified_crops_that_do_not_overwrite_each_other(alpr, photos, tmp_path):
    (photos / "more").mkdir()
    (photos / "more" / "a.png").write_bytes((photos / "a.png").read_bytes())
    result = alpr("detect", photos / "a.png", photos / "more", "--crops", tmp_path / "crops", "--json")
    crops = [plate["crop"] for row in lines(result) for plate in row["plates"]]
    assert crops == [str(tmp_path / "crops" / name) for name in ("a-1.png", "a-2.png")]
    assert "text" not in lines(result)[0]["plates"][0]
    assert all(read_image(tmp_path / "crops" / name).shape[0] >= 64 for name in ("a-1.png", "a-2.png"))


def test_read_gives_a_reading_for_each_crop_and_a_no_read_is_empty(alpr, photos):
    good, blank = lines(alpr("read", photos / "a.png", photos / "b.png", "--json"))
    assert (good["text"], good["score"], good["region"]) == ("AB12", 0.9, "GB")
    assert (blank["text"], blank["score"], blank["char_scores"]) == ("", 0.0, [])
    assert "(not read)" in alpr("read", photos / "b.png").stdout


@pytest.mark.parametrize("command", ["recognize", "read"])
def test_an_unsure_text_is_withheld_and_its_guess_stands_in_json(alpr, photos, monkeypatch, command):
    unsure = Reading("", 0.3, (0.5, 0.6), guess="AB")
    monkeypatch.setattr(FakeReader, "read", lambda self, crops: [unsure] * len(crops))
    (row,) = lines(alpr(command, photos / "a.png", "--json"))
    (plate,) = row.get("plates", [row])
    assert (plate["text"], plate["guess"], plate["char_scores"]) == ("", "AB", [0.5, 0.6])
    shown = alpr(command, photos / "a.png").stdout
    assert "(not read)" in shown
    assert "AB" not in shown.replace(str(photos), "")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("no such option", ["recognize", "a.png", "--colour"]),
        ("no input", ["recognize"]),
        ("score above one", ["recognize", "a.png", "--min-score", "2"]),
        ("unknown reader", ["read", "a.png", "--reader", "magic"]),
        ("text score below zero", ["read", "a.png", "--min-text-score", "-0.1"]),
    ],
)
def test_wrong_usage_ends_with_2(alpr, name, arguments):
    assert alpr(*arguments).exit_code == 2


def test_a_model_folder_without_a_model_is_a_sentence_and_2(tmp_path):
    result = CliRunner().invoke(app, ["recognize", "a.png", "--model", str(tmp_path)])
    assert result.exit_code == 2
    assert "bundle.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_recognize_runs_the_networks_and_loads_nothing_heavy(tiny_bundle, tmp_path):
    picture = np.zeros((120, 160, 3), dtype=np.uint8)
    picture[56:64, 76:84] = 255
    (tmp_path / "a.png").write_bytes(encode_png(picture))
    code = (
        "import sys\n"
        "from pipeline.serving.cli import app\n"
        "try:\n"
        f"    app(['recognize', {str(tmp_path / 'a.png')!r}, '--model', {str(tiny_bundle)!r}, '--json'])\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'dvc', 'mlflow', 'great_expectations', 'scipy'}\n"
        "    print(heavy & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row, heavy = done.stdout.splitlines()
    assert heavy == "set()"
    (plate,) = json.loads(row)["plates"]
    assert plate["text"] == "AB12"
    x1, y1, x2, y2 = plate["box"]
    assert (x1 + x2) / 2 == pytest.approx(80, abs=2)
    assert (y1 + y2) / 2 == pytest.approx(60, abs=2)


def test_doctor_ends_with_1_when_something_is_wrong(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "PROBLEM tesseract" in result.stdout
