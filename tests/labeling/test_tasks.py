"""Plates as Label Studio's results and back: exact numbers, every shipped label, and what is refused."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb
from label_studio_sdk.label_interface.interface import LabelInterface

from pipeline.labeling import corrections
from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.merge import adopt
from pipeline.labeling.tasks import (
    BOX,
    CORNERS,
    INTERFACE,
    LABELS,
    LEGIBILITY,
    REGION,
    ROWS,
    TEXT,
    TYPES,
    Extent,
    Item,
    ResultError,
    clockwise,
    from_result,
    legibility,
    to_result,
)
from pipeline.records import UNKNOWN_REGION, Box, Plate, Point, Quad

ROOT = Path(__file__).parents[2]
REGIONS = sorted(path.stem for path in (ROOT / "pipeline" / "rendering" / "regions").glob("*.yaml"))
SHIPPED = corrections.read(ROOT / "data" / "labels" / corrections.CORRECTIONS)
FACE = LabelInterface(INTERFACE.read_text(encoding="utf-8"))
EXTENT = Extent(200, 100)  # so that a percent is 2 pixels across and 1 down
RECTANGLE = {"x": 10, "y": 20, "width": 20, "height": 10, "rotation": 0}  # Box(20, 20, 60, 30)
OUTLINE = {"points": [[10, 20], [30, 21], [30, 31], [10, 30]], "closed": True}


def region(name: str, shape: dict[str, Any], *labels: str, **said: str) -> list[Item]:
    """The items of a region as the browser sends them; `said` by control."""
    control = CORNERS if "points" in shape else BOX
    words = {control: labels or (LABELS[control],), **{key: (word,) for key, word in said.items()}}
    return [
        item(name, key, {**shape, "text" if key == TEXT else TYPES[key]: list(told)}) for key, told in words.items()
    ]


def item(name: Any, control: str, value: Any, kind: str | None = None) -> Item:
    about = {"to_name": "image", "original_width": 200, "original_height": 100, "image_rotation": 0, "origin": "manual"}
    return {"id": name, "from_name": control, "type": kind or TYPES[control], "value": value, **about}


def sent(result: list[Item]) -> list[Item]:
    """A result as it arrives on the other side of JSON."""
    received: list[Item] = json.loads(json.dumps(result, allow_nan=False))
    return received


def plate(*xyxy: float, quad: tuple[Point, ...] | None = None, **known: Any) -> CorrectedPlate:
    fields = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(*xyxy), Quad(*quad) if quad else None, **known), **fields)


def holding(plates: tuple[CorrectedPlate, ...]) -> Extent:
    """The smallest picture that the plates stand in."""
    points = [p for one in plates for p in (one.plate.box.xyxy[2:], *(one.plate.quad.points if one.plate.quad else ()))]
    return Extent(*(max(1, math.ceil(max((point[axis] for point in points), default=1.0))) for axis in (0, 1)))


# Pixels


def test_100_000_integer_boxes_come_back_from_percent_exactly() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 8001, (100_000, 2))
    places = np.sort(np.floor(rng.random((100_000, 2, 2)) * (sizes[:, None] + 1)), axis=1)  # 0 and the size included
    touching = rng.random((100_000, 2)) < 0.1
    places[:, 0][touching] = 0.0
    places[:, 1][touching] = sizes[touching]
    for (width, height), ((x1, y1), (x2, y2)) in zip(sizes.tolist(), places.tolist(), strict=True):
        extent = Extent(width, height)
        (left, top), (right, bottom) = extent.percent(x1, y1), extent.percent(x2, y2)
        assert extent.pixels(left, top) == (x1, y1)
        assert extent.pixels(left + (right - left), top + (bottom - top)) == (x2, y2)  # as a rectangle's width gives it


@pytest.mark.parametrize("scale", [1, 100], ids=["whole pixels", "two decimals"])
@pytest.mark.parametrize("outlined", [False, True], ids=["boxes", "quads"])
def test_results_bring_every_shape_back_exactly(outlined: bool, scale: int) -> None:
    rng = np.random.default_rng(1)
    for width, height in rng.integers(40, 6000, (20, 2)).tolist():
        corners = [rng.integers(0, size * scale + 1, (200, 2)) / scale for size in (width, height)]
        plates = []
        for xs, ys in zip(*(np.sort(both, axis=1).tolist() for both in corners), strict=True):
            if xs[0] == xs[1] or ys[0] == ys[1]:
                continue
            box = Box(xs[0], ys[0], xs[1], ys[1])
            plates.append(CorrectedPlate(Plate(box, Quad.of_box(box) if outlined else None), certain=False))
        extent = Extent(width, height)
        assert from_result(sent(to_result(plates, extent)), extent) == tuple(plates)


def test_a_leaning_outline_comes_back_with_its_corners_in_their_order() -> None:
    """Upside down on a bonnet: the plate's own top left stands at the bottom right."""
    upside_down = plate(10, 10, 80.25, 40, quad=((80.25, 40), (12, 38), (10, 10), (79, 12.5)), certain=False)
    assert from_result(to_result([upside_down], EXTENT), EXTENT) == (upside_down,)


