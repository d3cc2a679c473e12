"""Versions of the registered model: what there is, and how a version comes here."""

from __future__ import annotations

from pathlib import Path

from pipeline.tracking.store import TrackingError, connect, shortly, uri, without_password


def fetch(model: str, version: str, folder: Path) -> tuple[str, Path]:
    """Downloads a version of the registry, by number or by "@alias", into a folder: its number, and where it lies.

    An alias is settled once, here. TrackingError, with a sentence, where the registry has it not or does not answer.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = client.get_model_version_by_alias(model, version[1:]) if version.startswith("@") else None
        number = str(found.version if found is not None else client.get_model_version(model, version).version)
        return number, Path(download_artifacts(artifact_uri=f"models:/{model}/{number}", dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not give it: {shortly(error)}") from None


def versions() -> list[tuple[str, str, str | None]]:
    """(model, version, alias or None) of all that is registered, the newest first; TrackingError as above."""
    from mlflow.exceptions import MlflowException

    try:
        client = connect()
        found = []
        for model in client.search_registered_models():
            aliases = {str(number): alias for alias, number in model.aliases.items()}
            numbers = sorted(
                (int(v.version) for v in client.search_model_versions(f"name = '{model.name}'")), reverse=True
            )
            found += [(str(model.name), str(number), aliases.get(str(number))) for number in numbers]
        return found
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {without_password(uri())} does not answer: {shortly(error)}") from None
