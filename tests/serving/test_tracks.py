"""Plates through frames: which sightings are one plate, and what its readings make together."""

import json

import numpy as np
import pytest

from pipeline.benchmarks import tracks as benchmark
from pipeline.metrics import Bootstrap
from pipeline.records import Box, Detection, Quad, Reading, Recognition
from pipeline.serving import tracks
from pipeline.serving.tracks import PATIENCE, Sighting, Track, Tracker, Votes, row_of

WIDTH, HEIGHT = 90.0, 20.0  # pixels of a plate here


def read(text, score=0.95, chars=None, region=None, line=0.9):
    """A reading as the network gives it: below its line, a no-read with a guess."""
    scores = (score,) * len(text) if chars is None else tuple(chars)
    return Reading(text, score, scores, region).answered_from(line)


def seen(x, y=100.0, text="AB123", text_score=0.95, score=0.9, size=1.0):
    """A plate with its centre at (x, y)."""
    w, h = size * WIDTH / 2, size * HEIGHT / 2
    box = Box(x - w, y - h, x + w, y + h)
    return Recognition(Detection(box, Quad.of_box(box), score), read(text, text_score))


def run(frames, every=0.2):
    """The tracks of frames (each a list of recognitions), in order of their numbers."""
    tracker, ended = Tracker(), []
    for index, recognitions in enumerate(frames):
        ended += tracker.update(every * index, recognitions)
    return sorted([*ended, *tracker.finish()], key=lambda track: track.number)


def texts(found):
    return [(track.reading.best, track.frames) for track in found]


# Which sightings are one plate


def test_frames_without_plates_give_no_track():
    assert run([[], [], []]) == []


@pytest.mark.parametrize("step", [0, 8, 60, 250])
def test_a_moving_plate_is_one_track_even_where_boxes_no_longer_overlap(step):
    assert texts(run([[seen(100 + step * i)] for i in range(8)])) == [("AB123", 8)]


def test_a_plate_that_comes_nearer_is_one_track():
    assert texts(run([[seen(300 + 10 * i, size=1.25**i)] for i in range(8)])) == [("AB123", 8)]


@pytest.mark.parametrize("score", [0.95, 0.2])
def test_plates_side_by_side_stay_two(score):
    """Also where neither is read surely, and both move by their own distance from frame to frame."""
    frames = [[seen(100 + 20 * i, text="AB123", text_score=score), seen(220 + 20 * i, text="XY987", text_score=score)]
              for i in range(8)]  # fmt: skip
    assert texts(run(frames)) == [("AB123", 8), ("XY987", 8)]
    assert texts(run([frame[:: (-1) ** i] for i, frame in enumerate(frames)])) == [("AB123", 8), ("XY987", 8)]


@pytest.mark.parametrize("score", [0.95, 0.2])
@pytest.mark.parametrize("hidden", [False, True])
def test_crossing_plates_keep_their_tracks(score, hidden):
    """By their texts or, where these are not sure, by their motion; one may hide the other where they meet."""
    frames = []
    for i in range(13):
        left, right = 100 + 40 * i, 580 - 40 * i
        frames.append([seen(left, 100, "AB123", score), seen(right, 104, "XY987", score)])
        if hidden and abs(left - right) < WIDTH:
            del frames[-1][1]
    found = run(frames)
    assert [text for text, _ in texts(found)] == ["AB123", "XY987"]
    assert [round(track.place[0]) for track in found] == [580, 100]


def test_a_gap_is_bridged_and_one_that_is_too_long_is_not():
    def drive(missing):
        return [[seen(100 + 15 * i)] if not 5 <= i < 5 + missing else [] for i in range(8 + missing)]

    assert texts(run(drive(6))) == [("AB123", 8)]
    assert texts(run(drive(round(PATIENCE / 0.2) + 2))) == [("AB123", 5), ("AB123", 3)]


def test_plates_appear_and_leave():
    frames = [[seen(100 + 10 * i, text="AB123")] if i < 6 else [] for i in range(20)]
    for i in range(3, 20):
        frames[i].append(seen(500, 300, "XY987"))
    found = run(frames)
    assert texts(found) == [("AB123", 6), ("XY987", 17)]
    assert [(round(t.first.time, 1), round(t.last_seen, 1)) for t in found] == [(0.0, 1.0), (0.6, 3.8)]


def test_a_track_is_given_as_soon_as_it_has_ended():
    tracker = Tracker(patience=1.0)
    assert tracker.update(0.0, [seen(100)]) == []
    assert tracker.update(0.5, []) == []
    assert [track.number for track in tracker.update(1.2, [])] == [1]
    assert tracker.finish() == []


@pytest.mark.parametrize(("second", "expected"), [("AB123", [("AB123", 2)]), ("XY987", [("AB123", 1), ("XY987", 1)])])
def test_a_far_jump_is_settled_by_the_texts(second, expected):
    assert texts(run([[seen(100)], [seen(1500, 600, second)]])) == expected
    slowly = [[seen(100)], [seen(102)], [seen(104)]]  # also where it moved slowly before
    assert texts(run([*slowly, [seen(3000, 600, second)]])) == [("AB123", expected[0][1] + 2), *expected[1:]]


