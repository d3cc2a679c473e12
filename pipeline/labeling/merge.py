"""What several people say of one picture, brought together: agreeing annotators, and a three-way merge.

Nothing is decided here that two sides see differently: that is a conflict, with a sentence for each difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.history import Annotation, iou, last_words, matched
from pipeline.records import Plate

SAME_POINT = 0.011  # pixels: less than this is a number's rounding, not somebody's hand
UNREAD: tuple[object, ...] = (None, (), True, True, "plate")  # what is said of a plate of which nothing is
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Settled:
    """Whose word holds, or why nobody's does. `overruled` are annotations that a later one has settled."""

    winner: Annotation | None
    reasons: tuple[str, ...] = ()
    overruled: tuple[Annotation, ...] = ()


def settle(annotations: Iterable[Annotation], same_iou: float, since: str | None = None) -> Settled:
    """The latest submitted annotation, if nobody's last word disagrees with another's.

    `since` is the time of the last annotation in an open conflict: only what was said after it, in knowledge of the
    conflict, can settle it.
    """
    voices = [one for one in annotations if one.state == "submitted" and not one.overruled]
    overruled: tuple[Annotation, ...] = ()
    if since is not None and (later := [one for one in voices if one.when > since]):
        overruled = tuple(one for one in voices if one.when <= since)
        voices = later
    words = last_words(voices)
    reasons = [
        f"{a.by} and {b.by}: {reason}"
        for a, b in combinations(words, 2)
        for reason in differences(a.plates, b.plates, same_iou)
    ]
    if reasons or not words:
        return Settled(None, tuple(reasons), overruled)
    *others, winner = sorted(words, key=lambda one: (one.when, one.id))
    return Settled(replace(winner, plates=_completed(winner.plates, others)), (), overruled)


def _completed(plates: Sequence[CorrectedPlate], others: Iterable[Annotation]) -> tuple[CorrectedPlate, ...]:
    """The winner's plates with the rows and country that only others, who agree with them otherwise, have told."""
    plates = list(plates)
    for other in others:
        places = matched(plates, other.plates)
        for place, told in zip(places, other.plates, strict=True):
            if place is not None:
                own = plates[place].plate
                fuller = replace(own, rows=own.rows or told.plate.rows, region=own.region or told.plate.region)
                plates[place] = replace(plates[place], plate=fuller)
    return tuple(plates)


def differences(a: Sequence[CorrectedPlate], b: Sequence[CorrectedPlate], same_iou: float) -> list[str]:
    """A sentence for each thing that two annotators see differently: which plates there are, where, what they say."""
    a, b = (tuple(one for one in plates if not _no_plate(one)) for plates in (a, b))
    places = matched(a, b)
    alone = [one for index, one in enumerate(a) if index not in places]
    alone += [one for one, place in zip(b, places, strict=True) if place is None]
    reasons = [f"only one of them has {_where(one)}" for one in alone]
    for place, other in zip(places, b, strict=True):
        if place is None:
            continue
        one = a[place]
        if (overlap := iou(one, other)) < same_iou:
            reasons.append(f"their boxes of {_where(one)} overlap by only {overlap:.2f}")
        if _reading(one) != _reading(other):
            reasons.append(f"they read {_where(one)} differently")
    return reasons


@dataclass(frozen=True, slots=True)
class Merged:
    """The plates after a merge, in order of the base, then what was added; in what conflicts, as `theirs` has it."""

    plates: tuple[CorrectedPlate, ...]
    conflicts: tuple[str, ...] = ()


def three_way(
    base: Sequence[CorrectedPlate],
    ours: Sequence[CorrectedPlate],
    theirs: Sequence[CorrectedPlate],
    same_iou: float,
) -> Merged:
    """What two sides made of `base`, each change kept; a plate or field that both changed unlike is a conflict."""
    own, other = _paired(base, ours), _paired(base, theirs)
    merged: list[CorrectedPlate] = []
    conflicts: list[str] = []
    for before, mine, yours in zip(base, own.pairs, other.pairs, strict=True):
        if mine is not None and yours is not None:
            merged.append(_fields(before, mine, yours, same_iou, conflicts))
            continue
        kept = mine if mine is not None else yours
        if kept is not None and not same(before, kept) and not _no_plate(kept):
            conflicts.append(f"{_where(kept)} was removed on one side and changed on the other")
            merged += [kept] if yours is not None else []
    places = matched(own.new, other.new)
    for yours, place in zip(other.new, places, strict=True):
        merged.append(yours if place is None else _fields(None, own.new[place], yours, same_iou, conflicts))
    merged += [mine for index, mine in enumerate(own.new) if index not in places]
    return Merged(tuple(merged), tuple(conflicts))


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's version of each plate of the base (None: removed), and the plates that it added."""

    pairs: tuple[CorrectedPlate | None, ...]
    new: tuple[CorrectedPlate, ...]


