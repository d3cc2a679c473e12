"""Measures what a video adds to its frames: tracks, their fused readings, and how gapless plates are blurred.

python -m pipeline.benchmarks.tracks --out docs/bench-tracks.md

UFPR-ALPR, the set of such tracks, needs its authors' licence and is not here. Clips of its kind are rendered: 30 frames
a second of one vehicle, which moves, comes nearer or leaves, under shake, motion blur, focus, glare, exposure and noise
that differ from frame to frame. In street clips two vehicles drive past each other, and frames are 0.2 s apart. The
recogniser that ships looks at every frame. The seeds are not those that anything in serving/tracks.py was chosen on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rich.progress import track as progress

from pipeline.benchmarks.pages import figure, heading, line
from pipeline.bundle import Bundle
from pipeline.calibration import Calibration, expected_error
from pipeline.checkpoints import SHIPPED
from pipeline.images import RGB
from pipeline.manifest import replacing
from pipeline.metrics import Bootstrap, box_array, match, ratio, section
from pipeline.readers.decoding import ReaderError
from pipeline.readers.reader import Reader
from pipeline.readers.tesseract import TesseractReader
from pipeline.recognizer import MIN_SCORE, Recognizer, cut
from pipeline.records import Detection, Quad, Reading, Recognition
from pipeline.rendering import wear
from pipeline.rendering.backdrops import draw_backdrop
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.pasting import lay, plate_alpha
from pipeline.rendering.perspective import Corners, homography, rectangle, through, turned_quad
from pipeline.rendering.plates import RenderedPlate, render_plate
from pipeline.rendering.vehicles import Vehicle, draw_vehicle
from pipeline.serving import redaction
from pipeline.serving.tracks import LEAST_SCORE, Track, Tracker
from pipeline.serving.video import Frame

WIDTH, HEIGHT = 640, 360  # pixels of a frame
FRAMES, RATE = 30, 30  # of a clip, and a second, as in UFPR-ALPR
STREET_FRAMES, STREET_EVERY = 24, 0.2  # of a street clip, and seconds between them
TUNED_ON = 11  # the seed of the clips that fusing was tuned on
TRACKING = ("clips", "number", "plates", "never found", "tracks", "in one track", "mixed", "strangers", "exact")
READ = 40  # clips whose plates are read before and after they are blurred: Tesseract is slow
COVERED = 0.9  # of a plate's area, from which it counts as blurred
Row = tuple[str, float, float]  # clip, part, whole


# Clips


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a plate is: its centre and width in pixels, and how it is turned, in degrees."""

    x: float
    y: float
    width: float
    yaw: float
    pitch: float
    roll: float

    def towards(self, other: Pose, share: float) -> Pose:
        """Between two poses; a width grows by factors, as that of what comes nearer does."""
        x, y, _, yaw, pitch, roll = (
            getattr(self, name) + share * (getattr(other, name) - getattr(self, name)) for name in self.__slots__
        )
        return Pose(x, y, self.width * (other.width / self.width) ** share, yaw, pitch, roll)