def test_another_plate_at_a_little_distance_is_not_the_same():
    """One leaves, another comes, between two frames."""
    assert len(run([[seen(100)], [seen(100 + 1.5 * WIDTH, text="XY987")]])) == 2


@pytest.mark.parametrize(("x", "size"), [(1500, 1.0), (104, 4.0)])
def test_a_plate_too_far_away_or_of_another_size_is_another_where_texts_are_not_sure(x, size):
    frames = [[seen(100, text="8", text_score=0.1)], [seen(x, text="8", text_score=0.1, size=size)]]
    assert [track.frames for track in run(frames)] == [1, 1]


def test_a_misreading_on_the_same_place_is_the_same_plate():
    assert [track.frames for track in run([[seen(100)], [seen(102, text="8")], [seen(104)]])] == [3]


def test_what_is_found_less_surely_goes_on_with_a_track_and_starts_none():
    assert [t.frames for t in run([[seen(100)], [seen(110, score=0.25)], [seen(120)]])] == [3]
    assert run([[seen(100, score=0.25)]] * 3) == []
    assert [t.frames for t in run([[seen(100)], [seen(500, 300, "XY987", score=0.25)]])] == [1]


def test_frames_farther_apart_than_patience_still_hold_a_parked_car_together():
    assert [t.frames for t in run([[seen(100)]] * 4, every=5 * PATIENCE)] == [4]
    assert [t.frames for t in run([[seen(100)], [], [seen(100)]], every=5 * PATIENCE)] == [1, 1]


def test_time_that_stands_still_or_runs_back_is_borne():
    tracker = Tracker()
    for time in (1.0, 1.0, 0.2, 0.4):
        assert tracker.update(time, [seen(100)]) == []
    assert [track.frames for track in tracker.finish()] == [4]


def test_which_track_each_recognition_went_to():
    tracker = Tracker()
    tracker.update(0.0, [seen(100), seen(500, text="XY987")])
    tracker.update(0.2, [seen(505, text="XY987"), seen(900, 300, score=0.2), seen(103)])
    assert tracker.assigned == [2, None, 1]


def test_the_threshold_that_a_tracker_is_given_holds_for_its_tracks():
    for line, text in ((0.5, "AB123"), (0.9, "")):
        tracker = Tracker(min_text_score=line)
        tracker.update(0.0, [seen(100, text_score=0.7)])
        (track,) = tracker.finish()
        assert (track.reading.text, row_of("a.mp4", track)["text"]) == (text, text)


def test_the_row_of_a_track_is_json():
    track = Track(3, Sighting(1.0, seen(100, text="AB123", text_score=0.92)))
    track.add(Sighting(1.2, seen(110, text="AB123", text_score=0.97)))
    row = json.loads(json.dumps(row_of("drive.mp4", track)))
    assert list(row) == [
        *("video", "track", "first_seen", "last_seen", "frames"),
        *("text", "guess", "text_score", "char_scores", "region", "best"),
    ]
    assert (row["text"], row["text_score"], row["frames"], row["first_seen"]) == ("AB123", 0.97, 2, 1.0)
    assert row["best"] == {
        **{"time": 1.2, "box": [65.0, 90.0, 155.0, 110.0]},
        **{"corners": [[65.0, 90.0], [155.0, 90.0], [155.0, 110.0], [65.0, 110.0]], "score": 0.9},
    }


# What readings make together


def together(*readings):
    votes = Votes()
    for reading in readings:
        votes.add(reading)
    return votes.reading()


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        ([], ""),
        ([Reading("", 0.0)], ""),
        (["AB123", "AB123", "A8123"], "AB123"),
        (["AB123", "A8123", "A8123", "B12", "B123"], "AB123"),  # of another length they vote for what they have
        (["AB123", "AB1123", "AB123"], "AB123"),
        (["XB123", "AX123", "ABX23", "AB1X3", "AB12X"], "AB123"),  # nowhere read as a whole
        ([read("AB123", 0.99), read("A8123", 0.3), read("A8123", 0.3)], "AB123"),  # guesses weigh less
        ([read("AB123", 0.6), *[read("A8123", 0.5)] * 3], "A8123"),
        ([read("AB", 0.9, (0.99, 0.5)), read("A8", 0.85, (0.99, 0.99), line=0.8)], "A8"),  # by characters, not by text
        (["AB123", Reading("", 0.0), Reading("", 0.0)], "AB123"),
    ],
)
def test_the_vote(readings, text):
    fused = together(*(read(one) if isinstance(one, str) else one for one in readings))
    assert fused.best == text
    assert len(fused.char_scores) == len(text)


def test_one_reading_stays_as_it_is():
    for reading in (read("AB123", 0.95, (1.0, 0.9, 0.8, 1.0, 0.99), "DE"), read("AB123", 0.4, region="DE")):
        fused = together(reading)
        assert (fused.text, fused.guess, fused.region) == (reading.text, reading.guess, reading.region)
        assert fused.score == pytest.approx(reading.score)
        assert fused.char_scores == pytest.approx(reading.char_scores)


