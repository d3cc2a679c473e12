"""Boxes come back in the photo's own pixels, whatever its shape; the network is a constant that says where they are."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from pipeline import bundle
from pipeline.bundle import Bundle, BundleError
from pipeline.detectors import corner
from pipeline.detectors.detector import Detector, frame, windows
from pipeline.detectors.refining import Refiner
from pipeline.images import sha256
from pipeline.records import Box, Plate, Quad
from pipeline.sessions import SessionError

RESOLUTION, STRIDE = 128, 8


def constant_network(path, outputs: dict[str, np.ndarray]) -> None:
    """An ONNX that gives `outputs` whatever the images, for each of them."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["grey"], keepdims=1),
        helper.make_node("Mul", ["grey", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"its_{name}", "nothing"], [name]) for name in outputs),
    ]
    constants = {f"its_{name}": np.asarray(value[None], np.float32) for name, value in outputs.items()}
    constants |= {"zero": np.float32(0), "axes": np.array([1, 2, 3], np.int64)}
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", *v.shape]) for name, v in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def saying(folder, plates: list[Plate], rows: int, columns: int, **settings) -> Detector:
    """A detector that sees these plates, given in pixels of its (rows, columns) input."""
    target = corner.encode(plates, rows, columns, STRIDE)
    truth = np.clip(target["heatmap"], 1e-4, 1 - 1e-4)
    outputs = {"heatmap": np.log(truth / (1 - truth)), "box": target["box"], "corners": target["corners"]}
    for name in ("detector.onnx", "detector.int8.onnx"):
        constant_network(folder / name, outputs)
    files = {"float": "detector.onnx", "int8": "detector.int8.onnx"}
    network = {**files, "resolution": RESOLUTION, "stride": STRIDE, "head": "corner", **settings}
    bundle.write(folder, {"detector": network, "fast": network, "refiner": files, "reader": files}, {})
    return Detector(Bundle.load(folder), threads=1)


@pytest.fixture(autouse=True)
def asked(monkeypatch) -> list:
    """A refiner that believes all it is shown, and what it was asked: the first glance's geometry is tested alone."""
    calls: list = []

    def refine(self, image, found, min_score):
        calls.append((image.shape, found, min_score))
        return [one for one in found if one.score >= min_score]

    monkeypatch.setattr(Refiner, "refine", refine)
    return calls


# photo (width, height), the network's input (rows, columns), scale
SHAPES = {
    "as the input": ((128, 128), (128, 128), 1.0),
    "landscape": ((640, 480), (96, 128), 0.2),
    "portrait": ((480, 640), (128, 96), 0.2),
    "landscape, padded below": ((256, 140), (96, 128), 0.5),
    "portrait, padded at the right": ((140, 256), (128, 96), 0.5),
    "tiny": ((20, 20), (128, 128), 6.4),
    "panorama": ((1280, 200), (32, 128), 0.1),
    "a ribbon": ((2560, 40), (32, 128), 0.05),
    "tower": ((200, 1280), (128, 32), 0.1),
    "a hair over a multiple of 32: scaled a little less": ((1000, 253), (32, 128), 32 / 253),
    "one pixel": ((1, 1), (128, 128), 128.0),
}


@pytest.mark.parametrize(("size", "rows_columns", "scale"), SHAPES.values(), ids=SHAPES.keys())
def test_frame(size, rows_columns, scale: float) -> None:
    width, height = size
    pixels, applied = frame(np.full((height, width, 3), 9, np.uint8), RESOLUTION)
    assert (pixels.shape, pixels.dtype) == ((*rows_columns, 3), np.float32)
    assert applied == pytest.approx(scale)
    part = (max(1, round(height * scale)), max(1, round(width * scale)))
    assert (pixels[: part[0], : part[1]] == 9).all()
    assert (pixels[part[0] :] == 114).all()
    assert (pixels[:, part[1] :] == 114).all()


@pytest.mark.parametrize("resolution", [100, 320, 500, 512, 1000])
@pytest.mark.parametrize("size", [(333, 77), (77, 333), (4000, 3001), (31, 33)], ids=str)
def test_a_frame_is_of_multiples_of_32_and_loses_nothing(size, resolution: int) -> None:
    width, height = size
    pixels, scale = frame(np.full((height, width, 3), 255, np.uint8), resolution)
    rows, columns = pixels.shape[:2]
    assert rows % 32 == columns % 32 == 0
    assert max(rows, columns) < resolution + 32
    seen = np.argwhere((pixels > 200).all(axis=2)).max(axis=0) + 1
    np.testing.assert_allclose(seen, (height * scale, width * scale), atol=1)
    assert max(seen) == pytest.approx(resolution, abs=32 * max(size) / min(size) / 2)


FINDABLE = {name: size for name, (size, _, _) in SHAPES.items() if name != "one pixel"}


