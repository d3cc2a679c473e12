"""What is known of the pictures that can be asked about: copies, complete and incomplete corrections, questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.labeling import corrections, pictures
from pipeline.labeling.corrections import CorrectedPlate, Correction
from pipeline.labeling.pictures import COPIES, ORIGINAL, SNAPSHOT
from pipeline.labeling.tasks import Extent
from pipeline.manifest import ManifestError, write_jsonl, write_manifest
from pipeline.records import Box, Plate, Sample

OWN = (Plate(Box(10, 10, 50, 20)), Plate(Box(60, 10, 100, 20), region="GB"))
FIRST, SECOND, THIRD = (f"{number:064x}" for number in (1, 2, 3))


def plate(x: float, **known: Any) -> CorrectedPlate:
    about = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(x, 10, x + 40, 20), **known), **about)


def correction(*plates: CorrectedPlate, of: str = FIRST, complete: bool = False) -> Correction:
    return Correction(of, "kaggle/images/a.png", plates, complete, "Ann", "2026-11-22", "texts")


def sample(number: str, plates: tuple[Plate, ...] = OWN) -> Sample:
    return Sample(number, f"kaggle/images/{number[-1]}.png", 200, 100, plates, "kaggle", number)


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    """Two pictures; the first is in the data three times. The snapshot's own plates are not looked at."""
    write_manifest(tmp_path / ORIGINAL, [sample(FIRST), sample("f" * 64, ())])
    write_manifest(tmp_path / SNAPSHOT, [sample(FIRST, ()), sample("f" * 64, ())])
    write_jsonl(tmp_path / COPIES, [{"id": FIRST, "copies": [THIRD, SECOND]}])
    return tmp_path


def current(curated: Path, *known: Correction) -> tuple[CorrectedPlate, ...]:
    return pictures.read(curated, {one.id: one for one in known}, 0.3)[FIRST].current


def test_without_a_correction_the_source_is_what_is_known(curated: Path) -> None:
    found = pictures.read(curated, {}, 0.3)
    assert list(found) == [FIRST, "f" * 64]
    one = found[FIRST]
    assert (one.id, one.ids, one.image, one.extent) == (
        FIRST,
        (FIRST, SECOND, THIRD),
        "kaggle/images/1.png",
        Extent(200, 100),
    )
    assert one.source == one.current == (CorrectedPlate(OWN[0]), CorrectedPlate(OWN[1]))
    other = found["f" * 64]
    assert (other.ids, other.current) == (("f" * 64,), ())


KNOWN: dict[str, tuple[list[Correction], list[CorrectedPlate]]] = {
    "incomplete: what it says, where it says it": (
        [correction(plate(61, text="AB1", rows=1))],
        [plate(10), plate(60, text="AB1", rows=1, region="GB")],
    ),
    "incomplete: a question is kept, and no text is made of it": (
        [correction(plate(61, certain=False, readings=("AB1", "AB7")))],
        [plate(10), plate(60, certain=False, readings=("AB1", "AB7"), region="GB")],
    ),
    "incomplete: certainly no plate": (
        [correction(plate(10, kind="not_a_plate"))],
        [plate(10, kind="not_a_plate"), plate(60, region="GB")],
    ),
    "incomplete: a plate that is in no label": (
        [correction(plate(150, text="AB1"))],
        [plate(10), plate(60, region="GB")],
    ),
    "complete: all that there is": (
        [correction(plate(5, text="AB1"), plate(150, certain=False, readings=("A?",)), complete=True)],
        [plate(5, text="AB1"), plate(150, certain=False, readings=("A?",))],
    ),
    "complete: no plate": ([correction(complete=True)], []),
    "of a copy": ([correction(plate(60, text="AB1"), of=THIRD)], [plate(10), plate(60, text="AB1", region="GB")]),
    "of a picture and its copy": (
        [correction(plate(10, text="XY1")), correction(plate(60, text="AB1"), of=SECOND)],
        [plate(10, text="XY1"), plate(60, text="AB1", region="GB")],
    ),
    "the second says more of the same plate": (
        [correction(plate(60, certain=False, readings=("AB1",))), correction(plate(60, text="AB1"), of=SECOND)],
        [plate(10), plate(60, text="AB1", region="GB")],
    ),
    "a question stays where the copy's correction says nothing": (
        [correction(plate(10, certain=False, readings=("X?1",))), correction(plate(60, text="AB1"), of=SECOND)],
        [plate(10, certain=False, readings=("X?1",)), plate(60, text="AB1", region="GB")],
    ),
    "lettering stays where the copy's correction says nothing": (
        [correction(plate(10, kind="lettering")), correction(plate(60, text="AB1"), of=SECOND)],
        [plate(10, kind="lettering"), plate(60, text="AB1", region="GB")],
    ),
    "what is no plate is gone for the copy's correction": (
        [correction(plate(10, kind="not_a_plate")), correction(plate(10, text="AB1"), of=SECOND)],
        [plate(60, region="GB")],
    ),
    "complete, then something more": (
        [correction(plate(10, certain=False), plate(60), complete=True), correction(plate(60, text="AB1"), of=SECOND)],
        [plate(10, certain=False), plate(60, text="AB1")],
    ),
    "something, then complete": (
        [correction(plate(10, text="XY1")), correction(plate(60, text="AB1"), of=THIRD, complete=True)],
        [plate(60, text="AB1")],
    ),
}


@pytest.mark.parametrize(("known", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_what_is_known(curated: Path, known: list[Correction], expected: list[CorrectedPlate]) -> None:
    assert list(current(curated, *known)) == expected
    assert list(current(curated, *known[::-1])) == expected, "in order of the ids, not of the file"
    assert pictures.read(curated, {one.id: one for one in known}, 0.3)[FIRST].source == tuple(map(CorrectedPlate, OWN))


@pytest.mark.parametrize("known", [known for known, _ in KNOWN.values()], ids=KNOWN.keys())
def test_what_is_certain_of_it_is_the_truth_that_curate_trains_on(curated: Path, known: list[Correction]) -> None:
    plates: tuple[Plate, ...] = OWN
    for one in sorted(known, key=lambda one: one.id):
        plates = corrections.apply(plates, one, 0.3).plates
    all_known = correction(*current(curated, *known), complete=True)
    assert corrections.apply(OWN, all_known, 0.3).plates == plates


@pytest.mark.parametrize("name", [ORIGINAL, SNAPSHOT, COPIES])
def test_without_a_curation_the_stage_is_named(curated: Path, name: str) -> None:
    (curated / name).unlink()
    with pytest.raises(ManifestError, match=f"{name}: .*run the stage that writes it"):
        pictures.read(curated, {}, 0.3)
