"""Crops from a CSV: every row is a sample or a problem that names it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.params import Crops
from pipeline.records import Box
from pipeline.sources import crops
from pipeline.sources.base import Pulled, SourceError


def picture(folder: Path, name: str, width: int = 30) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.new("L", (width, 10)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def pulled(tmp_path: Path, csv: str | bytes) -> Pulled:
    (tmp_path / "set").mkdir(exist_ok=True)
    (tmp_path / "set/labels.csv").write_bytes(csv if isinstance(csv, bytes) else csv.encode())
    return crops.pull(Crops(origin=str(tmp_path / "set")), tmp_path / "work", tmp_path / "out")


def test_good_rows(tmp_path: Path) -> None:
    picture(tmp_path / "set", "images/a.png")
    picture(tmp_path / "set", "images/b.png", 40)
    csv = '\ufeffimage_path,plate_text,plate_region\r\nimages/a.png,kwf-560,SE\r\n./images/b.png,"京PL3N67",\r\n'
    found = pulled(tmp_path, csv)
    assert found.problems == []
    a, b = found.samples
    assert (a.kind, a.source, a.image, a.width, a.height) == ("crop", "crops", "images/a.png", 30, 10)
    assert (a.plates[0].box, a.plates[0].text, a.plates[0].region) == (Box(0, 0, 30, 10), "KWF560", "SE")
    assert (b.plates[0].text, b.plates[0].region, b.image) == ("京PL3N67", None, "images/b.png")
    assert (tmp_path / "out/images/a.png").read_bytes() == (tmp_path / "set/images/a.png").read_bytes()


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        pytest.param("a.png,ÄBC123", "annotation", "labels.csv line 2: character 'Ä' is not in", id="alphabet"),
        pytest.param("a.png,ABCDEFGHIJKLM", "annotation", "line 2: a plate has 1 to 12", id="too long"),
        pytest.param("a.png,", "annotation", "line 2: image_path and plate_text must both", id="no text"),
        pytest.param("a.png", "annotation", "line 2: image_path and plate_text must both", id="short row"),
        pytest.param(",ABC123", "annotation", "line 2: image_path and plate_text must both", id="no path"),
        pytest.param("../secret.png,ABC123", "annotation", "line 2: '../secret.png' is no path inside", id="parent"),
        pytest.param("/etc/passwd,ABC123", "annotation", "line 2: '/etc/passwd' is no path inside", id="absolute"),
        pytest.param("x.png,ABC123", "unpaired", "line 2: annotation without image: x.png", id="missing"),
        pytest.param("x" * 300 + ".png,ABC123", "annotation", "File name too long", id="a name that no disk takes"),
        pytest.param("bad.png,ABC123", "image", "line 2: bad.png: not an image", id="no picture"),
    ],
)
def test_bad_rows_are_problems_that_name_the_row(tmp_path: Path, row: str, kind: str, reason: str) -> None:
    picture(tmp_path, "secret.png")
    picture(tmp_path / "set", "a.png")
    picture(tmp_path / "set", "good.png", 20)
    (tmp_path / "set/bad.png").write_bytes(b"?")
    found = pulled(tmp_path, f"image_path,plate_text\n{row}\ngood.png,ABC123\n")
    assert [sample.image for sample in found.samples] == ["images/good.png"]
    assert found.problems[0].kind == kind
    assert reason in found.problems[0].reason
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["good.png"]


def test_two_rows_for_one_image_and_an_image_without_a_row(tmp_path: Path) -> None:
    for name in ("a.png", "alone.png"):
        picture(tmp_path / "set", name)
    found = pulled(tmp_path, "image_path,plate_text\na.png,ABC123\na.png,ABC128\n")
    assert found.samples == []
    assert [(problem.kind, problem.reason) for problem in found.problems] == [
        ("annotation", "labels.csv line 2: 'a.png' is named 2 times"),
        ("annotation", "labels.csv line 3: 'a.png' is named 2 times"),
        ("unpaired", "alone.png: image without a row in labels.csv"),
    ]


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        pytest.param("", "has no column image_path and no plate_text", id="empty"),
        pytest.param("image_path,text\na.png,X\n", "has no column plate_text", id="a column is missing"),
        pytest.param('image_path,plate_text\n"a.png,X\n', "not a CSV in UTF-8", id="an open quote"),
        pytest.param("image_path,plate_text\na.png,\xc4\n".encode("latin-1"), "not a CSV in UTF-8", id="latin-1"),
    ],
)
def test_a_csv_that_cannot_be_read_is_an_error(tmp_path: Path, csv: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        pulled(tmp_path, csv)


def test_no_csv_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"needs one labels\.csv"):
        crops.pull(Crops(origin=str(tmp_path)), tmp_path / "work", tmp_path / "out")
