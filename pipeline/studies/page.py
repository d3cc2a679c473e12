"""A study's page: index.md with the table and the picture, results.csv with the same in numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.manifest import replacing
from pipeline.studies import picture
from pipeline.studies.definition import Study, overrides
from pipeline.studies.results import FIGURES, Result, difference, signed

PICTURE = "results.svg"


def write(folder: Path, study: Study, results: Sequence[Result], commit: str) -> None:
    """Writes the page, the picture and the numbers into `folder`; same results, same bytes."""
    with replacing(folder / "results.csv") as file:
        csv.writer(file, lineterminator="\n").writerows(numbers(results))
    if any(one.done for one in results):
        picture.draw(results, folder / PICTURE)
    with replacing(folder / "index.md") as file:
        file.write(page(study, results, commit))


def numbers(results: Sequence[Result]) -> list[list[object]]:
    """A heading, then a row for each setting: figures with both ends of their intervals."""
    heading = ["setting", "experiment", "mlflow_run", "test_set"]
    heading += [column for name in FIGURES for column in (name, f"{name}.low", f"{name}.high")]
    rows: list[list[object]] = [[*heading]]
    for one in results:
        row: list[object] = [one.setting.label, one.experiment, one.run, one.data.get("test_set")]
        for name in FIGURES:
            measure = one.measures.get(name)
            row += [measure.value, measure.low, measure.high] if measure else [None, None, None]
        rows.append(row)
    return rows


def page(study: Study, results: Sequence[Result], commit: str) -> str:
    """The whole page in Markdown."""
    base = results[0]
    done = sum(one.done for one in results)
    lines = [f"# Study: {study.name}", ""]
    lines += [f"{done} of {len(results)} settings run, on commit {commit}. {tested_on(base)}".rstrip(), ""]
    if study.base:
        lines += ["All settings change these values of params.yaml:", ""]
        lines += [*(f"    {override}" for override in overrides(study.base)), ""]
    if done:
        names = ", ".join(FIGURES.values())
        lines += [f"![For each setting {names}, with 95 % intervals]({PICTURE})", ""]
    lines += table(results)
    lines += ["", *remarks(results)]
    return "\n".join(lines)


def tested_on(base: Result) -> str:
    """What the figures are of, as far as the base's evaluation says."""
    if not base.done:
        return ""
    data = base.data
    return f"Test split: {data['photos']} photos with {data['plates']} plates, {data['crops']} crops."


def table(results: Sequence[Result]) -> list[str]:
    """A row for each setting: what it changes, and each figure with how far it is from the base."""
    base = results[0]
    lines = [f"| setting | changes | {' | '.join(FIGURES.values())} |", f"|{'---|' * (2 + len(FIGURES))}"]
    for one in results:
        changed = overrides(one.setting.differs(base.setting))
        cells = [one.setting.label, "<br>".join(f"`{override}`" for override in changed)]
        cells += [cell(one, base, name) for name in FIGURES]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return lines


def cell(one: Result, base: Result, name: str) -> str:
    """0.812 [0.701, 0.903], and below it the distance from the base; bold where their intervals do not overlap."""
    if not one.done:
        return "no figures"
    measure, away = one.measures[name], difference(one, base, name)
    if away is None:
        return str(measure)
    far = signed(away)
    return f"{measure}<br>{f'**{far}**' if measure.apart(base.measures[name]) else far}"


def remarks(results: Sequence[Result]) -> list[str]:
    """How to read the table, and what stands in it that cannot be compared."""
    base = results[0]
    lines = [
        "In brackets the 95 % interval over the test pictures, below it the distance from the base; bold where the two",
        "intervals have nothing in common. Trained again, a setting differs too: the intervals do not say by how much.",
    ]
    others = [one.setting.label for one in results if base.done and one.done and not one.comparable(base)]
    if others:
        lines += [
            "",
            f"Measured on another test split, so without a distance and hollow in the picture: {'; '.join(others)}.",
        ]
    missing = [one.setting.label for one in results if not one.done]
    if missing:
        lines += ["", f"Without figures: {'; '.join(missing)}. `make study` runs these again, and only these."]
    lines += [
        "",
        "Each setting is a DVC experiment (`make experiments`; `dvc exp apply NAME` brings one here) and a run in",
    ]
    lines += ["MLflow:", ""]
    lines += [f"- {one.setting.label}: `{one.experiment}`, run `{one.run or '-'}`" for one in results if one.done]
    return [*lines, ""]
