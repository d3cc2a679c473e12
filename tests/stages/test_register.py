"""Registration in a store of its own: versions, the alias, a second time, a killed time, and a served model."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.images import encode_png
from pipeline.registration.run import fingerprint_of
from pipeline.stages.register import main
from pipeline.tracking import runs, store

NETWORKS = ("detector", "student", "refiner", "reader")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path, tiny_bundle, monkeypatch):
    """A folder as the stages before left it, the current one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(tiny_bundle, tmp_path / "models/export")
    for name in NETWORKS:
        (tmp_path / "models" / name).mkdir()
        (tmp_path / "models" / name / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.5\n")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text("<p>report</p>")
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  pull@synthetic:\n    cmd: x\n    outs:\n    - {path: data/raw/synthetic, md5: abc.dir}\n"
    )
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/curation.json").write_text('{"groups": 7}')
    evaluated(tmp_path, 0.5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def evaluated(project, exact, test_set="t"):
    document = {"end_to_end": {"exact": exact}, "data": {"test_set": test_set}}
    (project / "metrics/evaluation.json").write_text(json.dumps(document))


def register():
    trained = (Path("models") / name for name in NETWORKS)
    folders = (Path("models/export"), *trained, Path("metrics"), Path("report"))
    main(*folders, out=Path("metrics/registration.json"))
    return json.loads(Path("metrics/registration.json").read_text())


def test_versions_and_alias(project, capsys):
    """One store, several registrations in turn: each needs MLflow's database, which takes seconds to make."""
    first = register()
    assert (first["version"], first["moved"], first["holder"]) == (1, True, 1)
    client = store.connect()
    run = client.get_run(first["run"])
    assert run.data.params["register.metric"] == "end_to_end.exact"
    assert run.data.metrics["end_to_end.exact"] == 0.5
    assert run.data.metrics["curation.groups"] == 7
    assert run.data.tags["dvc.data/raw/synthetic"] == "abc.dir"
    assert [m.value for m in client.get_metric_history(first["run"], "detector.val_loss")] == [0.6, 0.5]
    assert [file.path for file in client.list_artifacts(first["run"], "report")] == ["report/index.html"]
    assert (project / "mlartifacts").is_dir()
    assert not (project / "mlruns").exists()

    assert register() == first, "the same models and figures are registered once"

    evaluated(project, 0.4)
    worse = register()
    assert (worse["version"], worse["moved"], worse["holder"]) == (2, False, 1)
    assert "below" in worse["reason"]

    evaluated(project, 0.9, test_set="u")
    assert "another test set" in register()["reason"]

    evaluated(project, 0.6)
    assert register()["holder"] == 4
    assert int(client.get_model_version_by_alias("alpr", "champion").version) == 4
    assert "champion moves to it" in capsys.readouterr().out

    # Killed after its version was made: the half-made run and version are replaced.
    evaluated(project, 0.7)
    settings = params.load()
    hashes = runs.data_hashes(Path("dvc.lock"), settings.sources)
    half = client.create_run(
        "1", tags={"fingerprint": fingerprint_of(Path("models/export"), runs.read_metrics(Path("metrics")), hashes)}
    )
    client.create_model_version("alpr", (project / "models/export").as_uri(), half.info.run_id)
    again = register()
    assert (again["moved"], again["holder"]) == (True, again["version"])
    assert client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"
    assert not client.search_model_versions(f"run_id = '{half.info.run_id}'")


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("no networks", lambda root: shutil.rmtree(root / "models/export"), "bundle.json"),
        ("no report yet", lambda root: (root / "metrics/evaluation.json").write_text("{"), "damaged metrics file"),
        ("a damaged dvc.lock", lambda root: (root / "dvc.lock").write_text("stages"), "alpr doctor"),
    ],
)
def test_what_is_missing_is_a_sentence(project, name, spoil, message):
    spoil(project)
    with pytest.raises(SystemExit, match=message):
        register()


def test_a_server_that_is_down_is_a_sentence(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit, match="register: MLflow at http://127") as caught:
        register()
    assert "secret" not in str(caught.value)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.integration
def test_mlflow_serves_the_version(project):
    """`mlflow models serve` on loopback answers a posted picture as the command line would, without TensorFlow."""
    register()
    port = free_port()
    command = ["models", "serve", "-m", "models:/alpr@champion", "-p", str(port), "--env-manager", "local"]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command],
        env=os.environ
        | {"MLFLOW_TRACKING_URI": store.uri(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        picture = np.zeros((120, 160, 3), dtype=np.uint8)
        picture[56:64, 76:84] = 255
        good = base64.b64encode(encode_png(picture)).decode()
        body = {"dataframe_records": [{"image": good}, {"image": base64.b64encode(b"no image").decode()}]}
        found, bad = answer(port, body)["predictions"]
        assert [plate["text"] for plate in found["plates"]] == ["AB12"]
        assert (found["width"], found["height"]) == (160, 120)
        assert set(bad) == {"image", "error"}
        strict = answer(port, body | {"params": {"min_score": 0.999}})
        assert strict["predictions"][0]["plates"] == []
        assert not [line for pid in group(server.pid) for line in maps(pid) if "tensorflow" in line]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def group(leader):
    """The processes that a server started, itself among them."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if os.getpgid(pid) == leader]


def maps(pid):
    """The files that a process has in memory; the libraries it loaded are among them."""
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


def answer(port, body, patience=90):
    """Posts to the server, waiting until it is up."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    for _ in range(patience):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(1)
    raise AssertionError(f"the server did not answer within {patience} s")
