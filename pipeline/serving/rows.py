"""What a recogniser found, as rows for JSON: the same from the command line and from a served model."""

from __future__ import annotations

from typing import Any

from pipeline.images import RGB
from pipeline.records import Detection, Reading, Recognition

Row = dict[str, Any]


def of_error(name: str, error: str) -> Row:
    return {"image": name, "error": error}


def of_recognitions(name: str, image: RGB, recognitions: list[Recognition]) -> Row:
    """{"image", "width", "height", "plates": [{"box", "corners", "score", "text", ...}]}, in pixels of the image."""
    plates = [of_detection(one.detection) | of_reading(one.reading, "text_score") for one in recognitions]
    return {"image": name, **size_of(image), "plates": plates}


def of_detections(name: str, image: RGB, detections: list[Detection]) -> Row:
    return {"image": name, **size_of(image), "plates": [of_detection(one) for one in detections]}


def of_crop(name: str, image: RGB, reading: Reading) -> Row:
    return {"image": name, **size_of(image), **of_reading(reading, "score")}


def size_of(image: RGB) -> Row:
    return {"width": image.shape[1], "height": image.shape[0]}


def of_detection(detection: Detection) -> Row:
    return {
        "box": [round(value, 2) for value in detection.box.xyxy],
        "corners": [[round(x, 2), round(y, 2)] for x, y in detection.quad.points],
        "score": round(detection.score, 4),
    }


def of_reading(reading: Reading, score: str) -> Row:
    """A reading under the name `score` for its own; a no-read is an empty text, with the best guess beside it."""
    return {
        "text": reading.text,
        "guess": reading.guess,
        score: round(reading.score, 4),
        "char_scores": [round(value, 4) for value in reading.char_scores],
        "region": reading.region,
    }
