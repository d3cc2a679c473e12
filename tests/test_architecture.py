"""The house keeps its shape: imports go down, dvc.yaml lists all that a stage reads, inference stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FLOORS = (
    {"records", "alphabet", "params"},
    {"boxes", "calibration", "images", "manifest", "rendezvous", "reuse", "costs"},
    {"checkpoints", "sessions", "bundle", "fitting", "rendering"},
    {"sources", "curation", "labeling", "augmentation", "exporting", "metrics", "tracking", "detectors", "readers"},
    {"recognizer", "report"},
    {"examination"},
    {"registration"},
    {"serving"},
    {"benchmarks", "studies"},
    {"stages"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"tensorflow", "keras", "tf2onnx", "dvc", "mlflow", "great_expectations"}
LIGHT_FOR_HELP = {"numpy", "cv2", "onnxruntime", "pandas", "scipy", "PIL"}

MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*.py") if path.name != "__init__.py")
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = DVC["stages"]
SOURCES = ("synthetic", "kaggle", "ufpr", "voc", "crops", "negatives")


def room(module: Path) -> str:
    """pipeline/rendering/plates.py -> rendering, pipeline/boxes.py -> boxes."""
    return module.parts[1].removesuffix(".py")


def import_nodes(tree: ast.AST, anywhere: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a module: all of them, or only those that run when it is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif anywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from import_nodes(node, anywhere)


def imported_names(module: Path, anywhere: bool) -> Iterator[str]:
    """Dotted names that a module imports; `from a import b` gives a.b."""
    for node in import_nodes(ast.parse((ROOT / module).read_text(encoding="utf-8")), anywhere):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{module}: line {node.lineno}: write imports in full, not relative"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def as_module(name: str) -> Path | None:
    """pipeline.boxes.iou -> pipeline/boxes.py; None for what is not ours."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        path = Path(*parts[:length]).with_suffix(".py")
        if parts[0] == "pipeline" and (ROOT / path).is_file():
            return path
    return None


def stage_file(stage: str) -> Path:
    return Path("pipeline/stages", f"{stage}.py")


@cache
def own_imports(module: Path, anywhere: bool = True) -> frozenset[Path]:
    """The project's modules that a module imports itself."""
    found = {as_module(name) for name in imported_names(module, anywhere)}
    return frozenset(path for path in found if path is not None and path != module)


def closure(module: Path, anywhere: bool = True) -> set[Path]:
    """A module and every project module that it imports, however far away."""
    reached, waiting = {module}, [module]
    while waiting:
        new = own_imports(waiting.pop(), anywhere) - reached
        reached |= new
        waiting += new
    return reached


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down(module: Path) -> None:
    assert room(module) in FLOOR_OF, f"{module} stands on no floor: give it one in FLOORS"
    wrong = [
        f"{module} (floor {FLOOR_OF[room(module)]}) imports {other} (floor {FLOOR_OF[room(other)]})"
        for other in sorted(own_imports(module))
        if room(other) != room(module) and FLOOR_OF[room(other)] >= FLOOR_OF[room(module)]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_inside_a_folder_go_one_way(module: Path) -> None:
    back = sorted(str(other) for other in own_imports(module) if module in closure(other))
    assert not back, f"{module} and {back} import each other"


def test_stages_import_no_stage() -> None:
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        for other in own_imports(module)
        if room(module) == "stages" and room(other) == "stages"
    ]
    assert not wrong, "\n".join(wrong)


def test_every_init_is_empty() -> None:
    assert not [str(path) for path in (ROOT / "pipeline").rglob("__init__.py") if path.stat().st_size]


def test_stages_files_and_sections_are_the_same_names() -> None:
    files = {module.stem for module in MODULES if room(module) == "stages"}
    assert files == set(STAGES), "a stage in dvc.yaml for each file of pipeline/stages/, and the other way round"
    assert not set(STAGES) - set(PARAMS), "each stage has its section in params.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_file(stage: str) -> None:
    assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"pipeline.stages.{stage}"]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_modules_that_a_stage_imports(stage: str) -> None:
    needed = {str(path) for path in closure(stage_file(stage))}
    listed = {dep for dep in STAGES[stage].get("deps", []) if dep.endswith(".py")}
    add = "\n".join(f"      - {path}" for path in sorted(needed - listed))
    remove = "\n".join(f"      - {path}" for path in sorted(listed - needed))
    assert needed == listed, f"dvc.yaml, stage {stage}, deps: add\n{add or '      nothing'}\nremove\n{remove}"


