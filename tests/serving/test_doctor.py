"""What `alpr doctor` finds: damage in the weights, in dvc.lock, in DVC's cache."""

import hashlib
import json

import pytest

from pipeline.serving import doctor

LOCK = """\
schema: '2.0'
stages:
  pull@synthetic:
    cmd: python -m pipeline.stages.pull
    outs:
    - path: data/raw/synthetic
      hash: md5
      md5: {listing}
      size: 3
      nfiles: 1
"""


@pytest.fixture
def stored(tmp_path):
    """A cache with one folder of one file, and its dvc.lock."""
    cache = tmp_path / "cache"

    def store(data: bytes, suffix=""):
        digest = hashlib.md5(data).hexdigest() + suffix
        path = cache / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest, path

    digest, path = store(b"abc")
    listing, _ = store(json.dumps([{"md5": digest, "relpath": "a.txt"}]).encode(), ".dir")
    (tmp_path / "dvc.lock").write_text(LOCK.format(listing=listing))
    return cache, tmp_path / "dvc.lock", path


def test_a_whole_cache_is_well(stored):
    cache, lock, _ = stored
    finding = doctor.check_cache(cache, lock)
    assert finding.good
    assert finding.says.startswith("2 files")


def test_a_flipped_byte_is_found_with_the_stage_that_mends_it(stored):
    cache, lock, path = stored
    path.write_bytes(b"abd")
    finding = doctor.check_cache(cache, lock)
    assert not finding.good
    assert str(path) in finding.says
    assert "dvc repro --force --single-item pull@synthetic" in finding.says


def test_a_damaged_file_of_an_older_run_is_only_deleted(stored):
    cache, lock, path = stored
    path.write_bytes(b"abd")
    lock.write_text("schema: '2.0'\nstages: {}\n")
    finding = doctor.check_cache(cache, lock)
    assert str(path) in finding.says
    assert "repro" not in finding.says


def test_no_cache_and_no_lock_yet_is_well(tmp_path):
    assert doctor.check_cache(tmp_path / "cache", tmp_path / "dvc.lock").good
    assert doctor.check_lock(tmp_path / "dvc.lock").good


def test_a_whole_lock_is_well(stored):
    assert doctor.check_lock(stored[1]).says == "whole, 1 stages"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("empty", 0), ("in a key", 8), ("in a stage", 45), ("in a hash", 165), ("before the outs' hash", 130)],
)
def test_a_cut_lock_is_found_and_the_way_back_named(stored, name, kept):
    _, lock, _ = stored
    lock.write_text(lock.read_text()[:kept])
    finding = doctor.check_lock(lock)
    assert not finding.good
    assert "git checkout dvc.lock" in finding.says


@pytest.fixture
def weights(tmp_path):
    networks = ("detector", "fast", "refiner", "reader")
    files = {f"{network}.onnx": f"{network}.onnx".encode() for network in networks}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    bundle = {
        "version": 3,
        **{network: {"float": f"{network}.onnx"} for network in networks},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    return tmp_path


def test_whole_weights_are_well(weights):
    assert doctor.check_weights(weights).good


@pytest.mark.parametrize("damage", ["flip", "delete", "half a manifest"])
def test_damaged_weights_are_found(weights, damage):
    if damage == "flip":
        (weights / "reader.onnx").write_bytes(b"reader.onny")
    elif damage == "delete":
        (weights / "reader.onnx").unlink()
    else:
        (weights / "bundle.json").write_text("{")
    assert not doctor.check_weights(weights).good


def test_missing_tesseract_names_the_command(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "apt-get install tesseract-ocr" in doctor.check_tesseract().says
