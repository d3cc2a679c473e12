"""What the HTTP API answers, for its description at /openapi.json; a test holds real answers against it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str


class PlateRow(BaseModel):
    """One plate. Boxes are x1, y1, x2, y2 and corners clockwise from the plate's own top left, in pixels."""

    box: list[float]
    corners: list[list[float]]
    score: float
    text: str
    guess: str
    text_score: float
    char_scores: list[float]
    region: str | None


class PictureRow(BaseModel):
    """A picture's plates, best first. A plate not read surely has an empty text, and the best guess beside it."""

    image: str
    width: int
    height: int
    plates: list[PlateRow]


class ErrorRow(BaseModel):
    """A picture that could not be used."""

    image: str
    error: str


class Picture(PictureRow):
    """The answer to a picture sent as the body."""

    model: Model


class Pictures(BaseModel):
    """The answer to a form: a row for each file, in order."""

    model: Model
    rows: list[PictureRow | ErrorRow]


class Error(BaseModel):
    """What was wrong, in a sentence."""

    error: str


_PLATE = {
    "box": [143.7, 214.43, 270.7, 245.31],
    "corners": [[143.7, 214.43], [270.7, 215.21], [268.45, 245.31], [144.53, 244.81]],
    **{"score": 0.8044, "text": "B12ABC", "guess": "", "text_score": 0.9992},
    **{"char_scores": [1.0, 1.0, 1.0, 0.9996, 1.0, 0.9998], "region": "RO"},
}
_ROW = {"image": "car.jpg", "width": 400, "height": 332, "plates": [_PLATE]}
_MODEL = {"model": {"name": "alpr", "version": "3f0c4dc20a1b"}}
_EXAMPLES = {
    "picture": {"summary": "A picture as the body", "value": {**_ROW, "image": "body", **_MODEL}},
    "form": {
        "summary": "A form with two files",
        "value": {**_MODEL, "rows": [_ROW, {"image": "notes.txt", "error": "not an image of a known format"}]},
    },
}
NO_KEY = "this server asks for an API key: Authorization: Bearer KEY, or X-API-Key"
_ERRORS = {
    400: ("Not an image, a damaged one, or a form that cannot be read", "not an image of a known format"),
    401: ("No API key, or a wrong one", NO_KEY),
    408: ("The body did not arrive in time", "the body did not arrive within 30 seconds"),
    413: ("Too many bytes, pixels or pictures", "the body is larger than the cap of 10,485,760 bytes"),
    415: ("Neither a picture nor a form", "send the picture as image/... or application/octet-stream, or a form"),
    422: ("A wrong value in the query", "min_score: Input should be less than or equal to 1"),
    500: ("The recogniser failed; the server's log says why", "the recogniser failed on this picture"),
    503: ("Too much to do, or not ready yet; Retry-After says when to come back", "too many pictures are waiting"),
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The description of these errors, for an endpoint's `responses`."""
    return {
        status: {
            "model": Error,
            "description": _ERRORS[status][0],
            "content": {"application/json": {"example": {"error": _ERRORS[status][1]}}},
            **({"headers": _RETRY_AFTER} if status == 503 else {}),
        }
        for status in statuses
    }


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Picture | Pictures,
        "description": "A row for a picture sent as the body; rows for the files of a form. A form with a picture that "
        "can be used is answered with 200, and the others' rows say what is wrong with them.",
        "content": {"application/json": {"examples": _EXAMPLES}},
    },
    **errors(*_ERRORS),
}
_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "required": ["image"], "properties": {"image": {"type": "array", "items": _FILE}}}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
