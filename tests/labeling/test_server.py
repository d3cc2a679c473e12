"""The local server's account, command and environment: nothing secret where others can read it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.labeling import server
from pipeline.labeling.connection import LOCAL, connect
from pipeline.labeling.server import Account, ServerError, account, command, environment, free

ANN = Account("ann@example.org", "correct-horse", "0123456789abcdef0123456789abcdef01234567")


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "API_KEY"):
        monkeypatch.delenv(f"LABEL_STUDIO_{name}", raising=False)


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        yield there.getsockname()[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# The account


def test_a_new_account_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path, data = tmp_path / ".label-studio" / "connection", tmp_path / ".label-studio" / "data"
    made = account(path, data, 8081)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert len(made.token) == 40
    assert account(path, data, 8081) == made
    assert account(path, data, 8082) == made
    assert "LABEL_STUDIO_URL=http://127.0.0.1:8082\n" in path.read_text()
    assert list(path.parent.iterdir()) == [path]
    assert account(tmp_path / "other" / "connection", tmp_path / "other" / "data", 8081) != made


def test_alpr_labels_finds_the_server_by_it() -> None:
    made = account(LOCAL, LOCAL.parent / "data", 8083)
    studio = connect()
    assert (studio.url, studio.api_key) == ("http://127.0.0.1:8083", made.token)


def test_the_account_is_at_no_time_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder may be older than the account, and open to others: pip's environment stands there too."""
    modes = []
    for name in ("replace", "rename"):
        rename = getattr(os, name)

        def watched(source: str, target: str, rename=rename) -> None:
            modes.append(mode(Path(source)))
            rename(source, target)

        monkeypatch.setattr(os, name, watched)
    (tmp_path / "open").mkdir(mode=0o755)
    account(tmp_path / "open" / "connection", tmp_path / "data", 8081)
    assert modes == [0o600]


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "connection"
    made = account(path, tmp_path / "data", 8081)
    path.chmod(0o644)
    assert account(path, tmp_path / "data", 8081) == made
    assert mode(path) == 0o600


def test_a_lost_file_whose_database_is_there_is_not_made_again(tmp_path: Path) -> None:
    path, data = tmp_path / "connection", tmp_path / "data"
    data.mkdir()
    account(path, data, 8081)
    (data / "label_studio.sqlite3").touch()
    account(path, data, 8081)
    path.unlink()
    with pytest.raises(ServerError, match=r"connection is gone, but the server's data in .*data are not: restore"):
        account(path, data, 8081)
    assert not path.exists()


@pytest.mark.parametrize("name", ["LABEL_STUDIO_USER", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_API_KEY"])
@pytest.mark.parametrize("instead", [None, ""], ids=["gone", "empty"])
def test_a_damaged_file_says_what_it_lacks(tmp_path: Path, name: str, instead: str | None) -> None:
    path = tmp_path / "connection"
    made = account(path, tmp_path / "data", 8081)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(name)]
    damaged = "\n".join(lines + ([f"{name}={instead}"] if instead is not None else []))
    path.write_text(damaged)
    with pytest.raises(ServerError, match=f"connection lacks '?{name}'?; delete it and .*data to begin anew") as told:
        account(path, tmp_path / "data", 8081)
    assert made.token not in str(told.value)
    assert path.read_text() == damaged


def test_a_file_of_other_bytes_is_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "connection").write_bytes(b"\xff\xfe=\x00")
    with pytest.raises(ServerError, match="connection lacks LABEL_STUDIO_USER"):
        account(tmp_path / "connection", tmp_path / "data", 8081)


def test_the_token_of_the_environment_is_the_new_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ANN.token)
    assert account(tmp_path / "connection", tmp_path / "data", 8081).token == ANN.token


@pytest.mark.parametrize("token", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "abc", f"{ANN.token}\nX=1"])
def test_another_kind_of_token_makes_no_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """It would be a personal access token of some other server, of which this one cannot make a user."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    with pytest.raises(ServerError, match=r"LABEL_STUDIO_API_KEY is set.*unset it") as told:
        account(tmp_path / "connection", tmp_path / "data", 8081)
    assert token not in str(told.value)
    assert not (tmp_path / "connection").exists()


# The process


def test_who_the_user_is_stands_in_the_environment_and_not_in_the_command(tmp_path: Path) -> None:
    line, told = command(Path("label-studio"), tmp_path / "data", 8081), environment(ANN, Path("data"))
    assert line[:2] == ["label-studio", "start"]
    assert line[line.index("--internal-host") + 1] == "127.0.0.1"
    assert line[line.index("--port") + 1] == "8081"
    assert line[line.index("--data-dir") + 1] == str(tmp_path / "data")
    assert not any(secret in word for word in line for secret in (ANN.token, ANN.password, ANN.email))
    assert told["LABEL_STUDIO_USERNAME"] == ANN.email
    assert told["LABEL_STUDIO_PASSWORD"] == ANN.password
    assert told["LABEL_STUDIO_USER_TOKEN"] == ANN.token
    assert told["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(tmp_path / "data")
    assert told["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"
    assert told["LABEL_STUDIO_COLLECT_ANALYTICS"] == "false"
    assert told["PATH"] == os.environ["PATH"]


def test_a_port_is_free_or_not(busy: int) -> None:
    assert not free(busy)
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port = there.getsockname()[1]
    assert free(port)


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What this process would have become."""
    seen: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda program, line, told: seen.append((line, told)))
    return seen


def test_main_becomes_the_server(
    tmp_path: Path, became: list[tuple[list[str], dict[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port = there.getsockname()[1]
    server.main(Path("/opt/label-studio"), Path("pictures"), port)
    ((line, told),) = became
    data = tmp_path / ".label-studio" / "data"
    assert line == command(Path("/opt/label-studio"), data, port)
    assert told["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(tmp_path / "pictures")
    assert mode(data) == 0o700
    printed = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}" in printed
    assert not any(told[f"LABEL_STUDIO_{name}"] in printed for name in ("PASSWORD", "USER_TOKEN"))


def test_a_busy_port_is_named_and_nothing_is_started(busy: int, became: list[object]) -> None:
    with pytest.raises(SystemExit, match=f"port {busy} is taken, perhaps by this very server"):
        server.main(Path("/opt/label-studio"), Path("data"), busy)
    assert not became
    assert not LOCAL.exists()


def test_a_damaged_account_stops_it_with_its_sentence(became: list[object]) -> None:
    LOCAL.parent.mkdir()
    LOCAL.write_text("LABEL_STUDIO_USER=ann\n")
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port = there.getsockname()[1]
    with pytest.raises(SystemExit, match="lacks LABEL_STUDIO_PASSWORD"):
        server.main(Path("/opt/label-studio"), Path("data"), port)
    assert not became


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_cannot_be_is_a_mistake_in_usage(port: str, became: list[object]) -> None:
    import typer

    app = typer.Typer()
    app.command()(server.main)
    result = CliRunner().invoke(app, ["label-studio", "--images", "data", "--port", port])
    assert result.exit_code == 2
    assert not became
