"""Our plates as Label Studio's results, and its results as our plates: pixels to percent and back, exactly.

A plate is one region: a rectangle, or a polygon where its four corners are known, with a text, rows, a country and
what can be read of it. interface.xml shows them; the names of its controls stand here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import alphabet, boxes
from pipeline.labeling.corrections import CorrectedPlate, Kind
from pipeline.records import Box, Plate, Point, Quad

Item = dict[str, Any]  # one entry of a result: a region's shape, or one of its fields
INTERFACE = Path(__file__).parent / "interface.xml"
BOX, CORNERS, TEXT, LEGIBILITY, ROWS, REGION = "box", "corners", "text", "legibility", "rows", "region"
TYPES: Mapping[str, str] = {
    BOX: "rectanglelabels",
    CORNERS: "polygonlabels",
    TEXT: "textarea",
    LEGIBILITY: "choices",
    ROWS: "choices",
    REGION: "choices",
}
LABELS: Mapping[str, str] = {BOX: "plate", CORNERS: "plate by its corners"}
LEGIBLE, PARTLY, UNREADABLE, LETTERING, NOT_A_PLATE = "legible", "partly", "unreadable", "lettering", "not a plate"
REGION_NAME = "plate"  # begins the names of regions that were pushed
OUTSIDE = 1.0  # pixels that a shape may stand outside the picture, and be cut there
SAME_SHAPE = 0.5  # IoU of a rectangle and a polygon that are one plate
BETWEEN = "-.·•'?"  # what may stand between a plate's characters, or for one that cannot be told
DECIMALS = 2  # of a pixel that are kept: more than anyone draws, and less than percent in floats loses


class ResultError(ValueError):
    """A result that says nothing usable of a picture; the message says which region and what is wrong."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Width and height of a picture in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture of {self.width} x {self.height} pixels")

    def percent(self, x: float, y: float) -> tuple[float, float]:
        return x / self.width * 100, y / self.height * 100

    def pixels(self, x: float, y: float) -> Point:
        """Rounded, not cut off: 44.0 comes back from percent as 43.999999999999993."""
        return round(x / 100 * self.width, DECIMALS), round(y / 100 * self.height, DECIMALS)


def to_result(plates: Sequence[CorrectedPlate], extent: Extent) -> list[Item]:
    """Plates as a result of Label Studio; a text that is not certain stands in the text's place to be confirmed."""
    items: list[Item] = []
    for index, corrected in enumerate(plates):
        plate = corrected.plate
        control = BOX if plate.quad is None else CORNERS
        shape = _shape(plate, extent)
        fields = {
            control: [LABELS[control]],
            TEXT: [text] if (text := plate.text or _proposal(corrected.readings)) else [],
            LEGIBILITY: [choice] if (choice := legibility(corrected)) else [],
            ROWS: [str(plate.rows)] if plate.rows else [],
            REGION: [plate.region] if plate.region else [],
        }
        items += [
            {
                "id": f"{REGION_NAME}{index}",
                "type": TYPES[name],
                "from_name": name,
                "to_name": "image",
                "original_width": extent.width,
                "original_height": extent.height,
                "image_rotation": 0,
                "value": {**shape, _key(name): said},
            }
            for name, said in fields.items()
            if said
        ]
    return items


def _proposal(readings: Sequence[str]) -> str | None:
    """The first reading, to start from; None where it could not come back as it is, such as a long lettering."""
    try:
        return next((one for one in readings[:1] if _normal(one) == one), None)
    except alphabet.TextError:
        return None


def _key(control: str) -> str:
    """Where an item's value holds what was said: a text area's texts are called `text`, all else as its type."""
    return "text" if control == TEXT else TYPES[control]


def _shape(plate: Plate, extent: Extent) -> dict[str, Any]:
    """Cut at the picture's edges: the server refuses what stands beyond them."""
    points = plate.quad.points if plate.quad is not None else Quad.of_box(plate.box).points
    inside = [[min(100.0, max(0.0, value)) for value in extent.percent(x, y)] for x, y in points]
    if plate.quad is not None:
        return {"points": inside, "closed": True}
    (x1, y1), _, (x2, y2), _ = inside
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0}


