"""What `alpr doctor` finds: what is missing or does not answer, and damage in weights, dvc.lock, cache and database."""

import hashlib
import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

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


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_listing_of_a_folder_is_found_too(stored, damage):
    cache, lock, _ = stored
    (listing,) = cache.rglob("*.dir")
    listing.write_bytes(listing.read_bytes()[:-3] if damage == "cut" else b"[" + listing.read_bytes())
    finding = doctor.check_cache(cache, lock)
    assert str(listing) in finding.says
    assert "dvc repro --force --single-item pull@synthetic" in finding.says


@pytest.mark.parametrize("lock_text", ["", "stages: []", "stages: {a: 1}", "stages:\n  a:\n    cmd: b\n    outs: 3\n"])
def test_a_damaged_object_is_named_beside_a_damaged_lock_too(stored, lock_text):
    cache, lock, path = stored
    path.write_bytes(b"abd")
    lock.write_text(lock_text)
    assert str(path) in doctor.check_cache(cache, lock).says
    assert not doctor.check_lock(lock).good


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ".dvc/cache"),
        (
            {"config": "[core]\n    autostage = false\n[cache]\n    dir = ../store\n    type = hardlink\n"},
            ".dvc/../store",
        ),
        ({"config": "[cache]\ndir = a\n", "config.local": "[cache]\ndir = /b\n"}, "/b"),
        ({"config": "['remote \"x\"']\n    url = s3://%b\n"}, ".dvc/cache"),
        ({"config": "no settings"}, ".dvc/cache"),
    ],
    ids=["unsaid", "said", "said here alone", "a remote", "damaged"],
)
def test_the_cache_is_where_dvc_has_it(tmp_path, settings, expected):
    (tmp_path / ".dvc").mkdir()
    for name, text in settings.items():
        (tmp_path / ".dvc" / name).write_text(text)
    assert doctor.cache_of(tmp_path) == tmp_path / expected / "files" / "md5"


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
    assert doctor.check_weights(weights, "weights", "restore them").says == "4 files, each with its SHA-256"


@pytest.mark.parametrize("damage", ["flip", "delete", "half a manifest"])
def test_damaged_weights_are_found(weights, damage):
    if damage == "flip":
        (weights / "reader.onnx").write_bytes(b"reader.onny")
    elif damage == "delete":
        (weights / "reader.onnx").unlink()
    else:
        (weights / "bundle.json").write_text("{")
    finding = doctor.check_weights(weights, "weights", "restore them")
    assert not finding.good
    assert finding.says.endswith("; restore them")


def test_missing_tesseract_names_the_command(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "apt-get install tesseract-ocr" in doctor.check_tesseract().says


def program(folder, script):
    """A tesseract of our own making."""
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "good", "says"),
    [
        ("case $1 in --version) echo tesseract 5;; *) printf 'List:\\neng\\nosd\\n';; esac", True, "tesseract 5"),
        ("case $1 in --version) echo tesseract 5;; *) printf 'List:\\nosd\\n';; esac", False, "tesseract-ocr-eng"),
        ("exit 1", False, "install tesseract-ocr again"),
    ],
    ids=["whole", "no English", "does not run"],
)
def test_tesseract_must_run_and_know_english(tmp_path, monkeypatch, script, good, says):
    found = program(tmp_path, script)
    monkeypatch.setattr("shutil.which", lambda name: found)
    finding = doctor.check_tesseract()
    assert finding.good == good
    assert says in finding.says


@pytest.mark.parametrize(("version", "good"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_python_must_be_one_that_is_supported(monkeypatch, version, good):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    finding = doctor.check_python()
    assert finding.good == good
    assert good or "make setup" in finding.says


@pytest.mark.parametrize(
    ("machine", "flags", "good", "says"),
    [
        ("x86_64", "fpu avx avx2 avx512_vnni", True, "avx2, avx512_vnni"),
        ("x86_64", "fpu avx", False, "--fast"),
        ("aarch64", "", True, "aarch64"),
    ],
)
def test_a_slow_processor_is_named(monkeypatch, machine, flags, good, says):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("pathlib.Path.read_text", lambda self, **options: f"model : x\nflags\t\t: {flags}\n")
    finding = doctor.check_processor()
    assert finding.good == good
    assert says in finding.says


def test_the_runtime_names_its_version_and_providers():
    finding = doctor.check_runtime()
    assert finding.good
    assert "CPU" in finding.says


def test_without_the_runtime_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    finding = doctor.check_runtime()
    assert not finding.good
    assert "make setup" in finding.says


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """The address of a server with a /health."""
    serving = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, and no server named."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_servers_that_answer_are_well_and_no_password_is_shown(elsewhere, monkeypatch, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{server}")
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://{server}")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    mlflow, studio = doctor.check_mlflow(), doctor.check_label_studio()
    assert (mlflow.good, mlflow.says) == (True, f"http://{server} answers")
    assert (studio.good, studio.says) == (True, f"http://{server} answers")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://{server}/nothing/here", "http://["])
def test_servers_that_do_not_answer_are_problems_with_what_to_do(elsewhere, monkeypatch, server, address):
    monkeypatch.setattr(doctor, "ANSWER", 1.0)
    for name in ("MLFLOW_TRACKING_URI", "LABEL_STUDIO_URL"):
        monkeypatch.setenv(name, address.format(server=server))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    mlflow, studio = doctor.check_mlflow(), doctor.check_label_studio()
    assert not mlflow.good
    assert "set MLFLOW_TRACKING_URI" in mlflow.says
    assert not studio.good
    assert "make label-studio" in studio.says


def test_a_label_studio_without_its_token_is_a_problem(elsewhere, monkeypatch):
    assert doctor.check_label_studio().good, "who labels nothing needs none"
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://me:secret@studio.test")
    finding = doctor.check_label_studio()
    assert not finding.good
    assert "LABEL_STUDIO_API_KEY" in finding.says
    assert "secret" not in finding.says


def test_mlflows_own_database_is_looked_through(elsewhere):
    assert "first run makes" in doctor.check_mlflow().says
    store = elsewhere / "mlflow.db"
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,)] * 200)
    database.close()
    assert doctor.check_mlflow().good
    data = store.read_bytes()
    for damaged in (b"not a database at all" * 200, data[: len(data) // 2], data[:4096] + bytes(len(data) - 4096)):
        store.write_bytes(damaged)
        finding = doctor.check_mlflow()
        assert not finding.good
        assert "move it away" in finding.says
        assert store.read_bytes() == damaged


def subjects(findings):
    return [finding.subject for finding in findings]


def test_what_is_looked_at_depends_on_where_one_is(elsewhere, monkeypatch, weights):
    everywhere = ["Python", "processor", "ONNX Runtime", "tesseract", "weights"]
    assert subjects(doctor.examine(elsewhere / "x", weights)) == everywhere
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow")
    findings = doctor.examine(elsewhere / "x", weights)
    assert subjects(findings) == [*everywhere, "MLflow"]
    assert "secret" not in findings[-1].says
    (elsewhere / "dvc.yaml").write_text("stages: {}")
    project = [*everywhere, "dvc.lock", "DVC cache", "MLflow", "Label Studio"]
    assert subjects(doctor.examine(elsewhere, weights)) == project
    (elsewhere / "models" / "export").mkdir(parents=True)
    exported = doctor.examine(elsewhere, weights)[5]
    assert (exported.subject, exported.good) == ("exported models", False)
    assert "dvc repro export" in exported.says
