"""The page of whole recognisers: ratios to the first, shares of the whole, dashes for what one does without."""

from dataclasses import replace

from pipeline.benchmarks import speed_page
from pipeline.benchmarks.machine import Machine
from pipeline.benchmarks.parts import PARTS
from pipeline.benchmarks.speed_page import Measured, Sheet

MACHINE = Machine("A CPU", 2, "Linux x86_64", "3.12.1", "1.31.1", None)
INTERVAL = {"low": 0.5, "high": 1.0}
NOTHING = dict.fromkeys(PARTS, 0.0)
FIRST = Measured(
    name="ours",
    megabytes=12.9,
    milliseconds=50.0,
    milliseconds_p95=60.0,
    cpu_milliseconds=49.0,
    photos_a_second={1: 20.0, 2: 38.0},
    first_row=500.0,
    process=600.0,
    process_cpu=700.0,
    peak_megabytes={1: 200.0, 2: 250.0},
    parts=NOTHING | {"file, decoding": 8.0, "network: detector": 30.0, "network: refiner": 2.0},
    networks_share=0.8,
    accuracy={
        "found_and_read": 0.75,
        "exact": 0.7,
        "interval": {"found_and_read": INTERVAL, "exact": INTERVAL},
    },
)
SECOND = replace(
    FIRST,
    name="other",
    milliseconds=25.0,
    photos_a_second={1: 40.0, 2: 40.0},
    first_row=250.0,
    parts=NOTHING | {"file, decoding": 10.0, "network: detector": 10.0},
)
SHEET = Sheet("as they are", (400, 300), 0.2345, 89, 40, [FIRST, SECOND])


def cells(lines: list[str], first: str) -> dict[str, str]:
    """A table's row by its first cell, by the names of the columns."""
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return dict(zip(split[0], next(row for row in split if row[0] == first), strict=True))


def test_figures_stand_in_proportion_to_the_first() -> None:
    row = cells(speed_page._speed_table(SHEET), "other")
    assert row["ms"] == "25.0 (0.50)"
    assert row["photos/s, 1 thread"] == "40.0 (2.00)"
    assert row["2 threads over 1"] == "1.00"
    assert row["first row, ms"] == "250 (0.50)"
    assert row["in networks"] == "80 %"
    assert row["found and read"] == "0.750 [0.500, 1.000]"
    assert cells(speed_page._speed_table(SHEET), "ours")["2 threads over 1"] == "1.90"


def test_parts_are_shares_of_the_whole_and_those_of_nobody_are_left_out() -> None:
    lines = speed_page._parts_table(SHEET)
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        *("file, decoding", "network: detector", "network: refiner", "whole")
    ]
    assert lines[2] == "| file, decoding | 8.00; 20.0 % | 10.00; 50.0 % |"
    assert lines[4] == "| network: refiner | 2.00; 5.0 % | - |"
    assert lines[5] == "| whole | 40.00 | 20.00 |"


def test_the_page_says_what_was_measured_where() -> None:
    page = speed_page.page([SHEET, replace(SHEET, timed=89)], speed_page.introduction(MACHINE, "kaggle", "test"))
    assert page.startswith("kaggle, the grouped test split. A CPU, 2 cores, Linux x86_64; ")
    titles = [line for line in page.splitlines() if line.startswith("**")]
    assert titles == [
        f"**Photos as they are**: 89 photos{timed}; the middle one has 400 x 300 pixels and 0.23 MB"
        for timed in (", of which the first 40 are timed", "")
    ]
    assert page.endswith("|\n")
    assert "all pictures" in speed_page.introduction(MACHINE, "kaggle", "all")


def test_in_brief_there_is_a_line_for_each_form_and_recogniser() -> None:
    lines = speed_page.brief([SHEET, replace(SHEET, form="as JPEG of 1280 pixels")]).splitlines()
    assert len(lines) == 6
    assert lines[3] == "| as they are | other | 25 (0.50) | 40 (1.05) | 250 | 250 | 0.750 [0.500, 1.000] |"
    assert lines[4].startswith("| as JPEG of 1280 pixels | ours | 50 (1.00) |")
