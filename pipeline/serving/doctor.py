"""What `alpr doctor` looks at: the programs, the shipped weights, and what DVC has stored in this folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundle import Bundle
from pipeline.images import sha256
from pipeline.sessions import runtime
from pipeline.tracking import store

ANSWER = 3.0  # seconds that a server has to answer
EXPORTED = Path("models", "export")
OBJECTS = Path("files", "md5")  # in DVC's cache


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and what was seen or what to do."""

    subject: str
    good: bool
    says: str


def examine(project: Path, weights: Path) -> list[Finding]:
    """Everything; the findings on DVC only where `project` has a dvc.yaml, those on servers also where one is named."""
    is_project = (project / "dvc.yaml").exists()
    findings = [check_python(), check_processor(), check_runtime(), check_tesseract()]
    findings += [check_weights(weights, "weights", "restore the files, or install the package again")]
    if is_project:
        if (exported := project / EXPORTED).exists():
            again = "run `dvc repro export`, or take them from DVC's cache with `dvc checkout --force`"
            findings += [check_weights(exported, "exported models", again)]
        findings += [check_lock(project / "dvc.lock"), check_cache(cache_of(project), project / "dvc.lock")]
    if is_project or os.environ.get("MLFLOW_TRACKING_URI"):
        findings += [check_mlflow()]
    if is_project or os.environ.get("LABEL_STUDIO_URL"):
        findings += [check_label_studio()]
    return findings


def check_python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", good, f"{platform.python_version()}" if good else "3.11 to 3.13 is needed; run make setup")


def check_processor() -> Finding:
    """Cores, and the instructions that ONNX Runtime is fast with; without AVX2 it works, slowly."""
    cores = os.cpu_count() or 1
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return Finding("processor", True, f"{platform.machine()}, {cores} cores")
    flags = set(next((line.partition(":")[2] for line in text.splitlines() if line.startswith("flags")), "").split())
    fast = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if name in flags]
    slow = platform.machine() == "x86_64" and "avx2" not in flags
    told = f"{platform.machine()}, {cores} cores{', ' if fast else ''}{', '.join(fast)}"
    what = f"{told}, without AVX2: the networks are several times slower; try another machine, or --fast"
    return Finding("processor", not slow, what if slow else told)


def check_runtime() -> Finding:
    """ONNX Runtime and its providers, of which the first is used."""
    try:
        onnxruntime = runtime()
    except ImportError as error:
        return Finding("ONNX Runtime", False, f"cannot be imported ({error}); run make setup")
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Finding("ONNX Runtime", True, f"{onnxruntime.__version__}; {providers}, of which CPU is used")


def check_mlflow() -> Finding:
    """Whether runs can be registered: the server answers, or the project's own database is whole or will be made."""
    uri = store.uri()
    shown = store.without_password(uri)
    if uri.startswith(("http://", "https://")):
        fault = unreachable(f"{uri.rstrip('/')}/health")
        what = f"{shown} does not answer ({fault}); start it, or set MLFLOW_TRACKING_URI to another one, or to none"
        return Finding("MLflow", not fault, what if fault else f"{shown} answers")
    if not uri.startswith("sqlite:///"):
        return Finding("MLflow", True, f"{shown}, which is not looked into")
    file = Path(uri.removeprefix("sqlite:///"))
    if not file.exists():
        return Finding("MLflow", True, f"{shown}, which the first run makes")
    fault = damaged_database(file)
    what = f"{file} is damaged ({fault}); put a copy in its place, or move it away: the next run begins a new one"
    return Finding("MLflow", not fault, what if fault else shown)


def damaged_database(path: Path) -> str:
    """What is wrong with an SQLite file; an empty text where nothing is."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            said = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else said.splitlines()[0]


def check_label_studio() -> Finding:
    """Whether a server is known, and answers; none is fine for those who label nothing."""
    from pipeline.labeling.connection import known_address

    address = known_address()
    if address is None and (asked := os.environ.get("LABEL_STUDIO_URL")):
        where = "set LABEL_STUDIO_API_KEY to the token on its page Account & Settings"
        return Finding("Label Studio", False, f"no token for {store.without_password(asked)}; {where}")
    if address is None:
        return Finding("Label Studio", True, "none yet; `make label-studio` starts one")
    fault = unreachable(f"{address}/health")
    address = store.without_password(address)
    what = f"{address} does not answer ({fault}); start it with `make label-studio`, or set LABEL_STUDIO_URL"
    return Finding("Label Studio", not fault, what if fault else f"{address} answers")


def unreachable(address: str) -> str:
    """Why an address does not answer within a few seconds; an empty text where it does."""
    import httpx

    try:
        answer = httpx.get(address, timeout=ANSWER)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return store.without_password(str(error)) or type(error).__name__
    return "" if answer.is_success else f"status {answer.status_code}"


def check_tesseract() -> Finding:
    """The baseline reader's program."""
    program = shutil.which("tesseract")
    if program is None:
        return Finding("tesseract", False, "not installed; run `sudo apt-get install tesseract-ocr`")
    try:
        version, languages = (_said(program, option) for option in ("--version", "--list-langs"))
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("tesseract", False, f"does not run ({error}); install tesseract-ocr again")
    if "eng" not in languages:
        return Finding("tesseract", False, "knows no English; run `sudo apt-get install tesseract-ocr-eng`")
    return Finding("tesseract", True, version[0])


