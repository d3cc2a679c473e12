"""Rows written as a table, as JSON and as CSV."""

import csv
import io
import json

import pytest

from pipeline.serving import output

PLATE = {"box": [1.4, 2, 30, 40], "score": 0.91, "text": "AB12", "text_score": 0.8, "region": "GB", "guess": ""}
UNREAD = {**PLATE, "text": "", "guess": "AB1?", "region": None}
ROWS = [
    {"image": "a,b.jpg", "width": 60, "height": 40, "plates": [PLATE, UNREAD]},
    {"image": "none.jpg", "width": 60, "height": 40, "plates": []},
    {"image": "bad.jpg", "error": 'it said "no"'},
]


def written(form, rows=ROWS, columns=("text", "text score", "score", "box")):
    out = io.StringIO()
    writer = output.writer(form, columns, out)
    for row in rows:
        writer.write(row)
    return out.getvalue()


def test_json_is_the_rows():
    assert [json.loads(line) for line in written("json").splitlines()] == ROWS


def test_csv_is_a_line_for_each_plate_picture_without_and_error():
    lines = list(csv.DictReader(io.StringIO(written("csv"))))
    assert [(line["image"], line["plate"], line["text"], line["error"]) for line in lines] == [
        ("a,b.jpg", "1", "AB12", ""),
        ("a,b.jpg", "2", "", ""),
        ("none.jpg", "", "", ""),
        ("bad.jpg", "", "", 'it said "no"'),
    ]
    assert (lines[0]["x1"], lines[0]["y2"], lines[0]["region"], lines[1]["guess"]) == ("1.4", "40", "GB", "AB1?")


def test_a_csv_has_its_heading_once():
    assert written("csv").startswith("image,plate,text")
    assert written("csv").count("image,plate") == 1


def test_the_table_shows_each_row_at_once_under_one_heading():
    shown = written("table").splitlines()
    assert shown[0].split() == ["text", "text", "score", "score", "box", "image"]
    assert shown[1].split() == ["AB12", "0.80", "0.91", "1", "2", "30", "40", "a,b.jpg"]
    assert shown[2].startswith("AB1??")
    assert shown[3].split() == ["no", "plate", "none.jpg"]
    assert len(shown) == 4, "an error has its line on stderr"


def test_the_table_names_a_crop_behind_its_picture():
    shown = written("table", [{**ROWS[0], "plates": [{**PLATE, "crop": "crops/a,b-1.png"}]}]).splitlines()
    assert shown[1].endswith("  a,b.jpg  crops/a,b-1.png")


def test_a_table_of_errors_alone_is_empty():
    assert written("table", ROWS[2:]) == ""


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_name_that_is_no_unicode_is_shown_all_the_same(form):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    written(form, [{"image": name, "plates": []}]).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Straße 7.jpg", "Straße 7.jpg"),
        ("a\nb\tc.jpg", r"a\nb\tc.jpg"),
        ("\x1b[2J\x07.jpg", r"\x1b[2J\x07.jpg"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        (b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), r"caf\xe9.jpg"),
    ],
    ids=["letters", "line feed", "escape sequence", "turned round", "no unicode"],
)
def test_a_name_is_one_line_that_moves_no_cursor(name, shown):
    assert output.plain(name) == shown
    assert written("table", [{"image": name, "plates": []}]).splitlines()[1].endswith(shown)
