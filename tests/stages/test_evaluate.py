"""The stage evaluate with a fake recogniser: what it asks of it, what it writes, how it fails."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner

from pipeline import manifest
from pipeline.bundle import Bundle
from pipeline.images import encode_png, sha256
from pipeline.recognizer import Recognizer
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample
from pipeline.stages import evaluate

BUNDLE = Bundle(Path(), {"stride": 8}, {}, {}, {"height": 64, "calibration": {"threshold": 0.6}}, {}, {})
COMMITTED = Path(__file__).parents[2] / "params.yaml"
SAMPLES = [("test", "photo", "AB12"), ("test", "photo", "CD34"), ("test", "photo", None)]
SAMPLES += [("test", "crop", "AB12"), ("train", "photo", "AB12"), ("train", "photo", None)]


class FakeDetector:
    """Finds a plate of 100 x 20 at the brightest spot, and a doubtful one elsewhere."""

    def __init__(self):
        self.images, self.floors = 0, set()

    def detect(self, images, min_score=0.3):
        self.images += len(images)
        self.floors.add(min_score)
        found = []
        for image in images:
            row, column = np.argwhere(image[..., 0] == 255)[0]
            found.append([self._at(column, row, 0.9), self._at(200, 200, 0.05)])
        return found

    @staticmethod
    def _at(x, y, score):
        box = Box(float(x), float(y), float(x) + 100, float(y) + 20)
        return Detection(box, Quad.of_box(box), score)


class FakeReader:
    """Reads one text, or guesses it, on everything that is bright."""

    def __init__(self, text):
        self.text, self.guess, self.crops, self.shapes = text, "", 0, set()

    def read(self, crops):
        self.crops += len(crops)
        self.shapes |= {crop.shape[:2] for crop in crops}
        scores = (0.8,) * len(self.text or self.guess)
        read, unread = Reading(self.text, 0.8, scores, guess=self.guess), Reading("", 0.0)
        return [read if crop.mean() > 100 else unread for crop in crops]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small curated set; photos are black with a white plate, a crop is white."""
    samples = []
    for number, (split, kind, text) in enumerate(SAMPLES):
        width, height, at = (100, 20, 0) if kind == "crop" else (320, 240, 10 + number)
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[at : at + 20, at : at + 100] = 255
        data = encode_png(image)
        path = tmp_path / "raw" / "s" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        plate = Plate(Box(at, at, at + 100, at + 20), text=text)
        name, group = f"s/{number}.png", str(number)
        samples.append(Sample(sha256(data), name, width, height, (plate,), "s", group, split, kind=kind))
    manifest.write_manifest(tmp_path / "manifest.jsonl", samples)
    set_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_params(folder, **changes):
    settings = yaml.safe_load(COMMITTED.read_text())
    plain = {"min_score": 0.3, "bootstrap": 50, "worst": 2, "tesseract": True, "rapidocr": False}
    settings["evaluate"] |= plain | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture
def recognizer(monkeypatch):
    fake = Recognizer(FakeDetector(), FakeReader("AB12"))
    baseline = FakeReader("A812")
    monkeypatch.setattr(evaluate.Bundle, "load", classmethod(lambda cls, folder: BUNDLE))
    monkeypatch.setattr(evaluate.Recognizer, "load", classmethod(lambda cls, folder, fast=False: fake))
    monkeypatch.setattr(evaluate, "TesseractReader", lambda: baseline)
    monkeypatch.setattr(evaluate, "corner_finder", lambda bundle: lambda image, box: Quad.of_box(box))
    fake.baseline = baseline
    return fake


def run(**more):
    app = Typer()
    app.command()(evaluate.main)
    options = {
        "models": "models",
        "manifest": "manifest.jsonl",
        "images": "raw",
        "out": "out",
        "metrics": "metrics/evaluation.json",
        "report": "report",
        "plots": "plots",
        **more,
    }
    return CliRunner().invoke(app, [item for name, value in options.items() for item in (f"--{name}", value)])


def predictions(project):
    return {row["image"]: row for row in manifest.read_jsonl(project / "out" / "predictions.jsonl")}


def test_every_output_is_written(project, recognizer):
    result = run()
    assert result.exit_code == 0, result.output
    written = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert {"out/predictions.jsonl", "out/profile.json", "metrics/evaluation.json", "report/index.html"} <= written
    assert {"report/worst.jpg", "plots/precision_recall.csv", "plots/coverage.csv"} <= written
    document = json.loads((project / "metrics" / "evaluation.json").read_text())
    assert document["detection"]["ap50"] == pytest.approx(1.0)
    assert document["detection_fast"]["ap50"] == pytest.approx(1.0)
    assert document["ocr"]["network"]["labelled"]["exact"] == pytest.approx(2 / 3)
    assert document["ocr"]["tesseract"]["labelled"]["exact"] == 0.0
    assert document["ocr"]["network"]["detected"]["exact"] == 0.5
    assert document["end_to_end"]["exact"] == 0.5
    assert (document["data"]["photos"], document["data"]["crops"], document["data"]["plates"]) == (3, 1, 3)
    assert len(document["data"]["test_set"]) == 64
    assert "AP50" in result.output
    assert "AB12" not in result.output


