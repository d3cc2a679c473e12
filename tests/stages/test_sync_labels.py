"""Stage sync_labels: the snapshot is checked and left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.labeling import corrections
from pipeline.stages import sync_labels

LABELS = Path(__file__).parents[2] / "data" / "labels"


def test_the_snapshot_passes(capsys: pytest.CaptureFixture[str]) -> None:
    before = (LABELS / corrections.CORRECTIONS).read_bytes()
    sync_labels.main(LABELS)
    assert "620 corrected pictures with 838 plates" in capsys.readouterr().out
    assert (LABELS / corrections.CORRECTIONS).read_bytes() == before


def test_a_broken_line_stops_it(tmp_path: Path) -> None:
    (tmp_path / corrections.CORRECTIONS).write_text('{"id": "abc", "image": "kaggle/images/a.png"}\n')
    with pytest.raises(SystemExit, match=r"row 1 \(kaggle/images/a\.png\)"):
        sync_labels.main(tmp_path)
