"""EfficientNet-Lite2 widened to B3: the old channels go on computing what they did.

The reference is both networks in numpy, at one pixel: of each spatial kernel only the middle counts there, so that
what is left is the channels, which is what widening is about.
"""

import numpy as np
import pytest

from pipeline import fitting
from pipeline.detectors import backbone, lite
from pipeline.fitting import Arrays

# Channels of the stem and of the five stages, narrow and wide; blocks of a stage, and their kernels.
NARROW, WIDE = (8, 4, 6, 8, 9, 10), (9, 6, 8, 11, 12, 15)
KERNELS = (3, 3, 5, 3, 5)
LITE_BLOCKS, B3_BLOCKS = (1, 3, 3, 4, 4), (2, 3, 3, 5, 5)
DEVIATION = np.array([0.229, 0.224, 0.225])


def blocks(counts):
    """(stage from 1, position, does it add its input) of every block."""
    for stage, count in enumerate(counts, start=1):
        for position in range(count):
            yield stage, position, position > 0


def statistics(rng, channels: int) -> dict[str, np.ndarray]:
    """A BatchNormalization that matters: gamma, beta, mean, variance."""
    return {
        "gamma": rng.uniform(0.5, 1.5, channels),
        "beta": rng.normal(size=channels) / 2,
        "moving_mean": rng.normal(size=channels) / 2,
        "moving_variance": rng.uniform(0.5, 2, channels),
    }


def torch_style(channels=NARROW, expansion: int = 2) -> Arrays:
    """A state dict named and laid out as the published Lite2's: kernels (out, in, h, w)."""
    rng = np.random.default_rng(1)
    arrays: Arrays = {}

    def norm(name: str, count: int) -> None:
        made = statistics(rng, count)
        for ours, theirs in zip(made, ("weight", "bias", "running_mean", "running_var"), strict=True):
            arrays[f"{name}.{theirs}"] = made[ours]

    arrays["_conv_stem.weight"] = rng.normal(size=(channels[0], 3, 3, 3))
    norm("_bn0", channels[0])
    for index, (stage, position, _) in enumerate(blocks(LITE_BLOCKS)):
        inputs, outputs = channels[stage - (position == 0)], channels[stage]
        hidden, side = inputs if stage == 1 else inputs * expansion, KERNELS[stage - 1]
        name = f"_blocks.{index}"
        if stage > 1:
            arrays[f"{name}._expand_conv.weight"] = rng.normal(size=(hidden, inputs, 1, 1))
            norm(f"{name}._bn0", hidden)
        arrays[f"{name}._depthwise_conv.weight"] = rng.normal(size=(hidden, 1, side, side))
        norm(f"{name}._bn1", hidden)
        arrays[f"{name}._project_conv.weight"] = rng.normal(size=(outputs, hidden, 1, 1)) / 2
        norm(f"{name}._bn2", outputs)
    return arrays


def keras_style(channels=WIDE, expansion: int = 3) -> Arrays:
    """B3's variables by path, kernels (h, w, in, out), all random: whatever is new must not be heard."""
    rng = np.random.default_rng(2)
    arrays: Arrays = {}

    def norm(name: str, count: int) -> None:
        arrays.update({f"{name}/{key}": value for key, value in statistics(rng, count).items()})

    arrays["stem_conv/kernel"] = rng.normal(size=(3, 3, 3, channels[0]))
    norm("stem_bn", channels[0])
    for stage, position, _ in blocks(B3_BLOCKS):
        inputs, outputs = channels[stage - (position == 0)], channels[stage]
        hidden, side = inputs if stage == 1 else inputs * expansion, KERNELS[stage - 1]
        name = f"block{stage}{'abcde'[position]}"
        if stage > 1:
            arrays[f"{name}_expand_conv/kernel"] = rng.normal(size=(1, 1, inputs, hidden))
            norm(f"{name}_expand_bn", hidden)
        arrays[f"{name}_dwconv/kernel"] = rng.normal(size=(side, side, hidden, 1))
        norm(f"{name}_bn", hidden)
        arrays[f"{name}_se_reduce/kernel"] = rng.normal(size=(1, 1, hidden, 2))
        arrays[f"{name}_se_reduce/bias"] = rng.normal(size=2)
        arrays[f"{name}_se_expand/kernel"] = rng.normal(size=(1, 1, 2, hidden))
        arrays[f"{name}_se_expand/bias"] = rng.normal(size=hidden)
        arrays[f"{name}_project_conv/kernel"] = rng.normal(size=(1, 1, hidden, outputs)) / 2
        norm(f"{name}_project_bn", outputs)
        arrays[f"{name}_project_bn/beta"][:] = 0  # as Keras starts it, or no block could be the identity
    return arrays


def relu6(x):
    return np.clip(x, 0, 6)


