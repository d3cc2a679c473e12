"""The trunk is cut where it may be, says what it cannot do, and its levels fuse to a pyramid."""

import keras
import numpy as np
import pytest

from pipeline.detectors import backbone
from pipeline.detectors.backbone import BackboneError


@pytest.fixture(scope="module")
def trunk() -> keras.Model:
    return backbone.build_trunk("efficientnetb0", "block4b_project_bn", "relu6")


@pytest.fixture
def kept(trunk):
    """The trunk, thawed again afterwards."""
    yield trunk
    for layer in trunk.get_layer("trunk").layers:
        layer.trainable = True


def test_levels_stand_at_strides_4_8_and_16(trunk) -> None:
    levels = trunk(np.zeros((2, 96, 64, 3), np.float32))
    assert [tuple(level.shape) for level in levels] == [(2, 24, 16, 24), (2, 12, 8, 40), (2, 6, 4, 80)]


def test_it_takes_pixels_and_normalises_them_as_imagenet_does(trunk) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.float32)
    wanted = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(trunk.get_layer("normalise")(pixels), wanted, atol=1e-5)


def test_nothing_of_keras_own_preprocessing_is_left(trunk) -> None:
    """Its Normalization layer does not survive an export to ONNX."""
    kinds = {type(layer) for layer in [*trunk.layers, *trunk.get_layer("trunk").layers]}
    assert keras.layers.Normalization not in kinds
    rescalings = [layer for layer in trunk.get_layer("trunk").layers if isinstance(layer, keras.layers.Rescaling)]
    assert rescalings == []


def test_activations_are_the_ones_asked_for_and_gates_stay_gates(trunk) -> None:
    body = trunk.get_layer("trunk")
    names = {layer.activation.__name__ for layer in body.layers if isinstance(layer, keras.layers.Activation)}
    assert names == {"relu6"}
    gates = [layer for layer in body.layers if layer.name.endswith("_se_expand")]
    assert gates
    assert {layer.activation.__name__ for layer in gates} == {"sigmoid"}


def test_no_block_is_dropped_at_random(trunk) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    for layer in trunk.get_layer("trunk").layers:
        if isinstance(layer, keras.layers.Dropout):
            assert layer.rate == 0
    first, second = trunk(image), trunk(image)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


WRONG = {
    "unknown name": (
        "resnet50",
        "block5c_add",
        "relu6",
        False,
        "'resnet50' is not one of efficientnetb3, efficientnetb0",
    ),
    "no name": ("", "block5c_add", "relu6", False, "'' is not one of"),
    "ImageNet weights under relu6": ("efficientnetb0", "block5c_add", "relu6", True, "needs activation: swish"),
    "a cut that is not there": ("efficientnetb0", "block5z_add", "relu6", False, "cannot be cut at 'block5z_add'"),
    "of the deeper trunk": ("efficientnetb0", "block5e_add", "relu6", False, "cannot be cut at 'block5e_add'"),
    "a cut too early": ("efficientnetb0", "block3b_add", "relu6", False, "cannot be cut at 'block3b_add'"),
    "a cut too late": ("efficientnetb0", "block6b_add", "relu6", False, "cannot be cut at 'block6b_add'"),
    "in block4, where the stride is still 8": (
        "efficientnetb0",
        "block4a_expand_activation",
        "relu6",
        False,
        "cannot be cut at 'block4a_expand_activation'",
    ),
    "a squeeze, which has no rows": ("efficientnetb0", "block4b_se_squeeze", "relu6", False, "cannot be cut"),
}


class Spy:
    """Stands for keras.applications, whose graphs cost seconds: layers by name alone."""

    def __init__(self, names) -> None:
        self.layers = [type("Layer", (), {"name": name}) for name in names]

    def __call__(self, **_):
        return self


