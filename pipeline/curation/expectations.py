"""The Great Expectations suite over every picture and every plate, and what to say of a row that fails it.

Each rule looks at one column. What spans columns, or needs the pixels, is made a column first: a number that has
bounds, or a sentence that has to be absent. So a rule's failures are rows, and each row has a reason to give.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import alphabet, boxes, images
from pipeline.images import ImageError
from pipeline.params import Validate
from pipeline.records import Plate, Sample

Row = dict[str, Any]

# Regions with few enough forms for a check to mean something. BR old and Mercosul; CN also without its province, as
# rendered; SE ordinary, trade and older plates, and personal ones of letters.
REGION_FORMATS: Mapping[str, re.Pattern[str]] = {
    "BR": re.compile(r"[A-Z]{3}\d[A-Z0-9]\d{2}"),
    "CN": re.compile(rf"[{alphabet.PROVINCES}]?[A-Z][A-Z0-9{alphabet.PROVINCES}]{{5,6}}"),
    "SE": re.compile(r"[A-Z]{2,3}\d{2,3}[A-Z]?|[A-Z]{2,7}"),
}
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "I;16L", "F")
_SUBJECT = ("row", "number", "source", "image")
_LOOKS = ("format", "mode", "orientation", "frames", "pixels", "other_size")
PICTURE_COLUMNS = (*_SUBJECT, "kind", "plates", "unpaired", "problem", "unreadable", "other_bytes", *_LOOKS)
_SHAPES = ("width", "height", "short_side", "aspect", "overhang", "overlap", "bent", "quad_iou")
PLATE_COLUMNS = (*_SUBJECT, *_SHAPES, "text_length", "odd_text", "odd_format")


@dataclass(frozen=True, slots=True)
class File:
    """What an image file turned out to be when all of it was decoded; `error` where it could not be."""

    digest: str = ""
    error: str | None = None
    format: str | None = None
    mode: str | None = None
    size: tuple[int, int] = (0, 0)  # upright
    orientation: int = 1
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """An expectation on one column, and the sentence for a row that breaks it (its columns stand in braces)."""

    column: str
    expectation: str
    sentence: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each picture that fails the reasons; for each rule how many rows broke it."""

    reasons: Mapping[int, list[str]]
    broken: Mapping[str, int]


