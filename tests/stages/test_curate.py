"""Stage curate: one sample a picture, corrected, grouped and split; nothing leaks; and the counts of the Kaggle set."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pipeline import boxes, images, manifest, params
from pipeline.curation import duplicates
from pipeline.curation.duplicates import Look
from pipeline.labeling import corrections
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.records import Box, Plate, Sample
from pipeline.sources import voc
from pipeline.stages import curate

ROOT = Path(__file__).parents[2]
KAGGLE = ROOT.parent / "shared" / "data" / "kaggle"
SETTINGS = params.load(ROOT / "params.yaml")


def look(picture: int) -> Look:
    image = np.random.default_rng(picture).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return duplicates.look(cv2.resize(image, (80, 60), interpolation=cv2.INTER_CUBIC).astype(np.uint8))


def sample(number: int, *boxes: tuple[float, float, float, float], text: str | None = None) -> Sample:
    identity = f"{number:064x}"
    plates = tuple(Plate(Box(*box), text=text) for box in boxes)
    return Sample(identity, f"kaggle/{number}.png", 80, 60, plates, "kaggle", identity)


def run(
    samples: Sequence[Sample], pictures: Sequence[int], known: Sequence[Correction] = (), **seen: frozenset[str]
) -> curate.Curated:
    return curate.curate(samples, [look(n) for n in pictures], known, SETTINGS.curate, SETTINGS.seed, seen)


def correction(number: int, *boxes: tuple[float, float, float, float], text: str = "AB12345") -> Correction:
    plates = tuple(CorrectedPlate(Plate(Box(*box), text=text)) for box in boxes)
    return Correction(f"{number:064x}", f"kaggle/{number}.png", plates, False, "Ann", "2026-11-22", "texts")


def test_copies_become_one_sample_with_merged_plates_and_a_question() -> None:
    found = run([sample(2, (10, 10, 50, 20)), sample(1, (14, 10, 54, 20)), sample(3, (0, 0, 30, 9))], [1, 1, 2])
    assert [one.id[-1] for one in found.samples] == ["1", "3"]
    assert [plate.box.xyxy for plate in found.samples[0].plates] == [(12, 10, 52, 20)]
    assert found.disagreements == []
    assert found.copies == [{"id": f"{1:064x}", "copies": [f"{1:064x}", f"{2:064x}"]}]
    counts = found.metrics["sources"]["kaggle"]
    assert (counts["files"], counts["boxes"], counts["pictures"], counts["plates"]) == (3, 3, 2, 2)
    assert (counts["groups_of_copies"], counts["groups_that_disagree"], counts["groups_to_look_at"]) == (1, 1, 0)


def test_copies_that_disagree_badly_are_written_down() -> None:
    found = run([sample(1, (10, 10, 50, 20)), sample(2)], [1, 1])
    (row,) = found.disagreements
    assert (row["kind"], row["id"], row["lowest_iou"]) == ("copies", f"{1:064x}", 0.0)
    assert row["copies"][0] == {"image": "kaggle/1.png", "boxes": [[10, 10, 50, 20]]}
    assert json.dumps(row)


def test_a_correction_of_any_copy_counts_and_ties_pictures_of_one_plate() -> None:
    samples = [sample(1, (10, 10, 50, 20)), sample(2, (10, 10, 50, 20)), sample(3, (5, 5, 45, 15))]
    found = run(samples, [1, 1, 2], [correction(2, (11, 10, 50, 20)), correction(3, (5, 5, 45, 15))])
    assert [one.plates[0].text for one in found.samples] == ["AB12345", "AB12345"]
    assert {one.group for one in found.samples} == {f"{1:064x}"}
    assert found.leaks == []


def test_lost_corrections_are_reported() -> None:
    known = [correction(1, (50, 40, 70, 50)), correction(9, (1, 1, 20, 9))]
    elsewhere = replace(correction(8, (1, 1, 20, 9)), image="ufpr/8.png")  # of a source that is not in this run
    found = run([sample(1, (10, 10, 50, 20))], [1], [*known, elsewhere])
    assert [(row["kind"], row["id"][-1]) for row in found.disagreements] == [("correction", "1"), ("correction", "9")]
    assert found.metrics["corrections_without_box"] == found.metrics["corrections_without_picture"] == 1


def test_a_test_picture_that_the_weights_know_fails_the_gate() -> None:
    number = next(n for n in range(99) if run([sample(n)], [n]).samples[0].split == "test")
    found = run([sample(number), sample(number + 1000)], [1, 1], detector=frozenset({f"{number + 1000:064x}"}))
    (leak,) = found.leaks
    assert f"kaggle/{number}.png" in leak
    assert "train_detector.weights" in leak


def project(folder: Path, **changes: Any) -> list[Path]:
    """A folder to run the stage in: params, three pictures and their manifest. Returns the stage's arguments."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["train_detector"]["weights"] = settings["train_reader"]["weights"] = "none"
    settings["curate"] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    add_pictures(folder, 3)
    corrections.write(folder / "labels" / corrections.CORRECTIONS, [])
    return arguments_in(folder)


