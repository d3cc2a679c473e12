"""What became of a study's settings: figures with intervals, and how far each is from the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.studies.definition import Setting

FIGURES = {
    "end_to_end.exact": "found and read exactly",
    "detection.ap50": "AP50",
    "ocr.network.labelled.exact": "read exactly on labelled plates",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its 95 % interval; None where it, or its interval, could not be measured."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.3f}" if self.low is None else f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def apart(self, other: Measure) -> bool:
        """Whether the two intervals have nothing in common."""
        ends = (self.low, self.high, other.low, other.high)
        if any(end is None for end in ends):
            return False
        low, high, other_low, other_high = (float(end or 0.0) for end in ends)
        return high < other_low or other_high < low


@dataclass(frozen=True, slots=True)
class Result:
    """A setting and what it came to; without measures if it has not been run, or failed."""

    setting: Setting
    experiment: str
    measures: Mapping[str, Measure] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # of the evaluation: what was tested on
    run: str | None = None  # in MLflow

    @property
    def done(self) -> bool:
        return bool(self.measures)

    def comparable(self, base: Result) -> bool:
        """Whether both were measured on the same pictures with the same labels."""
        return self.done and base.done and self.data.get("test_set") == base.data.get("test_set")


def result(setting: Setting, experiment: str, documents: Mapping[str, Any] | None) -> Result:
    """Of an experiment's metrics by stage; None where there are none."""
    if not documents or not documents.get("evaluation"):
        return Result(setting, experiment)
    evaluation = documents["evaluation"]
    measures = {name: measure(evaluation, name) for name in FIGURES}
    return Result(
        setting, experiment, measures, evaluation.get("data", {}), documents.get("registration", {}).get("run")
    )


def measure(evaluation: Mapping[str, Any], name: str) -> Measure:
    """A figure by its dotted name, with the interval that stands beside it."""
    *sections, last = name.split(".")
    inner: Any = evaluation
    for section in sections:
        inner = inner.get(section, {})
    interval = inner.get("interval", {}).get(last) or {}
    return Measure(inner.get(last), interval.get("low"), interval.get("high"))


def difference(one: Result, base: Result, name: str) -> float | None:
    """One figure less the base's; None where either was not measured, or not on the same pictures."""
    if one is base or not one.comparable(base):
        return None
    own, theirs = one.measures[name].value, base.measures[name].value
    return None if own is None or theirs is None else own - theirs


def signed(value: float) -> str:
    """+0.021; 0 for what three digits do not show."""
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0"


def failed(results: Sequence[Result]) -> list[str]:
    return [one.setting.label for one in results if not one.done]
