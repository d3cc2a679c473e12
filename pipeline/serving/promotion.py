"""alpr promote, rollback and register: which version is served, and what still waits to be sent to the registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.serving import labels

if TYPE_CHECKING:
    from pipeline import params
    from pipeline.registration.sending import Registration

REGISTRATION, REVIEW, STAGE = Path("metrics", "registration.json"), Path("review"), "register"
MANIFEST, IMAGES = Path("data", "curated", "manifest.jsonl"), Path("data", "raw")

Model = Annotated[str | None, typer.Option(help="The registered model.", show_default="register.model of params.yaml")]
Why = Annotated[str, typer.Option(help="A reason, which is kept with the version.", show_default=False)]


def add(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for command in (promote, rollback, register):
        app.command()(command)


def promote(
    version: Annotated[
        str | None, typer.Argument(help="A version's number.", show_default="the newest, @challenger")
    ] = None,
    model: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Move the alias whatever the gate says; needs --why.")] = False,
    why: Why = "",
) -> None:
    """Decide again whether a version may be the champion, on this folder's test pictures, and move the alias if so."""
    if version is not None and not version.isdecimal():
        raise typer.BadParameter(f"{version!r} is no version's number; `alpr models` lists them")
    if force and not why.strip():
        raise typer.BadParameter("--force needs --why and a reason; it is kept with the version")
    if why and not force:
        raise typer.BadParameter("--why goes with --force")
    from pipeline.registration import promoting, review
    from pipeline.registration.trial import Trial

    with at_the_registry():
        settings = settings_of(model)
        if force:
            move = promoting.forced(version, why, settings.register_)
            print(f"{settings.register_.model}: {settings.register_.alias} moves to version {move.version}, by force")
            return
        number, verdict = review.decide_again(version, Trial.of(settings, MANIFEST, IMAGES))
    if verdict.already:
        print(f"{settings.register_.model}: version {number} is the {settings.register_.alias} already")
        return
    for check in verdict.decision.checks:
        print(f"{'ok     ' if check.good else 'PROBLEM'} {check.check}: {check.says}")
    verb = "moves to" if verdict.decision.moves else "does not move to"
    print(f"{settings.register_.model}: {settings.register_.alias} {verb} version {number}: {verdict.decision.reason}")
    raise typer.Exit(0 if verdict.decision.moves else 1)


def rollback(model: Model = None, why: Why = "") -> None:
    """Give the champion's alias back to the version that held it before; again, to the one before that."""
    from pipeline.registration import promoting

    with at_the_registry():
        rules = settings_of(model).register_
        move = promoting.rolled_back(why, rules)
    print(f"{rules.model}: {rules.alias} goes back from version {move.before or '(deleted)'} to version {move.version}")


def register() -> None:
    """Send what the registry could not be told while it was away, in the order in which it was made."""
    from pipeline.registration import promoting, unsent
    from pipeline.serving import pyfunc
    from pipeline.tracking.store import UnreachableError

    failed = False
    with at_the_registry(), promoting.one_at_a_time():
        parcels = unsent.waiting()
        for parcel in parcels:
            try:
                registration = unsent.deliver(parcel, pyfunc.__name__)
            except UnreachableError:
                raise
            except (ValueError, OSError) as error:
                failed = True
                print(f"alpr: {parcel.folder}: {error}; it is kept", file=sys.stderr)
                continue
            print(registration.sentence())
            take_over(parcel.fingerprint, registration)
    if not parcels:
        print("nothing waits to be sent")
    raise typer.Exit(1 if failed else 0)


def settings_of(model: str | None) -> params.Params:
    """params.yaml, with another registered model where one is named."""
    from pipeline import params

    settings = params.load()
    if model is None:
        return settings
    return settings.model_copy(update={"register_": settings.register_.model_copy(update={"model": model})})


@contextmanager
def at_the_registry() -> Iterator[None]:
    """What is asked of the registry; a refusal as a sentence and exit code 1, no answer or wrong usage as 2."""
    from pipeline.registration.promoting import PromotionError

    try:
        yield
    except PromotionError as error:
        print(f"alpr: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except (ValueError, OSError) as error:
        print(f"alpr: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def take_over(fingerprint: str, registration: Registration) -> None:
    """Where the folder's own last run was the one that waited: its outputs say now what became of it, and DVC knows."""
    try:
        row = json.loads(REGISTRATION.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(row, dict) or row.get("fingerprint") != fingerprint:
        return
    registration.write(REGISTRATION, REVIEW)
    if Path("dvc.lock").exists():
        with suppress(typer.Exit):  # it has said why not; the stage, run again, finds what was sent
            labels.dvc("commit", "--force", STAGE)
