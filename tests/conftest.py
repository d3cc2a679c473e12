"""What many tests stand on: a model folder that ONNX Runtime really loads; an empty MLflow database."""

import hashlib
import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from pipeline.alphabet import CHARACTERS
from pipeline.tracking import store

OPSET = [helper.make_opsetid("", 18)]
REGIONS = ("DE", "GB", "ZZ")


def _network(path, nodes, inputs, outputs, constants):
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    save(helper.make_model(graph, opset_imports=OPSET, ir_version=9), path)


def _detector(path):
    """A plate of 64 x 32 pixels of the network's input wherever a cell is white."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "channel"], ["grey"], keepdims=1),
        helper.make_node("Transpose", ["grey"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["first"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Transpose", ["pooled"], ["cells"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["cells", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["heatmap"]),
        helper.make_node("Mul", ["cells", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "size"], ["box"]),
        helper.make_node("Add", ["nothing", "offsets"], ["corners"]),
    ]
    constants = {
        "channel": np.array([3], np.int64),
        "scale": np.float32(1 / 16),
        "shift": np.float32(-12),
        "zero": np.float32(0),
        "size": np.array([0, 0, np.log(8), np.log(4)], np.float32),
        "offsets": np.zeros(8, np.float32),
    }
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", "h", "w", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", None, None, channels])
        for name, channels in (("heatmap", 1), ("box", 4), ("corners", 8))
    ]
    _network(path, nodes, [image], outputs, constants)


def _refiner(path):
    """A plate where the detector says one of 64 x 32 pixels: 0.4 of the region's width and half of its height."""
    nodes = [
        helper.make_node("ReduceMean", ["look", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "places"], ["corners"]),
        helper.make_node("Add", ["nothing", "sure"], ["plate"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "shape": np.array([-1, 1], np.int64),
        "zero": np.float32(0),
        "places": np.array([[-0.2, -0.25, 0.2, -0.25, 0.2, 0.25, -0.2, 0.25]], np.float32),
        "sure": np.full((1, 1), 12, np.float32),
    }
    look = helper.make_tensor_value_info("look", TensorProto.FLOAT, ["b", 64, 160, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", channels])
        for name, channels in (("corners", 8), ("plate", 1))
    ]
    _network(path, nodes, [look], outputs, constants)


def _reader(path, read):
    """Reads four characters on everything, and takes it for British."""
    logits = np.zeros((1, 8, len(CHARACTERS) + 1), np.float32)
    for step, character in enumerate(read):
        logits[0, 2 * step, CHARACTERS.index(character)] = 12
        logits[0, 2 * step + 1, -1] = 12
    nodes = [
        helper.make_node("ReduceMean", ["crop", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "text"], ["ctc"]),
        helper.make_node("Reshape", ["mean", "row"], ["rows"]),
        helper.make_node("Mul", ["rows", "zero"], ["none"]),
        helper.make_node("Add", ["none", "where"], ["region"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "shape": np.array([-1, 1, 1], np.int64),
        "zero": np.float32(0),
        "text": logits,
        "row": np.array([-1, 1], np.int64),
        "where": np.array([[0, 9, 0]], np.float32),
    }
    crop = helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["b", 64, 192, 1])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", *shape])
        for name, shape in (("ctc", (8, len(CHARACTERS) + 1)), ("region", (len(REGIONS),)))
    ]
    _network(path, nodes, [crop], outputs, constants)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A folder with bundle.json: finds a plate on white places, and reads the British AB12 on it."""
    return _bundle(tmp_path_factory.mktemp("bundle"), "AB12")


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory):
    """The same, but for a reader that reads CD34."""
    return _bundle(tmp_path_factory.mktemp("other"), "CD34")


def _bundle(folder, read):
    _detector(folder / "detector.onnx")
    _refiner(folder / "refiner.onnx")
    _reader(folder / "reader.onnx", read)
    detector, refiner, reader = names = ("detector.onnx", "refiner.onnx", "reader.onnx")
    finder = {"float": detector, "int8": detector, "resolution": 512, "stride": 8, "head": "corner"}
    bundle = {
        "version": 3,
        "detector": finder,
        "fast": finder,
        "refiner": {"float": refiner, "int8": refiner},
        "reader": {
            **{"float": reader, "int8": reader, "height": 64, "width": 192, "alphabet": CHARACTERS},
            "decoder": "ctc",
            "regions": REGIONS,
            "calibration": {"slope": 1.0, "intercept": 0.0, "threshold": 0.5},
        },
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }
    (folder / "bundle.json").write_text(json.dumps(bundle))
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A database without anything in it, to be copied: MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        store.connect().search_experiments()
    return path
