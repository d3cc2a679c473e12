"""Sends a finished pipeline to the registry: its run, its version, and the decision on that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.bundle import verified
from pipeline.manifest import replacing_folder, write_json
from pipeline.registration import record, run
from pipeline.registration.finished import Finished
from pipeline.registration.trial import Trial
from pipeline.tracking import store

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Registration:
    """What metrics/registration.json says, and the report's page with the champion beside it."""

    row: Row
    page: str

    def write(self, out: Path, review: Path) -> None:
        """Writes both: OUT, and REVIEW/index.html."""
        with replacing_folder(review) as fresh:
            (fresh / "index.html").write_text(self.page, encoding="utf-8")
        write_json(out, self.row)

    def sentence(self) -> str:
        """What became of it, for the terminal."""
        row = self.row
        if not row["sent"]:
            return f"not registered yet: {row['reason']}"
        verb = "moves to it" if row["moved"] else "stays"
        return f"{row['model']} version {row['version']}: {row['alias']} {verb}: {row['reason']}"


def send(finished: Finished, settings: params.Params, results: run.Results, loader: str) -> Registration:
    """Registers, decides and keeps what was decided; the same models and figures once, however often it is tried.

    UnreachableError where the registry does not answer, TrackingError for what it refuses; ValueError and OSError name
    a file that is damaged or missing. All paths are to be absolute, and no other registration of this project at work.
    """
    verified(finished.models)
    with store.asking() as client:
        trial = Trial.of(settings, finished.manifest, finished.images)
        row = run.register(settings, results, finished.models, finished.report, loader, trial)
        told = record.read_artifact(client, row["run"], record.COMPARISON)
        return Registration(row, record.page(finished.report, told or record.untold(row["reason"])))
