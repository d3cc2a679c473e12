"""What a recogniser found, as rows for JSON: the same from the command line and from a served model."""

from __future__ import annotations

from typing import Any

from pipeline.images import Photo
from pipeline.records import Detection, Reading, Recognition

Row = dict[str, Any]


def of_error(name: str, error: str) -> Row:
    return {"image": name, "error": error}


def of_recognitions(name: str, photo: Photo, recognitions: list[Recognition]) -> Row:
    """{"image", "width", "height", "plates": [{"box", "corners", "score", "text", ...}]}, in pixels of the file."""
    plates = [of_detection(one.detection, photo) | of_reading(one.reading, "text_score") for one in recognitions]
    return {"image": name, **size_of(photo), "plates": plates}


def of_detections(name: str, photo: Photo, detections: list[Detection]) -> Row:
    return {"image": name, **size_of(photo), "plates": [of_detection(one, photo) for one in detections]}


def of_crop(name: str, photo: Photo, reading: Reading) -> Row:
    return {"image": name, **size_of(photo), **of_reading(reading, "score")}


def size_of(photo: Photo) -> Row:
    return {"width": photo.width, "height": photo.height}


def of_detection(detection: Detection, photo: Photo | None = None) -> Row:
    """What was found in the pixels of a photo, in those of its file."""
    by = photo.shrunk if photo else 1
    return {
        "box": [round(value * by, 2) for value in detection.box.xyxy],
        "corners": [[round(x * by, 2), round(y * by, 2)] for x, y in detection.quad.points],
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