def test_predictions_are_of_every_split_sorted_by_id(project, recognizer):
    run()
    rows = manifest.read_jsonl(project / "out" / "predictions.jsonl")
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    by_image = predictions(project)
    assert {image: row["split"] for image, row in by_image.items()} == {
        f"s/{number}.png": split for number, (split, _, _) in enumerate(SAMPLES)
    }
    assert by_image["s/1.png"] == {
        "id": by_image["s/1.png"]["id"],
        "image": "s/1.png",
        "split": "test",
        "source": "s",
        "kind": "photo",
        "detections": [
            {
                "box": [11.0, 11.0, 111.0, 31.0],
                "quad": [[11.0, 11.0], [111.0, 11.0], [111.0, 31.0], [11.0, 31.0]],
                "score": 0.9,
                "text": "AB12",
                "text_score": 0.8,
                "char_scores": [0.8, 0.8, 0.8, 0.8],
            }
        ],
        "faint": [{"box": [200.0, 200.0, 300.0, 220.0], "score": 0.05}],
        "readings": [
            {
                "plate": 0,
                "reader": {"text": "AB12", "score": 0.8, "char_scores": [0.8, 0.8, 0.8, 0.8]},
                "tesseract": {"text": "A812", "score": 0.8, "char_scores": [0.8, 0.8, 0.8, 0.8]},
                "rapidocr": None,
            }
        ],
    }
    assert by_image["s/3.png"]["detections"] == []
    assert by_image["s/3.png"]["readings"][0]["reader"]["text"] == "AB12"


def test_the_slow_baseline_reads_only_what_is_compared(project, recognizer):
    run()
    assert recognizer.detector.images == 5 + 3  # photos, not the crop; those of the test split by the small one too
    assert max(recognizer.detector.floors) <= 0.01  # AP needs the doubtful ones
    assert recognizer.reader.crops == 6 + 5 + 2  # every plate, every confident detection, test plates in their true box
    assert recognizer.baseline.crops == 3 + 3  # certain texts and detections of the test split
    assert recognizer.reader.shapes >= {(20, 100), (64, 288)}  # a crop sample as it is, plates rectified
    assert predictions(project)["s/2.png"]["readings"][0]["tesseract"] is None
    assert predictions(project)["s/4.png"]["readings"][0]["tesseract"] is None


def test_guesses_are_measured_and_shown_to_annotators_but_not_given(project, recognizer):
    recognizer.reader.text, recognizer.reader.guess = "", "AB12"
    assert run().exit_code == 0
    document = json.loads((project / "metrics" / "evaluation.json").read_text())
    own, other = document["ocr"]["network"], document["ocr"]["tesseract"]
    assert own["labelled"]["exact"] == pytest.approx(2 / 3)
    assert (own["answers"]["given"], own["answers"]["given_wrong"], own["answers"]["n"]) == (0.0, None, 3)
    assert own["answers"]["calibration_error"] == pytest.approx(0.8 - 2 / 3, abs=1e-4)
    assert (other["answers"]["given"], other["answers"]["given_wrong"]) == (1.0, 1.0)
    row = predictions(project)["s/1.png"]
    assert row["detections"][0]["text"] == row["readings"][0]["reader"]["text"] == "AB12"


def test_a_third_reader_reads_every_plate_of_every_split(project, recognizer, monkeypatch):
    third = FakeReader("CD34")
    monkeypatch.setattr("pipeline.readers.rapidocr.RapidOcrReader", lambda: third)
    set_params(project, rapidocr=True)
    assert run().exit_code == 0
    assert third.crops == 6 + 5  # as our own: it helps to find wrong labels, which are in every split
    rows = predictions(project)
    assert rows["s/4.png"]["readings"][0]["rapidocr"]["text"] == "CD34"
    document = json.loads((project / "metrics" / "evaluation.json").read_text())
    assert list(document["ocr"]) == ["network", "rapidocr", "tesseract"]
    assert document["ocr"]["rapidocr"]["labelled"]["exact"] == pytest.approx(1 / 3)
    assert set(document["end_to_end_baselines"]) == {"tesseract", "rapidocr"}


def test_without_tesseract(project, recognizer):
    set_params(project, tesseract=False)
    assert run().exit_code == 0
    document = json.loads((project / "metrics" / "evaluation.json").read_text())
    assert set(document["ocr"]) == {"network"}
    assert document["end_to_end_baselines"] == {}
    assert recognizer.baseline.crops == 0


