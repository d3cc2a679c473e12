"""Which figures come first, how they are written, and which slices are the worst."""

import pytest

from pipeline.registration import headline


def test_a_figure_is_written_with_its_interval():
    values = {"a.b": 0.75758, "a.interval.b.low": 0.657, "a.interval.b.high": 0.8507, "a.c": 0.5}
    assert headline.written(values, "a.b") == "0.758 [0.657, 0.851]"
    assert headline.written(values, "a.c") == "0.500"
    assert headline.written(values, "a.d") == ""


def test_lines_are_what_was_measured_beside_tesseract():
    values = {"detection.ap50": 0.9, "end_to_end.exact": 0.7, "end_to_end_baselines.tesseract.exact": 0.2, "x": 1.0}
    assert [(line.name, line.ours, line.tesseract) for line in headline.lines(values)] == [
        ("end_to_end.exact", "0.700", "0.200"),
        ("detection.ap50", "0.900", ""),
    ]


def test_a_run_is_judged_by_its_whole_and_by_what_the_gate_asks_for():
    names = ["detection.ap50", "curation.leaks", "export.reader_difference", "detection.interval.ap50.low"]
    parts = [
        "slices.region.US.recall",
        "data.by_source.kaggle.test.photos",
        "curation.groups",
        "validation.sources.a.b",
    ]
    assert list(headline.whole(dict.fromkeys([*names, *parts], 1.0))) == names


def slice_(found_and_read, recall=1.0, plates=20, texts=20):
    interval = {"found_and_read": {"low": 0.1, "high": 0.9}, "recall": {"low": None, "high": None}}
    figures = {"found_and_read": found_and_read, "recall": recall}
    return {**figures, "plates": plates, "texts": texts, "interval": interval}


WORST = {
    "nothing was measured": ({}, []),
    "the lowest first": ({"a": slice_(0.7), "b": slice_(0.6), "c": slice_(0.8)}, ["k: b", "k: a", "k: c"]),
    "what is all right is not named": ({"a": slice_(1.0), "b": slice_(0.6)}, ["k: b"]),
    "a few plates say nothing": ({"a": slice_(0.0, plates=9, texts=9), "b": slice_(0.6, plates=9)}, ["k: b"]),
    "no text, but plates that are not found": (
        {"a": slice_(None, recall=0.5, texts=0), "b": slice_(0.9)},
        ["k: b", "k: a"],
    ),
    "nearly all plates are no slice": ({"a": slice_(0.1, plates=90), "b": slice_(0.6)}, ["k: b"]),
    "unknown is no slice": ({"unknown": slice_(0.1), "b": slice_(0.6), "c": slice_(0.7)}, ["k: b", "k: c"]),
    "a single one is the whole": ({"a": slice_(0.1)}, []),
}


@pytest.mark.parametrize(("slices", "names"), WORST.values(), ids=WORST.keys())
def test_worst_slices(slices, names):
    assert [one.name for one in headline.worst_slices({"k": slices}, 4)] == names


def test_a_slice_is_written_with_its_intervals():
    (one, _) = headline.worst_slices({"k": {"a": slice_(0.5, recall=0.25), "b": slice_(0.6)}}, 4)
    assert (one.plates, one.texts, one.recall, one.found_and_read) == (20, 20, "0.250", "0.500 [0.100, 0.900]")
