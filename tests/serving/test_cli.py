"""The commands: what they take, what they print and write, and how they end; mostly with a fake recogniser."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.images import encode_png, read_image
from pipeline.recognizer import Recognizer
from pipeline.records import Reading
from pipeline.serving import models
from pipeline.serving.cli import app
from pipeline.serving.video import Video

from .bad_images import bad_images
from .fakes import FakeDetector, FakeReader, grey, lines, on_fakes
from .test_video import make

FORMS = {"table": (), "json": ("--json",), "csv": ("--csv",)}


@pytest.fixture
def alpr(monkeypatch):
    return on_fakes(monkeypatch)


@pytest.fixture
def photos(tmp_path):
    """a.png with a plate, b.png without, c.png broken."""
    for name, value in (("a", 200), ("b", 0)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(grey(value)))
    (tmp_path / "c.png").write_bytes(b"not an image")
    return tmp_path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds of a car that stands."""
    return make(tmp_path_factory.mktemp("clip") / "drive.mp4")


def names_of(form, result):
    """What the lines of an answer are called by."""
    if form == "json":
        return [row.get("image", row.get("video")) for row in lines(result)]
    if form == "csv":
        return [row["image"] for row in csv.DictReader(io.StringIO(result.stdout))]
    return [line[60:] for line in result.stdout.splitlines()[1:]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["photo", "folder", "pattern", "list of names"])
def test_photos_however_named_have_a_line_each_in_every_form(alpr, photos, form, kind):
    (photos / "c.png").unlink()
    both = [str(photos / "a.png"), str(photos / "b.png")]
    given, stdin, expected = {
        "photo": ((both[0],), None, both[:1]),
        "folder": ((photos,), None, both),
        "pattern": ((photos / "*.png",), None, both),
        "list of names": (("-",), "\n".join(both), both),
    }[kind]
    result = alpr("recognize", *given, *FORMS[form], stdin=stdin)
    assert result.exit_code == 0, result.output
    assert names_of(form, result) == expected
    assert "AB12" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_on_standard_input_has_a_line_in_every_form(alpr, photos, form):
    result = alpr("recognize", "-", *FORMS[form], stdin=(photos / "a.png").read_bytes())
    assert (result.exit_code, names_of(form, result)) == (0, ["-"])


@pytest.mark.parametrize("form", FORMS)
def test_a_video_has_a_line_for_each_plate_with_its_time_in_every_form(alpr, clip, form):
    result = alpr("recognize", clip, "--min-text-score", "0.5", *FORMS[form])
    assert result.exit_code == 0, result.output
    timed = str(clip) if form == "json" else f"{clip} [0.0 to 1.8 s]"
    assert names_of(form, result) == [timed]
    assert "AB12" in result.stdout
    assert form != "json" or (lines(result)[0]["first_seen"], lines(result)[0]["last_seen"]) == (0.0, 1.8)


