"""A study's settings as DVC experiments, one after the other, each in a copy of the project that DVC makes.

Not through DVC's queue: what a killed worker was running is shown there as running for ever and never started again.
Run like this, an experiment either has its ref in git, and is finished, or has not, and is run; stages that it had
finished before it was killed come out of the run cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pipeline.studies.definition import Study, StudyError, overrides

TEMPORARY = Path(".dvc/tmp")
EVALUATION = "metrics/evaluation.json"
Row = dict[str, Any]


@contextmanager
def only_one(project: Path) -> Iterator[int]:
    """A lock's file descriptor. A child who is given it holds the lock too: an orphan at work keeps others out."""
    place = project / TEMPORARY / "study.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError("another study is running in this project, or an experiment of it that went on") from None
        yield file.fileno()


def digest(project: Path) -> str:
    """Of all that stages read and git keeps, as it lies here: code, params, labels."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = sorted({dep for stage in stages.values() for dep in stage.get("deps", []) if "${" not in dep})
    files = git(project, "ls-files", "-z", "--", "dvc.yaml", "params.yaml", *deps).split("\0")
    hashed = hashlib.sha256()
    for name in sorted({name for name in files if name and (project / name).is_file()}):
        hashed.update(f"{name}\0{hashlib.sha256((project / name).read_bytes()).hexdigest()}\0".encode())
    return hashed.hexdigest()


def own_registry(study: Study, params: Mapping[str, Any]) -> dict[str, str]:
    """Where a study registers: beside the project's model, so that no alias of that moves and its versions stay few."""
    register = params["register"]
    return {
        "register.experiment": f"{register['experiment']}-study-{study.name}",
        "register.model": f"{register['model']}-study",
    }


def absolute_origins(project: Path, changes: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Origins below the project that are named relative to it, in full: an experiment runs in a copy elsewhere."""
    found: dict[str, Any] = {}
    for source in changes.get("sources", params["sources"]):
        key = f"{source}.origin"
        origin = changes.get(key, params[source].get("origin"))
        if isinstance(origin, str) and (project / origin).exists():
            found[key] = str(project / origin)
        elif isinstance(origin, list):
            found[key] = [str(project / one) if (project / one).exists() else one for one in origin]
    return {key: value for key, value in found.items() if value != changes.get(key, _inside(params, key))}


def _inside(params: Mapping[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return params[section].get(name)


def run(project: Path, name: str, changes: Mapping[str, Any], lock: int) -> bool:
    """Runs one experiment; whether it ended well. What it says goes to the terminal."""
    words = [word for override in overrides(changes) for word in ("-S", override)]
    done = subprocess.run(
        _dvc("exp", "run", "--temp", "--name", name, *words), cwd=project, env=_env(), pass_fds=[lock]
    )
    return done.returncode == 0


def clear(project: Path, study: str) -> list[str]:
    """Deletes the copies that killed experiments of a study left; the names of those found. Only under the lock."""
    ours, found = re.compile(rf"{re.escape(study)}(-[a-z0-9-]+)?-[0-9a-f]{{7}}"), []
    for info in sorted((project.absolute() / TEMPORARY / "exps/standalone/run").glob("*/*.run")):
        try:
            told = json.loads(info.read_text(encoding="utf-8"))
        except ValueError:
            continue  # half written when it was killed; DVC itself does not look at it again
        copy, name = Path(told.get("root_dir", "")), str(told.get("name"))
        if ours.fullmatch(name) and copy.parent == info.parents[2] and copy.is_dir():
            shutil.rmtree(copy)
            found.append(name)
    return found


def remove(project: Path, name: str) -> None:
    """Takes an experiment out of DVC; its name can then be used again."""
    subprocess.run(_dvc("exp", "remove", "-q", name), cwd=project, env=_env(), check=True)


def refs(project: Path, prefix: str) -> dict[str, str]:
    """The commit that each experiment of this prefix started from, by name; in git it is refs/exps/12/34.../NAME."""
    lines = git(project, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    parts = [line.split("/") for line in lines]
    return {p[4]: p[2] + p[3] for p in parts if len(p) == 5 and p[4].startswith(prefix)}


def finished(project: Path, prefix: str) -> dict[str, Row]:
    """What `dvc exp show` says of each experiment of this prefix that has an evaluation, by name."""
    baselines = sorted(set(refs(project, prefix).values()))
    if not baselines:
        return {}
    words = [word for baseline in baselines for word in ("--rev", baseline)]
    done = subprocess.run(
        _dvc("exp", "show", "--json", *words), cwd=project, env=_env(), capture_output=True, text=True
    )
    if done.returncode:
        raise StudyError(f"dvc exp show: {done.stderr.strip()[-500:]}")
    return parse(json.loads(done.stdout), prefix)


def parse(shown: Iterable[Mapping[str, Any]], prefix: str) -> dict[str, Row]:
    """Experiments that are done and whose figures are at hand; one that was killed is listed too, as running."""
    found = {}
    for baseline in shown:
        for experiment in baseline.get("experiments") or []:
            name, revisions = experiment.get("name") or "", experiment.get("revs") or []
            state = (experiment.get("executor") or {}).get("state", "success")
            data = revisions[0].get("data") if revisions else None
            if name.startswith(prefix) and state == "success" and data and _figures(data, EVALUATION):
                found[name] = data
    return found


def _figures(data: Mapping[str, Any], file: str) -> Row:
    """The metrics of one file; empty where DVC could not read it."""
    found: Row = ((data.get("metrics") or {}).get(file) or {}).get("data") or {}
    return found


def metrics(data: Mapping[str, Any]) -> dict[str, Row]:
    """All metrics of an experiment by stage: {"evaluation": {...}, "registration": {...}}."""
    return {Path(file).stem: _figures(data, file) for file in data.get("metrics") or {}}


def git(project: Path, *words: str) -> str:
    """What git says; StudyError where it refuses."""
    done = subprocess.run(["git", *words], cwd=project, capture_output=True, text=True)
    if done.returncode:
        raise StudyError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _dvc(*words: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *words]


def _env() -> dict[str, str]:
    """Stages are started as `python`: it must be the one that runs this."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
