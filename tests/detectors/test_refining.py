"""What becomes of detections at a second look; the network is a fake that sees white."""

import numpy as np
import pytest

from pipeline.boxes import iou
from pipeline.detectors.refining import BATCH, MOST, Refiner
from pipeline.records import Box, Detection, Quad


class SeesWhite:
    """The corners of what is white in a look, and `logit` for a plate; without white, corners anywhere and no plate."""

    def __init__(self, logit: float = 9.0) -> None:
        self.logit, self.batches = logit, []

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        assert (batch.shape[1:], batch.dtype) == ((64, 160, 3), np.float32)
        self.batches.append(len(batch))
        answers = [self._one(image[..., 0] > 128) for image in batch]
        return {
            name: np.array([answer[i] for answer in answers], np.float32) for i, name in enumerate(("corners", "plate"))
        }

    def _one(self, white: np.ndarray):
        rows, columns = np.nonzero(white)
        x1, y1, x2, y2 = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 9, 9)
        corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]) / (160, 64) - 0.5
        return corners.reshape(8), [self.logit if len(rows) else -9.0]


PLATE = Box(100, 60, 180, 90)


def photo(*plates: Box) -> np.ndarray:
    image = np.zeros((600, 800, 3), np.uint8)
    for x1, y1, x2, y2 in (map(int, plate.xyxy) for plate in plates):
        image[y1:y2, x1:x2] = 255
    return image


def detection(box: Box, score: float = 0.9, dx: float = 0, dy: float = 0, stretch: float = 1.0) -> Detection:
    x, y = (box.x1 + box.x2) / 2 + dx, (box.y1 + box.y2) / 2 + dy
    half_width, half_height = box.width * stretch / 2, box.height * stretch / 2
    wrong = Box(x - half_width, y - half_height, x + half_width, y + half_height)
    return Detection(wrong, Quad.of_box(wrong), score)


ERRORS = {
    "right": {},
    "aside": {"dx": 14, "dy": -6},
    "too small": {"stretch": 0.8},
    "too large": {"stretch": 1.5, "dx": -10},
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("plate", [PLATE, Box(0, 0, 60, 24), Box(700, 500, 800, 600)], ids=["inside", "corner", "end"])
def test_a_detection_ends_where_the_plate_does(plate: Box, error) -> None:
    (found,) = Refiner(SeesWhite()).refine(photo(plate), [detection(plate, **error)], 0.4)
    np.testing.assert_allclose(found.box.xyxy, plate.xyxy, atol=3.5)
    assert iou(np.array([found.box.xyxy]), np.array([plate.xyxy])).item() > 0.9
    assert found.quad.box == found.box


def test_detections_of_one_plate_are_merged_and_others_kept() -> None:
    second = Box(400, 300, 500, 330)
    asked = [detection(PLATE, 0.7, dx=8), detection(second, 0.8), detection(PLATE, 0.9, dy=4), detection(PLATE, 0.5)]
    found = Refiner(SeesWhite()).refine(photo(PLATE, second), asked, 0.4)
    assert [one.score for one in found] == pytest.approx([np.sqrt(0.9), np.sqrt(0.8)], abs=1e-3)
    assert [round(one.box.x1, -1) for one in found] == [100, 400]


# the first score, the second, what is asked for -> the score that remains
SCORES = {
    "both sure": (0.9, 0.8, 0.4, 0.72**0.5),
    "the second doubts": (0.9, 0.1, 0.4, None),
    "the second doubts, little is asked": (0.9, 0.1, 0.2, 0.3),
    "the first doubted": (0.2, 0.9, 0.4, 0.18**0.5),
    "the first below all that a second could mend": (0.15, 0.999999, 0.4, None),
}


@pytest.mark.parametrize(("first", "second", "least", "expected"), SCORES.values(), ids=SCORES.keys())
def test_the_score_is_the_geometric_mean(first: float, second: float, least: float, expected) -> None:
    session = SeesWhite(np.log(second / (1 - second)))
    found = Refiner(session).refine(photo(PLATE), [detection(PLATE, first)], least)
    assert [one.score for one in found] == pytest.approx([] if expected is None else [expected], abs=1e-5)


def test_what_is_no_plate_is_dropped() -> None:
    asked = [detection(Box(300, 300, 360, 320), 0.99), detection(PLATE, 0.6)]
    (found,) = Refiner(SeesWhite()).refine(photo(PLATE), asked, 0.4)
    assert found.box.x1 == pytest.approx(100, abs=2)


def test_corners_on_one_line_are_no_detection() -> None:
    class Line(SeesWhite):
        def _one(self, white: np.ndarray):
            return np.array([-0.2, 0, 0.2, 0, 0.2, 0, -0.2, 0]), [9.0]

    assert Refiner(Line()).refine(photo(PLATE), [detection(PLATE)], 0.4) == []


# detections asked about -> batches
COUNTS = {
    "none": (0, []),
    "one": (1, [1]),
    "a batch": (BATCH, [BATCH]),
    "more": (20, [16, 4]),
    "too many": (50, [16, 14]),
}


@pytest.mark.parametrize(("count", "batches"), COUNTS.values(), ids=COUNTS.keys())
def test_looks_are_taken_in_batches_of_the_best(count: int, batches: list[int]) -> None:
    session = SeesWhite()
    places = [Box(20 + 120 * (i % 6), 10 + 60 * (i // 6), 70 + 120 * (i % 6), 28 + 60 * (i // 6)) for i in range(count)]
    asked = [detection(place, 0.9 - i / 100) for i, place in enumerate(places)]
    found = Refiner(session).refine(photo(*places), asked, 0.1)
    assert session.batches == batches
    assert len(found) == min(count, MOST)
    assert [round(one.box.x1) for one in found] == pytest.approx([place.x1 for place in places[:MOST]], abs=2)


def test_all_below_the_score_are_not_looked_at() -> None:
    session = SeesWhite()
    assert Refiner(session).refine(photo(PLATE), [detection(PLATE, 0.1)], 0.4) == []
    assert session.batches == []