def legibility(corrected: CorrectedPlate) -> str | None:
    """The interface's choice for what is known of a plate; None where that is still the question."""
    if not corrected.certain:
        return None
    if corrected.kind in ("not_a_plate", "lettering"):
        return NOT_A_PLATE if corrected.kind == "not_a_plate" else LETTERING
    if not corrected.plate.legible:
        return UNREADABLE
    if corrected.plate.text:
        return LEGIBLE
    return PARTLY if corrected.readings else None


@dataclass(frozen=True, slots=True)
class _Region:
    """What an annotator said of one shape, still in words."""

    name: str
    box: Box
    quad: Quad | None
    drawn_box: bool  # a rectangle, turned or not
    said: Mapping[str, str]


def from_result(result: object, extent: Extent) -> tuple[CorrectedPlate, ...]:
    """A result of Label Studio as plates, boxes inside the picture; ResultError where it cannot be taken as it is.

    What has no choice of what can be read is not certain yet: whether somebody typed its text, merge.adopt tells.
    """
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise ResultError("the result is not a list of objects")
    grouped: dict[str, dict[str, Item]] = {}
    for item in result:
        if item.get("type") == "relation":
            continue
        name, control = str(item.get("id"))[:40], str(item.get("from_name"))[:40]
        if control not in TYPES or item.get("type") != TYPES[control]:
            raise ResultError(f"region {name!r} has a field of an unknown kind, {control!r}: not of our interface")
        grouped.setdefault(name, {})[control] = item
    regions = [_region(name, items, extent) for name, items in grouped.items()]
    return tuple(_plate(region) for region in _joined(regions))


def _region(name: str, items: Mapping[str, Item], extent: Extent) -> _Region:
    shapes = [control for control in (BOX, CORNERS) if control in items]
    if len(shapes) != 1:
        raise ResultError(f"region {name!r} has {len(shapes)} shapes instead of one")
    said: dict[str, str] = {}
    for control, item in items.items():
        words = _words(name, control, item)
        if control in LABELS and words != [LABELS[control]]:
            told = ", ".join(words)[:40]
            raise ResultError(f"region {name!r} has the unknown label {told!r}: only {LABELS[control]!r} is known")
        if control not in LABELS and words:
            said[control] = words[-1].strip()
    quad, box = _geometry(name, shapes[0], items[shapes[0]]["value"], extent)
    return _Region(name, box, quad, shapes[0] == BOX, said)


def _words(name: str, control: str, item: Item) -> list[str]:
    value = item.get("value")
    words = value.get(_key(control)) if isinstance(value, dict) else None
    words = [words] if isinstance(words, str) else words
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ResultError(f"region {name!r}: its {control} is malformed")
    return words


def _geometry(name: str, control: str, value: Mapping[str, Any], extent: Extent) -> tuple[Quad | None, Box]:
    try:
        if control == CORNERS:
            points = [extent.pixels(float(x), float(y)) for x, y in value["points"]]
        else:
            points = _rectangle(value, extent)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ResultError(f"region {name!r}: its shape is malformed") from None
    if not all(math.isfinite(v) for point in points for v in point):
        raise ResultError(f"region {name!r}: its shape is not finite")
    if len(points) != 4:
        raise ResultError(f"region {name!r}: a plate has four corners, not {len(points)}")
    beyond = max(max(-x, x - extent.width, -y, y - extent.height) for x, y in points)
    if beyond > OUTSIDE:
        raise ResultError(f"region {name!r} stands {beyond:.6g} px outside the picture")
    inside = [(min(max(x, 0.0), float(extent.width)), min(max(y, 0.0), float(extent.height))) for x, y in points]
    turned = control == CORNERS or bool(value.get("rotation"))
    ours = name.startswith(REGION_NAME) and boxes.is_convex_clockwise(np.array(inside))  # as it was pushed: tl first
    ordered = inside if ours or control == BOX else clockwise(inside)
    try:
        quad = Quad(*ordered)
        box = quad.box
    except ValueError as error:
        raise ResultError(f"region {name!r}: {error}") from None
    if not boxes.is_convex_clockwise(np.array(ordered)):
        raise ResultError(f"region {name!r}: its four corners do not go round a plate")
    return (quad if turned else None), box


