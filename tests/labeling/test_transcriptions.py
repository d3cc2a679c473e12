"""A table of transcribed plates as corrections."""

from __future__ import annotations

import pytest

from pipeline.labeling import transcriptions
from pipeline.labeling.corrections import CorrectionError
from pipeline.records import Sample

ROW = {
    "image": "Cars0",
    "xmin": "226",
    "ymin": "125",
    "xmax": "419",
    "ymax": "173",
    "text": "KL01CA2555",
    "certain": "1",
    "rows": "1",
    "region": "IN",
    "kind": "plate",
    "text_a": "KL01CA2555",
    "text_b": "KL01CA2555",
}
SAMPLES = [
    Sample(f"{number:064x}", f"images/Cars{name}.png", 500, 300, (), "kaggle", "g")
    for name, number in ((0, 2), (1, 1), (2, 1))  # Cars1 and Cars2 are the same bytes
]


def test_a_certain_text() -> None:
    (made,) = transcriptions.convert([ROW], SAMPLES, "kaggle", "2026-11-22")
    (plate,) = made.plates
    assert (made.id, made.image, made.complete) == (f"{2:064x}", "kaggle/images/Cars0.png", False)
    assert plate.plate.box.xyxy == (226, 125, 419, 173)
    assert (plate.plate.text, plate.plate.region, plate.plate.rows, plate.certain) == ("KL01CA2555", "IN", 1, True)
    assert plate.readings == ()


def test_an_uncertain_text_only_proposes() -> None:
    row = {**ROW, "certain": "0", "text": "", "text_a": "KL01", "text_b": "", "rows": "", "region": ""}
    ((plate,),) = [made.plates for made in transcriptions.convert([row], SAMPLES, "kaggle", "2026-11-22")]
    assert (plate.plate.text, plate.certain, plate.readings) == (None, False, ("KL01",))
    assert (plate.plate.rows, plate.plate.region) == (None, None)


def test_rows_of_copies_are_one_correction() -> None:
    rows = [{**ROW, "image": "Cars1"}, {**ROW, "image": "Cars2", "text": "SBA1234A"}, ROW]
    made = transcriptions.convert(rows, SAMPLES, "kaggle", "2026-11-22")
    assert [(one.image, len(one.plates)) for one in made] == [
        ("kaggle/images/Cars1.png", 2),
        ("kaggle/images/Cars0.png", 1),
    ]


def test_a_picture_that_is_not_there_is_named() -> None:
    with pytest.raises(CorrectionError, match="Cars9: no such picture"):
        transcriptions.convert([{**ROW, "image": "Cars9"}], SAMPLES, "kaggle", "2026-11-22")