def test_a_box_that_stands_outside_is_cut_and_so_is_an_outline() -> None:
    """The server refuses more than 100 percent, and a detector's corners may stand outside."""
    outside = (
        plate(-5, -3, 50, 20),
        plate(150, 90, 204, 107, quad=((150, 90), (204, 91), (204, 107), (150, 106)), certain=False, readings=("AB1",)),
    )
    result = to_result(outside, EXTENT)
    assert FACE.validate_prediction({"score": 0.0, "result": result}, return_errors=True) == []
    boxes = [one.plate.box for one in from_result(result, EXTENT)]
    assert boxes == [Box(0, 0, 50, 20), Box(150, 90, 200, 100)]


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0), (-1, 10)])
def test_a_picture_has_an_extent(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width} x {height}"):
        Extent(width, height)


# What is shipped


@pytest.mark.parametrize("larger", [0, 1, 777])
def test_every_shipped_correction_comes_back_as_it_was(larger: int) -> None:
    """Nobody touches anything and submits: then nothing changes, and no question counts as answered."""
    for one in SHIPPED:
        smallest = holding(one.plates)
        extent = Extent(smallest.width + larger, smallest.height + 2 * larger)
        assert adopt(one.plates, from_result(sent(to_result(one.plates, extent)), extent)) == one.plates, one.image


@pytest.mark.parametrize("country", REGIONS)
def test_the_interface_shows_every_country(country: str) -> None:
    plates = [
        plate(1, 1, 40, 10, text="AB123", region=country, rows=1),
        plate(50, 1, 90, 20, region=country, rows=2, quad=((50, 1), (90, 2), (89, 20), (50, 19)), legible=False),
    ]
    prediction = {"score": 0.0, "result": to_result(plates, EXTENT)}
    assert FACE.validate_prediction(prediction, return_errors=True) == []


def test_the_interface_shows_every_shipped_correction() -> None:
    for one in SHIPPED:
        prediction = {"score": 0.0, "result": to_result(one.plates, holding(one.plates))}
        assert FACE.validate_prediction(prediction, return_errors=True) == [], one.image


def test_the_interface_lets_choose_what_this_package_knows() -> None:
    assert {control.name: control.tag.lower() for control in FACE.controls} == dict(TYPES)
    assert set(FACE.get_control(REGION).labels) >= {*REGIONS, UNKNOWN_REGION}
    assert set(FACE.get_control(ROWS).labels) == {"1", "2"}
    assert set(FACE.get_control(LEGIBILITY).labels) == {"legible", "partly", "unreadable", "lettering", "not a plate"}
    assert {control: set(FACE.get_control(control).labels) for control in LABELS} == {
        control: {label} for control, label in LABELS.items()
    }


# Outlines


QUADS = {
    "upright": ((10, 10), (50, 10), (50, 20), (10, 20)),
    "leaning right": ((10, 10), (50, 20), (48, 30), (8, 20)),
    "leaning left": ((10, 20), (50, 8), (52, 18), (12, 30)),
    "in perspective": ((10, 10), (50, 14), (50, 22), (10, 30)),
}


@pytest.mark.parametrize("quad", QUADS.values(), ids=QUADS.keys())
def test_corners_drawn_in_any_order_go_clockwise_from_the_top_left(quad: tuple[Point, ...]) -> None:
    for drawn in permutations(quad):
        assert tuple(clockwise(drawn)) == quad
        points = [list(EXTENT.percent(*point)) for point in drawn]
        (found,) = from_result(region("a", {"points": points}), EXTENT)
        assert found.plate.quad == Quad(*quad)
        assert found.plate.box == Quad(*quad).box


