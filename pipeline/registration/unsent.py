"""Registrations that could not be sent: all they are made of is kept below .alpr/unsent/ until the registry answers.

.alpr/unsent/<fingerprint>/   the files as they lie in the project, and kept.json:
{"made": "20261126T093000.123456Z", "why": "MLflow at ... cannot be asked: connection refused",
 "paths": {"models": "models/export", ...}, "git": {"mlflow.source.git.commit": "..."}}
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.manifest import replacing_folder, write_json
from pipeline.registration import record
from pipeline.registration.finished import PARAMS, Finished, here
from pipeline.registration.run import Results, fingerprint_of
from pipeline.registration.sending import Registration, send
from pipeline.tracking import registry, store
from pipeline.tracking.store import TrackingError, UnreachableError

PLACE = Path(".alpr", "unsent")
KEPT, PATCH = "kept.json", "uncommitted.patch"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A registration that waits."""

    folder: Path
    made: str

    @property
    def fingerprint(self) -> str:
        return self.folder.name


def send_or_keep(finished: Finished, settings: params.Params, loader: str) -> Registration:
    """Registers what the current folder's pipeline left: now, or later where the registry is away. Else as `send`."""
    results = finished.results(settings, *here())
    try:
        sent = send(finished.below(Path.cwd()), settings, results, loader)
    except UnreachableError as error:
        return keep(finished, settings, results, str(error))
    forget(fingerprint_of(finished.models, results.documents, results.hashes))
    return sent


def place() -> Path:
    """Where they wait."""
    return store.project() / PLACE


def keep(finished: Finished, settings: params.Params, results: Results, why: str) -> Registration:
    """Keeps all that the registration needs, written beside and renamed; what is said of it meanwhile.

    `finished` is in paths of the current folder. Keeping it again takes nothing from an earlier one's place in the row.
    """
    fingerprint = fingerprint_of(finished.models, results.documents, results.hashes)
    folder = place() / fingerprint
    made = next((one.made for one in waiting() if one.fingerprint == fingerprint), "") or registry.now()
    with replacing_folder(folder) as fresh:
        for path in finished.files():
            copy(path, fresh / path)
        (fresh / PATCH).write_text(results.patch, encoding="utf-8")
        write_json(fresh / KEPT, {"made": made, "why": why, "paths": finished.as_row(), "git": dict(results.git)})
    reason = f"{why}; kept in {PLACE / fingerprint}, and `alpr register` sends it"
    row: Row = {
        "model": settings.register_.model,
        "version": None,
        "alias": settings.register_.alias,
        "moved": False,
        "sent": False,
        "reason": reason,
        "holder": None,
        "checks": {},
        "run": None,
        "fingerprint": fingerprint,
    }
    return Registration(row, record.page(finished.report, record.untold(reason)))


def copy(path: Path, to: Path) -> None:
    """A file or folder of the project; ValueError where it lies elsewhere."""
    if path.is_absolute() or ".." in path.parts:
        raise TrackingError(
            f"{path} is outside the project, so it cannot be kept for later; name it from its folder on"
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copyfile(path, to)


def waiting() -> list[Parcel]:
    """What waits, the oldest first, damaged ones before; a copy that was cut off is none, the one before it stays."""
    for old in place().glob(".*.old"):  # a kill while another took its place
        folder = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        if not folder.exists():
            old.rename(folder)
    return sorted(_found(), key=lambda one: (one.made, one.fingerprint))


def _found() -> Iterator[Parcel]:
    for path in place().glob(f"*/{KEPT}"):
        if not path.parent.name.startswith("."):
            try:
                yield Parcel(path.parent, str(_read(path)["made"]))
            except TrackingError:  # to send it says so
                yield Parcel(path.parent, "")


def _read(path: Path) -> Row:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrackingError(f"{path} is damaged: {error}; delete {path.parent} to give up what it holds") from None
    if not isinstance(found, dict) or not {"made", "paths", "git"} <= found.keys():
        raise TrackingError(f"{path} is damaged: delete {path.parent} to give up what it holds")
    return found


def deliver(parcel: Parcel, loader: str) -> Registration:
    """Sends what waits, and takes it away once it is sent. As `send`, which it may be tried again after."""
    kept = _read(parcel.folder / KEPT)
    try:
        finished = Finished.of(kept["paths"])
    except (TypeError, AttributeError):
        raise TrackingError(f"{parcel.folder} was kept by another version of alpr, which has to send it") from None
    images = store.project() / finished.images
    with chdir(parcel.folder):  # files are named, and known to DVC, from the project's folder on
        settings = params.load(PARAMS)
        patch = Path(PATCH).read_text(encoding="utf-8")
        results = finished.results(settings, kept["git"], patch)
    sent = send(replace(finished.below(parcel.folder), images=images), settings, results, loader)
    forget(parcel.fingerprint)
    return sent


def forget(fingerprint: str) -> None:
    """Takes away what was sent; what a kill leaves of it is not taken for a registration."""
    folder = place() / fingerprint
    if folder.exists():
        old = folder.with_name(f".{fingerprint}.sent")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    for leftover in place().glob(".*.sent"):
        shutil.rmtree(leftover, ignore_errors=True)
