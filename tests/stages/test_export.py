"""The export stage's own part: what calibrates, what a bundle says, and when a changed network is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import checkpoints, params
from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle
from pipeline.calibration import Calibration
from pipeline.checkpoints import CheckpointError
from pipeline.exporting import ExportError
from pipeline.images import encode_png, sha256
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample
from pipeline.sessions import Session
from pipeline.stages import export

PARAMS = Path(__file__).parents[2] / "params.yaml"
SETTINGS = params.load(PARAMS).export
FINE = {
    "detector_difference": 1e-5,
    "fast_difference": 1e-5,
    "refiner_difference": 1e-5,
    "reader_difference": 1e-5,
    "detector_int8_box_shift": 0.02,
    "fast_int8_box_shift": 0.02,
    "reader_int8_text_change": 0.0,
}
PLATE = Plate(Box(20, 10, 60, 20))
UNREADABLE = Plate(Box(0, 0, 9, 9), legible=False)


def sample(folder: Path, number: int, split: str, kind: str = "photo", plates: tuple[Plate, ...] = (PLATE,)) -> Sample:
    data = encode_png(np.full((40, 80, 3), number, np.uint8))
    (folder / f"{number}.png").write_bytes(data)
    return Sample(sha256(data), f"{number}.png", 80, 40, plates, "made", str(number), split, kind=kind)


def test_only_the_training_split_calibrates(tmp_path: Path) -> None:
    samples = [
        sample(tmp_path, 10, "test"),
        sample(tmp_path, 20, "train"),
        sample(tmp_path, 30, "val"),
        sample(tmp_path, 40, "train", "crop"),
        sample(tmp_path, 50, "train", plates=()),
    ]
    shown = export.calibration_samples(samples, count=8)
    photos, crops, looks = export.calibration_images(shown, tmp_path)
    assert [int(photo[0, 0, 0]) for photo in photos] == [20]
    assert sorted(int(crop[0, 0, 0]) for crop in crops) == [20, 40]
    assert [(look.shape, int(look[32, 80, 0])) for look in looks] == [((64, 160, 3), 20)]


def test_no_more_of_each_kind_calibrate_than_asked(tmp_path: Path) -> None:
    kinds = ["crop", "photo", "photo", "crop", "photo", "crop"]
    samples = [sample(tmp_path, number, "train", kind) for number, kind in enumerate(kinds)]
    assert [one.image for one in export.calibration_samples(samples, count=2)] == ["1.png", "2.png", "0.png", "3.png"]


def test_unreadable_plates_are_in_the_photo_alone(tmp_path: Path) -> None:
    photos, crops, looks = export.calibration_images(
        [sample(tmp_path, 9, "train", plates=(UNREADABLE, PLATE))], tmp_path
    )
    assert (len(photos), len(crops), len(looks)) == (1, 1, 1)


def test_nothing_to_calibrate_on_is_said(tmp_path: Path) -> None:
    for samples in ([], [sample(tmp_path, 10, "test")], [sample(tmp_path, 20, "train", "crop")]):
        with pytest.raises(ExportError, match="nothing to calibrate"):
            export.calibration_samples(samples, count=8)


def test_photos_with_unreadable_plates_alone_are_nothing_to_calibrate_on(tmp_path: Path) -> None:
    """The refiner and the reader would see nothing."""
    with pytest.raises(ExportError, match="nothing to calibrate"):
        export.calibration_samples([sample(tmp_path, 20, "train", plates=(UNREADABLE,))], count=8)


def test_a_bundle_says_what_the_checkpoints_cards_say(tmp_path: Path, detector: Path) -> None:
    folders = {name: tmp_path / name for name in ("detector", "fast", "refiner", "reader")}
    for name, folder in folders.items():
        shutil.copytree(detector, folder)
        card = json.loads((folder / "card.json").read_text())
        calibrations = {"ctc": {"slope": 2.0}, "slots": {"slope": 3.0}}
        reader = {"regions": ["DE", "GB", "ZZ"], "calibrations": calibrations} if name == "reader" else {}
        (folder / "card.json").write_text(json.dumps({**card, **reader, "resolution": len(name), "epochs": len(name)}))
        for kind in ("", ".int8"):
            (tmp_path / f"{name}{kind}.onnx").write_bytes(name.encode())
    export.write_bundle(tmp_path, folders, SimpleNamespace(decoder="slots"))
    bundle = Bundle.load(tmp_path)
    expected = {"stride": 8, "head": "corner", "backbone": "efficientnet-lite0"}
    assert bundle.detector == {"float": "detector.onnx", "int8": "detector.int8.onnx", "resolution": 8, **expected}
    assert bundle.fast == {"float": "fast.onnx", "int8": "fast.int8.onnx", "resolution": 4, **expected}
    assert bundle.refiner == {"float": "refiner.onnx", "int8": "refiner.int8.onnx"}
    assert bundle.reader == {
        **{"float": "reader.onnx", "int8": "reader.int8.onnx", "height": 64, "width": 192, "alphabet": CHARACTERS},
        **{"decoder": "slots", "regions": ["DE", "GB", "ZZ"], "calibration": {"slope": 3.0}},
    }
    assert {name: card["epochs"] for name, card in bundle.created_from.items()} == {name: len(name) for name in folders}


@pytest.mark.parametrize("decoder", ["ctc", "slots", "attention"])
def test_a_reader_of_every_decoder_is_exported_with_its_outputs(tmp_path: Path, decoder: str) -> None:
    from pipeline.readers import training

    network, _ = training.start(None, 8, (decoder,))
    training.save(network, tmp_path / "reader", 8, {decoder: Calibration()}, [], {})
    settings = params.load(PARAMS).train_reader.model_copy(update={"width": 8, "decoder": decoder})
    crops = [np.random.default_rng(seed).integers(0, 256, (30, 120, 3), dtype=np.uint8) for seed in range(2)]
    assert export.export_reader(tmp_path / "reader", tmp_path, crops, settings) < SETTINGS.max_difference
    for name in ("reader.onnx", "reader.int8.onnx"):
        outputs = Session(tmp_path / name).run(np.zeros((3, 64, 192, 1), np.float32))
        assert set(outputs) == {decoder, "region"}
        assert {len(value) for value in outputs.values()} == {3}


def test_a_checkpoint_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gone: no checkpoint here"):
        export.export_finder(tmp_path / "gone", tmp_path, "fast", [])
    checkpoints.save(tmp_path / "reader", {"a": np.ones(1)}, {"kind": "reader"}, [])
    with pytest.raises(CheckpointError, match="a checkpoint of a reader, not of a refiner"):
        export.export_refiner(tmp_path / "reader", tmp_path, [])


@pytest.mark.parametrize("network", export.FINDERS)
def test_the_same_file_twice_shifts_nothing(tiny_bundle: Path, network) -> None:
    photo = np.zeros((120, 160, 3), np.uint8)
    photo[56:64, 76:84] = 255
    assert export.box_shift(tiny_bundle, network, [photo, np.zeros_like(photo)]) == 0


ONE, HALF = Box(0, 0, 40, 10), Box(0, 0, 20, 10)
# what float finds, what int8 finds, by box and score -> shift
SHIFTS = {
    "nothing": ([], [], 0),
    "the same": ([(ONE, 0.9)], [(ONE, 0.9)], 0),
    "half of it": ([(ONE, 0.9)], [(HALF, 0.9)], 0.5),
    "lost": ([(ONE, 0.9)], [], 1),
    "invented": ([], [(ONE, 0.9)], 1),
    "less sure, but there": ([(ONE, 0.6)], [(ONE, 0.3)], 0),
    "both unsure": ([(ONE, 0.3)], [], 0),
    "one of two lost": ([(ONE, 0.9), (Box(50, 50, 90, 60), 0.9)], [(ONE, 0.9)], 1 / 3),
}


@pytest.mark.parametrize(("exact", "rough", "shift"), SHIFTS.values(), ids=SHIFTS.keys())
def test_box_shift(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, exact, rough, shift: float) -> None:
    class FakeDetector:
        def __init__(self, bundle, precision, network) -> None:
            assert network == "fast"
            self.found = {"float": exact, "int8": rough}[precision]

        def detect(self, images, min_score):
            return [[Detection(box, Quad.of_box(box), score) for box, score in self.found if score >= min_score]]

    monkeypatch.setattr(export, "Detector", FakeDetector)
    photo = np.zeros((9, 9, 3), np.uint8)
    assert export.box_shift(tiny_bundle, "fast", [photo]) == pytest.approx(shift)


SURE, OTHER, UNSURE = Reading("AB12", 0.9), Reading("A812", 0.9), Reading("", 0.4, guess="AB12")
# what float reads, what int8 reads -> share changed
TEXT_CHANGES = {
    "no crop": ([], [], 0.0),
    "the same": ([SURE, UNSURE], [SURE, UNSURE], 0.0),
    "one of two": ([SURE, SURE], [SURE, OTHER], 0.5),
    "the same, but a guess": ([SURE], [UNSURE], 0.0),
    "no longer read": ([SURE], [Reading("", 0.0)], 1.0),
}


@pytest.mark.parametrize(("exact", "rough", "share"), TEXT_CHANGES.values(), ids=TEXT_CHANGES.keys())
def test_text_change(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, exact, rough, share: float) -> None:
    class FakeReader:
        def __init__(self, bundle, precision) -> None:
            self.readings = {"float": exact, "int8": rough}[precision]

        def read(self, crops):
            return self.readings

    monkeypatch.setattr(export, "NetworkReader", FakeReader)
    assert export.text_change(tiny_bundle, [np.zeros((9, 9, 3), np.uint8)] * len(exact)) == share


def test_a_faithful_export_passes() -> None:
    export.check(FINE, SETTINGS)


@pytest.mark.parametrize("name", FINE)
def test_each_figure_has_its_limit_and_is_named(name: str) -> None:
    with pytest.raises(ExportError, match=name):
        export.check({**FINE, name: 0.5}, SETTINGS)