TURNED = {  # 40 x 10 pixels at (60, 50), turned by degrees clockwise: corners by hand
    "not at all": (0, None),
    "a quarter clockwise": (90, ((60, 50), (60, 90), (50, 90), (50, 50))),
    "upside down": (180, ((60, 50), (20, 50), (20, 40), (60, 40))),
    "a quarter back": (270, ((60, 50), (60, 10), (70, 10), (70, 50))),
    "30 degrees": (30, ((60, 50), (94.64, 70), (89.64, 78.66), (55, 58.66))),
    "30 degrees back": (-30, ((60, 50), (94.64, 30), (99.64, 38.66), (65, 58.66))),
}


@pytest.mark.parametrize(("degrees", "corners"), TURNED.values(), ids=TURNED.keys())
def test_a_turned_rectangle_is_an_outline(degrees: float, corners: tuple[Point, ...] | None) -> None:
    shape = {"x": 30, "y": 50, "width": 20, "height": 10, "rotation": degrees}
    (found,) = from_result(region("a", shape), EXTENT)
    assert found.plate.quad == (Quad(*corners) if corners else None)
    assert found.plate.box == (Quad(*corners).box if corners else Box(60, 50, 100, 60))


@settings(deadline=None)
@given(
    st.floats(30, 60),
    st.floats(30, 60),
    st.floats(1, 10),
    st.floats(1, 10),
    st.floats(0.1, 359.9),
    st.integers(500, 600),
    st.integers(500, 600),
)
def test_turned_rectangles_are_those_of_label_studios_own_converter(
    x: float, y: float, width: float, height: float, degrees: float, across: int, down: int
) -> None:
    shape = {"x": x, "y": y, "width": width, "height": height, "rotation": degrees}
    (found,) = from_result(region("a", shape), Extent(across, down))
    expected = convert_annotation_to_yolo_obb(
        {**shape, "original_width": across, "original_height": down}, normalize=False
    )
    assert found.plate.quad is not None
    np.testing.assert_allclose(found.plate.quad.points, expected, atol=0.03)


# What is said of a plate


LEGIBILITIES: dict[str, tuple[CorrectedPlate, str | None]] = {
    "read": (plate(1, 1, 9, 5, text="AB1"), "legible"),
    "novelty": (plate(1, 1, 9, 5, text="BOSS", kind="novelty"), "legible"),
    "not transcribed": (plate(1, 1, 9, 5), None),
    "partly read": (plate(1, 1, 9, 5, readings=("A?1",)), "partly"),
    "not readable": (plate(1, 1, 9, 5, legible=False), "unreadable"),
    "not readable, but a guess": (plate(1, 1, 9, 5, legible=False, readings=("AB1",)), "unreadable"),
    "lettering": (plate(1, 1, 9, 5, text="KWID", kind="lettering"), "lettering"),
    "lettering, not read": (plate(1, 1, 9, 5, kind="lettering"), "lettering"),
    "no plate": (plate(1, 1, 9, 5, kind="not_a_plate"), "not a plate"),
    "no plate, not readable": (plate(1, 1, 9, 5, kind="not_a_plate", legible=False), "not a plate"),
    "perhaps no plate": (plate(1, 1, 9, 5, kind="not_a_plate", certain=False), None),
    "unsure": (plate(1, 1, 9, 5, certain=False, readings=("AB1", "AB7")), None),
    "nobody could read it": (plate(1, 1, 9, 5, certain=False), None),
}


@pytest.mark.parametrize(("known", "choice"), LEGIBILITIES.values(), ids=LEGIBILITIES.keys())
def test_legibility(known: CorrectedPlate, choice: str | None) -> None:
    assert legibility(known) == choice
    chosen = [one["value"]["choices"] for one in to_result([known], EXTENT) if one["from_name"] == LEGIBILITY]
    assert chosen == ([[choice]] if choice else [])


