"""What the reader learns from, as arrays: real crops, distorted afresh each time they are drawn. No Keras here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import MAX_LENGTH
from pipeline.images import RGB
from pipeline.readers.decoding import PADDING, encode
from pipeline.readers.reader import HEIGHT, WIDTH, Grey, about_middle, prepare, stretch
from pipeline.records import Plate, Quad
from pipeline.rendering.catalogue import Catalogue

MARGIN = 0.25  # of a plate's box, cut out around it so that the jitter finds pixels there
LABEL = MAX_LENGTH + 2  # the characters' classes, padded; how many are in the upper row; the region's class
_PERMUTED = 0.5  # share of the draws of a crop with known character boxes whose characters change places

Labelled = tuple[NDArray[np.uint8], NDArray[np.int8]]  # (N, 64, 192) crops and (N, 14) labels
Points = NDArray[np.float32]


def region_codes() -> tuple[str, ...]:
    """The regions that the network tells apart, in the order of its outputs."""
    return Catalogue.shipped().regions


@dataclass(frozen=True, slots=True)
class Said:
    """What a crop says. `upper` of the text's characters come before its lower row; None where that is unknown."""

    text: str
    upper: int | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class RealCrop:
    """A photographed plate with the pixels around it. Corners and boxes are in the picture's pixels.

    corners (4, 2) are the plate's own where they are known, else its box's; char_boxes (N, 4) are x1, y1, x2, y2.
    """

    picture: RGB
    corners: Points
    said: Said
    source: str = ""
    char_boxes: Points | None = None

    @classmethod
    def of_plate(cls, photo: RGB, plate: Plate, text: str, source: str = "") -> RealCrop:
        """Cuts a plate out of a photo with MARGIN around, repeating the photo's edge where it ends."""
        box = plate.box
        across, down = MARGIN * box.width, MARGIN * box.height
        scale = min(1.0, 2 * WIDTH / box.width, 2 * HEIGHT / box.height)  # larger plates are shrunk once, here
        scale = max(scale, 4 / box.width, 4 / box.height)
        onto = np.array([[scale, 0, -scale * (box.x1 - across)], [0, scale, -scale * (box.y1 - down)]], np.float32)
        size = (round(scale * (box.width + 2 * across)), round(scale * (box.height + 2 * down)))
        soft = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        picture = cv2.warpAffine(photo, onto, size, flags=soft, borderMode=cv2.BORDER_REPLICATE)
        corners = np.array((plate.quad or Quad.of_box(box)).points, np.float32) * scale + onto[:, 2]
        characters = None
        if plate.char_boxes and len(plate.char_boxes) == len(text):
            characters = np.array([c.xyxy for c in plate.char_boxes], np.float32) * scale + np.tile(onto[:, 2], 2)
        upper = len(text) if plate.rows == 1 else None
        if plate.rows == 2 and characters is not None:
            upper = int((_rows(characters) == 0).sum())
        said = Said(text, upper, plate.region)
        return cls(np.asarray(picture, dtype=np.uint8), corners, said, source, characters)

    @property
    def upright(self) -> Points:
        """(4, 2) the corners of the smallest upright box around the plate."""
        (left, top), (right, bottom) = self.corners.min(axis=0), self.corners.max(axis=0)
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)

    @property
    def plain(self) -> RGB:
        """The plate's own box, without its surroundings."""
        (left, top), _, (right, bottom), _ = np.rint(self.upright).astype(int)
        return self.picture[max(0, top) : bottom, max(0, left) : right]


def _rows(char_boxes: Points) -> NDArray[np.intp]:
    """The row of each character, in reading order: the next begins where one stands further left."""
    return np.concatenate([[0], np.cumsum(np.diff(char_boxes[:, 0]) < 0)])