@pytest.mark.parametrize("size", FINDABLE.values(), ids=FINDABLE.keys())
def test_a_plate_is_found_in_the_photos_own_pixels(tmp_path, size) -> None:
    """A tilted plate in the middle, as wide as half of the photo's shorter side, its centre in that of a cell.

    The network says the same of each window of a panorama: there is one in the middle of each.
    """
    photo = np.zeros((size[1], size[0], 3), np.uint8)
    parts = windows(photo)
    x1, y1, x2, y2 = parts[0]
    pixels, scale = frame(photo[y1:y2, x1:x2], RESOLUTION)
    half = min(size) / 4
    x, y = ((side * scale // (2 * STRIDE) + 0.5) * STRIDE / scale for side in (x2 - x1, y2 - y1))
    quad = Quad(
        (x - half, y - half * 0.5),
        (x + half, y - half * 0.6),
        (x + half * 0.9, y + half * 0.4),
        (x - half, y + half * 0.6),
    )
    scaled = Quad(*((px * scale, py * scale) for px, py in quad.points))
    (found,) = saying(tmp_path, [Plate(scaled.box, scaled)], *pixels.shape[:2]).detect([photo])
    assert len(found) == len(parts)
    for detection, (left, top, _, _) in zip(found, parts, strict=True):
        np.testing.assert_allclose(detection.box.xyxy, np.add(quad.box.xyxy, (left, top) * 2), atol=0.02 / scale)
        np.testing.assert_allclose(detection.quad.points, np.add(quad.points, (left, top)), atol=0.02 / scale)
        assert detection.score > 0.99


# photo (width, height) -> windows, their width and height
WINDOWS = {
    "a square": ((200, 200), 1, (200, 200)),
    "3 to 1 is no panorama": ((600, 200), 1, (600, 200)),
    "a little longer": ((601, 200), 3, (400, 200)),
    "long": ((2560, 200), 12, (400, 200)),
    "tall": ((200, 2560), 12, (200, 400)),
    "shorter than half a window": ((60, 5), 3, (32, 5)),
    "one pixel high, and shorter than a window": ((9, 1), 1, (9, 1)),
}


@pytest.mark.parametrize(("size", "count", "window"), WINDOWS.values(), ids=WINDOWS.keys())
def test_windows_hold_every_place_of_a_panorama(size, count: int, window) -> None:
    width, height = size
    parts = windows(np.zeros((height, width, 3), np.uint8))
    assert len(parts) == count
    assert {(x2 - x1, y2 - y1) for x1, y1, x2, y2 in parts} == {window}
    starts, ends = zip(*(sorted((max(x1, y1), max(x2, y2)) for x1, y1, x2, y2 in parts)), strict=True)
    assert (starts[0], ends[-1]) == (0, max(size))
    side = max(window)
    steps = np.diff(starts)
    assert (steps <= -(-side // 2)).all(), "what is smaller than half a window stands whole in one"


LANDSCAPE = (256, 140)  # fills 128 x 70 of an input of 128 x 96, at half its size
CLIPPED = {
    "over the left edge": (Box(-20, 20, 30, 40), (0, 40, 60, 80)),
    "over the top": (Box(20, -10, 60, 16), (40, 0, 120, 32)),
    "over the right edge": (Box(100, 20, 148, 40), (200, 40, 256, 80)),
    "into the padding below": (Box(40, 50, 80, 88), (80, 100, 160, 140)),
    "over every edge": (Box(-9, -9, 137, 80), (0, 0, 256, 140)),
    "inside": (Box(40, 20, 80, 40), (80, 40, 160, 80)),
    "in the padding alone": (Box(40, 74, 80, 94), None),
    "a sliver of it in the photo": (Box(40, 69.8, 80, 90), None),
}


@pytest.mark.parametrize(("box", "expected"), CLIPPED.values(), ids=CLIPPED.keys())
def test_boxes_end_at_the_photos_edges(tmp_path, box: Box, expected) -> None:
    width, height = LANDSCAPE
    (found,) = saying(tmp_path, [Plate(box)], 96, 128).detect([np.zeros((height, width, 3), np.uint8)])
    if expected is None:
        assert found == []
    else:
        np.testing.assert_allclose(found[0].box.xyxy, expected, atol=0.1)
        whole = [value * 2 for value in box.xyxy]
        np.testing.assert_allclose(found[0].quad.box.xyxy, whole, atol=0.1, err_msg="corners are not clipped")


def test_many_plates_come_best_first_and_none_below_the_score(tmp_path) -> None:
    plates = [Plate(Box(8, 8, 40, 24)), Plate(Box(72, 8, 104, 24)), Plate(Box(40, 60, 72, 76))]
    detector = saying(tmp_path, plates, 128, 128)
    photo = np.zeros((256, 256, 3), np.uint8)
    (found,) = detector.detect([photo])
    assert len(found) == 3
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)
    assert detector.detect([photo], min_score=0.99999) == [[]]


def test_a_batch_is_answered_in_its_order(tmp_path) -> None:
    """Photos of different shapes in one call; the constant network fits those of a square input."""
    detector = saying(tmp_path, [Plate(Box(32, 32, 96, 64))], 128, 128)
    photos = [np.zeros((side, side, 3), np.uint8) for side in (64, 256, 128)]
    found = detector.detect(photos)
    assert [round(detections[0].box.x2) for detections in found] == [48, 192, 96]
    assert detector.detect([]) == []


def test_the_int8_network_is_another_file(tmp_path) -> None:
    saying(tmp_path, [], 128, 128)
    (tmp_path / "detector.int8.onnx").write_bytes(b"damaged")
    assert Detector(Bundle.load(tmp_path), 1, "float").detect([np.zeros((9, 9, 3), np.uint8)]) == [[]]
    with pytest.raises(SessionError, match=r"detector\.int8\.onnx: its SHA-256 is not"):
        Detector(Bundle.load(tmp_path), 1, "int8")


def test_the_fast_network_is_another_with_its_own_settings(tmp_path) -> None:
    detector = saying(tmp_path, [Plate(Box(32, 32, 96, 64))], 128, 128)
    raw = json.loads((tmp_path / "bundle.json").read_text())
    (tmp_path / "fast").mkdir()
    saying(tmp_path / "fast", [Plate(Box(64, 96, 128, 128))], 256, 256)
    (tmp_path / "fast.onnx").write_bytes((tmp_path / "fast/detector.onnx").read_bytes())
    raw["fast"] |= {"float": "fast.onnx", "resolution": 256}
    raw["sha256"]["fast.onnx"] = sha256((tmp_path / "fast.onnx").read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    photo = np.zeros((256, 256, 3), np.uint8)
    fast = Detector(Bundle.load(tmp_path), 1, network="fast")
    found = [one.detect([photo])[0][0].box.xyxy for one in (detector, fast)]
    np.testing.assert_allclose(found, [(64, 64, 192, 128), (64, 96, 128, 128)], atol=0.1)
    del raw["fast"]["stride"]
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="lacks the fast's 'stride'"):
        Detector(Bundle.load(tmp_path), 1, network="fast")


def test_the_refiner_is_shown_the_photo_and_what_both_together_may_still_find(tmp_path, asked) -> None:
    """The mean of 0.25 and 1 is 0.5: a first glance's score counts from the square of what is wanted."""
    outputs = {"heatmap": np.full((16, 16, 1), -9.0), "box": np.zeros((16, 16, 4)), "corners": np.zeros((16, 16, 8))}
    for column, score in ((2, 0.24), (7, 0.26), (12, 0.6)):
        outputs["heatmap"][8, column] = np.log(score / (1 - score))
    saying(tmp_path, [], 128, 128)
    constant_network(tmp_path / "detector.onnx", outputs)
    raw = json.loads((tmp_path / "bundle.json").read_text())
    raw["sha256"]["detector.onnx"] = sha256((tmp_path / "detector.onnx").read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    (found,) = Detector(Bundle.load(tmp_path), 1).detect([np.zeros((256, 256, 3), np.uint8)], min_score=0.5)
    ((shape, shown, min_score),) = asked
    assert (shape, min_score) == ((256, 256, 3), 0.5)
    assert [one.score for one in shown] == pytest.approx([0.6, 0.26])
    np.testing.assert_allclose(shown[0].box.xyxy, (192, 128, 208, 144), atol=0.1)
    assert [one.score for one in found] == pytest.approx([0.6])


def test_a_damaged_refiner_is_refused(tmp_path) -> None:
    saying(tmp_path, [], 128, 128)
    raw = json.loads((tmp_path / "bundle.json").read_text())
    raw["refiner"]["float"] = "refiner.onnx"
    raw["sha256"]["refiner.onnx"] = "0" * 64
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    (tmp_path / "refiner.onnx").write_bytes(b"damaged")
    with pytest.raises(SessionError, match=r"refiner\.onnx: its SHA-256 is not"):
        Detector(Bundle.load(tmp_path), 1)


def test_a_head_that_is_not_known_is_said(tmp_path) -> None:
    with pytest.raises(BundleError, match="detector head 'retina' is unknown here; it needs a newer version"):
        saying(tmp_path, [], 128, 128, head="retina")


@pytest.mark.parametrize("key", ["head", "resolution", "stride"])
def test_a_setting_that_is_missing_is_said(tmp_path, key: str) -> None:
    saying(tmp_path, [], 128, 128)
    raw = json.loads((tmp_path / "bundle.json").read_text())
    del raw["detector"][key]
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match=f"lacks the detector's '{key}'; export the models again"):
        Detector(Bundle.load(tmp_path), 1)
