"""The terms of losses against values worked out by hand."""

import keras
import numpy as np
import pytest

from pipeline.detectors import coding, losses


def numbers(value) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value))


# two boxes, IoU, generalised IoU
PAIRS = {
    "the same": ([0, 0, 4, 2], [0, 0, 4, 2], 1, 1),
    "a corner over another": ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),
    "half beside": ([0, 0, 2, 1], [1, 0, 3, 1], 1 / 3, 1 / 3),
    "inside": ([0, 0, 4, 4], [1, 1, 3, 3], 1 / 4, 1 / 4),
    "touching": ([0, 0, 1, 1], [1, 0, 2, 1], 0, 0),
    "apart": ([0, 0, 1, 1], [3, 0, 4, 1], 0, -1 / 2),
    "apart both ways": ([0, 0, 1, 1], [2, 3, 3, 4], 0, -10 / 12),
    "a point": ([1, 1, 1, 1], [0, 0, 2, 2], 0, 0),
    "two points in one place": ([1, 1, 1, 1], [1, 1, 1, 1], 0, 0),
    "left of the cell": ([-3, -2, -1, -1], [-2, -2, 0, -1], 1 / 3, 1 / 3),
}


@pytest.mark.parametrize(("a", "b", "iou", "giou"), PAIRS.values(), ids=PAIRS.keys())
def test_iou(a, b, iou: float, giou: float) -> None:
    a, b = np.array([[a]], np.float32), np.array([[b]], np.float32)
    for found in (losses.iou(a, b), losses.iou(b, a)):
        assert [numbers(value).shape for value in found] == [(1, 1), (1, 1)]
        assert [numbers(value).item() for value in found] == pytest.approx([iou, giou], abs=1e-6)


CODES = {
    "one stride": ([0, 0, 0, 0], [-0.5, -0.5, 0.5, 0.5]),
    "wide and aside": ([1, -2, np.log(4), np.log(2)], [-1, -3, 3, -1]),
    "larger than any plate": (
        [0, 0, 99, -99],
        [-np.exp(6) / 2, -np.exp(-6) / 2, np.exp(6) / 2, np.exp(-6) / 2],
    ),
}


@pytest.mark.parametrize(("code", "xyxy"), CODES.values(), ids=CODES.keys())
def test_xyxy_reads_a_box_code_as_decoding_does(code, xyxy) -> None:
    found = numbers(losses.xyxy(np.array(code, np.float32)))
    np.testing.assert_allclose(found, xyxy, rtol=1e-5)
    point, stride = np.zeros((1, 2)), 8
    (read,) = coding.detections(np.ones(1), np.array([code]), np.zeros((1, 8)), point, stride)
    np.testing.assert_allclose(found * stride, read.box.xyxy, rtol=1e-5)


# truth, value, beta -> loss; beta 0.05 where none is given
DISTANCES = {
    "none": ((1, 1), 0),
    "half of beta": ((1, 1.025), 0.5 * 0.025**2 / 0.05),
    "beta, where both meet": ((0, 0.05), 0.025),
    "far": ((0, 1), 0.975),
    "far below": ((0, -1), 0.975),
    "below another beta": ((0, 0.5, 1.0), 0.125),
    "above another beta": ((3, 0, 1.0), 2.5),
}


@pytest.mark.parametrize(("given", "loss"), DISTANCES.values(), ids=DISTANCES.keys())
def test_smooth_l1(given, loss: float) -> None:
    truth, value, *beta = (np.float32(number) for number in given)
    assert numbers(losses.smooth_l1(truth, value, *map(float, beta))).item() == pytest.approx(loss, abs=1e-6)


# truth, probability -> cross entropy
ENTROPIES = {
    "undecided, of yes": (1, 0.5, np.log(2)),
    "undecided, of no": (0, 0.5, np.log(2)),
    "three quarters, of yes": (1, 0.75, -np.log(0.75)),
    "three quarters, of no": (0, 0.75, -np.log(0.25)),
    "soft and met: the truth's own entropy": (0.25, 0.25, -0.25 * np.log(0.25) - 0.75 * np.log(0.75)),
}


@pytest.mark.parametrize(("truth", "probability", "loss"), ENTROPIES.values(), ids=ENTROPIES.keys())
def test_cross_entropy(truth: float, probability: float, loss: float) -> None:
    logit = np.float32(np.log(probability / (1 - probability)))
    assert numbers(losses.cross_entropy(np.float32(truth), logit)).item() == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("truth", "logit", "loss"), [(0, 500, 500), (1, -500, 500), (1, 500, 0), (0, -500, 0)])
def test_cross_entropy_of_the_surest_is_finite(truth: float, logit: float, loss: float) -> None:
    assert numbers(losses.cross_entropy(np.float32(truth), np.float32(logit))).item() == pytest.approx(loss)


def test_losses_are_taken_in_float32() -> None:
    assert numbers(losses.float32(np.array([True, False]))).tolist() == [1, 0]
    assert numbers(losses.float32(np.ones(2, np.float16))).dtype == np.float32
