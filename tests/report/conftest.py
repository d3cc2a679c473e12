"""A handful of drawn photos on which each kind of mistake is made, and what is measured on them."""

import numpy as np
import pytest

from pipeline import metrics
from pipeline.images import encode_png
from pipeline.metrics import Bootstrap, Case
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample
from pipeline.report import attribution, page, reliability
from pipeline.report.reliability import Scored

BOOTSTRAP = Bootstrap(50, 7)
MODEL = {"detector": {"backbone": "b0", "stride": 8, "input": None}, "reader": {"height": 64, "alphabet": "01"}}


def sample(number, *plates, split="test", kind="photo", image=None, source="s"):
    name = image or f"s/{number}.png"
    return Sample(f"{number:064x}", name, 320, 240, plates, source, str(number), split, kind=kind)


def found(x, y, score, width=100, height=20):
    box = Box(x, y, x + width, y + height)
    return Detection(box, Quad.of_box(box), score)


def read(text):
    """A reading; '?AB' is a no-read with the guess AB."""
    return Reading("", 0.4, guess=text[1:]) if text.startswith("?") else Reading(text, 0.9)


def case(sample_, detections=(), texts=(), labelled=(), placed=()):
    return Case(
        sample_,
        tuple(detections),
        {"network": tuple(map(read, texts)), "tesseract": tuple(Reading("", 0.0) for _ in texts)},
        {"network": dict(enumerate(map(read, labelled))), "tesseract": {}},
        placed=dict(enumerate(map(read, placed))),
        sharpness=dict.fromkeys(range(len(sample_.plates)), 0.2),
        traits={"brightness": 100.0, "contrast": 50.0, "sharpness": 0.1},
    )


def plate(x, y, text=None, **fields):
    return Plate(Box(x, y, x + 100, y + 20), text=text, **fields)


CASES = [
    case(sample(1, plate(10, 10, "AB12", region="GB", rows=1)), [found(10, 10, 0.9)], ["AB12"], ["AB12"], ["AB12"]),
    case(
        sample(2, plate(10, 10, "CD34")),
        [found(12, 10, 0.8), found(200, 200, 0.5)],
        ["CD3A", "XX"],
        ["C034"],
        ["CD3A"],
    ),
    case(sample(3, plate(10, 10, "EF56")), [found(10, 12, 0.1)], [], ["EF56"], ["EF56"]),
    case(sample(4), [found(100, 100, 0.6)], [""]),
    case(
        sample(5, plate(0, 0, "GH78", quad=Quad((0, 0), (100, 5), (100, 25), (0, 20))), kind="crop"), labelled=["6H78"]
    ),
    case(sample(6, plate(10, 10), split="train"), [found(10, 10, 0.9)], ["ZZ"], ["ZZ"]),
]


def document_of(cases, readers=("network", "tesseract"), threshold=0.5):
    test = [case for case in cases if case.sample.split == "test"]
    results, _ = metrics.outcomes(test, 0.3)
    return {
        **metrics.evaluate(cases, readers, 0.3, BOOTSTRAP),
        "attribution": attribution.measure(results, BOOTSTRAP),
        "calibration": reliability.measure(Scored.of(results), threshold, BOOTSTRAP),
    }


@pytest.fixture
def images(tmp_path):
    """data/raw with a picture for each sample of CASES."""
    (tmp_path / "raw" / "s").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        picture = np.full((240, 320, 3), rng.integers(0, 255, 3), dtype=np.uint8)
        (tmp_path / "raw" / "s" / f"{number}.png").write_bytes(encode_png(picture))
    return tmp_path / "raw"


def write(folder, cases, images, **kwargs):
    """The report of these cases, with what else it needs; gives the document back."""
    document = document_of(cases)
    rest = {"worst": 4, "command": "a command", "model": MODEL, "upstream": {}, **kwargs}
    page.write(folder, document, cases, images, **rest)
    return document
