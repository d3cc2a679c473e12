"""Training crops: plates stay where they are, whatever is done to the pixels."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline import augmentation, params, reuse
from pipeline.augmentation import Donor, Part, Recipe, Shot
from pipeline.boxes import is_convex_clockwise
from pipeline.images import encode_png
from pipeline.records import Box, Plate, Quad, Sample

SETTINGS = params.load(Path(__file__).parents[1] / "params.yaml").augment


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
    view = augmentation.detector_view(rng, marked_photo(QUAD), [Plate(QUAD.box, QUAD)], 256)
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
        augmentation.detector_view(np.random.default_rng(3), photo, [Plate(QUAD.box)], 128) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert first.plates == second.plates


@pytest.mark.parametrize("seed", range(8))
def test_a_transplanted_plate_has_its_exact_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = marked_photo(QUAD)
    changed, plates = augmentation.transplant(rng, photo, [Plate(QUAD.box)], np.full((48, 200, 3), 20, np.uint8))
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


def sample(number: int, *plates: Plate, **changes: Any) -> Sample:
    identity = hashlib.sha256(bytes([number])).hexdigest()
    fields = {"width": 640, "height": 400, "source": "made", "group": identity, "split": "train"} | changes
    return Sample(identity, f"{number}.png", plates=plates, **fields)


def ingredients(samples: Sequence[Sample], **shares: float) -> augmentation.Ingredients:
    return augmentation.Ingredients(samples, SETTINGS.model_copy(update=shares))


def recipes(samples: Sequence[Sample], count: int = 400, **shares: float) -> list[Recipe]:
    drawn = ingredients(samples, **shares)
    return [drawn.drawn([7, 0], index) for index in range(count)]


def changed(before: Sequence[Recipe], after: Sequence[Recipe]) -> float:
    """The share of recipes that are not what they were."""
    return float(np.mean([a != b for a, b in zip(before, after, strict=True)]))


LENDING = {
    "high enough": (sample(1, Plate(Box(10, 10, 90, 30))), True),
    "too low": (sample(1, Plate(Box(10, 10, 90, 29.9))), False),
    "too low once the photo is scaled down": (sample(1, Plate(Box(10, 10, 90, 40)), width=2560), False),
    "high enough even then": (sample(1, Plate(Box(10, 10, 90, 50)), height=2560), True),
    "not legible": (sample(1, Plate(Box(10, 10, 90, 40), legible=False)), False),
    "low, and a crop": (sample(1, Plate(Box(0, 0, 60, 15)), kind="crop"), True),
}


@pytest.mark.parametrize(("lender", "lends"), LENDING.values(), ids=LENDING.keys())
def test_sharp_plates_are_lent_and_that_is_known_without_a_look_at_them(lender: Sample, lends: bool) -> None:
    found = recipes([lender, sample(2)], 100, transplant_share=1.0, mosaic_share=0.0)
    donors = {part.donor for recipe in found for part in recipe.parts}
    assert {donor.id for donor in donors if donor} == ({lender.id} if lends else set())
    assert None in donors, "others are rendered"


def test_ingredients_are_drawn_by_their_shares() -> None:
    photos = [sample(number, Plate(Box(10, 10, 90, 40))) for number in range(20)]
    found = recipes(photos, 4000, transplant_share=0.5, mosaic_share=0.25)
    parts = [part for recipe in found for part in recipe.parts]
    assert np.mean([len(recipe.parts) == 4 for recipe in found]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([part.transplanted for part in parts]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([part.donor is not None for part in parts]) == pytest.approx(0.2, abs=0.03)
    assert not any(part.donor and not part.transplanted for part in parts)
    for counts in (
        Counter(part.photo.id for part in parts),
        Counter(part.donor.id for part in parts if part.donor),
    ):
        assert len(counts) == 20
        assert chisquare(list(counts.values())).pvalue > 1e-3


PHOTOS = [sample(number, Plate(Box(10, 10, 90, 40), text="AB123")) for number in range(50)]
MOVED = replace(PHOTOS[7], plates=(Plate(Box(12, 10, 92, 40), text="AB123"),))
READ = replace(PHOTOS[7], plates=(replace(PHOTOS[7].plates[0], text="XY9"),), group="another", official_split="val")
EMPTIED = replace(PHOTOS[7], plates=())
# A photo stands in 1 of 50 parts, and its plate in the 1 of 250 that are lent one; 1.75 parts make a crop.
CORRECTED = {
    "nothing": (PHOTOS, 0.0, 0.0),
    "a text and a group": ([*PHOTOS[:7], READ, *PHOTOS[8:]], 0.0, 0.0),
    "a box": ([*PHOTOS[:7], MOVED, *PHOTOS[8:]], 0.02, 0.07),
    "no plate any more": ([*PHOTOS[:7], EMPTIED, *PHOTOS[8:]], 0.02, 0.3),
    "one photo more": ([*PHOTOS, sample(99, Plate(Box(10, 10, 90, 40)))], 0.02, 0.07),
    "one photo less": ([*PHOTOS[:7], *PHOTOS[8:]], 0.02, 0.07),
    "another order": (PHOTOS[::-1], 0.0, 0.0),
}


@pytest.mark.parametrize(("samples", "low", "high"), CORRECTED.values(), ids=CORRECTED.keys())
def test_a_correction_changes_few_recipes(samples: list[Sample], low: float, high: float) -> None:
    empty = [sample(100 + number) for number in range(10)]
    share = changed(recipes([*PHOTOS, *empty], 2000), recipes([*samples, *empty], 2000))
    assert low <= share <= high


def test_a_recipe_tells_another_seed_and_size() -> None:
    drawn = [Recipe((seed, 1, 0), size, (Part(Shot("", "", ())),)) for seed in (7, 8) for size in (64, 96)]
    assert len({reuse.key(recipe) for recipe in drawn}) == 4
    assert ingredients(PHOTOS).drawn([7, 0], 3) != ingredients(PHOTOS).drawn([8, 0], 3)
    assert ingredients(PHOTOS).drawn([7, 0], 3).seeds != ingredients(PHOTOS).drawn([7, 0], 4).seeds


def test_plain_recipes_show_every_photo_once_and_are_seeded_by_nothing() -> None:
    empty, drawn = sample(60), sample(61, Plate(Box(1, 1, 9, 9)), source="synthetic")
    plain = ingredients([empty, drawn, *PHOTOS[:2], sample(62, kind="crop")]).plain()
    assert [recipe.parts[0].photo.image for recipe in plain] == ["0.png", "1.png", "61.png", "60.png"]
    assert {(recipe.seeds, recipe.augmented, len(recipe.parts)) for recipe in plain} == {((), False, 1)}


SHARES = {
    "half of them empty": (
        {"negative_share": 0.5, "rendered_share": 0.5},
        {"none": 0.5, "synthetic": 0.25, "made": 0.25},
    ),
    "no rendered scene wanted": ({"negative_share": 0.0, "rendered_share": 0.0}, {"made": 1.0}),
    "rendered scenes alone": ({"negative_share": 0.0, "rendered_share": 1.0}, {"synthetic": 1.0}),
}


@pytest.mark.parametrize(("shares", "wanted"), SHARES.values(), ids=SHARES.keys())
def test_photos_are_drawn_by_their_shares(shares, wanted) -> None:
    plate = Plate(Box(1, 1, 9, 9))
    samples = [sample(1, plate), sample(2, plate, source="synthetic"), sample(3, source="none")]
    sources = {one.id: one.source for one in samples}
    found = Counter(sources[part.photo.id] for recipe in recipes(samples, 1200, **shares) for part in recipe.parts)
    assert {source: count / found.total() for source, count in found.items()} == pytest.approx(wanted, abs=0.04)


def test_what_there_is_is_drawn_where_a_kind_is_missing() -> None:
    drawn = sample(1, Plate(Box(1, 1, 9, 9)), source="synthetic")
    found = recipes([drawn], 20, negative_share=0.9, rendered_share=0.0)
    assert {part.photo.id for recipe in found for part in recipe.parts} == {drawn.id}


@pytest.fixture
def photos(tmp_path: Path) -> augmentation.Photos:
    """0.png, a photo of noise; 1.png, grey and twice as large as is kept; 2.png, a crop."""
    noise = np.random.default_rng(0)
    for name, picture in (
        ("0.png", noise.integers(0, 255, (90, 120, 3), dtype=np.uint8)),
        ("1.png", marked_photo(Quad((400, 400), (800, 400), (800, 600), (400, 600)), 2560, 1600)),
        ("2.png", noise.integers(0, 255, (24, 94, 3), dtype=np.uint8)),
    ):
        (tmp_path / name).write_bytes(encode_png(picture))
    return augmentation.Photos(tmp_path)


def test_large_photos_are_scaled_down_with_their_plates(photos: augmentation.Photos) -> None:
    picture, (plate,) = photos.shot(Shot("", "1.png", (Plate(Box(400, 400, 800, 600)),)))
    assert picture.shape == (800, 1280, 3)
    assert plate.box == Box(200, 200, 400, 300)
    flat = photos.flat(Donor("", "1.png", Quad((400, 400), (800, 400), (800, 600), (400, 600))))
    assert (flat.shape, int(flat[8:-8, 8:-8].min())) == ((96, 192, 3), 255), "the white plate and nothing else"


def test_crops_lend_their_plates_as_they_are(photos: augmentation.Photos) -> None:
    ((_, donor),) = augmentation._donors(sample(2, Plate(Box(0, 0, 94, 24)), width=94, height=24, kind="crop"))
    np.testing.assert_array_equal(photos.flat(donor), photos.get("2.png")[0])


def test_a_mosaic_is_made_of_a_recipe_s_four_photos(photos: augmentation.Photos) -> None:
    part = Part(Shot("", "0.png", ()))
    view = augmentation.make(Recipe((1,), 64, (part,) * 4), photos)
    assert view.image.shape == (64, 64, 3)
    seams = np.abs(np.diff(view.image.astype(int), axis=1)).mean(axis=(0, 2))
    assert seams[31] > seams.mean(), "two views meet in the middle"


def test_a_crop_follows_from_its_recipe(photos: augmentation.Photos) -> None:
    shot = Shot("", "0.png", (Plate(Box(30, 40, 90, 60)),))
    donor = Donor("", "2.png", None)
    parts = [Part(shot), Part(shot, transplanted=True), Part(shot, True, donor)]
    made = [augmentation.make(Recipe((seed,), 64, (part,)), photos) for part in parts for seed in (1, 2, 1)]
    pictures = [view.image.tobytes() for view in made]
    assert pictures[0::3] == pictures[2::3]
    assert [view.plates for view in made[0::3]] == [view.plates for view in made[2::3]]
    assert len(set(pictures)) == 6


def test_a_plain_recipe_shows_the_whole_photo(photos: augmentation.Photos) -> None:
    shot = Shot("", "0.png", (Plate(Box(30, 40, 90, 60)),))
    view = augmentation.make(Recipe((), 60, (Part(shot),), augmented=False), photos)
    assert [plate.box.xyxy for plate in view.plates] == [(15, 20, 45, 30)]
    assert (view.image[46:] == augmentation.FILL).all()