def data_read(stage: str) -> set[str]:
    """The package's own data files that a module of a stage names: templates, sums; weights apart."""
    files = [path for path in (ROOT / "pipeline").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    texts = {module: (ROOT / module).read_text(encoding="utf-8") for module in closure(stage_file(stage))}
    return {
        str(path.relative_to(ROOT))
        for path in files
        if "weights" not in path.parts
        if any(
            f'"{path.name}"' in text or module == path.relative_to(ROOT).with_suffix(".py")
            for module, text in texts.items()
        )
    }


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_data_that_a_stage_reads(stage: str) -> None:
    deps = set(STAGES[stage].get("deps", []))
    missing = data_read(stage) - deps
    assert not missing, f"dvc.yaml, stage {stage}, deps: add {sorted(missing)}"
    starts_shipped = "checkpoints.SHIPPED" in (ROOT / stage_file(stage)).read_text(encoding="utf-8")
    assert starts_shipped == any(dep.startswith("pipeline/weights/") for dep in deps), f"{stage}: pipeline/weights/..."


def keys_read(module: Path) -> set[str]:
    """What a stage's file reads of params.yaml: "seed", "curate", "train_detector.weights"."""
    nodes = list(ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))))
    holders = {"params.load()"}
    for node in nodes:
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "params.load()":
            holders |= {ast.unparse(target) for target in node.targets}
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation).endswith("Params"):
            holders.add(node.arg)
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    chains = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and id(node) not in inner]
    keys = set()
    for chain in chains:
        for holder in holders:
            if chain.startswith(f"{holder}."):
                section, _, key = chain.removeprefix(f"{holder}.").partition(".")
                section = section.rstrip("_")
                inside = PARAMS.get(section)
                keys.add(f"{section}.{key}" if isinstance(inside, dict) and key in inside else section)
    return {key for key in keys if key.split(".")[0] in PARAMS}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_what_a_stage_reads(stage: str) -> None:
    """Its own section, where there is anything in it, and of others no more than it reads."""
    read = {key for key in keys_read(stage_file(stage)) if key.split(".")[0] != stage}
    listed = set(STAGES[stage].get("params", []))
    if stage == "pull":  # of the sources' sections, each pull reads its own
        read, listed = read - set(SOURCES), listed - {"${item.source}"}
    assert listed - {stage} == read, f"dvc.yaml, stage {stage}, params beside its own section: {sorted(read)}"
    assert (stage in listed) == bool(PARAMS[stage]), f"dvc.yaml, stage {stage}, params: its own section"


def test_deps_exist() -> None:
    """Outputs apart, what a stage depends on is in git; of data/labels/ only the files that annotators own."""
    outs = {
        path for stage in STAGES.values() for entry in outputs(stage) for path in [entry.split("${")[0].rstrip("/")]
    }
    missing = [
        f"{name}: {dep}"
        for name, stage in STAGES.items()
        for dep in stage.get("deps", [])
        if not (ROOT / dep).exists() and not any(dep == out or out.startswith(f"{dep}/") for out in outs)
        if not any(dep.startswith(f"{out}/") for out in outs)
    ]
    assert not missing, "\n".join(missing)


def outputs(stage: dict[str, Any]) -> list[str]:
    """Every path that a stage writes."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def heavy_imports(module: Path, anywhere: bool) -> list[str]:
    return [f"{module}: {name}" for name in imported_names(module, anywhere) if name.split(".")[0] in HEAVY]


@pytest.mark.parametrize("module", [path for path in MODULES if room(path) in ("recognizer", "serving")], ids=str)
def test_inference_imports_nothing_heavy(module: Path) -> None:
    """The recogniser and the ways to use it import none of it anywhere; what they stand on, not when imported."""
    found = heavy_imports(module, anywhere=True)
    found += [line for other in closure(module, anywhere=True) for line in heavy_imports(other, anywhere=False)]
    assert not found, "\n".join(found)


def test_help_loads_nothing_it_does_not_need() -> None:
    code = (
        "import sys\n"
        "from pipeline.serving.cli import app\n"
        "try:\n"
        "    app(['--help'])\n"
        "except SystemExit:\n"
        f"    print(sorted({HEAVY | LIGHT_FOR_HELP!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
