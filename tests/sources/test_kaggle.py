"""Kaggle's set: wrong, missing and extra files are named; the real set where it is at hand."""

from __future__ import annotations

import csv
import hashlib
import shutil
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.params import Kaggle
from pipeline.sources import kaggle
from pipeline.sources.base import Pulled
from pipeline.sources.kaggle import DamagedError, read_sums
from pipeline.sources.origin import OriginError

REAL = Path(__file__).parents[2].parent / "shared/data/kaggle"
XML = (
    "\n<annotation><size><width>40</width><height>20</height></size><object><name>licence</name>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def test_the_sums_are_of_all_866_files() -> None:
    sums = read_sums()
    assert set(sums) == {f"images/Cars{n}.png" for n in range(433)} | {f"annotations/Cars{n}.xml" for n in range(433)}
    assert {len(digest) for digest in sums.values()} == {64}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of twelve pictures with sums of its own; the last is a copy of the first."""
    folder = tmp_path / "set"
    lines = []
    for number in range(12):
        picture = encode_png(np.full((20, 40, 3), number % 11, np.uint8))
        for name, data in ((f"images/Cars{number}.png", picture), (f"annotations/Cars{number}.xml", XML.encode())):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    sums = read_sums(tmp_path / "SHA256SUMS")
    monkeypatch.setattr(kaggle, "read_sums", lambda: sums)
    return folder


def pulled(origin: Path | str, tmp_path: Path, limit: int | None = None) -> Pulled:
    settings = Kaggle(origin=str(origin), version=1, limit=limit)
    return kaggle.pull(settings, tmp_path / "work", tmp_path / "out")


def test_every_picture_stays_copies_too(small: Path, tmp_path: Path) -> None:
    found = pulled(small, tmp_path)
    assert [sample.image for sample in found.samples] == [f"images/Cars{n}.png" for n in range(12)]
    assert found.samples[0].id == found.samples[11].id
    assert (found.problems, found.notes) == ([], [])
    assert (tmp_path / "out/images/Cars7.png").read_bytes() == (small / "images/Cars7.png").read_bytes()


def test_a_limit_takes_the_first_by_number_and_needs_only_those(small: Path, tmp_path: Path) -> None:
    for number in range(3, 12):
        (small / f"images/Cars{number}.png").unlink()
    assert [sample.image for sample in pulled(small, tmp_path, limit=3).samples] == [
        f"images/Cars{n}.png" for n in range(3)
    ]
    assert {path.name for path in (tmp_path / "out/images").iterdir()} == {f"Cars{n}.png" for n in range(3)}


def test_missing_and_damaged_files_are_named(small: Path, tmp_path: Path) -> None:
    (small / "images/Cars3.png").unlink()
    (small / "annotations/Cars10.xml").write_text(XML.replace("30", "31"))
    with pytest.raises(DamagedError) as caught:
        pulled(small, tmp_path)
    assert "of 24 files" in str(caught.value)
    assert "1 missing (images/Cars3.png)" in str(caught.value)
    assert "1 damaged (annotations/Cars10.xml)" in str(caught.value)


def test_extra_files_are_named(small: Path, tmp_path: Path) -> None:
    (small / "README.md").touch()
    (small / "images/Cars999.png").write_bytes(b"")
    (small / "annotations/Cars0 (1).xml").write_text(XML)
    (small / "annotations/.ipynb_checkpoints").mkdir()
    (small / "annotations/.ipynb_checkpoints/Cars1.xml").touch()
    found = pulled(small, tmp_path)
    assert len(found.samples) == 12
    assert [(problem.kind, problem.image, problem.annotation) for problem in found.problems] == [
        ("annotation", None, "annotations/Cars0 (1).xml"),
        ("image", "images/Cars999.png", None),
    ]
    assert found.notes == ["hidden files left aside: annotations/.ipynb_checkpoints/Cars1.xml"]


@pytest.mark.parametrize("top", ["", "archive/car-plate-detection/"])
def test_from_a_zip(small: Path, tmp_path: Path, top: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(small.rglob("*.*")):
            archive.write(path, top + path.relative_to(small).as_posix())
    assert pulled(tmp_path / "set.zip", tmp_path / "a").samples == pulled(small, tmp_path / "b").samples
    assert list((tmp_path / "a/work").iterdir()) == []


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="no folder with images/ and annotations/"):
        pulled(tmp_path, tmp_path)


class FakeHub(types.ModuleType):
    """kagglehub as we use it: each download gives the next folder, or raises it."""

    def __init__(self, *answers: Path | Exception) -> None:
        super().__init__("kagglehub")
        self.answers, self.calls = list(answers), list[tuple[str, bool]]()

    def dataset_download(self, handle: str, force_download: bool = False) -> str:
        self.calls.append((handle, force_download))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


PINNED = "andrewmvd/car-plate-detection/versions/1"


def test_kagglehub_with_the_version_pinned(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(small)
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    assert len(pulled("kagglehub", tmp_path).samples) == 12
    assert hub.calls == [(PINNED, False)]


def test_a_damaged_cache_is_fetched_once_again(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = shutil.copytree(small, tmp_path / "cache")
    size = (cache / "images/Cars1.png").stat().st_size
    (cache / "images/Cars1.png").write_bytes(b"x" * size)
    hub = FakeHub(cache, small)
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    assert len(pulled("kagglehub", tmp_path).samples) == 12
    assert hub.calls == [(PINNED, False), (PINNED, True)]
    monkeypatch.setitem(sys.modules, "kagglehub", FakeHub(cache, cache))
    with pytest.raises(DamagedError, match="1 damaged"):
        pulled("kagglehub", tmp_path)


def test_kaggle_out_of_reach_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", FakeHub(ConnectionError("no route\nto host")))
    with pytest.raises(OriginError, match=r"cannot get andrewmvd.*: no route\. .*kaggle\.origin"):
        pulled("kagglehub", tmp_path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set as published: each distinct file is stored once, copies.csv says which repeat which."""
    if not REAL.exists():
        pytest.skip("the real data set is not beside this checkout (../shared/data/kaggle)")
    folder = tmp_path_factory.mktemp("kaggle")
    for kind in ("images", "annotations"):
        (folder / kind).mkdir()
        for file in (REAL / "car-plate-detection" / kind).glob("Cars*"):
            (folder / kind / file.name).symlink_to(file)
    with (REAL / "copies.csv").open() as copies:
        for row in csv.DictReader(copies):
            (folder / "images" / row["image"]).symlink_to(REAL / "car-plate-detection/images" / row["same_bytes_as"])
    return folder


def test_the_real_set(real: Path, tmp_path: Path) -> None:
    found = pulled(real, tmp_path)
    boxes = [len(sample.plates) for sample in found.samples]
    assert (len(found.samples), sum(boxes), found.problems) == (433, 471, [])
    assert {count: boxes.count(count) for count in set(boxes)} == {1: 409, 2: 18, 4: 5, 6: 1}
    assert len({sample.id for sample in found.samples}) == 302
    for sample in found.samples:
        for plate in sample.plates:
            assert plate.box.x1 >= 0
            assert plate.box.y1 >= 0
            assert plate.box.x2 <= sample.width
            assert plate.box.y2 <= sample.height
