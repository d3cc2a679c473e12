"""Agreeing annotators, and the three-way merge: every combination of changes, and that none is lost without a word."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.history import Annotation
from pipeline.labeling.merge import adopt, all_same, differences, same, settle, three_way
from pipeline.records import Box, Plate, Point, Quad

SAME = 0.8
PLACE = (100.0, 100.0, 200.0, 130.0)


def plate(
    xyxy: tuple[float, ...] = PLACE, quad: tuple[Point, ...] | None = None, x: float = 0, **known: Any
) -> CorrectedPlate:
    """A plate, moved by `x` pixels to the right."""
    about = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    x1, y1, x2, y2 = xyxy
    outline = Quad(*((a + x, b) for a, b in quad)) if quad else None
    return CorrectedPlate(Plate(Box(x1 + x, y1, x2 + x, y2), outline, **known), **about)


def unsure(*readings: str, **known: Any) -> CorrectedPlate:
    return plate(certain=False, readings=readings, **known)


def said(
    by: str, *plates: CorrectedPlate, when: int = 1, number: int = 0, state: Any = "submitted", overruled: bool = False
) -> Annotation:
    moment = f"2026-11-26T09:00:{when:02d}.000000Z"
    return Annotation(number or when, moment, moment, by, 1.0, state, plates, overruled)


# Several annotators


READ, OTHERWISE = plate(text="AB1"), plate(text="AB7")
AGREEING: dict[str, tuple[list[Annotation], str | None]] = {
    "nobody": ([], None),
    "one": ([said("ann", READ)], "ann"),
    "two alike": ([said("ann", READ), said("bob", READ, when=2)], "bob"),
    "two alike, in the other order": ([said("bob", READ), said("ann", READ, when=2)], "ann"),
    "boxes that overlap by 0.82": ([said("ann", READ), said("bob", plate(x=10, text="AB1"), when=2)], "bob"),
    "both see no plate": ([said("ann"), said("bob", when=2)], "bob"),
    "not a plate, or no box": ([said("ann", plate(kind="not_a_plate")), said("bob", when=2)], "bob"),
    "one changes their mind": ([said("ann", OTHERWISE), said("ann", READ, when=2), said("bob", READ)], "ann"),
    "drafts, skipped, deleted and refused ones say nothing": (
        [
            said("ann", READ),
            *(said("bob", OTHERWISE, when=3 + n, state=state) for n, state in enumerate(("draft", "skipped"))),
            *(said("eve", OTHERWISE, when=5 + n, state=state) for n, state in enumerate(("deleted", "refused"))),
        ],
        "ann",
    ),
    "only a draft": ([said("bob", READ, state="draft")], None),
    "overruled ones say nothing": ([said("ann", OTHERWISE, when=3, overruled=True), said("bob", READ)], "bob"),
    "of two at one time the later id": ([said("ann", READ, number=5), said("bob", READ, number=4)], "ann"),
}


@pytest.mark.parametrize(("annotations", "winner"), AGREEING.values(), ids=AGREEING.keys())
def test_the_latest_of_those_who_agree_is_taken(annotations: list[Annotation], winner: str | None) -> None:
    settled = settle(annotations, SAME)
    assert settled.reasons == settled.overruled == ()
    assert (settled.winner.by if settled.winner else None) == winner
    assert settle(annotations[::-1], SAME) == settled


LOW = plate(x=15, text="AB1")  # IoU 85 / 115
DIFFERING: dict[str, tuple[list[Annotation], list[str]]] = {
    "the text": ([said("ann", READ), said("bob", OTHERWISE)], ["ann and bob: they read the plate at (100, 100)"]),
    "whether it can be read": ([said("ann", READ), said("bob", plate(legible=False))], ["ann and bob: they read"]),
    "whether it is a plate": ([said("ann", READ), said("bob", plate(kind="not_a_plate"))], ["only one of them has"]),
    "whether it is lettering": ([said("ann", READ), said("bob", plate(text="AB1", kind="lettering"))], ["they read"]),
    "where it is": (
        [said("ann", READ), said("bob", LOW)],
        ["their boxes of the plate at (100, 100) overlap by only 0.74"],
    ),
    "where, and what": ([said("ann", READ), said("bob", plate(x=15))], ["overlap by only", "they read"]),
    "how many there are": (
        [said("ann", READ), said("bob", READ, plate(x=300))],
        ["only one of them has the plate at (400, 100)"],
    ),
    "which there are": ([said("ann", READ), said("bob", plate(x=300))], ["only one of them has"] * 2),
    "the third of three": (
        [said("ann", READ), said("bob", READ), said("eve", OTHERWISE)],
        ["ann and eve: they read", "bob and eve: they read"],
    ),
    "whether a doubtful one is a plate": (
        [said("ann", unsure(kind="not_a_plate")), said("bob")],
        ["only one of them has"],
    ),
    "what one of them says last": (
        [said("ann", READ), said("ann", OTHERWISE, when=2), said("bob", READ)],
        ["they read"],
    ),
}


@pytest.mark.parametrize(("annotations", "words"), DIFFERING.values(), ids=DIFFERING.keys())
def test_who_disagrees_in_what(annotations: list[Annotation], words: list[str]) -> None:
    settled = settle(annotations, SAME)
    assert settled.winner is None
    assert len(settled.reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, settled.reasons, strict=True)), settled.reasons
    assert settle(annotations[::-1], SAME) == settled


def test_what_is_said_after_a_conflict_settles_it() -> None:
    first = [said("ann", READ, when=1), said("bob", OTHERWISE, when=2)]
    since = first[1].when
    assert settle(first, SAME, since) == settle(first, SAME), "as long as nobody has said more"
    again = said("ann", OTHERWISE, when=3)
    settled = settle([*first, again], SAME, since)
    assert (settled.winner, settled.reasons, settled.overruled) == (again, (), tuple(first))


def test_a_third_one_may_settle_it_against_both() -> None:
    first = [said("ann", READ, when=1), said("bob", OTHERWISE, when=2)]
    eve = said("eve", plate(text="AB9"), when=3)
    assert settle([*first, eve], SAME, first[1].when).winner == eve


def test_a_second_round_may_end_in_another_conflict() -> None:
    first = [said("ann", READ, when=1), said("bob", OTHERWISE, when=2)]
    second = [said("ann", READ, when=3), said("bob", OTHERWISE, when=4)]
    settled = settle([*first, *second], SAME, first[1].when)
    assert settled.winner is None
    assert len(settled.reasons) == 1
    assert settled.overruled == tuple(first), "or they would speak again as soon as nobody is later than they all"
    marked = [replace(one, overruled=True) for one in first]
    assert settle([*marked, *second], SAME, second[1].when).reasons == settled.reasons
    third = said("bob", READ, when=5)
    settled = settle([*marked, *second, third], SAME, second[1].when)
    assert (settled.winner, settled.overruled) == (third, tuple(second))


def test_a_microsecond_after_is_after() -> None:
    ann, bob = said("ann", READ), said("bob", OTHERWISE)
    late = replace(bob, when=ann.when.replace(".000000Z", ".000001Z"))
    assert settle([ann, late], SAME, ann.when).winner == late


def test_outlines_that_lean_opposite_ways_in_one_box_differ() -> None:
    up = plate((100, 100, 200, 160), ((100, 130), (200, 100), (200, 130), (100, 160)), text="AB1")
    down = plate((100, 100, 200, 160), ((100, 100), (200, 130), (200, 160), (100, 130)), text="AB1")
    assert differences([up], [down], SAME)
    assert three_way([plate((100, 100, 200, 160), text="AB1")], [up], [down], SAME).conflicts


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([READ], []), ([READ], [OTHERWISE, plate(x=300)]), ([READ, plate(x=300)], [LOW])]
)
def test_differences_are_those_of_both(a: list[CorrectedPlate], b: list[CorrectedPlate]) -> None:
    assert len(differences(a, b, SAME)) == len(differences(b, a, SAME))
    assert bool(differences(a, b, SAME)) is (a != b)


# The three-way merge: each field by itself


BASE = plate()
OUTLINE = ((100.0, 100.0), (200.0, 102.0), (200.0, 130.0), (100.0, 128.0))
FIELDS: dict[str, tuple[CorrectedPlate, CorrectedPlate]] = {  # two ways to change each
    "place": (plate(x=40), plate(x=-40)),
    "place, by a little and by much": (plate(x=5), plate(x=40)),
    "outline, and place": (plate(quad=OUTLINE), plate(x=40)),
    "text": (plate(text="AB1"), plate(text="AB7")),
    "legibility": (plate(legible=False), plate(text="AB1")),
    "kind": (plate(kind="lettering"), plate(kind="novelty")),
    "certainty": (unsure("AB1"), plate(text="AB1")),
    "readings": (plate(readings=("A?1",)), plate(readings=("A?7",))),
    "rows": (plate(rows=1), plate(rows=2)),
    "country": (plate(region="SE"), plate(region="NO")),
}
WAYS = ("unchanged", "one way", "another way", "removed")


@pytest.mark.parametrize(("ours", "theirs"), list(product(WAYS, WAYS)), ids=lambda way: way)
@pytest.mark.parametrize("changes", FIELDS.values(), ids=FIELDS.keys())
def test_what_becomes_of_a_plate(changes: tuple[CorrectedPlate, CorrectedPlate], ours: str, theirs: str) -> None:
    sides = {"unchanged": [BASE], "one way": [changes[0]], "another way": [changes[1]], "removed": []}
    merged = three_way([BASE], sides[ours], sides[theirs], SAME)
    if ours == theirs or theirs == "unchanged":
        expected = sides[ours]
    elif ours == "unchanged":
        expected = sides[theirs]
    else:
        assert len(merged.conflicts) == 1
        assert "the plate at (" in merged.conflicts[0]
        return
    assert merged.conflicts == ()
    assert list(merged.plates) == expected


BACK: dict[str, tuple[CorrectedPlate, CorrectedPlate]] = {  # something known, and its removal
    "text": (plate(text="AB1"), plate()),
    "outline": (plate(quad=OUTLINE), plate()),
    "rows": (plate(rows=2), plate()),
    "country": (plate(region="SE"), plate()),
    "doubt": (unsure("AB1", "AB7"), plate(text="AB1")),
}


@pytest.mark.parametrize(("known", "without"), BACK.values(), ids=BACK.keys())
def test_to_take_something_back_is_a_change(known: CorrectedPlate, without: CorrectedPlate) -> None:
    assert three_way([known], [known], [without], SAME).plates == (without,)
    assert three_way([known], [without], [known], SAME).plates == (without,)


ADDED: dict[str, tuple[list[CorrectedPlate], list[CorrectedPlate], list[CorrectedPlate] | None]] = {
    "here": ([READ], [], [READ]),
    "there": ([], [READ], [READ]),
    "on both sides": ([READ], [READ], [READ]),
    "read on one side": ([plate()], [READ], [READ]),
    "read on the other": ([READ], [plate()], [READ]),
    "rows here, country there": ([plate(rows=1)], [plate(region="SE")], [plate(rows=1, region="SE")]),
    "read unlike": ([READ], [OTHERWISE], None),
    "a plate here, lettering there": ([READ], [plate(text="KWID", kind="lettering")], None),
    "drawn a little unlike: theirs": ([plate(x=5)], [plate()], [plate()]),
    "an outline here, a box there": ([plate(quad=OUTLINE)], [plate(x=1)], [plate(quad=OUTLINE)]),
    "a box here, an outline there": ([plate(x=1)], [plate(quad=OUTLINE)], [plate(quad=OUTLINE)]),
    "drawn unlike": ([plate(x=15)], [plate()], None),
    "drawn where there is little in common: two": ([plate(x=60)], [plate()], [plate(), plate(x=60)]),
    "one each": ([plate(x=300)], [plate()], [plate(), plate(x=300)]),
}


@pytest.mark.parametrize(("ours", "theirs", "expected"), ADDED.values(), ids=ADDED.keys())
def test_plates_that_were_added(
    ours: list[CorrectedPlate], theirs: list[CorrectedPlate], expected: list[CorrectedPlate] | None
) -> None:
    merged = three_way([], ours, theirs, SAME)
    if expected is None:
        assert len(merged.conflicts) == 1
    else:
        assert merged.conflicts == ()
        assert list(merged.plates) == expected


TOGETHER: dict[str, tuple[list[CorrectedPlate], list[CorrectedPlate], list[CorrectedPlate]]] = {
    "moved here, read there": ([plate(x=40)], [READ], [plate(x=40, text="AB1")]),
    "read here, moved there": ([READ], [plate(x=40)], [plate(x=40, text="AB1")]),
    "outlined here, rows there": ([plate(quad=OUTLINE)], [plate(rows=2)], [plate(quad=OUTLINE, rows=2)]),
    "rows here, country there": ([plate(rows=1)], [plate(region="SE")], [plate(rows=1, region="SE")]),
    "both move it alike": ([plate(x=40)], [plate(x=42)], [plate(x=42)]),
    "both move it, one with an outline": ([plate(quad=OUTLINE)], [plate(x=2)], [plate(quad=OUTLINE)]),
    "read here, another added there": ([READ], [BASE, plate(x=300)], [READ, plate(x=300)]),
    "removed here, another added there": ([], [BASE, plate(x=300)], [plate(x=300)]),
    "moved far away there": ([BASE], [plate(x=300)], [plate(x=300)]),
}


@pytest.mark.parametrize(("ours", "theirs", "expected"), TOGETHER.values(), ids=TOGETHER.keys())
def test_changes_of_both_sides_are_kept(
    ours: list[CorrectedPlate], theirs: list[CorrectedPlate], expected: list[CorrectedPlate]
) -> None:
    merged = three_way([BASE], ours, theirs, SAME)
    assert merged.conflicts == ()
    assert list(merged.plates) == expected


def test_not_a_plate_and_a_removed_one_are_one_thing() -> None:
    no_plate = plate(kind="not_a_plate")
    for ours, theirs in (([no_plate], []), ([], [no_plate])):
        assert three_way([BASE], ours, theirs, SAME).conflicts == ()
        assert three_way([BASE], ours, theirs, SAME).plates == ()
    assert three_way([BASE], [no_plate], [BASE], SAME).plates == (no_plate,)
    assert three_way([BASE], [unsure(kind="not_a_plate")], [], SAME).conflicts, "a doubt is no answer"
    assert three_way([BASE], [no_plate], [READ], SAME).conflicts


def test_each_difference_has_its_sentence() -> None:
    ours = [plate(x=40, text="AB1", rows=1, region="SE"), plate(x=300, text="XY1")]
    theirs = [plate(x=-40, text="AB7", rows=2, region="NO")]
    merged = three_way([BASE, plate(x=300)], ours, theirs, SAME)
    assert merged.conflicts == (
        "the plate at (140, 100) has another place on each side",
        "the plate at (140, 100) has another reading on each side",
        "the plate at (140, 100) has another number of rows on each side",
        "the plate at (140, 100) has another country on each side",
        "the plate at (400, 100) was removed on one side and changed on the other",
    )


def test_what_is_merged_keeps_the_order_of_the_base_and_ends_with_what_is_new() -> None:
    base = [plate(x=x) for x in (300, 0, 600)]
    merged = three_way(base, [plate(x=900), *base[::-1]], [plate(x=150), *base], SAME)
    assert [one.plate.box.x1 - 100 for one in merged.plates] == [300, 0, 600, 150, 900]


def test_what_only_one_side_knows_of_an_unmoved_plate_stays_with_it() -> None:
    characters = (Box(110, 105, 120, 125), Box(130, 105, 140, 125))
    ours = plate(char_boxes=characters, vehicle=Box(0, 0, 300, 200))
    assert three_way([ours], [ours], [plate(text="AB")], SAME).plates[0].plate.char_boxes == characters


# The three-way merge: whatever comes


PLACES = ((0, 0), (0, 300), (250, 0), (500, 200))  # so far apart that no two plates are taken for one
SHAPES = {"drawn": 0, "a little moved": 4, "moved": 30}
PLATES = st.builds(
    lambda shape, outlined, reading, rows, region: plate(
        (100.0 + SHAPES[shape], 100.0, 200.0 + SHAPES[shape], 130.0),
        tuple((a + SHAPES[shape], b) for a, b in OUTLINE) if outlined else None,
        rows=rows,
        region=region,
        **reading,
    ),
    st.sampled_from(sorted(SHAPES)),
    st.booleans(),
    st.sampled_from(
        [
            {},
            {"text": "AB1"},
            {"text": "AB7"},
            {"legible": False},
            {"certain": False, "readings": ("AB1",)},
            {"kind": "lettering"},
        ]
    ),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "SE", "NO"]),
)
Slots = tuple[CorrectedPlate | None, ...]
SLOTS = st.tuples(*(st.none() | PLATES for _ in PLACES))


def scene(slots: Slots) -> list[CorrectedPlate]:
    """The plates of a picture: each at its own place."""
    return [moved(one, *place) for one, place in zip(slots, PLACES, strict=True) if one is not None]


def moved(one: CorrectedPlate, dx: float, dy: float) -> CorrectedPlate:
    x1, y1, x2, y2 = one.plate.box.xyxy
    quad = Quad(*((x + dx, y + dy) for x, y in one.plate.quad.points)) if one.plate.quad else None
    return replace(one, plate=replace(one.plate, box=Box(x1 + dx, y1 + dy, x2 + dx, y2 + dy), quad=quad))


@st.composite
def crowds(draw: st.DrawFn) -> list[CorrectedPlate]:
    """Plates that may overlap as they like, no two in the same place."""
    corners = st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(10, 60), st.integers(5, 30))
    places = draw(st.lists(corners, max_size=5, unique=True))
    texts = [draw(st.sampled_from([None, "AB1", "AB7"])) for _ in places]
    boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in places]
    return [plate(xyxy, text=text) for xyxy, text in zip(boxes, texts, strict=True)]


PICTURES = SLOTS.map(scene) | crowds()


@settings(deadline=None)
@given(PICTURES, PICTURES)
def test_where_one_side_changed_nothing_the_other_is_taken(base: list[CorrectedPlate], x: list[CorrectedPlate]) -> None:
    for merged in (three_way(base, base, x, SAME), three_way(base, x, base, SAME), three_way(base, x, x, SAME)):
        assert merged.conflicts == ()
        assert all_same(merged.plates, x)


@settings(deadline=None)
@given(PICTURES, PICTURES, PICTURES)
def test_conflicts_are_those_of_both_sides(
    base: list[CorrectedPlate], ours: list[CorrectedPlate], theirs: list[CorrectedPlate]
) -> None:
    one, other = three_way(base, ours, theirs, SAME), three_way(base, theirs, ours, SAME)
    assert len(one.conflicts) == len(other.conflicts)


def unmoved(a: CorrectedPlate, b: CorrectedPlate) -> bool:
    return (a.plate.box, a.plate.quad) == (b.plate.box, b.plate.quad)


def parts(one: CorrectedPlate) -> dict[str, object]:
    reading = (one.plate.text, one.plate.legible, one.kind, one.certain, one.readings)
    return {"reading": reading, "rows": one.plate.rows, "region": one.plate.region}


@settings(max_examples=500, deadline=None)
@given(SLOTS, SLOTS, SLOTS)
def test_no_change_is_lost_without_a_conflict(base: Slots, ours: Slots, theirs: Slots) -> None:
    merged = three_way(scene(base), scene(ours), scene(theirs), SAME)
    if merged.conflicts:
        return
    found = {place: [] for place in PLACES}  # type: dict[tuple[int, int], list[CorrectedPlate]]
    for one in merged.plates:
        x1, y1, _, _ = one.plate.box.xyxy
        nearest = min(PLACES, key=lambda place: abs(x1 - 100 - place[0]) + abs(y1 - 100 - place[1]))
        found[nearest].append(moved(one, -nearest[0], -nearest[1]))
    for place, before, mine, yours in zip(PLACES, base, ours, theirs, strict=True):
        if mine is None or yours is None:
            kept = [one for one in (mine, yours) if one is not None and (before is None or not same(one, before))]
            assert found[place] == kept
            continue
        (result,) = found[place]
        for name, value in parts(result).items():
            first = parts(before or plate())[name]
            changed = {parts(side)[name] for side in (mine, yours) if parts(side)[name] != first}
            assert changed <= {value}, name
            assert value in (first, *changed)
        drawn = [side for side in (mine, yours) if before is None or not unmoved(before, side)]
        assert any(unmoved(result, side) for side in drawn or [mine])
        assert (result.plate.quad is not None) or all(side.plate.quad is None for side in drawn), "an outline got lost"


# What the interface could not show


SHOWN = {
    "nothing touched": (plate(text="AB1"), plate(text="AB1"), plate(text="AB1")),
    "a novelty plate stays one": (
        plate(text="BOSS", kind="novelty"),
        plate(text="BOSS"),
        plate(text="BOSS", kind="novelty"),
    ),
    "a novelty plate, read otherwise": (
        plate(text="BOSS", kind="novelty"),
        plate(text="B055"),
        plate(text="B055", kind="novelty"),
    ),
    "a novelty plate that is none": (plate(kind="novelty"), plate(kind="not_a_plate"), plate(kind="not_a_plate")),
    "a question, untouched": (unsure(), unsure(), unsure()),
    "a question, put aside": (unsure("AB1", "AB7"), unsure("AB1"), unsure("AB1", "AB7")),
    "a question whose text was emptied": (unsure("AB1"), unsure(), unsure("AB1")),
    "a question, moved": (unsure("AB1"), unsure("AB1", x=9), unsure("AB1", x=9)),
    "a question, its rows told": (unsure("AB1"), unsure("AB1", rows=2), unsure("AB1", rows=2)),
    "a question, answered": (unsure("AB1", "AB7"), plate(text="AB7"), plate(text="AB7")),
    "a question, typed over": (unsure("AB1"), unsure("AB7"), plate(text="AB7")),
    "the second reading typed": (unsure("AB1", "AB7"), unsure("AB7"), plate(text="AB7")),
    "typed in part": (unsure("AB1"), unsure("A?7"), plate(readings=("A?7",))),
    "perhaps no plate, untouched": (
        unsure(kind="not_a_plate"),
        unsure(),
        unsure(kind="not_a_plate"),
    ),
    "perhaps no plate, but read": (unsure(kind="not_a_plate"), plate(text="AB1"), plate(text="AB1")),
    "not transcribed, untouched": (plate(), unsure(), plate()),
    "not transcribed, typed": (plate(), unsure("AB1"), plate(text="AB1")),
    "the text taken away": (plate(text="AB1"), unsure(), plate()),
    "a new plate": (None, plate(text="AB1"), plate(text="AB1")),
    "a new plate, only drawn": (None, unsure(), plate()),
    "a new plate, typed": (None, unsure("AB1"), plate(text="AB1")),
}


@pytest.mark.parametrize(("shown", "came", "expected"), SHOWN.values(), ids=SHOWN.keys())
def test_adopt(shown: CorrectedPlate | None, came: CorrectedPlate, expected: CorrectedPlate) -> None:
    before = [plate(x=300, text="XY1")] + ([shown] if shown else [])
    assert adopt(before, [came]) == (expected,)


EXACT = plate(
    (100.004, 100.0, 199.996, 130.0), OUTLINE, char_boxes=(Box(110, 105, 120, 125),), vehicle=Box(0, 0, 300, 200)
)


@pytest.mark.parametrize(("x", "kept"), [(0.0, True), (0.01, True), (0.02, False), (-0.02, False)])
def test_where_nobody_moved_a_plate_it_keeps_its_numbers(x: float, kept: bool) -> None:
    came = plate(PLACE, OUTLINE, x=x, text="AB1")
    (one,) = adopt([EXACT], [came])
    expected = replace(EXACT.plate, text="AB1") if kept else came.plate
    assert one.plate == expected


def test_an_outline_in_place_of_a_box_is_the_outline() -> None:
    (one,) = adopt([plate(text="AB1")], [plate(quad=OUTLINE, text="AB1")])
    assert one.plate.quad == Quad(*OUTLINE)


def test_adopt_keeps_the_order_and_leaves_out_what_was_removed() -> None:
    shown = [plate(kind="novelty", text="A"), plate(x=300, text="B"), plate(x=600, kind="novelty", text="C")]
    came = [plate(x=600, text="C"), plate(text="A")]
    assert [(one.kind, one.plate.text) for one in adopt(shown, came)] == [("novelty", "C"), ("novelty", "A")]
    assert adopt(shown, []) == ()


@settings(deadline=None)
@given(PICTURES)
def test_what_nobody_touched_is_adopted_as_it_was(plates: list[CorrectedPlate]) -> None:
    assert list(adopt(plates, plates)) == plates


# Whether two lists are the same


def test_all_same_knows_no_order_and_no_rounding() -> None:
    a = [plate(text="AB1"), plate(x=300)]
    assert all_same(a, [plate(x=300.005), plate(text="AB1")])
    assert all_same([], [])
    for other in ([a[0]], [*a, plate(x=600)], [a[0], plate(x=301)], [plate(text="AB7"), a[1]], [plate(rows=1), a[1]]):
        assert not all_same(a, other)
        assert not all_same(other, a)
