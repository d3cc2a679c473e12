"""Every rule of the suites, by a row that keeps it and one that breaks it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import images, params
from pipeline.curation import expectations
from pipeline.curation.expectations import File, Suites, Verdict
from pipeline.records import Box, Plate, Quad, Sample

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml").validate_
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(PICTURE, "JPEG", exif=exif)


def bomb(side: int) -> bytes:
    """A small PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "mode", "size"),
    [
        pytest.param(lambda: encoded(PICTURE, "PNG"), "RGB", (80, 60), id="RGB"),
        pytest.param(lambda: encoded(PICTURE.convert("CMYK"), "JPEG"), "CMYK", (80, 60), id="CMYK"),
        pytest.param(lambda: encoded(PICTURE.convert("P"), "PNG"), "P", (80, 60), id="palette"),
        pytest.param(lambda: encoded(PICTURE.convert("RGBA"), "PNG"), "RGBA", (80, 60), id="RGBA"),
        pytest.param(lambda: encoded(PICTURE.convert("1"), "PNG"), "1", (80, 60), id="two colours"),
        pytest.param(
            lambda: encoded(Image.fromarray(np.full((60, 80), 40000, np.uint16)), "PNG"), "I;16", (80, 60), id="16 bits"
        ),
        pytest.param(
            lambda: encoded(PICTURE.convert("P"), "GIF", save_all=True, append_images=[PICTURE.rotate(9).convert("P")]),
            "P",
            (80, 60),
            id="animated",
        ),
        pytest.param(rotated, "RGB", (60, 80), id="turned by EXIF"),
    ],
)
def test_pictures_that_decode(tmp_path: Path, data: Callable[[], bytes], mode: str, size: tuple[int, int]) -> None:
    path = tmp_path / "picture"
    path.write_bytes(data())
    file = expectations.inspect(path, SETTINGS.max_pixels)
    assert (file.error, file.mode, file.size) == (None, mode, size)
    assert file.digest == images.sha256(path.read_bytes())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"<!DOCTYPE html><html>", "not an image", id="a web page"),
        pytest.param(encoded(PICTURE, "JPEG")[:1500], "cannot be decoded", id="truncated JPEG"),
        pytest.param(encoded(PICTURE, "PNG")[:5000], "cannot be decoded", id="truncated PNG"),
        pytest.param(bomb(30_000), "more than the cap", id="bomb"),
        pytest.param(bomb(8_000), "more than the cap", id="small bomb"),
        pytest.param(None, "cannot be read", id="no such file"),
    ],
)
def test_pictures_that_do_not(tmp_path: Path, data: bytes | None, words: str) -> None:
    path = tmp_path / "picture"
    if data is not None:
        path.write_bytes(data)
    file = expectations.inspect(path, SETTINGS.max_pixels)
    assert file.error is not None
    assert words in file.error


def sample(number: int, *plates: Plate) -> Sample:
    return Sample(f"{number:064x}", f"{number}.png", 200, 100, plates, "voc", "g")


def sound(number: int, **changes: object) -> File:
    known = {"digest": f"{number:064x}", "format": "PNG", "mode": "RGB", "size": (200, 100)}
    return File(**{**known, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    made = (
        expectations.picture_row(0, "voc", sample(0), sound(0)),
        expectations.picture_row(1, "voc", sample(1), File("f" * 64, "cannot be decoded: truncated")),
        expectations.picture_row(2, "voc", sample(2), sound(9)),
        expectations.picture_row(3, "voc", sample(3), sound(3, size=(100, 200), orientation=6)),
        expectations.picture_row(4, "voc", sample(4), sound(4, format="TGA", mode="RGBX")),
        expectations.picture_row(5, "voc", sample(5), sound(5, orientation=9)),
        expectations.picture_row(6, "voc", sample(7), sound(7)),
        expectations.picture_row(7, "voc", sample(7), sound(7)),
        expectations.picture_row(8, "crops", sample(7), sound(7)),
        expectations.problem_row(9, "voc", "a.jpg", "a.jpg: image without annotation", unpaired=True),
        expectations.problem_row(10, "voc", "b.jpg", "b.xml: box 1 has zero width", unpaired=False),
    )
    suites = Suites(tmp_path_factory.mktemp("gx"))
    return suites.judge("pictures", made, expectations.PICTURE_COLUMNS, expectations.picture_rules(SETTINGS))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(0, [], id="sound"),
        pytest.param(1, ["cannot be decoded", "not the one that was pulled"], id="unreadable"),
        pytest.param(2, ["not the one that was pulled"], id="other bytes"),
        pytest.param(3, ["annotated as 200 x 100 pixels, the picture has 100 x 200, turned by"], id="EXIF"),
        pytest.param(4, ["format TGA", "pixel mode RGBX"], id="format and mode"),
        pytest.param(5, ["EXIF orientation 9, not 1 to 8"], id="orientation"),
        pytest.param(6, ["in the manifest twice"], id="twice"),
        pytest.param(7, ["in the manifest twice"], id="twice, the other"),
        pytest.param(8, [], id="the same name in another source"),
        pytest.param(9, ["image without annotation"], id="unpaired"),
        pytest.param(10, ["zero width"], id="not a sample"),
    ],
)
def test_picture_rules(pictures: Verdict, row: int, words: list[str]) -> None:
    found = pictures.reasons.get(row, [])
    assert len(found) == len(words), found
    assert all(any(word in reason for reason in found) for word in words), found