def test_detect_has_a_row_for_each_frame_of_a_video_and_read_refuses_it(alpr, clip):
    rows = lines(alpr("detect", clip, "--every", "0.5", "--json"))
    assert [(row["time"], len(row["plates"])) for row in rows] == [(0.0, 1), (0.5, 1), (1.0, 1), (1.5, 1)]
    refused = alpr("read", clip, "--json")
    assert refused.exit_code == 1
    assert "alpr recognize" in lines(refused)[0]["error"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_truncated_video_gives_what_is_there_and_says_where_it_ends(alpr, tmp_path, clip, threads):
    whole = make(tmp_path / "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = alpr("recognize", cut, clip, "--json", "--min-text-score", "0.5", "--threads", threads)
    assert result.exit_code == 1
    seen, ended, other = lines(result)
    assert seen["text"] == "AB12"
    assert "ends at" in ended["error"]
    assert other["video"] == str(clip)
    assert result.stderr == f"alpr: {cut}: {ended['error']}\n"


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


def test_each_bad_image_is_one_error_row_and_the_others_are_read(alpr, tmp_path):
    for name, (data, _) in bad_images().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "good.png").write_bytes(encode_png(grey(200)))
    expected = {**{name: said for name, (_, said) in bad_images().items()}, "good.png": None}
    result = alpr("recognize", tmp_path, "--json")
    rows = {Path(row["image"]).name: row for row in lines(result)}
    assert result.exit_code == 1
    assert sorted(rows) == sorted(expected)
    assert len(lines(result)) == len(expected)
    for name, said in expected.items():
        assert ("error" in rows[name]) == (said is not None), rows[name]
        assert (said or "") in rows[name].get("error", "")
        assert result.stderr.count(f"{tmp_path / name}: ") == (said is not None)


@pytest.mark.parametrize("command", ["recognize", "detect", "read", "redact"])
def test_what_is_not_there_is_named_and_the_rest_goes_on(alpr, photos, command):
    (photos / "empty").mkdir()
    missing = {
        "gone.png": "no such file",
        str(photos / "empty"): "no images in this folder",
        str(photos / "*.tiff"): "no file matches this pattern",
    }
    out = ("--out", photos / "out") if command == "redact" else ()
    result = alpr(command, *missing, photos / "a.png", *out)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    for (name, said), line in zip(missing.items(), result.stderr.splitlines(), strict=True):
        assert line.startswith(f"alpr: {name}: ")
        assert said in line.lower()
    assert "a.png" in result.stdout


def test_a_name_that_would_move_the_cursor_is_shown_escaped(alpr, tmp_path):
    for name in ("a\n\x1b[2J.png", "b\n\x1b[2J.png"):
        (tmp_path / name).write_bytes(encode_png(grey(200)) if name[0] == "a" else b"no picture")
    result = alpr("recognize", tmp_path)
    assert result.stdout.splitlines()[1].endswith("a\\n\\x1b[2J.png")
    assert "b\\n\\x1b[2J.png" in result.stderr
    assert "\x1b" not in result.output


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


def test_pictures_with_plates_drawn_and_crops_have_names_of_their_own(alpr, photos, tmp_path):
    (photos / "more").mkdir()
    shutil.copy(photos / "a.png", photos / "more" / "a.png")
    drawn, crops = tmp_path / "drawn", tmp_path / "crops"
    rows = lines(alpr("recognize", photos, "--annotate", drawn, "--crops", crops, "--json"))
    made = {Path(row["image"]).relative_to(photos).as_posix(): row for row in rows}
    assert sorted(path.name for path in drawn.iterdir()) == ["a-2.jpg", "a.jpg", "b.jpg"]
    assert sorted(path.name for path in crops.iterdir()) == ["a-1.png", "a-2.png"]
    for name in ("a.png", "more/a.png"):
        picture = read_image(Path(made[name]["annotated"]))
        assert picture.shape == (40, 60, 3)
        assert np.ptp(picture.astype(int)) > 100, "lines on an even grey"
        height, width, _ = read_image(Path(made[name]["plates"][0]["crop"])).shape
        assert height == 64
        assert width / height == pytest.approx(40 / 11.655, rel=0.1)
    assert made["c.png"].keys() == {"image", "error"}


def test_a_picture_of_standard_input_is_written_as_stdin(alpr, photos, tmp_path):
    given = {"stdin": (photos / "a.png").read_bytes()}
    alpr("recognize", "-", "--annotate", tmp_path / "drawn", "--crops", tmp_path / "crops", **given)
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["stdin.jpg"]
    assert [path.name for path in (tmp_path / "crops").iterdir()] == ["stdin-1.png"]


def test_a_folder_that_cannot_be_written_to_is_an_error_of_each_picture(alpr, photos):
    result = alpr("recognize", photos / "a.png", photos / "b.png", "--annotate", photos / "c.png" / "x", "--json")
    assert result.exit_code == 1
    assert ["cannot be written" in row["error"] for row in lines(result)] == [True, True]


def test_redact_writes_photos_and_videos_and_says_what_it_wrote(alpr, photos, clip, tmp_path):
    out = tmp_path / "out"
    result = alpr("redact", photos, clip, "--out", out, "--threads", "2")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{out}/a.png: 1 plate blurred",
        f"{out}/b.png: 0 plates blurred",
        f"{out}/drive.mp4: 1 plate blurred",
    ]
    assert result.stderr.startswith(f"alpr: {photos}/c.png: not an image")
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png", "drive.mp4"]
    with Video(out / "drive.mp4") as written:
        assert len(list(written.frames(0))) == 40


def test_read_gives_a_reading_for_each_crop_and_a_no_read_is_empty(alpr, photos):
    good, blank = lines(alpr("read", photos / "a.png", photos / "b.png", "--json"))
    assert (good["text"], good["score"], good["region"]) == ("AB12", 0.9, "GB")
    assert (blank["text"], blank["score"], blank["char_scores"]) == ("", 0.0, [])
    assert "(not read)" in alpr("read", photos / "b.png").stdout


