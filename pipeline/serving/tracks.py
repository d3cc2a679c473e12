"""Follows plates from frame to frame of a video, and makes one reading of all that was read of each.

    tracker = Tracker()
    for frame in video.frames():
        recognitions = recognizer.recognize([frame.image], LEAST_SCORE)[0]
        for track in tracker.update(frame.time, recognitions):
            print(row_of("drive.mp4", track))
    for track in tracker.finish():
        print(row_of("drive.mp4", track))

Association is ByteTrack's (Zhang et al. 2022, arXiv:2110.06864): what was found surely is matched first; what was found
less surely goes to the tracks that are left, and starts none. But sampled frames lie far apart, and a plate moves by
several of its widths between two of them: so nearness counts in plate sizes, not by overlap alone, and two sure texts
that are equal or differ much have a say. Memory is that of the plates in view.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline import boxes
from pipeline.records import Box, Reading, Recognition
from pipeline.serving import rows
from pipeline.serving.rows import Row

LEAST_SCORE = 0.2  # of a detection that can go on with a track
START_SCORE = 0.4  # of one that can start a track: the recogniser's own working point
PATIENCE = 2.0  # seconds without a sighting after which a track has ended

GUESS_WEIGHT = 0.5  # of a no-read's guess in the vote, beside its low score
MOST_TEXTS = 256  # different ones that a track remembers: a car parked in view for a day must not fill the memory

SURE = 0.5  # score of a reading from which its text has a say in which plate this is
_DIFFERENT = 0.5  # edit distance over length above which two texts are those of two plates
_OTHER_PLATE = 0.8  # what that costs; only where the boxes agree all the same is it taken for a misreading
_HORIZON = 1.0  # seconds for which a plate is taken to move on as it did
_REACH = 0.75  # plate diagonals from the predicted place that are always in reach
_REACH_KNOWN, _REACH_NEW = 3.0, 20.0  # and diagonals a second more: of a plate whose motion is known, of a new one
_REACH_MOST = 5.0
_GROWTH = 2.5  # times that a plate of the same text may be larger or smaller than predicted, and more with time
_MEMORY = 0.2  # seconds over which a plate's motion is averaged: boxes jitter
_FASTEST_GROWTH = 1.0  # of the logarithm of a plate's size, a second
_LOW_GAIN = 0.4  # how well, from 0 to 1, a detection below START_SCORE must fit

Vector = NDArray[np.float64]


@dataclass(slots=True)
class _Tally:
    """All votes for one text: their weight, that of each character (n,), and the highest score it was read with."""

    weight: float
    characters: Vector
    best: float


class Votes:
    """The readings of one plate, and the reading that they make together."""

    def __init__(self) -> None:
        self._texts: dict[str, _Tally] = {}
        self._regions: defaultdict[str | None, float] = defaultdict(float)
        self._line = math.inf  # the least score with which a reading was given as a text

    def add(self, reading: Reading) -> None:
        """A vote for the reading's text with its score as weight, or for a no-read's guess with half of that."""
        text = reading.best
        if not text:
            return
        if reading.text:
            self._line = min(self._line, reading.score)
        weight = reading.score * (1.0 if reading.text else GUESS_WEIGHT)
        characters = weight * np.array(reading.char_scores or (1.0,) * len(text))
        self._regions[reading.region] += weight
        if text in self._texts:
            tally = self._texts[text]
            tally.weight += weight
            tally.characters += characters
            tally.best = max(tally.best, reading.score)
            return
        if len(self._texts) >= MOST_TEXTS:
            del self._texts[min(self._texts, key=lambda one: self._texts[one].weight)]
        self._texts[text] = _Tally(weight, characters, reading.score)

    def reading(self, min_score: float | None = None) -> Reading:
        """One reading of all; text and guess are empty where nothing was read.

        The length that most weight is for is taken, and of that length the text with most weight. Every other text
        is aligned with it by edit distance, and for each of its places each text votes for its own character, with
        weight times that character's score; texts that have none there do not vote on it.

        A character's score is its share of the weight on its place. The text's is the highest score with which a frame
        read this very text, times the root of this text's share of all weight: the first alone is too high, being the
        best of many, the second alone too low. Of one reading both are its own. A text that no frame read as a whole
        has the product of its characters' scores times the highest score of any frame. (How well that is calibrated:
        docs/bench-tracks.md.)

        From a score of `min_score` on it is a text, else a guess. None: from the least score of those of the readings
        that were texts, which is the reader's threshold as far as it shows here: more is then withheld than need be.
        """
        total = sum(tally.weight for tally in self._texts.values())
        if not total:
            return Reading("", 0.0)
        text, char_scores = self._elected()
        if text in self._texts:
            own = self._texts[text]
            score = own.best * math.sqrt(own.weight / total)
        else:
            score = max(tally.best for tally in self._texts.values()) * math.prod(char_scores)
        region = max(self._regions, key=lambda one: self._regions[one])
        known = region if self._regions[region] > total / 2 else None
        return Reading(text, score, char_scores, known).answered_from(self._line if min_score is None else min_score)

    def _elected(self) -> tuple[str, tuple[float, ...]]:
        from rapidfuzz.distance import Levenshtein

        lengths: defaultdict[int, float] = defaultdict(float)
        for text, tally in self._texts.items():
            lengths[len(text)] += tally.weight
        length = max(lengths, key=lambda one: lengths[one])
        base = max((text for text in self._texts if len(text) == length), key=lambda one: self._texts[one].weight)
        places: list[defaultdict[str, float]] = [defaultdict(float) for _ in base]
        weights = np.zeros(length)
        for text, tally in self._texts.items():
            for step in Levenshtein.opcodes(text, base):
                if step.tag not in ("equal", "replace"):
                    continue
                for source, place in zip(
                    range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True
                ):
                    places[place][text[source]] += float(tally.characters[source])
                    weights[place] += tally.weight
        best = [max(votes, key=lambda one: votes[one]) for votes in places]
        shares = [votes[one] / weight for votes, one, weight in zip(places, best, weights, strict=True)]
        return "".join(best), tuple(min(1.0, float(share)) for share in shares)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A plate in one frame, `time` seconds after the video's first."""

    time: float
    recognition: Recognition


