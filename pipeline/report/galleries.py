"""Pictures of cases: what went wrong, sorted by reason, worst first; and a fair sample of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from pipeline import metrics
from pipeline.images import RGB, read_image, rectify
from pipeline.metrics import Case, Ghost, Outcome
from pipeline.records import Box, Quad
from pipeline.report import attribution

TRUTH, PREDICTION = (46, 160, 67), (218, 54, 51)  # green and red, RGB
TILE_WIDTH, TILE_HEIGHT, STRIP_HEIGHT, CAPTION_HEIGHT = 360, 270, 56, 44  # pixels
FALSE, NO_READ = "false plate", "no-read"
REASONS = {
    attribution.MISSED: "A plate that a person can read and that no detection overlaps by half (IoU 0.5).",
    attribution.BOX: "Found and read wrongly; shown the true box, the recogniser reads it right.",
    attribution.CROP: "Read wrongly even in the true box, but right where the crop is cut at the true corners.",
    attribution.CHARACTER: "Read wrongly even on the crop that is cut at the true corners.",
    FALSE: "A detection where there is no plate.",
    NO_READ: "No text is given: what was read is right but not sure enough, or nothing was seen at all.",
}
_MISSED_WEIGHT, _NO_READ_WEIGHT = 2.0, 0.25
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with one plate, or with one detection that is none; the larger `weight`, the worse."""

    reason: str
    weight: float
    words: str
    true: Quad | None  # corners, those of the box where no others are known; None of what is no plate
    seen: Quad | None  # corners as found
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A test case with what became of its plates; `focus` is the trouble to show, the worst where it is left open."""

    case: Case
    results: tuple[Outcome, ...]
    ghosts: tuple[Ghost, ...]
    troubles: tuple[Trouble, ...]
    focus: Trouble | None = None

    @property
    def badness(self) -> float:
        return sum(trouble.weight for trouble in self.troubles)

    @property
    def problems(self) -> tuple[str, ...]:
        """In words; of a case that is shown for one trouble, that alone."""
        chosen = (self.focus,) if self.focus else self.troubles
        return tuple(dict.fromkeys(trouble.words for trouble in chosen))


@dataclass(frozen=True, slots=True)
class Line:
    """A plate of a tile: its true text ('' where none is certain) and what each reader read on the detected crop."""

    truth: str
    read: Mapping[str, str]
    right: bool
    given: bool = True


@dataclass(frozen=True, slots=True)
class Tile:
    """One test picture, drawn: truth green, predictions red; below it the plate that matters most, upright."""

    name: str
    picture: RGB  # (h, w, 3) at most TILE_HEIGHT x TILE_WIDTH
    true: RGB | None  # (STRIP_HEIGHT, w, 3), w at most TILE_WIDTH: the plate at its true corners
    seen: RGB | None  # the same at the corners that were found
    problems: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def strip(self) -> RGB | None:
        """The one to show where there is room for one."""
        return self.seen if self.true is None else self.true


def judge(case: Case, min_score: float) -> Judged:
    """What went wrong on one picture. A missed plate weighs 2, a false one its score, a wrong text its share of wrong
    characters, a right one that is not given little."""
    results, ghosts = metrics.outcomes([case], min_score)
    _, counted = metrics.sought(case)  # a detection on a plate that nobody can read is no mistake
    false = [ghost for ghost in ghosts if ghost.detection in counted]
    troubles = [trouble for outcome in results if (trouble := _trouble(outcome)) is not None]
    for ghost in false:
        read, detection = ghost.read.get("network", ""), ghost.detection
        words = f"{FALSE}, read as {read}" if read else FALSE
        troubles.append(Trouble(FALSE, detection.score, words, None, detection.quad))
    return Judged(case, tuple(results), tuple(ghosts), tuple(troubles))


def _trouble(outcome: Outcome) -> Trouble | None:
    """What is wrong with the reading of one true plate."""
    plate, on_photo = outcome.plate, outcome.sample.kind == "photo"

    def trouble(reason: str, weight: float) -> Trouble:
        return Trouble(reason, weight, reason, *_corners(outcome), outcome)

    if on_photo and outcome.detection is None:
        return trouble(attribution.MISSED, _MISSED_WEIGHT) if plate.legible else None
    reading = (outcome.given if on_photo else outcome.readings).get("network")
    read = (outcome.detected if on_photo else outcome.labelled).get("network")
    if outcome.truth is None or reading is None or read is None:
        return None
    if read == outcome.truth:
        return None if reading.text else trouble(NO_READ, _NO_READ_WEIGHT * (1 - reading.score))
    weight = min(1.0, Levenshtein.normalized_distance(outcome.truth, read))
    reason = attribution.fault(outcome) if on_photo else attribution.CHARACTER
    if reason == attribution.CHARACTER and not read:
        return trouble(NO_READ, weight)
    return trouble(reason or attribution.CHARACTER, weight)


def _corners(outcome: Outcome) -> tuple[Quad, Quad | None]:
    """The true corners of a plate, and those that were found."""
    true = outcome.plate.quad or Quad.of_box(outcome.plate.box)
    return true, outcome.detection.quad if outcome.detection else None


def by_badness(cases: Iterable[Case], min_score: float) -> list[Judged]:
    """Worst first."""
    judged = [judge(case, min_score) for case in cases]
    return sorted(judged, key=lambda item: (-item.badness, item.case.sample.id, item.case.sample.image))


def by_reason(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """Reason -> a case for each trouble of that reason, worst first; every reason is there, in the order of REASONS."""
    found: dict[str, list[Judged]] = {reason: [] for reason in REASONS}
    for item in judged:
        for trouble in item.troubles:
            found[trouble.reason].append(Judged(item.case, item.results, item.ghosts, item.troubles, trouble))
    for items in found.values():
        items.sort(key=lambda item: (-(item.focus.weight if item.focus else 0.0), item.case.sample.id))
    return found


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items at even steps, both ends included: a fair sample of an ordered list."""
    if len(items) <= count:
        return list(items)
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, count).round()]