@dataclass(frozen=True, slots=True)
class Driver:
    """A vehicle with its plate, and the poses that it drives between."""

    plate: RenderedPlate
    vehicle: Vehicle
    start: Pose
    end: Pose
    distance: float  # of the camera, in plate widths

    def quad(self, share: float) -> Corners:
        """(4, 2) the plate's corners when this share of the way is done."""
        pose = self.start.towards(self.end, share)
        aspect = self.plate.image.shape[1] / self.plate.image.shape[0]
        return turned_quad(1.0, 1 / aspect, pose.yaw, pose.pitch, pose.roll, self.distance) * pose.width + (
            pose.x,
            pose.y,
        )


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame, `time` seconds after the first, and the true corners and texts of its plates."""

    time: float
    image: RGB
    quads: tuple[Quad, ...]
    texts: tuple[str, ...]


def clip(seed: Sequence[int]) -> Iterator[Shot]:
    """FRAMES frames of one vehicle, RATE a second. The same seed gives the same pixels."""
    rng = np.random.default_rng(seed)
    width = math.exp(rng.uniform(math.log(48), math.log(110)))
    last = width * math.exp(rng.uniform(math.log(0.65), math.log(1.9)))
    x, y = rng.uniform(0.3, 0.7) * WIDTH, rng.uniform(0.45, 0.8) * HEIGHT
    to_x, to_y = np.clip((x + rng.normal(0, 110), y + rng.normal(0, 40)), (last, 60), (WIDTH - last, HEIGHT - 40))
    turn, more = np.clip(rng.normal(0, (16, 8, 4)), (-40, -20, -12), (40, 20, 12)), rng.normal(0, (8, 4, 2))
    driver = _driver(rng, Pose(x, y, width, *turn), Pose(float(to_x), float(to_y), last, *(turn + more)))
    yield from _shots(rng, [driver], FRAMES, 1 / RATE)


def street(seed: Sequence[int]) -> Iterator[Shot]:
    """STREET_FRAMES frames, 0.2 s apart, of two vehicles that cross the frame in opposite directions."""
    rng = np.random.default_rng(seed)
    drivers = []
    for heading_, depth in ((1, rng.uniform(0.35, 0.5)), (-1, rng.uniform(0.55, 0.85))):
        width = math.exp(rng.uniform(math.log(44), math.log(80))) * (0.6 + 0.6 * depth)
        turn = (heading_ * rng.uniform(5, 35), rng.uniform(-6, 6), rng.uniform(-3, 3))
        begin, length = rng.uniform(-0.5, 0.1), rng.uniform(1.2, 3.0)  # of the frame's width
        ends = [0.5 + heading_ * (share - 0.5) for share in (begin, begin + length)]
        start, end = (Pose(share * WIDTH, depth * HEIGHT, width, *turn) for share in ends)
        drivers.append(_driver(rng, start, replace(end, width=width * rng.uniform(0.8, 1.25))))
    yield from _shots(rng, drivers, STREET_FRAMES, STREET_EVERY)


def _driver(rng: np.random.Generator, start: Pose, end: Pose) -> Driver:
    book = FontBook.reproducible()
    plate = render_plate(rng, Catalogue.shipped().choose(rng), None, 96, book)
    vehicle = draw_vehicle(rng, 150, plate.image.shape[1] / plate.image.shape[0], book)
    image = wear.dirt(rng, plate.image, rng.uniform(0.1, 0.5)) if rng.random() < 0.3 else plate.image
    gain = wear.light(rng, *image.shape[:2]) * np.float32(rng.uniform(0.75, 1.05))
    image = wear.tone(image, gain, 1.0, rng.uniform(0, 12), (1.0, 1.0, 1.0))
    return Driver(replace(plate, image=image), vehicle, start, end, rng.uniform(3, 12))


def _shots(rng: np.random.Generator, drivers: Sequence[Driver], count: int, every: float) -> Iterator[Shot]:
    """The camera: what is the same for a whole clip is drawn once, what is not for each frame."""
    backdrop = draw_backdrop(rng, WIDTH, HEIGHT, FontBook.reproducible())
    exposure = rng.uniform(0.3, 0.6) if rng.random() < 0.1 else math.exp(rng.normal(0, 0.18))
    gain = wear.light(rng, HEIGHT, WIDTH, 0.6) * np.float32(exposure)
    red, green, blue = (float(value) for value in np.exp(rng.normal(0, 0.05, 3)))
    haze, grain, quality = rng.uniform(0, 12), abs(rng.normal(0, 7)), int(rng.integers(35, 90))
    shutter, shake, focus = rng.uniform(0.1, 0.7) / RATE, abs(rng.normal(0, 0.9)), abs(rng.normal(0.3, 0.45))
    glares = bool(rng.random() < 0.5)
    place, drift = rng.uniform(-0.5, 0.5, 2), rng.normal(0, 0.06, 2)
    wander: NDArray[np.float64] = np.zeros(2)
    for index in range(count):
        share = index / (count - 1)
        step = rng.normal(0, 1.4 * shake, 2)
        wander = 0.8 * wander + step
        quads = [driver.quad(share) + wander for driver in drivers]
        image = backdrop.copy()
        for driver, quad in zip(drivers, quads, strict=True):
            _draw(image, driver, quad)
        light = gain * np.float32(math.exp(rng.normal(0, 0.08)))
        if glares:  # a spot of light that moves over the first plate
            place = place + drift + rng.normal(0, 0.1, 2)
            drift = -drift if np.abs(place).max() > 0.9 else drift
            light = light + _glare(quads[0], place, rng.uniform(0.3, 1.6))
        image = wear.tone(image, light, 1.0, haze, (red, green, blue))
        moved = (drivers[0].quad(share).mean(axis=0) - drivers[0].quad(share - 0.01).mean(axis=0)) * 100
        speed = moved / ((count - 1) * every) + step * RATE  # pixels a second
        length = float(np.linalg.norm(speed)) * shutter * rng.uniform(0.6, 1.6)
        if length > 0.8:
            kernel = wear.motion_kernel(max(1.5, length), math.degrees(math.atan2(speed[1], speed[0])))
            image = np.asarray(cv2.filter2D(image, -1, kernel), dtype=np.uint8)
        if (soft := focus * rng.uniform(0.4, 1.7)) > 0.3:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), soft), dtype=np.uint8)
        image = wear.jpeg(wear.noise(rng, image, grain * rng.uniform(0.7, 1.3)), quality)
        truth = tuple(Quad(*((float(x), float(y)) for x, y in quad)) for quad in quads)
        yield Shot(index * every, image, truth, tuple(driver.plate.text for driver in drivers))


def _draw(image: RGB, driver: Driver, quad: Corners) -> None:
    picture, (tall, wide) = driver.vehicle.picture, driver.plate.image.shape[:2]
    around = through(homography(driver.vehicle.plate, quad), rectangle(picture.shape[1], picture.shape[0]))
    lay(image, picture, driver.vehicle.alpha, around)
    lay(image, driver.plate.image, plate_alpha(tall, wide, 0.05 * tall), quad)


def _glare(quad: Corners, place: NDArray[np.float64], strength: float) -> wear.Field:
    """(HEIGHT, WIDTH) light added round a place given in the plate's own sizes from its middle."""
    size = np.ptp(quad, axis=0)
    middle, reach = quad.mean(axis=0) + place * size, size * (0.3, 0.8)
    across = ((np.arange(WIDTH) - middle[0]) / reach[0])[None, :]
    down = ((np.arange(HEIGHT) - middle[1]) / reach[1])[:, None]
    return np.asarray(strength * np.exp(-(across**2) - down**2), dtype=np.float32)


