"""The recogniser with a fake detector and a fake reader, and the model folders that it refuses."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from pipeline.bundle import BundleError
from pipeline.recognizer import Recognizer, cut, read_plates, widen
from pipeline.records import Box, Detection, Quad, Reading


def detection(x1, y1, x2, y2, score=0.9):
    box = Box(x1, y1, x2, y2)
    return Detection(box, Quad.of_box(box), score)


class FakeDetector:
    """Finds what it was told, image by image."""

    def __init__(self, *found):
        self.found = list(found)

    def detect(self, images, min_score=0.3):
        assert len(images) == len(self.found)
        return [[d for d in detections if d.score >= min_score] for detections in self.found]


class FakeReader:
    """Reads a crop's mean grey as its text, and remembers how it was called."""

    def __init__(self):
        self.calls = []

    def read(self, crops):
        self.calls.append(len(crops))
        return [Reading(str(round(float(crop.mean()))), 0.5) for crop in crops]


def photo(**patches):
    """A black photo; patches are grey levels on boxes."""
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    for level, (x1, y1, x2, y2) in patches.items():
        image[y1:y2, x1:x2] = int(level[1:])
    return image


def test_each_detection_gets_its_own_crops_reading_in_one_call():
    images = [photo(g50=(0, 0, 100, 50), g100=(150, 100, 300, 200)), photo(), photo(g200=(0, 100, 300, 200))]
    detector = FakeDetector(
        [detection(20, 10, 80, 40), detection(170, 120, 280, 180, 0.8)], [], [detection(50, 120, 250, 180)]
    )
    reader = FakeReader()
    result = Recognizer(detector, reader).recognize(images)
    assert [[r.reading.text for r in row] for row in result] == [["50", "100"], [], ["200"]]
    assert [[r.detection for r in row] for row in result] == detector.found
    assert reader.calls == [3]


def test_detections_below_the_score_are_not_read():
    detector = FakeDetector([detection(0, 0, 50, 20, 0.9), detection(60, 60, 90, 90, 0.4)])
    assert len(Recognizer(detector, FakeReader()).recognize([photo()], min_score=0.5)[0]) == 1


@pytest.mark.parametrize("found", [[], [[]], [[], []]])
def test_nothing_found_is_not_read(found):
    reader = FakeReader()
    assert Recognizer(FakeDetector(*found), reader).recognize([photo()] * len(found)) == found
    assert reader.calls == []


def test_widen_moves_corners_along_the_plates_own_sides():
    assert widen(Quad((0, 0), (100, 0), (100, 20), (0, 20)), 0.02, 0.1) == Quad(
        (-2, -2), (102, -2), (102, 22), (-2, 22)
    )
    turned = Quad((20, 0), (20, 100), (0, 100), (0, 0))  # the plate's own top is the picture's right
    assert widen(turned, 0.02, 0.1) == Quad((22, -2), (22, 102), (-2, 102), (-2, -2))


@pytest.mark.parametrize(
    ("name", "quad", "height"),
    [
        ("small plates are enlarged", Quad((10, 10), (50, 10), (50, 20), (10, 20)), 64),
        ("large ones keep their height", Quad((10, 10), (290, 10), (290, 130), (10, 130)), 120),
        ("beyond the picture", Quad((-50, -50), (30, -50), (30, -20), (-50, -20)), 64),
        ("no height at all", Quad((10, 10), (50, 10), (50, 10), (10, 10)), 64),
    ],
)
def test_cut(name, quad, height):
    crop = cut(photo(), Box(5, 5, 25, 15), quad)
    assert (crop.shape[0], crop.shape[2], crop.dtype) == (height, 3, np.uint8)
    assert crop.shape[1] >= height // 2


