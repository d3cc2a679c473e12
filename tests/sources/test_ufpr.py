"""UFPR-ALPR: both versions of its annotations, its oddities, its tracks and its split."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.params import Ufpr
from pipeline.records import Box, Quad
from pipeline.sources import ufpr
from pipeline.sources.base import Pulled, SourceError
from pipeline.sources.ufpr import UfprError, parse_ufpr

NEWER = """\
camera: GoPro Hero4 Silver
position_vehicle: 750 316 314 275
\ttype: car
\tmake: Volvo
\tmodel: XC60
\tyear: 2014
plate: AYU0035
corners: 872,436 949,437 950,462 871,462
\tchar 1: 876 445 8 14
\tchar 2: 885 445 9 14
\tchar 3: 895 445 8 13
\tchar 4: 908 445 9 14
\tchar 5: 918 446 8 13
\tchar 6: 927 446 8 13
\tchar 7: 936 446 9 13"""
OLDER = """\
camera: GoPro Hero4 Silver
position_vehicle: 835 310 140 312
\ttype: motorcycle
\tmake: Yamaha
\tmodel: XTZ
\tyear: 2017
plate: BBO-8514
position_plate: 889 506 42 35
\tchar 1: 895 515 8 12
\tchar 2: 906 515 8 12
\tchar 3: 916 515 9 12
\tchar 4: 894 527 8 11
\tchar 5: 902 527 8 11
\tchar 6: 912 527 4 11
\tchar 7: 918 527 8 11"""


def test_the_newer_version() -> None:
    plate = parse_ufpr(NEWER, "a.txt")
    assert plate.quad == Quad((872, 436), (949, 437), (950, 462), (871, 462))
    assert plate.box == Box(871, 436, 950, 462)
    assert (plate.text, plate.region, plate.rows) == ("AYU0035", "BR", 1)
    assert plate.vehicle == Box(750, 316, 1064, 591)
    assert (len(plate.char_boxes), plate.char_boxes[0], plate.char_boxes[6]) == (
        7,
        Box(876, 445, 884, 459),
        Box(936, 446, 945, 459),
    )


def test_the_older_version() -> None:
    plate = parse_ufpr(OLDER, "a.txt")
    assert (plate.quad, plate.box) == (None, Box(889, 506, 931, 541))
    assert (plate.text, plate.rows) == ("BBO8514", 2)
    assert plate.vehicle == Box(835, 310, 975, 622)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(NEWER + "\n", id="last newline"),
        pytest.param(NEWER.replace("\n", "\r\n"), id="Windows lines"),
        pytest.param("\ufeff" + NEWER, id="byte order mark"),
        pytest.param(NEWER.replace("camera", "ccamera", 1), id="ccamera"),
        pytest.param(NEWER.replace("\t", "    "), id="spaces for tabs"),
        pytest.param(NEWER.replace("AYU0035", "AYU-0035"), id="dash"),
        pytest.param("\n".join(NEWER.splitlines()[::-1]), id="other order"),
    ],
)
def test_oddities_change_nothing(variant: str) -> None:
    assert parse_ufpr(variant, "a.txt") == parse_ufpr(NEWER, "a.txt")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "has neither corners nor position_plate", id="empty"),
        pytest.param(NEWER.replace("corners", "croners"), "has neither corners nor position_plate", id="no place"),
        pytest.param(NEWER.replace(" 871,462", ""), "corners: 6 numbers, expected 8", id="three corners"),
        pytest.param(NEWER.replace("872,436", "872,nan"), "quad is not finite", id="NaN"),
        pytest.param(NEWER.replace("872,436", "872,x"), "corners: .* are not numbers", id="a letter"),
        pytest.param(OLDER.replace("42 35", "0 35"), "position_plate: box has zero width", id="zero width"),
        pytest.param(OLDER.replace("140 312", "-140 312"), "position_vehicle: box is inverted", id="inverted"),
        pytest.param(NEWER.replace("AYU0035", ""), "a plate has 1 to 12 characters", id="no text"),
        pytest.param(NEWER.replace("AYU0035", "AYÜ0035"), "'Ü' is not in the plate alphabet", id="alphabet"),
        pytest.param(NEWER.replace("AYU0035", "AYU003"), "plate of 6 characters, but boxes of 7", id="counts"),
    ],
)
def test_bad_annotations_name_the_file_and_the_key(text: str, reason: str) -> None:
    with pytest.raises(UfprError, match=f"^t/a.txt: .*{reason}|^t/a.txt: {reason}"):
        parse_ufpr(text, "t/a.txt")


TRACKS = {  # track: (folder, plate)
    "track0011": ("training", "AVA1466"),
    "track0012": ("training", "AAA0001"),
    "track0061": ("validation", "BBB0002"),
    "track0140": ("testing", "AVA1466"),
    "track0141": ("testing", "CCC0003"),
}


def frame(shade: int) -> bytes:
    return encode_png(np.full((54, 96, 3), shade, np.uint8))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two frames of each track, in the data set's own names."""
    shade = 0
    for track, (folder, plate) in TRACKS.items():
        for number in (1, 2):
            stem = tmp_path / "UFPR-ALPR dataset" / folder / track / f"{track}[{number:02}]"
            stem.parent.mkdir(parents=True, exist_ok=True)
            annotation = (OLDER if track == "track0061" else NEWER).replace("AYU0035", plate).replace("BBO-8514", plate)
            Path(f"{stem}.txt").write_text(annotation)
            Path(f"{stem}.png").write_bytes(frame(shade := shade + 1))
    return tmp_path / "UFPR-ALPR dataset"