def _said(program: str, option: str) -> list[str]:
    done = subprocess.run([program, option], capture_output=True, text=True, timeout=10, check=True)
    return (done.stdout or done.stderr).splitlines()


def check_weights(folder: Path, subject: str, restore: str) -> Finding:
    """Each file of a bundle against the SHA-256 written in it; `restore` says what to do where one is another."""
    try:
        sums = Bundle.load(folder).sha256
        wrong = [name for name, digest in sums.items() if sha256((folder / name).read_bytes()) != digest]
    except (ValueError, OSError) as error:
        return Finding(subject, False, f"{error}; {restore}")
    if wrong:
        return Finding(subject, False, f"{folder}: {', '.join(wrong)} not as bundle.json says; {restore}")
    return Finding(subject, True, f"{len(sums)} files, each with its SHA-256")


def check_lock(path: Path) -> Finding:
    """An empty or half-written dvc.lock makes `dvc repro` refuse; it does not heal itself."""
    if not path.exists():
        return Finding("dvc.lock", True, "none yet; `make run` writes it")
    try:
        lock: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        lock = None
    wrong = lock_fault(lock)
    if wrong:
        how = (
            "restore it with `git checkout dvc.lock` where it is committed; else delete it and run `dvc repro`, "
            "which takes what is unchanged from DVC's run cache"
        )
        return Finding("dvc.lock", False, f"damaged ({wrong}); {how}")
    return Finding("dvc.lock", True, f"whole, {len(lock['stages'])} stages")


def lock_fault(lock: Any) -> str:
    """What is wrong with a dvc.lock's content; an empty text where nothing is."""
    if not isinstance(lock, dict):
        return "empty or cut off"
    if not isinstance(lock.get("stages"), dict):
        return "it has no stages"
    for name, stage in lock["stages"].items():
        if not isinstance(stage, dict) or not isinstance(stage.get("cmd"), str):
            return f"stage {name} is cut off"
        deps, outs = (stage.get(kind) or [] for kind in ("deps", "outs"))
        if not isinstance(deps, list) or not isinstance(outs, list):
            return f"stage {name} is cut off"
        for entry in [*deps, *outs]:
            digest = entry.get("md5", "") if isinstance(entry, dict) else ""
            if len(str(digest).removesuffix(".dir")) != 32:
                return f"stage {name} has an entry without its hash"
    return ""


def cache_of(project: Path) -> Path:
    """Where DVC keeps its objects: below .dvc, or where `dvc cache dir` has put them."""
    settings = project / ".dvc"
    place = "cache"
    for name in ("config", "config.local"):
        read = ConfigParser(interpolation=None, strict=False)
        try:
            read.read(settings / name, encoding="utf-8")
        except (ConfigError, UnicodeDecodeError):  # DVC itself says so
            continue
        place = read.get("cache", "dir", fallback=place)
    return settings / place / OBJECTS


def check_cache(folder: Path, lock: Path) -> Finding:
    """Every object of DVC's cache against the MD5 that names it; `dvc checkout` itself does not look."""
    count, wrong = 0, []
    for path in objects(folder):
        count += 1
        if not _is_true(path):
            wrong.append(path)
    if not wrong:
        return Finding("DVC cache", True, f"{count} files, each true to its hash")
    stages = owners({digest_of(path) for path in wrong}, folder, lock)
    mend = "".join(f"; then `dvc repro --force --single-item {stage}`" for stage in stages)
    return Finding("DVC cache", False, f"damaged, so delete: {' '.join(map(str, wrong))}{mend}")


def _is_true(path: Path) -> bool:
    """Whether an object has the MD5 that names it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == digest_of(path).removesuffix(".dir")
    except OSError:
        return False


def owners(digests: set[str], folder: Path, lock: Path) -> list[str]:
    """The stages of dvc.lock whose outputs hold one of these objects."""
    try:
        read = yaml.safe_load(lock.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return []
    if lock_fault(read):
        return []
    return [
        name
        for name, stage in read["stages"].items()
        if any(digests & {out.get("md5"), *members(folder, str(out.get("md5")))} for out in stage.get("outs") or [])
    ]


def members(folder: Path, digest: str) -> list[str]:
    """The objects that a folder's listing names; none for a file."""
    if not digest.endswith(".dir"):
        return []
    try:
        listing = json.loads((folder / digest[:2] / digest[2:]).read_text(encoding="utf-8"))
        return [entry["md5"] for entry in listing]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def digest_of(path: Path) -> str:
    """ab/cdef -> abcdef, with .dir where it is a folder's listing."""
    return path.parent.name + path.name


def objects(folder: Path) -> Iterator[Path]:
    """The cache's files, ab/cdef... each; DVC's temporary files left out."""
    for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
        if len(path.name.removesuffix(".dir")) == 30:
            yield path