def _rectangle(value: Mapping[str, Any], extent: Extent) -> list[Point]:
    """The corners of a rectangle that is turned clockwise by `rotation` degrees about its top left, in pixels."""
    x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
    x1, y1 = extent.pixels(x, y)
    x2, y2 = extent.pixels(x + width, y + height)
    angle = math.radians(float(value.get("rotation") or 0))
    if not angle:
        return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    across = (math.cos(angle) * (x2 - x1), math.sin(angle) * (x2 - x1))
    down = (-math.sin(angle) * (y2 - y1), math.cos(angle) * (y2 - y1))
    ends = [(0.0, 0.0), across, (across[0] + down[0], across[1] + down[1]), down]
    return [(round(x1 + dx, DECIMALS), round(y1 + dy, DECIMALS)) for dx, dy in ends]


def clockwise(points: Sequence[Point]) -> list[Point]:
    """Four corners, drawn in any order, clockwise from the one nearest to the top left."""
    middle = np.mean(points, axis=0)
    around = sorted(points, key=lambda p: math.atan2(p[1] - middle[1], p[0] - middle[0]))
    first = min(range(4), key=lambda i: around[i][0] + around[i][1])
    return around[first:] + around[:first]


def _joined(regions: Sequence[_Region]) -> list[_Region]:
    """Regions one for each plate: a rectangle gives what was said of it to the polygon drawn over it."""
    outlines = [region for region in regions if not region.drawn_box]
    taken: dict[str, _Region] = {}
    for region in regions:
        if not region.drawn_box or not outlines:
            continue
        overlaps = boxes.iou(np.array([region.box.xyxy]), np.array([o.box.xyxy for o in outlines]))[0]
        best = outlines[int(overlaps.argmax())]
        if overlaps.max() >= SAME_SHAPE and best.name not in taken:
            taken[best.name] = region
    given = {rectangle.name for rectangle in taken.values()}
    return [
        replace(region, said={**taken[region.name].said, **region.said}) if region.name in taken else region
        for region in regions
        if region.name not in given
    ]


def _plate(region: _Region) -> CorrectedPlate:
    said = region.said
    text = said.get(TEXT, "")
    choice = said.get(LEGIBILITY)
    country = said.get(REGION)
    if country is not None and not re.fullmatch(r"[A-Z]{2}", country):
        raise ResultError(f"region {region.name!r}: {country[:20]!r} is not a country's two letters")
    if said.get(ROWS, "1") not in ("1", "2"):
        raise ResultError(f"region {region.name!r}: a plate has 1 or 2 rows, not {said[ROWS][:20]!r}")
    if choice not in (LEGIBLE, PARTLY, UNREADABLE, LETTERING, NOT_A_PLATE, None):
        raise ResultError(f"region {region.name!r}: {choice[:20]!r} is not a choice that is known")
    rows = int(said[ROWS]) if ROWS in said else None
    plate = Plate(region.box, region.quad, None, country, rows, legible=choice != UNREADABLE)
    kind: Kind = "lettering" if choice == LETTERING else "not_a_plate" if choice == NOT_A_PLATE else "plate"
    text = _checked(region, text)
    readings = (text,) if text and choice != NOT_A_PLATE else ()
    if choice is None:
        return CorrectedPlate(plate, certain=False, readings=readings)
    if text and "?" not in text and choice in (LEGIBLE, LETTERING):
        return CorrectedPlate(replace(plate, text=text), kind)
    return CorrectedPlate(plate, kind, readings=readings)


def _checked(region: _Region, text: str) -> str:
    if strange := [c for c in unicodedata.normalize("NFKC", text) if not (c.isalnum() or c.isspace() or c in BETWEEN)]:
        raise ResultError(f"region {region.name!r}: its text holds {strange[0]!r}, which stands on no plate")
    try:
        return _normal(text)
    except alphabet.TextError as error:
        raise ResultError(f"region {region.name!r}: its text cannot stand on a plate: {error}") from None


def _normal(text: str) -> str:
    """A text in capitals without spaces and dashes, each lost character a '?'; empty where all are lost."""
    parts = [alphabet.normalise(part) for part in text.replace("\N{FULLWIDTH QUESTION MARK}", "?").split("?")]
    if not any(parts):
        return ""
    alphabet.check("".join(parts))
    return "?".join(parts)
