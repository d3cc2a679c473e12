"""Registered with a real `mlflow server`, on SQLite and on PostgreSQL, and served from there over HTTP."""

import base64
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.registration import nested
from pipeline.tracking import store

pytestmark = pytest.mark.integration
PATIENCE = 120  # seconds for a server to come up


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command, log, ready, how_to_stop=signal.SIGTERM, **options):
    """A server in a session of its own, up until the block ends; what it wrote is told if it does not come up."""
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **options
        )
    try:
        for _ in range(PATIENCE):
            if ready():
                break
            assert server.poll() is None, log.read_text(errors="replace")
            time.sleep(1)
        else:
            raise AssertionError(f"{command} is not up after {PATIENCE} s: {log.read_text(errors='replace')}")
        yield server
    finally:
        for stop in (how_to_stop, signal.SIGKILL):
            if server.poll() is None:
                os.killpg(server.pid, stop)
                with suppress(subprocess.TimeoutExpired):
                    server.wait(30)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


@pytest.fixture
def sqlite(tmp_path):
    """The address of a database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'served.db'}"


@pytest.fixture(scope="module")
def postgresql():
    """The address of an empty database of a PostgreSQL server that was started for it, as Debian packages it."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not installed:
        pytest.skip("PostgreSQL is not installed; `make postgresql` installs Debian's")
    driver = next((name for name in ("psycopg2", "psycopg") if find_spec(name)), None)
    if driver is None:
        pytest.skip("psycopg2 is not installed (the extra `dev`): MLflow cannot ask PostgreSQL")
    programs, port, folder = installed[-1].parent, free_port(), Path(tempfile.mkdtemp(prefix="alpr-postgresql-"))
    account = {"cwd": folder}
    if os.geteuid() == 0:  # it refuses to run as root; Debian's package has made it an account of its own
        shutil.chown(folder, "postgres", pwd.getpwnam("postgres").pw_gid)
        account |= {"user": "postgres", "group": pwd.getpwnam("postgres").pw_gid, "extra_groups": []}
    password = folder / "password"
    password.write_text("plates")
    password.chmod(0o644)
    data = folder / "data"
    make = [programs / "initdb", "-D", data, "-U", "alpr", "--auth=scram-sha-256", f"--pwfile={password}"]
    subprocess.run([*make, "--encoding=UTF8", "--locale=C.UTF-8", "-N"], check=True, capture_output=True, **account)
    serve = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    asked = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]

    def ready():
        return subprocess.run(asked, capture_output=True).returncode == 0

    with running(serve, folder / "log", ready, signal.SIGINT, **account):
        yield f"postgresql+{driver}://alpr:plates@127.0.0.1:{port}/postgres"
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, project, monkeypatch):
    """An `mlflow server` that keeps the artifacts itself, as docs/teams.md says; the project registers there."""
    database, port = request.getfixturevalue(request.param), free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", database]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--artifacts-destination", "kept-there"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(command, Path("server.log"), lambda: answers(f"{url}/health"), env=environment):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url


def test_registered_with_a_server(project, server):
    """All that a run says arrives there; files go through the server; a second model is compared with the first."""
    told = project.register()
    assert (told["version"], told["holder"]) == (1, 1)
    client = store.connect()
    whole = client.get_run(told["run"])
    assert whole.info.artifact_uri.startswith("mlflow-artifacts:")
    assert list(Path("kept-there").rglob("bundle.json"))
    assert not Path("mlartifacts").exists()
    assert whole.data.metrics["end_to_end.exact"] == 0.8
    assert whole.data.params["train_detector.head"] == "corner"
    assert {one.dataset.name for one in whole.inputs.dataset_inputs} >= {"training", "validation", "test"}
    (logged,) = client.search_logged_models([whole.info.experiment_id])
    assert {one.key: one.value for one in logged.metrics}["detection.ap50"] == 0.9
    inside = client.search_runs([whole.info.experiment_id], f"tags.`mlflow.parentRunId` = '{told['run']}'")
    assert {one.info.run_name for one in inside} == {*nested.NETWORKS, "data", "evaluation"}
    note = whole.data.tags["mlflow.note.content"]
    assert f"get-artifact?path=note/worst.jpg&run_uuid={told['run']}" in note
    with urllib.request.urlopen(f"{server}/get-artifact?path=note/worst.jpg&run_uuid={told['run']}") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "image/jpeg")

    assert project.register() == told, "the same models and figures are registered once"
    project.evaluated(0.9)
    second = project.register()
    assert (second["version"], second["moved"], second["holder"]) == (2, True, 2)
    assert {name: int(at) for name, at in client.get_registered_model("alpr").aliases.items()} == {
        "champion": 2,
        "challenger": 2,
    }


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_served_from_the_registry(project, server):
    """`mlflow models serve` of the alias answers what clients are told it does, and runs without TensorFlow."""
    project.register()
    fetched = mlflow("artifacts", "download", "-u", "models:/alpr@champion", "-d", "fetched")
    assert fetched.returncode == 0, fetched.stderr
    assert mlflow("artifacts", "download", "-u", "models:/alpr@champion/openapi.json", "-d", "alone").returncode == 0
    assert Path("alone/openapi.json").read_text() == Path("fetched/openapi.json").read_text()
    schemas = {"components": json.loads(Path("fetched/openapi.json").read_text())["components"]}

    def check(name, value):
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas}).validate(value)

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-m", "models:/alpr@champion", "--host", "127.0.0.1", "-p", str(port), "--env-manager", "local"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running(command, Path("serve.log"), lambda: answers(f"{url}/ping"), env=os.environ | {"PATH": path}) as served:
        example = json.loads(Path("fetched/serving_input_example.json").read_text())
        check("Request", example)
        status, answer = posted(url, example)
        assert status == 200
        check("Answer", answer)
        assert [(row["width"], row["height"]) for row in answer["predictions"]] == [(320, 240)]

        picture = np.zeros((120, 160, 3), dtype=np.uint8)
        picture[56:64, 76:84] = 255
        good, bad = (base64.b64encode(data).decode() for data in (encode_png(picture), b"no image"))
        request = {"dataframe_records": [{"image": bad}, {"image": good}, {"image": good[:-40]}]}
        check("Request", request)
        status, answer = posted(url, request)
        assert status == 200
        check("Answer", answer)
        first, second, third = answer["predictions"]
        assert [plate["text"] for plate in second["plates"]] == ["AB12"]
        assert (set(first), set(third)) == ({"image", "error"}, {"image", "error"})
        status, answer = posted(url, request | {"params": {"min_score": 0.999}})
        assert (status, answer["predictions"][1]["plates"]) == (200, [])

        status, answer = posted(url, {"dataframe_records": [{"picture": good}]})
        assert status == 400
        check("Failure", answer)
        assert not [line for pid in group(served.pid) for line in maps(pid) if "tensorflow" in line]


def mlflow(*words):
    return subprocess.run([sys.executable, "-m", "mlflow", *words], capture_output=True, text=True, timeout=120)


def posted(url, body):
    """(status, answer) of a request to the served model."""
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def group(leader):
    """The processes that a server started, itself among them."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if os.getpgid(pid) == leader]


def maps(pid):
    """The files that a process has in memory; the libraries it loaded are among them."""
    return Path(f"/proc/{pid}/maps").read_text().splitlines()
