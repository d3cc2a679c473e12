"""Which server, and which token: of the environment, of the private file, or none, which is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.labeling.connection import LOCAL, Connection, connect
from pipeline.labeling.studio import Patience, StudioError

THERE, HERE = "0123456789abcdef0123456789abcdef01234567", "76543210fedcba9876543210fedcba9876543210"
FILE = f"LABEL_STUDIO_URL=http://127.0.0.1:8081\nLABEL_STUDIO_API_KEY={HERE}\nLABEL_STUDIO_USER=a@b\nLABEL_STUDIO_PASSWORD=x"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "API_KEY"):
        monkeypatch.delenv(f"LABEL_STUDIO_{name}", raising=False)


DEFAULT = "http://127.0.0.1:8080"
KNOWN: dict[str, tuple[dict[str, str], bool, tuple[str, str]]] = {
    "the environment": (
        {"URL": "https://label.example.org/", "API_KEY": THERE},
        False,
        ("https://label.example.org", THERE),
    ),
    "a token alone": ({"API_KEY": THERE}, False, (DEFAULT, THERE)),
    "a token as a file's line leaves it": ({"API_KEY": f" {THERE}\n"}, False, (DEFAULT, THERE)),
    "the private file": ({}, True, ("http://127.0.0.1:8081", HERE)),
    "the environment before the file": ({"URL": "http://there", "API_KEY": THERE}, True, ("http://there", THERE)),
    "another token for the server of the file": ({"API_KEY": THERE}, True, ("http://127.0.0.1:8081", THERE)),
    "an environment that is set to nothing": ({"URL": "", "API_KEY": ""}, True, ("http://127.0.0.1:8081", HERE)),
}


@pytest.mark.parametrize(("environment", "file", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_where_the_server_is_and_who_we_are(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: bool, expected: tuple[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"LABEL_STUDIO_{name}", value)
    if file:
        LOCAL.parent.mkdir()
        LOCAL.write_text(FILE)
    studio = connect(Patience(attempts=2))
    assert (studio.url, studio.api_key, studio.patience.attempts, studio.project) == (*expected, 2, 0)
    assert expected[1] not in repr(studio)
    assert expected[1] not in repr(Connection())  # type: ignore[call-arg]


UNKNOWN: dict[str, tuple[dict[str, str], str | None]] = {
    "nothing": ({}, None),
    "a server alone": ({"URL": "https://label.example.org"}, None),
    "an empty token": ({"API_KEY": ""}, None),
    "a blank token": ({"API_KEY": " \n"}, None),
    "a file without a token": ({}, "LABEL_STUDIO_URL=http://127.0.0.1:8081\n"),
    "a file with an empty token": ({}, "LABEL_STUDIO_API_KEY=\n"),
    "another server, for which the file's token is not meant": ({"URL": "https://label.example.org"}, FILE),
}


@pytest.mark.parametrize(("environment", "file"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_without_a_token_a_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"LABEL_STUDIO_{name}", value)
    if file is not None:
        LOCAL.parent.mkdir()
        LOCAL.write_text(file)
    with pytest.raises(
        StudioError, match=r"no token for Label Studio: .*make label-studio.*LABEL_STUDIO_API_KEY"
    ) as told:
        connect()
    assert HERE not in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.__cause__ is None