# What the recogniser and the tracker make of them


@dataclass(frozen=True, slots=True)
class Watched:
    """A clip as it was recognised: for each frame its truth, its recognitions, and of each of these the true plate's
    index (-1: none) and the track's number. The pixels of the middle frame are kept."""

    name: str
    times: tuple[float, ...]
    quads: tuple[tuple[Quad, ...], ...]
    texts: tuple[str, ...]
    recognitions: tuple[tuple[Recognition, ...], ...]
    truths: tuple[tuple[int, ...], ...]
    numbers: tuple[tuple[int | None, ...], ...]
    tracks: tuple[Track, ...]
    middle: RGB


def watch(name: str, shots: Sequence[Shot], recognizer: Recognizer, min_text_score: float) -> Watched:
    """Recognises and tracks a clip."""
    tracker = Tracker(min_text_score=min_text_score)
    tracks, recognitions, truths, numbers = list[Track](), [], [], []
    for shot in shots:
        found = recognizer.recognize([shot.image], LEAST_SCORE)[0]
        tracks += tracker.update(shot.time, found)
        recognitions.append(tuple(found))
        numbers.append(tuple(tracker.assigned))
        boxes = np.array([quad.box.xyxy for quad in shot.quads])
        truths.append(tuple(int(i) for i in match(boxes, box_array([one.detection for one in found]), 0.5)))
    tracks += tracker.finish()
    return Watched(
        name=name,
        times=tuple(shot.time for shot in shots),
        quads=tuple(shot.quads for shot in shots),
        texts=shots[0].texts,
        recognitions=tuple(recognitions),
        truths=tuple(truths),
        numbers=tuple(numbers),
        tracks=tuple(tracks),
        middle=shots[len(shots) // 2].image,
    )


def sighted(watched: Watched, plate: int) -> list[tuple[int, Recognition, int | None]]:
    """(frame, recognition, track number) of every time that the true plate of this index was found."""
    return [
        (index, one, number)
        for index, (found, truths, numbers) in enumerate(
            zip(watched.recognitions, watched.truths, watched.numbers, strict=True)
        )
        for one, truth, number in zip(found, truths, numbers, strict=True)
        if truth == plate
    ]


def main_track(watched: Watched, plate: int) -> Track | None:
    """The track that holds most of a plate's sightings."""
    counts = Counter(number for _, _, number in sighted(watched, plate) if number is not None)
    if not counts:
        return None
    number = counts.most_common(1)[0][0]
    return next(track for track in watched.tracks if track.number == number)


# Figures


def reading_figures(clips: Sequence[Watched], bootstrap: Bootstrap) -> list[str]:
    """The table of single frames, best frames and fused readings."""
    singles: list[tuple[str, str, Reading | None]] = []
    bests: list[tuple[str, str, Reading | None]] = []
    fused: list[tuple[str, str, Reading | None]] = []
    for watched in clips:
        truth, own, track = watched.texts[0], dict[int, Reading](), main_track(watched, 0)
        for index, one, _ in sighted(watched, 0):
            if one.detection.score >= MIN_SCORE:
                own[index] = one.reading
        singles += [(watched.name, truth, own.get(index)) for index in range(len(watched.times))]
        bests.append((watched.name, truth, track.best.recognition.reading if track else None))
        fused.append((watched.name, truth, track.reading if track else None))
    rows = heading(["read from", "exact match", "CER", "answered", "wrong among answered", "calibration error"])
    names = ("a single frame, on average", "the frame with the highest score", "fused")
    rows += [_reading_line(name, part, bootstrap) for name, part in zip(names, (singles, bests, fused), strict=True)]
    right = {name: _exact(truth, reading) for name, truth, reading in fused}
    frames = {name: [_exact(t, r) for n, t, r in singles if n == name] for name in right}
    best = {name: _exact(truth, reading) for name, truth, reading in bests}
    gains = {
        "over a single frame": [(name, right[name] - float(np.mean(frames[name])), 1.0) for name in right],
        "over the best frame": [(name, float(right[name]) - best[name], 1.0) for name in right],
    }
    figures = section({name: ratio(part, bootstrap, "no clip") for name, part in gains.items()})
    return [*rows, "", *(f"Gained by fusing {name}: {figure(figures, name)} of exact match." for name in gains)]


def _exact(truth: str, reading: Reading | None) -> bool:
    return reading is not None and reading.best == truth


def _reading_line(name: str, part: Sequence[tuple[str, str, Reading | None]], bootstrap: Bootstrap) -> str:
    given = [(group, truth, reading) for group, truth, reading in part if reading and reading.text]
    shown = section(
        {
            "exact": ratio([(g, _exact(t, r), 1) for g, t, r in part], bootstrap, "no clip"),
            "cer": ratio(
                [(g, Levenshtein.distance(t, r.best if r else ""), len(t)) for g, t, r in part], bootstrap, "no clip"
            ),
            "answered": ratio([(g, bool(r and r.text), 1) for g, _, r in part], bootstrap, "no clip"),
            "wrong": ratio([(g, not _exact(t, r), 1) for g, t, r in given], bootstrap, "none answered"),
        }
    )
    read = [(truth, reading) for _, truth, reading in part if reading]
    error = expected_error(np.array([r.score for _, r in read]), np.array([r.best == t for t, r in read], np.bool_))
    return line([name, *(figure(shown, key) for key in ("exact", "cer", "answered", "wrong")), f"{error:.3f}"])


def tracking_line(name: str, clips: Sequence[Watched], bootstrap: Bootstrap) -> str:
    """How many plates have one track, and how many tracks one plate."""
    alone: list[Row] = []
    mixed, strangers, tracks, plates, exact = 0, 0, 0, 0, []
    for watched in clips:
        held: dict[int, set[int]] = {track.number: set() for track in watched.tracks}
        for plate, text in enumerate(watched.texts):
            own = {number for _, _, number in sighted(watched, plate) if number is not None}
            for number in own:
                held[number].add(plate)
            if own:
                alone.append((watched.name, len(own) == 1, 1))
                track = main_track(watched, plate)
                exact.append((watched.name, _exact(text, track.reading if track else None), 1))
        plates += len(watched.texts)
        tracks += len(held)
        mixed += sum(len(one) > 1 for one in held.values())
        strangers += sum(not one for one in held.values())
    figures = section(
        {"alone": ratio(alone, bootstrap, "no plate"), "exact": ratio(exact, bootstrap, "no plate")},
    )
    numbers = [f"{len(clips)}", f"{plates}", f"{plates - len(alone)}", f"{tracks}"]
    return line([name, *numbers, figure(figures, "alone"), f"{mixed}", f"{strangers}", figure(figures, "exact")])


class _Replay:
    """A detector that gives what was found before, frame by frame."""

    def __init__(self, watched: Watched) -> None:
        self._found = iter(watched.recognitions)

    def detect(self, images: list[RGB], min_score: float) -> list[list[Detection]]:
        found = [[one.detection for one in next(self._found)] for _ in images]
        return [[one for one in own if one.score >= min_score] for own in found]


def blurred(watched: Watched, hold: int) -> list[bool]:
    """For each frame and plate inside of it: whether COVERED of it is blurred; `hold` as redaction.Held has it."""
    frames = [Frame(i, time, watched.middle) for i, time in enumerate(watched.times)]
    held = redaction.Held(_Replay(watched), redaction.MIN_SCORE, redaction.MARGIN, hold)
    return [
        _share(np.asarray(quad.points), outlines) >= COVERED
        for (_, outlines), quads in zip(held.over(frames), watched.quads, strict=True)
        for quad in quads
        if quad.box.x1 >= 0 and quad.box.y1 >= 0 and quad.box.x2 <= WIDTH and quad.box.y2 <= HEIGHT
    ]


def _share(quad: Corners, outlines: Sequence[redaction.Outline]) -> float:
    """Of a quad's area, what the outlines cover; on a grid of quarter pixels."""
    low = quad.min(axis=0)
    size = np.ceil(4 * np.ptp(quad, axis=0)).astype(int) + 1

    def mask(parts: Sequence[Corners]) -> NDArray[np.uint8]:
        drawn = np.zeros((size[1], size[0]), np.uint8)
        for part in parts:
            cv2.fillConvexPoly(drawn, np.round(4 * (part - low)).astype(np.int32), 1)
        return drawn

    true = mask([quad])
    return float((true & mask(outlines)).sum() / max(int(true.sum()), 1))


def blurring_figures(kinds: dict[str, Sequence[Watched]], bootstrap: Bootstrap) -> list[str]:
    """The table of plates left uncovered, with and without holding them over gaps."""
    rows = heading(["clips", "plates in frames", "missed, each frame by itself", "missed, held over gaps"])
    for name, clips in kinds.items():
        parts: dict[str, list[Row]] = {"alone": [], "held": []}
        for watched in clips:
            hold = redaction.held_frames(1 / (watched.times[1] - watched.times[0]))
            for key, length in (("alone", 0), ("held", hold)):
                parts[key] += [(watched.name, not covered, 1) for covered in blurred(watched, length)]
        figures = section({key: ratio(part, bootstrap, "no plate") for key, part in parts.items()})
        rows.append(line([name, f"{len(parts['held'])}", figure(figures, "alone"), figure(figures, "held")]))
    return rows


def reading_after(clips: Sequence[Watched], readers: dict[str, Reader], bootstrap: Bootstrap) -> list[str]:
    """The table of plates read before and after they are blurred, cut out at their true corners."""
    rows = heading(["reader", "exact before", "exact after", "text given after", "likeness after", "by chance"])
    before, after, clips = [], [], clips[:READ]
    for watched in clips:
        middle = len(watched.times) // 2
        found = [one.detection for one in watched.recognitions[middle]]
        quad = watched.quads[middle][0]
        hidden = redaction.redact(watched.middle, found)
        before.append(cut(watched.middle, quad.box, quad))
        after.append(cut(hidden, quad.box, quad))
    truths = [watched.texts[0] for watched in clips]
    for name, reader in readers.items():
        seen, hidden_seen = reader.read(before), reader.read(after)
        values: dict[str, Sequence[float]] = {
            "before": [_exact(truth, one) for truth, one in zip(truths, seen, strict=True)],
            "after": [_exact(truth, one) for truth, one in zip(truths, hidden_seen, strict=True)],
            "given": [bool(one.text) for one in hidden_seen],
            "own": _likeness(hidden_seen, truths),
            "chance": _likeness(hidden_seen, [*truths[1:], *truths[:1]]),
        }
        names = [watched.name for watched in clips]
        figures = section(
            {
                key: ratio([(n, float(v), 1.0) for n, v in zip(names, own, strict=True)], bootstrap, "no clip")
                for key, own in values.items()
            }
        )
        rows.append(line([name, *(figure(figures, key) for key in values)]))
    return rows


def _likeness(readings: Sequence[Reading], truths: Sequence[str]) -> list[float]:
    """1 minus edit distance over length, of each reading from a text."""
    return [Levenshtein.normalized_similarity(one.best, truth) for one, truth in zip(readings, truths, strict=True)]


# The page


def page(clips: Sequence[Watched], streets: Sequence[Watched], reader: Reader, seed: int, bootstrap: Bootstrap) -> str:
    """All tables, with what they are of."""
    kinds = {"one vehicle, 30 frames a second": clips, "street, 5 frames a second": streets}
    readers = {"reader that ships": reader}
    try:
        readers["Tesseract"] = TesseractReader()
    except ReaderError as error:
        print(f"bench-tracks: left out: {error}")
    return "\n".join(
        [
            f"{len(clips)} rendered clips of one vehicle, {FRAMES} frames each at {RATE} a second, and {len(streets)} "
            f"street clips, {STREET_FRAMES} frames each, {STREET_EVERY} s apart, with two vehicles that pass each "
            f"other; {WIDTH} x {HEIGHT} pixels, seed {seed}. UFPR-ALPR, which has such tracks of real vehicles, needs "
            "its authors' licence and is not here: these figures say what fusing adds, not how well real videos are "
            "read. In brackets the 95 % interval over clips.",
            "",
            "**Reading**, clips of one vehicle. Of the text or, where none is given, of the best guess; a plate that "
            "is not found counts as not read. Answered: a text is given; calibration error: between scores and how "
            "often they are right.",
            "",
            *reading_figures(clips, bootstrap),
            "",
            "**Tracking**. Of the plates that were found at all: in one track, and read exactly from the track that "
            "has most of it. Mixed: tracks that hold two plates; strangers: tracks of no plate, but mostly of the "
            "lettering that rendered backdrops are full of.",
            "",
            *heading(TRACKING),
            *(tracking_line(name, own, bootstrap) for name, own in kinds.items()),
            "",
            f"**Blurring** (`alpr redact`), detections from a score of {redaction.MIN_SCORE}. Of the plates inside the "
            f"frame, those that are not blurred to {COVERED:.0%} of their area.",
            "",
            *blurring_figures(kinds, bootstrap),
            "",
            f"The plates of the middle frames of {min(READ, len(clips))} clips of one vehicle, cut out at their true "
            "corners, read before and after. Likeness: 1 minus edit distance over length; by chance: to another clip's "
            "plate.",
            "",
            *reading_after(clips, readers, bootstrap),
            "",
        ]
    )


def main(
    out: Annotated[Path, typer.Option(help="the page, as Markdown")] = Path("docs/bench-tracks.md"),
    model: Annotated[Path, typer.Option(help="a folder with a bundle.json")] = SHIPPED / "export",
    clips: Annotated[int, typer.Option(help="clips of one vehicle")] = 72,
    streets: Annotated[int, typer.Option(help="clips of two vehicles that pass each other")] = 20,
    seed: Annotated[int, typer.Option(help=f"any but {TUNED_ON}, on which fusing was tuned")] = 2026,
    bootstrap: int = 2000,
) -> None:
    """Measures, prints, and writes the page."""
    try:
        recognizer = Recognizer.load(model, threads=1)
        threshold = Calibration.of(Bundle.load(model).reader["calibration"]).threshold
        kinds = {"clips": (clip, clips), "streets": (street, streets)}
        watched = {
            name: [
                watch(f"{name} {index}", list(draw([seed, index])), recognizer, threshold)
                for index in progress(range(count), description=name)
            ]
            for name, (draw, count) in kinds.items()
        }
        text = page(watched["clips"], watched["streets"], recognizer.reader, seed, Bootstrap(bootstrap, 7))
        with replacing(out) as file:
            file.write(text)
    except (ValueError, OSError) as error:
        raise SystemExit(f"bench-tracks: {error}") from None
    print(text)


if __name__ == "__main__":
    typer.run(main)
