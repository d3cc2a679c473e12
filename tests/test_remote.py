"""A DVC remote on S3, set up as docs/teams.md says, against an S3-speaking server on this machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parent.parent / "docs/teams.md"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def s3(monkeypatch):
    """The URL of an S3 server with the page's bucket in it, and its keys in the environment."""
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed (the extra `teams`): DVC cannot speak to S3")
    moto = pytest.importorskip("moto.server", reason="moto[s3] is not installed (the extra `dev`): no S3 to talk to")
    import boto3

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="plates")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def project(tmp_path):
    """A small DVC project with a folder and a file of random bytes in its cache."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data/photo.jpg").write_bytes(os.urandom(200_000))
    (folder / "data/manifest.jsonl").write_text('{"image": "photo.jpg"}\n')
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    dvc(folder, "init", "-q")
    dvc(folder, "config", "core.analytics", "false")
    dvc(folder, "add", "-q", "data")
    return folder


def dvc(folder, *words, check=True, **environment):
    """What DVC said; it runs with the environment of the test and what is added here."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        **{"cwd": folder, "env": os.environ | environment, "capture_output": True, "text": True, "timeout": 120},
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def page_commands(endpoint):
    """The commands of the page that set the remote up, for another server than the page's."""
    commands = re.findall(r"^    dvc (remote .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"https://\S+", endpoint, command).split() for command in commands]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


def test_what_was_pushed_comes_back_byte_for_byte(project, s3):
    for command in page_commands(s3):
        dvc(project, *command)
    before = contents(project)
    assert "3 files pushed" in dvc(project, "push")
    assert "secret" not in (project / ".dvc/config").read_text()

    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project / "data")
    dvc(project, "pull")
    assert contents(project) == before


def test_a_stage_that_a_colleague_ran_is_not_run_again(project, s3):
    """Not even without dvc.lock, as long as its inputs are the same."""
    (project / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: cp data/manifest.jsonl copy.jsonl; echo ran >> ../runs\n"
        "    deps: [data/manifest.jsonl]\n    outs: [copy.jsonl]\n"
    )
    for command in page_commands(s3):
        dvc(project, *command)
    dvc(project, "repro", "-q")
    dvc(project, "push", "--run-cache")

    for path in (".dvc/cache", "data"):
        shutil.rmtree(project / path)
    for path in ("dvc.lock", "copy.jsonl"):
        (project / path).unlink()
    dvc(project, "pull", "--run-cache", "--allow-missing")
    dvc(project, "repro", "-q")
    assert (project / "copy.jsonl").read_text() == (project / "data/manifest.jsonl").read_text()
    assert (project.parent / "runs").read_text() == "ran\n"


def test_without_credentials_nothing_is_lost_and_dvc_says_why(project, s3):
    for command in page_commands(s3):
        dvc(project, *command)
    said = dvc(project, "push", check=False, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", HOME=str(project))
    assert "credentials" in said.lower()
    assert contents(project)
