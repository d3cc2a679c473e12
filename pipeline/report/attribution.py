"""Where the error is made: truth takes the place of each stage's answer in turn, and the plates that turn right are
that stage's to answer for.

    as found          the recogniser as it is
    missed plates     those that were not found are shown their true box, in which the refiner looks for the corners
    true boxes        so are all the others
    true corners      the crop is cut at the corners that a person drew; where there are none, straight along the box
    true text         all are right

A plate's fault is the first swap after which it is read right. One that is missed, and could not be read if it were
found, is therefore the reader's: a better detector would not have helped it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import alphabet
from pipeline.metrics import Bootstrap, Outcome, ratio, section

MISSED, BOX, CROP, CHARACTER = "missed plate", "bad box", "bad crop", "wrong character"


@dataclass(frozen=True, slots=True)
class Swap:
    """A truth that is swapped in. Plates that it puts right are counted under `fault`, and held against `stage`."""

    key: str
    name: str
    fault: str
    stage: str


SWAPS = (
    Swap("missed_plates", "missed plates shown", MISSED, "detection"),
    Swap("true_boxes", "true boxes", BOX, "detection"),
    Swap("true_corners", "true corners", CROP, "rectification"),
    Swap("true_text", "true text", CHARACTER, "reading"),
)
STAGES = tuple(dict.fromkeys(swap.stage for swap in SWAPS))


def states(outcome: Outcome, reader: str = "network") -> tuple[bool, ...]:
    """Whether a plate with a certain text is read right as found, and after each of SWAPS."""
    found = outcome.detected.get(reader) == outcome.truth
    placed = outcome.placed is not None and alphabet.readable(outcome.placed.best) == outcome.truth
    shown = placed if outcome.detection is None else found
    cut_true = outcome.labelled.get(reader) == outcome.truth
    return found, shown, placed, cut_true, True


def fault(outcome: Outcome) -> str | None:
    """What made our reader miss a plate with a certain text; None where it is read right."""
    right = states(outcome)
    return None if right[0] else next(swap.fault for swap, now in zip(SWAPS, right[1:], strict=True) if now)


def measure(results: Iterable[Outcome], bootstrap: Bootstrap) -> dict[str, Any]:
    """The share of plates read right after each swap, and the loss split by fault and by stage, with intervals.

    Of the plates of photos with a certain text. `plates` counts them by fault, `broken` those that a swap turned from
    right to wrong; `loss`, by fault, adds up to 1 less `right.as_found`. `perfect_crops` counts the plates that true
    corners turn right, and wrong, beside what was found.
    """
    chosen = [outcome for outcome in results if outcome.truth and outcome.sample.kind == "photo"]
    right = [states(outcome) for outcome in chosen]
    faults = [fault(outcome) for outcome in chosen]

    def share(holds: Sequence[bool]) -> Any:
        rows = [(outcome.sample.group, float(held), 1.0) for outcome, held in zip(chosen, holds, strict=True)]
        return ratio(rows, bootstrap, "no plate with a certain text on a photo")

    after = {"as_found": share([row[0] for row in right])}
    after |= {swap.key: share([row[place] for row in right]) for place, swap in enumerate(SWAPS, start=1)}
    by_stage = {stage: {swap.fault for swap in SWAPS if swap.stage == stage} for stage in STAGES}
    return {
        "n": len(chosen),
        "without_corners": sum(outcome.plate.quad is None for outcome in chosen),
        "missed": sum(outcome.detection is None for outcome in chosen),
        "right": section(after),
        "loss": section({_key(swap.fault): share([one == swap.fault for one in faults]) for swap in SWAPS}),
        "stage_loss": section({stage: share([one in own for one in faults]) for stage, own in by_stage.items()}),
        "plates": {_key(swap.fault): faults.count(swap.fault) for swap in SWAPS},
        "perfect_crops": {
            "mended": sum(row[-2] and not row[0] for row in right),
            "spoilt": sum(row[0] and not row[-2] for row in right),
        },
        "broken": {swap.key: sum(row[at] and not row[at + 1] for row in right) for at, swap in enumerate(SWAPS)},
    }


def rows(section_: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `measure` found, a row for each step in order: the first is the recogniser as it is."""
    table: list[dict[str, Any]] = [{"name": "as found", "key": "as_found", "fault": None, "loss": None, "stage": None}]
    for swap in SWAPS:
        key = _key(swap.fault)
        counted = {"plates": section_["plates"][key], "broken": section_["broken"][swap.key]}
        table.append(
            {"name": swap.name, "key": swap.key, "fault": swap.fault, "loss": key, "stage": swap.stage, **counted}
        )
    return table


def _key(fault_: str) -> str:
    return fault_.replace(" ", "_")
