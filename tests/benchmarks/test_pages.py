"""The pages of the benchmarks: figures in cells, and a table between two marks of another page."""

import pytest

from pipeline.benchmarks import pages


def row(value: float | None, low: float | None = None, high: float | None = None) -> dict:
    return {"exact": value, "interval": {"exact": {"low": low, "high": high}}}


@pytest.mark.parametrize(
    ("section", "text"),
    [
        (row(0.5, 0.25, 0.75), "0.500 [0.250, 0.750]"),
        (row(0.5), "0.500"),
        (row(None), "-"),
    ],
    ids=["with an interval", "of a single group", "missing"],
)
def test_a_figure_is_shown_with_its_interval(section, text) -> None:
    assert pages.figure(section, "exact") == text


def test_a_table_takes_the_place_of_the_old_one(tmp_path) -> None:
    page = tmp_path / "README.md"
    begin, end = pages.marks("bench-reader")
    other = "\n".join(pages.marks("bench-detector"))
    page.write_text(f"before\n{other}\n{begin}\nold\n{end}\nafter\n")
    pages.show(page, "bench-reader", "\n".join(pages.heading(["a", "b"])) + "\n")
    assert page.read_text() == f"before\n{other}\n{begin}\n| a | b |\n|---|---|\n{end}\nafter\n"


@pytest.mark.parametrize(
    "text", ["nothing here\n", "<!-- x: begin -->\n", "<!-- x: end --><!-- x: begin -->"], ids=["none", "one", "turned"]
)
def test_a_page_without_marks_is_left_as_it_is(tmp_path, text) -> None:
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="has no <!-- x: begin --> "):
        pages.show(page, "x", "table")
    assert page.read_text() == text


def test_threads_are_counted_in_words() -> None:
    assert [pages.thread_count(n) for n in (1, 2)] == ["1 thread", "2 threads"]
