"""A line of predictions.jsonl: what was found and read on one picture. `evaluate` writes it, `queue` judges by it.

{"id": "4f1c...", "image": "kaggle/images/Cars0.png", "split": "test", "source": "kaggle", "kind": "photo",
 "detections": [{"box": [x1, y1, x2, y2], "quad": [[x, y], ...], "score": 0.91, "text": "KL01CA2555",
                 "text_score": 0.98, "char_scores": [1.0, ...]}],
 "faint": [{"box": [x1, y1, x2, y2], "score": 0.12}],
 "readings": [{"plate": 0, "reader": {"text": "KL01CA2555", "score": 0.99, "char_scores": [1.0, ...]},
               "tesseract": null, "rapidocr": null}]}

`detections` are those of at least the working point's score, `faint` the weaker ones: too unsure to be shown to
anybody, but a label where not even one of those lies is doubtful. `readings` are of the labelled plates, by their place
in the sample. Texts are the readers' best guesses, however unsure: an annotator sees the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.records import Detection, Reading, Sample

FAINT = 0.05  # score of a detection below which it is left out
READERS = {"reader": "network", "tesseract": "tesseract", "rapidocr": "rapidocr"}  # key of a line: the reader's name

Row = dict[str, Any]


def row(
    sample: Sample,
    detections: Sequence[Detection],
    found: Sequence[Reading],
    labelled: Mapping[str, Mapping[int, Reading]],
) -> Row:
    """The line of one sample.

    `detections` come best first, `found` are the network's readings of the first of them: those at or above the
    working point. `labelled` are the readings of true plates: by the reader's name, then by the plate's place.
    """
    sure, faint = detections[: len(found)], detections[len(found) :]
    return {
        "id": sample.id,
        "image": sample.image,
        "split": sample.split,
        "source": sample.source,
        "kind": sample.kind,
        "detections": [
            {
                "box": _box(detection),
                "quad": [[round(x, 2), round(y, 2)] for x, y in detection.quad.points],
                "score": round(detection.score, 4),
                "text": reading.best,
                "text_score": round(reading.score, 4),
                "char_scores": _scores(reading),
            }
            for detection, reading in zip(sure, found, strict=True)
        ],
        "faint": [
            {"box": _box(detection), "score": round(detection.score, 4)}
            for detection in faint
            if detection.score >= FAINT
        ],
        "readings": [
            {"plate": plate, **{key: _text(labelled.get(name, {}).get(plate)) for key, name in READERS.items()}}
            for plate in sorted(labelled["network"])
        ],
    }


def _box(detection: Detection) -> list[float]:
    return [round(value, 2) for value in detection.box.xyxy]


def _scores(reading: Reading) -> list[float]:
    return [round(score, 4) for score in reading.char_scores]


def _text(reading: Reading | None) -> Row | None:
    if reading is None:
        return None
    return {"text": reading.best, "score": round(reading.score, 4), "char_scores": _scores(reading)}
