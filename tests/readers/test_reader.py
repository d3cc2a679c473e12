"""Preparing crops, and the reader on ONNX Runtime: how sure it is, what it answers, and that no crop stops it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle
from pipeline.calibration import Calibration
from pipeline.readers import reader
from pipeline.readers.decoding import BLANK, DECODE, NO_READ
from pipeline.readers.reader import DOUBTFUL, NetworkReader, look_again, prepare, surest
from pipeline.records import Reading

SURE = 12.0


def logits_of(path: str, certainty: float = SURE) -> np.ndarray:
    """One step a letter of `path`, '-' for blank: (T, 37)."""
    logits = np.zeros((len(path), BLANK + 1), np.float32)
    for step, letter in enumerate(path):
        logits[step, BLANK if letter == "-" else CHARACTERS.index(letter)] = certainty
    return logits


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (64, 192), (20, 90), (700, 1600), (40, 400)])
def test_prepare_takes_any_size(shape: tuple[int, int]) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    grey = prepare(crop)
    assert grey.shape == (64, 192)
    assert grey.dtype == np.uint8


def test_prepare_fills_the_range_of_a_dull_crop_but_does_not_blow_up_a_flat_one() -> None:
    dull = np.full((64, 192, 3), 90, np.uint8)
    dull[20:40, 50:150] = 150
    assert prepare(dull).min() == 0
    assert prepare(dull).max() == 255
    grainy = np.random.default_rng(0).integers(100, 103, (64, 192, 3), dtype=np.uint8)
    assert int(prepare(grainy).max()) - int(prepare(grainy).min()) < 40


def test_prepare_takes_a_view_that_is_turned_upside_down() -> None:
    crop = np.zeros((20, 60, 3), np.uint8)
    crop[:10] = 200
    turned = prepare(crop[::-1, ::-1])
    assert turned[:20].max() < 20
    assert turned[-20:].min() > 235


def test_four_other_cuts_are_tighter_looser_and_leaning_with_the_same_middle() -> None:
    grey = np.full((64, 192), 200, np.uint8)
    grey[24:40, 80:112] = 20
    grey[:, :40] = grey[:, -40:] = 100
    looks = look_again(grey)
    assert (looks.shape, looks.dtype) == ((4, 64, 192), np.uint8)
    assert len({look.tobytes() for look in (*looks, grey)}) == 5
    for look in looks:
        assert look[30:34, 90:102].max() < 30
    tight, loose, left, right = looks
    edges = [int((look[2] == 100).sum()) for look in (tight, grey, loose)]
    assert edges == sorted(edges)
    assert edges[0] < edges[1] < edges[2]
    assert not np.array_equal(left[32:, :96], right[32:, :96])
    assert abs(int(left.sum()) - int(right.sum())) < 0.01 * left.sum(), "as much to the one side as to the other"


def read(text: str, score: float) -> Reading:
    return Reading(text, score)


# what is read at first, what in the four cuts of each doubtful one, what is kept
LOOKS = {
    "nothing to read": ([], [], []),
    "sure": ([read("A", 0.9)], [], [read("A", 0.9)]),
    "sure enough": ([read("A", DOUBTFUL)], [], [read("A", DOUBTFUL)]),
    "surer in another cut": (
        [read("A", 0.5)],
        [read("B", 0.2), read("B", 0.6), read("C", 0.4), NO_READ],
        [read("B", 0.6)],
    ),
    "surest at first": ([read("A", 0.5)], [read("B", 0.4), read("B", 0.45), NO_READ, NO_READ], [read("A", 0.5)]),
    "as sure at first": ([read("A", 0.5)], [read("B", 0.5)] * 4, [read("A", 0.5)]),
    "nothing at first": ([NO_READ], [NO_READ, NO_READ, read("B", 0.1), NO_READ], [read("B", 0.1)]),
    "nothing at all": ([NO_READ], [NO_READ] * 4, [NO_READ]),
    "two of three": (
        [read("A", 0.1), read("B", 0.9), read("C", 0.2)],
        [*[read("X", 0.3)] * 4, *[read("Y", 0.4)] * 4],
        [read("X", 0.3), read("B", 0.9), read("Y", 0.4)],
    ),
}


@pytest.mark.parametrize(("first", "others", "kept"), LOOKS.values(), ids=LOOKS.keys())
def test_the_doubtful_are_read_again_and_the_surest_reading_is_kept(first, others, kept) -> None:
    greys = np.arange(len(first), dtype=np.uint8)[:, None, None] * np.ones((1, 64, 192), np.uint8)
    batches = []

    def infer(batch: np.ndarray) -> list[Reading]:
        batches.append([int(crop.max()) for crop in batch])
        assert (batch.shape[1:], batch.dtype) == ((64, 192, 1), np.float32)
        return others

    assert surest(greys, first, infer) == kept
    doubtful = [index for index, reading in enumerate(first) if reading.score < DOUBTFUL]
    assert batches == ([[index for index in doubtful for _ in range(4)]] if doubtful else [])


class FakeSession:
    """Says AB1 to bright crops, nothing to dark ones, and remembers the batches it was given."""

    def __init__(self, *_: object) -> None:
        self.batches: list[int] = []

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        assert batch.shape[1:] == (64, 192, 1)
        assert batch.dtype == np.float32
        self.batches.append(len(batch))
        bright = [crop.mean() > 127 for crop in batch]
        region = np.zeros((len(batch), 3), np.float32)
        region[:, 0] = 9.0
        return {
            "ctc": np.stack([logits_of("-A-B1" if one else "-----") for one in bright]),
            "slots": np.stack([logits_of(("CD2" if one else "---") + "-" * 9) for one in bright]),
            "attention": np.stack([logits_of(("EF3" if one else "---") + "-" * 9) for one in bright]),
            "region": region,
        }


class RimmedSession(FakeSession):
    """Reads AB1 where no dark rim is seen, and is unsure of AB where there is one."""

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        paths = [logits_of("-A-B1") if crop[0, 96, 0] > 127 else logits_of("-A-B-", 3.0) for crop in batch]
        return {**super().run(batch), "ctc": np.stack(paths)}


ANY = {"slope": 1.0, "intercept": 0.0, "threshold": 0.5}


def write_bundle(folder: Path, **changes: object) -> Bundle:
    row = {"float": "reader.onnx", "int8": "reader.int8.onnx", "height": 64, "width": 192, "alphabet": CHARACTERS}
    row |= {"decoder": "ctc", "regions": ["DE", "SE", "ZZ"], "calibration": ANY}
    folder.mkdir(exist_ok=True)
    others: dict[str, dict] = {"detector": {}, "fast": {}, "refiner": {}}
    raw = {"version": 3, **others, "reader": {**row, **changes}, "sha256": {"reader.onnx": "0" * 64}}
    (folder / "bundle.json").write_text(json.dumps(raw))
    return Bundle.load(folder)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Session", FakeSession)


def half_bright(bright: bool) -> np.ndarray:
    crop = np.full((10, 40, 3), 200 if bright else 20, np.uint8)
    crop[:3] = 20 if bright else 200
    return crop


def test_reader_keeps_the_order_and_reads_in_batches(tmp_path: Path, fake: None) -> None:
    network = NetworkReader(write_bundle(tmp_path))
    crops = [half_bright(index % 3 == 0) for index in range(70)]
    crops[5] = np.zeros((0, 12, 3), np.uint8)
    readings = network.read(crops)
    assert [r.text for r in readings] == ["AB1" if index % 3 == 0 else "" for index in range(70)]
    assert network._session.batches == [32, 4 * 21, 32, 4 * 21, 5, 4 * 3]  # what is not read, in four other cuts
    assert network.read([]) == []


@pytest.mark.parametrize(("decoder", "text"), [("ctc", "AB1"), ("slots", "CD2"), ("attention", "EF3")])
def test_the_bundle_says_which_decoder_answers(tmp_path: Path, fake: None, decoder: str, text: str) -> None:
    network = NetworkReader(write_bundle(tmp_path, decoder=decoder))
    assert [r.text for r in network.read([half_bright(True), half_bright(False)])] == [text, ""]


def test_what_is_unsure_as_it_is_cut_may_be_read_in_a_tighter_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "Session", RimmedSession)
    crop = np.full((64, 192, 3), 200, np.uint8)
    crop[:, 60:70] = 20
    rimmed = crop.copy()
    rimmed[:2] = rimmed[-2:] = 20
    network = NetworkReader(write_bundle(tmp_path))
    assert [reading.text for reading in network.read([crop, rimmed])] == ["AB1", "AB1"]
    assert network._session.batches == [2, 4]


def test_a_score_is_the_calibrated_probability_and_character_scores_are_the_decoder_s(tmp_path: Path, fake) -> None:
    calibration = Calibration(slope=0.5, intercept=-1.0, threshold=0.5)
    (found,) = NetworkReader(write_bundle(tmp_path, calibration=calibration.as_row())).read([half_bright(True)])
    raw = DECODE["ctc"](logits_of("-A-B1"))
    assert found.score == pytest.approx(calibration(raw.score))
    assert found.score < raw.score - 0.001
    assert found.char_scores == raw.char_scores


# the bundle's threshold, the caller's, whether the text is given
THRESHOLDS = {
    "the bundle's, below": (0.5, None, True),
    "the bundle's, above": (0.9999999, None, False),
    "the bundle's, that nothing reaches": (1.01, None, False),
    "the caller's, below": (1.01, 0.5, True),
    "the caller's, above": (0.5, 0.9999999, False),
    "the caller's zero": (1.01, 0.0, True),
}


@pytest.mark.parametrize(("own", "asked", "given"), THRESHOLDS.values(), ids=THRESHOLDS.keys())
def test_below_the_threshold_a_reading_is_a_guess(tmp_path: Path, fake: None, own, asked, given: bool) -> None:
    bundle = write_bundle(tmp_path, calibration={**ANY, "threshold": own})
    seen, nothing = NetworkReader(bundle, min_score=asked).read([half_bright(True), half_bright(False)])
    assert (seen.text, seen.guess) == (("AB1", "") if given else ("", "AB1"))
    assert (seen.best, len(seen.char_scores), seen.region) == ("AB1", 3, "DE")
    assert 0.9 < seen.score < 1.0
    assert nothing == NO_READ


# the logits of DE, SE and of no country, the region that is named
REGIONS = {
    "sure": ((9.0, 0.0, 0.0), "DE"),
    "sure of the other": ((0.0, 9.0, 0.0), "SE"),
    "sure enough": ((np.log(0.81), np.log(0.1), np.log(0.09)), "DE"),
    "not sure enough": ((np.log(0.79), np.log(0.11), np.log(0.1)), None),
    "of no country": ((0.0, 0.0, 9.0), None),
    "large": ((1000.0, 0.0, 0.0), "DE"),
}


@pytest.mark.parametrize(("logits", "region"), REGIONS.values(), ids=REGIONS.keys())
def test_a_region_is_named_where_the_network_is_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logits: tuple[float, ...], region: str | None
) -> None:
    class Elsewhere(FakeSession):
        def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            return {**super().run(batch), "region": np.tile(np.float32(logits), (len(batch), 1))}

    monkeypatch.setattr(reader, "Session", Elsewhere)
    (found,) = NetworkReader(write_bundle(tmp_path)).read([half_bright(True)])
    assert found.region == region


NOISE = np.random.default_rng(0).integers(0, 256, (40, 150, 3), dtype=np.uint8)
BAD_CROPS = {
    "no rows": (np.zeros((0, 12, 3), np.uint8), False),
    "no columns": (np.zeros((12, 0, 3), np.uint8), False),
    "nothing at all": (np.zeros((0, 0, 3), np.uint8), False),
    "one pixel": (np.zeros((1, 1, 3), np.uint8), True),
    "one row": (NOISE[:1], True),
    "one column": (NOISE[:, :1], True),
    "all white": (np.full((30, 100, 3), 255, np.uint8), True),
    "all black": (np.zeros((30, 100, 3), np.uint8), True),
    "upside down": (NOISE[::-1, ::-1], True),
    "mirrored": (NOISE[:, ::-1], True),
    "of a larger picture": (NOISE[5:25, 10:90], True),
    "very wide": (np.tile(NOISE[:8], (1, 40, 1)), True),
    "very high": (np.tile(NOISE[:, :8], (60, 1, 1)), True),
}


@pytest.mark.parametrize(("crop", "seen"), BAD_CROPS.values(), ids=BAD_CROPS.keys())
def test_no_crop_is_an_exception(tiny_bundle: Path, crop: np.ndarray, seen: bool) -> None:
    """Through ONNX Runtime, by a network that reads AB12 on everything it is shown."""
    (found,) = NetworkReader(Bundle.load(tiny_bundle), threads=1).read([crop])
    assert isinstance(found, Reading)
    assert found == NO_READ if not seen else (found.text, found.region) == ("AB12", "GB")
    (unsure,) = NetworkReader(Bundle.load(tiny_bundle), threads=1, min_score=1.0).read([crop])
    assert (unsure.text, unsure.guess) == ("", "AB12" if seen else "")


def test_bad_crops_among_good_ones_move_no_reading(tiny_bundle: Path) -> None:
    crops = [crop for crop, _ in BAD_CROPS.values()]
    found = NetworkReader(Bundle.load(tiny_bundle), threads=1).read(crops)
    assert [bool(reading.text) for reading in found] == [seen for _, seen in BAD_CROPS.values()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet": "01"}, "another alphabet"),
        ({"height": 32}, "input size"),
        ({"int8": None}, "names no int8 reader"),
    ],
    ids=["alphabet", "height", "no int8"],
)
def test_reader_refuses_a_bundle_of_another_network(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkReader(write_bundle(tmp_path, **changes), precision="int8")
