"""Training crops: plates stay where they are, whatever is done to the pixels."""

import numpy as np
import pytest

from pipeline import augmentation
from pipeline.boxes import is_convex_clockwise
from pipeline.records import Box, Plate, Quad


def marked_photo(quad: Quad, width: int = 640, height: int = 400) -> np.ndarray:
    """A grey photo with the quad filled white: where the white is, there is the plate."""
    import cv2

    photo = np.full((height, width, 3), 60, np.uint8)
    cv2.fillPoly(photo, [np.array(quad.points, dtype=np.int32)], (255, 255, 255))
    return photo


QUAD = Quad((260, 180), (380, 172), (384, 206), (262, 216))


@pytest.mark.parametrize("seed", range(12))
def test_the_quad_stays_on_the_plate(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "_DISTORTIONS", geometry_only())
    rng = np.random.default_rng(seed)
    view = augmentation.detector_view(rng, marked_photo(QUAD), [Plate(QUAD.box, QUAD)], [], 256, 0.0)
    whole = [plate for plate in view.plates if plate.quad is not None]
    for plate in whole:
        assert plate.quad is not None
        points = np.array(plate.quad.points)
        assert is_convex_clockwise(points)
        np.testing.assert_allclose(plate.box.xyxy, plate.quad.box.xyxy, atol=1e-6)
        inner = points.mean(axis=0) + 0.8 * (points - points.mean(axis=0))
        outer = points.mean(axis=0) + 1.5 * (points - points.mean(axis=0))
        for x, y in inner:
            assert view.image[int(y), int(x)].mean() > 180
        for x, y in outer:
            if 0 <= x < 256 and 0 <= y < 256:
                assert view.image[int(y), int(x)].mean() < 180


def geometry_only():
    """The shipped distortions without those that change colours."""
    import albumentations as A  # noqa: N812

    kept = [t for t in augmentation._DISTORTIONS.transforms if isinstance(t, A.DualTransform)]
    kept = [t for t in kept if isinstance(t, (A.Perspective, A.Affine))]
    assert len(kept) == 2
    return A.Compose(kept, keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))


def test_the_same_seed_gives_the_same_crop() -> None:
    photo = marked_photo(QUAD)
    first, second = (
        augmentation.detector_view(np.random.default_rng(3), photo, [Plate(QUAD.box)], [], 128, 1.0) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert first.plates == second.plates


@pytest.mark.parametrize("seed", range(8))
def test_a_transplanted_plate_has_its_exact_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = marked_photo(QUAD)
    changed, plates = augmentation.transplant(rng, photo, [Plate(QUAD.box)], [])
    added = [plate for plate in plates if plate.quad is not None]
    if not added:  # it found no room: nothing has changed
        assert changed is photo
        return
    (x1, y1, x2, y2) = (round(v) for v in added[0].box.xyxy)
    outside = np.ones(photo.shape[:2], bool)
    outside[max(0, y1 - 12) : y2 + 12, max(0, x1 - 12) : x2 + 12] = False
    assert np.array_equal(changed[outside], photo[outside])
    assert not np.array_equal(changed, photo)


CUT_CASES = {
    "inside": (Box(10, 10, 60, 30), True),
    "cut by a third": (Box(-25, 10, 50, 30), False),
    "a little over the edge": (Box(-2, 10, 60, 30), True),
    "too low to see": (Box(10, 10, 30, 13), False),
}


@pytest.mark.parametrize(("box", "usable"), CUT_CASES.values(), ids=CUT_CASES.keys())
def test_what_is_cut_or_tiny_is_ignored(box: Box, usable: bool) -> None:
    (plate,) = augmentation._visible([Plate(box)], 128)
    assert plate.legible is usable
    assert plate.box.x1 >= 0


def test_a_plate_outside_is_gone() -> None:
    assert augmentation._visible([Plate(Box(200, 10, 260, 30))], 128) == ()


def test_pack_keeps_what_is_known() -> None:
    corners, kinds = augmentation.pack([Plate(QUAD.box, QUAD), Plate(Box(1, 2, 3, 4), legible=False)])
    assert kinds.tolist() == [1, 2] + [0] * (augmentation.MAX_PLATES - 2)
    np.testing.assert_allclose(corners[0, 2:], QUAD.points)
    assert np.isnan(corners[1, 2:]).all()
    assert corners[1, :2].tolist() == [[1, 2], [3, 4]]
