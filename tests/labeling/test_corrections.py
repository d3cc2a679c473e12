"""Corrections: the file in git, and what they make of a picture's plates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.labeling import corrections
from pipeline.labeling.corrections import CorrectedPlate, Correction, CorrectionError
from pipeline.records import Box, Plate, Quad

ROOT = Path(__file__).parents[2]
OWN = (Plate(Box(10, 10, 50, 20)), Plate(Box(60, 10, 100, 20), region="GB"))


def plate(*xyxy: float, **known: Any) -> CorrectedPlate:
    fields = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(*xyxy), **known), **fields)


def correction(*plates: CorrectedPlate, complete: bool = False, number: int = 1) -> Correction:
    return Correction(f"{number:064x}", "kaggle/images/a.png", plates, complete, "Ann", "2026-11-22", "texts")


def test_a_plate_takes_the_text_of_its_correction_and_keeps_its_box() -> None:
    applied = corrections.apply(OWN, correction(plate(61, 10, 99, 20, text="AB123", rows=1)), 0.3)
    assert applied.plates == (OWN[0], Plate(Box(60, 10, 100, 20), text="AB123", region="GB", rows=1))
    assert applied.waiting == applied.orphans == ()


def test_plates_are_matched_one_to_one() -> None:
    close = (Plate(Box(0, 0, 40, 10)), Plate(Box(10, 0, 50, 10)))
    told = correction(plate(9, 0, 49, 10, text="B12345"), plate(4, 0, 44, 10, text="A12345"))
    applied = corrections.apply(close, told, 0.3)
    assert [one.text for one in applied.plates] == ["A12345", "B12345"]


def test_a_complete_correction_is_all_that_there_is() -> None:
    quad = Quad((0, 0), (40, 1), (40, 10), (0, 9))
    told = correction(plate(0, 0, 40, 10, text="AB123", quad=quad), complete=True)
    assert corrections.apply(OWN, told, 0.3).plates == (Plate(Box(0, 0, 40, 10), quad, "AB123"),)
    assert corrections.apply(OWN, correction(complete=True), 0.3).plates == ()


def test_a_correction_without_its_box_is_reported() -> None:
    lost = plate(200, 200, 240, 210, text="AB123")
    applied = corrections.apply(OWN, correction(lost), 0.3)
    assert applied.plates == OWN
    assert applied.orphans == (lost,)
    assert corrections.apply((), correction(lost), 0.3).orphans == (lost,)


@pytest.mark.parametrize(
    ("told", "kept", "words"),
    [
        pytest.param({"text": "AB123"}, (True, "AB123"), None, id="certain"),
        pytest.param({"text": "BOSS", "kind": "novelty"}, (True, "BOSS"), None, id="novelty"),
        pytest.param(
            {"certain": False, "readings": ("AB1", "AB7")}, (True, None), "readings of the plate differ", id="two"
        ),
        pytest.param({"certain": False, "readings": ("AB1", "AB1")}, (True, None), "is not certain", id="unsure"),
        pytest.param({"certain": False}, (True, None), "nobody could read", id="unread"),
        pytest.param({"text": "KWID", "kind": "lettering"}, (True, None), "lettering", id="lettering"),
        pytest.param({"certain": False, "kind": "not_a_plate"}, (True, None), "not a plate", id="perhaps not a plate"),
        pytest.param({"kind": "not_a_plate"}, (False, None), None, id="certainly not a plate"),
    ],
)
def test_only_what_is_certain_is_truth(told: dict[str, Any], kept: tuple[bool, str | None], words: str | None) -> None:
    applied = corrections.apply(OWN[:1], correction(plate(10, 10, 50, 20, **told)), 0.3)
    assert [(True, one.text) for one in applied.plates] == ([kept] if kept[0] else [])
    assert [words in wait.reason for wait in applied.waiting if words] == ([True] if words else [])
    assert bool(applied.waiting) is bool(words)


KNOWN: dict[str, tuple[Correction | None, list[CorrectedPlate]]] = {
    "nothing": (None, [CorrectedPlate(OWN[0]), CorrectedPlate(OWN[1])]),
    "nothing of any plate": (correction(), [CorrectedPlate(OWN[0]), CorrectedPlate(OWN[1])]),
    "a text, in the source's own box": (
        correction(plate(61, 10, 99, 20, text="AB123", rows=1)),
        [CorrectedPlate(OWN[0]), plate(60, 10, 100, 20, text="AB123", rows=1, region="GB")],
    ),
    "a question": (
        correction(plate(10, 10, 50, 20, certain=False, readings=("AB1", "A?1"), region="SE")),
        [plate(10, 10, 50, 20, certain=False, readings=("AB1", "A?1"), region="SE"), CorrectedPlate(OWN[1])],
    ),
    "that it cannot be read": (
        correction(plate(10, 10, 50, 20, legible=False)),
        [plate(10, 10, 50, 20, legible=False), CorrectedPlate(OWN[1])],
    ),
    "that it is a novelty plate": (
        correction(plate(10, 10, 50, 20, text="BOSS", kind="novelty")),
        [plate(10, 10, 50, 20, text="BOSS", kind="novelty"), CorrectedPlate(OWN[1])],
    ),
    "that it is no plate": (
        correction(plate(10, 10, 50, 20, kind="not_a_plate")),
        [plate(10, 10, 50, 20, kind="not_a_plate"), CorrectedPlate(OWN[1])],
    ),
    "that it may be no plate": (
        correction(plate(10, 10, 50, 20, kind="not_a_plate", certain=False)),
        [plate(10, 10, 50, 20, kind="not_a_plate", certain=False), CorrectedPlate(OWN[1])],
    ),
    "a plate that is in no label": (
        correction(plate(200, 10, 240, 20, text="AB123")),
        [CorrectedPlate(OWN[0]), CorrectedPlate(OWN[1])],
    ),
    "complete: all that there is": (
        correction(plate(5, 5, 50, 20, certain=False, readings=("AB1",)), plate(200, 10, 240, 20), complete=True),
        [plate(5, 5, 50, 20, certain=False, readings=("AB1",)), plate(200, 10, 240, 20)],
    ),
    "complete: nothing": (correction(complete=True), []),
}


@pytest.mark.parametrize(("told", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_known(told: Correction | None, expected: list[CorrectedPlate]) -> None:
    assert list(corrections.known(OWN, told, 0.3)) == expected


@pytest.mark.parametrize("told", [told for told, _ in KNOWN.values() if told], ids=list(KNOWN)[1:])
def test_what_is_known_for_certain_is_what_is_applied(told: Correction) -> None:
    """As if what is known were written down as a complete correction: the same truth, the same questions."""
    written = correction(*corrections.known(OWN, told, 0.3), complete=True)
    applied, again = corrections.apply(OWN, told, 0.3), corrections.apply(OWN, written, 0.3)
    assert again.plates == applied.plates
    assert [one.readings for one in again.waiting] == [one.readings for one in applied.waiting]


def test_a_source_that_has_a_text_loses_it_where_that_is_a_question() -> None:
    own = (Plate(Box(10, 10, 50, 20), text="AB7"),)
    told = correction(plate(10, 10, 50, 20, certain=False, readings=("AB1", "AB7")))
    assert corrections.known(own, told, 0.3) == told.plates
    assert corrections.known((), told, 0.3) == ()


def test_the_text_of_lettering_is_known_too() -> None:
    told = correction(plate(10, 10, 50, 20, text="KWID", kind="lettering"))
    assert corrections.known(OWN[:1], told, 0.3) == told.plates


def test_file_round_trip(tmp_path: Path) -> None:
    told = [
        correction(plate(1, 2, 30, 9, certain=False, readings=("A?1",)), number=2),
        correction(
            plate(1, 2, 30.5, 9, text="AB1", kind="novelty", quad=Quad((1, 2), (30, 2), (30, 9), (1, 9)), rows=2),
            plate(40, 2, 70, 9, legible=False),
            complete=True,
        ),
    ]
    path = tmp_path / "labels" / corrections.CORRECTIONS
    corrections.write(path, told)
    assert corrections.read(path) == [told[1], told[0]]
    first = path.read_bytes()
    corrections.write(path, corrections.read(path))
    assert path.read_bytes() == first


def test_no_file_holds_no_corrections(tmp_path: Path) -> None:
    assert corrections.read(tmp_path / "none.jsonl") == []


GOOD: dict[str, Any] = corrections.to_row(correction(plate(1, 2, 30, 9, text="AB1")))
BAD_PLATE = [
    ({"text": "ab 1"}, "not in the form 'AB1'"),
    ({"text": "AB?"}, "form"),
    ({"certain": False}, "belongs in readings"),
    ({"kind": "car"}, "kind 'car' is none of"),
    ({"region": "Sweden"}, "two capital letters"),
    ({"box": [5, 2, 5, 9]}, "zero width"),
    ({"box": [1, 2, 3]}, "argument"),
]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "abc"}, "not a SHA-256"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"complete": "yes"}, "true or false"),
        ({"when": "yesterday"}, "isoformat"),
        *(({"plates": [{**GOOD["plates"][0], **change}]}, words) for change, words in BAD_PLATE),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text(json.dumps({**GOOD, **change}) + "\n")
    with pytest.raises(CorrectionError, match=r"row 1 \(kaggle/images/a.png\): .*(" + words + ")"):
        corrections.read(path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != "by"}) + "\n")
    with pytest.raises(CorrectionError, match="'by' is missing"):
        corrections.read(path)


@pytest.mark.parametrize(("ids", "words"), [((1, 1), "two rows for the sample"), ((2, 1), "not sorted")])
def test_rows_are_sorted_and_unique(tmp_path: Path, ids: tuple[int, int], words: str) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text("".join(json.dumps({**GOOD, "id": f"{number:064x}"}) + "\n" for number in ids))
    with pytest.raises(CorrectionError, match=words):
        corrections.read(path)


def test_the_snapshot_in_git_is_sound() -> None:
    path = ROOT / "data" / "labels" / corrections.CORRECTIONS
    known = corrections.read(path)
    plates = [plate for one in known for plate in one.plates]
    read = [p for p in plates if p.certain and p.kind in ("plate", "novelty") and p.plate.text is not None]
    assert (len(known), len(plates), len(read)) == (299 + 321, 450 + 388, 220 + 278)
    assert all(one.by and one.when and one.why for one in known)
    outlined = [plate for one in known if one.complete for plate in one.plates]
    assert len(outlined) == 450
    assert all(plate.plate.quad is not None and plate.plate.box == plate.plate.quad.box for plate in outlined)
    assert sum(not plate.plate.legible for plate in plates) == 88
