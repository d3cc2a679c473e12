"""The export stage's own part: what calibrates, and when a changed network is refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.exporting import ExportError
from pipeline.images import encode_png, sha256
from pipeline.records import Box, Plate, Sample
from pipeline.stages import export

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml").export
FINE = {
    "detector_difference": 1e-5,
    "reader_difference": 1e-5,
    "detector_int8_box_shift": 0.02,
    "reader_int8_text_change": 0.0,
}


def sample(folder: Path, number: int, split: str, kind: str = "photo") -> Sample:
    data = encode_png(np.full((40, 80, 3), number, np.uint8))
    (folder / f"{number}.png").write_bytes(data)
    return Sample(
        sha256(data), f"{number}.png", 80, 40, (Plate(Box(20, 10, 60, 20)),), "made", str(number), split, kind=kind
    )


def test_only_the_training_split_calibrates(tmp_path: Path) -> None:
    samples = [
        sample(tmp_path, 10, "test"),
        sample(tmp_path, 20, "train"),
        sample(tmp_path, 30, "val"),
        sample(tmp_path, 40, "train", "crop"),
    ]
    photos, crops = export.calibration_images(samples, tmp_path, count=8)
    assert [int(photo[0, 0, 0]) for photo in photos] == [20]
    assert sorted(int(crop[0, 0, 0]) for crop in crops) == [20, 40]


def test_nothing_to_calibrate_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing to calibrate"):
        export.calibration_images([sample(tmp_path, 10, "test")], tmp_path, count=8)


def test_a_faithful_export_passes() -> None:
    export.check(FINE, SETTINGS)


@pytest.mark.parametrize("name", FINE)
def test_each_figure_has_its_limit_and_is_named(name: str) -> None:
    with pytest.raises(ExportError, match=name):
        export.check({**FINE, name: 0.5}, SETTINGS)
