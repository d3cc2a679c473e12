"""An export computes what Keras computes, under the network's own names; int8 leaves float what it is told to."""

import keras
import numpy as np
import onnx
import pytest

from pipeline import exporting
from pipeline.sessions import Session

CHANNELS = {"zones": 3, "box": 4, "heatmap": 1}  # not in the order of the alphabet


def build() -> keras.Model:
    """image (B, H, W, 3) -> three maps at stride 4, each of its own kind, as a detector's head has them."""
    keras.utils.set_random_seed(4)
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.Activation("relu6", name="stem_relu")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = keras.layers.Activation("silu", name="silu")(x)
    outputs = {name: keras.layers.Conv2D(channels, 1, name=name)(x) for name, channels in CHANNELS.items()}
    return keras.Model(image, outputs, name="detector")


def photos(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(network, its ONNX file)."""
    network, path = build(), tmp_path_factory.mktemp("export") / "detector.onnx"
    exporting.to_onnx(network, path)
    return network, path


@pytest.fixture(scope="module")
def quantised(exported):
    """The int8 file, its heatmap kept float, calibrated on photos of different shapes."""
    path = exported[1].with_name("detector.int8.onnx")
    batches = [photos(1, side, 64) for side in (32, 64, 32, 96)]
    exporting.quantise(exported[1], path, iter(batches), keep_float=["heatmap"])
    return path


def test_inputs_and_outputs_keep_their_names(exported) -> None:
    model = onnx.load(exported[1])
    assert [value.name for value in model.graph.input] == ["image"]
    assert {value.name for value in model.graph.output} == set(CHANNELS)
    produced = [name for node in model.graph.node for name in node.output]
    assert len(set(produced)) == len(produced)


@pytest.mark.parametrize("shape", [(1, 32, 48), (2, 64, 32), (1, 96, 96)], ids=str)
def test_every_output_is_what_keras_computes(exported, shape) -> None:
    network, path = exported
    batch = photos(*shape)
    outputs = Session(path, threads=1).run(batch)
    for name, channels in CHANNELS.items():
        assert outputs[name].shape == (shape[0], shape[1] // 4, shape[2] // 4, channels)
        np.testing.assert_allclose(outputs[name], np.asarray(network(batch)[name]), atol=1e-4)
    assert exporting.largest_difference(network, outputs, batch) < 1e-4


def test_the_largest_difference_is_found_in_any_output(exported) -> None:
    network, path = exported
    batch = photos(1)
    for name in CHANNELS:
        outputs = dict(Session(path, threads=1).run(batch))
        outputs[name] = outputs[name].copy()
        outputs[name][0, 3, 2, 0] -= 0.75
        assert exporting.largest_difference(network, outputs, batch) == pytest.approx(0.75, abs=1e-3)


def weighted_inputs(path) -> dict[str, bool]:
    """For each output: whether the convolution that makes it reads dequantised values."""
    graph = onnx.load(path).graph
    producers = {name: node for node in graph.node for name in node.output}
    found = {}
    for output in graph.output:
        node = producers[output.name]
        while node.op_type != "Conv":
            node = producers[node.input[0]]
        found[output.name] = (
            producers[node.input[1]].op_type == "DequantizeLinear" if node.input[1] in producers else False
        )
    return found


def test_int8_leaves_the_kept_output_float(exported, quantised) -> None:
    assert weighted_inputs(exported[1]) == {"zones": False, "box": False, "heatmap": False}
    assert weighted_inputs(quantised) == {"zones": True, "box": True, "heatmap": False}


def test_int8_computes_nearly_the_same(exported, quantised) -> None:
    batch = photos(1, 32, 64)
    exact, rounded = Session(exported[1], threads=1).run(batch), Session(quantised, threads=1).run(batch)
    for name in CHANNELS:
        spread = exact[name].std()
        assert 0 < np.abs(exact[name] - rounded[name]).max() < 0.5 * spread + 0.05


def test_a_network_of_one_output_keeps_its_name(tmp_path) -> None:
    crop = keras.Input((8, 8, 1), name="crop")
    logits = keras.layers.Dense(5, name="logits")(keras.layers.Flatten()(crop))
    network = keras.Model(crop, logits, name="reader")
    exporting.to_onnx(network, tmp_path / "reader.onnx")
    batch = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    outputs = Session(tmp_path / "reader.onnx", threads=1).run(batch)
    assert {name: value.shape for name, value in outputs.items()} == {"logits": (3, 5)}
    assert exporting.largest_difference(network, outputs, batch) < 1e-4


@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (2, 3)], ids=["right at once", "right at the third"])
def test_a_wrong_export_is_made_again(failures: int, attempts: int, tmp_path, monkeypatch) -> None:
    made, verdicts = [], iter(["wrong rank"] * failures + [None] * 2)
    monkeypatch.setattr(exporting, "to_onnx", lambda network, path: made.append(path.name))
    monkeypatch.setattr(exporting, "quantise", lambda *_: None)
    monkeypatch.setattr(
        exporting, "misfit", lambda network, path, batch: next(verdicts) if "int8" in path.name else None
    )
    exporting.write_pair(None, tmp_path, "tiny", [np.zeros((1, 2), np.float32)], ())
    assert made == ["tiny.onnx"] * attempts


def test_an_export_that_stays_wrong_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "to_onnx", lambda network, path: None)
    monkeypatch.setattr(exporting, "quantise", lambda *_: None)
    monkeypatch.setattr(exporting, "misfit", lambda network, path, batch: f"{path.name} has another rank")
    with pytest.raises(exporting.ExportError, match=r"tiny\.int8\.onnx has another rank"):
        exporting.write_pair(None, tmp_path, "tiny", [np.zeros((1, 2), np.float32)], ())


def test_an_output_of_another_rank_is_a_misfit(exported) -> None:
    network, path = exported
    assert exporting.misfit(network, path, photos(1)) is None

    def deeper(batch: np.ndarray, training: bool) -> dict[str, np.ndarray]:
        return {name: np.asarray(value)[None] for name, value in network(batch, training=training).items()}

    assert "gives outputs" in (exporting.misfit(deeper, path, photos(1)) or "")