@pytest.mark.parametrize(("name", "cut", "activation", "imagenet", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_built_is_said(monkeypatch, trunk, name, cut, activation, imagenet, message) -> None:
    names = [layer.name for layer in trunk.get_layer("trunk").layers] + ["block5c_add", "block6b_add"]
    assert {"block3b_add", "block4a_expand_activation", "block4b_se_squeeze"} <= set(names)
    monkeypatch.setitem(backbone._BUILDERS, "efficientnetb0", Spy(names))
    with pytest.raises(BackboneError, match=message):
        backbone.build_trunk(name, cut, activation, imagenet)


def stages(variables) -> set[str]:
    return {variable.path.split("_")[0][:6] for variable in variables}


FROZEN = {
    "block1": {"block2", "block3", "block4"},
    "block2": {"block3", "block4"},
    "block4": set(),
}


@pytest.mark.parametrize(("last", "trained"), FROZEN.items(), ids=FROZEN.keys())
def test_frozen_stages_are_not_trained(kept, last: str, trained: set[str]) -> None:
    backbone.freeze(kept, last)
    assert stages(kept.trainable_variables) == trained


def test_frozen_statistics_stand_still(kept) -> None:
    """A frozen BatchNormalization keeps its mean and variance even in training."""
    backbone.freeze(kept, "block2")
    moving = {v.path: np.array(v) for v in kept.weights if v.path.endswith(("moving_mean", "moving_variance"))}
    kept(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32), training=True)
    moved = {v.path for v in kept.weights if v.path in moving and not np.array_equal(v, moving[v.path])}
    assert {path.split("_")[0][:6] for path in moved} == {"block3", "block4"}


@pytest.mark.parametrize("last", ["block7", "stem", "top", "2", ""])
def test_a_stage_that_is_not_there_is_named(kept, last: str) -> None:
    with pytest.raises(BackboneError, match=f"cannot freeze up to {last!r}: the trunk's stages are block1, block2"):
        backbone.freeze(kept, last)
    assert len(stages(kept.trainable_variables)) == 5, "and nothing is frozen"


@pytest.mark.parametrize("fusion", ["fpn", "bifpn"])
@pytest.mark.parametrize("finest", [4, 8, 16])
def test_the_finest_level_hears_every_one(finest: int, fusion: str) -> None:
    levels = [keras.Input((None, None, channels)) for channels in (3, 5, 7)]
    pyramid = backbone.pyramid(levels, finest, 6, fusion)
    assert sorted(pyramid) == [stride for stride in (4, 8, 16, 32) if stride >= finest]
    network = keras.Model(levels, pyramid)
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(1, 96 // s, 64 // s, c)).astype(np.float32) for s, c in ((4, 3), (8, 5), (16, 7))]
    base = network(maps)
    assert {stride: tuple(level.shape) for stride, level in base.items()} == {
        stride: (1, 96 // stride, 64 // stride, 6) for stride in pyramid
    }
    for number, stride in enumerate((4, 8, 16)):
        changed = [one + (number == place) for place, one in enumerate(maps)]
        heard = not np.allclose(network(changed)[finest], base[finest], atol=1e-4)
        assert heard == (stride >= finest)


def test_bifpn_tells_coarse_levels_of_fine_ones_and_fpn_does_not() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(1, 96 // s, 64 // s, 4)).astype(np.float32) for s in (4, 8, 16)]
    changed = [maps[0], maps[1] + 1, maps[2]]
    for fusion in ("fpn", "bifpn"):
        levels = [keras.Input((None, None, 4)) for _ in maps]
        network = keras.Model(levels, backbone.pyramid(levels, 8, 6, fusion)[16])
        assert np.allclose(network(maps), network(changed), atol=1e-4) == (fusion == "fpn")


def test_weighted_sum_starts_as_the_mean() -> None:
    parts = [np.full((1, 2, 2, 3), value, np.float32) for value in (1.0, 2.0, 6.0)]
    np.testing.assert_allclose(backbone.WeightedSum()(parts), np.full((1, 2, 2, 3), 3.0), rtol=1e-3)


def test_the_lite_trunk_has_the_strides_and_channels_of_b0_without_its_gates() -> None:
    lite = backbone.build_trunk(backbone.LITE, "block5c_add")
    levels = lite(np.zeros((2, 96, 64, 3), np.float32))
    assert [tuple(level.shape) for level in levels] == [(2, 24, 16, 24), (2, 12, 8, 40), (2, 6, 4, 112)]
    assert not [layer.name for layer in lite.get_layer("trunk").layers if "_se_" in layer.name]
    assert lite.count_params() < 800_000
