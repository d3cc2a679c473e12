"""The state of the code: which commit a run was made from, and what was not committed."""

from __future__ import annotations

import subprocess

from pipeline.tracking.store import without_password

WRITTEN_BY_DVC = ":(exclude)dvc.lock"  # changes while the pipeline runs


def tags() -> dict[str, str]:
    """MLflow's tags for the current folder's commit, branch and remote, whether all is committed; {} without git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    found = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "mlflow.source.git.repoURL": without_password(_git("config", "remote.origin.url")),
        "git.dirty": str(bool(_git("status", "--porcelain", "--", ".", WRITTEN_BY_DVC))).lower(),
    }
    return {name: value for name, value in found.items() if value}


def uncommitted() -> str:
    """The changes to files that git knows, as a patch on the commit."""
    return _git("diff", "HEAD", "--", ".", WRITTEN_BY_DVC)


def _git(*command: str) -> str:
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.rstrip("\n")
