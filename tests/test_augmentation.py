"""Training crops: plates stay where they are, whatever is done to the pixels."""

import numpy as np
import pytest

from pipeline import augmentation
from pipeline.boxes import is_convex_clockwise
from pipeline.images import encode_png, sha256
from pipeline.records import Box, Plate, Quad, Sample


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


def test_a_mosaic_puts_four_views_side_by_side_with_their_plates() -> None:
    quads = [Quad((2, 3), (12, 3), (12, 8), (2, 8)), Quad((1, 1), (9, 2), (9, 6), (1, 5))]
    views = [
        augmentation.View(np.full((16, 16, 3), shade, np.uint8), plates)
        for shade, plates in (
            (10, (Plate(quads[0].box, quads[0]),)),
            (20, ()),
            (30, (Plate(Box(4, 4, 10, 9), legible=False),)),
            (40, (Plate(quads[1].box, quads[1]),)),
        )
    ]
    whole = augmentation.mosaic(views)
    assert whole.image.shape == (32, 32, 3)
    assert [int(whole.image[y, x, 0]) for y, x in ((0, 0), (0, 31), (31, 0), (31, 31))] == [10, 20, 30, 40]
    first, hidden, last = whole.plates
    assert first.quad == quads[0]
    assert (hidden.box, hidden.legible) == (Box(4, 20, 10, 25), False)
    assert last.quad == Quad((17, 17), (25, 18), (25, 22), (17, 21))


def test_a_mosaic_keeps_no_more_plates_than_a_crop_holds() -> None:
    crowd = augmentation.View(np.zeros((8, 8, 3), np.uint8), (Plate(Box(1, 1, 5, 3)),) * 5)
    assert len(augmentation.mosaic([crowd] * 4).plates) == augmentation.MAX_PLATES


def test_crops_lend_their_plates_as_they_are(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 94, 3), dtype=np.uint8)
    data = encode_png(pixels)
    (tmp_path / "crop.png").write_bytes(data)
    sample = Sample(sha256(data), "crop.png", 94, 24, (Plate(Box(0, 0, 94, 24)),), "crops", "g", kind="crop")
    (lent,) = augmentation.donors([sample], augmentation.Photos(tmp_path))
    np.testing.assert_array_equal(lent, pixels)
