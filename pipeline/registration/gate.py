"""Whether a model may take over from the champion: each check with its reason. No server is asked here.

It may if it is surely not much worse as a whole, in no larger slice worse, and sound in itself: nothing of the test set
was learnt, the exported networks say what the trained ones say, its scores can be believed, every headline is a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline import params
from pipeline.registration.comparison import Comparison, Difference
from pipeline.report.tables import percent, points

HEADLINES = {
    "end_to_end.exact": "end to end",
    "detection.ap50": "AP50",
    "ocr.network.labelled.exact": "exact match on labelled plates",
}
LEAKS = "curation.leaks"
CALIBRATION = "ocr.network.answers.calibration_error"
HONEST = "calibration.by_chance"  # the error that scores have on so few plates which are right as often as they say
FORCE = "`alpr promote --force --why ...` moves it all the same"
_NAMED = 3  # slices in a sentence; the report's table has all
_ROUNDING = 1e-9  # 49 of 50 less 50 of 50 is not more than two points


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that holds the alias, or held it last, and how the challenger stands against it.

    `comparison` is a sentence where the two could not be compared.
    """

    version: str
    comparison: Comparison | str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is well, and what was seen."""

    check: str
    good: bool
    says: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the alias moves to the challenger, and why."""

    moves: bool
    reason: str
    checks: tuple[Check, ...] = ()


def decide(
    figures: Mapping[str, float],
    champion: Champion | None,
    rules: params.Register,
    limits: params.Export,
    note: str = "",
) -> Decision:
    """Whether every check holds. `figures` are the challenger's by dotted name, those that are numbers; `note` says
    what became of an earlier champion, where there is none."""
    checks = (*against(champion, rules), *in_itself(figures, champion, rules, limits))
    failed = [check for check in checks if not check.good]
    if failed:
        return Decision(False, "; ".join(check.says for check in failed), checks)
    exact = percent(figures["end_to_end.exact"])
    if champion is None:
        return Decision(True, f"the first, with {exact} end to end{f'; {note}' if note else ''}", checks)
    return Decision(True, f"no worse than version {champion.version}: {checks[0].says}", checks)


def against(champion: Champion | None, rules: params.Register) -> Iterator[Check]:
    """The checks that need a champion; the headline first."""
    if champion is None:
        return
    comparison = champion.comparison
    if isinstance(comparison, str):
        says = f"version {champion.version} holds it, and the two could not be compared: {comparison}; {FORCE}"
        yield Check("champion", False, says)
        return
    yield Check("end to end", *whole(comparison, rules.max_loss))
    yield Check("slices", *slices(comparison, rules))


def whole(comparison: Comparison, max_loss: float) -> tuple[bool, str]:
    """Whether the lower bound of the headline's difference is above the loss that is allowed."""
    headline = comparison.figures[0]
    if comparison.same:
        return True, "the champion's own networks"
    if headline.difference is None:
        return False, "no plate with a certain text on a photo of the test set, so end to end cannot be compared"
    least = headline.difference if headline.low is None else headline.low
    told = f"end to end {points(headline.difference)} points{interval(headline)}"
    if headline.low is None and headline.difference:
        return False, f"{told}, without an interval: all test pictures are of one group"
    if least >= -max_loss - _ROUNDING:
        return True, told
    if headline.difference < -max_loss - _ROUNDING:
        return False, f"{told}: worse than the champion by more than {100 * max_loss:g}"
    return False, (
        f"{told}: the {headline.plates} plates of this test set are too few to tell that it loses no more than "
        f"{100 * max_loss:g}; a larger test set can, or {FORCE}"
    )