SAID: dict[str, tuple[dict[str, str], CorrectedPlate]] = {
    "nothing: still the question": ({}, plate(20, 20, 60, 30, certain=False)),
    "a text only": ({TEXT: "ab-123"}, plate(20, 20, 60, 30, certain=False, readings=("AB123",))),
    "a text of blanks": ({TEXT: "  "}, plate(20, 20, 60, 30, certain=False)),
    "read": ({TEXT: " ab 123 ", LEGIBILITY: "legible"}, plate(20, 20, 60, 30, text="AB123")),
    "Chinese": ({TEXT: "京A12345", LEGIBILITY: "legible"}, plate(20, 20, 60, 30, text="京A12345")),
    "read but not all": ({TEXT: "a?-1", LEGIBILITY: "legible"}, plate(20, 20, 60, 30, readings=("A?1",))),
    "a wide question mark": (
        {TEXT: "A\N{FULLWIDTH LATIN CAPITAL LETTER B}\N{FULLWIDTH QUESTION MARK}1", LEGIBILITY: "legible"},
        plate(20, 20, 60, 30, readings=("AB?1",)),
    ),
    "partly": ({TEXT: "A?1", LEGIBILITY: "partly"}, plate(20, 20, 60, 30, readings=("A?1",))),
    "partly, all of it": ({TEXT: "AB1", LEGIBILITY: "partly"}, plate(20, 20, 60, 30, readings=("AB1",))),
    "partly, all lost": ({TEXT: "???", LEGIBILITY: "partly"}, plate(20, 20, 60, 30)),
    "legible, not typed": ({LEGIBILITY: "legible"}, plate(20, 20, 60, 30)),
    "unreadable": ({LEGIBILITY: "unreadable"}, plate(20, 20, 60, 30, legible=False)),
    "unreadable, a guess": (
        {TEXT: "AB1", LEGIBILITY: "unreadable"},
        plate(20, 20, 60, 30, legible=False, readings=("AB1",)),
    ),
    "lettering": ({TEXT: "KWID", LEGIBILITY: "lettering"}, plate(20, 20, 60, 30, text="KWID", kind="lettering")),
    "lettering, not all": (
        {TEXT: "KW?D", LEGIBILITY: "lettering"},
        plate(20, 20, 60, 30, kind="lettering", readings=("KW?D",)),
    ),
    "no plate": ({TEXT: "AB1", LEGIBILITY: "not a plate"}, plate(20, 20, 60, 30, kind="not_a_plate")),
    "rows and country": (
        {ROWS: "2", REGION: "SE", LEGIBILITY: "legible"},
        plate(20, 20, 60, 30, rows=2, region="SE"),
    ),
}


@pytest.mark.parametrize(("said", "expected"), SAID.values(), ids=SAID.keys())
def test_what_is_said_of_a_plate(said: dict[str, str], expected: CorrectedPlate) -> None:
    assert from_result(region("a", RECTANGLE, **said), EXTENT) == (expected,)


@pytest.mark.parametrize(
    ("reading", "shown"),
    [
        ("AB?1", True),
        ("MINICOUNTRYMAN", False),
        ("ab-1", False),
        ("???", False),
        ("\N{GREEK CAPITAL LETTER BETA}1", False),
    ],
)
def test_a_reading_is_shown_where_it_can_come_back(reading: str, shown: bool) -> None:
    """Else whoever leaves it as it is would be refused, or taken for having typed it."""
    asked = (plate(20, 20, 60, 30, certain=False, readings=(reading, "AB1")),)
    result = to_result(asked, EXTENT)
    assert [one["value"]["text"] for one in result if one["from_name"] == TEXT] == ([[reading]] if shown else [])
    assert adopt(asked, from_result(result, EXTENT)) == asked


def test_an_empty_result_says_that_there_is_no_plate() -> None:
    assert from_result([], EXTENT) == ()
    assert to_result([], EXTENT) == []


def test_a_relation_between_regions_is_nothing_to_us() -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    assert len(from_result([*region("a", RECTANGLE), relation], EXTENT)) == 1


def test_a_text_may_come_as_a_string_and_the_last_of_several_counts() -> None:
    one, several = region("a", RECTANGLE), region("a", RECTANGLE)
    one.append(item("a", TEXT, {**RECTANGLE, "text": "AB1"}))
    several.append(item("a", TEXT, {**RECTANGLE, "text": ["XY9", "AB1"]}))
    assert from_result(one, EXTENT) == from_result(several, EXTENT)
    assert from_result(one, EXTENT)[0].readings == ("AB1",)


# A rectangle and the polygon drawn over it


def test_a_rectangle_and_the_outline_over_it_are_one_plate() -> None:
    told = region("plate0", RECTANGLE, text="AB1", legibility="legible", rows="1", region="SE")
    (one,) = from_result([*told, *region("x", OUTLINE, rows="2")], EXTENT)
    quad = Quad((20, 20), (60, 21), (60, 31), (20, 30))
    assert one == CorrectedPlate(Plate(quad.box, quad, "AB1", "SE", rows=2)), "the outline's own words come first"


