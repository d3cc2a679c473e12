"""What a change does to the figures, as Markdown for a pull request: this run's metrics beside those of its base.

python -m pipeline.studies.change --base main --out report.md

The base is a revision whose dvc.lock is in git (DVC has its metrics then, or fetches them from a remote), or the folder
of another checkout in which the pipeline has run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pipeline.manifest import replacing
from pipeline.studies import experiments
from pipeline.studies.definition import StudyError
from pipeline.studies.results import Measure, signed

FIGURES = {  # by dotted name: in words, and whether more is better
    "end_to_end.exact": ("found and read exactly", True),
    "detection.ap50": ("detection, AP50", True),
    "detection.recall_70": ("detection, recall at IoU 0.7", True),
    "detection.precision": ("detection, precision", True),
    "detection_fast.ap50": ("small detector, AP50", True),
    "ocr.network.labelled.exact": ("read exactly on labelled plates", True),
    "ocr.network.labelled.cer": ("characters wrong on labelled plates", False),
    "ocr.network.answers.given": ("plates given a text", True),
    "ocr.network.answers.given_wrong": ("wrong among the texts given", False),
    "ocr.network.answers.calibration_error": ("calibration error", False),
}
COUNTS = ("rows", "failed", "pictures", "plates", "texts", "splits.train", "splits.val", "splits.test")
Flat = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: metrics of each stage and params, by dotted names; empty where there are none."""

    name: str
    metrics: Mapping[str, Flat]
    params: Flat

    def value(self, stage: str, name: str) -> Any:
        return self.metrics.get(stage, {}).get(name)

    def measure(self, name: str) -> Measure:
        section, _, last = name.rpartition(".")
        ends = (self.value("evaluation", f"{section}.interval.{last}.{end}") for end in ("low", "high"))
        return Measure(self.value("evaluation", name), *ends)


def main(
    base: Annotated[str, typer.Option(help="a git revision, or the folder of another checkout that was run")] = "main",
    out: Annotated[Path | None, typer.Option(help="a Markdown file; without it to the terminal")] = None,
) -> None:
    try:
        here = of_folder(Path(), "this change")
        there = of_folder(Path(base), "base") if Path(base).is_dir() else of_revision(base)
    except (StudyError, OSError) as error:
        raise SystemExit(f"ci-report: {error}") from None
    if not here.metrics.get("evaluation"):
        raise SystemExit("ci-report: there is no metrics/evaluation.json here: `make run` first")
    text = report(there, here)
    if out is None:
        print(text, end="")
        return
    with replacing(out) as file:
        file.write(text)


def of_folder(folder: Path, name: str) -> Side:
    """What lies in a checkout."""
    try:
        documents = {
            path.stem: json.loads(path.read_text("utf-8")) for path in sorted((folder / "metrics").glob("*.json"))
        }
        params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    except ValueError as error:
        raise StudyError(f"{folder / 'metrics'} holds a damaged file: {error}") from None
    return Side(name, {stage: dict(flatten(document)) for stage, document in documents.items()}, dict(flatten(params)))


def of_revision(revision: str) -> Side:
    """What DVC has of a revision or experiment; without metrics if it has no dvc.lock, or DVC lacks what that names."""
    command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json", revision]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise StudyError(f"dvc metrics diff {revision}: {done.stderr.strip()[-300:]}")
    compared: dict[str, Any] = json.loads(done.stdout or "{}")
    metrics = {Path(file).stem: old_values(names) for file, names in compared.items()}
    params = yaml.safe_load(experiments.git(Path(), "show", f"{known_to_git(revision)}:params.yaml"))
    return Side(revision, {stage: names for stage, names in metrics.items() if names}, dict(flatten(params)))


def known_to_git(revision: str) -> str:
    """An experiment's name as the ref it has in git; anything else as it is."""
    start = experiments.refs(Path(), revision).get(revision)
    return f"refs/exps/{start[:2]}/{start[2:]}/{revision}" if start else revision


def old_values(names: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: values["old"] for name, values in names.items() if values.get("old") is not None}


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"a": {"b": 1}} -> ("a.b", 1); lists stay as they are."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))


def report(base: Side, here: Side) -> str:
    """The whole of it."""
    lines = [f"## Figures, against {base.name}", "", *verdict(base, here), "", *table(base, here), ""]
    lines += section("Params", params_changed(base, here))
    lines += section("Data", data_changed(base, here)) if base.metrics else []
    return "\n".join([*lines, *gate(here), ""])


