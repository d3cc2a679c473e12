"""Rows that are taken over from an earlier run, and those that are made again: whatever is new, changed or damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline import reuse
from pipeline.reuse import Row, Rows

ROOT = Path(__file__).parents[1]
TYPES = {"squares": np.dtype((np.float32, (2, 3))), "halves": np.dtype(np.int8)}


def run(out: Path, earlier: Path, recipes: Sequence[int], code: bytes = b"code") -> list[int]:
    """Writes rows that follow from the recipes; returns the recipes of those that were made, last first."""
    made: list[int] = []

    def make(missing: Sequence[int]) -> Iterator[Row]:
        for index in reversed(missing):
            made.append(recipes[index])
            yield index, (np.full((2, 3), recipes[index] ** 2, np.float32), np.int8(recipes[index] // 2))

    assert Rows(out, earlier, code).write(recipes, TYPES, make) == len(made)
    return made


def arrays(folder: Path) -> list[list[float]]:
    squares, halves = np.load(folder / "squares.npy"), np.load(folder / "halves.npy")
    assert (squares.dtype, squares.shape[1:], halves.dtype) == (np.float32, (2, 3), np.int8)
    return [[*map(float, square.ravel()), float(half)] for square, half in zip(squares, halves, strict=True)]


def expected(recipes: Sequence[int]) -> list[list[float]]:
    return [[float(recipe**2)] * 6 + [recipe // 2] for recipe in recipes]


CASES: dict[str, tuple[list[int], list[int]]] = {
    "the same": ([5, 6, 7], []),
    "another order": ([7, 5, 6], []),
    "fewer": ([6], []),
    "one new between": ([5, 9, 6, 7], [9]),
    "twice": ([6, 6, 5], []),
    "all new": ([1, 2], [2, 1]),
    "none": ([], []),
}


@pytest.mark.parametrize(("recipes", "wanted"), CASES.values(), ids=CASES.keys())
def test_only_what_is_new_is_made(tmp_path: Path, recipes: list[int], wanted: list[int]) -> None:
    assert run(tmp_path / "a", tmp_path / "none", [5, 6, 7]) == [7, 6, 5]
    assert run(tmp_path / "b", tmp_path / "a", recipes) == wanted
    run(tmp_path / "fresh", tmp_path / "none", recipes)
    assert arrays(tmp_path / "b") == expected(recipes)
    names = ["halves.npy", "keys.npy", "squares.npy", "sums.npy"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == names
    assert [(tmp_path / "b" / name).read_bytes() for name in names] == [
        (tmp_path / "fresh" / name).read_bytes() for name in names
    ]


def test_keys_are_16_bytes_a_row(tmp_path: Path) -> None:
    run(tmp_path / "a", tmp_path / "none", [5, 6])
    keys = np.load(tmp_path / "a" / "keys.npy")
    assert (keys.shape, keys.dtype) == ((2, 16), np.uint8)
    assert keys[1].tobytes() == reuse.key(b"code", 6)


def test_other_code_makes_everything_anew(tmp_path: Path) -> None:
    run(tmp_path / "a", tmp_path / "none", [5, 6])
    assert run(tmp_path / "b", tmp_path / "a", [5, 6], b"changed") == [6, 5]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_text("no array")


def of_another_shape(path: Path) -> None:
    np.save(path, np.zeros((3, 5)))


def with_a_row_less(path: Path) -> None:
    np.save(path, np.load(path)[:2])


@pytest.mark.parametrize("name", ["squares", "halves", "keys", "sums"])
@pytest.mark.parametrize("damage", [cut_short, emptied, foreign, of_another_shape, with_a_row_less, Path.unlink])
def test_a_damaged_earlier_run_is_made_anew(tmp_path: Path, damage, name: str) -> None:
    run(tmp_path / "a", tmp_path / "none", [5, 6, 7])
    damage(tmp_path / "a" / f"{name}.npy")
    assert run(tmp_path / "b", tmp_path / "a", [5, 6, 7]) == [7, 6, 5]
    assert arrays(tmp_path / "b") == expected([5, 6, 7])


def test_a_row_whose_bytes_changed_is_made_anew(tmp_path: Path) -> None:
    run(tmp_path / "a", tmp_path / "none", [5, 6, 7])
    squares = np.load(tmp_path / "a" / "squares.npy", mmap_mode="r+")
    squares[1, 0, 0] = 1
    squares.flush()
    assert run(tmp_path / "b", tmp_path / "a", [5, 6, 7]) == [6]
    assert arrays(tmp_path / "b") == expected([5, 6, 7])


def test_keys_tell_all_parts_apart() -> None:
    keys = {reuse.key(*parts) for parts in ((1, 2), (12,), ((1, 2),), (1, 3), ("1", "2"), (1.0, 2), ())}
    assert len(keys) == 7


@pytest.mark.parametrize("stage", ["augment", "curate"])
def test_a_module_s_sources_are_what_dvc_knows_as_its_deps(stage: str) -> None:
    """The key of code must not miss what dvc.yaml, checked elsewhere, lists: modules and their data."""
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    listed = [ROOT / dep for dep in deps if dep.startswith("pipeline/") and "/weights/" not in dep]
    wanted = {file for dep in listed for file in (dep.rglob("*") if dep.is_dir() else [dep]) if file.is_file()}
    found = set(reuse.sources(ROOT / "pipeline" / "stages" / f"{stage}.py"))
    assert wanted <= found
    assert {path for path in found if path.suffix == ".py"} == {path for path in wanted if path.suffix == ".py"}


EDITS = {
    "a module imported far away": ("b.py", "x = 2", True),
    "data beside one": ("room/words.txt", "other", True),
    "a module not imported": ("c.py", "x = 2", False),
}


@pytest.mark.parametrize(("file", "text", "changes"), EDITS.values(), ids=EDITS.keys())
def test_the_code_s_key_changes_with_what_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, changes: bool
) -> None:
    package = tmp_path / "pipeline"
    (package / "room").mkdir(parents=True)
    monkeypatch.setattr(reuse, "PACKAGE", package)
    (package / "room" / "a.py").write_text("def f():\n    from pipeline import b\n")
    (package / "room" / "words.txt").write_text("words")
    (package / "b.py").write_text("x = 1")
    (package / "c.py").write_text("x = 1")
    (package / "top.py").write_text("import numpy\nfrom pipeline.room.a import f\n")
    before = reuse.code(package / "top.py")
    (package / file).write_text(text)
    assert (reuse.code(package / "top.py") != before) is changes


def test_the_code_s_key_changes_with_a_library_s_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reuse.code(Path(reuse.__file__), "numpy")
    monkeypatch.setattr(np, "__version__", "0.0")
    assert reuse.code(Path(reuse.__file__), "numpy") != before