def permuted(rng: np.random.Generator, real: RealCrop) -> RealCrop:
    """The same plate with its characters in another order, each moved with the ground it stands on.

    Characters change places within a row, where their boxes are of one size (Gonçalves et al. 2018, and Laroca et al.
    2021, balance the characters of a data set in this way). Without character boxes it stays as it is.
    """
    if real.char_boxes is None:
        return real
    picture, text = real.picture.copy(), list(real.said.text)
    widths = real.char_boxes[:, 2] - real.char_boxes[:, 0]
    order = np.arange(len(text))
    rows = _rows(real.char_boxes)
    for row in range(int(rows[-1]) + 1):
        usual = np.median(widths[rows == row])
        alike = np.flatnonzero((rows == row) & (np.abs(widths - usual) < 0.25 * usual))
        order[alike] = rng.permutation(alike)
    for place, origin in enumerate(order):
        if place == origin:
            continue
        x1, y1, x2, y2 = _whole(real.char_boxes[place], picture)
        u1, v1, u2, v2 = _whole(real.char_boxes[origin], picture)
        if x2 - x1 < 2 or y2 - y1 < 2 or u2 - u1 < 2 or v2 - v1 < 2:
            return real
        moved = cv2.resize(real.picture[v1:v2, u1:u2], (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
        picture[y1:y2, x1:x2] = moved
        text[place] = real.said.text[origin]
    said = replace(real.said, text="".join(text), region=None)
    return replace(real, picture=picture, said=said)


def _whole(box: Points, picture: RGB) -> NDArray[np.intp]:
    """A character's box in whole pixels inside the picture, a pixel wider on each side: x1, y1, x2, y2."""
    height, width = picture.shape[:2]
    wider = np.rint(box) + np.array([-1, -1, 1, 1])
    inside: NDArray[np.intp] = np.clip(wider, 0, (width, height, width, height)).astype(np.intp)
    return inside


def draw(rng: np.random.Generator, real: RealCrop) -> Grey:
    """A real plate as another box, camera and light might have shown it: (64, 192) uint8.

    Half of the time it is cut out by its corners, else by an upright box around it.
    """
    shape = real.corners if rng.random() < 0.5 else real.upright
    across, down = shape[1] - shape[0], shape[3] - shape[0]
    height = float(np.hypot(*down))
    margin = rng.uniform(-0.02, 0.10, 2) * np.array([0.5, 1.0])
    outwards = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * margin.astype(np.float32)
    corners = shape + outwards[:, :1] * across + outwards[:, 1:] * down
    corners = corners + rng.normal(0, 0.02, (4, 2)).astype(np.float32) * height * np.array([1.5, 1.0])
    corners[:, 1] += rng.normal(0, 0.05) * height * np.array([-1, 1, 1, -1])  # leaning
    corners[:, 0] += rng.normal(0, 0.08) * height * np.array([1, 1, -1, -1])  # slanting
    inner = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), inner)
    crop = cv2.warpPerspective(real.picture, transform, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return distort(rng, prepare(np.asarray(crop, dtype=np.uint8)), 1.0)


def redrawn(rng: np.random.Generator, real: RealCrop) -> tuple[Grey, Said]:
    """A real crop as training sees it once: by chance with its characters in another order, then drawn."""
    if rng.random() < _PERMUTED:
        real = permuted(rng, real)
    return draw(rng, real), real.said


def distort(rng: np.random.Generator, grey: Grey, strength: float = 0.5) -> Grey:
    """Changes light, sharpness and grain of a prepared crop, never what it says. `strength` 0 to 1."""
    values: NDArray[Any] = grey.astype(np.float32)
    if rng.random() < 0.5 * strength:  # coarser pixels
        factor = rng.uniform(1.0, 2.5)
        small = cv2.resize(values, (int(WIDTH / factor), int(HEIGHT / factor)), interpolation=cv2.INTER_AREA)
        values = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3 * strength:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.6 * strength:
        values = 255.0 * (values / 255.0) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.3 * strength:  # light falling off to one side
        slope = np.linspace(-1, 1, WIDTH)[None] * rng.normal() + np.linspace(-1, 1, HEIGHT)[:, None] * rng.normal()
        values = values * np.clip(1 + 0.25 * slope, 0.3, 1.7)
    if rng.random() < 0.5 * strength:
        noise = rng.normal(0, rng.uniform(2, 14), (HEIGHT, WIDTH))
        values = values + noise
    return stretch(values)


def shifted(rng: np.random.Generator, grey: Grey) -> Grey:
    """A prepared crop cut a little differently: shifted, scaled, slanted, leaning."""
    scale = 1 + rng.normal(0, 0.03, 2)
    slant, lean = rng.normal(0, 0.1), rng.normal(0, 0.02)
    matrix = about_middle(np.array([[scale[0], slant], [lean, scale[1]]]))
    matrix[:, 2] += rng.normal(0, (2.5, 1.5))
    moved = cv2.warpAffine(grey, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)


def draw_nothing(rng: np.random.Generator) -> Grey:
    """A crop that says nothing: flat, shaded or noisy. Its label is the empty text."""
    coarse = rng.normal(0, 1, (int(rng.integers(1, 9)), int(rng.integers(1, 17)))).astype(np.float32)
    values = 128 + rng.uniform(0, 60) * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return stretch(values + rng.normal(0, rng.uniform(0, 20), (HEIGHT, WIDTH)))


def real_batch(rng: np.random.Generator, count: int, reals: Sequence[RealCrop]) -> Labelled:
    """`count` real crops chosen with replacement, each distorted anew.

    A source is chosen by the square root of its size, so that a large one does not drown the others.
    """
    sizes = Counter(real.source for real in reals)
    weights = np.array([sizes[real.source] ** -0.5 for real in reals])
    chosen = rng.choice(len(reals), count, p=weights / weights.sum())
    drawn = [redrawn(rng, reals[int(index)]) for index in chosen]
    return stack([crop for crop, _ in drawn], [said for _, said in drawn])


def again(rng: np.random.Generator, count: int, past: Sequence[Labelled]) -> Labelled:
    """`count` crops out of earlier batches, each cut and lit anew: a fifth of the price of a rendered one."""
    chosen = [past[int(index)] for index in rng.integers(0, len(past), count)]
    places = [int(rng.integers(len(labels))) for _, labels in chosen]
    crops = [distort(rng, shifted(rng, batch[place])) for (batch, _), place in zip(chosen, places, strict=True)]
    return np.stack(crops), np.stack([labels[place] for (_, labels), place in zip(chosen, places, strict=True)])


def stack(crops: Sequence[Grey], said: Sequence[Said]) -> Labelled:
    """Crops and what they say as arrays, -1 for what is unknown; no crops give arrays of length 0."""
    if not crops:
        return np.zeros((0, HEIGHT, WIDTH), np.uint8), np.zeros((0, LABEL), np.int8)
    labels = np.full((len(said), LABEL), PADDING, np.int8)
    codes = region_codes()
    for row, one in zip(labels, said, strict=True):
        row[:MAX_LENGTH] = encode(one.text)
        row[MAX_LENGTH] = PADDING if one.upper is None else one.upper
        row[MAX_LENGTH + 1] = codes.index(one.region) if one.region in codes else PADDING
    return np.stack(crops), labels


def as_input(crops: NDArray[Any]) -> NDArray[np.float32]:
    """(B, 64, 192) uint8 -> (B, 64, 192, 1) float32, what the network takes."""
    return crops[..., None].astype(np.float32)
