"""Box maths: tables of cases by hand, and properties that hold for any boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline import boxes

NONE = np.zeros((0, 4))
UNIT = [0, 0, 10, 10]

IOUS = {
    "same": (UNIT, UNIT, 1.0),
    "half beside": (UNIT, [5, 0, 15, 10], 1 / 3),
    "quarter over a corner": (UNIT, [5, 5, 15, 15], 25 / 175),
    "nested": (UNIT, [2, 2, 7, 4], 0.1),
    "touching sides": (UNIT, [10, 0, 20, 10], 0.0),
    "touching corners": (UNIT, [10, 10, 20, 20], 0.0),
    "apart": (UNIT, [30, 30, 40, 40], 0.0),
    "apart in both, where two negatives would make a plus": (UNIT, [-30, -30, -20, -20], 0.0),
    "below the origin": ([-10, -10, 0, 0], [-10, -10, 0, -5], 0.5),
    "of no area": (UNIT, [5, 5, 5, 5], 0.0),
    "both of no area": ([5, 5, 5, 5], [5, 5, 5, 5], 0.0),
}


@pytest.mark.parametrize(("a", "b", "expected"), IOUS.values(), ids=IOUS.keys())
def test_iou(a, b, expected: float) -> None:
    ratio = boxes.iou(np.array([a], float), np.array([b], float))
    assert ratio.shape == (1, 1)
    assert ratio[0, 0] == pytest.approx(expected)


def test_iou_of_none_and_of_many() -> None:
    three = np.array([UNIT, [5, 0, 15, 10], [20, 0, 30, 10]], float)
    assert boxes.iou(NONE, three).shape == (0, 3)
    assert boxes.iou(three, NONE).shape == (3, 0)
    assert boxes.iou(NONE, NONE).shape == (0, 0)
    np.testing.assert_allclose(boxes.iou(three[:2], three), [[1, 1 / 3, 0], [1 / 3, 1, 0]])


def some_boxes(least: int = 1):
    """(N, 4) boxes with sides of 0.5 to 500 pixels."""
    corner = st.floats(-1000, 1000, allow_nan=False)
    side = st.floats(0.5, 500, allow_nan=False)
    rows = st.lists(st.tuples(corner, corner, side, side), min_size=least, max_size=6)
    return rows.map(lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows]).reshape(-1, 4))


@given(some_boxes(), some_boxes())
def test_iou_is_symmetric_and_a_share(a, b) -> None:
    ratios = boxes.iou(a, b)
    np.testing.assert_array_equal(ratios, boxes.iou(b, a).T)
    assert (ratios >= 0).all()
    assert (ratios <= 1).all()


@given(some_boxes())
def test_iou_with_itself_is_one(a) -> None:
    np.testing.assert_allclose(np.diag(boxes.iou(a, a)), 1)


@given(some_boxes(least=0))
def test_quads_of_boxes_have_those_boxes_around_them(a) -> None:
    np.testing.assert_array_equal(boxes.quads_to_boxes(boxes.boxes_to_quads(a)), a)
    assert all(boxes.is_convex_clockwise(quad) for quad in boxes.boxes_to_quads(a))


@given(some_boxes(least=0), arrays(float, 6, elements=st.floats(0, 1)), st.floats(0, 1))
def test_nms_keeps_the_best_and_none_that_overlaps(a, scores, threshold) -> None:
    scores = scores[: len(a)]
    kept = boxes.nms(a, scores, threshold)
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(scores[kept]) <= 0).all()
    overlaps = boxes.iou(a, a)
    assert all(overlaps[i, j] <= threshold for i in kept for j in kept if i != j)
    for dropped in set(range(len(a))) - set(kept.tolist()):
        assert any(overlaps[dropped, k] > threshold and scores[k] >= scores[dropped] for k in kept)


FAR = [100, 100, 110, 110]
NMS = {
    "none": ([], [], []),
    "one": ([UNIT], [0.1], [0]),
    "the better of two copies": ([UNIT, UNIT], [0.2, 0.9], [1]),
    "the first of two equals": ([UNIT, UNIT], [0.5, 0.5], [0]),
    "far apart, best first": ([UNIT, FAR], [0.2, 0.9], [1, 0]),
    "touching are two": ([UNIT, [10, 0, 20, 10]], [0.9, 0.8], [0, 1]),
    "nested and small are two": ([UNIT, [2, 2, 4, 4]], [0.9, 0.8], [0, 1]),
    "at the threshold both stay": ([UNIT, [0, 0, 10, 5]], [0.9, 0.8], [0, 1]),
    "a chain: what only the dropped one overlapped stays": (
        [UNIT, [3, 0, 13, 10], [6, 0, 16, 10]],
        [0.9, 0.8, 0.7],
        [0, 2],
    ),
}


@pytest.mark.parametrize(("rows", "scores", "kept"), NMS.values(), ids=NMS.keys())
def test_nms(rows, scores, kept) -> None:
    found = boxes.nms(np.array(rows, float).reshape(-1, 4), np.array(scores), 0.5)
    assert found.tolist() == kept


def test_area() -> None:
    np.testing.assert_array_equal(boxes.area(np.array([UNIT, [1, 2, 4, 4]])), [100, 6])
    assert boxes.area(NONE).shape == (0,)


CORNERS = {
    "upright": ([(0, 0), (10, 0), (10, 5), (0, 5)], True),
    "tilted": ([(0, 2), (10, 0), (11, 5), (1, 7)], True),
    "upside down": ([(10, 5), (0, 5), (0, 0), (10, 0)], True),
    "mirrored": ([(10, 0), (0, 0), (0, 5), (10, 5)], False),
    "crossed": ([(0, 0), (10, 5), (10, 0), (0, 5)], False),
    "dented": ([(0, 0), (10, 0), (2, 1), (0, 5)], False),
    "a triangle with a corner on its side": ([(0, 0), (5, 0), (10, 0), (0, 5)], False),
    "two corners in one place": ([(0, 0), (0, 0), (10, 5), (0, 5)], False),
    "a point": ([(3, 3)] * 4, False),
}


@pytest.mark.parametrize(("corners", "expected"), CORNERS.values(), ids=CORNERS.keys())
def test_convex_and_clockwise(corners, expected: bool) -> None:
    assert boxes.is_convex_clockwise(np.array(corners, float)) is expected


def test_clip_cuts_at_the_edges() -> None:
    cut = boxes.clip(np.array([[-5.0, 2, 30, 40], [1, 1, 2, 2], [25, 25, 30, 30]]), 20, 10)
    np.testing.assert_array_equal(cut, [[0, 2, 20, 10], [1, 1, 2, 2], [20, 10, 20, 10]])
    assert boxes.clip(NONE, 20, 10).shape == (0, 4)
