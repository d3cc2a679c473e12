"""Turns curated samples into training crops whose boxes, quads and texts stay true: albumentations, seeded by index.

A detector's crop is a window of a photo at a random scale, so that plates of every size are seen; on some photos
other plates, rendered or cut from other photos, are warped first, which gives exact corners in real surroundings.
What crop i is made of, its recipe, is drawn by (seed, i) and the samples' ids before anything is decoded, in such a way
that a changed sample changes few recipes; the crop is a pure function of its recipe and of those pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812 (its own convention)
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import params
from pipeline.images import RGB, read_image, rectify
from pipeline.records import Box, Plate, Quad, Sample
from pipeline.rendering import plates as plate_rendering
from pipeline.rendering import scenes
from pipeline.rendezvous import Pool

MAX_PLATES = 8  # kept for a crop
MIN_HEIGHT = 4.0  # pixels: a plate lower than this is neither asked for nor counted as background
MIN_VISIBLE = 0.7  # of its area: a plate cut more than this by the crop's edge, likewise
FILL = 114
MIN_WIDTH = 14.0  # pixels: the smallest that a plate is made
MAX_WIDTH = 0.95  # of the crop: the largest
WHOLE = 0.3  # share of windows that show the whole photo, more or less
CUT = 0.1  # share of windows round a plate that may cut it
ASTRAY = 0.15  # share of windows that lie anywhere at any zoom: headlights and badges as large as plates
ZOOM = 4.0  # of the whole photo, at most, where a window lies anywhere
MIRRORED = 0.3  # share of crops
MAX_SIDE = 1280  # pixels: larger photos are scaled down first
LENT = 0.4  # share of transplanted plates that are cut from other pictures; the rest is rendered
LENT_HEIGHT = 20.0  # pixels: the lowest that is sharp enough to be lent
FLAT_HEIGHT = 96  # pixels of a plate that is cut from a photo


@dataclass(frozen=True, slots=True)
class View:
    """A training crop: image (S, S, 3) and the plates in its own pixels; `legible` False ones are to be ignored."""

    image: RGB
    plates: tuple[Plate, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo as crops are made of it: where its plates are, in its own pixels, and not what they say."""

    id: str
    image: str
    plates: tuple[Plate, ...]

    @classmethod
    def of(cls, sample: Sample) -> Shot:
        outlines = (Plate(plate.box, plate.quad, legible=plate.legible) for plate in sample.plates)
        return cls(sample.id, sample.image, tuple(outlines))


@dataclass(frozen=True, slots=True)
class Donor:
    """A plate to be put onto photos: its corners in its picture's own pixels, or None where it fills the picture."""

    id: str
    image: str
    quad: Quad | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one view is made of. Where a plate is transplanted and no donor is named, it is rendered."""

    photo: Shot
    transplanted: bool = False
    donor: Donor | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a crop depends on but pixels: four parts make a mosaic; `augmented` False shows the whole photo."""

    seeds: tuple[int, ...]
    size: int  # pixels, square
    parts: tuple[Part, ...]
    augmented: bool = True


class Ingredients:
    """The photos of a split, and the labelled, sharp enough plates of its photos and crops, to draw recipes from."""

    def __init__(self, samples: Sequence[Sample], settings: params.Augment) -> None:
        photos = [sample for sample in samples if sample.kind == "photo"]
        shown = [sample for sample in photos if sample.plates]
        self._settings = settings
        self._real = _shots(sample for sample in shown if sample.source != "synthetic")
        self._drawn = _shots(sample for sample in shown if sample.source == "synthetic")
        self._without = _shots(sample for sample in photos if not sample.plates)
        donors = {name: donor for sample in samples for name, donor in _donors(sample)}
        self._donors = Pool(list(donors.values()), donors)

    def drawn(self, seeds: Sequence[int], index: int) -> Recipe:
        """The recipe of training crop `index`."""
        rng = np.random.default_rng([*seeds, 0, index])
        mosaic = rng.random() < self._settings.mosaic_share
        parts = tuple(self._part(rng) for _ in range(4 if mosaic else 1))
        return Recipe((*seeds, 1, index), self._settings.detector_size, parts)

    def _part(self, rng: np.random.Generator) -> Part:
        photo = self._photo(rng)
        transplanted = rng.random() < self._settings.transplant_share
        lent = transplanted and bool(self._donors) and rng.random() < LENT
        return Part(photo, transplanted, self._donors.draw(rng) if lent else None)

    def _photo(self, rng: np.random.Generator) -> Shot:
        """A photo: by share one without a plate, one that was rendered, or a real one with plates."""
        empty, rendered = rng.random(2) < (self._settings.negative_share, self._settings.rendered_share)
        wanted = (self._without if empty else self._drawn if rendered else self._real, self._real, self._drawn)
        return next((pool for pool in wanted if pool), self._without).draw(rng)

    def plain(self) -> list[Recipe]:
        """Every photo once, whole."""
        pools = (self._real, self._drawn, self._without)
        size = self._settings.detector_size
        return [Recipe((), size, (Part(photo),), augmented=False) for pool in pools for photo in pool.members]


