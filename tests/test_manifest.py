"""Manifests keep every field, give the same bytes for the same samples, and survive crashes and full disks."""

import dataclasses
import errno
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import manifest
from pipeline.manifest import ManifestError
from pipeline.records import Box, Plate, Quad, Sample

FULL = Plate(
    box=Box(1.5, 2.25, 30, 12),
    quad=Quad((1.5, 3), (29, 2.25), (30, 11), (2, 12)),
    text="京A12345",
    region="CN",
    rows=2,
    legible=False,
    char_boxes=(Box(2, 3, 5, 9), Box(6, 3, 9.125, 9)),
    vehicle=Box(0, 0, 100, 80),
)


def sample(number: int = 0, **changes) -> Sample:
    plain = {
        "id": f"{number:064x}",
        "image": f"{number}.jpg",
        "width": 200,
        "height": 100,
        "plates": (Plate(Box(1, 2, 3, 4)),),
        "source": "synthetic",
        "group": f"{number:064x}",
    }
    return Sample(**{**plain, **changes})


SAMPLES = {
    "plain": sample(),
    "no plates": sample(plates=()),
    "every field of a plate": sample(plates=(FULL,)),
    "two plates, in their order": sample(plates=(FULL, Plate(Box(1, 2, 3, 4), text="AB12"))),
    "split and kind": sample(split="train", official_split="test", kind="crop"),
    "a box outside the picture": sample(plates=(Plate(Box(-5.5, -1, 1e6, 3)),)),
    "a name of any letters": sample(image="données/车 1.jpg"),
    "a name with a line separator": sample(image="a\u2028b\u0085c.jpg", group="x\ny"),
}


@pytest.mark.parametrize("one", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_sample_comes_back_as_it_went(tmp_path, one: Sample) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest.write_manifest(path, [one])
    assert manifest.read_manifest(path) == [one]
    assert manifest.sample_from_row(manifest.sample_to_row(one)) == one


def test_no_field_is_forgotten() -> None:
    """A field added to a noun, and not to the rows, would be lost without a word."""
    row = manifest.sample_to_row(sample(plates=(FULL,), split="val", official_split="val", kind="crop"))
    assert set(row) == {field.name for field in dataclasses.fields(Sample)}
    assert set(row["plates"][0]) == {field.name for field in dataclasses.fields(Plate)}


def test_what_is_unknown_is_left_out() -> None:
    row = manifest.sample_to_row(sample())
    assert set(row) == {"id", "image", "width", "height", "plates", "source", "group"}
    assert row["plates"] == [{"box": [1, 2, 3, 4]}]


texts = st.none() | st.text(min_size=1, max_size=8)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
sides = st.floats(0.5, 1e4)
some_boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), numbers, numbers, sides, sides)
points = st.tuples(numbers, numbers)
some_plates = st.builds(
    Plate,
    box=some_boxes,
    quad=st.none() | st.builds(Quad, points, points, points, points),
    text=texts,
    region=texts,
    rows=st.sampled_from([None, 1, 2]),
    legible=st.booleans(),
    char_boxes=st.lists(some_boxes, max_size=2).map(tuple),
    vehicle=st.none() | some_boxes,
)


@settings(max_examples=40)
@given(st.lists(some_plates, max_size=3), st.text(min_size=1, max_size=9))
def test_any_plate_comes_back_as_it_went(plates, name) -> None:
    one = sample(plates=tuple(plates), image=name)
    line = json.dumps(manifest.sample_to_row(one), ensure_ascii=False, allow_nan=False)
    assert manifest.sample_from_row(json.loads(line)) == one


