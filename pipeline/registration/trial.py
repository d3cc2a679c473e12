"""The trial of a challenger: it and the champion are measured on the same test pictures, here and now."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pipeline import params
from pipeline.bundle import Bundle, Network, verified
from pipeline.metrics import Bootstrap, Case
from pipeline.recognizer import Recognizer
from pipeline.registration.comparison import Comparison, compare
from pipeline.registration.examination import examine, held_out
from pipeline.registration.gate import Champion
from pipeline.tracking import registry
from pipeline.tracking.store import TrackingError


@dataclass(frozen=True, slots=True)
class Trial:
    """On which pictures, from which score of a detection on, and how intervals are drawn."""

    manifest: Path
    images: Path
    min_score: float
    bootstrap: Bootstrap
    rules: params.Register
    limits: params.Export

    @classmethod
    def of(cls, settings: params.Params, manifest: Path, images: Path) -> Trial:
        bootstrap = Bootstrap(settings.evaluate.bootstrap, settings.seed)
        return cls(manifest, images, settings.evaluate.min_score, bootstrap, settings.register_, settings.export)


class Contender:
    """A model of the trial; it looks at the test pictures when it is first asked, and once."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        self._trial = trial
        self.bundle = Bundle.load(verified(folder))

    @cached_property
    def cases(self) -> list[Case]:
        trial = self._trial
        samples = held_out(trial.manifest)
        if not samples:
            raise ValueError(f"{trial.manifest} has no test pictures")
        return examine(samples, trial.images, Recognizer.load(self.bundle.folder), trial.min_score)

    @property
    def networks(self) -> tuple[Any, ...]:
        """Equal for two models that answer alike: each network's settings, and the SHA-256 of each file."""
        return self.bundle.sha256, *(self.bundle.settings(name) for name in get_args(Network))

    @property
    def alphabet(self) -> str:
        return str(self.bundle.reader.get("alphabet"))


def confront(challenger: Contender, version: str, trial: Trial) -> Champion:
    """The challenger against this version of the registry, which is fetched; a sentence where that cannot be."""
    with tempfile.TemporaryDirectory(prefix="alpr-champion-") as folder:
        try:
            _, found = registry.fetch(trial.rules.model, version, Path(folder))
            champion = Contender(found, trial)
        except (TrackingError, ValueError, OSError) as error:
            return Champion(version, str(error))
        try:
            return Champion(version, compared(challenger, champion, trial))
        except (ValueError, OSError) as error:
            return Champion(version, str(error))
        except Exception as error:  # whatever networks of another time raise
            return Champion(version, f"{type(error).__name__}: {error}")


def compared(challenger: Contender, champion: Contender, trial: Trial) -> Comparison:
    """Both on the test pictures; networks that are the same look at them once. ValueError where alphabets differ."""
    if challenger.alphabet != champion.alphabet:
        differing = "".join(sorted(set(challenger.alphabet) ^ set(champion.alphabet)))
        raise ValueError(f"its reader has another alphabet (they differ in {differing or 'its order'})")
    same = challenger.networks == champion.networks
    cases = challenger.cases if same else champion.cases
    found = compare(challenger.cases, cases, trial.min_score, trial.bootstrap, trial.rules.slice_plates)
    return replace(found, same=same)