def _shots(samples: Iterable[Sample]) -> Pool[Shot]:
    shots = [Shot.of(sample) for sample in samples]
    return Pool(shots, (shot.id for shot in shots))


def _donors(sample: Sample) -> Iterator[tuple[str, Donor]]:
    """The plates that a sample lends, each with a name that stays when its label changes."""
    scale = min(1.0, MAX_SIDE / max(sample.width, sample.height))
    for index, plate in enumerate(sample.plates):
        quad = plate.quad or Quad.of_box(plate.box)
        if sample.kind == "crop":
            yield f"{sample.id} {index} crop", Donor(sample.id, sample.image, None)
        elif plate.legible and scale * quad.box.height >= LENT_HEIGHT:
            yield f"{sample.id} {index}", Donor(sample.id, sample.image, quad)


class Photos:
    """Decoded photos, kept in memory: training sets here are some hundred pictures."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cache: dict[str, tuple[RGB, float]] = {}

    def get(self, image: str) -> tuple[RGB, float]:
        """The photo, scaled down to at most MAX_SIDE, and the scale."""
        if image not in self._cache:
            photo = read_image(self._root / image)
            scale = min(1.0, MAX_SIDE / max(photo.shape[:2]))
            if scale < 1:
                photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
            self._cache[image] = (photo, scale)
        return self._cache[image]

    def shot(self, shot: Shot) -> tuple[RGB, list[Plate]]:
        """A photo and its plates at its scale."""
        photo, scale = self.get(shot.image)
        return photo, [_map(plate, lambda points: points * scale) for plate in shot.plates]

    def flat(self, donor: Donor) -> RGB:
        """A flat picture of a plate that is lent."""
        photo, scale = self.get(donor.image)
        if donor.quad is None:
            return photo
        return rectify(photo, Quad(*((scale * x, scale * y) for x, y in donor.quad.points)), height=FLAT_HEIGHT)


def make(recipe: Recipe, photos: Photos) -> View:
    """The crop that a recipe says."""
    rng = np.random.default_rng(recipe.seeds)
    side = recipe.size // 2 if len(recipe.parts) > 1 else recipe.size
    views = []
    for part in recipe.parts:
        photo, plates = photos.shot(part.photo)
        if part.transplanted:
            donor = photos.flat(part.donor) if part.donor else _rendered(rng)
            photo, plates = transplant(rng, photo, plates, donor)
        views.append(detector_view(rng, photo, plates, side, recipe.augmented))
    return mosaic(views) if len(views) > 1 else views[0]


def _rendered(rng: np.random.Generator) -> RGB:
    return plate_rendering.render_plate(rng, height=int(rng.integers(48, 129))).image


def _map(plate: Plate, move: Any) -> Plate:
    """The plate with its corners moved by `move`, a function of points (N, 2)."""
    if plate.quad is not None:
        corners = move(np.array(plate.quad.points, dtype=np.float64))
        quad = Quad(*((float(x), float(y)) for x, y in corners))
        return replace(plate, quad=quad, box=quad.box, char_boxes=(), vehicle=None)
    corners = move(np.array(Quad.of_box(plate.box).points, dtype=np.float64))
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return replace(plate, box=Box(float(x1), float(y1), float(x2), float(y2)), char_boxes=(), vehicle=None)


def detector_view(
    rng: np.random.Generator, photo: RGB, plates: Sequence[Plate], size: int, augment: bool = True
) -> View:
    """One square crop of `size` pixels around a plate of `photo` or of its background; all of it without `augment`."""
    photo, moved = _window(rng, photo, list(plates), size, augment)
    if augment:
        photo, moved = _distort(rng, photo, moved)
    return View(photo, _visible(moved, size))


def mosaic(views: Sequence[View]) -> View:
    """Four square views of one size as one of twice the side (Bochkovskiy et al. 2020, arXiv:2004.10934)."""
    side = views[0].image.shape[0]
    rows = [np.concatenate([views[i].image, views[i + 1].image], axis=1) for i in (0, 2)]
    shifts = [np.array(shift) for shift in ((0, 0), (side, 0), (0, side), (side, side))]
    plates = [
        _map(plate, lambda points, shift=shift: points + shift)
        for view, shift in zip(views, shifts, strict=True)
        for plate in view.plates
    ]
    return View(np.concatenate(rows), tuple(plates[:MAX_PLATES]))


def transplant(rng: np.random.Generator, photo: RGB, plates: list[Plate], donor: RGB) -> tuple[RGB, list[Plate]]:
    """Warps a flat plate onto the photo: over one of its plates, or (one time in three) somewhere else."""
    rows, columns = photo.shape[:2]
    aspect = donor.shape[1] / donor.shape[0]
    covered = [plate for plate in plates if plate.legible]
    if covered and rng.random() < 0.67:
        old = covered[int(rng.integers(len(covered)))]
        centre = ((old.box.x1 + old.box.x2) / 2, (old.box.y1 + old.box.y2) / 2)
        corners = scenes.random_quad(rng, centre, old.box.width, aspect)
        # Large enough that nothing of the old plate looks out behind the new one.
        spread = corners.max(axis=0) - corners.min(axis=0)
        grow = max(1.0, float(max(old.box.width / spread[0], old.box.height / spread[1]))) * rng.uniform(1.05, 1.3)
        corners = (corners - centre) * grow + centre
        rest = [plate for plate in plates if plate is not old]
    else:
        width = columns * float(np.exp(rng.uniform(np.log(0.05), np.log(0.4))))
        centre = (float(rng.uniform(0.1, 0.9) * columns), float(rng.uniform(0.2, 0.95) * rows))
        corners = scenes.random_quad(rng, centre, width, aspect)
        rest = plates
    inside = (corners >= 0).all() and (corners[:, 0] <= columns).all() and (corners[:, 1] <= rows).all()
    quad = Quad(*((float(x), float(y)) for x, y in corners))
    hidden = [plate for plate in rest if _overlaps(plate.box, quad.box)]
    if not inside or hidden or quad.box.height < 2 * MIN_HEIGHT:
        return photo, plates
    return scenes.paste_plate(rng, photo, donor, corners), [*rest, Plate(quad.box, quad)]


def _overlaps(a: Box, b: Box) -> bool:
    return min(a.x2, b.x2) > max(a.x1, b.x1) and min(a.y2, b.y2) > max(a.y1, b.y1)


def _window(
    rng: np.random.Generator, photo: RGB, plates: list[Plate], size: int, augment: bool
) -> tuple[RGB, list[Plate]]:
    """Cuts a square window at a random place and scale, and scales it to `size`."""
    scale, corner = _place(rng, photo, plates, size) if augment else (size / max(photo.shape[:2]), np.zeros(2))
    if scale < 1:  # area-correct: cv2.warpAffine alone would alias
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    zoom = max(1.0, scale)
    shift = -corner * scale
    image = cv2.warpAffine(
        photo, np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]]), (size, size), borderValue=(FILL, FILL, FILL)
    )
    return np.asarray(image, dtype=np.uint8), [_map(plate, lambda points: points * scale + shift) for plate in plates]


def _place(rng: np.random.Generator, photo: RGB, plates: list[Plate], size: int) -> tuple[float, NDArray[np.float64]]:
    """(scale, top-left corner in the photo) of a window: the whole photo, or around a plate, or of the background."""
    extent = np.array([photo.shape[1], photo.shape[0]], dtype=np.float64)
    whole = size / extent.max()
    legible = [plate.box for plate in plates if plate.legible]
    if rng.random() < WHOLE:
        scale = float(np.exp(rng.uniform(np.log(0.9 * whole), np.log(1.1 * size / extent.min()))))
    elif legible and rng.random() >= ASTRAY:
        box = legible[int(rng.integers(len(legible)))]
        width = float(np.exp(rng.uniform(np.log(MIN_WIDTH), np.log(MAX_WIDTH * size))))
        scale = float(np.clip(width / box.width, 0.9 * whole, 4.0))
        side = size / scale
        share = rng.uniform(-0.1, 1.1, 2) if rng.random() < CUT else rng.uniform(0, 1, 2)
        corner = share * (box.x1, box.y1) + (1 - share) * (box.x2 - side, box.y2 - side)
        return scale, np.clip(corner, -0.15 * side, np.maximum(extent - 0.85 * side, -0.15 * side))
    else:
        scale = whole * float(np.exp(rng.uniform(0, np.log(ZOOM))))
    room = extent - size / scale
    return scale, rng.uniform(np.minimum(room, 0), np.maximum(room, 0) + 1e-6)


_DISTORTIONS = A.Compose(
    [
        A.Perspective(scale=(0.0, 0.06), keep_size=True, fill=FILL, p=0.3),
        A.Affine(rotate=(-7, 7), shear={"x": (-6, 6), "y": (-3, 3)}, fill=FILL, p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.6),
        A.RandomGamma(gamma_limit=(60, 150), p=0.3),
        A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=40, val_shift_limit=20, p=0.4),
        A.ToGray(p=0.15),
        A.ChannelShuffle(p=0.08),
        A.OneOf(
            [A.MotionBlur(blur_limit=(3, 7)), A.GaussianBlur(blur_limit=(3, 5)), A.Downscale(scale_range=(0.4, 0.8))],
            p=0.25,
        ),
        A.GaussNoise(std_range=(0.01, 0.06), p=0.2),
        A.ImageCompression(quality_range=(30, 95), p=0.4),
    ],
    keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
)


def _distort(rng: np.random.Generator, image: RGB, plates: list[Plate]) -> tuple[RGB, list[Plate]]:
    """Slight geometry, strong photometry; some crops are mirrored."""
    corners = [point for plate in plates for point in (plate.quad or Quad.of_box(plate.box)).points]
    _DISTORTIONS.set_random_seed(int(rng.integers(2**31)))
    done = _DISTORTIONS(image=image, keypoints=np.array(corners, dtype=np.float64).reshape(-1, 2))
    image = np.ascontiguousarray(done["image"])
    moved: NDArray[np.float64] = np.asarray(done["keypoints"], dtype=np.float64).reshape(-1, 4, 2)
    if rng.random() < MIRRORED:
        image = np.ascontiguousarray(image[:, ::-1])
        moved = moved * [-1, 1] + [image.shape[1], 0]
        moved = moved[:, [1, 0, 3, 2]]  # clockwise from top-left again
    result = []
    for plate, points in zip(plates, moved, strict=True):
        result.append(_map(plate, lambda _, points=points: points))
    return image, result


def _visible(plates: Sequence[Plate], size: int) -> tuple[Plate, ...]:
    """Plates inside the crop, boxes cut at its edges; those cut too far or too small become ones to ignore."""
    kept = []
    for plate in plates:
        x1, y1 = max(plate.box.x1, 0.0), max(plate.box.y1, 0.0)
        x2, y2 = min(plate.box.x2, float(size)), min(plate.box.y2, float(size))
        if x2 - x1 < 1 or y2 - y1 < 1:
            continue
        share = (x2 - x1) * (y2 - y1) / plate.box.area
        usable = plate.legible and share >= MIN_VISIBLE and y2 - y1 >= MIN_HEIGHT
        whole = usable and share > 0.999
        kept.append(replace(plate, box=Box(x1, y1, x2, y2), quad=plate.quad if whole else None, legible=usable))
    return tuple(kept[:MAX_PLATES])


def pack(plates: Sequence[Plate]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Plates -> corners (MAX_PLATES, 6, 2): box's two, then quad's four, NaN where unknown; kinds (MAX_PLATES,).

    kinds: 0 nothing, 1 a plate, 2 to be ignored.
    """
    corners = np.full((MAX_PLATES, 6, 2), np.nan, np.float32)
    kinds = np.zeros(MAX_PLATES, np.uint8)
    for index, plate in enumerate(plates[:MAX_PLATES]):
        corners[index, :2] = np.array(plate.box.xyxy).reshape(2, 2)
        if plate.quad is not None:
            corners[index, 2:] = plate.quad.points
        kinds[index] = 1 if plate.legible else 2
    return corners, kinds
