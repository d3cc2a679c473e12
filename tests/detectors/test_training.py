"""A detector is built from its params, and takes weights only of its own kind."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline import checkpoints, fitting, params
from pipeline.checkpoints import CheckpointError
from pipeline.detectors import corner, distillation, training
from pipeline.detectors.backbone import BackboneError
from pipeline.detectors.crops import DetectorCrops
from pipeline.detectors.distillation import TaughtCrops

ROOT = Path(__file__).parent.parent.parent
SETTINGS = params.load(ROOT / "params.yaml").train_detector.model_copy(
    update={"backbone": "efficientnetb0", "cut": "block4b_add", "weights": "none", "width": 16, "freeze": "block2"}
)


def changed(**changes) -> params.TrainDetector:
    return SETTINGS.model_copy(update=changes)


@pytest.fixture(scope="module")
def network():
    return training.build(SETTINGS)


def card(**changes) -> dict:
    return {"kind": "detector", **training.architecture(SETTINGS), "resolution": 512, **changes}


def test_outputs_are_the_heads_at_its_stride(network) -> None:
    outputs = network(np.zeros((2, 96, 64, 3), np.float32))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "heatmap": (2, 12, 8, 1),
        "box": (2, 12, 8, 4),
        "corners": (2, 12, 8, 8),
    }


def test_targets_have_the_outputs_shapes_and_the_loss_is_finite(network) -> None:
    outputs = network(np.zeros((1, 96, 64, 3), np.float32))
    targets = {name: value[None] for name, value in corner.encode([], 96, 64, SETTINGS.stride).items()}
    for name, value in outputs.items():
        assert targets[name].shape == tuple(value.shape)
    assert all(np.isfinite(float(part)) for part in corner.loss(targets, outputs).values())


def test_params_freeze_the_first_blocks(network) -> None:
    trained = {re.split("[_/]", variable.path)[0] for variable in network.trainable_variables}
    assert not {name for name in trained if name.startswith(("stem", "block1", "block2"))}
    assert {"block3a", "block4b", "p16", "p8", "fpn", "heatmap", "box", "corners"} <= trained


def test_a_checkpoint_gives_its_weights(network, tmp_path) -> None:
    rng = np.random.default_rng(0)
    arrays = {path: rng.random(value.shape, np.float32) for path, value in fitting.variables(network).items()}
    checkpoints.save(tmp_path, arrays, card(), [])
    training.load(network, SETTINGS, tmp_path)
    for path, value in fitting.variables(network).items():
        np.testing.assert_array_equal(value, arrays[path])


def test_resolution_and_training_do_not_make_another_network(network, tmp_path) -> None:
    checkpoints.save(tmp_path, fitting.variables(network), card(resolution=640, epochs=9), [])
    training.load(network, changed(epochs=1, batch_size=2, freeze=None), tmp_path)


def test_a_trunk_goes_into_the_trunk_alone(network, tmp_path) -> None:
    before = fitting.variables(network)
    trunk = fitting.variables(network.get_layer("efficientnetb0"))
    arrays = {path: np.full_like(value, 0.25) for path, value in trunk.items()}
    checkpoints.save(tmp_path, arrays, {"kind": "trunk", "backbone": "efficientnetb0"}, [])
    training.load(network, SETTINGS, tmp_path)
    after = fitting.variables(network)
    assert 100 < len(arrays) < len(after)
    for path, value in after.items():
        np.testing.assert_array_equal(value, arrays[path] if path in arrays else before[path])


OTHERS = {
    "backbone": ("efficientnetb3", "backbone: efficientnetb3 there, efficientnetb0 in params"),
    "cut": ("block5c_add", "cut: block5c_add there, block4b_add in params"),
    "activation": ("swish", "activation: swish there, relu6 in params"),
    "stride": (4, "stride: 4 there, 8 in params"),
    "width": (96, "width: 96 there, 16 in params"),
    "fusion": ("bifpn", "fusion: bifpn there, fpn in params"),
    "head": ("ssd", "head: ssd there, corner in params"),
}


@pytest.mark.parametrize(("key", "there", "message"), [(k, *v) for k, v in OTHERS.items()], ids=OTHERS.keys())
def test_a_checkpoint_of_another_detector_is_named_with_both_sides(network, tmp_path, key, there, message) -> None:
    checkpoints.save(tmp_path, {"a": np.ones(1)}, card(**{key: there}), [])
    with pytest.raises(CheckpointError, match=f"another detector .*{message}") as caught:
        training.load(network, SETTINGS, tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert str(caught.value).count(" there, ") == 1, "what agrees is not listed"


def test_every_difference_is_listed(network, tmp_path) -> None:
    checkpoints.save(tmp_path, {"a": np.ones(1)}, {"kind": "reader"}, [])
    with pytest.raises(CheckpointError) as caught:
        training.load(network, SETTINGS, tmp_path)
    assert str(caught.value).count("None there, ") == len(training.ARCHITECTURE)


def test_a_checkpoint_that_lacks_a_variable_is_refused(network, tmp_path) -> None:
    arrays = fitting.variables(network)
    del arrays["heatmap/bias"]
    checkpoints.save(tmp_path, arrays, card(), [])
    with pytest.raises(ValueError, match="has no heatmap/bias: it is a checkpoint of another network"):
        training.load(network, SETTINGS, tmp_path)


def test_no_checkpoint_is_said(network, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        training.load(network, SETTINGS, tmp_path / "none")


def test_bfloat16_computes_in_it_and_keeps_float32() -> None:
    network = training.build(changed(precision="bfloat16"))
    outputs = network(np.zeros((1, 64, 64, 3), np.float32))
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"bfloat16"}
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in network.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "and what is built next is not changed"
    targets = {name: value[None] for name, value in corner.encode([], 64, 64, SETTINGS.stride).items()}
    parts = corner.loss(targets, outputs)
    assert {keras.backend.standardize_dtype(part.dtype) for part in parts.values()} == {"float32"}


def test_imagenet_weights_need_the_activation_that_they_were_trained_with() -> None:
    with pytest.raises(BackboneError, match="needs activation: swish"):
        training.build(changed(weights="imagenet", activation="relu6"))


def test_the_architecture_is_a_part_of_the_params() -> None:
    assert set(training.ARCHITECTURE) < set(params.TrainDetector.model_fields)
    assert training.architecture(SETTINGS)["cut"] == "block4b_add"


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    """A checkpoint with weights of its own, as the stage writes it, and what the network said of noise."""
    folder, rng = tmp_path_factory.mktemp("detector"), np.random.default_rng(0)
    for variable in network.weights:
        variable.assign(variable + rng.uniform(0, 0.05, variable.shape))
    noise = rng.uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    said = training.outputs(network, noise)
    checkpoints.save(folder, fitting.variables(network), training.card(network, SETTINGS, []), [])
    return folder, noise, said


def test_a_checkpoint_is_restored_as_its_card_says(saved) -> None:
    folder, noise, said = saved
    restored, card = training.restored(folder)
    again = training.outputs(restored, noise)
    assert {name: type(value) for name, value in again.items()} == dict.fromkeys(said, np.ndarray)
    for name, value in again.items():
        np.testing.assert_allclose(value, said[name], rtol=1e-3, atol=1e-3)
    assert {name: card[name] for name in training.ARCHITECTURE} == training.architecture(SETTINGS)


def test_a_finder_decodes_each_crop(saved) -> None:
    folder, noise, said = saved
    score = float(np.median(1 / (1 + np.exp(-said["heatmap"]))))
    found = training.finder(folder, score)(noise)
    expected = [corner.decode({name: value[i] for name, value in said.items()}, 8, score) for i in range(2)]
    assert [len(one) for one in found] == [len(one) for one in expected]
    assert all(found)
    assert [one.score for one in found[1]] == pytest.approx([one.score for one in expected[1]], rel=1e-3)
    assert found[0][0].box.xyxy == pytest.approx(expected[0][0].box.xyxy, rel=1e-3, abs=0.1)


def test_a_teacher_says_what_its_network_says(saved) -> None:
    folder, noise, said = saved
    taught = training.teacher(folder, changed(width=32))(noise)
    for name, value in said.items():
        np.testing.assert_allclose(taught[name], value, rtol=1e-3, atol=1e-3)


def test_what_is_not_a_detectors_cannot_be_restored(tmp_path) -> None:
    checkpoints.save(tmp_path, {"a": np.ones(1)}, {"kind": "trunk", "backbone": "efficientnetb0", "cut": "a"}, [])
    with pytest.raises(CheckpointError, match=r"does not say its activation, .*head: not a detector's"):
        training.restored(tmp_path)


def test_the_card_says_how_it_was_built_and_what_came_out(network) -> None:
    rows = [{"epoch": 1.0, "loss": 2.0, "val_loss": value} for value in (0.5, 0.25, 0.75)]
    said = training.card(network, SETTINGS, rows)
    assert said == {
        "kind": "detector",
        **training.architecture(SETTINGS),
        "resolution": SETTINGS.resolution,
        "parameters": network.count_params(),
        "epochs": 3,
        "val_loss": 0.25,
    }
    assert training.card(network, SETTINGS, [])["val_loss"] is None


TEACHERS = {"alone": (None, corner.loss, DetectorCrops), "taught": (lambda images: {}, distillation.loss, TaughtCrops)}


@pytest.mark.parametrize(("teacher", "loss", "crops"), TEACHERS.values(), ids=TEACHERS.keys())
def test_train_fits_the_crops_of_both_splits(tmp_path, monkeypatch, teacher, loss, crops) -> None:
    """What fit() is handed: the loss, training crops by epochs, all validation crops, the params' schedule."""
    for split, count in (("train", 6), ("val", 3)):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "images.npy", np.zeros((count, 32, 32, 3), np.uint8))
        np.save(tmp_path / split / "corners.npy", np.full((count, 1, 6, 2), np.nan, np.float32))
        np.save(tmp_path / split / "kinds.npy", np.zeros((count, 1), np.uint8))
    handed: dict = {}

    def fit(network, loss, train, validation, schedule, work, fingerprint):
        handed.update(loss=loss, sizes=(len(train), len(validation)), schedule=schedule, fingerprint=fingerprint)
        handed["kinds"] = {type(train), type(validation)}
        return [{"epoch": 1.0, "loss": 1.0, "val_loss": 1.0}]

    monkeypatch.setattr(fitting, "fit", fit)
    settings = changed(batch_size=2, epoch_crops=4, epochs=5, learning_rate=0.5, patience=1, ema=0.25)
    history = training.train(None, tmp_path, settings, 11, tmp_path / "work", "print", teacher)
    assert history[0]["epoch"] == 1
    assert handed["loss"] is loss
    assert handed["kinds"] == {crops}
    assert handed["sizes"] == (2, 2)
    assert handed["schedule"] == fitting.Schedule(5, 0.5, 1, 0.25, seed=11)
    assert handed["fingerprint"] == "print"