@pytest.mark.parametrize("command", ["recognize", "read"])
def test_an_unsure_text_is_withheld_and_its_guess_stands_apart(alpr, photos, monkeypatch, command):
    unsure = Reading("", 0.3, (0.5, 0.6), guess="AB")
    monkeypatch.setattr(FakeReader, "read", lambda self, crops: [unsure] * len(crops))
    (row,) = lines(alpr(command, photos / "a.png", "--json"))
    (plate,) = row.get("plates", [row])
    assert (plate["text"], plate["guess"], plate["char_scores"]) == ("", "AB", [0.5, 0.6])
    shown = alpr(command, photos / "a.png").stdout
    assert "AB? " in shown


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("no such option", ["recognize", "a.png", "--colour"]),
        ("no input", ["recognize"]),
        ("score above one", ["recognize", "a.png", "--min-score", "2"]),
        ("unknown reader", ["read", "a.png", "--reader", "magic"]),
        ("text score below zero", ["read", "a.png", "--min-text-score", "-0.1"]),
        ("two forms of recognize", ["recognize", "a.png", "--json", "--csv"]),
        ("two forms of detect", ["detect", "a.png", "--json", "--csv"]),
        ("two forms of read", ["read", "a.png", "--json", "--csv"]),
        ("redact to nowhere", ["redact", "a.png"]),
    ],
)
def test_wrong_usage_ends_with_2(alpr, name, arguments):
    assert alpr(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["recognize", "detect", "read", "redact", "serve"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no folder", "no bundle.json here"),
        ("half a bundle.json", "is damaged"),
        ("a size that is none", "bundle.json is damaged"),
        ("a flipped byte", "SHA-256"),
        ("no file", "reader.onnx"),
    ],
)
def test_a_model_that_is_not_whole_is_a_sentence_and_2(tiny_bundle, photos, tmp_path, command, damage, said):
    model = tmp_path / "model"
    if damage != "no folder":
        shutil.copytree(tiny_bundle, model)
    if damage == "half a bundle.json":
        (model / "bundle.json").write_bytes((tiny_bundle / "bundle.json").read_bytes()[:300])
    elif damage == "a size that is none":
        bundle = json.loads((tiny_bundle / "bundle.json").read_text())
        bundle["detector"]["resolution"], bundle["reader"]["height"] = None, None
        (model / "bundle.json").write_text(json.dumps(bundle))
        said = "export the models again"
    elif damage == "a flipped byte":
        data = bytearray((tiny_bundle / "reader.onnx").read_bytes())
        data[-1] ^= 1
        (model / "reader.onnx").write_bytes(data)
    elif damage == "no file":
        (model / "reader.onnx").unlink()
    given = {"serve": (), "redact": (photos, "--out", tmp_path / "out")}.get(command, (photos,))
    result = CliRunner().invoke(app, [command, *map(str, given), "--model", str(model)])
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("alpr: ")
    assert said in line
    assert not (tmp_path / "out").exists()


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


def test_doctor_ends_with_1_when_something_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "PROBLEM tesseract" in result.stdout


def test_models_lists_each_and_marks_what_is_not_whole(tiny_bundle, tmp_path, monkeypatch):
    exported = tmp_path / "exported"
    shutil.copytree(tiny_bundle, exported)
    (exported / "reader.onnx").write_bytes(b"cut off")
    monkeypatch.setattr(models, "SHIPPED", tiny_bundle)
    monkeypatch.setattr(models, "EXPORTED", exported)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.test")
    monkeypatch.setattr(models.registry, "versions", lambda: [("alpr", "2", "champion"), ("alpr", "1", None)])
    result = CliRunner().invoke(app, ["models"])
    shipped, damaged, champion, first = result.stdout.splitlines()
    assert result.exit_code == 1
    assert shipped.split(maxsplit=2) == ["ok", str(tiny_bundle), "ships with the package"]
    assert damaged.split()[:2] == ["PROBLEM", str(exported)]
    assert "SHA-256" in damaged
    assert champion.split(maxsplit=2) == ["ok", "models:/alpr@champion", "version 2 of alpr in MLflow"]
    assert first.split(maxsplit=2) == ["ok", "models:/alpr/1", "version 1 of alpr in MLflow"]
