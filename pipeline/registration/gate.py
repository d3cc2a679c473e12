"""Whether a model may take over from the champion. No server is asked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_BOUND = re.compile(r"(slices\..+)\.interval\.(\w+)\.high")


@dataclass(frozen=True, slots=True)
class Standing:
    """A model version as the gate sees it: its figures by dotted name, and the test set they were measured on."""

    version: str
    figures: Mapping[str, float]
    test_set: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the alias moves to the challenger, and why."""

    moves: bool
    reason: str


def decide(challenger: Standing, champion: Standing | None, metric: str, tolerance: float) -> Decision:
    """Whether the challenger is no worse than the champion, as a whole and in every slice, on the same test set.

    In a slice, which is small, it is worse where even the upper end of its interval is below the champion's figure.
    """
    own = challenger.figures.get(metric)
    if own is None:
        return Decision(False, f"{metric} could not be measured on this test set")
    if champion is None:
        return Decision(True, f"the first with {metric} {own:.4f}")
    if champion.test_set != challenger.test_set:
        return Decision(
            False,
            f"version {champion.version} holds it and was measured on another test set, so the two cannot be compared; "
            "set the alias in MLflow's page, or another register.alias, if this one is to take over",
        )
    theirs = champion.figures.get(metric)
    if theirs is None:
        return Decision(False, f"version {champion.version} holds it and has no {metric} to compare with")
    if own < theirs - tolerance:
        return Decision(False, f"{metric} {own:.4f} is below the {theirs:.4f} of version {champion.version}")
    if worse := worse_slices(challenger.figures, champion.figures)[:5]:
        return Decision(False, f"worse than version {champion.version} in {'; '.join(worse)}")
    return Decision(True, f"{metric} {own:.4f} is no worse than the {theirs:.4f} of version {champion.version}")


def worse_slices(challenger: Mapping[str, float], champion: Mapping[str, float]) -> list[str]:
    """The slices' figures that the challenger's interval says are below the champion's."""
    bounds = ((_BOUND.fullmatch(name), high) for name, high in challenger.items())
    named = ((f"{found[1]}.{found[2]}", high) for found, high in bounds if found)
    return [
        f"{name} (at most {high:.3f}, was {champion[name]:.3f})"
        for name, high in named
        if name in champion and high < champion[name]
    ]
