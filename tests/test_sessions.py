"""Networks are opened only as the bytes that were promised; what is wrong with a file is said."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.images import sha256
from pipeline.sessions import Session, SessionError

FLOATS = TensorProto.FLOAT


def model(initializers=(), nodes=None) -> onnx.ModelProto:
    """image (B, 2) -> twice (B, 2), square (B, 2)."""
    nodes = nodes or [
        helper.make_node("Add", ["image", "image"], ["twice"]),
        helper.make_node("Mul", ["image", "image"], ["square"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", FLOATS, ["b", 2])],
        [helper.make_tensor_value_info(name, FLOATS, ["b", 2]) for name in ("twice", "square")],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def path(tmp_path):
    onnx.save(model(), tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_outputs_come_by_their_names(path, batch: int) -> None:
    rows = np.arange(2 * batch, dtype=np.float32).reshape(batch, 2)
    outputs = Session(path, threads=1).run(rows)
    assert set(outputs) == {"twice", "square"}
    np.testing.assert_array_equal(outputs["twice"], rows * 2)
    np.testing.assert_array_equal(outputs["square"], rows**2)


def test_the_promised_bytes_are_opened(path) -> None:
    digest = sha256(path.read_bytes())
    assert Session(path, threads=1, digest=digest).run(np.ones((1, 2), np.float32))["twice"][0, 0] == 2


def other_bytes(path) -> None:
    onnx.save(model(nodes=model().graph.node[::-1]), path)


BAD = {
    "a wrong digest": (lambda path: None, "0" * 64, "its SHA-256 is not the one in its bundle.json"),
    "an empty digest": (lambda path: None, "", "its SHA-256 is not"),
    "missing": (lambda path: path.unlink(), None, "No such file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), None, "Is a directory"),
    "empty": (lambda path: path.write_bytes(b""), None, "ONNX Runtime cannot load it"),
    "not ONNX": (lambda path: path.write_bytes(b"\x80\x04pickle"), None, "ONNX Runtime cannot load it"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:60]), None, "ONNX Runtime cannot load it"),
}


@pytest.mark.parametrize(("spoil", "digest", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_opened_is_named(path, spoil, digest, message: str) -> None:
    spoil(path)
    with pytest.raises(SessionError, match=message) as caught:
        Session(path, threads=1, digest=digest)
    assert str(caught.value).startswith(f"{path}: ")


def test_other_bytes_under_the_old_digest_are_not_opened(path) -> None:
    digest = sha256(path.read_bytes())
    other_bytes(path)
    with pytest.raises(SessionError, match="SHA-256"):
        Session(path, threads=1, digest=digest)


@pytest.mark.parametrize("location", ["../secret.bin", "beside.bin", "/etc/hostname"])
def test_a_network_that_reads_other_files_is_not_opened(tmp_path, monkeypatch, location: str) -> None:
    """ONNX may keep its weights in files that the model names; a digest of the model says nothing about those."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for place in (tmp_path / "secret.bin", folder / "beside.bin"):
        place.write_bytes(np.ones(2, np.float32).tobytes())
    weights = TensorProto(name="w", data_type=FLOATS, dims=[2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    nodes = [helper.make_node("Add", ["image", "w"], ["twice"]), helper.make_node("Mul", ["image", "w"], ["square"])]
    (folder / "tiny.onnx").write_bytes(model([weights], nodes).SerializeToString())
    with pytest.raises(SessionError, match="ONNX Runtime cannot load it"):
        Session(folder / "tiny.onnx", threads=1)


def test_the_runtime_is_told_not_to_report_on_its_use(tmp_path) -> None:
    """In a process of its own: what it does, it does when it is imported."""
    code = "import os; from pipeline.sessions import runtime; runtime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert not list(tmp_path.iterdir())
