"""What DVC is asked and what of its answers counts: names, copies, finished experiments, the lock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.studies import experiments
from pipeline.studies.definition import Study, StudyError

EVALUATION = {"metrics/evaluation.json": {"data": {"end_to_end": {"exact": 0.5}}}}
FAILED = {"metrics/evaluation.json": {"error": {"msg": "", "type": "FileNotFoundError"}}}
GIT = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@x.io", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@x.io"}


def shown(name, metrics, state=None):
    executor = {"state": state, "name": "tempdir"} if state else None
    return {"name": name, "executor": executor, "revs": [{"data": {"metrics": metrics} if metrics else None}]}


@pytest.mark.parametrize(
    ("experiment", "counts"),
    [
        (shown("trial-a", EVALUATION), True),
        (shown("trial-a", EVALUATION, "success"), True),
        (shown("trial-a", EVALUATION, "running"), False),  # killed: listed like this for ever
        (shown("trial-a", EVALUATION, "failed"), False),
        (shown("trial-a", FAILED), False),  # gone from the cache
        (shown("trial-a", None), False),
        (shown("other-a", EVALUATION), False),
        (shown(None, EVALUATION), False),
        ({"name": "trial-a", "executor": None, "revs": []}, False),
    ],
)
def test_only_what_is_done_and_has_figures_counts(experiment, counts):
    answer = [{"rev": "workspace", "experiments": None}, {"rev": "1234", "experiments": [experiment]}]
    found = experiments.parse(answer, "trial")
    assert list(found) == (["trial-a"] if counts else [])
    if counts:
        assert experiments.metrics(found["trial-a"]) == {"evaluation": {"end_to_end": {"exact": 0.5}}}


def test_one_that_was_killed_and_then_run_counts():
    both = [shown("trial-a", FAILED, "running"), shown("trial-a", EVALUATION)]
    assert list(experiments.parse([{"experiments": both}], "trial")) == ["trial-a"]
    assert list(experiments.parse([{"experiments": both[::-1]}], "trial")) == ["trial-a"]


@pytest.fixture
def project(tmp_path):
    """A git repository with a dvc.yaml of one stage."""
    folder = tmp_path / "project"
    (folder / "pipeline").mkdir(parents=True)
    (folder / "dvc.yaml").write_text("stages:\n  a:\n    cmd: x\n    deps: [pipeline/a.py, data/raw]\n")
    (folder / "params.yaml").write_text("seed: 7\n")
    (folder / "README.md").write_text("read me")
    (folder / "pipeline/a.py").write_text("1")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-qm", "first"], cwd=folder, check=True, env=os.environ | GIT)
    return folder


def test_the_digest_is_of_what_stages_read(project):
    first = experiments.digest(project)
    (project / "README.md").write_text("read me again")
    (project / "data/raw").mkdir(parents=True)
    (project / "data/raw/photo.jpg").write_bytes(b"1")
    assert experiments.digest(project) == first
    (project / "pipeline/a.py").write_text("2")
    assert experiments.digest(project) != first
    (project / "pipeline/a.py").write_text("1")
    (project / "params.yaml").write_text("seed: 8\n")
    assert experiments.digest(project) != first


def test_refs_tell_what_each_experiment_started_from(project):
    head = experiments.git(project, "rev-parse", "HEAD").strip()
    for ref in (f"{head[:2]}/{head[2:]}/trial-a", f"{head[:2]}/{head[2:]}/other", "exec/EXEC_HEAD"):
        experiments.git(project, "update-ref", f"refs/exps/{ref}", head)
    assert experiments.refs(project, "trial") == {"trial-a": head}
    assert experiments.finished(project, "nothing") == {}


def test_git_that_refuses_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match="git rev-parse: "):
        experiments.git(tmp_path, "rev-parse", "HEAD")


def test_copies_that_killed_experiments_left_are_cleared_and_no_others(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    standalone = project / ".dvc/tmp/exps/standalone"
    places = {
        "trial-1a2b3c4": standalone / "tmp1",
        "trial-head-ssd-1a2b3c4": standalone / "tmp2",
        "trials-1a2b3c4": standalone / "tmp3",
        "trial-mine": standalone / "tmp4",
        "trial-5a2b3c4": tmp_path / "elsewhere",
    }
    for number, (name, place) in enumerate(places.items()):
        place.mkdir(parents=True)
        info = standalone / f"run/{number}/{number}.run"
        info.parent.mkdir(parents=True)
        info.write_text(json.dumps({"name": name, "root_dir": str(place)}))
    (standalone / "run/9").mkdir()
    (standalone / "run/9/9.run").write_text('{"name": "tri')
    assert experiments.clear(Path(), "trial") == list(places)[:2]
    assert [place.exists() for place in places.values()] == [False, False, True, True, True]
    assert experiments.clear(Path(), "trial") == []


def test_two_studies_at_once_are_refused_and_an_orphan_keeps_the_lock(project):
    with experiments.only_one(project) as lock:
        with pytest.raises(StudyError, match="another study"), experiments.only_one(project):
            pass
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    with pytest.raises(StudyError, match="another study"), experiments.only_one(project):
        pass
    orphan.communicate(b"\n")
    with experiments.only_one(project):
        pass


@pytest.mark.parametrize(
    ("origin", "changes", "found"),
    [
        ("photos", {}, {"kaggle.origin": "{}/photos"}),
        ("kagglehub", {}, {}),
        ("{}/photos", {}, {}),
        (["photos", "gone"], {}, {"kaggle.origin": ["{}/photos", "gone"]}),
        ("kagglehub", {"kaggle.origin": "photos"}, {"kaggle.origin": "{}/photos"}),
        ("photos", {"sources": ["synthetic"]}, {}),  # not asked for
    ],
)
def test_origins_in_the_project_are_named_in_full(project, origin, changes, found):
    (project / "photos").mkdir()

    def here(value):
        return [here(one) for one in value] if isinstance(value, list) else value.replace("{}", str(project))

    params = {"sources": ["kaggle"], "kaggle": {"origin": here(origin)}, "synthetic": {"scenes": 1}}
    expected = {key: here(value) for key, value in found.items()}
    assert experiments.absolute_origins(project, changes, params) == expected


def test_a_study_registers_beside_the_model():
    study = Study(name="trial", factors={"a": {"b": {"seed": 1}}})
    assert experiments.own_registry(study, {"register": {"experiment": "alpr", "model": "plates"}}) == {
        "register.experiment": "alpr-study-trial",
        "register.model": "plates-study",
    }