def _paired(base: Sequence[CorrectedPlate], side: Sequence[CorrectedPlate]) -> _Side:
    places = matched(base, side)
    by_place = {place: one for place, one in zip(places, side, strict=True) if place is not None}
    new = tuple(one for one, place in zip(side, places, strict=True) if place is None)
    return _Side(tuple(by_place.get(index) for index in range(len(base))), new)


def _fields(
    base: CorrectedPlate | None, mine: CorrectedPlate, yours: CorrectedPlate, same_iou: float, conflicts: list[str]
) -> CorrectedPlate:
    """One plate from two versions of it: its shape, what it says, its rows and its country, each on its own."""
    where = _where(mine)

    def chosen(name: str, before: Value, left: Value, right: Value) -> Value:
        if before == right:
            return left
        if before != left and left != right:
            conflicts.append(f"{where} has another {name} on each side")
        return right

    here, there = (base is None or not _same_shape(base.plate, side.plate) for side in (mine, yours))  # drawn anew
    alike = iou(mine, yours) >= same_iou
    if here and there and not alike:
        conflicts.append(f"{where} has another place on each side")
    saying = chosen("reading", _reading(base) if base else UNREAD, _reading(mine), _reading(yours))
    rows = chosen("number of rows", base.plate.rows if base else None, mine.plate.rows, yours.plate.rows)
    region = chosen("country", base.plate.region if base else None, mine.plate.region, yours.plate.region)
    spoken = mine if saying == _reading(mine) else yours
    outlined = alike and mine.plate.quad is not None and yours.plate.quad is None  # which tells more than a box
    shape = (mine if not there or (here and outlined) else yours).plate
    plate = replace(shape, text=spoken.plate.text, legible=spoken.plate.legible, rows=rows, region=region)
    return replace(spoken, plate=plate)


def adopt(
    shown: Sequence[CorrectedPlate], plates: Sequence[CorrectedPlate], read: Sequence[CorrectedPlate] = ()
) -> tuple[CorrectedPlate, ...]:
    """An annotator's plates with what the labelling interface could not show of them taken from what was shown.

    That is a novelty plate's kind, and where nobody moved the plate its exact numbers, characters' boxes and vehicle.
    A text that somebody typed is certain; one that only stood there, unconfirmed, stays what it was. That is also
    what the recogniser `read`, where the annotator took its plates over.
    """
    known, seen = ([side[p] if p is not None else None for p in matched(side, plates)] for side in (shown, read))
    return tuple(_adopted(*three) for three in zip(known, seen, plates, strict=True))


def _adopted(before: CorrectedPlate | None, seen: CorrectedPlate | None, one: CorrectedPlate) -> CorrectedPlate:
    plate, kind = one.plate, one.kind
    if before is not None and _same_shape(before.plate, plate):
        kept = before.plate
        plate = replace(plate, box=kept.box, quad=kept.quad, char_boxes=kept.char_boxes, vehicle=kept.vehicle)
    if before is not None and (before.kind, kind) == ("novelty", "plate"):
        kind = before.kind
    if one.certain:
        return replace(one, plate=plate, kind=kind)
    if before is not None and not before.certain and one.readings in ((), before.readings[:1]):
        return replace(before, plate=plate)
    text = next(iter(one.readings), None)
    if text is not None and seen is not None and seen.readings == one.readings:
        return replace(one, plate=plate, kind=kind)  # the recogniser's own, which nobody confirmed
    if text is None or "?" in text:
        return CorrectedPlate(plate, kind, readings=one.readings)
    return CorrectedPlate(replace(plate, text=text), kind)


def same(a: CorrectedPlate, b: CorrectedPlate) -> bool:
    """Whether two versions of a plate say the same, numbers' rounding aside."""
    alike = (a.plate.rows, a.plate.region) == (b.plate.rows, b.plate.region)
    return alike and _reading(a) == _reading(b) and _same_shape(a.plate, b.plate)


def all_same(a: Sequence[CorrectedPlate], b: Sequence[CorrectedPlate]) -> bool:
    """Whether two lists hold the same plates, in any order."""
    places = matched(a, b)
    paired = all(place is not None and same(a[place], one) for one, place in zip(b, places, strict=True))
    return len(a) == len(b) and paired


def _same_shape(a: Plate, b: Plate) -> bool:
    """Whether nobody moved a corner: of the outline where there is one, else of the box."""
    if (a.quad is None) != (b.quad is None):
        return False
    first = a.box.xyxy if a.quad is None else tuple(v for point in a.quad.points for v in point)
    second = b.box.xyxy if b.quad is None else tuple(v for point in b.quad.points for v in point)
    return all(abs(x - y) < SAME_POINT for x, y in zip(first, second, strict=True))


def _reading(one: CorrectedPlate) -> tuple[object, ...]:
    """All that is said of what a plate says."""
    return (one.plate.text, one.readings, one.certain, one.plate.legible, one.kind)


def _no_plate(one: CorrectedPlate) -> bool:
    """Whether it is certain that there is none: as good as a box that was removed."""
    return one.certain and one.kind == "not_a_plate"


def _where(one: CorrectedPlate) -> str:
    return f"the plate at ({one.plate.box.x1:.0f}, {one.plate.box.y1:.0f})"
