"""Registration in a store of its own: versions, the alias, a second time, a killed time, a server that is away."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline import params
from pipeline.images import encode_png, sha256
from pipeline.manifest import read_manifest, write_manifest
from pipeline.records import Box, Plate, Sample
from pipeline.registration import promoting, record, unsent
from pipeline.registration.review import decide_again
from pipeline.registration.run import fingerprint_of
from pipeline.registration.trial import Trial
from pipeline.report.comparison import place
from pipeline.serving import pyfunc
from pipeline.serving.cli import app
from pipeline.stages.register import main
from pipeline.tracking import registry, runs, store

NETWORKS = ("detector", "student", "refiner", "reader")
FINDERS = ("detector", "fast")
ROOT = Path(__file__).parent.parent.parent
MANIFEST = Path("data/curated/manifest.jsonl")


@pytest.fixture
def project(tmp_path, tiny_bundle, empty_store, monkeypatch):
    """A folder as the stages before left it, the current one."""
    settings = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(settings.replace("bootstrap: 1000", "bootstrap: 100"))
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    shutil.copytree(tiny_bundle, tmp_path / "models/export")
    for name in NETWORKS:
        (tmp_path / "models" / name).mkdir()
        (tmp_path / "models" / name / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.5\n")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(f"<p>report</p>{place()}")
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  pull@synthetic:\n    cmd: x\n    outs:\n    - {path: data/raw/synthetic, md5: abc.dir}\n"
    )
    (tmp_path / "data/evaluated").mkdir(parents=True)
    (tmp_path / "data/evaluated/profile.json").write_text('{"version": 1, "splits": {}}')
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/curation.json").write_text('{"groups": 7, "leaks": 0}')
    export = {f"{name}_difference": 1e-5 for name in (*FINDERS, "refiner", "reader")}
    export |= {f"{name}_int8_box_shift": 0.01 for name in FINDERS} | {"reader_int8_text_change": 0.0}
    (tmp_path / "metrics/export.json").write_text(json.dumps(export))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    photographed(tmp_path)
    evaluated(tmp_path, 0.5)
    return tmp_path


def photographed(project):
    """Twelve test photos, each with a white plate on black: AB12 on ten of them."""
    samples = []
    for number in range(12):
        at = 60 + number
        image = np.zeros((240, 320, 3), dtype=np.uint8)
        image[at : at + 20, at : at + 40] = 255
        data = encode_png(image)
        path = project / f"data/raw/synthetic/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        plate = Plate(Box(at, at, at + 40, at + 20), text="AB12" if number < 10 else "CD34", region="GB", rows=1)
        name = f"synthetic/{number}.png"
        samples.append(Sample(sha256(data), name, 320, 240, (plate,), "synthetic", f"g{number}", "test"))
    write_manifest(project / MANIFEST, samples)


def evaluated(project, exact):
    document = {
        "end_to_end": {"exact": exact, "interval": {}},
        "detection": {"ap50": 0.9, "interval": {}},
        "ocr": {"network": {"labelled": {"exact": exact, "interval": {}}, "answers": {"calibration_error": 0.01}}},
        "data": {"test_set": "t", "photos": 12, "plates": 12, "crops": 0, "texts": 12},
    }
    (project / "metrics/evaluation.json").write_text(json.dumps(document))


def exported(project, bundle):
    shutil.rmtree(project / "models/export")
    shutil.copytree(bundle, project / "models/export")


PATHS = {
    "models": "models/export",
    **{name: f"models/{name}" for name in NETWORKS},
    "manifest": str(MANIFEST),
    "images": "data/raw",
    "labels": "data/labels",
    "profile": "data/evaluated/profile.json",
    "metrics": "metrics",
    "plots": "plots",
    "report": "report",
    "out": "metrics/registration.json",
    "review": "review",
}


def register():
    main(**{name: Path(path) for name, path in PATHS.items()})
    return json.loads(Path("metrics/registration.json").read_text())


def holder():
    return registry.holder(store.connect(), "alpr", "champion")


def test_versions_and_alias(project, other_bundle, capsys):
    """Several registrations in turn."""
    first = register()
    assert (first["version"], first["moved"], first["holder"], first["sent"]) == (1, True, 1, True)
    client = store.connect()
    run = client.get_run(first["run"])
    assert run.data.metrics["end_to_end.exact"] == 0.5
    assert run.data.metrics["curation.leaks"] == 0, "for the gate, whenever it decides"
    assert run.data.tags["dvc.data/raw/synthetic"] == "abc.dir"
    assert [m.value for m in client.get_metric_history(first["run"], "detector.val_loss")] == [0.6, 0.5]
    assert [file.path for file in client.list_artifacts(first["run"], "report")] == ["report/index.html"]
    assert (project / "mlartifacts").is_dir()
    assert not (project / "mlruns").exists()
    assert client.get_registered_model("alpr").aliases == {"champion": 1, "challenger": 1}
    page = Path("review/index.html").read_text()
    assert "There is no champion yet" in page

    assert register() == first, "the same models and figures are registered once"
    assert Path("review/index.html").read_text() == page

    exported(project, other_bundle)
    worse = register()
    assert (worse["version"], worse["moved"], worse["holder"]) == (2, False, 1)
    assert "worse than the champion" in worse["reason"]
    assert worse["checks"] == {"end to end": False, "slices": True, **dict.fromkeys(first["checks"], True)}
    assert client.get_registered_model("alpr").aliases == {"champion": 1, "challenger": 2}
    shown = client.download_artifacts(worse["run"], "report/index.html", str(project))
    assert Path(shown).read_text() == Path("review/index.html").read_text()
    assert "models:/alpr/1" in Path(shown).read_text()
    told = json.loads(Path(client.download_artifacts(worse["run"], "comparison.json", str(project))).read_text())
    assert told["champion"] == {"version": "1", "name": "models:/alpr/1"}
    assert [row["challenger"] < row["champion"] for row in told["figures"]] == [True, False, True]
    assert not told["moves"]
    assert "champion stays" in capsys.readouterr().out

    # Another test set, in which what the second model reads is right: both are measured on it.
    samples = read_manifest(MANIFEST)
    turned = [replace(one, plates=tuple(replace(plate, text="CD34") for plate in one.plates)) for one in samples]
    write_manifest(MANIFEST, turned)
    evaluated(project, 0.6)
    assert register()["holder"] == 3
    assert int(client.get_model_version_by_alias("alpr", "champion").version) == 3
    assert "champion moves to it: no worse than version 1" in capsys.readouterr().out

    # What was decided of the second was decided on other pictures: on these it may have the alias.
    number, verdict = decide_again("2", Trial.of(params.load(), MANIFEST, Path("data/raw")))
    assert (number, verdict.decision.moves, holder()) == ("2", True, "2")
    assert "the champion's own networks" in verdict.decision.reason
    tags = client.get_run(worse["run"]).data.tags
    assert json.loads(tags["registration"])["holder"] == 2
    assert tags["decision.against"] == "version 3"
    again = record.read_text(client, worse["run"], record.PAGE)
    assert "models:/alpr/3" in again
    assert "models:/alpr/1" not in again


def test_killed_after_the_alias_moved(project, monkeypatch):
    """The version that holds the alias is not made again, and not deleted."""
    monkeypatch.setattr(promoting.registry, "move", killed_after(promoting.registry.move))
    with pytest.raises(KeyboardInterrupt):
        register()
    assert holder() == "1"
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    again = register()
    assert (again["version"], again["moved"], again["holder"]) == (1, True, 1)
    assert again["reason"] == "the first, with 50.0 % end to end"
    assert store.connect().get_run(again["run"]).info.status == "FINISHED"
    assert registry.line_of(registry.moves(store.connect(), "alpr", "champion"), holder()) == ["1"]


def killed_after(call):
    def then_killed(*arguments):
        call(*arguments)
        raise KeyboardInterrupt

    return then_killed


def test_killed_before_its_version_was_made(project):
    register()
    evaluated(project, 0.7)
    settings, client = params.load(), store.connect()
    hashes = runs.data_hashes(Path("dvc.lock"), settings.sources)
    fingerprint = fingerprint_of(Path("models/export"), runs.read_metrics(Path("metrics")), hashes)
    half = client.create_run("1", tags={"fingerprint": fingerprint})
    again = register()
    assert (again["version"], again["moved"], again["holder"]) == (2, True, 2)
    assert client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"


def test_what_was_deleted_in_mlflows_page(project, capsys):
    """The experiment comes back with its runs; a version or model is made anew; the alias is never left at nothing."""
    first = register()
    client = store.connect()
    client.delete_experiment("1")
    evaluated(project, 0.6)
    assert (register()["version"], holder()) == (2, "2")
    assert "restored, with its runs" in capsys.readouterr().err
    assert client.get_run(first["run"]).info.lifecycle_stage == "active"

    client.delete_model_version("alpr", "2")
    assert holder() is None
    again = register()
    assert (again["version"], again["holder"]) == (3, 3)
    assert again["reason"].endswith("version 2, which held champion, was deleted")

    client.delete_registered_model("alpr")
    assert (register()["version"], holder()) == (1, "1")


def test_a_champion_without_files_is_not_replaced_unasked(project, other_bundle):
    first = register()
    for folder in (project / "mlartifacts").rglob("export"):
        shutil.rmtree(folder)
    for file in (project / "mlartifacts").rglob("*.onnx"):
        file.unlink()
    exported(project, other_bundle)
    second = register()
    assert (second["moved"], second["holder"]) == (False, first["version"])
    assert "could not be compared" in second["reason"]
    assert "--force --why" in second["reason"]


def test_a_figure_that_is_no_number(project):
    evaluated(project, float("nan"))
    found = register()
    assert (found["moved"], found["holder"], found["checks"]["headlines"]) == (False, None, False)
    assert "not measured on this test set: end to end" in found["reason"]
    assert holder() is None


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("no networks", lambda root: shutil.rmtree(root / "models/export"), "bundle.json"),
        ("other networks", lambda root: (root / "models/export/reader.onnx").write_bytes(b"x"), "its SHA-256 is not"),
        ("no report yet", lambda root: (root / "metrics/evaluation.json").write_text("{"), "damaged metrics file"),
        ("a damaged dvc.lock", lambda root: (root / "dvc.lock").write_text("stages"), "alpr doctor"),
        ("a damaged profile", lambda root: (root / "data/evaluated/profile.json").write_text("{"), "register: "),
    ],
)
def test_what_is_missing_is_a_sentence(project, name, spoil, message):
    spoil(project)
    with pytest.raises(SystemExit, match=message):
        register()


def test_a_server_that_is_away_is_no_failure(project, monkeypatch, capsys):
    """What it was to be told is kept, and sent once it answers."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    found = register()
    said = capsys.readouterr().out
    assert "not registered yet: MLflow at http://127.0.0.1" in said
    assert "secret" not in said + json.dumps(found)
    assert (found["sent"], found["version"], found["moved"]) == (False, None, False)
    assert "cannot be asked" in Path("review/index.html").read_text()
    assert register() == found, "the same once more"
    (parcel,) = unsent.waiting()
    assert parcel.fingerprint == found["fingerprint"]

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    evaluated(project, 0.6)
    other = register()
    assert other["version"] == 1
    assert "1 earlier still to be sent" in capsys.readouterr().out
    sent = unsent.deliver(parcel, pyfunc.__name__)
    assert (sent.row["version"], sent.row["holder"]) == (2, 2)
    run = store.connect().get_run(sent.row["run"])
    assert run.data.metrics["end_to_end.exact"] == 0.5, "as it was when it was kept"
    assert run.data.tags["fingerprint"] == found["fingerprint"]
    assert [one.dataset.source for one in run.inputs.dataset_inputs if "test" in one.dataset.name] == [
        json.dumps({"uri": str(MANIFEST)})
    ]
    assert unsent.waiting() == []


