"""Where Label Studio is and who we are there: from the environment, or as `make label-studio` wrote it down."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.labeling.studio import Patience, Studio, StudioError

LOCAL = Path(".label-studio", "connection")  # of the server that `make label-studio` starts; private, not in git


class Connection(BaseSettings):
    """LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (a legacy token or a personal access token)."""

    model_config = SettingsConfigDict(
        env_prefix="LABEL_STUDIO_", env_file=LOCAL, env_ignore_empty=True, str_strip_whitespace=True, extra="ignore"
    )

    url: str = "http://127.0.0.1:8080"
    api_key: SecretStr = Field(min_length=1)


def _found() -> Connection:
    file = None if os.environ.get("LABEL_STUDIO_URL") else LOCAL
    return Connection(_env_file=file)  # type: ignore[call-arg]  # read from the environment


def connect(patience: Patience | None = None) -> Studio:
    """The server of the environment, else the local one, whose token is for no other; StudioError without a token."""
    try:
        found = _found()
    except ValidationError:
        raise StudioError(
            "no token for Label Studio: start a local server with `make label-studio`, or set LABEL_STUDIO_URL and "
            "LABEL_STUDIO_API_KEY (the token is on the server's page Account & Settings)"
        ) from None
    return Studio(found.url, found.api_key.get_secret_value(), patience or Patience())


def known_address() -> str | None:
    """The server that `connect` would ask; None where none is known."""
    try:
        return _found().url.rstrip("/")
    except ValidationError:
        return None
