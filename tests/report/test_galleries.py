"""What went wrong on each picture, sorted by reason; and how it is drawn."""

import pytest

from pipeline.records import Quad
from pipeline.report import galleries

from .conftest import CASES, case, found, plate, sample

# (plates, detections, texts, labelled, placed) -> reasons
AT = found(10, 10, 0.9)
TROUBLES = {
    "right": ([plate(10, 10, "AB")], [AT], ["AB"], ["AB"], ["AB"], []),
    "missed": ([plate(10, 10, "AB")], [], [], ["AB"], ["AB"], ["missed plate"]),
    "missed, of no known text": ([plate(10, 10)], [], [], [""], [], ["missed plate"]),
    "nobody could read it": ([plate(10, 10, legible=False)], [], [], [""], [], []),
    "a detection on what nobody can read": (
        [plate(10, 10, legible=False)],
        [found(10, 10, 0.9, 40)],
        ["X"],
        [""],
        [],
        [],
    ),
    "bad box": ([plate(10, 10, "AB")], [AT], ["A8"], ["AB"], ["AB"], ["bad box"]),
    "bad crop": ([plate(10, 10, "AB")], [AT], ["A8"], ["AB"], ["A8"], ["bad crop"]),
    "wrong character": ([plate(10, 10, "AB")], [AT], ["A8"], ["A8"], ["A8"], ["wrong character"]),
    "a wrong one that is not given": ([plate(10, 10, "AB")], [AT], ["?A8"], ["?A8"], ["?A8"], ["wrong character"]),
    "right, but not given": ([plate(10, 10, "AB")], [AT], ["?AB"], ["?AB"], ["?AB"], ["no-read"]),
    "nothing seen": ([plate(10, 10, "AB")], [AT], [""], [""], [""], ["no-read"]),
    "nothing seen but on the true crop": ([plate(10, 10, "AB")], [AT], [""], ["AB"], [""], ["bad crop"]),
    "false plate": ([], [AT], [""], [], [], ["false plate"]),
    "text unknown": ([plate(10, 10)], [AT], ["ZZ"], ["ZZ"], [], []),
}


@pytest.mark.parametrize(
    ("plates", "detections", "texts", "labelled", "placed", "reasons"), TROUBLES.values(), ids=TROUBLES
)
def test_reasons(plates, detections, texts, labelled, placed, reasons):
    judged = galleries.judge(case(sample(1, *plates), detections, texts, labelled, placed), 0.3)
    assert [trouble.reason for trouble in judged.troubles] == reasons


def test_a_crop_is_only_read():
    assert [t.reason for t in galleries.judge(CASES[4], 0.3).troubles] == ["wrong character"]


def test_worst_first():
    ordered = galleries.by_badness(CASES[:5], 0.3)
    assert [item.case.sample.image for item in ordered] == [f"s/{n}.png" for n in (3, 2, 4, 5, 1)]
    problems = [item.problems for item in ordered]
    assert problems == [
        ("missed plate",),
        ("wrong character", "false plate, read as XX"),
        ("false plate",),
        ("wrong character",),
        (),
    ]


def test_a_case_stands_under_each_of_its_reasons():
    by_reason = galleries.by_reason(galleries.by_badness(CASES[:5], 0.3))
    assert list(by_reason) == list(galleries.REASONS)
    shown = {reason: [item.case.sample.image for item in items] for reason, items in by_reason.items() if items}
    assert shown == {
        "missed plate": ["s/3.png"],
        "wrong character": ["s/2.png", "s/5.png"],
        "false plate": ["s/4.png", "s/2.png"],
    }
    assert by_reason["wrong character"][0].problems == ("wrong character",)
    assert by_reason["false plate"][1].problems == ("false plate, read as XX",)


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 2, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4]), (1, [0])])
def test_evenly(count, expected):
    assert galleries.evenly(list(range(5)), count) == expected


def test_tiles_show_truth_in_green_and_prediction_in_red(images):
    tile = galleries.draw(galleries.judge(CASES[1], 0.3), images)
    assert tile.picture.shape == (270, 360, 3)
    assert tuple(tile.picture[round(10 * 1.125), round(15 * 1.125)]) == galleries.PREDICTION  # drawn over the truth
    assert tuple(tile.picture[round(20 * 1.125), round(10 * 1.125)]) == galleries.TRUTH
    assert tuple(tile.picture[round(210 * 1.125), round(200 * 1.125)]) == galleries.PREDICTION
    assert [(line.truth, line.read["network"], line.right) for line in tile.lines] == [("CD34", "CD3A", False)]


def test_a_tile_shows_the_plate_as_it_was_found_and_as_it_is(images):
    by_reason = galleries.by_reason([galleries.judge(one, 0.3) for one in CASES[:5]])
    tiles = {reason: galleries.draw(items[0], images) for reason, items in by_reason.items() if items}
    strips = {reason: (tile.true is not None, tile.seen is not None) for reason, tile in tiles.items()}
    assert strips == {"missed plate": (True, False), "wrong character": (True, True), "false plate": (False, True)}
    right = galleries.draw(galleries.judge(CASES[0], 0.3), images)
    assert right.strip is right.true
    assert right.true.shape[:2] == (galleries.STRIP_HEIGHT, 5 * galleries.STRIP_HEIGHT)  # the plate, not the photo


def test_a_tile_says_what_was_not_given(images):
    corners = Quad((10, 10), (110, 10), (110, 30), (10, 30))
    one = case(sample(1, plate(10, 10, "AB", quad=corners)), [AT], ["?AB"], ["?AB"], ["?AB"])
    (line,) = galleries.draw(galleries.judge(one, 0.3), images).lines
    assert (line.read["network"], line.right, line.given) == ("AB", True, False)
