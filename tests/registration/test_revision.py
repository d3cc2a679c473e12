"""Which state of the code a run was made from."""

import subprocess

import pytest

from pipeline.registration import revision


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one committed file, the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.py").write_text("one\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "a")
    git("remote", "add", "origin", "https://me:secret@example.org/alpr.git")
    return tmp_path


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_commit(repository):
    assert revision.tags() == {
        "mlflow.source.git.commit": git("rev-parse", "HEAD"),
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://example.org/alpr.git",
        "git.dirty": "false",
    }
    assert revision.uncommitted() == ""


def test_what_dvc_writes_while_it_runs_is_no_change(repository):
    (repository / "dvc.lock").write_text("x")
    assert revision.tags()["git.dirty"] == "false"


@pytest.mark.parametrize(("file", "patched"), [("a.py", True), ("new.py", False)], ids=["changed", "new"])
def test_what_is_not_committed_is_said(repository, file, patched):
    (repository / file).write_text("two\n")
    assert revision.tags()["git.dirty"] == "true"
    assert ("+two" in revision.uncommitted()) == patched


def test_without_a_repository_or_git_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (revision.tags(), revision.uncommitted()) == ({}, "")
    monkeypatch.setenv("PATH", "")
    assert (revision.tags(), revision.uncommitted()) == ({}, "")