def test_what_waits_is_not_sent_twice(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    register()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    found = register()
    assert found["version"] == 1
    assert unsent.waiting() == [], "the stage itself has sent it"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stage(folder, **environment):
    """The stage in a process of its own."""
    options = [word for name, path in PATHS.items() for word in (f"--{name}", path)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.stages.register", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def ended(*processes):
    """What each printed; all have to end well."""
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return said


@pytest.mark.integration
def test_two_at_once(project, other_bundle, tmp_path_factory, monkeypatch):
    """In one project one waits for the other; two machines, which know nothing of each other, share the registry."""
    said = ended(stage(project), stage(project))
    assert sum("waiting for it" in text for text in said) == 1
    assert len(store.connect().search_model_versions("name = 'alpr'")) == 1

    folders = [tmp_path_factory.mktemp(name) / "project" for name in ("one", "two")]
    for folder, exact in zip(folders, (0.6, 0.7), strict=True):
        shutil.copytree(project, folder, ignore=shutil.ignore_patterns("mlflow.db*", ".alpr"))
        evaluated(folder, exact)
    exported(folders[1], other_bundle)
    uri = store.uri()
    ended(*(stage(folder, MLFLOW_TRACKING_URI=uri) for folder in folders))
    rows = [json.loads((folder / "metrics/registration.json").read_text()) for folder in folders]
    assert sorted(row["version"] for row in rows) == [2, 3]
    assert [row["moved"] for row in rows] == [True, False], "the second reads worse, whoever came first"
    assert holder() == str(rows[0]["version"])


@pytest.fixture
def server(project, monkeypatch):
    """Starts `mlflow server` over the project's database, always on the same port; what runs at the end is stopped."""
    port, running = free_port(), []
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{project / 'served.db'}", "--artifacts-destination", "served"]

    def start():
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command],
                cwd=project,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        for _ in range(120):
            if not store.unreachable():
                return
            time.sleep(1)
        raise AssertionError("mlflow server did not start")

    def stop():
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)

    shutil.copy(project / "mlflow.db", project / "served.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    yield start, stop
    stop()


@pytest.mark.integration
def test_a_real_server_that_is_killed_and_comes_back(project, server, other_bundle, capsys):
    start, stop = server
    start()
    assert register()["version"] == 1
    stop()

    evaluated(project, 0.6)
    waited = time.monotonic()
    first = register()
    assert time.monotonic() - waited < 15
    assert not first["sent"]
    exported(project, other_bundle)
    assert not register()["sent"]
    (project / "dvc.lock").unlink()
    alpr = CliRunner()
    assert alpr.invoke(app, ["register"]).exit_code == 2
    assert alpr.invoke(app, ["promote"]).exit_code == 2
    assert len(unsent.waiting()) == 2

    start()
    sent = alpr.invoke(app, ["register"])
    assert sent.exit_code == 0, sent.output
    assert [line.partition(":")[0] for line in sent.stdout.splitlines()] == ["alpr version 2", "alpr version 3"]
    row = json.loads(Path("metrics/registration.json").read_text())
    assert (row["sent"], row["version"], row["moved"], row["holder"]) == (True, 3, False, 2)
    assert "models:/alpr/2" in Path("review/index.html").read_text()
    assert alpr.invoke(app, ["register"]).output == "nothing waits to be sent\n"

    assert alpr.invoke(app, ["promote"]).exit_code == 1
    assert holder() == "2"
    assert alpr.invoke(app, ["promote", "--force", "--why", "it reads our plates"]).exit_code == 0
    assert holder() == "3"
    assert alpr.invoke(app, ["rollback"]).exit_code == 0
    assert holder() == "2"
