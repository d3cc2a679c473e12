"""Stage validate: what fails is quarantined with its reason, what is left goes on, and too much of it stops the run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import images, manifest
from pipeline.records import Box, Plate, Sample
from pipeline.stages import validate

ROOT = Path(__file__).parents[2]


class Project:
    """A folder with params.yaml and data/raw/voc."""

    def __init__(self, folder: Path, **thresholds: float) -> None:
        self.folder = folder
        settings = yaml.safe_load((ROOT / "params.yaml").read_text())
        settings["sources"] = ["voc"]
        settings["validate"] |= thresholds
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))
        self.rows: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []

    def add(self, name: str, data: bytes, *boxes: tuple[float, float, float, float], **changes: Any) -> None:
        path = self.folder / "raw" / "voc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        identity = images.sha256(data)
        plates = tuple(Plate(Box(*box)) for box in boxes)
        row = manifest.sample_to_row(Sample(identity, name, 80, 60, plates, "voc", identity))
        self.rows.append({**row, **changes})

    def run(self) -> None:
        folder = self.folder / "raw" / "voc"
        manifest.write_jsonl(folder / "manifest.jsonl", self.rows)
        manifest.write_jsonl(folder / "problems.jsonl", self.problems)
        out = self.folder / "out"
        validate.main(
            self.folder / "raw", out / "manifest.jsonl", out / "quarantine.jsonl", out / "metrics.json", out / "docs"
        )

    @property
    def quarantine(self) -> dict[str, str]:
        rows = manifest.read_jsonl(self.folder / "out" / "quarantine.jsonl")
        return {row["image"]: "; ".join(row["reasons"]) for row in rows}

    @property
    def passed(self) -> list[Sample]:
        return manifest.read_manifest(self.folder / "out" / "manifest.jsonl")

    @property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / "metrics.json").read_text())
        return found


def picture(seed: int, format_: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format_, **options)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(6, "JPEG", exif=exif)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, max_failed=1.0, max_unpaired=1.0)


def test_every_fault_goes_to_quarantine_with_its_reason(project: Project) -> None:
    project.add("good.png", picture(1), (10, 10, 50, 20))
    project.add("edge.png", picture(2), (-0.5, 10, 50, 60.5))
    project.add("cmyk.jpg", picture(3, "JPEG", "CMYK"), (10, 10, 50, 20))
    project.add("palette.png", picture(4, "PNG", "P"))
    project.add("truncated.png", picture(5)[:4000], (10, 10, 50, 20))
    project.add("empty.png", b"")
    project.add("turned.jpg", turned())
    project.add("outside.png", picture(7), (10, 10, 95, 20))
    project.add("inverted.png", picture(8), plates=[{"box": [50, 10, 10, 20]}])
    project.add("nan.png", picture(9), plates=[{"box": ["NaN", 10, 20, 20]}])
    project.add("nobox.png", picture(10), plates=[{"text": "AB1"}])
    project.problems = [
        {"image": None, "annotation": "b.xml", "reason": "b.xml: annotation without image", "kind": "unpaired"},
        {"image": "c.png", "annotation": "c.xml", "reason": "c.xml: EntitiesForbidden: ...", "kind": "annotation"},
    ]
    project.run()
    assert [sample.image for sample in sorted(project.passed, key=lambda sample: sample.image)] == [
        "voc/cmyk.jpg",
        "voc/edge.png",
        "voc/good.png",
        "voc/palette.png",
    ]
    expected = {
        "truncated.png": "cannot be decoded",
        "empty.png": "empty file",
        "turned.jpg": "turned by its EXIF orientation 6",
        "outside.png": "box 1 reaches 15 pixels outside",
        "inverted.png": "box is inverted",
        "nan.png": "",
        "nobox.png": "'box' is missing",
        "b.xml": "annotation without image",
        "c.png": "EntitiesForbidden",
    }
    assert set(project.quarantine) == set(expected)
    assert all(words in project.quarantine[image] for image, words in expected.items())
    counts = project.metrics["sources"]["voc"]
    assert counts == {"rows": 13, "passed": 4, "failed": 8, "unpaired": 1, "plates": 5, "photos": 8}
    assert "<td>voc</td>" in (project.folder / "out" / "docs" / "index.html").read_text()


def test_a_box_over_the_edge_by_a_pixel_is_clipped(project: Project) -> None:
    project.add("edge.png", picture(2), (-0.5, 10, 50, 60.5))
    project.run()
    assert [plate.box.xyxy for plate in project.passed[0].plates] == [(0, 10, 50, 60)]


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"max_failed": 0.3, "max_unpaired": 1.0}, "voc: 1 of 3 rows fail (33.3%), above validate.max_failed = 0.3"),
        ({"max_failed": 1.0, "max_unpaired": 0.2}, "1 of 4 rows are half a pair (25.0%), above validate.max_unpaired"),
    ],
)
def test_the_gate_names_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresholds: dict[str, float], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, **thresholds)
    project.add("a.png", picture(1))
    project.add("b.png", picture(2))
    project.add("empty.png", b"")
    project.problems = [
        {"image": "d.png", "annotation": None, "reason": "image without annotation", "kind": "unpaired"}
    ]
    with pytest.raises(SystemExit) as stopped:
        project.run()
    message = str(stopped.value)
    assert words in message
    assert "voc: empty.png: empty file" in message
    assert "pull it again, or raise the threshold" in message
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
    assert set(project.quarantine) == {"empty.png", "d.png"}
    assert len(project.metrics["gate"]) == 1
    assert (tmp_path / "out" / "docs" / "index.html").exists()


def test_a_source_without_a_sound_row_fails_whatever_the_threshold(project: Project) -> None:
    project.add("empty.png", b"")
    with pytest.raises(SystemExit, match="none of its 1 rows is sound"):
        project.run()


def test_a_source_that_was_not_pulled_is_named(project: Project) -> None:
    with pytest.raises(SystemExit, match="pull voc first"):
        validate.main(project.folder / "raw", *([project.folder / "x"] * 4))


def test_the_same_data_give_the_same_files(project: Project) -> None:
    project.add("good.png", picture(1), (10, 10, 50, 20))
    project.add("empty.png", b"")
    found = []
    for _ in range(2):
        project.run()
        out = project.folder / "out"
        found.append({path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()})
    assert found[0] == found[1]
