"""A finished pipeline as its stages left it: the files that a registration is made of, and what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import costs, params
from pipeline.registration import datasets, revision
from pipeline.registration.run import Results
from pipeline.tracking import runs

PARAMS, LOCK = Path("params.yaml"), Path("dvc.lock")
RECIPE = (PARAMS, Path("dvc.yaml"), LOCK)
TRAINED = ("detector", "student", "refiner", "reader")


@dataclass(frozen=True, slots=True)
class Finished:
    """Where everything lies, from the project's folder on; `images` are only looked at, the rest is registered."""

    models: Path
    detector: Path
    student: Path
    refiner: Path
    reader: Path
    manifest: Path
    labels: Path
    metrics: Path
    plots: Path
    report: Path
    profile: Path
    images: Path

    def files(self) -> Iterator[Path]:
        """The files and folders that a registration needs; of those that there need not be, the ones that are here."""
        yield from (self.models, self.metrics, self.report, self.manifest, PARAMS)
        yield from (getattr(self, network) / "history.csv" for network in TRAINED)
        spent = (costs.of_history(getattr(self, network) / "history.csv") for network in TRAINED)
        maybe = [
            self.profile,
            *spent,
            self.plots / "precision_recall.csv",
            *(self.labels / name for name in datasets.LABELS),
        ]
        yield from (path for path in (*maybe, *RECIPE[1:]) if path.exists())

    def results(self, settings: params.Params, git: dict[str, str], patch: str) -> Results:
        """What the files say; ValueError or OSError names one that is damaged or missing."""
        hashes = runs.data_hashes(LOCK, settings.sources)
        return Results(
            documents=runs.read_metrics(self.metrics),
            hashes=hashes,
            curves={name: runs.read_curves(getattr(self, name) / "history.csv") for name in TRAINED},
            precision_recall=runs.read_precision_recall(self.plots / "precision_recall.csv"),
            data=datasets.read(self.manifest, self.labels, hashes),
            profile=json.loads(self.profile.read_text(encoding="utf-8")) if self.profile.exists() else None,
            git=git,
            patch=patch,
            recipe=[path.absolute() for path in RECIPE if path.exists()],
        )

    def below(self, folder: Path) -> Finished:
        """The same files, in absolute paths, below a folder that they were copied to."""
        return Finished.of({name: folder.absolute() / path for name, path in asdict(self).items()})

    def as_row(self) -> dict[str, Any]:
        return {name: str(path) for name, path in asdict(self).items()}

    @classmethod
    def of(cls, row: dict[str, Any]) -> Finished:
        return cls(**{name: Path(path) for name, path in row.items()})


def here() -> tuple[dict[str, str], str]:
    """The code that made it: tags that name the commit, and what was not committed."""
    return revision.tags(), revision.uncommitted()