def lite_features(arrays: Arrays, x: np.ndarray) -> list[np.ndarray]:
    """One pixel (3,) through Lite2: its channels after the stem and after each stage."""

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        gamma, beta, mean, variance = (
            arrays[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
        )
        return gamma * (x - mean) / np.sqrt(variance) + beta

    def middle(name: str) -> np.ndarray:
        kernel = arrays[f"{name}.weight"]
        return kernel[:, :, kernel.shape[2] // 2, kernel.shape[3] // 2]

    x = relu6(norm("_bn0", middle("_conv_stem") @ x))
    levels = [x]
    for index, (stage, position, adds) in enumerate(blocks(LITE_BLOCKS)):
        name, y = f"_blocks.{index}", x
        if stage > 1:
            y = relu6(norm(f"{name}._bn0", middle(f"{name}._expand_conv") @ y))
        y = relu6(norm(f"{name}._bn1", middle(f"{name}._depthwise_conv")[:, 0] * y))
        y = norm(f"{name}._bn2", middle(f"{name}._project_conv") @ y)
        x = x + y if adds else y
        if position + 1 == LITE_BLOCKS[stage - 1]:
            levels.append(x)
    return levels


def b3_features(arrays: Arrays, x: np.ndarray) -> list[np.ndarray]:
    """The same through B3, squeeze-and-excite gates included."""

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        gamma, beta, mean, variance = (
            arrays[f"{name}/{key}"] for key in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance) + beta

    def middle(name: str) -> np.ndarray:
        kernel = arrays[f"{name}/kernel"]
        return kernel[kernel.shape[0] // 2, kernel.shape[1] // 2]

    x = relu6(norm("stem_bn", x @ middle("stem_conv")))
    levels = [x]
    for stage, position, adds in blocks(B3_BLOCKS):
        name, y = f"block{stage}{'abcde'[position]}", x
        if stage > 1:
            y = relu6(norm(f"{name}_expand_bn", y @ middle(f"{name}_expand_conv")))
        y = relu6(norm(f"{name}_bn", y * middle(f"{name}_dwconv")[:, 0]))
        squeezed = relu6(y @ middle(f"{name}_se_reduce") + arrays[f"{name}_se_reduce/bias"])
        gate = 1 / (1 + np.exp(-(squeezed @ middle(f"{name}_se_expand") + arrays[f"{name}_se_expand/bias"])))
        y = norm(f"{name}_project_bn", (y * gate) @ middle(f"{name}_project_conv"))
        x = x + y if adds else y
        if position + 1 == B3_BLOCKS[stage - 1]:
            levels.append(x)
    return levels


@pytest.mark.parametrize("seed", range(3))
def test_old_channels_compute_what_they_did(seed: int) -> None:
    """The same pixel, as each of the two is fed it, up to the grey that each calls zero."""
    narrow = torch_style()
    wide = lite.widen(narrow, keras_style())
    pixel = np.random.default_rng(seed).uniform(-100, 100, 3)
    old, new = lite_features(narrow, pixel / 128), b3_features(wide, pixel / 255 / DEVIATION)
    assert len(old) == len(new) == 6
    for stage, (mine, theirs) in enumerate(zip(new, old, strict=True)):
        assert theirs.std() > 0.01, "a dead reference proves nothing"
        np.testing.assert_allclose(mine[: len(theirs)], theirs, rtol=1e-9, atol=1e-9, err_msg=f"stage {stage}")


def test_kernels_lie_the_same_way_round() -> None:
    """Rows stay rows: at one pixel that does not show."""
    narrow, fresh = torch_style(), keras_style()
    wide = lite.widen(narrow, fresh)
    scale = 255 * DEVIATION / 128
    for row, column, channel, out in ((0, 2, 1, 2), (2, 0, 0, 1), (1, 2, 2, 0)):
        wanted = narrow["_conv_stem.weight"][out, channel, row, column] * scale[channel]
        assert wide["stem_conv/kernel"][row, column, channel, out] == pytest.approx(wanted)
        wanted = narrow["_blocks.1._depthwise_conv.weight"][out, 0, row, column]
        assert wide["block2a_dwconv/kernel"][row, column, out, 0] == wanted


def test_new_channels_start_as_they_were_made() -> None:
    fresh = keras_style()
    wide = lite.widen(torch_style(), fresh)
    assert set(wide) == set(fresh)
    assert all(wide[path].shape == fresh[path].shape for path in fresh)
    old_in, old_out = NARROW[1], NARROW[1] * 2  # of block2a
    kernel = wide["block2a_expand_conv/kernel"]
    np.testing.assert_array_equal(kernel[0, 0, :, old_out:], fresh["block2a_expand_conv/kernel"][0, 0, :, old_out:])
    assert (kernel[0, 0, old_in:, :old_out] == 0).all()
    np.testing.assert_array_equal(
        wide["block2a_dwconv/kernel"][:, :, old_out:], fresh["block2a_dwconv/kernel"][:, :, old_out:]
    )
    np.testing.assert_array_equal(wide["block2a_expand_bn/gamma"][old_out:], fresh["block2a_expand_bn/gamma"][old_out:])


@pytest.mark.parametrize("block", ["block1b", "block4e", "block5e"])
def test_new_blocks_start_as_the_identity(block: str) -> None:
    wide = lite.widen(torch_style(), keras_style())
    assert (wide[f"{block}_project_bn/gamma"] == 0).all()


def test_what_is_put_in_is_not_changed() -> None:
    narrow, fresh = torch_style(), keras_style()
    lite.widen(narrow, fresh)
    for before, after in ((torch_style(), narrow), (keras_style(), fresh)):
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)


@pytest.mark.parametrize("missing", ["_conv_stem.weight", "_bn0.running_var", "_blocks.14._project_conv.weight"])
def test_what_is_no_lite2_is_refused(missing: str) -> None:
    narrow = torch_style()
    del narrow[missing]
    with pytest.raises(KeyError, match=missing):
        lite.widen(narrow, keras_style())


def test_the_real_b3_takes_the_real_lite2() -> None:
    """Keras' own paths and shapes, and Lite2's published channels: all but new blocks is written."""
    trunk = backbone.build_trunk("efficientnetb3", "block5e_add")
    fresh = fitting.variables(trunk)
    wide = lite.widen(torch_style((32, 16, 24, 48, 88, 120), expansion=6), fresh)
    assert {path: value.shape for path, value in wide.items()} == {path: value.shape for path, value in fresh.items()}
    fitting.assign(trunk, wide, "widened")
    untouched = {path for path in fresh if np.array_equal(wide[path], fresh[path]) and "_se_reduce/" not in path}
    assert {path.split("_")[0] for path in untouched} == {"block1b", "block4e", "block5e"}
