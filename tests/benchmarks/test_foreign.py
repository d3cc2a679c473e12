"""Detectors of other projects: each kind of output is understood, and boxes come back in the photo's own pixels."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from pipeline.benchmarks.foreign import ForeignDetector, boxes_of
from pipeline.sessions import SessionError

SIDE = 64
# In the pixels of the 64 x 64 input: a photo of 128 x 64 lies at rows 16 to 48, at half its size.
BOX, SCORE = (10.0, 20.0, 30.0, 28.0), 0.9
IN_PHOTO = (20.0, 8.0, 60.0, 24.0)


def raw(count: int = 12) -> np.ndarray:
    """(1, 5, N): two cells that say the same plate, the others nothing."""
    rows = np.zeros((1, 5, count), np.float32)
    rows[0, :, 0] = (20, 24, 20, 8, SCORE)
    rows[0, :, 1] = (20.5, 24, 20, 8, 0.6)
    return rows


KINDS = {
    "suppressed, seven columns": np.array([[0, *BOX, 0, SCORE], [0, 0, 0, 5, 5, 0, 0.1]], np.float32),
    "suppressed, seven columns, with a batch": np.array([[[0, *BOX, 0, SCORE]]], np.float32),
    "suppressed, six columns": np.array([[[*BOX, SCORE, 0], [0, 0, 5, 5, 0.1, 0]]], np.float32),
    "raw": raw(),
    "nothing found": np.zeros((0, 7), np.float32),
}


def network(path, output: np.ndarray, shape=(1, 3, SIDE, SIDE)) -> None:
    """An ONNX that gives `output` whatever the image."""
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["its", "nothing"], ["output"]),
    ]
    constants = {"axes": np.arange(len(shape)), "zero": np.float32(0), "its": output}
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


@pytest.mark.parametrize("output", KINDS.values(), ids=KINDS.keys())
def test_each_kind_of_output_gives_boxes_of_the_photo(tmp_path, output) -> None:
    network(tmp_path / "d.onnx", output)
    (found,) = ForeignDetector(tmp_path / "d.onnx", threads=1).detect([np.zeros((64, 128, 3), np.uint8)], 0.5)
    assert len(found) == (1 if output.size else 0)
    for one in found:
        np.testing.assert_allclose(one.box.xyxy, IN_PHOTO, atol=1e-3)
        assert one.score == pytest.approx(SCORE)
        assert one.quad.tl == one.box.xyxy[:2]


def test_low_scores_are_given_where_they_are_asked_for(tmp_path) -> None:
    network(tmp_path / "d.onnx", KINDS["suppressed, six columns"])
    detector = ForeignDetector(tmp_path / "d.onnx", threads=1)
    assert len(boxes_of(KINDS["suppressed, six columns"], 0.05)[0]) == 2
    assert len(detector.detect([np.zeros((64, 64, 3), np.uint8)], 0.05)[0]) == 2


@pytest.mark.parametrize("shape", [(2, 2), (1, 3, 3, 3), (1, 3, 2)], ids=str)
def test_an_output_of_another_kind_is_refused(shape) -> None:
    with pytest.raises(SessionError, match="is not one of a detector that is known here"):
        boxes_of(np.zeros(shape, np.float32), 0.5)


def test_an_input_of_another_kind_is_refused(tmp_path) -> None:
    network(tmp_path / "d.onnx", KINDS["raw"], shape=(1, SIDE, SIDE, 3))
    with pytest.raises(SessionError, match="not a detector that is known here"):
        ForeignDetector(tmp_path / "d.onnx")