def test_cut_follows_the_corners():
    image = photo()
    image[50:100, 100:150] = 255  # the right half of the plate
    box = Box(50, 50, 150, 100)
    crop = cut(image, box, Quad.of_box(box))
    assert cut(image, box).tolist() == crop.tolist()
    assert crop[:, : crop.shape[1] // 3].max() == 0
    assert crop[20:40, 2 * crop.shape[1] // 3 : -8].min() == 255
    upside_down = cut(image, box, Quad((150, 100), (50, 100), (50, 50), (150, 50)))
    assert upside_down[20:40, 8 : upside_down.shape[1] // 3].min() == 255


class Scored:
    """Reads crops in turn as it is told to: a text and its score each."""

    def __init__(self, *readings):
        self.readings = [Reading(text, score, (score,) * len(text)) for text, score in readings]
        self.shapes = []

    def read(self, crops):
        self.shapes.append([crop.shape for crop in crops])
        return [self.readings.pop(0) for _ in crops]


@pytest.mark.parametrize(
    ("name", "readings", "text", "calls"),
    [
        ("sure of the corners", [("AB1", 0.9)], "AB1", 1),
        ("surer of the box", [("AB", 0.3), ("AB1", 0.8)], "AB1", 2),
        ("not surer of the box", [("AB1", 0.4), ("AB", 0.3)], "AB1", 2),
        ("nothing seen by the corners", [("", 0.0), ("AB1", 0.1)], "AB1", 2),
    ],
)
def test_a_plate_that_is_not_read_surely_is_read_from_its_box_too(name, readings, text, calls):
    quad = Quad((60, 40), (150, 60), (140, 100), (50, 80))
    reader = Scored(*readings)
    (read,) = read_plates(reader, [(photo(), Detection(quad.box, quad, 0.9))])
    assert read.text == text
    assert [len(shapes) for shapes in reader.shapes] == [1] * calls
    assert reader.shapes[0] == [cut(photo(), quad.box, quad).shape]
    assert reader.shapes[1:] == [[cut(photo(), quad.box).shape]] * (calls - 1)


def test_no_plates_are_not_read():
    assert read_plates(Scored(), []) == []


def test_cut_leaves_a_narrow_margin():
    image = photo(g200=(50, 50, 150, 100))
    grey = cut(image, Box(50, 50, 150, 100))[..., 0]
    dark = grey < 100
    assert dark[0].all()
    assert dark[:, 0].all()
    assert 0.12 < dark[: len(grey) // 2, grey.shape[1] // 2].mean() < 0.22
    assert not dark[7:-7, 8:-8].any()


def test_crossed_corners_of_a_detection_give_its_box():
    image = photo(g90=(50, 50, 150, 100))
    box = Box(60, 60, 140, 90)
    crossed = Quad((60, 60), (140, 90), (140, 60), (60, 90))
    assert cut(image, box, crossed).tolist() == cut(image, box).tolist()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("of another version", {"version": 2}, "version 3"),
        ("without a refiner's file", {"refiner": {}}, "refiner"),
        ("without a reader's file", {"reader": {}}, "reader"),
        ("outside the folder", {"detector": {"float": "../d.onnx", "head": "corner"}}, "detector"),
        ("without sums", {"sha256": {}}, "detector"),
    ],
)
def test_a_broken_bundle_is_refused_with_its_path(tiny_bundle, tmp_path, name, change, message):
    for path in tiny_bundle.glob("*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = json.loads((tiny_bundle / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(whole | change))
    with pytest.raises(ValueError, match=message) as caught:
        Recognizer.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        Recognizer.load(tmp_path)


def test_a_bundle_recognises(tiny_bundle):
    image = photo(g255=(100, 80, 130, 95))
    for precision, fast in itertools.product(("float", "int8"), (False, True)):
        recognizer = Recognizer.load(tiny_bundle, threads=1, precision=precision, fast=fast)
        ((found, *_),) = recognizer.recognize([image])
        assert found.reading.text == "AB12"
        assert found.detection.box.x1 < 115 < found.detection.box.x2
        assert found.detection.box.y1 < 87 < found.detection.box.y2


# country, the least score of a text -> text, guess
CHOICES = {
    "as it is": ({}, ("AB12", "")),
    "a country whose plates say so": ({"region": "GB"}, ("AB12", "")),
    "a score that is reached": ({"min_text_score": 0.9}, ("AB12", "")),
    "a score that nothing reaches": ({"min_text_score": 1.0}, ("", "AB12")),
    "both": ({"region": "de", "min_text_score": 1.0}, ("", "AB12")),
}


@pytest.mark.parametrize(("options", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_what_is_given_as_a_text(tiny_bundle, options, expected):
    recognizer = Recognizer.load(tiny_bundle, threads=1, **options)
    ((found, *_),) = recognizer.recognize([photo(g255=(100, 80, 130, 95))])
    assert (found.reading.text, found.reading.guess) == expected


def test_characters_are_settled_by_a_country_s_plates(tiny_bundle, monkeypatch):
    unsure = Reading("HHABI2", 0.9, (*(0.99,) * 4, 0.5, 0.99))
    monkeypatch.setattr("pipeline.recognizer.NetworkReader.read", lambda self, crops: [unsure] * len(crops))
    crops = [photo()]
    assert [r.text for r in Recognizer.load(tiny_bundle).reader.read(crops)] == ["HHABI2"]
    assert [r.text for r in Recognizer.load(tiny_bundle, region="DE").reader.read(crops)] == ["HHAB12"]
    with pytest.raises(ValueError, match="no layouts of a region 'XX'"):
        Recognizer.load(tiny_bundle, region="XX")


def test_fast_takes_the_small_detector(tiny_bundle, tmp_path):
    for path in tiny_bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "fast.onnx").write_bytes(b"damaged")
    raw = json.loads((tmp_path / "bundle.json").read_text())
    raw["fast"]["float"], raw["sha256"]["fast.onnx"] = "fast.onnx", "0" * 64
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    Recognizer.load(tmp_path)
    with pytest.raises(ValueError, match=r"fast\.onnx.*SHA-256"):
        Recognizer.load(tmp_path, fast=True)


def test_a_flipped_byte_in_a_network_is_refused(tiny_bundle, tmp_path):
    for path in tiny_bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ("reader.onnx", "refiner.onnx", "detector.onnx"):
        data = bytearray((tmp_path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}.*SHA-256"):
            Recognizer.load(tmp_path)


def test_the_recogniser_imports_nothing_heavy():
    heavy = ("tensorflow", "keras", "dvc", "mlflow", "great_expectations", "matplotlib", "scipy", "pydantic", "yaml")
    code = f"import sys, pipeline.recognizer; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
