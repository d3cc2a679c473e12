"""What a detector and readers say to the pictures of a manifest: the cases that every figure is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.images import RGB
from pipeline.metrics import Case, certain_text
from pipeline.readers.reader import Reader
from pipeline.recognizer import Detector, cut, read_plates
from pipeline.records import Sample

FLOOR = 0.01  # AP looks at detections far below the working point
BATCH = 16  # pictures held in memory at once

Asked = Callable[[Case], list[int] | None]  # the plates of a case that are to be read; None: it is not read at all


def every_plate(case: Case) -> list[int]:
    return list(range(len(case.sample.plates)))


def certain_plates(case: Case) -> list[int]:
    """Those whose text is certain: what text metrics compare."""
    return [index for index, plate in enumerate(case.sample.plates) if certain_text(plate)]


def certain_test_plates(case: Case) -> list[int] | None:
    """The same of the test split; other cases are not read."""
    return certain_plates(case) if case.sample.split == "test" else None


def detected(samples: Sequence[Sample], pictures: Sequence[RGB], detector: Detector) -> list[Case]:
    """A case for each sample; crops are not for the detector."""
    photos = [picture for sample, picture in zip(samples, pictures, strict=True) if sample.kind == "photo"]
    found = iter(detector.detect(photos, FLOOR) if photos else [])
    return [Case(sample, tuple(next(found)) if sample.kind == "photo" else ()) for sample in samples]


def with_readings(
    cases: Sequence[Case], pictures: Sequence[RGB], name: str, reader: Reader, min_score: float, asked: Asked
) -> list[Case]:
    """The cases with a reader's readings, under its name, of the plates asked for and of what was found surely."""
    plates = [asked(case) for case in cases]
    surely = [case.confident(min_score) if own is not None else () for case, own in zip(cases, plates, strict=True)]
    crops = [
        labelled_crop(case.sample, plate, picture)
        for case, picture, own in zip(cases, pictures, plates, strict=True)
        for plate in own or ()
    ]
    found = [
        (picture, detection) for picture, detections in zip(pictures, surely, strict=True) for detection in detections
    ]
    by_label = iter(reader.read(crops) if crops else [])
    by_detection = iter(read_plates(reader, found))
    return [
        case
        if own is None
        else replace(
            case,
            found={**case.found, name: tuple(next(by_detection) for _ in detections)},
            labelled={**case.labelled, name: {plate: next(by_label) for plate in own}},
        )
        for case, own, detections in zip(cases, plates, surely, strict=True)
    ]


def labelled_crop(sample: Sample, plate: int, picture: RGB) -> RGB:
    """The true plate as a reader is shown it: by its corners where they are known; a crop sample as it is."""
    truth = sample.plates[plate]
    return picture if sample.kind == "crop" else cut(picture, truth.box, truth.quad)