def test_the_order_of_rectangle_and_outline_is_all_one() -> None:
    a, b = region("plate0", RECTANGLE, text="AB1", legibility="legible"), region("x", OUTLINE)
    assert from_result([*a, *b], EXTENT) == from_result([*b, *a], EXTENT)


def test_a_turned_rectangle_too_gives_its_words_to_the_outline_over_it() -> None:
    (one,) = from_result(
        [*region("plate0", {**RECTANGLE, "rotation": 1}, text="AB1", legibility="legible"), *region("x", OUTLINE)],
        EXTENT,
    )
    assert one.plate.text == "AB1"
    assert one.plate.quad == Quad((20, 20), (60, 21), (60, 31), (20, 30))


def test_a_rectangle_beside_an_outline_is_another_plate() -> None:
    beside = {**RECTANGLE, "x": 22}  # 16 of 40 pixels in common: IoU 0.24
    found = from_result([*region("a", beside, text="AB1"), *region("x", OUTLINE)], EXTENT)
    assert [one.plate.quad is None for one in found] == [True, False]
    assert found[1].readings == ()


def test_two_rectangles_over_one_outline_are_not_both_taken() -> None:
    drawn = [*region("a", RECTANGLE, text="AB1"), *region("b", RECTANGLE, text="AB2"), *region("x", OUTLINE)]
    found = from_result(drawn, EXTENT)
    assert [(one.plate.quad is None, one.readings) for one in found] == [(True, ("AB2",)), (False, ("AB1",))]


# Refusals


@pytest.mark.parametrize(
    ("shape", "beyond"),
    [
        pytest.param({"x": -0.45, "y": 1, "width": 20, "height": 10}, 0.9, id="left"),
        pytest.param({"x": 80, "y": 1, "width": 20.45, "height": 10}, 0.9, id="right"),
        pytest.param({"x": 1, "y": -0.9, "width": 20, "height": 10}, 0.9, id="top"),
        pytest.param({"x": 1, "y": 90, "width": 20, "height": 10.9}, 0.9, id="bottom"),
        pytest.param({"points": [[80, 90], [100.45, 90], [100, 100.9], [80, 100]]}, 0.9, id="a polygon"),
        pytest.param({"x": -0.5, "y": 1, "width": 20, "height": 10}, 1, id="left, a whole pixel"),
        pytest.param({"x": -0.51, "y": 1, "width": 20, "height": 10}, 1.02, id="left, and a little more"),
        pytest.param({"x": -0.75, "y": 1, "width": 20, "height": 10}, 1.5, id="left, too far"),
        pytest.param({"x": 80, "y": 1, "width": 20.75, "height": 10}, 1.5, id="right, too far"),
        pytest.param({"x": 1, "y": -1.5, "width": 20, "height": 10}, 1.5, id="top, too far"),
        pytest.param({"x": 1, "y": 90, "width": 20, "height": 11.5}, 1.5, id="bottom, too far"),
        pytest.param({"points": [[80, 90], [100.75, 90], [100, 100], [80, 100]]}, 1.5, id="a polygon, too far"),
    ],
)
def test_a_shape_is_cut_at_the_edge_or_refused(shape: dict[str, Any], beyond: float) -> None:
    if beyond > 1:
        with pytest.raises(ResultError, match=f"region 'a' stands {beyond:g} px outside the picture"):
            from_result(region("a", shape), EXTENT)
        return
    box = from_result(region("a", shape), EXTENT)[0].plate.box
    assert min(box.xyxy) >= 0
    assert box.x2 <= EXTENT.width
    assert box.y2 <= EXTENT.height


