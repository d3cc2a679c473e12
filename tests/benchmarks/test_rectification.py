"""The comparison of rectified and plain crops, on plates and readings by hand."""

import pytest

from pipeline.benchmarks.rectification import Read, lean, matched, table
from pipeline.metrics import Bootstrap
from pipeline.records import Box, Detection, Plate, Quad

LEANING = Quad((0, 0), (100, 20), (100, 50), (0, 30))


def plate(quad=None, left=0):
    return Plate(quad.box if quad else Box(left, 0, left + 100, 30), quad, "AB12")


@pytest.mark.parametrize(
    ("name", "quad", "degrees"),
    [
        ("no corners", None, None),
        ("upright", Quad.of_box(Box(0, 0, 100, 30)), 0.0),
        ("leaning", LEANING, 11.31),
        ("as far the other way", Quad((0, 20), (100, 0), (100, 30), (0, 50)), 11.31),
        ("upside down", Quad(*LEANING.points[2:], *LEANING.points[:2]), 11.31),
    ],
)
def test_lean(name, quad, degrees):
    assert lean(plate(quad)) == (degrees if degrees is None else pytest.approx(degrees, abs=0.01))


def test_each_plate_gets_the_detection_that_finds_it():
    first, second = plate(), plate(left=200)
    finds_second = Detection(Box(202, 0, 300, 30), Quad.of_box(Box(202, 0, 300, 30)), 0.9)
    finds_nothing = Detection(Box(50, 25, 180, 60), Quad.of_box(Box(50, 25, 180, 60)), 0.8)
    assert matched([first, second], [finds_second, finds_nothing]) == [None, finds_second]
    assert matched([first], []) == [None]


def test_the_table_counts_all_and_then_by_lean():
    reads = [
        Read("a", 1.0, True, by_corners=True, by_box=False, by_both=True),
        Read("b", 5.0, True, by_corners=True, by_box=True, by_both=True),
        Read("c", None),
        Read("d", 2.0, True, by_corners=False, by_box=True, by_both=True),
    ]
    lines = [line for line in table(reads, "kaggle", "our reader", Bootstrap(50, 1)).splitlines() if line[:2] == "| "]
    cells = [[cell.split(" ")[0] for cell in line.strip("| ").split(" | ")] for line in lines[1:]]
    assert cells[0] == ["all", "4", "0.750", "0.500", "0.500", "0.750", "+0.000", "+0.250"]
    assert [row[1] for row in cells] == ["4", "2", "1"]
    assert cells[2][-2:] == ["+0.000", "+0.000"]
