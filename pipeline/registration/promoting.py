"""Moves the alias of the registered model, where the gate lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.registration.gate import Standing, decide
from pipeline.tracking.runs import figures

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = dict[str, Any]


def promote(client: MlflowClient, settings: params.Register, version: str, evaluation: Row) -> Row:
    """Moves the alias to the version if it may have it; the decision is kept with the version."""
    challenger = Standing(version, figures(evaluation), evaluation["data"]["test_set"])
    champion = standing(client, settings.model, settings.alias)
    decision = decide(challenger, champion, settings.metric, settings.tolerance)
    if decision.moves:
        client.set_registered_model_alias(settings.model, settings.alias, version)
    client.set_model_version_tag(settings.model, version, settings.alias, decision.reason)
    return {
        "model": settings.model,
        "version": int(version),
        "alias": settings.alias,
        "moved": decision.moves,
        "reason": decision.reason,
        "holder": int(version) if decision.moves else (int(champion.version) if champion else None),
    }


def standing(client: MlflowClient, model: str, alias: str) -> Standing | None:
    """The version that holds the alias, with the figures of its run; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(model, alias)
        run = client.get_run(str(version.run_id))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return Standing(str(version.version), dict(run.data.metrics), run.data.tags.get("test_set", ""))
