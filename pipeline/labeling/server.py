"""A Label Studio of one's own on this machine: python -m pipeline.labeling.server PROGRAM --images data

It listens on loopback alone, keeps its database in .label-studio/data, and makes a user whose password and token are
kept in .label-studio/connection, which only the owner can read and `alpr labels` takes them from.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipeline.labeling.connection import LOCAL

USER = "alpr@localhost.localdomain"


class ServerError(ValueError):
    """The server cannot be started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The server's first user; its token is a legacy one of 40 hexadecimal digits."""

    email: str
    password: str
    token: str

    @classmethod
    def fresh(cls) -> Account:
        token = os.environ.get("LABEL_STUDIO_API_KEY") or secrets.token_hex(20)
        if not re.fullmatch(r"[0-9a-f]{40}", token):
            raise ServerError(
                "LABEL_STUDIO_API_KEY is set, perhaps for another server, and is not of 40 hexadecimal digits: unset it"
            )
        return cls(USER, secrets.token_urlsafe(12), token)


def account(path: Path, data: Path, port: int) -> Account:
    """The account kept in a private file, or a new one, which is written there.

    ServerError where the file is gone but the database is not: its users cannot be made again.
    """
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        kept = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        names = ("LABEL_STUDIO_USER", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_API_KEY")
        if missing := [name for name in names if not kept.get(name)]:
            raise ServerError(
                f"{path} lacks {missing[0]}; delete it and {data} to begin anew, which loses what is there"
            )
        found = Account(*(kept[name] for name in names))
    elif (data / "label_studio.sqlite3").exists():
        raise ServerError(
            f"{path} is gone, but the server's data in {data} are not: restore the file, or set LABEL_STUDIO_API_KEY "
            "and start label-studio by hand"
        )
    else:
        found = Account.fresh()
    lines = {
        "URL": f"http://127.0.0.1:{port}",
        "API_KEY": found.token,
        "USER": found.email,
        "PASSWORD": found.password,
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # nobody else can read it, ever
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"LABEL_STUDIO_{name}={value}\n" for name, value in lines.items())
    Path(fresh).replace(path)
    return found


def free(port: int) -> bool:
    """Whether nobody listens on this port; Label Studio itself would silently take the next one."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def command(program: Path, data: Path, port: int) -> list[str]:
    """The command line; who the user is stands in the environment, where other users cannot see it."""
    return [str(program), "start", "-b", "--data-dir", str(data), "--internal-host", "127.0.0.1", "--port", str(port)]


def environment(user: Account, images: Path) -> dict[str, str]:
    """What the server is told beside its command: pictures below `images` may be shown, nothing is sent home."""
    return {
        **os.environ,
        "LABEL_STUDIO_USERNAME": user.email,
        "LABEL_STUDIO_PASSWORD": user.password,
        "LABEL_STUDIO_USER_TOKEN": user.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(images.absolute()),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    }


def main(
    program: Annotated[Path, typer.Argument(help="The label-studio program, of its own environment.")],
    images: Annotated[Path, typer.Option(help="The folder whose raw/ holds the pictures.")],
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Becomes the server, until Ctrl-C."""
    data = LOCAL.parent.absolute() / "data"
    if not free(port):
        raise SystemExit(f"port {port} is taken, perhaps by this very server; else name another one")
    try:
        user = account(LOCAL, data, port)
    except ServerError as error:
        raise SystemExit(str(error)) from None
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    print(
        f"Label Studio on http://127.0.0.1:{port} in a minute; log in as {user.email}, password in {LOCAL}", flush=True
    )
    line = command(program, data, port)
    sys.stdout.flush()
    os.execve(line[0], line, environment(user, images))


if __name__ == "__main__":
    typer.run(main)