def test_the_same_samples_give_the_same_bytes_in_any_order(tmp_path) -> None:
    samples = [sample(number) for number in range(20)]
    samples += [sample(3, image=f"copy {number}.jpg") for number in range(5)]  # byte-identical files share an id
    written = set()
    for seed in range(4):
        random.Random(seed).shuffle(samples)
        manifest.write_manifest(tmp_path / "manifest.jsonl", iter(samples))
        written.add((tmp_path / "manifest.jsonl").read_bytes())
    assert len(written) == 1
    read = manifest.read_manifest(tmp_path / "manifest.jsonl")
    assert [(one.id, one.image) for one in read] == sorted((one.id, one.image) for one in samples)


def row(**changes) -> str:
    return json.dumps({**manifest.sample_to_row(sample()), **changes})


GOOD = row()
BAD = {
    "not JSON": (f"{GOOD}\n{{oops", "line 2 is not JSON"),
    "cut off": (f"{GOOD}\n{GOOD[:40]}", "line 2 is not JSON"),
    "a list": (f"{GOOD}\n{GOOD}\n[1, 2]", "line 3 is not an object"),
    "a number": ("7", "line 1 is not an object"),
    "a field missing": (f"{GOOD}\n" + '{"id": "x", "plates": []}', "row 2: .*missing"),
    "no plates": ("{}", "row 1: 'plates' is missing"),
    "an unknown field": (row(colour="red"), "row 1: .*colour"),
    "a box without area": (f"{GOOD}\n" + row(plates=[{"box": [1, 1, 1, 4]}]), "row 2: box has zero width"),
    "a box of three numbers": (row(plates=[{"box": [1, 1, 4]}]), "row 1: "),
    "a box of words": (row(plates=[{"box": ["a", "b", "c", "d"]}]), "row 1: "),
    "a box that is not finite": (row(plates=[{"box": [float("nan"), 1, 2, 4]}]), "row 1: box is not finite"),
    "no box": (row(plates=[{"text": "AB12"}]), "row 1: 'box' is missing"),
    "a quad of three corners": (row(plates=[{"box": [1, 1, 4, 4], "quad": [[1, 1], [4, 1], [4, 4]]}]), "row 1: "),
    "plates that are numbers": (row(plates=[5]), "row 1: its plates are not a list of objects"),
    "plates that are a text": (row(plates="none"), "row 1: its plates are not a list"),
    "plates that are nothing": (row(plates=None), "row 1: its plates are not a list"),
    "a wrong id": (row(id="abc"), "row 1: sample id is not a SHA-256"),
    "a size in words": (row(width="200"), "row 1: "),
    "a split that is none": (row(split="dev"), "row 1: .*'dev' is not a split"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_row_is_named_by_its_number(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl: {message}"):
        manifest.read_manifest(path)


def test_blank_lines_are_no_rows(tmp_path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(f"\n{GOOD}\n\n   \n", encoding="utf-8")
    assert len(manifest.read_manifest(path)) == 1
    path.write_text("", encoding="utf-8")
    assert manifest.read_manifest(path) == []


def test_what_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(ManifestError, match=r"missing\.jsonl: No such file"):
        manifest.read_manifest(tmp_path / "missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(ManifestError, match=r"latin\.jsonl is not UTF-8"):
        manifest.read_manifest(tmp_path / "latin.jsonl")


def test_what_json_cannot_say_is_not_written(tmp_path) -> None:
    path = tmp_path / "metrics.json"
    manifest.write_json(path, {"b": 1, "a": "京"})
    before = path.read_text(encoding="utf-8")
    assert before == '{\n  "a": "京",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        manifest.write_json(path, {"loss": float("nan")})
    assert path.read_text(encoding="utf-8") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


class Killed(BaseException):
    """As KeyboardInterrupt: no `except Exception` sees it."""


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), Killed()], ids=lambda e: type(e).__name__)
def test_a_crash_leaves_the_old_file_and_nothing_else(tmp_path, error: BaseException) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest.write_manifest(path, [sample(1)])
    before = path.read_bytes()

    def samples():
        yield {"id": 1}
        raise error

    with pytest.raises(type(error)):
        manifest.write_jsonl(path, samples())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.jsonl"]


class FullDisk:
    """A file on a disk that takes a few bytes more; where `buffered`, the flush is the first to hear of it."""

    def __init__(self, file, room: int, buffered: bool) -> None:
        self._file, self._room, self._buffered = file, room, buffered

    def write(self, data) -> int:
        self._room -= len(data)
        if self._room < 0 and not self._buffered:
            self._fail()
        return self._file.write(data)

    def flush(self) -> None:
        if self._room < 0:
            self._fail()
        self._file.flush()

    def _fail(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self) -> int:
        return self._file.fileno()

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *exc) -> None:
        self._file.close()


@pytest.mark.parametrize("buffered", [False, True], ids=["at a write", "at the last flush"])
@pytest.mark.parametrize("existed", [True, False], ids=["over an old file", "anew"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, buffered: bool, existed: bool) -> None:
    path = tmp_path / "manifest.jsonl"
    if existed:
        manifest.write_manifest(path, [sample(1)])
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    opened = manifest.os.fdopen
    monkeypatch.setattr(manifest.os, "fdopen", lambda *a, **k: FullDisk(opened(*a, **k), 300, buffered))
    with pytest.raises(OSError, match="No space left"):
        manifest.write_manifest(path, [sample(number) for number in range(9)])
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_a_failed_rename_leaves_what_was_there(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def refuse(self, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(path), "replace", refuse)
    with pytest.raises(PermissionError), manifest.replacing(path, "wb") as file:
        file.write(b"new")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"a.bin": b"old"}


def test_replacing_makes_folders_and_readable_files(tmp_path) -> None:
    path = tmp_path / "deep" / "down" / "a.txt"
    with manifest.replacing(path) as file:
        file.write("ä\n")
        assert not path.exists()
    assert path.read_bytes() == "ä\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644


def filled(folder, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file.txt").write_text(text)


def half_fill(folder) -> None:
    filled(folder, "half")
    raise Killed


def contents(root) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


# what stands before (folder: text of its file), and what an interrupted run has left
FOLDERS = {
    "nothing": {},
    "an old folder": {"out": "old"},
    "a half-written one beside it": {"out": "old", ".out.new": "half"},
    "killed between the two renames": {".out.old": "old", ".out.new": "whole"},
    "killed before the sweep": {"out": "newer", ".out.old": "older"},
}


@pytest.mark.parametrize("before", FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_is_replaced_whole(tmp_path, before: dict[str, str]) -> None:
    for name, text in before.items():
        filled(tmp_path / name, text)
    with manifest.replacing_folder(tmp_path / "out") as folder:
        assert list(folder.iterdir()) == []
        filled(folder / "sub", "new")
        assert (tmp_path / "out").exists() == bool(before)
    assert contents(tmp_path) == {"out/sub/file.txt": "new"}


KEPT = {
    "nothing": {},
    "an old folder": {"out/file.txt": "old"},
    "a half-written one beside it": {"out/file.txt": "old"},
    "killed between the two renames": {"out/file.txt": "old"},
    "killed before the sweep": {"out/file.txt": "newer"},
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_crash_leaves_the_old_folder_and_nothing_else(tmp_path, case: str) -> None:
    for name, text in FOLDERS[case].items():
        filled(tmp_path / name, text)
    with pytest.raises(Killed), manifest.replacing_folder(tmp_path / "out") as folder:
        half_fill(folder)
    assert contents(tmp_path) == KEPT[case]
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_failed_second_rename_puts_the_old_folder_back(tmp_path, monkeypatch) -> None:
    filled(tmp_path / "out", "old")
    renamed = type(tmp_path).rename

    def rename(self, target):
        if self.name == ".out.new":
            raise OSError(errno.EIO, "Input/output error")
        return renamed(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", rename)
    with pytest.raises(OSError, match="Input/output"), manifest.replacing_folder(tmp_path / "out") as folder:
        filled(folder, "new")
    assert contents(tmp_path) == {"out/file.txt": "old"}
