"""The benchmark of the queue: photos are seen once, wrong labels are found where networks say so, a page tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.benchmarks import label_errors
from pipeline.benchmarks.label_errors import Draw, Measured, Seen
from pipeline.benchmarks.pages import marks
from pipeline.curation.corruption import KINDS, corrupt
from pipeline.images import encode_png, sha256
from pipeline.manifest import write_jsonl, write_manifest
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample

ROOT = Path(__file__).parents[2]
BOX = Box(20, 20, 60, 32)
SETTINGS = params.Queue(limit=10, min_score=0.5, min_support=0.3, far_iou=0.65)


class FakeRecognizer:
    """Finds the one plate where it is, reads what is dark as AB123 and what is bright not at all; counts photos."""

    def __init__(self) -> None:
        self.detector = self.reader = self
        self.photos = 0

    def detect(self, images, min_score):
        self.photos += len(images)
        return [[Detection(BOX, Quad.of_box(BOX), 0.95)] for _ in images]

    def read(self, crops):
        dark = [float(np.median(crop)) < 100 for crop in crops]
        return [Reading("AB123", 0.999, (0.9999,) * 5) if one else Reading("", 0.0) for one in dark]


def photo(folder: Path, number: int, split: str) -> Sample:
    pixels = np.full((80, 120, 3), 200 + number, np.uint8)
    pixels[18:34, 18:62] = 10
    data = encode_png(pixels)
    (folder / f"{number}.png").write_bytes(data)
    plate = Plate(BOX, Quad.of_box(BOX), text="AB123")
    return Sample(sha256(data), f"{number}.png", 120, 80, (plate,), "made", f"g{number}", split=split)  # type: ignore[arg-type]


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """Twenty photos of test and ten of train, as curate leaves them, and a model folder whose detector saw train."""
    own = [photo(tmp_path, number, "test" if number < 20 else "train") for number in range(30)]
    write_manifest(tmp_path / "manifest.jsonl", own)
    write_jsonl(tmp_path / "disagreements.jsonl", [])
    (tmp_path / "detector").mkdir()
    (tmp_path / "detector/seen.txt").write_text("".join(f"{one.id}\n" for one in own if one.split == "train"))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return own


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **others: object) -> FakeRecognizer:
    fake = FakeRecognizer()
    monkeypatch.setattr(label_errors.Recognizer, "load", lambda model: fake)
    where = {"curated": folder, "images": folder, "out": folder / "bench.md", "model": folder / "export"}
    arguments = {"source": None, "share": 0.2, "draws": 6, "seed": 0, "readme": None}
    label_errors.main(**{**where, **arguments, **others})  # type: ignore[arg-type]
    return fake


def test_wrong_labels_stand_first_where_the_networks_are_right(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = run(tmp_path, monkeypatch)
    assert fake.photos == len(samples)  # once each, however many draws
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["seeds"] == [0, 5]
    test, train = document["sets"]  # val has no photo
    assert (test["name"], test["pictures"], test["learnt_from"], test["wrong"]) == ("test", 20, 0, 24)
    assert (train["name"], train["pictures"], train["learnt_from"], train["wrong"]) == ("train", 10, 10, 12)
    assert test["found"]["0.2"]["mean"] == 1.0
    assert test["found"]["0.1"]["mean"] == 0.5  # two places for four wrong labels
    assert test["average_precision"]["mean"] == 1.0
    assert {kind: row["0.2"] for kind, row in test["by_kind"].items()} == dict.fromkeys(test["by_kind"], 1.0)
    assert sum(row["wrong"] for row in test["by_kind"].values()) == 24
    assert test["figures"]["clean"] == test["figures"]["mended"]
    assert test["figures"]["wrong"]["ap50"]["mean"] < test["figures"]["mended"]["ap50"]["mean"] == 1.0
    page = (tmp_path / "bench.md").read_text()
    assert "| test | 20 | 0 | 0.500 [0.500, 0.500] | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] |" in page
    assert page.count("| a box beside its plate |") == 2
    assert "nan" not in page


def test_another_page_shows_it_in_brief(samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "README.md"
    page.write_text("\n".join(marks("bench-queue")))
    run(tmp_path, monkeypatch, draws=1, readme=page)
    assert "| pictures | in the first 10 % | in the first 20 % | average precision |" in page.read_text()
    assert "| train |" in page.read_text()


def test_no_photos_is_said(samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="too few photos of ufpr for a wrong label"):
        run(tmp_path, monkeypatch, source="ufpr")


def test_what_the_networks_learnt_from_is_not_known_without_a_checkpoint(tmp_path: Path) -> None:
    assert label_errors.learnt_from(tmp_path / "export") is None


def test_pictures_without_a_suspicion_come_last(samples: list[Sample], tmp_path: Path) -> None:
    wrong, made = corrupt(samples, 0.05, seed=0)
    seen = label_errors.look([*samples, *wrong], tmp_path, FakeRecognizer())  # type: ignore[arg-type]
    order = label_errors.queue(wrong, seen, [], SETTINGS)
    assert set(order[: len(made)]) == {one.sample for one in made}
    assert order[len(made) :] == sorted(order[len(made) :])
    assert len(order) == len(samples)


def test_mending_stops_at_the_first_fifth(samples: list[Sample], tmp_path: Path) -> None:
    every = [sample for sample in samples if sample.split == "test"]
    draw = Draw(*corrupt(every, 1.0, seed=0))
    seen = label_errors.look([*every, *draw.samples], tmp_path, FakeRecognizer())  # type: ignore[arg-type]
    measured = label_errors.measure("test", every, [draw], seen, [], SETTINGS, None)
    wrong, mended, clean = (measured.figures[name][0]["ap50"] for name in ("wrong", "mended", "clean"))
    assert wrong < mended < clean == 1.0
    assert measured.learnt is None


def test_average_precision_and_shares_of_known_places() -> None:
    places = [{"a": 0, "b": 3}, {"c": 19}]
    kinds = [{"a": "dropped", "b": "added"}, {"c": "added"}]
    measured = Measured("test", 20, None, places, kinds, {})  # type: ignore[arg-type]
    assert label_errors.ranking_precision(measured) == [(1 + 2 / 4) / 2, 1 / 20]
    assert label_errors.found(measured, 0.1) == [0.5, 0.0]
    assert label_errors.found(measured, 0.2) == [1.0, 0.0]
    by_kind = label_errors.found_by_kind(measured, 0.2)
    assert (by_kind["dropped"], by_kind["added"], by_kind["shifted"]) == ((1, 1.0), (2, 0.5), (0, None))


def test_a_seen_sample_becomes_a_line_of_predictions() -> None:
    plate = Plate(BOX, text="AB123")
    sample = Sample("a" * 64, "a.png", 120, 80, (plate,), "made", "g")
    detections = (Detection(BOX, Quad.of_box(BOX), 0.9), Detection(BOX, Quad.of_box(BOX), 0.2))
    reading = Reading("AB123", 0.9, (0.9,) * 5)
    seen = Seen({sample.id: detections}, {sample.id: (reading,)}, {(sample.id, BOX, None): reading})
    row = seen.row(sample)
    assert [len(row[name]) for name in ("detections", "faint", "readings")] == [1, 1, 1]
    assert row["readings"][0]["reader"]["text"] == "AB123"


def test_every_kind_is_told() -> None:
    assert set(label_errors.TOLD) == set(KINDS)
