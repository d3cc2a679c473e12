"""The report's page, pictures and plots from a handful of drawn photos."""

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pipeline import metrics, report
from pipeline.images import encode_png
from pipeline.metrics import Bootstrap, Case
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample

MODEL = {"detector": {"backbone": "b0", "stride": 8, "input": None}, "reader": {"height": 64, "alphabet": "01"}}
VOID = {"meta", "img", "br", "link", "input"}


def sample(number, *plates, split="test", kind="photo", image=None):
    name = image or f"s/{number}.png"
    return Sample(f"{number:064x}", name, 320, 240, plates, "s", str(number), split, kind=kind)


def found(x, y, score, width=100, height=20):
    box = Box(x, y, x + width, y + height)
    return Detection(box, Quad.of_box(box), score)


def case(sample_, detections=(), texts=(), labelled=()):
    return Case(
        sample_,
        tuple(detections),
        {"network": tuple(Reading(text, 0.9) for text in texts), "tesseract": tuple(Reading("", 0.0) for _ in texts)},
        {"network": {i: Reading(text, 0.9) for i, text in enumerate(labelled)}, "tesseract": {}},
    )


def plate(x, y, text=None, **fields):
    return Plate(Box(x, y, x + 100, y + 20), text=text, **fields)


CASES = [
    case(sample(1, plate(10, 10, "AB12", region="GB", rows=1)), [found(10, 10, 0.9)], ["AB12"], ["AB12"]),
    case(sample(2, plate(10, 10, "CD34")), [found(12, 10, 0.8), found(200, 200, 0.5)], ["CD3A", "XX"], ["C034"]),
    case(sample(3, plate(10, 10, "EF56")), [found(10, 12, 0.1)], [], ["EF56"]),
    case(sample(4), [found(100, 100, 0.6)], [""]),
    case(
        sample(5, plate(0, 0, "GH78", quad=Quad((0, 0), (100, 5), (100, 25), (0, 20))), kind="crop"), labelled=["6H78"]
    ),
    case(sample(6, plate(10, 10), split="train"), [found(10, 10, 0.9)], ["ZZ"], ["ZZ"]),
]


def document_of(cases, readers=("network", "tesseract")):
    return metrics.evaluate(cases, readers, 0.3, Bootstrap(50, 7))


@pytest.fixture
def images(tmp_path):
    (tmp_path / "raw" / "s").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        picture = np.full((240, 320, 3), rng.integers(0, 255, 3), dtype=np.uint8)
        (tmp_path / "raw" / "s" / f"{number}.png").write_bytes(encode_png(picture))
    return tmp_path / "raw"


class Checker(HTMLParser):
    """Collects what a page loads and says, and checks that its tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "srcset", "href") and tag != "use"]
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
    page = path.read_text(encoding="utf-8")
    checker.feed(page)
    assert checker.open == []
    return page, checker


def write(folder, cases, images, **kwargs):
    document = document_of(cases)
    report.write(folder, document, cases, images, **{"worst": 4, "command": "a command", "model": MODEL, **kwargs})
    return document


def test_the_page_says_the_figures_and_loads_nothing_from_outside(tmp_path, images):
    document = write(tmp_path / "report", CASES, images)
    page, checker = read_page(tmp_path / "report" / "index.html")
    text = " ".join(checker.text)
    assert report.percent(document["detection"]["ap50"]) in text
    assert report.percent(document["end_to_end"]["exact"]) in text
    assert "a command" in text
    assert "GB" in text
    assert checker.loads
    assert all(link.startswith("data:image/jpeg;base64,") for link in checker.loads)
    assert not re.search(r"@import|url\((?!#)|<script|<link", page)
    assert page.count("<svg") == 5
    assert "nan" not in text.lower().split()


def test_texts_and_paths_cannot_become_markup(tmp_path, images):
    evil = "s/<img src=x onerror=alert(1)>.png"
    (images / evil).parent.mkdir(exist_ok=True)
    (images / evil).write_bytes((images / "s/1.png").read_bytes())
    cases = [case(sample(1, plate(10, 10, region="<u>"), image=evil), [found(10, 10, 0.9)], ["<script>"], [""])]
    write(tmp_path / "report", cases, images, command="<i>&")
    page, _ = read_page(tmp_path / "report" / "index.html")
    assert not re.search(r"<script|<u>|<i>|onerror=alert\(1\)>\.png<(?!/p)", page)
    assert "&lt;img src=x" in page


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
    report.write_plots(tmp_path / "plots", document_of(cases), cases)
    for picture in ("worst.jpg", "sample.jpg", "rendered.jpg"):
        assert Image.open(tmp_path / "report" / picture).width >= report.TILE_WIDTH


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


def test_worst_first():
    ordered = report.by_badness(CASES[:5], 0.3)
    assert [item.case.sample.image for item in ordered] == [f"s/{n}.png" for n in (3, 2, 4, 5, 1)]
    problems = [item.problems for item in ordered]
    assert problems == [("missed plate",), ("misread", "false plate, read as XX"), ("false plate",), ("misread",), ()]
    assert ordered[1].focus[0] == Box(200, 200, 300, 220)


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 2, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4]), (1, [0])])
def test_evenly(count, expected):
    assert report.evenly(list(range(5)), count) == expected


def test_tiles_show_truth_in_green_and_prediction_in_red(images):
    (judged,) = report.by_badness([CASES[1]], 0.3)
    tile = report.draw(judged, images)
    assert tile.picture.shape == (270, 360, 3)
    assert tuple(tile.picture[round(10 * 1.125), round(15 * 1.125)]) == report.PREDICTION  # drawn over the truth
    assert tuple(tile.picture[round(20 * 1.125), round(10 * 1.125)]) == report.TRUTH
    assert tuple(tile.picture[round(210 * 1.125), round(200 * 1.125)]) == report.PREDICTION
    assert [(line.truth, line.read["network"], line.right) for line in tile.lines] == [("CD34", "CD3A", False)]


def test_plots_are_tables_with_a_header(tmp_path):
    report.write_plots(tmp_path, document_of(CASES), CASES)
    tables = {path.name: list(csv.DictReader(path.open())) for path in tmp_path.iterdir()}
    assert set(tables) == {"precision_recall.csv", "exact_match.csv", "ap_by_height.csv", "confusions.csv"}
    curve = [(float(row["recall"]), float(row["precision"])) for row in tables["precision_recall.csv"]]
    assert curve[0] == (pytest.approx(1 / 3, abs=1e-4), 1.0)
    assert curve[-1] == (1.0, 0.6)
    assert [row["case"] for row in tables["exact_match.csv"]][:2] == [
        "network, labelled crops",
        "network, detected crops",
    ]
    assert tables["confusions.csv"] == [
        {"confusion": "D read as 0", "actual": "D", "predicted": "0", "times": "1"},
        {"confusion": "G read as 6", "actual": "G", "predicted": "6", "times": "1"},
    ]


@pytest.mark.parametrize(("value", "expected"), [(None, "–"), (0.0, "0.0 %"), (0.83749, "83.7 %"), (1.0, "100.0 %")])  # noqa: RUF001
def test_percent(value, expected):
    assert report.percent(value) == expected