def plate(*xyxy: float, **known: object) -> Plate:
    return Plate(Box(*xyxy), **known)  # type: ignore[arg-type]


def quad(*points: tuple[float, float]) -> Quad:
    return Quad(*points)


PLATES = [
    pytest.param([plate(10, 10, 50, 20)], [], id="sound"),
    pytest.param([plate(-0.8, 10, 50, 20)], [], id="a pixel outside is clipped"),
    pytest.param([plate(-3, 10, 50, 20)], ["box 1 reaches 3 pixels outside"], id="outside"),
    pytest.param([plate(150, 10, 203, 20)], ["box 1 reaches 3 pixels outside"], id="outside on the right"),
    pytest.param([plate(10, 10, 20, 12)], ["box 1 is 10 x 2 pixels, not 3 or more"], id="small"),
    pytest.param([plate(10, 10, 14, 60)], ["box 1 is 0.08 times as wide"], id="tall"),
    pytest.param([plate(10, 10, 160, 15)], ["box 1 is 30.00 times as wide"], id="flat"),
    pytest.param(
        [plate(10, 10, 50, 20), plate(10, 10, 50, 21)], ["box 1 is drawn twice", "box 2 is drawn twice"], id="twice"
    ),
    pytest.param([plate(10, 10, 50, 20), plate(30, 10, 70, 20)], [], id="side by side"),
    pytest.param([plate(10, 10, 50, 20, quad=quad((10, 12), (50, 10), (50, 18), (10, 20)))], [], id="corners"),
    pytest.param(
        [plate(10, 10, 50, 20, quad=quad((10, 10), (10, 20), (50, 20), (50, 10)))],
        ["plate 1: its corners"],
        id="turned",
    ),
    pytest.param(
        [plate(10, 10, 50, 20, quad=quad((10, 10), (50, 10), (20, 12), (10, 20)))],
        ["plate 1: its corners"],
        id="dented",
    ),
    pytest.param(
        [plate(10, 10, 50, 20, quad=Quad.of_box(Box(30, 10, 70, 20)))], ["corners and box are apart"], id="apart"
    ),
    pytest.param([plate(10, 10, 50, 20, text="mh 20-AB 1234")], [], id="text"),
    pytest.param([plate(10, 10, 50, 20, text="ABÜ123")], ["'Ü' is not in the plate alphabet"], id="alphabet"),
    pytest.param([plate(10, 10, 50, 20, text="A" * 13)], ["13 characters, not 1 to 12", "not 13"], id="long text"),
    pytest.param([plate(10, 10, 50, 20, text="ABC1D23", region="BR")], [], id="Mercosul"),
    pytest.param([plate(10, 10, 50, 20, text="AB12345", region="BR")], ["not of the form of BR"], id="not Brazilian"),
    pytest.param([plate(10, 10, 50, 20, text="皖A12345", region="CN")], [], id="Chinese"),
    pytest.param([plate(10, 10, 50, 20, text="A1", region="CN")], ["not of the form of CN"], id="not Chinese"),
    pytest.param([plate(10, 10, 50, 20, text="A1", region="XX")], [], id="a region without a known form"),
]


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    rows = [
        row
        for index, case in enumerate(PLATES)
        for row in expectations.plate_rows(index, "voc", sample(index, *case.values[0]))
    ]
    suites = Suites(tmp_path_factory.mktemp("gx"))
    return suites.judge("plates", rows, expectations.PLATE_COLUMNS, expectations.plate_rules(SETTINGS))


@pytest.mark.parametrize("index", range(len(PLATES)), ids=[str(case.id) for case in PLATES])
def test_plate_rules(plates: Verdict, index: int) -> None:
    words = PLATES[index].values[1]
    found = plates.reasons.get(index, [])
    assert len(found) == len(words), found
    assert all(any(word in reason for reason in found) for word in words), found


def test_no_plates_at_all(tmp_path: Path) -> None:
    verdict = Suites(tmp_path).judge("plates", [], expectations.PLATE_COLUMNS, expectations.plate_rules(SETTINGS))
    assert verdict.reasons == {}
