"""The benchmark of detectors: every one on the same pictures, both sets of labels, a table that a page can show."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.benchmarks import detectors
from pipeline.benchmarks.detectors import Contender, Measured
from pipeline.benchmarks.pages import marks
from pipeline.images import encode_png, sha256
from pipeline.manifest import write_manifest
from pipeline.metrics import Bootstrap
from pipeline.records import Box, Detection, Plate, Quad, Sample

BEGIN, END = marks(detectors.BENCHMARK)
TRUE, LOOSE = Box(20, 20, 60, 30), Box(14, 14, 66, 36)


class Fake:
    """Finds one box in every photo."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def detect(self, images, min_score):
        return [[Detection(self._box, Quad.of_box(self._box), 0.9)] for _ in images]


def curated(folder, count: int = 3) -> dict[str, np.ndarray]:
    """Photos with one plate, outlined exactly in one manifest and loosely in the other; one of another split."""
    photos, true, loose = {}, [], []
    for number in range(count + 1):
        image = np.full((64, 96, 3), number, np.uint8)
        data = encode_png(image)
        (folder / f"{number}.png").write_bytes(data)
        split = "train" if number == count else "test"
        for samples, box in ((true, TRUE), (loose, LOOSE)):
            plate = Plate(box, Quad.of_box(box) if box is TRUE else None)
            samples.append(Sample(sha256(data), f"{number}.png", 96, 64, (plate,), "made", str(number), split=split))
        photos[sha256(data)] = image
    write_manifest(folder / "manifest.jsonl", sorted(true, key=lambda s: s.id))
    write_manifest(folder / "original.jsonl", sorted(loose, key=lambda s: s.id))
    return photos


def test_accuracy_is_that_of_each_set_of_labels(tmp_path) -> None:
    photos = curated(tmp_path)
    labels = {
        name: detectors.chosen(detectors.read_manifest(tmp_path / f"{name}.jsonl"), None, "all")
        for name in ("manifest", "original")
    }
    rows = detectors.accuracy(Contender("exact", lambda _: Fake(TRUE), 1.0), labels, photos, Bootstrap(50, 1))
    assert rows["manifest"]["ap50"] == pytest.approx(1)
    assert rows["manifest"]["corner_error"]["mean"] == 0
    assert rows["original"]["ap50"] == pytest.approx(0)
    assert rows["manifest"]["ap50_by_height"]["0 to 16 px"]["plates"] == 4


def test_only_what_was_asked_for_is_measured(tmp_path) -> None:
    curated(tmp_path)
    samples = detectors.read_manifest(tmp_path / "manifest.jsonl")
    assert len(detectors.chosen(samples, None, "test")) == 3
    assert len(detectors.chosen(samples, "made", "all")) == 4
    assert detectors.chosen(samples, "other", "all") == []


def test_the_whole_run_writes_table_figures_and_page(tmp_path, tiny_bundle) -> None:
    curated(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    arguments = ["--curated", tmp_path, "--images", tmp_path, "--out", tmp_path / "bench.md", "--model", tiny_bundle]
    app = detectors.typer.Typer()
    app.command()(detectors.main)
    done = CliRunner().invoke(app, [str(a) for a in [*arguments, "--readme", readme, "--bootstrap", 20]])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert len(rows) == 4
    for row in rows:
        assert set(row["milliseconds"]) == {"1", "2"}
        assert min(row["milliseconds"].values()) > 0
        assert set(row["accuracy"]) == {"corrected", "original"}
    page = readme.read_text()
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page
    assert "| AP50 corrected |" in page
    whole = (tmp_path / "bench.md").read_text()
    assert "Labels as published" in whole
    assert "relative" in whole
    missing = CliRunner().invoke(app, [str(a) for a in [*arguments, "--source", "nowhere"]])
    assert missing.exit_code == 1
    assert "no photo of nowhere stands in the split test" in str(missing.exception)


def test_time_is_relative_to_the_first_row() -> None:
    one = Measured("a", 1.0, {}, {1: 20.0, 2: 11.0}, {1: 50.0, 2: 90.0})
    assert "| 0.50 |" in detectors._time_line(one, Measured("b", 2.0, {}, {1: 40.0}, {}))