LONG = "A" * 100_000
NAN, INF = float("nan"), float("inf")
REFUSED: dict[str, tuple[object, str]] = {
    "no result": (None, "not a list of objects"),
    "an object": ({}, "not a list of objects"),
    "a text": ("plate", "not a list of objects"),
    "texts": (["plate"], "not a list of objects"),
    "an unknown label": (region("a", RECTANGLE, "car"), "unknown label.*'car'.*only 'plate'"),
    "two labels": (region("a", RECTANGLE, "plate", "car"), "unknown label"),
    "a label of the other shape": (region("a", OUTLINE, "plate"), "only 'plate by its corners'"),
    "no label": ([item("a", BOX, {**RECTANGLE, "rectanglelabels": []})], "unknown label"),
    "a label that is long": (region("a", RECTANGLE, LONG), "unknown label"),
    "an unknown control": ([item("a", "colour", {"choices": ["red"]}, "choices")], "unknown kind, 'colour'"),
    "a control that is long": ([item("a", LONG, {}, "choices")], "unknown kind"),
    "a script for a control": ([item("a", "<script>", {}, "choices")], "unknown kind, '<script>'"),
    "a control of another type": ([item("a", BOX, RECTANGLE, "brushlabels")], "unknown kind, 'box'"),
    "a plain rectangle": ([item("a", BOX, RECTANGLE, "rectangle")], "unknown kind"),
    "only fields": ([item("a", TEXT, {"text": ["AB1"]})], "0 shapes instead of one"),
    "two shapes": (region("a", RECTANGLE) + region("a", OUTLINE), "2 shapes instead of one"),
    "three corners": (region("a", {"points": [[1, 1], [9, 1], [9, 9]]}), "four corners, not 3"),
    "five corners": (region("a", {"points": [[1, 1], [9, 1], [9, 9], [1, 9], [0, 5]]}), "four corners, not 5"),
    "no corners": (region("a", {"points": []}), "four corners, not 0"),
    "corners in a line": (region("a", {"points": [[1, 1], [2, 1], [3, 1], [4, 1]]}), "zero height"),
    "a corner twice": (region("a", {"points": [[1, 1], [1, 1], [9, 9], [1, 9]]}), "do not go round a plate"),
    "a dent": (region("a", {"points": [[1, 1], [9, 1], [4, 4], [1, 9]]}), "do not go round a plate"),
    "no width": (region("a", {**RECTANGLE, "width": 0}), "zero width"),
    "less than no width": (region("a", {**RECTANGLE, "width": -5}), "do not go round"),
    "no height": (region("a", {**RECTANGLE, "height": 0.0001}), "zero height"),
    "cut to nothing": (region("a", {**RECTANGLE, "x": -0.4, "width": 0.3}), "zero width"),
    "NaN": (region("a", {**RECTANGLE, "x": NAN}), "not finite"),
    "infinite": (region("a", {**RECTANGLE, "width": INF}), "not finite"),
    "an infinite turn": (region("a", {**RECTANGLE, "rotation": INF}), "malformed"),
    "a NaN turn": (region("a", {**RECTANGLE, "rotation": NAN}), "not finite"),
    "a NaN corner": (region("a", {"points": [[1, 1], [9, NAN], [9, 9], [1, 9]]}), "not finite"),
    "a number beyond floats": (region("a", {**RECTANGLE, "x": 10**400}), "malformed"),
    "a corner beyond floats": (region("a", {"points": [[10**400, 1], [9, 1], [9, 9], [1, 9]]}), "malformed"),
    "a turn beyond floats": (region("a", {**RECTANGLE, "rotation": 10**400}), "malformed"),
    "a great number": (region("a", {**RECTANGLE, "x": 1e300}), "outside the picture"),
    "no x": ([item("a", BOX, {"y": 1, "width": 2, "height": 2, "rectanglelabels": ["plate"]})], "malformed"),
    "x is a word": (region("a", {**RECTANGLE, "x": "left"}), "malformed"),
    "x is nothing": (region("a", {**RECTANGLE, "x": None}), "malformed"),
    "x is a list": (region("a", {**RECTANGLE, "x": [1]}), "malformed"),
    "a turn that is a word": (region("a", {**RECTANGLE, "rotation": "much"}), "malformed"),
    "points are a number": (region("a", {"points": 4}), "malformed"),
    "points are words": (region("a", {"points": ["tl", "tr"]}), "malformed"),
    "points of three numbers": (region("a", {"points": [[1, 1, 1]] * 4}), "malformed"),
    "no value": ([{"id": "a", "from_name": BOX, "type": TYPES[BOX]}], "its box is malformed"),
    "a value that is a list": ([item("a", BOX, [1, 2])], "its box is malformed"),
    "labels that are a number": ([item("a", BOX, {**RECTANGLE, "rectanglelabels": 1})], "its box is malformed"),
    "labels of numbers": ([item("a", BOX, {**RECTANGLE, "rectanglelabels": [1]})], "its box is malformed"),
    "a text that is a number": ([*region("a", RECTANGLE), item("a", TEXT, {"text": 7})], "its text is malformed"),
    "a text in an object": ([*region("a", RECTANGLE), item("a", TEXT, {"text": [{}]})], "its text is malformed"),
    "no text in a text": ([*region("a", RECTANGLE), item("a", TEXT, {})], "its text is malformed"),
    "a script for a text": (region("a", RECTANGLE, text="<script>alert(1)</script>"), "'<', which stands on no plate"),
    "a path for a text": (region("a", RECTANGLE, text="/etc/passwd"), "'/', which stands on no plate"),
    "Greek": (region("a", RECTANGLE, text="\N{GREEK CAPITAL LETTER OMEGA}123"), "'Ω' is not in the plate alphabet"),
    "13 characters": (region("a", RECTANGLE, text="A" * 13, legibility="legible"), "1 to 12 characters, not 13"),
    "a long text": (region("a", RECTANGLE, text=LONG), "1 to 12 characters, not 100000"),
    "long, but for what is lost": (region("a", RECTANGLE, text="A?" * 20), "1 to 12 characters, not 20"),
    "an unknown choice": (region("a", RECTANGLE, legibility="blurred"), "'blurred' is not a choice"),
    "a choice that is long": (region("a", RECTANGLE, legibility=LONG), "is not a choice"),
    "three rows": (region("a", RECTANGLE, rows="3"), "1 or 2 rows, not '3'"),
    "rows that are long": (region("a", RECTANGLE, rows=LONG), "1 or 2 rows"),
    "a country's name": (region("a", RECTANGLE, region="Sweden"), "'Sweden' is not a country's two letters"),
    "a country in small letters": (region("a", RECTANGLE, region="se"), "two letters"),
    "a script for a country": (region("a", RECTANGLE, region="<script>"), "two letters"),
}


