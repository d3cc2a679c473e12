"""The page from a handful of drawn photos: what it says, and that it stands alone."""

import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from pipeline.report import comparison, galleries, page, plots, tables

from .conftest import CASES, case, document_of, found, plate, sample, write

VOID = {"meta", "img", "br", "link", "input", "wbr"}
SECTIONS = ("headline", "champion", "detection", "reading", "scores", "errors", "cases", "slices", "data", "sample")
VALIDATION = {
    "sources": {"s": {"rows": 9, "passed": 6, "failed": 2, "unpaired": 1, "plates": 7}},
    "broken_rules": {"short_side": 1, "unreadable": 2},
    "gate": [],
}
CURATION = {
    "groups": 11,
    "near_duplicate_pairs": 3,
    "leaks": 0,
    "plates_waiting": 4,
    "sources": {
        "s": {
            "files": 9,
            "pictures": 6,
            "files_in_groups_of_copies": 5,
            "groups_that_disagree": 2,
            "plates": 7,
            "texts": 4,
            "splits": {"train": 1, "val": 0, "test": 5},
        }
    },
}


class Checker(HTMLParser):
    """Collects what a page loads and says, and checks that its tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.anchors, self.ids, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "href") and tag != "use":
                (self.anchors if tag == "a" else self.loads).append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read_page(path):
    checker = Checker()
    text = path.read_text(encoding="utf-8")
    checker.feed(text)
    assert checker.open == []
    return text, checker


def test_the_page_says_the_figures_and_loads_nothing_from_outside(tmp_path, images):
    document = write(tmp_path / "report", CASES, images)
    text, checker = read_page(tmp_path / "report" / "index.html")
    words = " ".join(checker.text)
    assert tables.percent(document["detection"]["ap50"]) in words
    assert tables.percent(document["end_to_end"]["exact"]) in words
    assert tables.percent(document["calibration"]["ece"]) in words
    assert "a command" in words
    assert "GB" in words
    assert checker.loads
    assert all(link.startswith("data:image/jpeg;base64,") for link in checker.loads)
    assert not re.search(r"@import|url\((?!#)|<script|<link", text)
    assert text.count("<svg") == 8  # no slice has texts enough for its own
    assert "nan" not in words.lower().split()


def test_every_section_is_there_and_linked(tmp_path, images):
    write(tmp_path / "report", CASES, images)
    _, checker = read_page(tmp_path / "report" / "index.html")
    assert set(SECTIONS) <= set(checker.ids)
    assert {anchor.removeprefix("#") for anchor in checker.anchors} <= set(checker.ids)


def test_the_page_keeps_a_place_for_the_champion(tmp_path, images):
    write(tmp_path / "report", CASES, images)
    text, _ = read_page(tmp_path / "report" / "index.html")
    assert text.index('id="headline"') < text.index(comparison.START) < text.index('id="detection"')
    assert "Not compared yet" in text


def test_the_data_with_quarantine_and_duplicates(tmp_path, images):
    write(tmp_path / "report", CASES, images, upstream={"validation": VALIDATION, "curation": CURATION})
    text, _ = read_page(tmp_path / "report" / "index.html")
    assert re.search(r"<td>unreadable</td><td>2</td></tr>\s*<tr><td>short side</td><td>1</td>", text)
    assert "11 groups" in text
    assert "3 pairs of near-duplicates" in text


def test_what_earlier_stages_counted_may_be_unknown(tmp_path, images):
    write(tmp_path / "report", CASES, images)
    text, _ = read_page(tmp_path / "report" / "index.html")
    assert text.count("Not known here") == 2


def test_texts_and_paths_cannot_become_markup(tmp_path, images):
    evil = "s/<img src=x onerror=alert(1)>.png"
    (images / evil).parent.mkdir(exist_ok=True)
    (images / evil).write_bytes((images / "s/1.png").read_bytes())
    cases = [case(sample(1, plate(10, 10, region="<u>"), image=evil), [found(10, 10, 0.9)], ["<script>"], [""])]
    write(tmp_path / "report", cases, images, command="<b>&")
    text, _ = read_page(tmp_path / "report" / "index.html")
    assert not re.search(r"<script|<u>|<b>&|onerror=alert\(1\)>\.png<(?!/p)", text)
    assert "&lt;img src=x" in text


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("no sample", []),
        ("no test sample", CASES[5:]),
        ("crops only", CASES[4:5]),
        ("no plate", CASES[3:4]),
        ("one right", CASES[:1]),
    ],
)
def test_a_poor_test_split_still_gives_a_page(tmp_path, images, name, cases):
    write(tmp_path / "report", cases, images)
    read_page(tmp_path / "report" / "index.html")
    plots.write(tmp_path / "plots", document_of(cases), cases)
    for picture in ("worst.jpg", "sample.jpg", "rendered.jpg"):
        assert Image.open(tmp_path / "report" / picture).width >= galleries.TILE_WIDTH


def test_without_a_baseline(tmp_path, images):
    document = document_of(CASES, readers=("network",))
    page.write(tmp_path / "report", document, CASES, images, worst=4, command="", model={}, upstream={})
    text, _ = read_page(tmp_path / "report" / "index.html")
    assert "<td>Tesseract</td>" not in text


def test_a_missing_picture_leaves_the_old_report(tmp_path, images):
    write(tmp_path / "report", CASES[:1], images)
    before = (tmp_path / "report" / "index.html").read_bytes()
    (images / "s/2.png").unlink()
    with pytest.raises(ValueError, match=r"2\.png"):
        write(tmp_path / "report", CASES[:2], images)
    assert (tmp_path / "report" / "index.html").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "report"}


def test_the_same_evaluation_gives_the_same_bytes(tmp_path, images):
    for name in ("one", "two"):
        write(tmp_path / name, CASES, images)
    for file in ("index.html", "worst.jpg", "sample.jpg", "rendered.jpg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