def test_with_real_networks(project, tiny_bundle):
    set_params(project, tesseract=False)
    (project / "models").symlink_to(tiny_bundle)
    result = run()
    assert result.exit_code == 0, result.output
    rows = predictions(project).values()
    assert {reading["reader"]["text"] for row in rows for reading in row["readings"]} == {"AB12"}
    assert any(row["detections"] for row in rows)


def test_batches_give_what_one_gives(project, recognizer, monkeypatch):
    run()
    whole = (project / "out" / "predictions.jsonl").read_bytes()
    monkeypatch.setattr(evaluate, "BATCH", 2)
    run()
    assert (project / "out" / "predictions.jsonl").read_bytes() == whole


def test_no_test_split_is_null_and_not_a_crash(project, recognizer):
    rows = manifest.read_jsonl(project / "manifest.jsonl")
    manifest.write_jsonl(project / "manifest.jsonl", [{**row, "split": "train"} for row in rows])
    result = run()
    assert result.exit_code == 0, result.output
    document = json.loads((project / "metrics" / "evaluation.json").read_text())
    assert document["detection"]["ap50"] is None
    assert document["detection"]["interval"]["ap50"]["reason"] == "no photo in the test split"


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("no manifest", lambda folder: (folder / "manifest.jsonl").unlink(), "manifest.jsonl"),
        ("a missing picture", lambda folder: (folder / "raw/s/2.png").unlink(), "2.png"),
        ("a damaged picture", lambda folder: (folder / "raw/s/2.png").write_bytes(b"\x89PNG"), "2.png"),
        ("no params", lambda folder: (folder / "params.yaml").unlink(), "params.yaml"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_writes_nothing(project, recognizer, name, spoil, message):
    spoil(project)
    result = run()
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert message in str(result.exception)
    assert not (project / "metrics").exists()
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("corners", "faults"),
    [
        (Quad.of_box, {"missed_plate": 1, "wrong_character": 1}),
        (lambda box: Quad.of_box(Box(200, 200, 300, 220)), {"bad_crop": 1, "wrong_character": 1}),  # all black there
    ],
)
def test_the_loss_is_split_by_what_truth_puts_right(project, recognizer, monkeypatch, corners, faults):
    """A detector that finds nothing, of two plates of which the reader can read one."""
    monkeypatch.setattr(recognizer.detector, "detect", lambda images, min_score=0.3: [[] for _ in images])
    monkeypatch.setattr(evaluate, "corner_finder", lambda bundle: lambda image, box: corners(box))
    run()
    split = json.loads((project / "metrics" / "evaluation.json").read_text())["attribution"]
    assert (split["n"], split["missed"], split["without_corners"]) == (2, 2, 2)
    assert {fault: plates for fault, plates in split["plates"].items() if plates} == faults
    assert (split["right"]["as_found"], split["right"]["true_corners"]) == (0.0, 0.5)


def test_the_profile_is_of_pictures_and_plates(project, recognizer):
    run()
    test = json.loads((project / "out" / "profile.json").read_text())["splits"]["test"]
    assert (test["pictures"], test["plates"]) == (4, 4)
    assert test["features"]["source"] == {"s": 4}
    assert sum(test["features"]["picture sharpness"].values()) == sum(test["features"]["plate blur"].values()) == 4


def test_the_calibration_and_the_threshold(project, recognizer):
    run()
    calibration = json.loads((project / "metrics" / "evaluation.json").read_text())["calibration"]
    assert calibration["ece"] == pytest.approx(0.8 - 2 / 3)
    assert (calibration["n"], calibration["threshold"]) == (3, 0.6)


def test_what_earlier_stages_counted_stands_in_the_report(project, recognizer):
    sources = {"s": {"rows": 7, "passed": 6, "failed": 1, "unpaired": 0, "plates": 6}}
    counted = {"sources": sources, "broken_rules": {"unreadable": 1}, "gate": []}
    (project / "validation.json").write_text(json.dumps(counted))
    assert run(validation="validation.json").exit_code == 0
    assert "unreadable" in (project / "report" / "index.html").read_text()


@pytest.mark.parametrize(("text", "message"), [("{", "validation.json is damaged"), (None, "validation.json")])
def test_a_damaged_count_ends_in_a_sentence(project, recognizer, text, message):
    if text is not None:
        (project / "validation.json").write_text(text)
    result = run(validation="validation.json")
    assert isinstance(result.exception, SystemExit)
    assert message in str(result.exception)
    assert not (project / "out").exists()


def test_no_models_ends_in_a_sentence(project):
    result = run()
    assert "no bundle.json" in str(result.exception)


def test_no_tesseract_says_how_to_install_it(project, recognizer, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setattr(evaluate.Bundle, "load", classmethod(lambda cls, folder: BUNDLE))
    monkeypatch.setattr(evaluate.Recognizer, "load", classmethod(lambda cls, folder, fast=False: recognizer))
    monkeypatch.setenv("PATH", "")
    assert "apt-get install tesseract-ocr" in str(run().exception)
