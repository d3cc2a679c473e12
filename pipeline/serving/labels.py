"""alpr labels: the queue to Label Studio, and what annotators said back into data/labels/."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from pipeline.labeling.pull import Pulled
    from pipeline.labeling.push import Pushed
    from pipeline.labeling.sync import Desk, Status

Answer = TypeVar("Answer")
STAGE = "sync_labels"

app = typer.Typer(help="Have people correct labels in Label Studio, and take their work back.", no_args_is_help=True)


@app.command()
def push(limit: Annotated[int | None, typer.Option(min=1, help="Only so many samples of the queue.")] = None) -> None:
    """Send the queue: what has no task yet, the most suspicious first. Sending again sends nothing twice."""
    pushed = at_desk(lambda desk: desk.push(limit))
    told_push(pushed)
    complain(pushed.refused)


@app.command()
def pull() -> None:
    """Take what annotators submitted into data/labels; what they disagree in goes to conflicts.jsonl."""
    pulled = at_desk(lambda desk: desk.pull())
    told_pull(pulled)
    complain(pulled.refused)


@app.command()
def status() -> None:
    """How many are queued, pushed, done and in conflict, how far annotators agree, what a pull would change."""
    print_status(at_desk(lambda desk: desk.status()))


@app.command()
def sync(limit: Annotated[int | None, typer.Option(min=1, help="Only so many samples of the queue.")] = None) -> None:
    """Pull, then push, then tell DVC about the new labels: `dvc repro` runs just what depends on them."""
    pulled = at_desk(lambda desk: desk.pull() if desk.begun() else None)
    if pulled is not None:
        told_pull(pulled)
    mark()
    pushed = at_desk(lambda desk: desk.push(limit))
    told_push(pushed)
    complain([*(pulled.refused if pulled is not None else ()), *pushed.refused])


def at_desk(work: Callable[[Desk], Answer]) -> Answer:
    """What is done with this folder's labels and its server; an error as a sentence and exit code 2."""
    from pipeline import params
    from pipeline.labeling.sync import Desk, Folders

    try:
        return work(Desk(Folders(), params.load()))
    except (ValueError, OSError) as error:
        print(f"alpr: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def told_push(pushed: Pushed) -> None:
    """Prints what a push did."""
    print(f"{pushed.sent} sent, {pushed.present} were there already")
    for number, what in (
        (pushed.reopened, "tasks reopened, since people disagree"),
        (pushed.doubles, "double tasks that nobody had touched deleted"),
        (pushed.predictions, "pre-annotations that had got lost sent again"),
    ):
        if number:
            print(f"{number} {what}")


def told_pull(pulled: Pulled) -> None:
    """Prints what a pull changed."""
    states = ", ".join(f"{number} {state}" for state, number in sorted(pulled.states.items()))
    print(f"{len(pulled.corrected)} pictures corrected; annotations: {states or 'none yet'}")
    if pulled.labels.conflicts:
        print(f"{len(pulled.labels.conflicts)} pictures in conflict: push sends them back to the annotators")
    if pulled.tombstones:
        print(f"{pulled.tombstones} annotations are gone from the server; what they said stays in annotations.jsonl")


def complain(problems: Sequence[str]) -> None:
    """Names each problem on stderr, and ends with 1 if there is one."""
    for problem in problems:
        print(f"alpr: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)


def print_status(found: Status) -> None:
    """A line for each figure."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    def share(value: float | None) -> str:
        return "nothing to compare" if value is None else f"{value:.3f}"

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    agreement = found.agreement
    rows = [
        ("queued", str(found.queued)),
        ("with a task", str(found.pushed)),
        ("done", str(found.done)),
        *((f"annotations {state}", str(number)) for state, number in sorted(found.states.items())),
        ("in conflict", str(found.conflicts)),
        ("pictures that two or more annotated", str(agreement.pictures)),
        ("agreement: mean IoU", share(agreement.iou)),
        ("agreement: equal texts", share(agreement.exact)),
        ("agreement: kappa on legibility", share(agreement.kappa)),
        ("a pull would correct", str(found.would_correct)),
        ("a pull would find in conflict", str(found.would_conflict)),
    ]
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def mark() -> None:
    """Records the new labels in dvc.lock as the frozen stage's own, and says which stages they make stale."""
    if not Path("dvc.lock").exists():
        print("`dvc repro` was not run here yet: it takes the labels as they are now")
        return
    dvc("commit", "--force", STAGE)
    changed = [name for name in json.loads(dvc("status", "--json") or "{}") if name != STAGE]
    told = f"{', '.join(changed)}, and what depends on what they change" if changed else "nothing: no label changed"
    print(f"`dvc repro` will run {told}")


def dvc(*arguments: str) -> str:
    """What a DVC command prints; exit code 2 with its own words where it fails."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        print(f"alpr: dvc {arguments[0]}: {done.stderr.strip()}", file=sys.stderr)
        raise typer.Exit(2)
    return done.stdout
