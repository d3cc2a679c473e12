"""Pictures without a plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.images import encode_jpeg
from pipeline.params import Negatives
from pipeline.sources import negatives
from pipeline.sources.base import SourceError


def test_every_picture_is_a_sample_without_plates(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("10.jpg", "9.jpg", "deep/1.JPG")):
        (folder / name).write_bytes(encode_jpeg(np.full((10, 20, 3), number * 50, np.uint8)))
    (folder / "LICENSE").write_text("MIT")
    (folder / "broken.jpg").write_bytes(b"")
    pulled = negatives.pull(Negatives(origin=str(folder)), tmp_path / "work", tmp_path / "out")
    assert [sample.image for sample in pulled.samples] == ["images/9.jpg", "images/10.jpg", "images/deep/1.JPG"]
    assert {(sample.plates, sample.width, sample.height, sample.kind) for sample in pulled.samples} == {
        ((), 20, 10, "photo")
    }
    assert [(problem.kind, problem.reason) for problem in pulled.problems] == [("image", "broken.jpg: empty file")]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        negatives.pull(Negatives(origin=str(tmp_path)), tmp_path / "work", tmp_path / "out")
