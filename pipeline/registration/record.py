"""A registration's decision as it is kept: a row for metrics/registration.json, and the table of the report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.registration.comparison import HEADLINE, Comparison, Difference
from pipeline.registration.gate import Champion
from pipeline.registration.promoting import Verdict, settle
from pipeline.registration.trial import Trial
from pipeline.report import profile
from pipeline.report.comparison import beside
from pipeline.tracking import registry, runs
from pipeline.tracking.registry import ABSENT, CHALLENGER

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = dict[str, Any]
PROFILE = "profile.json"  # of a run's data, among its artifacts
COMPARISON = "comparison.json"
PAGE = "report/index.html"
# Of each figure of the comparison: its name in the evaluation, Tesseract's, and that of the number of plates.
NAMES = {
    HEADLINE: ("end_to_end.exact", "end_to_end_baselines.tesseract.exact", "end_to_end.n"),
    "Detection, AP50": ("detection.ap50", "", "data.plates"),
    "Exact match on labelled plates": (
        "ocr.network.labelled.exact",
        "ocr.tesseract.labelled.exact",
        "ocr.network.labelled.n",
    ),
}


def conclude(
    client: MlflowClient,
    run_id: str,
    version: str,
    models: Path,
    documents: Row,
    data: Row | None,
    report: Path,
    trial: Trial,
) -> tuple[Row, Row]:
    """Decides on a version that was just made, and keeps with its run what was decided and why: (row, document)."""
    client.set_registered_model_alias(trial.rules.model, CHALLENGER, version)
    if data is not None:
        client.log_dict(run_id, data, PROFILE)
    figures = by_stage(documents)
    verdict = settle(client, version, models, figures, trial)
    told = document(verdict, trial.rules, figures, drifted(client, run_id, verdict.champion, trial.rules.model))
    client.log_dict(run_id, told, COMPARISON)
    client.log_text(run_id, page(report, told), PAGE)
    return row(verdict, trial.rules, version, run_id), told


def by_stage(documents: Row) -> dict[str, float]:
    """The figures of all stages by dotted name, as they stand in the run: the evaluation's own names come bare."""
    others = {name: document for name, document in documents.items() if name != "evaluation"}
    return runs.figures(documents["evaluation"]) | runs.figures(others)


def page(report: Path, told: Row) -> str:
    """The report's page with the comparison in it; an earlier version's, without a place for it, stays as it is."""
    return filled((report / "index.html").read_text(encoding="utf-8"), told)


def filled(text: str, told: Row) -> str:
    """The same of the page itself."""
    try:
        return beside(text, told)
    except ValueError:
        return text


def row(verdict: Verdict, rules: params.Register, version: str, run_id: str) -> Row:
    """What metrics/registration.json says."""
    return {
        "model": rules.model,
        "version": int(version),
        "alias": rules.alias,
        "moved": verdict.decision.moves,
        "sent": True,
        "reason": verdict.decision.reason,
        "holder": None if verdict.holder is None else int(verdict.holder),
        "checks": {check.check: check.good for check in verdict.decision.checks},
        "run": run_id,
    }


def document(verdict: Verdict, rules: params.Register, figures: Mapping[str, float], drift: list[Row]) -> Row:
    """What pipeline.report.comparison.beside shows; `figures` are the challenger's by dotted name."""
    champion = verdict.champion
    compared = champion.comparison if champion and isinstance(champion.comparison, Comparison) else None
    return {
        "champion": None
        if champion is None
        else {"version": champion.version, "name": f"models:/{rules.model}/{champion.version}"},
        "figures": shown(compared, figures),
        "slices": [slice_row(one) for one in (compared.slices if compared else ())],
        "drift": drift,
        "checks": [asdict(check) for check in verdict.decision.checks],
        "moves": verdict.decision.moves,
        "reason": verdict.decision.reason,
    }


def untold(reason: str) -> Row:
    """The document where nothing was compared, and why."""
    return {
        "champion": None,
        "figures": [],
        "slices": [],
        "drift": [],
        "checks": [],
        "moves": False,
        "reason": reason,
    }


def shown(compared: Comparison | None, figures: Mapping[str, float]) -> list[Row]:
    """The headline figures beside the champion's where there are any, and beside Tesseract's."""
    if compared is None:
        compared = Comparison(
            tuple(
                Difference(name, int(figures.get(count, 0)), figures.get(own), None, None)
                for name, (own, _, count) in NAMES.items()
            ),
            (),
            None,
        )
    return [{**asdict(one), "baseline": figures.get(NAMES[one.name][1])} for one in compared.figures]


def slice_row(one: Difference) -> Row:
    fields = asdict(one)
    return {"slice": fields.pop("name"), **fields}


def drifted(client: MlflowClient, run_id: str, champion: Champion | None, model: str) -> list[Row]:
    """How far the data lie from the champion's; empty where either run's profile is not there."""
    if champion is None:
        return []
    run = registry.run_of(client, model, champion.version)
    theirs = None if run is None else read_artifact(client, run.info.run_id, PROFILE)
    own = read_artifact(client, run_id, PROFILE)
    return profile.drift(own, theirs) if own and theirs else []


def read_artifact(client: MlflowClient, run_id: str, path: str) -> Row | None:
    """A JSON document among a run's artifacts; None where it is not there, or is no longer what it was."""
    try:
        found = json.loads(read_text(client, run_id, path) or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def read_text(client: MlflowClient, run_id: str, path: str) -> str | None:
    """A text among a run's artifacts; None where it is not there."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="alpr-artifact-") as folder:
        try:
            return Path(client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8")
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise
        except (OSError, UnicodeDecodeError):
            return None
