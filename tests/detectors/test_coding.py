"""What heads share and test_heads.py does not reach: cells, the limits of what is decoded, levels by stride."""

import numpy as np
import pytest

from pipeline.detectors import coding
from pipeline.records import Box, Plate, Quad

STRIDE = 8


def decoded(scores, codes, points, strides=STRIDE):
    corners = np.zeros((len(scores), 8))
    arrays = (np.reshape(values, (-1, size)) for values, size in ((codes, 4), (corners, 8), (points, 2)))
    return coding.detections(np.asarray(scores, float), *arrays, strides)


def test_centres_are_x_and_y_of_rows_of_cells() -> None:
    assert coding.centres(1, 3, STRIDE).tolist() == [[[4, 4], [12, 4], [20, 4]]]
    assert coding.centres(3, 1, 2).tolist() == [[[1, 1]], [[1, 3]], [[1, 5]]]


CELLS = {
    "in the middle": (Box(10, 2, 20, 6), (0, 1)),
    "on a border: the next one": (Box(8, 8, 24, 24), (2, 2)),
    "left of and above the image": (Box(-90, -90, -10, -70), (0, 0)),
    "right of and below it": (Box(900, 900, 990, 920), (3, 4)),
}


@pytest.mark.parametrize(("box", "cell"), CELLS.values(), ids=CELLS.keys())
def test_the_cell_of_a_plate_is_one_of_the_images(box: Box, cell) -> None:
    assert coding.cell_of(Plate(box), 4, 5, STRIDE) == cell


def test_a_point_on_a_plates_border_is_not_inside() -> None:
    points = np.array([[[0, 0], [1, 1], [9, 3]], [[10, 2], [5, 4], [20, 20]]])
    assert coding.inside(Plate(Box(0, 0, 10, 4)), points).tolist() == [[False, True, True], [False, False, False]]


def test_a_box_is_written_as_offset_and_size_in_strides() -> None:
    points = np.array([[4.0, 4.0], [20.0, 12.0]])
    code = coding.box_code(Plate(Box(4, 0, 20, 8)), points, STRIDE)
    np.testing.assert_allclose(code, [[1, 0, np.log(2), 0], [-1, -1, np.log(2), 0]], atol=1e-12)


def test_corners_are_written_in_units_of_the_box() -> None:
    quad = Quad((0, 2), (40, 0), (38, 10), (2, 8))
    assert coding.corner_code(Plate(Box(0, 0, 40, 10), quad)) == pytest.approx([0, 0.2, 0, 0, -0.05, 0, 0.05, -0.2])
    with pytest.raises(ValueError, match="a plate without a quad has no corners to write"):
        coding.corner_code(Plate(Box(0, 0, 40, 10)))


def test_each_cell_is_read_at_its_own_stride() -> None:
    found = decoded([0.5, 0.9], [[0, 0, 0, 0]] * 2, [[4, 4], [48, 48]], np.array([8, 32]))
    assert [one.box for one in found] == [Box(32, 32, 64, 64), Box(0, 0, 8, 8)]
    assert [one.score for one in found] == [0.9, 0.5]
    assert found[1].quad == Quad.of_box(found[1].box)


def test_nothing_is_decoded_to_nothing() -> None:
    assert decoded([], [], []) == []


@pytest.mark.parametrize("log", [coding.MAX_LOG + 1, 1e4], ids=["a little", "far"])
def test_a_size_beyond_all_plates_is_cut(log: float) -> None:
    (large,) = decoded([0.5], [[0, 0, log, -log]], [[4, 4]])
    assert large.box.width == pytest.approx(STRIDE * np.exp(coding.MAX_LOG))
    assert large.box.height == pytest.approx(STRIDE * np.exp(-coding.MAX_LOG))


OVERLAPS = {
    "the same place": (0.0, 1),
    "above the limit": (0.4, 1),  # of 1 x 1 strides: IoU 0.6 / 1.4
    "below it": (0.5, 2),  # 0.5 / 1.5
    "apart": (2.0, 2),
}


@pytest.mark.parametrize(("shift", "count"), OVERLAPS.values(), ids=OVERLAPS.keys())
def test_of_two_that_overlap_the_better_stays(shift: float, count: int) -> None:
    found = decoded([0.5, 0.7], [[shift, 0, 0, 0], [0, 0, 0, 0]], [[4, 4]] * 2)
    assert [one.score for one in found] == [0.7, 0.5][:count]


@pytest.mark.parametrize(("apart", "count"), [(100, coding.MAX_DETECTIONS), (0, 1)], ids=["apart", "in one place"])
def test_only_the_best_are_given(apart: int, count: int) -> None:
    """The worst of more than a thousand stands elsewhere, and is not looked at."""
    points = [[4 + apart * index, 4] for index in range(coding.CANDIDATES)] + [[4, 900]]
    scores = np.linspace(0.9, 0.1, len(points))
    found = decoded(scores, np.zeros((len(points), 4)), points)
    assert [one.score for one in found] == scores[:count].tolist()


def test_levels_are_sorted_by_number_and_others_left_out() -> None:
    outputs = {name: np.full(1, index) for index, name in enumerate(("box_16", "box_8", "score_8", "box_32"))}
    found = coding.levels(outputs, "box")
    assert [(stride, int(value[0])) for stride, value in found.items()] == [(8, 1), (16, 0), (32, 3)]
    assert coding.levels(outputs, "corners") == {}


def test_sigmoid() -> None:
    values = coding.sigmoid(np.array([-90, 0, np.log(3), 90], np.float32))
    assert values == pytest.approx([0, 0.5, 0.75, 1])
    assert values.dtype == np.float64