def test_equal_readings_do_not_make_it_surer_than_the_surest():
    """Frames of one plate err together: ten readings are no ten witnesses."""
    assert together(*[read("AB123", 0.9)] * 9, read("AB123", 0.95)).score == pytest.approx(0.95)


def test_readings_that_disagree_make_it_less_sure():
    agreed = together(*[read("AB123", 0.95)] * 4)
    doubted = together(*[read("AB123", 0.95)] * 3, read("A8123", 0.95))
    assert doubted.best == "AB123"
    assert doubted.score < agreed.score
    assert doubted.char_scores[1] == pytest.approx(0.75 * agreed.char_scores[1])
    assert doubted.char_scores[0] == pytest.approx(agreed.char_scores[0])


def test_the_readers_threshold_holds_for_the_track():
    assert together(read("AB123", 0.95), read("A8123", 0.6)).guess == "AB123"  # not agreed enough
    assert together(read("AB123", 0.97), read("AB123", 0.91), read("AB123", 0.6)).text == "AB123"
    assert together(read("AB123", 0.85), read("AB123", 0.89)).guess == "AB123"  # no reading was given as a text


def misread(rng, text, glare):
    """A fake reader: each character is wrong or lost more often the more glare there is, and the scores say so."""
    chars, scores = [], []
    for char in text:
        wrong = rng.random() < 0.4 * glare
        if not wrong or rng.random() < 0.8:
            chars.append(str(rng.choice(list("8BO0I1"))) if wrong else char)
            scores.append(float(np.clip(1 - 0.4 * glare - (0.2 if wrong else 0) + rng.normal(0, 0.05), 0.05, 0.999)))
    return read("".join(chars) or "I", float(np.prod(scores or [0.1])), scores or [0.1])


def test_fused_tracks_are_read_better_than_their_frames_and_than_the_best_of_them():
    rng = np.random.default_rng(7)
    single, best, fused = [], [], []
    for number in range(100):
        text = f"AB{1000 + 7 * number}"
        tracker = Tracker()
        readings = [misread(rng, text, rng.uniform(0.1, 0.9)) for _ in range(20)]
        for index, reading in enumerate(readings):
            where = seen(100 + 5 * index)
            tracker.update(0.2 * index, [Recognition(where.detection, reading)])
        single.append(np.mean([reading.best == text for reading in readings]))
        found = tracker.finish()
        best.append(found[0].best.recognition.reading.best == text)
        fused.append([track.reading.best for track in found] == [text])
    assert np.mean(single) < 0.5
    assert np.mean(fused) > max(0.95, np.mean(best))


class Sees:
    """A fake recogniser that finds the true plates of a clip's shots in turn, misses the fifth, and misreads."""

    def __init__(self, shots):
        self.shots, self.rng = list(shots), np.random.default_rng(3)
        self.waiting = list(self.shots)

    def recognize(self, images, min_score):
        shot = self.waiting.pop(0)
        assert images[0] is shot.image
        plates = [] if len(self.shots) - len(self.waiting) == 5 else zip(shot.quads, shot.texts, strict=True)
        return [[Recognition(Detection(quad.box, quad, 0.9), misread(self.rng, text, 0.4)) for quad, text in plates]]


def test_the_benchmark_measures_rendered_clips(monkeypatch):
    monkeypatch.setattr(benchmark, "FRAMES", 6)
    few = Bootstrap(20, 1)
    watched = {}
    for draw in (benchmark.clip, benchmark.street):
        shots = list(draw([5, 1]))
        assert (next(iter(draw([5, 1]))).image == shots[0].image).all()
        assert {shot.image.shape for shot in shots} == {(benchmark.HEIGHT, benchmark.WIDTH, 3)}
        watched[draw] = benchmark.watch(draw.__name__, shots, Sees(shots), 0.9)
    clip, street = watched.values()
    assert [track.frames for track in clip.tracks] == [5]
    assert benchmark.blurred(clip, 0) == [True, True, True, True, False, True]
    assert benchmark.blurred(clip, 3) == [True] * 6
    row = [cell.strip() for cell in benchmark.tracking_line("street", [street], few).split("|")]
    assert row[2:7] == ["1", "2", "0", "2", "1.000"]
    fused = benchmark.reading_figures([clip], few)[4]
    assert fused.startswith("| fused | 1.000 |")


@pytest.mark.parametrize(("regions", "expected"), [(["DE", "DE", None], "DE"), (["DE", "FR"], None), ([None], None)])
def test_the_region_is_that_of_most_weight(regions, expected):
    assert together(*(read("AB123", region=region) for region in regions)).region == expected


def test_readings_without_character_scores_vote_too():
    assert together(Reading("AB12", 0.9), Reading("AB12", 0.9), Reading("AX12", 0.9)).best == "AB12"


def test_a_plate_in_view_for_days_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(tracks, "MOST_TEXTS", 8)
    votes = Votes()
    for number in range(500):
        votes.add(read("AB123", 0.9))
        votes.add(read(f"X{number}", 0.1))
    assert len(votes._texts) == 8
    assert votes.reading().best == "AB123"
