"""Readers of other projects: each kind of input is fed, each kind of output is read, what is neither is refused."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from pipeline.benchmarks.foreign_reader import ForeignReader, places_of, probabilities
from pipeline.sessions import SessionError

ALPHABET = "ABCD_"  # the last one pads
HEIGHT, WIDTH = 8, 16
CROP = np.zeros((20, 50, 3), np.uint8)
FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def logits(text: str, alphabet: str = ALPHABET, sure: float = 5.0) -> np.ndarray:
    """(1, T, C): each character's class where it stands."""
    places = np.zeros((1, len(text), len(alphabet)), np.float32)
    places[0, range(len(text)), [alphabet.index(c) for c in text]] = sure
    return places


def network(path, *outputs: np.ndarray, shape=("b", HEIGHT, WIDTH, 3), kind: int = FLOAT):
    """An ONNX that gives `outputs` for each crop of a batch, whatever the crop."""
    constants = {"axes": np.array([1, 2, 3]), "zero": np.float32(0)}
    nodes = [
        helper.make_node("Cast", ["crop"], ["float"], to=FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    infos = []
    for index, output in enumerate(outputs):
        constants |= {f"its{index}": output, f"shape{index}": np.array([-1] + [1] * (output.ndim - 1))}
        nodes += [
            helper.make_node("Reshape", ["nothing", f"shape{index}"], [f"column{index}"]),
            helper.make_node("Add", [f"column{index}", f"its{index}"], [f"output{index}"]),
        ]
        infos.append(helper.make_tensor_value_info(f"output{index}", FLOAT, [shape[0], *output.shape[1:]]))
    return saved(path, nodes, helper.make_tensor_value_info("crop", kind, shape), infos, constants)


def saved(path, nodes, crop, outputs, constants):
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "constant", [crop], outputs, initializers)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def reshaping(path, shape, to):
    """An ONNX that gives the crop itself, in another shape."""
    nodes = [helper.make_node("Reshape", ["crop", "to"], ["other"])]
    crop, other = (
        helper.make_tensor_value_info(n, FLOAT, s) for n, s in (("crop", shape), ("other", [None] * len(to)))
    )
    return saved(path, nodes, crop, [other], {"to": np.array(to)})


RED = np.zeros((4, 4, 3), np.uint8)
RED[..., 0] = 255
INPUTS = {  # what the graph takes -> its dtype, and the values of red and of grey there
    "channels last, three, uint8": ((1, HEIGHT, WIDTH, 3), UINT8, np.uint8, (255, 0, 0)),
    "channels last, three, float": (("b", HEIGHT, WIDTH, 3), FLOAT, np.float32, (255, 0, 0)),
    "channels last, grey, uint8": ((1, HEIGHT, WIDTH, 1), UINT8, np.uint8, (76,)),
    "channels last, grey, float": (("b", HEIGHT, WIDTH, 1), FLOAT, np.float32, (76,)),
    "channels first, three, uint8": (("b", 3, HEIGHT, WIDTH), UINT8, np.uint8, (255, 0, 0)),
    "channels first, three, float": ((1, 3, HEIGHT, WIDTH), FLOAT, np.float32, (1, -1, -1)),
    "channels first, grey, float": (("b", 1, HEIGHT, WIDTH), FLOAT, np.float32, (76 / 127.5 - 1,)),
}


@pytest.mark.parametrize(("shape", "kind", "dtype", "red"), INPUTS.values(), ids=INPUTS.keys())
def test_each_kind_of_input_is_given_what_it_takes(tmp_path, shape, kind, dtype, red) -> None:
    reader = ForeignReader(network(tmp_path / "r.onnx", logits("AB__"), shape=shape, kind=kind), ALPHABET, 1)
    given = reader.prepared(RED)
    assert given.dtype == dtype
    assert given.shape == shape[1:]
    axes = (0, 1) if shape[1] == HEIGHT else (1, 2)
    np.testing.assert_allclose(given.mean(axis=axes), red, atol=1e-6)
    assert [one.text for one in reader.read([RED, CROP, RED])] == ["AB"] * 3


SLOTS = logits("CAB_")
EACH = [SLOTS[:, slot] for slot in range(4)]
LONG = "AA_AB__BCCC_DDDDD_"  # AABBCD by CTC
OUTPUTS = {
    "slots": ([SLOTS], {}, "CAB"),
    "slots in one row": ([SLOTS.reshape(1, -1)], {}, "CAB"),
    "an output for each slot": (EACH, {}, "CAB"),
    "an output for each slot, and a region": ([*EACH, np.zeros((1, 7), np.float32)], {}, "CAB"),
    "slots behind another output": ([np.zeros((1, 66), np.float32), SLOTS], {}, "CAB"),
    "equal characters in slots": ([logits("AAB_")], {}, "AAB"),
    "few steps of CTC": ([logits("AAB_B")], {"decoding": "ctc"}, "ABB"),
    "many steps": ([logits(LONG)], {}, "AABBCD"),
    "many slots": ([logits(LONG)], {"decoding": "slots"}, LONG.replace("_", "")),
    "a blank beside the alphabet, last": ([logits("CAB_")], {"alphabet": "ABCD"}, "CAB"),
    "a blank beside the alphabet, first": ([logits("CAB_", "_ABCD")], {"alphabet": "ABCD", "blank": "first"}, "CAB"),
    "padded by the first character": ([logits("CAB_", "_ABCD")], {"alphabet": "_ABCD", "blank": "first"}, "CAB"),
    "small letters and dashes": ([logits("c-ab", "abc-_")], {"alphabet": "abc-_"}, "CAB"),
    "nothing": ([logits("____")], {}, ""),
}


@pytest.mark.parametrize(("outputs", "how", "text"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_each_kind_of_output_is_read(tmp_path, outputs, how, text) -> None:
    reader = ForeignReader(network(tmp_path / "r.onnx", *outputs), **{"alphabet": ALPHABET, "threads": 1, **how})
    first, second = reader.read([CROP, RED])
    assert first == second
    assert first.text == text
    assert len(first.char_scores) == len(text)


def test_a_score_is_that_of_all_places_from_logits_and_from_probabilities(tmp_path) -> None:
    places = probabilities(logits("AB_", sure=2.0)[0])
    best = np.exp(2) / (np.exp(2) + 4)
    np.testing.assert_allclose(places.max(axis=1), best, rtol=1e-6)
    np.testing.assert_allclose(probabilities(places.astype(np.float32)), places, rtol=1e-6)
    np.testing.assert_allclose(probabilities(np.log(places).astype(np.float32)), places, rtol=1e-6)
    (reading,) = ForeignReader(network(tmp_path / "r.onnx", logits("AB_", sure=2.0)), ALPHABET, 1).read([CROP])
    assert reading.score == pytest.approx(best**3)
    assert reading.char_scores == pytest.approx((best, best))


def test_an_empty_crop_is_no_read_among_others(tmp_path) -> None:
    reader = ForeignReader(network(tmp_path / "r.onnx", SLOTS), ALPHABET, 1)
    assert [one.text for one in reader.read([CROP, np.zeros((0, 4, 3), np.uint8), CROP])] == ["CAB", "", "CAB"]
    assert reader.read([]) == []


def test_an_output_is_taken_for_the_alphabet_before_one_with_a_blank() -> None:
    twelve = np.zeros((2, 12), np.float32)  # four places of three, or three of four
    found = places_of([twelve], crops=2, characters=3)
    assert found is not None
    assert found.shape == (2, 4, 3)
    assert places_of([np.zeros((5, 2, 3), np.float32)], crops=2, characters=3) is None, "the batch comes first"
    assert places_of([np.zeros((2, 3), np.float32)], crops=2, characters=3) is None, "one place is no text"


REFUSED = {
    "four channels": ({"shape": ("b", HEIGHT, WIDTH, 4)}, "not a reader that is known here"),
    "doubles": ({"kind": TensorProto.DOUBLE}, "its input is tensor\\(double\\)"),
    "an open width": ({"shape": ("b", 3, HEIGHT, "w")}, "leaves height or width open"),
    "four at a time": ({"shape": (4, HEIGHT, WIDTH, 3)}, "it reads 4 crops at a time"),
}


@pytest.mark.parametrize(("graph", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_an_input_of_another_kind_is_refused(tmp_path, graph, sentence) -> None:
    with pytest.raises(SessionError, match=sentence):
        ForeignReader(network(tmp_path / "r.onnx", SLOTS, **graph), ALPHABET, 1)


def test_an_input_that_is_no_picture_is_refused(tmp_path) -> None:
    with pytest.raises(SessionError, match="not a reader that is known here"):
        ForeignReader(reshaping(tmp_path / "r.onnx", ("b", HEIGHT, WIDTH), (-1, 1)), ALPHABET, 1)


def test_an_output_of_another_kind_is_refused_when_it_is_opened(tmp_path) -> None:
    with pytest.raises(SessionError, match=r"its outputs, \(1, 4, 5\), are not those of a reader of 7 characters"):
        ForeignReader(network(tmp_path / "r.onnx", SLOTS), "ABCDEFG", 1)


def test_what_is_no_alphabet_or_no_file_is_refused(tmp_path) -> None:
    with pytest.raises(SessionError, match="'ABA' is not an alphabet"):
        ForeignReader(network(tmp_path / "r.onnx", SLOTS), "ABA", 1)
    with pytest.raises(SessionError, match="No such file"):
        ForeignReader(tmp_path / "missing.onnx", ALPHABET, 1)
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(SessionError, match="ONNX Runtime cannot load it"):
        ForeignReader(tmp_path / "text.onnx", ALPHABET, 1)


def test_a_graph_that_fails_at_work_is_refused_when_it_is_opened(tmp_path) -> None:
    with pytest.raises(SessionError, match=r"r\.onnx: ONNX Runtime cannot run it: "):
        ForeignReader(reshaping(tmp_path / "r.onnx", ("b", HEIGHT, WIDTH, 3), (7, -1)), ALPHABET, 1)