def pulled(origin: Path, split: str, tmp_path: Path) -> Pulled:
    return ufpr.pull(Ufpr(origin=str(origin), split=split), tmp_path / "work", tmp_path / "out")  # type: ignore[arg-type]


def test_a_track_is_a_group_and_the_official_split_is_kept(tree: Path, tmp_path: Path) -> None:
    found = pulled(tree, "official", tmp_path)
    assert found.problems == []
    assert {(sample.group, sample.official_split) for sample in found.samples} == {
        ("ufpr/track0011", "train"),
        ("ufpr/track0012", "train"),
        ("ufpr/track0061", "val"),
        ("ufpr/track0140", "test"),
        ("ufpr/track0141", "test"),
    }
    assert len(found.samples) == 10
    first = found.samples[0]
    assert (first.width, first.height, first.source, first.plates[0].text) == (96, 54, "ufpr", "AVA1466")
    assert first.image == "images/testing/track0140/track0140[01].png"
    assert (tmp_path / "out" / first.image).is_file()
    assert found.notes == [
        "one plate in several parts of the official split: ufpr/track0011 (train), ufpr/track0140 (test); "
        "ufpr.split: grouped keeps them apart"
    ]


def test_grouped_puts_the_tracks_of_one_plate_together(tree: Path, tmp_path: Path) -> None:
    found = pulled(tree, "grouped", tmp_path)
    assert {sample.official_split for sample in found.samples} == {None}
    groups = {sample.image.split("/")[2]: sample.group for sample in found.samples}
    assert groups["track0140"] == groups["track0011"] == "ufpr/track0011"
    assert len(set(groups.values())) == 4
    assert len(found.notes) == 1


def test_groups_join_through_others(tree: Path, tmp_path: Path) -> None:
    for number, track, plate in ((1, "track0140", "CCC0003"), (2, "track0012", "AVA1466")):
        (file,) = tree.glob(f"*/{track}/{track}[[]0{number}].txt")
        file.write_text(NEWER.replace("AYU0035", plate))
    groups = {sample.image.split("/")[2]: sample.group for sample in pulled(tree, "grouped", tmp_path).samples}
    assert groups.pop("track0061") == "ufpr/track0061"
    assert set(groups.values()) == {"ufpr/track0011"}


def test_problems_leave_the_rest_alone(tree: Path, tmp_path: Path) -> None:
    track = tree / "training/track0011"
    (track / "track0011[01].txt").unlink()
    (track / "track0011[02].png").unlink()
    (tree / "training/track0012/track0012[01].txt").write_bytes(NEWER.replace("Volvo", "Citroën").encode("latin-1"))
    (tree / "training/track0012/track0012[02].txt").write_text("camera: none")
    (tree / "testing/track0141/track0141[01].png").write_bytes(b"")
    found = pulled(tree, "official", tmp_path)
    assert len(found.samples) == 6
    assert sorted((problem.kind, problem.reason) for problem in found.problems) == [
        ("annotation", "training/track0012/track0012[02].txt: has neither corners nor position_plate"),
        ("image", "testing/track0141/track0141[01].png: empty file"),
        ("unpaired", "training/track0011/track0011[01].png: image without annotation"),
        ("unpaired", "training/track0011/track0011[02].txt: annotation without image"),
    ]


def test_from_an_archive(tree: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(tree, arcname=tree.name)
    (tmp_path / "ufpr.tar.gz").write_bytes(buffer.getvalue())
    from_archive = pulled(tmp_path / "ufpr.tar.gz", "official", tmp_path / "a")
    assert from_archive.samples == pulled(tree, "official", tmp_path / "b").samples


def test_without_an_origin_it_says_what_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)licence.*web\.inf\.ufpr\.br.*ufpr\.origin"):
        ufpr.pull(Ufpr(origin=None, split="official"), tmp_path, tmp_path)


def test_a_folder_of_something_else_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no training/"):
        pulled(tmp_path, "official", tmp_path)
