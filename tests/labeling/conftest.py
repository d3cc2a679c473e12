"""A real Label Studio for the tests that need one: started once, on loopback, in a fresh folder, ended with them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.labeling.server import Account, command, environment

PROGRAM = Path(__file__).parents[2] / ".label-studio" / "env" / "bin" / "label-studio"
START = 180  # seconds that a first start may take


@dataclass(frozen=True)
class Server:
    """A running server: `root` is its document root, whose raw/ holds pictures; `log` is what it prints."""

    url: str
    admin: Account
    root: Path
    log: Path

    def sign_up(self, email: str, password: str = "correct-horse") -> Account:
        """Another annotator, with a token."""
        headers = {"Authorization": f"Token {self.admin.token}"}
        invite = httpx.get(f"{self.url}/api/invite", headers=headers).json()["invite_url"]
        with httpx.Client(base_url=self.url) as browser:
            page = browser.get(invite).text
            form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
            assert form is not None, page[:500]
            data = {"csrfmiddlewaretoken": form[1], "email": email, "password": password}
            answer = browser.post(invite, data=data, headers={"Referer": self.url})
            assert answer.status_code == 302, answer.text[:500]
            token = browser.get("/api/current-user/token").json()["token"]
        return Account(email, password, token)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server; without its program these tests are skipped, but in CI, where they fail."""
    if not PROGRAM.exists():
        reason = f"{PROGRAM} is not here: run `make label-studio-env`"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("label-studio")
    root = folder / "served"
    (root / "raw").mkdir(parents=True)
    user = Account("admin@example.org", "correct-horse", "0123456789abcdef0123456789abcdef01234567")
    port = free_port()
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(PROGRAM, folder / "data", port), env=environment(user, root), stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_up(f"http://127.0.0.1:{port}", process, log)
            yield Server(f"http://127.0.0.1:{port}", user, root, log)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"not up after {START} s: {log.read_text(errors='replace')[-2000:]}")
