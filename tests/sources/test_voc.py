"""Pascal VOC: what a good annotation gives, what each bad one is told, and which file belongs to which."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from pipeline.images import Header
from pipeline.params import Voc
from pipeline.records import Box
from pipeline.sources import voc
from pipeline.sources.base import SourceError
from pipeline.sources.voc import VocAnnotation, VocError, VocObject, check_size, pair, parse_voc, split_of


def xml(*boxes: tuple[object, object, object, object], size: tuple[int, int] = (40, 20)) -> bytes:
    objects = "".join(
        "<object><name>plate</name><bndbox>"
        f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for x1, y1, x2, y2 in boxes
    )
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>a.png</filename>{head}{objects}</annotation>".encode()


def png(width: int = 40, height: int = 20, orientation: int = 1, colour: int = 7) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (colour, 0, 0)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(xml(), VocAnnotation((40, 20), ()), id="no object"),
        pytest.param(xml((1, 2, 3, 4)), VocAnnotation((40, 20), (VocObject("plate", Box(1, 2, 3, 4)),)), id="one"),
        pytest.param(
            b"\r\n \n<?xml version='1.0'?>" + xml((1.5, 2, 3, 4)),
            VocAnnotation((40, 20), (VocObject("plate", Box(1.5, 2, 3, 4)),)),
            id="empty lines before the declaration; fractions",
        ),
        pytest.param(xml(size=(0, 0)), VocAnnotation(None, ()), id="a size of zero is no size"),
        pytest.param(b"<annotation/>", VocAnnotation(None, ()), id="nothing in it"),
        pytest.param(
            xml((-3, 2, 99, 4)).replace(b"plate", b""),
            VocAnnotation((40, 20), (VocObject("", Box(-3, 2, 99, 4)),)),
            id="outside: kept as annotated",
        ),
    ],
)
def test_good_annotations(data: bytes, expected: VocAnnotation) -> None:
    assert parse_voc(data, "a.xml") == expected


DTD = b'<!DOCTYPE a [<!ENTITY x "y">]>'
XXE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'
LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY a0 "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 11))
    + b"]><annotation>&a10;</annotation>"
)
DEEP = b"<annotation>" + b"<a>" * 150_000 + b"</a>" * 100_000
MALFORMED = {
    "empty": (b"", "not well-formed XML"),
    "cut": (xml((1, 2, 3, 4))[:80], "not well-formed XML"),
    "no XML": (b"hello", "not well-formed XML"),
    "binary": (png(), "not well-formed XML"),
    "unknown encoding": (b"<?xml version='1.0' encoding='none-such'?><annotation/>", "not well-formed XML|encoding"),
    "another root": (b"<html></html>", "its root is not <annotation>"),
    "DTD": (DTD + xml(), "a DTD or an entity"),
    "XXE": (XXE, "a DTD or an entity"),
    "billion laughs": (LAUGHS, "a DTD or an entity"),
    "deep": (DEEP, "nested deeper than 32"),
    "many": (b"<annotation>" + b"<a/>" * 30_000 + b"</annotation>", "more than 20,000 elements"),
    "large": (b"<annotation>" + b" " * 1_000_000 + b"</annotation>", "more than the cap of 1,000,000"),
    "no bndbox": (b"<annotation><object/></annotation>", "object 1 has no <bndbox>"),
    "NaN": (xml((1, 2, 3, 4), ("nan", 2, 3, 4)), "box 2: box is not finite"),
    "infinite": (xml((1, 2, "inf", 4)), "box 1: box is not finite"),
    "inverted": (xml((3, 2, 1, 4)), "box 1: box is inverted"),
    "zero width": (xml((120, 2, 120, 4)), r"box 1: box has zero width \(x1 = x2 = 120\)"),
    "zero height": (xml((1, 4, 3, 4)), "box 1: box has zero height"),
    "a word": (xml((1, 2, "three", 4)), "box 1 has xmax 'three', which is not a number"),
    "nothing": (xml((1, "", 3, 4)), "box 1 has ymin '', which is not a number"),
    "size NaN": (xml().replace(b"<width>40", b"<width>nan"), "<size> is not finite"),
    "size infinite": (xml().replace(b"<width>40", b"<width>inf"), "<size> is not finite"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_bad_annotations_are_named_with_the_reason(case: str) -> None:
    data, message = MALFORMED[case]
    tracemalloc.start()
    try:
        with pytest.raises(VocError, match=message) as caught:
            parse_voc(data, "annotations/Cars7.xml")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith("annotations/Cars7.xml: ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("annotated", "orientation", "message"),
    [
        pytest.param((40, 20), 1, None, id="as the image"),
        pytest.param(None, 1, None, id="not said"),
        pytest.param((20, 40), 6, None, id="the upright picture"),
        pytest.param((41, 20), 1, "<size> says 41 x 20, the image is 40 x 20", id="another"),
        pytest.param((20, 40), 1, "<size> says 20 x 40", id="turned without a reason"),
        pytest.param((40, 20), 6, "annotated on the unrotated picture", id="before EXIF rotation"),
    ],
)
def test_size_is_that_of_the_upright_picture(annotated: tuple[int, int] | None, orientation: int, message: str) -> None:
    header = Header("PNG", "RGB", 40, 20, orientation, 1)
    if message is None:
        check_size(VocAnnotation(annotated, ()), header, "a.xml")
        return
    with pytest.raises(VocError, match=f"a.xml: {message}"):
        check_size(VocAnnotation(annotated, ()), header, "a.xml")


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("a.jpg", "a.xml"),
        ("images/a.jpg", "annots/a.xml"),
        ("images/a.jpg", "annotations/a.xml"),
        ("train/images/a.jpg", "train/annots/a.xml"),
        ("images/train/a.jpg", "annotations/train/a.xml"),
        ("JPEGImages/a.JPG", "Annotations/a.xml"),
    ],
)
def test_layouts(image: str, annotation: str) -> None:
    assert pair(["LICENSE", annotation, image]) == ([(image, annotation)], [])


def test_what_has_no_one_partner_is_a_problem() -> None:
    files = ["images/a.jpg", "images/b.jpg", "b.png", "annots/b.xml", "annots/c.xml", "train/d.jpg", "valid/d.xml"]
    pairs, problems = pair(files)
    assert pairs == []
    assert {problem.kind for problem in problems} == {"unpaired"}
    assert [problem.reason for problem in problems] == [
        "images/a.jpg: image without annotation",
        "which belongs to which? images/b.jpg, b.png, annots/b.xml; keep one image and one annotation",
        "which belongs to which? images/b.jpg, b.png, annots/b.xml; keep one image and one annotation",
        "annots/c.xml: annotation without image",
        "train/d.jpg: image without annotation",
        "valid/d.xml: annotation without image",
    ]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("a.jpg", None),
        ("train/a.jpg", "train"),
        ("x/Valid/images/a.jpg", "val"),
        ("testing/a.jpg", "test"),
        ("train.jpg", None),
    ],
)
def test_folders_name_the_official_split(path: str, split: str | None) -> None:
    assert split_of(path) == split


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_pull_keeps_good_rows_and_tells_of_the_others(tmp_path: Path) -> None:
    origin = write(
        tmp_path / "origin",
        {
            "train/images/day_t1.png": png(),
            "train/annots/day_t1.xml": xml((1, 2, 30, 9), (-0.5, 2, 41, 9)),
            "train/images/day_t2.png": png(20, 40, orientation=6, colour=8),
            "train/annots/day_t2.xml": xml(),
            "valid/images/bad.png": png(colour=9),
            "valid/annots/bad.xml": xml((5, 5, 5, 9)),
            "valid/images/broken.png": b"not a picture",
            "valid/annots/broken.xml": xml(),
            "valid/images/alone.png": png(colour=10),
            "valid/images/.hidden.png": b"",
        },
    )
    pulled = voc.pull(Voc(origin=str(origin), track=r"^(.*)_t\d+$"), tmp_path / "work", tmp_path / "out")
    first, second = pulled.samples
    assert (first.image, first.official_split, first.source) == ("images/train/images/day_t1.png", "train", "voc")
    assert [plate.box for plate in first.plates] == [Box(1, 2, 30, 9), Box(-0.5, 2, 41, 9)]
    assert (second.width, second.height, second.plates) == (40, 20, ())
    assert {first.group, second.group} == {"voc/day"}
    assert (tmp_path / "out" / first.image).read_bytes() == png()
    assert [(problem.kind, problem.image, problem.annotation) for problem in pulled.problems] == [
        ("unpaired", "valid/images/alone.png", None),
        ("annotation", "valid/images/bad.png", "valid/annots/bad.xml"),
        ("image", "valid/images/broken.png", "valid/annots/broken.xml"),
    ]
    assert "zero width" in pulled.problems[1].reason
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_several_origins_stay_apart(tmp_path: Path) -> None:
    for colour, name in enumerate(("one", "two")):
        write(tmp_path / name, {"a.png": png(colour=colour), "a.xml": xml((1, 2, 3, 4))})
    settings = Voc(origin=[str(tmp_path / "one"), str(tmp_path / "two")])
    pulled = voc.pull(settings, tmp_path / "work", tmp_path / "out")
    assert [sample.image for sample in pulled.samples] == ["images/one/a.png", "images/two/a.png"]
    assert [sample.group for sample in pulled.samples] == [sample.id for sample in pulled.samples]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(None, "objects are called 'car', 'plate'; list in voc.labels", id="not told which"),
        pytest.param(["licence"], "voc.labels names none of these", id="misspelt"),
        pytest.param(["plate"], [Box(1, 2, 3, 4)], id="one of the two"),
        pytest.param(["plate", "car"], [Box(1, 2, 3, 4), Box(5, 6, 7, 8)], id="both"),
    ],
)
def test_only_what_is_called_a_plate_is_one(tmp_path: Path, labels: list[str] | None, expected: str | list) -> None:
    two = xml((1, 2, 3, 4), (5, 6, 7, 8))
    head, _, tail = two.rpartition(b"<name>plate")
    origin = write(tmp_path / "origin", {"a.png": png(), "a.xml": head + b"<name>car" + tail})
    settings = Voc(origin=str(origin), labels=labels)
    if isinstance(expected, str):
        with pytest.raises(SourceError, match=expected):
            voc.pull(settings, tmp_path / "work", tmp_path / "out")
        return
    (found,) = voc.pull(settings, tmp_path / "work", tmp_path / "out").samples
    assert [plate.box for plate in found.plates] == expected


@pytest.mark.parametrize("files", [{}, {"readme.txt": b""}])
def test_a_folder_of_nothing_is_an_error(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "origin").mkdir()
    with pytest.raises(SourceError, match="holds no images"):
        voc.pull(Voc(origin=str(write(tmp_path / "origin", files))), tmp_path / "work", tmp_path / "out")


@pytest.mark.parametrize("pattern", ["no group", "(", "(a"])
def test_a_track_pattern_must_capture(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"group|regular expression"):
        Voc(origin=None, track=pattern)
