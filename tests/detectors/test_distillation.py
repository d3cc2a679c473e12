"""A student is shown the teacher's outputs beside the labels, and pays for each that it does not follow."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.checkpoints import CheckpointError
from pipeline.detectors import corner, distillation, training
from pipeline.detectors.crops import DetectorCrops
from pipeline.detectors.distillation import TaughtCrops
from pipeline.records import Box, Plate, Quad

ROOT = Path(__file__).parent.parent.parent
SIDE, STRIDE = 128, 8
TILTED = Quad((30, 40), (94, 34), (96, 54), (31, 62))
TERMS = ("teacher_heatmap", "teacher_box", "teacher_corners")


def outputs_of(target: dict[str, np.ndarray], sure: float = 0.95) -> dict[str, np.ndarray]:
    """What a network says that meets these targets; never more than `sure`."""
    truth = np.clip(target["heatmap"], 1e-3, sure)
    return {"heatmap": np.log(truth / (1 - truth)), "box": target["box"], "corners": target["corners"]}


def batch(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float32)[None] for name, value in arrays.items()}


LABELLED, SEEN = Plate(Box(16, 80, 80, 104)), Plate(TILTED.box, TILTED)


@pytest.fixture
def lesson():
    """(targets, the teacher's outputs): one plate is labelled, and the teacher sees another."""
    taught = outputs_of(corner.encode([SEEN], SIDE, SIDE, STRIDE))
    targets = corner.encode([LABELLED], SIDE, SIDE, STRIDE)
    probability = 1 / (1 + np.exp(-taught["heatmap"]))
    beside = {"teacher_heatmap": probability, "teacher_box": taught["box"], "teacher_corners": taught["corners"]}
    return batch({**targets, **beside}), batch(taught)


def cost(targets, outputs) -> dict[str, float]:
    return {name: float(value) for name, value in distillation.loss(targets, outputs).items()}


def test_who_follows_the_teacher_pays_for_the_labels_alone(lesson) -> None:
    targets, taught = lesson
    found = cost(targets, taught)
    assert [found[name] for name in TERMS] == pytest.approx([0, 0, 0], abs=1e-5)
    own = {name: float(value) for name, value in corner.loss(targets, taught).items()}
    assert {name: found[name] for name in own} == pytest.approx(own)
    assert own["heatmap"] > 1, "the labelled plate is not seen"


WRONG = {
    "less sure": ("heatmap", -3.0, {"teacher_heatmap"}),
    "sure everywhere": ("heatmap", 9.0, {"teacher_heatmap"}),
    "boxes aside": ("box", 0.5, {"teacher_box"}),
    "corners elsewhere": ("corners", 0.2, {"teacher_corners"}),
}


@pytest.mark.parametrize(("name", "shift", "terms"), WRONG.values(), ids=WRONG.keys())
def test_each_output_that_does_not_follow_costs(lesson, name: str, shift: float, terms) -> None:
    targets, taught = lesson
    found = cost(targets, {**taught, name: taught[name] + np.float32(shift)})
    assert {name for name in TERMS if found[name] > 0.05} == terms


def test_the_nearer_the_cheaper(lesson) -> None:
    targets, taught = lesson
    quiet = batch(outputs_of(corner.encode([], SIDE, SIDE, STRIDE)))
    way = [
        {name: quiet[name] + np.float32(part) * (taught[name] - quiet[name]) for name in taught}
        for part in (0, 0.5, 0.9, 1)
    ]
    sums = [sum(cost(targets, outputs)[name] for name in TERMS) for outputs in way]
    assert sums == sorted(sums, reverse=True)
    assert sums[0] > 1 > 0.01 > sums[-1]


def test_boxes_are_learnt_only_where_the_teacher_is_sure(lesson) -> None:
    targets, taught = lesson
    doubted = targets["teacher_heatmap"] < distillation.SURE
    assert doubted.any()
    elsewhere = {
        **taught,
        "box": np.where(doubted, 9, taught["box"]),
        "corners": np.where(doubted, 9, taught["corners"]),
    }
    found = cost(targets, {name: value.astype(np.float32) for name, value in elsewhere.items()})
    assert [found[name] for name in TERMS] == pytest.approx([0, 0, 0], abs=1e-5)


def test_a_teacher_that_sees_nothing_teaches_no_boxes(lesson) -> None:
    targets, taught = lesson
    blank = {**targets, **{name: np.zeros_like(targets[name]) for name in TERMS}}
    found = cost(blank, {**taught, "heatmap": np.full_like(taught["heatmap"], -30)})
    assert [found[name] for name in TERMS] == pytest.approx([0, 0, 0], abs=1e-6)


def test_taught_crops_hold_the_teachers_outputs(tmp_path) -> None:
    images = np.zeros((6, 32, 32, 3), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None, None]
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "corners.npy", np.full((6, 1, 6, 2), np.nan, np.float32))
    np.save(tmp_path / "kinds.npy", np.zeros((6, 1), np.uint8))

    def teacher(pixels):
        said = pixels[:, ::8, ::8, :1]
        return {"heatmap": said - 2, "box": said.repeat(4, axis=-1), "corners": said.repeat(8, axis=-1)}

    plain, taught = (DetectorCrops(tmp_path, corner, STRIDE, 2, 7, 4) for _ in range(2))
    crops = TaughtCrops(taught, teacher)
    assert len(crops) == len(plain) == 2
    crops.epoch = plain.epoch = 3
    (pixels, targets), (same, labels) = crops[1], plain[1]
    np.testing.assert_array_equal(pixels, same)
    assert set(targets) == {*labels, *TERMS}
    grey = pixels[:, ::8, ::8, :1]
    np.testing.assert_allclose(targets["teacher_heatmap"], 1 / (1 + np.exp(2 - grey)), rtol=1e-5)
    assert targets["teacher_heatmap"].dtype == np.float32
    np.testing.assert_array_equal(targets["teacher_box"], grey.repeat(4, axis=-1))
    np.testing.assert_array_equal(targets["teacher_corners"], grey.repeat(8, axis=-1))


# the teacher's head and stride, the student's -> what is said of both
OTHERS = {
    "a finer teacher": (("corner", 4), ("corner", 8), "the teacher has corner at 4, the student corner at 8"),
    "a teacher of another head": (("ssd", 8), ("corner", 8), "the teacher has ssd at 8, the student corner at 8"),
    "a student of another head": (("corner", 8), ("yolo", 8), "the teacher has corner at 8, the student yolo at 8"),
    "both of another": (("yolo", 8), ("yolo", 8), "the teacher has yolo at 8, the student yolo at 8"),
}


@pytest.mark.parametrize(("there", "here", "message"), OTHERS.values(), ids=OTHERS.keys())
def test_a_teacher_of_other_outputs_is_refused_with_both_named(
    tmp_path, monkeypatch, there, here, message: str
) -> None:
    monkeypatch.setattr(training, "restored", lambda folder: (None, {"head": there[0], "stride": there[1]}))
    student = params.load(ROOT / "params.yaml").train_student.model_copy(update={"head": here[0], "stride": here[1]})
    with pytest.raises(CheckpointError, match=f"cannot teach this student.*{message}"):
        training.teacher(tmp_path, student)
