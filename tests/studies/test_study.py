"""A study from its definition to its page: with a DVC that is made up, and, slowly, with the real pipeline."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.studies import experiments, study
from pipeline.studies.definition import load, settings

ROOT = Path(__file__).parent.parent.parent
GIT = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@x.io", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@x.io"}
TINY = """
name: tiny
base:
  synthetic.scenes: 20
  synthetic.crops: 24
  synthetic.width: 256
  synthetic.height: 192
  augment.detector_crops: 16
  augment.detector_val_crops: 8
  augment.detector_size: 96
  augment.reader_crops: 32
  augment.reader_rendered: 32
  augment.reader_val_crops: 16
  train_detector.epochs: 0
  train_student.epochs: 0
  train_refiner.epochs: 0
  train_reader.epochs: 0
  export.calibration_images: 4
  export.max_int8_text_change: 1.0
  evaluate.bootstrap: 50
  evaluate.tesseract: false
factors:
  decoder:
    slots: {train_reader.decoder: slots}
"""


class Dvc:
    """Experiments that take no time: what was run, and what each is to come to."""

    def __init__(self, fail=(), lose=()):
        self.ran, self.removed, self.done, self.fail, self.lose = [], [], {}, set(fail), set(lose)

    def run(self, project, name, changes, lock):
        self.ran.append(name)
        if any(word in name for word in self.fail):
            return False
        if any(word in name for word in self.lose):
            raise KeyboardInterrupt
        exact = 0.5 + len(self.done) / 10
        data = {"test_set": "t", "photos": 1, "plates": 1, "crops": 0}
        self.done[name] = {"evaluation": {"data": data, "end_to_end": {"exact": exact, "interval": {"exact": {}}}}}
        self.done[name]["registration"] = {"run": changes["register.model"]}
        return True

    def finished(self, project, prefix):
        return {
            name: {"metrics": {f"metrics/{stage}.json": {"data": one} for stage, one in documents.items()}}
            for name, documents in self.done.items()
            if documents
        }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with our params.yaml and a study of two factors, the current folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "study.yaml").write_text(
        "name: trial\nfactors:\n"
        "  head: {ssd: {train_detector.head: ssd}}\n  decoder: {slots: {train_reader.decoder: slots}}\n"
    )
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "-qm", "first"], cwd=tmp_path, check=True, env=os.environ | GIT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faked(monkeypatch, dvc):
    for name in ("run", "finished"):
        monkeypatch.setattr(experiments, name, getattr(dvc, name))
    monkeypatch.setattr(experiments, "refs", lambda project, prefix: dict.fromkeys(dvc.done, "head"))
    monkeypatch.setattr(experiments, "remove", lambda project, name: dvc.removed.append(name))
    return dvc


def main(**options):
    study.main(**{"study": Path("study.yaml"), "out": Path("study"), "grid": False, "plan": False, **options})


def page():
    return Path("study/index.md").read_text(encoding="utf-8")


def test_all_settings_run_once_and_beside_the_registered_model(project, monkeypatch, capsys):
    dvc = faked(monkeypatch, Dvc())
    main()
    assert [name.rsplit("-", 1)[0] for name in dvc.ran] == ["trial", "trial-head-ssd", "trial-decoder-slots"]
    assert "3 of 3 settings run" in page()
    assert "run `alpr-study`" in page()
    main()
    assert len(dvc.ran) == 3, "what is finished is not run again"
    assert "3 of them finished" in capsys.readouterr().out


def test_stopped_it_goes_on_with_what_is_missing(project, monkeypatch):
    dvc = faked(monkeypatch, Dvc(lose=["ssd"]))
    with pytest.raises(KeyboardInterrupt):
        main()
    assert "1 of 3 settings run" in page()
    dvc.lose = set()
    main()
    assert [name.rsplit("-", 1)[0] for name in dvc.ran] == [
        *("trial", "trial-head-ssd"),
        *("trial-head-ssd", "trial-decoder-slots"),
    ]


def test_one_that_fails_stops_no_other_and_is_named(project, monkeypatch):
    dvc = faked(monkeypatch, Dvc(fail=["ssd"]))
    with pytest.raises(SystemExit, match="without figures: head: ssd"):
        main()
    assert len(dvc.ran) == 3
    assert "2 of 3 settings run" in page()


def test_changed_params_are_another_study(project, monkeypatch):
    dvc = faked(monkeypatch, Dvc())
    main()
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"seed": 8}))
    main()
    assert len(set(dvc.ran)) == 6


def test_one_whose_figures_are_gone_is_removed_and_run_again(project, monkeypatch):
    dvc = faked(monkeypatch, Dvc())
    main()
    lost = dvc.ran[1]
    dvc.done[lost] = {}
    main()
    assert dvc.removed == [lost]
    assert dvc.ran[3:] == [lost]


def test_a_plan_runs_nothing(project, monkeypatch, capsys):
    dvc = faked(monkeypatch, Dvc())
    main(plan=True, grid=True)
    assert dvc.ran == []
    assert 'train_detector.head="ssd" train_reader.decoder="slots"' in capsys.readouterr().out
    assert not Path("study").exists()


def test_a_wrong_study_is_a_sentence_and_exit_code_2(project, capsys):
    Path("study.yaml").write_text("name: trial\nfactors: {a: {b: {train_detector.had: 1}}}\n")
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "study: study.yaml: a: b: params.yaml has no train_detector.had" in capsys.readouterr().err


@pytest.fixture
def clone(tmp_path):
    """The project as it lies here, committed or not, in a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    folder = tmp_path / "project"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "study.yaml").write_text(TINY)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "here"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=os.environ | GIT)
    return folder


