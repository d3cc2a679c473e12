"""Stage sync_labels: the snapshot is checked, all three files of it, and left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.labeling import conflicts, corrections, history
from pipeline.labeling.conflicts import Conflict
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.history import Annotated, Annotation
from pipeline.records import Box, Plate
from pipeline.stages import sync_labels

LABELS = Path(__file__).parents[2] / "data" / "labels"
NAMES = (corrections.CORRECTIONS, history.ANNOTATIONS, conflicts.CONFLICTS)
MOMENT = "2026-11-26T09:00:01.000000Z"


def test_the_snapshot_passes(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in LABELS.iterdir() if path.is_file()}
    sync_labels.main(LABELS)
    assert "620 corrected pictures with 838 plates" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in LABELS.iterdir() if path.is_file()} == before


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """One corrected picture with two plates, annotated and in conflict."""
    plates = (
        CorrectedPlate(Plate(Box(1, 2, 30, 9), text="AB1")),
        CorrectedPlate(Plate(Box(50, 2, 80, 9)), certain=False),
    )
    corrections.write(
        tmp_path / corrections.CORRECTIONS, [Correction("a" * 64, "a.png", plates, True, "Ann", "2026-11-22", "seen")]
    )
    annotation = Annotation(1, MOMENT, MOMENT, "ann", 1.0, "submitted", plates)
    history.write(tmp_path / history.ANNOTATIONS, [Annotated("a" * 64, "a.png", 12, (), (), (annotation,))])
    conflict = Conflict("a" * 64, "a.png", "annotators", 12, ("they differ",), MOMENT)
    conflicts.write(tmp_path / conflicts.CONFLICTS, [conflict])
    return tmp_path


def test_what_is_there_is_counted(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sync_labels.main(labels)
    assert capsys.readouterr().out.splitlines() == [
        "1 corrected pictures with 2 plates, 1 of them certain",
        "1 of them annotated in Label Studio, 1 in conflict",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_line_stops_it(labels: Path, name: str) -> None:
    with (labels / name).open("a") as file:
        file.write('{"id": "abc", "image": "kaggle/images/a.png"}\n')
    with pytest.raises(SystemExit, match=rf"{name}: row 2 \(kaggle/images/a\.png\): "):
        sync_labels.main(labels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "[]", "{"], ids=["a merge that was not ended", "a list", "cut off"])
def test_a_line_that_is_none_stops_it(labels: Path, name: str, line: str) -> None:
    with (labels / name).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SystemExit, match=f"{name}: line 2 is not"):
        sync_labels.main(labels)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_that_stands_there_twice_stops_it(labels: Path, name: str) -> None:
    (labels / name).write_bytes(2 * (labels / name).read_bytes())
    with pytest.raises(SystemExit, match=f"{name}: two rows for the sample {'a' * 64}"):
        sync_labels.main(labels)


def test_files_that_are_not_there_hold_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sync_labels.main(tmp_path)
    assert "0 corrected pictures with 0 plates" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
