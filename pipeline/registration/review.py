"""A version decided on again, after it was registered: because it should now pass, or because the champion changed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bundle import verified
from pipeline.registration import record
from pipeline.registration.promoting import PromotionError, Verdict, chosen, one_at_a_time, settle
from pipeline.registration.trial import Trial
from pipeline.tracking import registry, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def decide_again(version: str | None, trial: Trial) -> tuple[str, Verdict]:
    """The version, by default the newest, and what is decided of it now; the alias moves if it may."""
    with one_at_a_time(), store.asking() as client, tempfile.TemporaryDirectory(prefix="alpr-version-") as folder:
        number = chosen(client, version, trial.rules.model)
        try:
            bundle = verified(registry.fetch(trial.rules.model, number, Path(folder))[1])
        except (ValueError, OSError) as error:
            raise PromotionError(f"version {number} cannot be served, so nothing was moved: {error}") from None
        run = registry.run_of(client, trial.rules.model, number)
        figures = {} if run is None else dict(run.data.metrics)
        verdict = settle(client, number, bundle, figures, trial)
        if run is not None and not verdict.already:
            keep(client, run, number, verdict, figures, trial)
        return number, verdict


def keep(
    client: MlflowClient, run: Run, version: str, verdict: Verdict, figures: dict[str, float], trial: Trial
) -> None:
    """Puts the new decision in the place of the old one, among the run's artifacts and in its report."""
    run_id, rules = str(run.info.run_id), trial.rules
    told = record.document(verdict, rules, figures, record.drifted(client, run_id, verdict.champion, rules.model))
    client.log_dict(run_id, told, record.COMPARISON)
    if page := record.read_text(client, run_id, record.PAGE):
        client.log_text(run_id, record.filled(page, told), record.PAGE)
    client.set_tag(run_id, "registration", json.dumps(record.row(verdict, rules, version, run_id)))
