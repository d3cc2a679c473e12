"""What a model says of the test pictures, with a model that is made up."""

import numpy as np
import pytest

from pipeline.images import ImageError, encode_png, sha256
from pipeline.manifest import write_manifest
from pipeline.recognizer import Recognizer
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample
from pipeline.registration import examination
from pipeline.registration.examination import examine, held_out

BOX = Box(20, 20, 120, 40)


class FakeDetector:
    """One sure detection and one that is not, on every photo."""

    def __init__(self):
        self.floors = []

    def detect(self, images, min_score=0.4):
        self.floors.append(min_score)
        return [[Detection(BOX, Quad.of_box(BOX), score) for score in (0.9, 0.1)] for _ in images]


class FakeReader:
    def __init__(self):
        self.shapes = []

    def read(self, crops):
        self.shapes += [crop.shape[:2] for crop in crops]
        return [Reading("AB12", 0.9) for _ in crops]


def picture(folder, number, kind="photo", texts=("AB12",), split="test"):
    data = encode_png(np.full((60, 160, 3), number, np.uint8))
    (folder / f"{number}.png").write_bytes(data)
    plates = tuple(Plate(BOX, text=text) for text in texts)
    return Sample(sha256(data), f"{number}.png", 160, 60, plates, "s", f"g{number}", split, kind=kind)


def test_the_test_split_is_what_is_looked_at(tmp_path):
    samples = [picture(tmp_path, 1), picture(tmp_path, 2, split="train")]
    write_manifest(tmp_path / "manifest.jsonl", samples)
    assert held_out(tmp_path / "manifest.jsonl") == samples[:1]


def test_each_sample_gets_its_own_detections_and_readings(tmp_path, monkeypatch):
    monkeypatch.setattr(examination, "BATCH", 2)
    kinds = [("photo", ("AB12",)), ("crop", ("AB12",)), ("photo", (None, "AB12")), ("photo", ())]
    samples = [picture(tmp_path, number, kind, texts) for number, (kind, texts) in enumerate(kinds)]
    detector, reader = FakeDetector(), FakeReader()
    cases = examine(samples, tmp_path, Recognizer(detector, reader), 0.4)
    assert [case.sample for case in cases] == samples
    assert [len(case.detections) for case in cases] == [2, 0, 2, 2]
    assert [len(case.found["network"]) for case in cases] == [1, 0, 1, 1], "one that is not sure is not read"
    assert [list(case.labelled["network"]) for case in cases] == [[0], [0], [1], []]
    assert detector.floors == [0.01, 0.01]
    assert (60, 160) in reader.shapes, "a crop is read as it is"
    assert len(reader.shapes) == 6


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("gone", lambda path: path.unlink(), "No such file"),
        (
            "another picture",
            lambda path: path.write_bytes(encode_png(np.zeros((60, 160, 3), np.uint8))),
            "have changed",
        ),
        ("no picture", lambda path: path.write_bytes(b"x"), "have changed"),
    ],
)
def test_a_picture_that_is_not_the_manifests_is_named(tmp_path, name, spoil, message):
    sample = picture(tmp_path, 1)
    spoil(tmp_path / "1.png")
    with pytest.raises(ImageError, match=rf"1\.png.*{message}"):
        examine([sample], tmp_path, Recognizer(FakeDetector(), FakeReader()), 0.4)