@pytest.mark.integration
def test_two_settings_for_real_killed_in_the_middle(clone, monkeypatch):
    """Both end in the project's own MLflow store, and the model's name stays free."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = [sys.executable, "-m", "pipeline.studies.study"]
    wanted = settings(load(clone / "study.yaml"))
    names = [one.experiment("tiny", experiments.digest(clone)) for one in wanted]

    first = subprocess.Popen(command, cwd=clone, start_new_session=True)
    deadline = time.monotonic() + 1500
    while names[0] not in experiments.refs(clone, "tiny"):
        assert first.poll() is None, "it ended before its first setting did"
        assert time.monotonic() < deadline
        time.sleep(0.5)
    time.sleep(8)  # the second one has begun
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert list(experiments.finished(clone, "tiny")) == names[:1]
    before = experiments.git(clone, "rev-parse", f"refs/exps/{head(clone)}/{names[0]}")

    again = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True, timeout=1500)
    assert "2 settings, 1 of them finished" in again.stdout
    assert experiments.git(clone, "rev-parse", f"refs/exps/{head(clone)}/{names[0]}") == before
    assert sorted(experiments.finished(clone, "tiny")) == sorted(names)
    assert not list((clone / ".dvc/tmp/exps/standalone").glob("tmp*")), "no copy is left behind"
    text = (clone / "study/index.md").read_text()
    assert "2 of 2 settings run" in text
    assert (clone / "study/results.svg").stat().st_size > 1000
    assert subprocess.run(["git", "diff", "--quiet"], cwd=clone).returncode == 0, "the workspace is as it was"

    from mlflow import MlflowClient

    here = f"sqlite:///{clone / 'mlflow.db'}"  # said outright: in this process an earlier test has named a server
    client = MlflowClient(here, registry_uri=here)
    assert [model.name for model in client.search_registered_models()] == ["alpr-study"]
    runs = [one.run or "" for one in results(clone, names)]
    assert all(run in text for run in runs)
    assert {client.get_run(run).data.params["train_reader.decoder"] for run in runs} == {"ctc", "slots"}
    assert (clone / "mlartifacts").is_dir()


def head(project):
    commit = experiments.git(project, "rev-parse", "HEAD").strip()
    return f"{commit[:2]}/{commit[2:]}"


def results(project, names):
    from pipeline.studies.results import result

    known = experiments.finished(project, "tiny")
    wanted = settings(load(project / "study.yaml"))
    return [result(one, name, experiments.metrics(known[name])) for one, name in zip(wanted, names, strict=True)]