@dataclass(slots=True, eq=False)
class Track:
    """A plate through the frames: how often it was seen, where it was read best, the votes on its text."""

    number: int
    first: Sighting
    min_text_score: float | None = None
    best: Sighting = field(init=False)
    last_seen: float = field(init=False)  # seconds
    frames: int = 0
    votes: Votes = field(default_factory=Votes)
    place: Vector = field(init=False, repr=False)  # (4,) x and y of the centre, logarithms of width and height
    motion: Vector | None = field(default=None, repr=False)  # the same for each second; None after a single sighting

    def __post_init__(self) -> None:
        self.best, self.last_seen = self.first, self.first.time
        self.place = _place(self.first.recognition.detection.box)
        self._count(self.first)

    def add(self, sighting: Sighting) -> None:
        passed, place = sighting.time - self.last_seen, _place(sighting.recognition.detection.box)
        if passed > 0:
            step = (place - self.place) / passed
            step[2:] = np.clip(step[2:], -_FASTEST_GROWTH, _FASTEST_GROWTH)
            kept = math.exp(-passed / _MEMORY)
            self.motion = step if self.motion is None else (1 - kept) * step + kept * self.motion
        self.place, self.last_seen = place, sighting.time
        self._count(sighting)

    def _count(self, sighting: Sighting) -> None:
        self.frames += 1
        self.votes.add(sighting.recognition.reading)
        if _worth(sighting) > _worth(self.best):
            self.best = sighting

    @property
    def reading(self) -> Reading:
        """What all sightings make together, as Votes has it."""
        return self.votes.reading(self.min_text_score)

    def at(self, time: float) -> Box:
        """Where the plate will be if it moves on as it does."""
        passed = min(max(time - self.last_seen, 0.0), _HORIZON)
        return _box(self.place if self.motion is None else self.place + passed * self.motion)

    def reach(self, time: float) -> float:
        """Plate diagonals from there within which it can be."""
        passed = max(time - self.last_seen, 0.0)
        return min(_REACH + (_REACH_NEW if self.motion is None else _REACH_KNOWN) * passed, _REACH_MOST)


