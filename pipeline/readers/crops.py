"""What the reader learns from, as arrays: real crops, distorted afresh each time they are drawn. No Keras here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import MAX_LENGTH
from pipeline.images import RGB
from pipeline.readers.reader import HEIGHT, WIDTH, Grey, encode, prepare, stretch
from pipeline.records import Box

MARGIN = 0.25  # of a plate's box, cut out around it so that the jitter finds pixels there

Labelled = tuple[NDArray[np.uint8], NDArray[np.int8]]  # (N, 64, 192) crops and (N, 12) labels


@dataclass(frozen=True, slots=True)
class RealCrop:
    """A photographed plate with the pixels around it. `corners` (4, 2) are the plate's, in the picture's pixels."""

    picture: RGB
    corners: NDArray[np.float32]
    text: str
    source: str = ""

    @classmethod
    def of_box(cls, photo: RGB, box: Box, text: str, source: str = "") -> RealCrop:
        """Cuts the box out of a photo with MARGIN around, repeating the photo's edge where it ends."""
        across, down = MARGIN * box.width, MARGIN * box.height
        target_width, target_height = _working_size(box.width, box.height)
        frame = np.array(
            [[box.x1 - across, box.y1 - down], [box.x2 + across, box.y1 - down], [box.x1 - across, box.y2 + down]],
            dtype=np.float32,
        )
        width, height = round(target_width * (1 + 2 * MARGIN)), round(target_height * (1 + 2 * MARGIN))
        onto = np.array([[0, 0], [width, 0], [0, height]], dtype=np.float32)
        picture = cv2.warpAffine(
            photo, cv2.getAffineTransform(frame, onto), (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        left, top = target_width * MARGIN, target_height * MARGIN
        right, bottom = left + target_width, top + target_height
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
        return cls(np.asarray(picture, dtype=np.uint8), corners, text, source)

    @property
    def plain(self) -> RGB:
        """The plate's own box, without its surroundings."""
        (left, top), _, (right, bottom), _ = np.rint(self.corners).astype(int)
        return self.picture[top:bottom, left:right]


def _working_size(width: float, height: float) -> tuple[int, int]:
    """At most twice the network's input: larger plates are shrunk once, not each time they are drawn."""
    scale = min(1.0, 2 * WIDTH / width, 2 * HEIGHT / height)
    return max(4, round(width * scale)), max(4, round(height * scale))


def draw(rng: np.random.Generator, real: RealCrop) -> Grey:
    """A real plate as another box, camera and light might have shown it: (64, 192) uint8."""
    width, height = real.corners[2] - real.corners[0]
    size = np.array([width, height], dtype=np.float32)
    outwards = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32)
    margin = rng.uniform(-0.02, 0.10, 2) * np.array([0.5, 1.0])
    corners = real.corners + outwards * size * margin.astype(np.float32)
    corners = corners + rng.normal(0, 0.02, (4, 2)).astype(np.float32) * size[1] * np.array([1.5, 1.0])
    corners[:, 1] += rng.normal(0, 0.03) * size[1] * np.array([-1, 1, 1, -1])  # leaning
    corners[:, 0] += rng.normal(0, 0.08) * size[1] * np.array([1, 1, -1, -1])  # slanting
    inner = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), inner)
    crop = cv2.warpPerspective(real.picture, transform, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return distort(rng, prepare(np.asarray(crop, dtype=np.uint8)), 1.0)


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
    chosen = [reals[int(index)] for index in rng.choice(len(reals), count, p=weights / weights.sum())]
    return stack([draw(rng, real) for real in chosen], [real.text for real in chosen])


def again(rng: np.random.Generator, count: int, past: Sequence[Labelled]) -> Labelled:
    """`count` crops out of earlier batches, each under other light: a tenth of the price of a rendered one."""
    chosen = [past[int(index)] for index in rng.integers(0, len(past), count)]
    places = [int(rng.integers(len(labels))) for _, labels in chosen]
    crops = [distort(rng, batch[place]) for (batch, _), place in zip(chosen, places, strict=True)]
    return np.stack(crops), np.stack([labels[place] for (_, labels), place in zip(chosen, places, strict=True)])


def stack(crops: Sequence[Grey], texts: Sequence[str]) -> Labelled:
    """Crops and their texts as arrays; no crops give arrays of length 0."""
    if not crops:
        return np.zeros((0, HEIGHT, WIDTH), np.uint8), np.zeros((0, MAX_LENGTH), np.int8)
    return np.stack(crops), np.stack([encode(text) for text in texts])


def as_input(crops: NDArray[Any]) -> NDArray[np.float32]:
    """(B, 64, 192) uint8 -> (B, 64, 192, 1) float32, what the network takes."""
    return crops[..., None].astype(np.float32)
