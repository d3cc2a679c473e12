"""What an earlier run made and this one need not make again: rows of arrays, each under a key of all that it came from.

NAME.npy   (N, ...) one array or several, row for row beside
keys.npy   (N, 16) uint8, and
sums.npy   (N,) uint32, CRC-32 of what stands in a row, so that a damaged row is not handed on for ever
"""

from __future__ import annotations

import ast
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 16  # bytes of a key
PACKAGE = Path(__file__).parent

Array = NDArray[Any]
Row = tuple[int, Sequence[Array]]  # its place, and what stands there in each array
Make = Callable[[Sequence[int]], Iterable[Row]]


def key(*parts: object) -> bytes:
    """16 bytes that stand for the parts as `repr` writes them: texts, numbers, bytes, and records made of those."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=SIZE).digest()


def code(module: Path, *libraries: str) -> bytes:
    """The key of a module of ours, of all that it imports of ours and their data, and of the libraries' versions."""
    files = [(file.relative_to(PACKAGE).as_posix(), file.read_bytes()) for file in sources(module)]
    return key(files, [(library, import_module(library).__version__) for library in libraries])


def sources(module: Path) -> list[Path]:
    """A module of ours, all that it imports of ours, however far away, and the data that lie in their rooms."""
    reached, waiting = {module}, [module]
    while waiting:
        new = set(_imported(waiting.pop())) - reached
        reached |= new
        waiting += new
    rooms = {file.parent for file in reached} - {PACKAGE}
    data = {file for room in rooms for file in room.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    return sorted(reached | data)


def _imported(module: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(module.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in (*names, "")]
        for name in names:
            top, *inner = name.rstrip(".").split(".")
            if top == PACKAGE.name and (file := PACKAGE.joinpath(*inner).with_suffix(".py")).is_file():
                yield file


@dataclass(frozen=True, slots=True)
class Rows:
    """A new folder `out` of arrays, and that of an `earlier` run, which may be missing, to take rows over from."""

    out: Path
    earlier: Path
    code: bytes  # the key of what makes the rows

    def write(self, recipes: Sequence[object], types: Mapping[str, np.dtype[Any]], make: Make) -> int:
        """Writes a row for each recipe, all that the row depends on beside code; returns how many were made.

        `types` are the type and shape of each array's rows. `make` takes the places of the rows that the earlier
        run did not have, and gives each place with its row, in any order.
        """
        places, sums, old = _read(self.earlier, types)
        self.out.mkdir(parents=True)
        new = [_empty(self.out / f"{name}.npy", len(recipes), row) for name, row in types.items()]
        keys = [key(self.code, recipe) for recipe in recipes]
        new_sums = np.zeros(len(recipes), np.uint32)
        missing = []
        for index, name in enumerate(keys):
            row = [array[places[name]] for array in old] if name in places else []
            if row and _sum(row) == sums[places[name]]:
                _put(new, index, row)
                new_sums[index] = sums[places[name]]
            else:
                missing.append(index)
        for index, made in make(missing):
            _put(new, index, made)
            new_sums[index] = _sum([array[index] for array in new])
        np.save(self.out / "keys.npy", np.frombuffer(b"".join(keys), np.uint8).reshape(-1, SIZE))
        np.save(self.out / "sums.npy", new_sums)
        return len(missing)


def _empty(path: Path, count: int, row: np.dtype[Any]) -> Array:
    array: Array = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        path, mode="w+", dtype=row.base, shape=(count, *row.shape)
    )
    return array


def _put(arrays: Sequence[Array], index: int, row: Sequence[Array]) -> None:
    for array, value in zip(arrays, row, strict=True):
        array[index] = value


def _sum(row: Sequence[Array]) -> int:
    total = 0
    for value in row:
        total = zlib.crc32(value.tobytes(), total)
    return total


def _read(folder: Path, types: Mapping[str, np.dtype[Any]]) -> tuple[dict[bytes, int], Array, list[Array]]:
    """(the place of each key, sums, arrays) of a folder; no places where it is missing, damaged or of other shapes."""
    types = {"keys": np.dtype((np.uint8, (SIZE,))), "sums": np.dtype(np.uint32), **types}
    try:
        found = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in types]
        same = [np.dtype((array.dtype, array.shape[1:])) for array in found] == list(types.values())
        if same and len({len(array) for array in found}) == 1:
            keys, sums, *arrays = found
            return {row.tobytes(): place for place, row in enumerate(keys)}, sums, arrays
    except Exception:  # numpy raises whatever it stumbles over in a damaged file; all are to be made then
        pass
    return {}, np.zeros(0, np.uint32), []