def arguments_in(folder: Path) -> list[Path]:
    return [folder / name for name in ("manifest.jsonl", "raw", "labels", "out", "metrics.json", "cache/looks.npz")]


def add_pictures(folder: Path, count: int) -> None:
    """Writes a manifest of `count` pictures beside them."""
    samples = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3)).astype(np.uint8)
        data = images.encode_png(pixels)
        (folder / "raw" / "voc").mkdir(parents=True, exist_ok=True)
        (folder / "raw" / "voc" / f"{number}.png").write_bytes(data)
        identity = images.sha256(data)
        samples.append(Sample(identity, f"voc/{number}.png", 80, 60, (Plate(Box(1, 1, 30, 9)),), "voc", identity))
    manifest.write_manifest(folder / "manifest.jsonl", samples)


def outputs(folder: Path) -> dict[str, bytes]:
    files = [*sorted((folder / "out").iterdir()), folder / "metrics.json"]
    return {path.name: path.read_bytes() for path in files}


def test_the_stage_writes_the_same_bytes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    written = []
    for _ in range(2):
        curate.main(*arguments)
        written.append(outputs(tmp_path))
        arguments[-1].unlink()
    assert written[0] == written[1]
    files = ["copies.jsonl", "disagreements.jsonl", "manifest.jsonl", "metrics.json", "original.jsonl"]
    assert sorted(written[0]) == files
    assert {one.split for one in manifest.read_manifest(tmp_path / "out" / "manifest.jsonl")} <= {
        "train",
        "val",
        "test",
    }


