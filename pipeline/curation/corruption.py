"""Labels made wrong on purpose, to measure whether the queue finds them: seeded, one wrong label a picture.

What is wrong with labels in practice, each to a quarter of the pictures that are chosen:

retyped   one or two characters of a text are replaced by others of the alphabet
shifted   a box, with its corners, is moved by up to 0.6 of its width and height, such that its IoU with the truth is
          between 0.2 and 0.55; it stays inside the picture
dropped   a plate is left out
added     a box where no plate is: 0.7 to 1.4 times as large as one of the picture's plates, without a text, anywhere on
          the picture where it touches no labelled plate

Plates that are not legible are left as they are; they count neither way in the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from pipeline import boxes
from pipeline.alphabet import CHARACTERS
from pipeline.records import Box, Plate, Quad, Sample

Kind = Literal["retyped", "shifted", "dropped", "added"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # the one that fewest pictures admit first: not every plate has a text

FARTHEST = 0.6  # of a box's width and height, that a shift moves it
LEAST_IOU, MOST_IOU = 0.2, 0.55  # of a shifted box with the true one
SIZES = (0.7, 1.4)  # of an added box, times a plate of the picture
SHARES, ASPECTS = (0.1, 0.25), (2.5, 5.0)  # of an added box on a picture without plates: of its width; width by height
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Corruption:
    """What is wrong. `plate` is its place among the true sample's plates; of an added one, among the wrong sample's."""

    sample: str
    kind: Kind
    plate: int


def corrupt(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Corruption]]:
    """The samples, in order, of which that share of the photos has one wrong label each, and what is wrong.

    The kinds are spread evenly, their remainder by lot. Fewer photos are changed where no more admit a kind.
    """
    rng = np.random.default_rng(seed)
    waiting = [int(index) for index in rng.permutation([i for i, one in enumerate(samples) if one.kind == "photo"])]
    lots = rng.permutation(len(KINDS))
    wanted = sorted(int(lots[number % len(KINDS)]) for number in range(round(share * len(waiting))))
    changed, made = list(samples), []
    for kind in (KINDS[number] for number in wanted):
        for index in waiting:
            wrong = _MAKE[kind](samples[index], rng)
            if wrong is not None:
                plates, place = wrong
                changed[index] = replace(samples[index], plates=plates)
                made.append(Corruption(samples[index].id, kind, place))
                waiting.remove(index)
                break
    return changed, sorted(made, key=lambda one: one.sample)


Wrong = tuple[tuple[Plate, ...], int]  # a picture's plates, and the place of the wrong one


def _retyped(sample: Sample, rng: np.random.Generator) -> Wrong | None:
    place = _drawn(sample, rng, lambda plate: any(character in CHARACTERS for character in plate.text or ""))
    if place is None:
        return None
    characters = list(sample.plates[place].text or "")
    known = [at for at, character in enumerate(characters) if character in CHARACTERS]
    for at in rng.permutation(known)[: int(rng.integers(1, 3))]:
        characters[at] = str(rng.choice([other for other in CHARACTERS if other != characters[at]]))
    return _with(sample, place, replace(sample.plates[place], text="".join(characters))), place


def _shifted(sample: Sample, rng: np.random.Generator) -> Wrong | None:
    place = _drawn(sample, rng)
    if place is None:
        return None
    truth = sample.plates[place]
    for across, down in rng.uniform(-FARTHEST, FARTHEST, (_TRIES, 2)):
        moved = _moved(truth, float(across) * truth.box.width, float(down) * truth.box.height)
        overlap = float(boxes.iou(np.array([truth.box.xyxy]), np.array([moved.box.xyxy]))[0, 0])
        if LEAST_IOU <= overlap <= MOST_IOU and _inside(moved.box, sample):
            return _with(sample, place, moved), place
    return None


def _dropped(sample: Sample, rng: np.random.Generator) -> Wrong | None:
    place = _drawn(sample, rng)
    return None if place is None else (sample.plates[:place] + sample.plates[place + 1 :], place)


def _added(sample: Sample, rng: np.random.Generator) -> Wrong | None:
    labelled = np.array([plate.box.xyxy for plate in sample.plates]).reshape(-1, 4)
    model = _drawn(sample, rng)
    for _ in range(_TRIES):
        if model is None:
            width = rng.uniform(*SHARES) * sample.width
            height = width / rng.uniform(*ASPECTS)
        else:
            width, height = rng.uniform(*SIZES) * np.array(
                [sample.plates[model].box.width, sample.plates[model].box.height]
            )
        x, y = rng.uniform(0, 1, 2) * (sample.width - width, sample.height - height)
        box = Box(float(x), float(y), float(x + width), float(y + height))
        if _inside(box, sample) and not boxes.iou(np.array([box.xyxy]), labelled).any():
            return (*sample.plates, Plate(box)), len(sample.plates)
    return None


_MAKE: Mapping[Kind, Callable[[Sample, np.random.Generator], Wrong | None]] = {
    "retyped": _retyped,
    "shifted": _shifted,
    "dropped": _dropped,
    "added": _added,
}


def _drawn(
    sample: Sample, rng: np.random.Generator, admits: Callable[[Plate], bool] = lambda plate: True
) -> int | None:
    """The place of a legible plate that is admitted; None where there is none."""
    places = [place for place, plate in enumerate(sample.plates) if plate.legible and admits(plate)]
    return int(rng.choice(places)) if places else None


def _with(sample: Sample, place: int, plate: Plate) -> tuple[Plate, ...]:
    return (*sample.plates[:place], plate, *sample.plates[place + 1 :])


def _moved(plate: Plate, across: float, down: float) -> Plate:
    """The plate with its box, corners and characters moved by so many pixels."""

    def moved(box: Box) -> Box:
        return Box(box.x1 + across, box.y1 + down, box.x2 + across, box.y2 + down)

    quad = None if plate.quad is None else Quad(*((x + across, y + down) for x, y in plate.quad.points))
    return replace(plate, box=moved(plate.box), quad=quad, char_boxes=tuple(moved(box) for box in plate.char_boxes))


def _inside(box: Box, sample: Sample) -> bool:
    return box.x1 >= 0 and box.y1 >= 0 and box.x2 <= sample.width and box.y2 <= sample.height
