"""Runs a study's settings as DVC experiments and writes what they came to; killed, it goes on where it was.

python -m pipeline.studies.study --study study.yaml --out study
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from pipeline.studies import experiments, page
from pipeline.studies.definition import Setting, Study, StudyError, check, load, overrides, settings
from pipeline.studies.results import Result, failed, result

PROJECT = Path()  # the current folder


def main(
    study: Annotated[Path, typer.Option(help="which settings: docs/studies.md")] = Path("study.yaml"),
    out: Annotated[Path, typer.Option(help="the folder of index.md, results.csv and results.svg")] = Path("study"),
    grid: Annotated[bool, typer.Option("--grid", help="every combination, whatever the study says")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="only say what would be run")] = False,
) -> None:
    """Exit code 0: every setting has figures; 1: some have not; 2: the study cannot be run."""
    try:
        missing = conduct(study, out, grid, plan)
    except (StudyError, ValueError, OSError) as error:
        Console(stderr=True).print(f"study: {error}", style="red", soft_wrap=True, markup=False)
        raise SystemExit(2) from None
    if missing and not plan:
        raise SystemExit(f"study: without figures: {'; '.join(missing)}; `make study` tries these again")


def conduct(file: Path, out: Path, grid: bool, plan: bool) -> list[str]:
    """Runs what is missing and writes the page after each; the settings that have no figures in the end, by label."""
    params: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    study = load(file)
    wanted = settings(study, "grid" if grid else None)
    check(wanted, params, str(file))
    names = [setting.experiment(study.name, experiments.digest(PROJECT)) for setting in wanted]
    if plan:
        missing = unfinished(study, names, wanted)
        for name, setting in missing:
            print(f"  {name}: {' '.join(overrides(setting.differs(wanted[0])))}".rstrip(" :"))
        return [setting.label for _, setting in missing]
    with experiments.only_one(PROJECT) as lock:
        missing = unfinished(study, names, wanted)
        for name in experiments.clear(PROJECT, study.name):
            print(f"{name} was cut off; the copy that it ran in is cleared away")
        results = collect(study, names, wanted, out)
        for number, (name, setting) in enumerate(missing, start=1):
            Console().rule(f"{number} of {len(missing)}: {setting.label} ({name})")
            try_one(study, name, setting, params, lock)
            results = collect(study, names, wanted, out)
    print(f"{out / 'index.md'}: {sum(one.done for one in results)} of {len(results)} settings")
    return failed(results)


def unfinished(study: Study, names: Sequence[str], wanted: Sequence[Setting]) -> list[tuple[str, Setting]]:
    """What is still to be run, by the name of its experiment."""
    known = experiments.finished(PROJECT, study.name)
    missing = [pair for pair in zip(names, wanted, strict=True) if pair[0] not in known]
    print(f"study {study.name}: {len(wanted)} settings, {len(wanted) - len(missing)} of them finished")
    return missing


def try_one(study: Study, name: str, setting: Setting, params: dict[str, Any], lock: int) -> None:
    """Runs one setting; a failure is said, and the next one gets its turn."""
    if name in experiments.refs(PROJECT, name):
        experiments.remove(PROJECT, name)  # it ended, and its figures are no longer in the cache
    origins = experiments.absolute_origins(PROJECT.absolute(), setting.changes, params)
    changes = {**setting.changes, **origins, **experiments.own_registry(study, params)}
    if not experiments.run(PROJECT, name, changes, lock):
        print(f"{name} failed: what it said stands above; the study goes on")


def collect(study: Study, names: Sequence[str], wanted: Sequence[Setting], out: Path) -> list[Result]:
    """The results so far, written to `out`."""
    known = experiments.finished(PROJECT, study.name)
    results = [
        result(setting, name, experiments.metrics(known[name]) if name in known else None)
        for name, setting in zip(names, wanted, strict=True)
    ]
    page.write(out, study, results, experiments.git(PROJECT, "describe", "--always", "--dirty", "--exclude=*").strip())
    return results


if __name__ == "__main__":
    typer.run(main)