def slices(comparison: Comparison, rules: params.Register) -> tuple[bool, str]:
    """Whether no slice of enough plates falls by more than is allowed."""
    falling = sorted(
        (one for one in comparison.slices if (one.difference or 0.0) < -rules.max_slice_loss - _ROUNDING),
        key=lambda one: one.difference or 0.0,
    )
    if falling:
        named = [f"{one.name} {points(one.difference)} on {one.plates} plates" for one in falling[:_NAMED]]
        more = f" and {len(falling) - _NAMED} more" if len(falling) > _NAMED else ""
        return False, f"slices that fall by more than {100 * rules.max_slice_loss:g} points: {', '.join(named)}{more}"
    if not comparison.slices:
        return True, f"no slice has {rules.slice_plates} plates"
    return True, f"none of {len(comparison.slices)} falls by more than {100 * rules.max_slice_loss:g} points"


def interval(one: Difference) -> str:
    return "" if one.low is None or one.high is None else f" ({points(one.low)} to {points(one.high)})"


def in_itself(
    figures: Mapping[str, float], champion: Champion | None, rules: params.Register, limits: params.Export
) -> Iterator[Check]:
    """The checks that a challenger alone passes or not."""
    figures = {name: value for name, value in figures.items() if math.isfinite(value)}
    yield Check("headlines", *measured(figures))
    yield Check("leaks", *no_leaks(figures))
    yield Check("export", *true_to_training(figures, limits))
    yield Check("calibration", *calibrated(figures, champion, rules.max_calibration_error))


def measured(figures: Mapping[str, float]) -> tuple[bool, str]:
    missing = [label for name, label in HEADLINES.items() if name not in figures]
    if missing:
        return False, f"not measured on this test set: {', '.join(missing)}"
    return True, ", ".join(f"{label} {percent(figures[name])}" for name, label in HEADLINES.items())


def no_leaks(figures: Mapping[str, float]) -> tuple[bool, str]:
    if LEAKS not in figures:
        return False, "whether test pictures were trained on is not known: metrics/curation.json has no leaks"
    leaks = int(figures[LEAKS])
    return leaks == 0, f"{leaks or 'no'} leak{'' if leaks == 1 else 's'} between splits"


def true_to_training(figures: Mapping[str, float], limits: params.Export) -> tuple[bool, str]:
    """Whether the exported networks differ from the trained ones, and the int8 ones from these, by what is allowed."""
    allowed = {
        **{f"export.{name}_difference": limits.max_difference for name in ("detector", "fast", "refiner", "reader")},
        **{f"export.{name}_int8_box_shift": limits.max_int8_box_shift for name in ("detector", "fast")},
        "export.reader_int8_text_change": limits.max_int8_text_change,
    }
    if missing := [name.removeprefix("export.") for name in allowed if name not in figures]:
        return False, f"metrics/export.json does not say how far the export differs: no {', '.join(missing)}"
    broken = [
        f"{name.removeprefix('export.')} {figures[name]:.4g}, above {limit:g}"
        for name, limit in allowed.items()
        if figures[name] > limit
    ]
    if broken:
        return False, f"the export differs from what was trained: {', '.join(broken)}"
    return True, f"no output differs from the trained network's by more than {limits.max_difference:g}"


def calibrated(figures: Mapping[str, float], champion: Champion | None, most: float) -> tuple[bool, str]:
    """Whether the reader's scores are right as often as they say, as far as the test set tells, or the champion's are
    no better."""
    own, honest = figures.get(CALIBRATION), figures.get(HONEST)
    theirs = champion.comparison.calibration if champion and isinstance(champion.comparison, Comparison) else None
    if own is None:
        return False, "the calibration of the reader's scores was not measured"
    if own <= most:
        return True, f"calibration error {own:.3f}, at most {most:g}"
    if champion is None:
        return True, f"calibration error {own:.3f}, above {most:g}, but there is no champion to be worse than"
    if theirs is not None and own <= theirs:
        return True, f"calibration error {own:.3f}, no worse than the champion's {theirs:.3f}"
    if honest is not None and own <= honest:
        return True, f"calibration error {own:.3f}, no more than the {honest:.3f} of honest scores on so few plates"
    return False, (
        f"calibration error {own:.3f} of the reader's scores is above {most:g}"
        f"{'' if theirs is None else f' and the champion has {theirs:.3f}'}"
    )