def verdict(base: Side, here: Side) -> list[str]:
    """What is worse and what is better, first those that chance does not explain."""
    if not base.metrics.get("evaluation"):
        return [f"{base.name} has no figures to compare with: it has no dvc.lock, or DVC cannot get what that names."]
    if not same_test(base, here):
        return ["**The test split is another one**: figures stand side by side, and say nothing about the change."]
    moved = [(name, away) for name in FIGURES if (away := gain(base, here, name))]
    sure = [name for name, _ in moved if base.measure(name).apart(here.measure(name))]
    said = []
    for word, sign in (("Worse", -1), ("Better", 1)):
        named = [name for name, away in moved if away * sign > 0]
        beyond = [FIGURES[name][0] for name in named if name in sure]
        within = [FIGURES[name][0] for name in named if name not in sure]
        if beyond:
            said.append(f"**{word}**: {', '.join(beyond)}.")
        if within:
            said.append(f"{word} within the intervals: {', '.join(within)}.")
    return said or ["No figure moved."]


def gain(base: Side, here: Side, name: str) -> float:
    """How much better this side is, whichever way the figure goes; 0 for what three digits do not show."""
    theirs, own = base.measure(name).value, here.measure(name).value
    if theirs is None or own is None or signed(own - theirs) == "0":
        return 0.0
    return own - theirs if FIGURES[name][1] else theirs - own


def same_test(base: Side, here: Side) -> bool:
    return bool(base.value("evaluation", "data.test_set") == here.value("evaluation", "data.test_set"))


def table(base: Side, here: Side) -> list[str]:
    """A row a figure, with intervals; the distance only where both were measured on the same test split."""
    lines = [f"| figure | {base.name} | {here.name} | difference |", "|---|---|---|---|"]
    comparable = same_test(base, here)
    for name, (label, _) in FIGURES.items():
        theirs, own = base.measure(name), here.measure(name)
        away = ""
        if comparable and theirs.value is not None and own.value is not None:
            far = signed(own.value - theirs.value)
            away = far if far == "0" else f"{far} {'better' if gain(base, here, name) > 0 else 'worse'}"
            away = f"**{away}**" if theirs.apart(own) else away
        lines.append(f"| {label} | {theirs} | {own} | {away} |".replace("|  |", "| |"))
    return [*lines, "", "In brackets 95 % intervals over the test pictures; bold where the two have nothing in common."]


def params_changed(base: Side, here: Side) -> list[str]:
    """A line for each value of params.yaml that is another one."""
    names = dict.fromkeys([*base.params, *here.params]) if base.params else {}
    changed = [name for name in names if base.params.get(name) != here.params.get(name)]
    return [f"| {name} | {shown(base.params, name)} | {shown(here.params, name)} |" for name in changed]


def shown(params: Flat, name: str) -> str:
    return f"`{json.dumps(params[name], ensure_ascii=False)}`" if name in params else "-"


def data_changed(base: Side, here: Side) -> list[str]:
    """A line for each count of a source's files, pictures and plates that is another one."""
    lines = []
    for name in counted(base) | counted(here):
        stage, _, count = name.partition(": ")
        theirs, own = base.value(stage, count), here.value(stage, count)
        if theirs != own:
            lines.append(f"| {count.removeprefix('sources.')} | {theirs or 0} | {own or 0} |")
    return sorted(dict.fromkeys(lines))


def counted(side: Side) -> set[str]:
    """curation: sources.kaggle.pictures"""
    return {
        f"{stage}: {name}"
        for stage in ("validation", "curation")
        for name in side.metrics.get(stage, {})
        if name.startswith("sources.") and name.split(".", 2)[2] in COUNTS
    }


def section(title: str, rows: list[str]) -> list[str]:
    """A small table under a heading, or a line that there is nothing in it."""
    if not rows:
        return [f"{title}: the same.", ""]
    return [f"{title}:", "", "| | before | after |", "|---|---|---|", *rows, ""]


def gate(here: Side) -> list[str]:
    """What registration decided about the model of this change."""
    of = here.metrics.get("registration", {})
    if not of:
        return []
    if of.get("version") is None:
        return [f"Model: not registered yet ({of.get('reason')})."]
    place = f"{'now' if of.get('moved') else 'not'} {of.get('alias')}"
    return [f"Model: {of.get('model')} version {of.get('version')}, {place} ({of.get('reason')})."]


if __name__ == "__main__":
    typer.run(main)
