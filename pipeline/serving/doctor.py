"""What `alpr doctor` looks at: the programs, the shipped weights, and what DVC has stored in this folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundle import Bundle
from pipeline.images import sha256
from pipeline.tracking import store

ANSWER = 3.0  # seconds that a server has to answer
CACHE = Path(".dvc", "cache", "files", "md5")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and what was seen or what to do."""

    subject: str
    good: bool
    says: str


def examine(project: Path, weights: Path) -> list[Finding]:
    """Everything; the findings on DVC only where `project` has a dvc.yaml."""
    findings = [check_python(), check_processor(), check_runtime(), check_tesseract(), check_weights(weights)]
    if (project / "dvc.yaml").exists():
        findings += [check_lock(project / "dvc.lock"), check_cache(project / CACHE, project / "dvc.lock")]
        findings += [check_mlflow(), check_label_studio()]
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
    return Finding("processor", not slow, f"{told}, without AVX2: several times slower" if slow else told)


def check_runtime() -> Finding:
    """ONNX Runtime and its providers, of which the first is used."""
    try:
        import onnxruntime
    except ImportError as error:
        return Finding("ONNX Runtime", False, f"cannot be imported ({error}); run make setup")
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Finding("ONNX Runtime", True, f"{onnxruntime.__version__}; {providers}, of which CPU is used")


def check_mlflow() -> Finding:
    """Whether runs can be registered: the server answers, or the project's own database is there or will be made."""
    uri = store.uri()
    shown = store.without_password(uri)
    if not uri.startswith(("http://", "https://")):
        return Finding("MLflow", True, f"{shown}{'' if store.STORE.exists() else ', which the first run makes'}")
    fault = unreachable(f"{uri.rstrip('/')}/health")
    return Finding("MLflow", not fault, f"{shown} does not answer ({fault})" if fault else f"{shown} answers")


def check_label_studio() -> Finding:
    """Whether a server is known, and answers; none is fine for those who label nothing."""
    from pipeline.labeling.connection import known_address

    address = known_address()
    if address is None:
        return Finding("Label Studio", True, "none yet; `make label-studio` starts one")
    fault = unreachable(f"{address}/health")
    what = f"{address} does not answer ({fault}); start it with `make label-studio`, or set LABEL_STUDIO_URL"
    return Finding("Label Studio", not fault, what if fault else f"{address} answers")


def unreachable(address: str) -> str:
    """Why an address does not answer within a few seconds; an empty text where it does."""
    import httpx

    try:
        answer = httpx.get(address, timeout=ANSWER)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    return "" if answer.is_success else f"status {answer.status_code}"


def check_tesseract() -> Finding:
    """The baseline reader's program."""
    program = shutil.which("tesseract")
    if program is None:
        return Finding("tesseract", False, "not installed; run `sudo apt-get install tesseract-ocr`")
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("tesseract", False, f"does not run ({error}); install tesseract-ocr again")
    return Finding("tesseract", True, (done.stdout or done.stderr).splitlines()[0])


def check_weights(folder: Path) -> Finding:
    """Each file of the bundle against the SHA-256 written in it."""
    restore = "restore the files, or install the package again"
    try:
        sums = Bundle.load(folder).sha256
        wrong = [name for name, digest in sums.items() if sha256((folder / name).read_bytes()) != digest]
    except (ValueError, OSError) as error:
        return Finding("weights", False, f"{error}; {restore}")
    if wrong:
        return Finding("weights", False, f"{folder}: {', '.join(wrong)} not as bundle.json says; {restore}")
    return Finding("weights", True, f"{len(sums)} files, each with its SHA-256")


def check_lock(path: Path) -> Finding:
    """An empty or half-written dvc.lock makes `dvc repro` refuse; it does not heal itself."""
    if not path.exists():
        return Finding("dvc.lock", True, "none yet; `make run` writes it")
    try:
        lock: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
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
        for entry in [*(stage.get("deps") or []), *(stage.get("outs") or [])]:
            digest = entry.get("md5", "") if isinstance(entry, dict) else ""
            if len(str(digest).removesuffix(".dir")) != 32:
                return f"stage {name} has an entry without its hash"
    return ""


def check_cache(folder: Path, lock: Path) -> Finding:
    """Every object of DVC's cache against the MD5 that names it; `dvc checkout` itself does not look."""
    count, wrong = 0, []
    for path in objects(folder):
        count += 1
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != digest_of(path).removesuffix(".dir"):
                wrong.append(path)
    if not wrong:
        return Finding("DVC cache", True, f"{count} files, each true to its hash")
    stages = owners({digest_of(path) for path in wrong}, folder, lock)
    mend = "".join(f"; then `dvc repro --force --single-item {stage}`" for stage in stages)
    return Finding("DVC cache", False, f"damaged, so delete: {' '.join(map(str, wrong))}{mend}")


def owners(digests: set[str], folder: Path, lock: Path) -> list[str]:
    """The stages of dvc.lock whose outputs hold one of these objects."""
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return []
    return [
        name
        for name, stage in stages.items()
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