@pytest.mark.parametrize(("result", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_refused_in_a_sentence(result: object, words: str) -> None:
    with pytest.raises(ResultError, match=words) as told:
        from_result(result, EXTENT)
    assert len(str(told.value)) < 500, "it stands in annotations.jsonl, and on the terminal"


def test_one_bad_region_refuses_the_whole_result() -> None:
    with pytest.raises(ResultError, match="region 'b'"):
        from_result([*region("a", RECTANGLE), *region("b", {**RECTANGLE, "width": 0})], EXTENT)


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([10**400, -(10**400), 1e308, "1e999", "plate", "<script>", "../../etc/passwd", "\ud800", "?"])
)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        **{name: PLAIN | st.floats(-10, 110) for name in ("x", "y", "width", "height", "rotation")},
        "points": JSON | st.lists(st.lists(st.floats(-1, 101), min_size=2, max_size=2), min_size=3, max_size=5),
        **{name: JSON | st.lists(st.text(max_size=15), max_size=2) for name in ("text", "choices")},
        "rectanglelabels": JSON | st.just(["plate"]),
        "polygonlabels": JSON | st.just(["plate by its corners"]),
    },
)
ITEMS = st.sampled_from([*TYPES, "colour"]).flatmap(
    lambda control: st.fixed_dictionaries(
        {"from_name": st.just(control), "type": st.just(TYPES.get(control, "choices")) | JSON},
        optional={"id": st.sampled_from(["a", "b", "plate0"]) | JSON, "value": VALUES | JSON},
    )
)


@settings(max_examples=150, deadline=None)
@given(JSON | st.lists(ITEMS | st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=6))
def test_whatever_comes_is_plates_or_refused(result: object) -> None:
    try:
        found = from_result(result, EXTENT)
    except ResultError:
        return
    assert all(0 <= one.plate.box.x1 < one.plate.box.x2 <= 200 for one in found)
    assert all(0 <= one.plate.box.y1 < one.plate.box.y2 <= 100 for one in found)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_good_result_with_one_thing_changed_is_plates_or_refused(data: st.DataObject) -> None:
    result: Any = [*region("a", RECTANGLE, text="AB1", legibility="legible", rows="1", region="SE")]
    result += region("b", {"points": [[60, 60], [80, 60], [80, 80], [60, 80]]}, text="AB2")
    place: Any = data.draw(st.sampled_from(result))
    while True:  # down to some leaf, which becomes whatever is drawn
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    try:
        found = from_result(result, EXTENT)
    except ResultError:
        return
    assert 1 <= len(found) <= 2
