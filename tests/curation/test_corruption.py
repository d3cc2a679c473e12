"""Labels made wrong on purpose: as many as asked for, each as wrong as it says, the same for a seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline import boxes
from pipeline.curation import corruption
from pipeline.curation.corruption import KINDS, corrupt
from pipeline.records import Box, Plate, Quad, Sample

BOX = Box(100, 100, 160, 120)
PLATE = Plate(BOX, Quad.of_box(BOX), "AB123", char_boxes=(Box(102, 102, 110, 118),))


def sample(number: int, *plates: Plate, kind: str = "photo") -> Sample:
    return Sample(f"{number:064x}", f"{number}.png", 400, 300, plates, "made", str(number), kind=kind)  # type: ignore[arg-type]


def iou(a: Plate, b: Plate) -> float:
    return float(boxes.iou(np.array([a.box.xyxy]), np.array([b.box.xyxy]))[0, 0])


def test_each_kind_is_as_wrong_as_it_says() -> None:
    samples = [sample(number, PLATE, Plate(Box(300, 200, 303, 202), legible=False)) for number in range(100)]
    wrong, made = corrupt(samples, 1.0, seed=1)
    assert Counter(one.kind for one in made) == dict.fromkeys(KINDS, 25)
    changed = {one.id: one.plates for one in wrong}
    for one in made:
        plates = changed[one.sample]
        if one.kind == "dropped":
            assert plates == samples[0].plates[1:]
            continue
        assert plates[:1] == (PLATE,) or one.plate == 0
        plate = plates[one.plate]
        if one.kind == "added":
            assert len(plates) == 3
            assert plate.text is None
            assert max(iou(plate, other) for other in plates[:2]) == 0
            assert 0.7 <= plate.box.width / BOX.width <= 1.4
            assert plate.box.width / plate.box.height == pytest.approx(3)
        elif one.kind == "shifted":
            assert 0.2 <= iou(plate, PLATE) <= 0.55
            across, down = plate.box.x1 - BOX.x1, plate.box.y1 - BOX.y1
            assert plate.quad is not None
            assert plate.quad.box == plate.box
            assert plate.char_boxes[0].xyxy == pytest.approx((102 + across, 102 + down, 110 + across, 118 + down))
        else:
            assert plate.box == BOX
            assert plate.text is not None
            assert len(plate.text) == 5
            assert 1 <= sum(a != b for a, b in zip(plate.text, "AB123", strict=True)) <= 2


def test_only_the_share_is_changed_and_a_seed_repeats_it() -> None:
    samples = [sample(number, PLATE) for number in range(40)]
    wrong, made = corrupt(samples, 0.1, seed=3)
    assert [one.id for one in wrong] == [one.id for one in samples]
    assert {a.id for a, b in zip(samples, wrong, strict=True) if a != b} == {one.sample for one in made}
    assert len(made) == 4
    assert corrupt(samples, 0.1, seed=3) == (wrong, made)
    assert corrupt(samples, 0.1, seed=4)[1] != made


def test_the_remainder_falls_to_every_kind() -> None:
    samples = [sample(number, PLATE) for number in range(10)]
    assert {corrupt(samples, 0.1, seed)[1][0].kind for seed in range(40)} == set(KINDS)


@pytest.mark.parametrize(
    ("plates", "kinds"),
    [
        pytest.param((), {"added"}, id="no plate"),
        pytest.param((replace(PLATE, text=None),), {"shifted", "dropped", "added"}, id="no text"),
        pytest.param((replace(PLATE, legible=False),), {"added"}, id="not legible"),
        pytest.param((replace(PLATE, text="皖"),), {"shifted", "dropped", "added"}, id="no letter of the alphabet"),
        pytest.param((Plate(Box(0, 0, 400, 300)),), {"dropped"}, id="a plate that fills the picture"),
    ],
)
def test_what_a_picture_does_not_admit_is_left_out(plates: tuple[Plate, ...], kinds: set[str]) -> None:
    _, made = corrupt([sample(number, *plates) for number in range(8)], 1.0, seed=2)
    assert {one.kind for one in made} == kinds
    assert len(made) == 2 * len(kinds)


def test_crops_are_left_alone() -> None:
    samples = [sample(number, PLATE, kind="crop") for number in range(10)]
    assert corrupt(samples, 0.5, seed=2) == (samples, [])


def test_province_characters_stay() -> None:
    plates = [corrupt([sample(1, replace(PLATE, text="皖A1234"))], 1.0, seed)[0][0].plates for seed in range(40)]
    texts = {own[0].text for own in plates if own} - {"皖A1234"}
    assert texts
    assert all(text is not None and text[0] == "皖" for text in texts)


def test_an_added_box_has_a_plausible_size_where_no_plate_says_one() -> None:
    for seed in range(20):
        (plate,) = corruption.corrupt([sample(number) for number in range(4)], 1.0, seed)[0][0].plates or (None,)
        if plate is not None:
            assert 0.1 * 400 <= plate.box.width <= 0.25 * 400
            assert 2.5 <= plate.box.width / plate.box.height <= 5.0
