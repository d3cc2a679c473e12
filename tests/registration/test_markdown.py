"""Text for MLflow's pages."""

import pytest

from pipeline.registration import markdown


def test_a_cell_stays_in_its_table_and_is_no_html():
    assert markdown.cell("a|b\n<script> & c") == "a&#124;b &lt;script> &amp; c"


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0.0, "+0.000"), (0.0125, "+0.013"), (-0.5, "-0.500")])
def test_a_difference_has_its_sign(value, text):
    assert markdown.difference(value) == text


def test_what_is_in_a_split():
    assert markdown.counted({"photos": 2, "crops": 0, "plates": 3, "groups": 9}) == "2 photos, 3 plates"
    assert markdown.counted({}) == "nothing"


def test_tables_have_room():
    table = "| a | b |\n|---|---|\n| c |  |\n\n## d\n"
    assert markdown.spaced(table) == "| a&ensp; | b&ensp; |\n|---|---|\n| c&ensp; |  |\n\n<br>\n\n## d\n"
