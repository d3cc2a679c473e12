"""What makes a label suspicious, and what comes first."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.curation import suspicion
from pipeline.curation.suspicion import Suspicion
from pipeline.records import Box, Plate, Sample


def sample(*plates: Plate, kind: str = "photo") -> Sample:
    return Sample("a" * 64, "a.png", 400, 300, plates, "kaggle", "g", kind=kind)  # type: ignore[arg-type]


def plate(*xyxy: float, text: str | None = "AB123", legible: bool = True) -> Plate:
    return Plate(Box(*xyxy), text=text, legible=legible)


def prediction(detections: list[dict[str, Any]] | None = None, readings: list[Any] | None = None) -> dict[str, Any]:
    return {"id": "a" * 64, "detections": detections or [], "readings": readings or []}


def seen(*xyxy: float, score: float = 0.9, text: str = "XY987") -> dict[str, Any]:
    return {"box": list(xyxy), "score": score, "text": text, "text_score": 0.9}


def read(text: str, score: float = 0.9, tesseract: str | None = None, plate: int = 0) -> dict[str, Any]:
    baseline = None if tesseract is None else {"text": tesseract, "score": 0.5}
    return {"plate": plate, "reader": {"text": text, "score": score}, "tesseract": baseline}


ONE = sample(plate(10, 10, 50, 20))
COPIES = {"kind": "copies", "reasons": ["drawn in 1 of 2 copies"], "lowest_iou": 0.0}
WAITING = {"kind": "waiting", "reasons": ["two readings differ"], "box": [10, 10, 50, 20], "readings": ["AB1", "AB7"]}
LOST = {"kind": "correction", "reasons": ["its box is gone"], "box": [1, 1, 9, 9]}


@pytest.mark.parametrize(
    ("labelled", "predicted", "questions", "kinds"),
    [
        pytest.param(ONE, None, [], [], id="nothing known"),
        pytest.param(ONE, prediction([seen(10, 10, 50, 20)], [read("AB123")]), [], [], id="all agree"),
        pytest.param(ONE, prediction([seen(100, 100, 150, 120)]), [], ["unlabelled_plate"], id="unlabelled"),
        pytest.param(sample(), prediction([seen(100, 100, 150, 120)]), [], ["unlabelled_plate"], id="a negative"),
        pytest.param(ONE, prediction([seen(100, 100, 150, 120, score=0.4)]), [], [], id="unsure of a plate"),
        pytest.param(ONE, prediction([seen(30, 10, 70, 20)]), [], ["far_box"], id="far box"),
        pytest.param(ONE, prediction([seen(30, 10, 70, 20), seen(11, 10, 51, 20)]), [], [], id="the best one counts"),
        pytest.param(ONE, prediction([], [read("AB128")]), [], ["text_contradicted"], id="contradicted"),
        pytest.param(ONE, prediction([], [read("AB128", 0.3)]), [], [], id="unsure of a text"),
        pytest.param(ONE, prediction([], [read("")]), [], [], id="a no-read contradicts nobody"),
        pytest.param(sample(plate(0, 0, 9, 9, text="皖A1234")), prediction([], [read("A1234")]), [], [], id="province"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None)), None, [], ["unread"], id="unread"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None, legible=False)), None, [], [], id="not legible"),
        pytest.param(sample(plate(10, 10, 50, 20, text=None)), None, [WAITING], ["unread"], id="asked once"),
        pytest.param(ONE, None, [COPIES], ["copies_disagree"], id="copies"),
        pytest.param(ONE, None, [LOST], ["correction_lost"], id="lost correction"),
        pytest.param(
            sample(plate(0, 0, 90, 30), kind="crop"), prediction([seen(0, 0, 20, 9)]), [], [], id="a crop has no boxes"
        ),
    ],
)
def test_suspect(labelled: Sample, predicted: dict[str, Any] | None, questions: list[Any], kinds: list[str]) -> None:
    found = suspicion.suspect(labelled, predicted, questions, min_score=0.5, far_iou=0.5)
    assert [one.kind for one in found] == kinds
    assert all(0 < one.score <= 1 and one.reason for one in found)


def test_two_readers_against_the_text_are_stronger_than_one() -> None:
    (alone,) = suspicion.suspect(ONE, prediction([], [read("AB128", tesseract="AB12")]), [], 0.5, 0.5)
    (both,) = suspicion.suspect(ONE, prediction([], [read("AB128", tesseract="AB128")]), [], 0.5, 0.5)
    assert both.score > alone.score
    assert both.readings == ("AB128",)


def test_an_unread_plate_comes_with_what_the_readers_propose() -> None:
    unread = sample(plate(10, 10, 50, 20, text=None))
    (found,) = suspicion.suspect(unread, prediction([], [read("AB128", tesseract="AB12B")]), [], 0.5, 0.5)
    assert found.readings == ("AB128", "AB12B")


def test_the_strongest_reason_comes_first_and_more_reasons_weigh_more() -> None:
    found = suspicion.suspect(sample(plate(10, 10, 50, 20, text=None)), None, [COPIES], 0.5, 0.5)
    assert [one.kind for one in found] == ["copies_disagree", "unread"]
    assert suspicion.priority(found[:1]) < suspicion.priority(found) < 1.0
    assert suspicion.priority([]) == 0.0


def test_every_kind_has_a_weight() -> None:
    assert all(0 < Suspicion(kind, 1.0, "").score <= 1 for kind in suspicion.WEIGHTS)
