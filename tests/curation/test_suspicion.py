"""What makes a label suspicious, and what comes first."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import params
from pipeline.curation import suspicion
from pipeline.curation.suspicion import Suspicion
from pipeline.records import Box, Plate, Sample

SETTINGS = params.Queue(limit=10, min_score=0.5, min_support=0.3, far_iou=0.65)


def sample(*plates: Plate, kind: str = "photo") -> Sample:
    return Sample("a" * 64, "a.png", 400, 300, plates, "kaggle", "g", kind=kind)  # type: ignore[arg-type]


def plate(*xyxy: float, text: str | None = "AB123", legible: bool = True) -> Plate:
    return Plate(Box(*xyxy), text=text, legible=legible)


def prediction(
    detections: list[dict[str, Any]] | None = None, readings: list[Any] | None = None, faint: list[Any] | None = None
) -> dict[str, Any]:
    """Its one plate is found, unless detections are given."""
    found = [seen(10, 10, 50, 20)] if detections is None else detections
    return {"id": "a" * 64, "detections": found, "faint": faint or [], "readings": readings or []}


def seen(*xyxy: float, score: float = 0.9, text: str = "XY987", text_score: float = 0.0) -> dict[str, Any]:
    return {"box": list(xyxy), "score": score, "text": text, "text_score": text_score}


def read(
    text: str, score: float = 0.99, tesseract: str | None = None, plate: int = 0, **scores: float
) -> dict[str, Any]:
    """A reading, each character as sure as the whole but for those that are named."""
    sure = [scores.get(character, score) for character in text]
    baseline = None if tesseract is None else {"text": tesseract, "score": 0.5, "char_scores": []}
    return {"plate": plate, "reader": {"text": text, "score": score, "char_scores": sure}, "tesseract": baseline}


ONE = sample(plate(10, 10, 50, 20))
COPIES = {"kind": "copies", "reasons": ["drawn in 1 of 2 copies"], "lowest_iou": 0.0}
WAITING = {"kind": "waiting", "reasons": ["two readings differ"], "box": [10, 10, 50, 20], "readings": ["AB1", "AB7"]}
DISPUTED = {"kind": "annotators", "reasons": ["ann and bob read it differently"]}
CHANGED = {"kind": "upstream", "reasons": ["the source has another box now"], "box": [1, 1, 9, 9]}
LOST = {"kind": "correction", "reasons": ["its box is gone"], "box": [1, 1, 9, 9]}


@pytest.mark.parametrize(
    ("labelled", "predicted", "questions", "kinds"),
    [
        pytest.param(ONE, None, [], [], id="nothing known"),
        pytest.param(ONE, prediction(None, [read("AB123")]), [], [], id="all agree"),
        pytest.param(
            ONE, prediction([seen(10, 10, 50, 20), seen(90, 90, 150, 120)]), [], ["unlabelled_plate"], id="unlabelled"
        ),
        pytest.param(sample(), prediction([seen(100, 100, 150, 120)]), [], ["unlabelled_plate"], id="a negative"),
        pytest.param(sample(), prediction([seen(9, 9, 50, 20, score=0.45)]), [], [], id="unsure of a plate"),
        pytest.param(sample(), prediction([], faint=[seen(9, 9, 50, 20, score=0.3)]), [], [], id="faint"),
        pytest.param(
            sample(plate(0, 0, 99, 99)), prediction([seen(0, 0, 99, 99), seen(9, 9, 50, 20)]), [], [], id="in it"
        ),
        pytest.param(ONE, prediction([]), [], ["unseen_box"], id="nothing is seen there"),
        pytest.param(ONE, prediction([], faint=[seen(10, 10, 50, 20, score=0.2)]), [], ["unseen_box"], id="faintly"),
        pytest.param(ONE, prediction([], faint=[seen(10, 10, 50, 20, score=0.35)]), [], [], id="seen, unsurely"),
        pytest.param(ONE, prediction([seen(40, 10, 80, 20)]), [], ["unlabelled_plate", "unseen_box"], id="two places"),
        pytest.param(sample(plate(10, 10, 50, 20, legible=False)), prediction([]), [], [], id="unseen, not legible"),
        pytest.param(ONE, prediction([seen(30, 10, 70, 20)]), [], ["far_box"], id="far box"),
        pytest.param(ONE, prediction([seen(30, 10, 70, 20), seen(11, 10, 51, 20)]), [], [], id="the best one counts"),
        pytest.param(ONE, prediction(None, [read("AB128")]), [], ["text_contradicted"], id="contradicted"),
        pytest.param(ONE, prediction(None, [read("A8123")]), [], ["text_contradicted"], id="one sure character"),
        pytest.param(ONE, prediction(None, [read("AB12")]), [], ["text_contradicted"], id="a character more"),
        pytest.param(ONE, prediction(None, [read("ABI23")]), [], [], id="I and 1 look alike"),
        pytest.param(ONE, prediction(None, [read("")]), [], [], id="a no-read contradicts nobody"),
        pytest.param(sample(plate(10, 10, 50, 20, text="皖A1")), prediction(None, [read("A1")]), [], [], id="province"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None)), None, [], ["unread"], id="unread"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None, legible=False)), None, [], [], id="not legible"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None)), None, [WAITING], ["unread"], id="asked once"),
        pytest.param(ONE, None, [COPIES], ["copies_disagree"], id="copies"),
        pytest.param(ONE, None, [LOST], ["correction_lost"], id="lost correction"),
        pytest.param(ONE, None, [DISPUTED], ["conflict"], id="annotators differ"),
        pytest.param(ONE, None, [CHANGED], ["conflict"], id="the source differs"),
        pytest.param(sample(plate(0, 0, 90, 30), kind="crop"), prediction([seen(0, 0, 20, 9)]), [], [], id="a crop"),
    ],
)
def test_suspect(labelled: Sample, predicted: dict[str, Any] | None, questions: list[Any], kinds: list[str]) -> None:
    found = suspicion.suspect(labelled, predicted, questions, SETTINGS)
    assert [one.kind for one in found] == kinds
    assert all(0 < one.score <= 1 and one.reason for one in found)


def strength(labelled: Sample, predicted: dict[str, Any]) -> float:
    (found,) = suspicion.suspect(labelled, predicted, [], SETTINGS)
    return found.strength


@pytest.mark.parametrize(
    ("labelled", "weak", "strong"),
    [
        pytest.param(
            sample(),
            prediction([seen(10, 10, 50, 20, score=0.5)]),
            prediction([seen(10, 10, 50, 20, score=0.8)]),
            id="unlabelled: the surer",
        ),
        pytest.param(
            sample(),
            prediction([seen(10, 10, 50, 20, score=0.5)]),
            prediction([seen(10, 10, 50, 20, score=0.5, text_score=0.9)]),
            id="unlabelled: with a text",
        ),
        pytest.param(
            ONE,
            prediction([], faint=[seen(10, 10, 50, 20, score=0.25)]),
            prediction([]),
            id="unseen: the fainter",
        ),
        pytest.param(
            ONE, prediction([seen(20, 10, 60, 20)]), prediction([seen(25, 10, 65, 20)]), id="far: the farther"
        ),
        pytest.param(
            ONE,
            prediction(None, [read("AB128", **{"8": 0.9})]),
            prediction(None, [read("AB128", **{"8": 0.99})]),
            id="text: the surer of what differs",
        ),
        pytest.param(
            ONE,
            prediction(None, [read("AB177", 0.5)]),
            prediction(None, [read("AB187", 0.5, **{"8": 0.99})]),
            id="text: its surest character counts",
        ),
        pytest.param(ONE, prediction(None, [read("AB12")]), prediction(None, [read("AB128")]), id="text: left out"),
        pytest.param(
            ONE,
            prediction(None, [read("AB128", 0.9, tesseract="AB12")]),
            prediction(None, [read("AB128", 0.9, tesseract="AB128")]),
            id="text: two readers",
        ),
    ],
)
def test_the_stronger_case(labelled: Sample, weak: dict[str, Any], strong: dict[str, Any]) -> None:
    assert 0 < strength(labelled, weak) < strength(labelled, strong) <= 1


def test_that_a_plate_of_few_pixels_is_not_seen_says_little() -> None:
    small, large = (strength(sample(plate(10, 10, 50, 10 + height)), prediction([])) for height in (4, 8))
    assert small == pytest.approx(large / 2)


def test_an_unread_plate_comes_with_what_the_readers_propose() -> None:
    unread = sample(plate(10, 10, 50, 20, text=None))
    (found,) = suspicion.suspect(unread, prediction(None, [read("AB128", tesseract="AB12B")]), [], SETTINGS)
    assert found.readings == ("AB128", "AB12B")


def test_an_unlabelled_plate_comes_with_what_is_read_on_it() -> None:
    (found,) = suspicion.suspect(sample(), prediction([seen(10, 10, 50, 20)]), [], SETTINGS)
    assert (found.box, found.readings) == ((10, 10, 50, 20), ("XY987",))


def test_the_strongest_reason_comes_first_and_more_kinds_weigh_more() -> None:
    predicted = prediction([seen(100, 100, 150, 120)], [read("AB128")])
    found = suspicion.suspect(ONE, predicted, [COPIES], SETTINGS)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert suspicion.priority(found[:1]) < suspicion.priority(found[:2]) < suspicion.priority(found) < 1.0
    assert suspicion.priority([]) == 0.0


def test_many_of_a_kind_and_missing_texts_weigh_no_more() -> None:
    one, other, unread = Suspicion("unseen_box", 0.4, ""), Suspicion("unseen_box", 0.5, ""), Suspicion("unread", 1, "")
    assert suspicion.priority([one, other, unread]) == suspicion.priority([other])
    assert 0 < suspicion.priority([unread] * 9) == suspicion.priority([unread]) < suspicion.priority([one])


def test_rank_puts_conflicts_first_and_is_quiet_about_the_rest() -> None:
    def named(letter: str, *plates: Plate) -> Sample:
        return Sample(letter * 64, f"{letter}.png", 400, 300, plates, "kaggle", "g")

    samples = [named(letter, plate(10, 10, 50, 20)) for letter in "abcd"]
    rows = [{**prediction(), "id": one.id} for one in samples[:3]]
    rows[1] = {**prediction([], [read("XX777")]), "id": "b" * 64}
    asked = [{**DISPUTED, "id": "c" * 64}, {**COPIES, "id": "d" * 64}, {**COPIES, "id": "e" * 64}]
    ranked = suspicion.rank(samples, rows, asked, SETTINGS)
    assert [one.sample.id[0] for one in ranked] == ["c", "b", "d"]
    assert ranked[0].priority == 1.0


def test_every_kind_has_a_weight() -> None:
    assert all(0 < Suspicion(kind, 1.0, "").score <= 1 for kind in suspicion.WEIGHTS)