@pytest.fixture
def decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that are decoded, in a project whose first run has looked at three."""
    arguments = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    curate.main(*arguments)
    names: list[str] = []
    read_image = images.read_image

    def watch(path: Path, max_pixels: int) -> images.RGB:
        names.append(path.name)
        return read_image(path, max_pixels)

    monkeypatch.setattr(images, "read_image", watch)
    return names


def again(folder: Path) -> dict[str, bytes]:
    curate.main(*arguments_in(folder))
    return outputs(folder)


def test_nothing_is_decoded_the_second_time_and_nothing_else_comes_out(tmp_path: Path, decoded: list[str]) -> None:
    first, kept = outputs(tmp_path), (tmp_path / "cache" / "looks.npz").stat()
    assert again(tmp_path) == first
    assert decoded == []
    assert (tmp_path / "cache" / "looks.npz").stat().st_mtime_ns == kept.st_mtime_ns


def test_only_a_new_picture_is_decoded(tmp_path: Path, decoded: list[str]) -> None:
    add_pictures(tmp_path, 4)
    kept = again(tmp_path)
    assert decoded == ["3.png"]
    (tmp_path / "cache" / "looks.npz").unlink()
    assert again(tmp_path) == kept


def test_looks_of_pictures_that_have_gone_are_not_kept(tmp_path: Path, decoded: list[str]) -> None:
    add_pictures(tmp_path, 2)
    again(tmp_path)
    add_pictures(tmp_path, 3)
    again(tmp_path)
    assert decoded == ["2.png"]


def test_a_damaged_file_of_looks_is_made_again(tmp_path: Path, decoded: list[str]) -> None:
    kept = outputs(tmp_path)
    (tmp_path / "cache" / "looks.npz").write_text("damaged")
    assert again(tmp_path) == kept
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    again(tmp_path)
    assert len(decoded) == 3


def test_a_picture_that_was_looked_at_and_is_missing_now_is_named(tmp_path: Path, decoded: list[str]) -> None:
    (tmp_path / "raw" / "voc" / "1.png").unlink()
    with pytest.raises(SystemExit, match=r"voc/1\.png: No such file"):
        again(tmp_path)


def test_a_picture_that_was_looked_at_and_is_too_large_now_is_named(tmp_path: Path, decoded: list[str]) -> None:
    settings = yaml.safe_load((tmp_path / "params.yaml").read_text())
    settings["validate"]["max_pixels"] = 4799
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit, match="80 x 60 pixels, more than the cap"):
        again(tmp_path)


def test_a_missing_picture_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw" / "voc" / "1.png").unlink()
    with pytest.raises(SystemExit, match=r"voc/1\.png: No such file"):
        curate.main(*arguments)


def test_impossible_settings_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = project(tmp_path, test=0.9, val=0.2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="nothing is left to train on"):
        curate.main(*arguments)


@cache
def kaggle() -> tuple[list[Sample], list[Look]]:
    """The samples of the 433 files and their looks; each distinct file is stored once, and decoded once."""
    copies = {row["image"]: row["same_bytes_as"] for row in csv.DictReader((KAGGLE / "copies.csv").open())}
    stored = sorted((KAGGLE / "car-plate-detection" / "images").glob("*.png"))
    files = {path.name: path.name for path in stored} | copies
    data = {path.name: path.read_bytes() for path in stored}
    looks = {name: duplicates.look(images.decode(one)) for name, one in data.items()}
    samples = []
    for name, same in files.items():
        xml = (KAGGLE / "car-plate-detection" / "annotations" / name).with_suffix(".xml").read_bytes()
        annotation = voc.parse_voc(xml, name)
        assert annotation.size is not None
        identity = hashlib.sha256(data[same]).hexdigest()
        plates = tuple(Plate(one.box) for one in annotation.objects)
        samples.append(Sample(identity, f"kaggle/images/{name}", *annotation.size, plates, "kaggle", identity))
    return samples, [looks[same] for same in files.values()]


needs_kaggle = pytest.mark.skipif(not KAGGLE.exists(), reason="the Kaggle photos are not in ../shared/data")


@needs_kaggle
def test_what_is_known_of_the_kaggle_set() -> None:
    known = corrections.read(ROOT / "data" / "labels" / corrections.CORRECTIONS)
    samples, looks = kaggle()
    found = curate.curate(samples, looks, known, SETTINGS.curate, SETTINGS.seed, {})
    counts = found.metrics["sources"]["kaggle"]
    assert (counts["files"], counts["boxes"]) == (433, 471)
    assert (counts["distinct_by_bytes"], counts["pictures"]) == (302, 299)
    assert (counts["groups_of_byte_copies"], counts["files_in_groups_of_byte_copies"]) == (83, 214)
    assert (counts["plates"], counts["texts"]) == (450, 220)
    assert sum(len(one.plates) for one in found.original) == 338
    assert [(one.id, one.split) for one in found.original] == [(one.id, one.split) for one in found.samples]
    assert counts["groups_that_disagree"] == counts["groups_of_copies"]
    assert counts["single_box_groups_that_differ"] == 20
    assert len(unlike_neighbours(samples)) == 18
    assert found.metrics["corrections_without_picture"] == found.metrics["corrections_without_box"] == 0
    assert 0.25 < counts["splits"]["test"] / 299 < 0.35
    assert found.leaks == []
    assert not [row for row in found.disagreements if row["kind"] == "copies"], "complete corrections settle them"
    uncorrected = curate.curate(samples, looks, [], SETTINGS.curate, SETTINGS.seed, {})
    different = next(
        row
        for row in uncorrected.disagreements
        if row["kind"] == "copies"
        and len(row["copies"]) == 2
        and {Path(copy["image"]).stem for copy in row["copies"]} == {"Cars30", "Cars105"}
    )
    assert different["lowest_iou"] == 0.0


def unlike_neighbours(samples: Sequence[Sample]) -> set[str]:
    """The single-box pictures of which two copies, next to each other by name, overlap by less than 0.7."""
    copies: dict[str, list[Sample]] = defaultdict(list)
    for one in sorted(samples, key=lambda sample: sample.image):
        copies[one.id].append(one)
    return {
        identity
        for identity, own in copies.items()
        for first, second in pairwise(own)
        if len(first.plates) == len(second.plates) == 1
        and boxes.iou(*(np.array([one.plates[0].box.xyxy]) for one in (first, second)))[0, 0] < 0.7
    }


@needs_kaggle
def test_a_kaggle_picture_keeps_its_split_when_others_are_added() -> None:
    samples, looks = kaggle()
    whole = curate.curate(samples, looks, [], SETTINGS.curate, SETTINGS.seed, {})
    kept = {one.group for one in whole.samples if int(one.group[:2], 16) % 2}
    here = {one.id for one in whole.samples if one.group in kept}
    pixels = {seen.pixels for one, seen in zip(samples, looks, strict=True) if one.id in here}
    part = [index for index, seen in enumerate(looks) if seen.pixels in pixels]
    half = curate.curate([samples[i] for i in part], [looks[i] for i in part], [], SETTINGS.curate, SETTINGS.seed, {})
    assert {one.id: one.split for one in half.samples} == {one.id: one.split for one in whole.samples if one.id in here}
