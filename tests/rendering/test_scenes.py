"""Rendered photos: the truth about them, and that it can be had again."""

import numpy as np
import pytest

from pipeline import boxes
from pipeline.alphabet import CHARACTERS
from pipeline.rendering.scenes import LEGIBLE_HEIGHT, MAX_WIDTH, Scene, render_scene

SCENES = {seed: render_scene(np.random.default_rng(seed), 320, 240) for seed in range(16)}


def quads(scene: Scene) -> list[np.ndarray]:
    return [np.array(plate.quad.points) for plate in scene.plates if plate.quad is not None]


@pytest.mark.parametrize("seed", SCENES)
def test_quads_are_convex_clockwise_inside_and_round_their_box(seed: int) -> None:
    scene = SCENES[seed]
    assert scene.image.shape == (240, 320, 3)
    assert scene.image.dtype == np.uint8
    assert len(quads(scene)) == len(scene.plates)
    for plate, quad in zip(scene.plates, quads(scene), strict=True):
        assert boxes.is_convex_clockwise(quad)
        assert (quad >= 0).all()
        assert (quad <= (320, 240)).all()
        assert plate.quad is not None
        assert plate.box == plate.quad.box
        assert plate.box.width <= MAX_WIDTH * 320 + 1


@pytest.mark.parametrize("seed", SCENES)
def test_a_text_is_claimed_only_where_it_can_be_read(seed: int) -> None:
    for plate in SCENES[seed].plates:
        assert (plate.text is not None) == plate.legible
        assert plate.region
        assert plate.rows in (1, 2)
        if plate.text is not None:
            assert set(plate.text) <= set(CHARACTERS)
            assert plate.box.height >= LEGIBLE_HEIGHT * plate.rows


def test_plates_do_not_overlap() -> None:
    for seed in range(4):
        found = np.array([plate.box.xyxy for plate in render_scene(np.random.default_rng(seed), 320, 240, 3).plates])
        assert boxes.iou(found, found)[~np.eye(3, dtype=bool)].max() == 0


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_as_many_plates_as_asked_for(count: int) -> None:
    assert len(render_scene(np.random.default_rng(9), 256, 192, count).plates) == count


def test_scenes_hold_none_one_or_more_and_some_unreadable() -> None:
    counts = {len(scene.plates) for scene in SCENES.values()}
    assert {1, 2} <= counts
    legible = [plate.legible for scene in SCENES.values() for plate in scene.plates]
    assert any(legible)
    assert not all(legible)


def test_the_same_seed_gives_the_same_scene() -> None:
    again = render_scene(np.random.default_rng(3), 320, 240)
    assert (again.image == SCENES[3].image).all()
    assert again.plates == SCENES[3].plates


@pytest.mark.parametrize(
    ("width", "height", "count", "message"),
    [(90, 240, None, "96 pixels"), (320, 240, 4, "0 to 3"), (320, 240, -1, "0 to 3")],
)
def test_scenes_that_cannot_be_are_refused(width: int, height: int, count: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_scene(np.random.default_rng(0), width, height, count)


@pytest.mark.parametrize(("width", "height"), [(96, 96), (640, 128), (128, 400)])
def test_odd_frames_are_filled(width: int, height: int) -> None:
    scene = render_scene(np.random.default_rng(1), width, height, 2)
    assert scene.image.shape == (height, width, 3)
    for quad in quads(scene):
        assert (quad >= 0).all()
        assert (quad <= (width, height)).all()