class Tracker:
    """Takes the recognitions of one frame after the other, and gives tracks as they end."""

    def __init__(
        self, start_score: float = START_SCORE, patience: float = PATIENCE, min_text_score: float | None = None
    ) -> None:
        """A detection of at least `start_score` starts a track; `patience` seconds without one end it.

        Where frames lie farther apart than that, a track ends with the first frame that it is missing from.
        `min_text_score` should be the reader's threshold: Votes.reading says what it does, and what None does.
        """
        self._start_score, self._patience, self._min_text_score = start_score, patience, min_text_score
        self._tracks: list[Track] = []
        self._started, self._previous = 0, -math.inf
        self.assigned: list[int | None] = []  # of the last frame: each recognition's track number, or None

    def update(self, time: float, recognitions: Sequence[Recognition]) -> list[Track]:
        """The plates of the frame at `time` seconds -> the tracks that have ended by then."""
        missing = [track for track in self._tracks if track.last_seen < self._previous]
        ended = [track for track in missing if time - track.last_seen > self._patience]
        self._tracks = [track for track in self._tracks if track not in ended]
        self._previous = time
        sightings = [Sighting(time, one) for one in recognitions]
        sure = [i for i, one in enumerate(recognitions) if one.detection.score >= self._start_score]
        low = [i for i, one in enumerate(recognitions) if one.detection.score < self._start_score]
        self.assigned = [None] * len(sightings)
        left = self._matched(sightings, sure, self._tracks, 0.0)
        self._matched(sightings, low, left, _LOW_GAIN)
        for index in sure:
            if self.assigned[index] is None:
                self._started += 1
                self._tracks.append(Track(self._started, sightings[index], self._min_text_score))
                self.assigned[index] = self._started
        return ended

    def finish(self) -> list[Track]:
        """The tracks that have not ended yet: the video has."""
        ended, self._tracks = self._tracks, []
        return ended

    def _matched(
        self, sightings: Sequence[Sighting], indices: Sequence[int], tracks: Sequence[Track], least: float
    ) -> list[Track]:
        """Gives the sightings of these indices to the tracks that they fit best; the tracks that got none."""
        if not indices or not tracks:
            return list(tracks)
        from scipy.optimize import linear_sum_assignment

        gains = gain([sightings[index] for index in indices], tracks)
        taken = set()
        for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            if gains[row, column] > least:
                tracks[column].add(sightings[indices[row]])
                self.assigned[indices[row]] = tracks[column].number
                taken.add(column)
        return [track for column, track in enumerate(tracks) if column not in taken]


def gain(sightings: Sequence[Sighting], tracks: Sequence[Track]) -> Vector:
    """(sightings, tracks): how well each fits, in (0, 1]; 0 where it does not; above 1 where both surely read one text.

    From 1 is taken half of what lacks to full overlap with the predicted box, half of the distance from it as a share
    of the track's reach, half of the logarithm of the growth, and _OTHER_PLATE where the texts are surely two: without
    overlap nothing is left beyond the reach, or at 2.7 times the size.
    """
    found = np.array([one.recognition.detection.box.xyxy for one in sightings])
    table = np.zeros((len(sightings), len(tracks)))
    for column, track in enumerate(tracks):
        time = sightings[0].time
        expected = np.array([track.at(time).xyxy])
        overlap = boxes.iou(found, expected)[:, 0]
        apart = np.linalg.norm(_centres(found) - _centres(expected), axis=1)
        size, own = _diagonals(found), float(_diagonals(expected)[0])
        away = apart / (np.sqrt(size * own) * track.reach(time))
        growth = np.abs(np.log(size / own))
        fits = 1 - (1 - overlap) / 2 - away / 2 - growth / 2
        for row, sighting in enumerate(sightings):
            distance = text_distance(sighting.recognition.reading, track.best.recognition.reading)
            if distance == 0 and growth[row] <= math.log(_GROWTH) * (1 + time - track.last_seen):
                fits[row] = 1 + 1 / (1 + away[row])
            elif distance is not None and distance > _DIFFERENT:
                fits[row] -= _OTHER_PLATE
        table[:, column] = np.maximum(fits, 0)
    return table


def text_distance(a: Reading, b: Reading) -> float | None:
    """Edit distance over the longer length, 0 to 1, of two texts that are both sure; None where one is not."""
    if min(a.score, b.score) < SURE or not a.best or not b.best:
        return None
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(a.best, b.best))


def row_of(name: str, track: Track) -> Row:
    """{"video", "track", "first_seen", "last_seen", "frames", "text", ..., "best": {"time", "box", "corners", ...}}.

    Times are seconds after the first frame; `best` is the frame that was read with the highest score.
    """
    return {
        "video": name,
        "track": track.number,
        "first_seen": round(track.first.time, 3),
        "last_seen": round(track.last_seen, 3),
        "frames": track.frames,
        **rows.of_reading(track.reading, "text_score"),
        "best": {"time": round(track.best.time, 3), **rows.of_detection(track.best.recognition.detection)},
    }


def _worth(sighting: Sighting) -> tuple[float, float]:
    return sighting.recognition.reading.score, sighting.recognition.detection.score


def _place(box: Box) -> Vector:
    return np.array([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, math.log(box.width), math.log(box.height)])


def _box(place: Vector) -> Box:
    x, y = float(place[0]), float(place[1])
    width, height = (math.exp(min(max(float(value), -7.0), 12.0)) for value in place[2:])
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _centres(array: Vector) -> Vector:
    return (array[:, :2] + array[:, 2:]) / 2


def _diagonals(array: Vector) -> Vector:
    return np.hypot(array[:, 2] - array[:, 0], array[:, 3] - array[:, 1])