def draw(judged: Judged, images: Path) -> Tile:
    """Draws a case: truth green, detections red; and its plate of interest upright."""
    sample = judged.case.sample
    image = read_image(images / sample.image)
    scale = min(TILE_WIDTH / sample.width, TILE_HEIGHT / sample.height)
    size = (max(1, round(sample.width * scale)), max(1, round(sample.height * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.uint8)
    if sample.kind == "photo":
        for plate in sample.plates:
            _outline(picture, plate.quad or Quad.of_box(plate.box), scale, TRUTH)
        for detection in [o.detection for o in judged.results if o.detection] + [g.detection for g in judged.ghosts]:
            _outline(picture, detection.quad, scale, PREDICTION)
    focus = judged.focus or max(judged.troubles, key=lambda trouble: trouble.weight, default=None)
    if focus:
        true, seen = focus.true, focus.seen
    elif judged.results:
        true, seen = _corners(judged.results[0])[0], None
    else:
        true, seen = Quad.of_box(Box(0, 0, sample.width, sample.height)), None
    shown = [judged.focus.outcome] if judged.focus else judged.results
    return Tile(
        name=sample.image,
        picture=picture,
        true=_upright(image, true) if true else None,
        seen=_upright(image, seen) if seen else None,
        problems=judged.problems,
        lines=tuple(_line(outcome) for outcome in shown if outcome is not None),
    )


def _line(outcome: Outcome) -> Line:
    on_photo = outcome.sample.kind == "photo"
    read = outcome.detected if on_photo else outcome.labelled
    reading = (outcome.given if on_photo else outcome.readings).get("network")
    right = outcome.truth is not None and read.get("network") == outcome.truth
    return Line(outcome.truth or "", read, right, reading is None or bool(reading.text))


def _upright(image: RGB, quad: Quad) -> RGB:
    return rectify(image, quad, STRIP_HEIGHT, max_width=TILE_WIDTH)


def labelled_crops(case: Case, images: Path) -> list[tuple[RGB, str]]:
    """The plates of a case whose text is known, upright, with the text."""
    chosen = [(plate, text) for plate in case.sample.plates if (text := metrics.certain_text(plate))]
    if not chosen:
        return []
    image = read_image(images / case.sample.image)
    if case.sample.kind == "crop":
        return [(image, text) for _, text in chosen]
    return [(rectify(image, plate.quad or Quad.of_box(plate.box), STRIP_HEIGHT), text) for plate, text in chosen]


def _outline(picture: RGB, quad: Quad, scale: float, colour: tuple[int, int, int]) -> None:
    points = np.round(np.array(quad.points) * scale).astype(np.int32)
    cv2.polylines(picture, [points[:, None]], isClosed=True, color=colour, thickness=2, lineType=cv2.LINE_AA)


def sheet(tiles: Sequence[Tile], columns: int = 4) -> RGB:
    """All tiles in one picture, with their texts below them; a grey line of words where there are none."""
    height = TILE_HEIGHT + STRIP_HEIGHT + CAPTION_HEIGHT
    columns = max(1, min(columns, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    canvas = Image.new("RGB", (columns * (TILE_WIDTH + 8), rows * (height + 8)), (250, 250, 250))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    if not tiles:
        pen.text((16, height // 2), "nothing to show", (90, 90, 90), font)
    for index, tile in enumerate(tiles):
        x, y = (index % columns) * (TILE_WIDTH + 8) + 4, (index // columns) * (height + 8) + 4
        above, beside = (TILE_HEIGHT - tile.picture.shape[0]) // 2, (TILE_WIDTH - tile.picture.shape[1]) // 2
        canvas.paste(Image.fromarray(tile.picture), (x + beside, y + above))
        if tile.strip is not None:
            canvas.paste(Image.fromarray(tile.strip), (x + (TILE_WIDTH - tile.strip.shape[1]) // 2, y + TILE_HEIGHT))
        name = Path(tile.name).stem + (f": {'; '.join(tile.problems)}" if tile.problems else "")
        pen.text((x, y + height - CAPTION_HEIGHT + 3), name[:48], (60, 60, 60), font)
        start = 0.0
        for line in tile.lines[:2]:
            colour = TRUTH if line.right else PREDICTION
            text = f"{line.truth or '?'} > {line.read.get('network') or '-'}"
            pen.text((x + start, y + height - CAPTION_HEIGHT + 22), text, colour, font)
            start += font.getlength(f"{text}    ")
    return np.asarray(canvas, dtype=np.uint8)