def inspect(path: Path, max_pixels: int) -> File:
    """Decodes a picture in full; nothing is decoded that has more than `max_pixels` by its header."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return File(error=f"cannot be read: {error.strerror or error}")
    digest = images.sha256(data)
    try:
        header = images.read_header(data)
        rgb = images.decode(data, max_pixels)
    except ImageError as error:
        return File(digest, str(error))
    size = (rgb.shape[1], rgb.shape[0])
    return File(digest, None, header.format, header.mode, size, header.orientation, header.frames)


def problem_row(row: int, source: str, image: str, reason: str, unpaired: bool) -> Row:
    """The picture row of what is not a Sample: `reason` says why."""
    known = {"row": row, "number": 0, "source": source, "image": f"{source}/{image}", "plates": 0}
    return {**dict.fromkeys(PICTURE_COLUMNS), **known, "unpaired" if unpaired else "problem": reason}


def picture_row(row: int, source: str, sample: Sample, file: File) -> Row:
    """The picture row of a sample and its file."""
    known: Row = {
        "row": row,
        "number": 0,
        "source": source,
        "image": f"{source}/{sample.image}",
        "kind": sample.kind,
        "plates": len(sample.plates),
        "unreadable": file.error,
    }
    if file.digest and file.digest != sample.id:
        known["other_bytes"] = "the file is not the one that was pulled; pull the source again"
    if file.error is None:
        width, height = file.size
        known |= {"format": file.format, "mode": file.mode, "orientation": file.orientation, "frames": file.frames}
        known["pixels"] = width * height
        if file.size != (sample.width, sample.height):
            turned = f", turned by its EXIF orientation {file.orientation}" if file.orientation != 1 else ""
            known["other_size"] = (
                f"annotated as {sample.width} x {sample.height} pixels, the picture has {width} x {height}{turned}"
            )
    return {**dict.fromkeys(PICTURE_COLUMNS), **known}


def plate_rows(row: int, source: str, sample: Sample) -> list[Row]:
    """A row for each plate of a sample."""
    if not sample.plates:
        return []
    corners = np.array([plate.box.xyxy for plate in sample.plates])
    overlaps = boxes.iou(corners, corners)
    np.fill_diagonal(overlaps, 0.0)
    return [
        {"row": row, "source": source, "image": f"{source}/{sample.image}", "number": number, "overlap": float(overlap)}
        | _geometry(plate, sample)
        | _text(plate)
        for number, (plate, overlap) in enumerate(zip(sample.plates, overlaps.max(axis=1), strict=True), start=1)
    ]


def _geometry(plate: Plate, sample: Sample) -> Row:
    box = plate.box
    overhang = max(-box.x1, -box.y1, box.x2 - sample.width, box.y2 - sample.height, 0.0)
    row: Row = {
        "width": box.width,
        "height": box.height,
        "short_side": min(box.width, box.height),
        "aspect": box.width / box.height,
        "overhang": overhang,
        "bent": None,
        "quad_iou": None,
    }
    if plate.quad is not None:
        quad = np.array(plate.quad.points)
        if boxes.is_convex_clockwise(quad):
            pair = np.array([box.xyxy, plate.quad.box.xyxy])
            row["quad_iou"] = float(boxes.iou(pair[:1], pair[1:])[0, 0])
        else:
            row["bent"] = "its corners are not convex, clockwise from top-left"
    return row


def _text(plate: Plate) -> Row:
    row: Row = {"text_length": None, "odd_text": None, "odd_format": None}
    if plate.text is None:
        return row
    row["text_length"] = float(len(alphabet.normalise(plate.text)))
    try:
        text = alphabet.check(plate.text)
    except alphabet.TextError as error:
        return {**row, "odd_text": str(error)}
    known = REGION_FORMATS.get(plate.region or "")
    if known is not None and not known.fullmatch(text):
        row["odd_format"] = f"its text is not of the form of {plate.region}"
    return row


def picture_rules(settings: Validate) -> list[Rule]:
    """What every picture has to be."""
    absent = "ExpectColumnValuesToBeNull"
    return [
        Rule("unpaired", absent, "{unpaired}"),
        Rule("problem", absent, "{problem}"),
        Rule("unreadable", absent, "{unreadable}"),
        Rule("other_bytes", absent, "{other_bytes}"),
        Rule("other_size", absent, "{other_size}"),
        Rule("image", "ExpectColumnValuesToBeUnique", "the picture stands in the manifest twice"),
        Rule("format", "ExpectColumnValuesToBeInSet", "format {format}", {"value_set": sorted(images.FORMATS)}),
        Rule("mode", "ExpectColumnValuesToBeInSet", "pixel mode {mode}", {"value_set": list(MODES)}),
        Rule("orientation", *_between("EXIF orientation {orientation:g}", 1, 8)),
        Rule("pixels", *_between("{pixels:,.0f} pixels", 1, settings.max_pixels)),
    ]


def plate_rules(settings: Validate) -> list[Rule]:
    """What every plate has to be."""
    absent = "ExpectColumnValuesToBeNull"
    low, high = settings.min_aspect, settings.max_aspect
    return [
        Rule("overhang", *_between("box {number} reaches {overhang:g} pixels outside", 0, settings.clip_tolerance)),
        Rule("short_side", *_between("box {number} is {width:g} x {height:g} pixels", settings.min_box_side)),
        Rule("aspect", *_between("box {number} is {aspect:.2f} times as wide as high", low, high)),
        Rule("overlap", *_between("box {number} is drawn twice (IoU {overlap:.2f})", 0, settings.duplicate_iou)),
        Rule("bent", absent, "plate {number}: {bent}"),
        Rule(
            "quad_iou", *_between("plate {number}: corners and box are apart (IoU {quad_iou:.2f})", settings.quad_iou)
        ),
        Rule("text_length", *_between("plate {number} has {text_length:g} characters", 1, alphabet.MAX_LENGTH)),
        Rule("odd_text", absent, "plate {number}: {odd_text}"),
        Rule("odd_format", absent, "plate {number}: {odd_format}"),
    ]


def _between(sentence: str, low: float, high: float | None = None) -> tuple[str, str, Row]:
    bounds = {"min_value": low} | ({} if high is None else {"max_value": high})
    sentence += (
        f", not {low:g} or more" if high is None else f", not {low:g} to {high:g}" if low else f", over {high:g}"
    )
    return "ExpectColumnValuesToBeBetween", sentence, bounds


class Suites:
    """Runs suites in a Great Expectations project in `folder`, an empty one; their Data Docs are in `docs`."""

    def __init__(self, folder: Path) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported, which takes seconds
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        self._context = gx.get_context(mode="file", project_root_dir=folder)
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._source = self._context.data_sources.add_pandas("data")
        self.docs = folder / "gx" / "uncommitted" / "data_docs" / "local_site"

    def judge(self, name: str, rows: Sequence[Row], columns: Sequence[str], rules: Sequence[Rule]) -> Verdict:
        """Runs the rules over a table whose column `row` says which picture each line is of."""
        import great_expectations as gx
        import pandas as pd
        from great_expectations.checkpoint.actions import UpdateDataDocsAction
        from great_expectations.expectations import core

        frame = pd.DataFrame(list(rows), columns=list(columns))
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        suite = self._context.suites.add(gx.ExpectationSuite(name))
        for rule in rules:
            suite.add_expectation(getattr(core, rule.expectation)(column=rule.column, **rule.arguments))
        definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[self._context.validation_definitions.add(definition)],
            actions=[UpdateDataDocsAction(name="docs")],
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["image", "number", "row"],
                "return_unexpected_index_query": False,
            },
        )
        result = self._context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        (outcome,) = result.run_results.values()
        return _verdict(rows, rules, outcome.results)


def _verdict(rows: Sequence[Row], rules: Sequence[Rule], results: Sequence[Any]) -> Verdict:
    by_column = {result.expectation_config.kwargs["column"]: result for result in results}
    by_key = {(row["row"], row["number"]): row for row in rows}
    reasons: dict[int, list[str]] = defaultdict(list)
    broken: dict[str, int] = {}
    for rule in rules:
        result = by_column[rule.column]
        if "unexpected_index_list" not in result.result:
            raise ValueError(f"the rule on {rule.column} could not be evaluated: {result.exception_info}")
        keys = sorted({(int(e["row"]), int(e["number"])) for e in result.result["unexpected_index_list"] or []})
        for row, number in keys:
            reasons[row].append(rule.sentence.format(**by_key[row, number]))
        broken[rule.column] = len(keys)
    return Verdict(reasons, broken)
