"""The pull stage: whole folders or none, whatever happens on the way; the same bytes each time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import manifest, params
from pipeline.images import encode_png
from pipeline.params import Params
from pipeline.records import Sample
from pipeline.sources.base import Problem, Pulled, SourceError
from pipeline.stages import pull

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with params.yaml as committed, but for the origin of negatives: forty pictures."""
    (tmp_path / "set").mkdir()
    for number in range(40):
        (tmp_path / f"set/{number}.png").write_bytes(encode_png(np.full((10, 20, 3), number, np.uint8)))
    settings: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["negatives"]["origin"] = "set"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(out: Path) -> None:
    pull.main("negatives", out, Path("data/downloads"))


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, by its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_pull_writes_manifest_problems_and_report(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "set/bad.png").write_bytes(b"?")
    run(Path("data/raw/negatives"))
    samples = manifest.read_manifest(project / "data/raw/negatives/manifest.jsonl")
    assert len(samples) == 40
    for sample in samples:
        assert hashlib.sha256((project / "data/raw/negatives" / sample.image).read_bytes()).hexdigest() == sample.id
    assert manifest.read_jsonl(project / "data/raw/negatives/problems.jsonl") == [
        {"image": "bad.png", "annotation": None, "reason": "bad.png: not an image of a known format", "kind": "image"}
    ]
    report = json.loads((project / "data/raw/negatives/report.json").read_text())
    assert report == {"images": 40, "plates": 0, "problems": 1, "notes": []}
    assert "negatives: 40 images, 0 plates, 1 problems\n" in capsys.readouterr().out


def test_twice_gives_the_same_bytes_and_forgets_what_is_gone(project: Path) -> None:
    (project / "set/more.png").write_bytes(encode_png(np.full((10, 20, 3), 200, np.uint8)))
    run(Path("raw/negatives"))
    (project / "set/more.png").unlink()
    run(Path("raw/negatives"))
    run(Path("other/negatives"))
    assert hashes(project / "raw") == hashes(project / "other")


def test_killed_in_the_middle_then_again(project: Path) -> None:
    """A picture that is a pipe holds the stage in the middle of its work until it is killed."""
    run(Path("clean/negatives"))
    picture = (project / "set/20.png").read_bytes()
    (project / "set/20.png").unlink()
    os.mkfifo(project / "set/20.png")
    command = [sys.executable, "-m", "pipeline.stages.pull", "--source", "negatives", "--out", "raw/negatives"]
    stage = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(list((project / "raw").glob(".negatives.new/images/*.png"))) < 20:
            assert time.monotonic() < deadline, "the stage never got to its twentieth picture"
            assert stage.poll() is None, "the stage ended on its own"
            time.sleep(0.02)
        assert not (project / "raw/negatives").exists()
        with pytest.raises(SystemExit, match="another pull of negatives is running"):
            run(Path("raw/negatives"))
    finally:
        stage.kill()
        stage.wait()
    (project / "set/20.png").unlink()
    (project / "set/20.png").write_bytes(picture)
    run(Path("raw/negatives"))
    assert hashes(project / "raw") == hashes(project / "clean")


def test_killed_between_the_two_renames(project: Path) -> None:
    """What was there before is put back first, so that a failing next run still leaves it."""
    run(Path("raw/negatives"))
    before = hashes(project / "raw")
    (project / "raw/negatives").rename(project / "raw/.negatives.old")
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("origin: set", "origin: gone"))
    with pytest.raises(SystemExit, match="gone: no such folder or archive"):
        run(Path("raw/negatives"))
    assert hashes(project / "raw") == before


def test_a_full_disk_leaves_the_old_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Path("raw/negatives"))
    before = hashes(project / "raw")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manifest, "write_manifest", full)
    with pytest.raises(SystemExit, match=r"pull of negatives: .*No space left"):
        run(Path("raw/negatives"))
    assert hashes(project / "raw") == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ufpr", "licence"),
        ("voc", r"voc\.origin is not set"),
        ("crops", r"crops\.origin is not set"),
    ],
)
def test_without_an_origin_a_sentence(project: Path, source: params.SourceName, message: str) -> None:
    with pytest.raises(SystemExit, match=f"pull of {source}: .*{message}"):
        pull.main(source, Path("raw") / source, Path("work"))
    assert not list((project / "raw").glob("*"))


def test_params_that_cannot_be_used(project: Path) -> None:
    (project / "params.yaml").write_text("seed: 1\nnegative: {}\n")
    with pytest.raises(SystemExit, match=r"params\.yaml: negative"):
        run(Path("raw/negatives"))


def sample(image: str, digit: str) -> Sample:
    return Sample(digit * 64, image, 2, 2, (), "negatives", digit * 64)


def test_images_that_would_be_one_file_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'images/a\.png' and 'images/A\.png'"):
        pull.save(Pulled([sample("images/a.png", "1"), sample("images/A.png", "2")]), tmp_path)


def test_the_summary_tells_what_was_left_out() -> None:
    pulled = Pulled([sample("a.png", "1")], [Problem("image", f"{n}.png: empty file") for n in range(5)], ["a remark"])
    assert pull.summary("voc", pulled).splitlines() == [
        "voc: 1 images, 0 plates, 5 problems",
        "  left out, see problems.jsonl: 0.png: empty file, 1.png: empty file, 2.png: empty file and 2 more",
        "  a remark",
    ]


def test_every_source_can_be_asked_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name reaches its own module with its own section of params.yaml."""
    settings: Params = params.load()
    asked: list[tuple[str, object]] = []
    for name in ("kaggle", "ufpr", "voc", "crops", "negatives"):
        module = __import__(f"pipeline.sources.{name}", fromlist=["pull"])
        monkeypatch.setattr(module, "pull", lambda section, *_, name=name: asked.append((name, section)) or Pulled())
        assert pull.pull(name, settings, project, project) == Pulled()  # type: ignore[arg-type]
        assert asked[-1] == (name, getattr(settings, name))
