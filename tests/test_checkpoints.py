"""A checkpoint comes back as it was written, or not at all."""

import io
import json
import pickle

import numpy as np
import pytest

from pipeline import checkpoints
from pipeline.checkpoints import CheckpointError
from pipeline.images import sha256

ARRAYS = {
    "stem/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "stem/bias": np.array([0.1, -0.2], np.float16),
    "steps": np.array(7),
    "nothing": np.zeros((0, 3)),
}
SEEN = ["b" * 64, "a" * 64, "b" * 64]


@pytest.fixture
def folder(tmp_path):
    """A good checkpoint."""
    checkpoints.save(tmp_path / "detector", ARRAYS, {"kind": "detector", "width": 96}, SEEN)
    return tmp_path / "detector"


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def seal(folder, data: bytes) -> None:
    """Puts other bytes in, and a card that vouches for them, as whoever forges a checkpoint would."""
    (folder / "weights.npz").write_bytes(data)
    (folder / "card.json").write_text(json.dumps({"kind": "detector", "sha256": sha256(data)}))


def test_it_comes_back_as_it_was_written(folder) -> None:
    arrays, card = checkpoints.load(folder)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert (card["kind"], card["width"]) == ("detector", 96)
    assert card == checkpoints.read_card(folder)
    assert checkpoints.read_seen(folder) == {"a" * 64, "b" * 64}
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "seen.txt", "weights.npz"]


def test_the_same_arrays_give_the_same_bytes(folder, tmp_path) -> None:
    checkpoints.save(tmp_path / "again", ARRAYS, {"width": 96, "kind": "detector"}, reversed(SEEN))
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_nothing_seen_is_known_as_nothing(tmp_path) -> None:
    checkpoints.save(tmp_path, ARRAYS, {"kind": "trunk"}, [])
    assert checkpoints.read_seen(tmp_path) == frozenset()


def flip(folder) -> None:
    data = bytearray((folder / "weights.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "weights.npz").write_bytes(data)


DAMAGED = {
    "a flipped byte": (flip, "not the file that its card.json describes"),
    "weights of another run": (lambda f: (f / "weights.npz").write_bytes(npz(a=np.ones(2))), "not the file"),
    "cut off": (lambda f: (f / "weights.npz").write_bytes((f / "weights.npz").read_bytes()[:99]), "not the file"),
    "no weights": (lambda f: (f / "weights.npz").unlink(), "weights.npz is missing"),
    "no card": (lambda f: (f / "card.json").unlink(), r"no checkpoint here \(no card.json\)"),
    "a card without a digest": (lambda f: (f / "card.json").write_text("{}"), "not the file"),
    "an empty card": (lambda f: (f / "card.json").write_text(""), "card.json is damaged"),
    "a card that is a list": (lambda f: (f / "card.json").write_text("[]"), "it is not an object"),
    "a card of other bytes": (lambda f: (f / "card.json").write_bytes(b"\xff\xfe{}"), "card.json is damaged"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_named(folder, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.load(folder)
    assert str(folder) in str(caught.value)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


FORGED = {
    "a pickle in an archive": npz(weights=np.array([Trap()], dtype=object)),
    "a pickle": pickle.dumps(Trap()),
    "a pickled array": npy(np.array([Trap()], dtype=object)),
    "one array, not an archive": npy(np.ones(3)),
    "an archive cut off": npz(a=np.ones(300))[:200],
    "nothing": b"",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(600),
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_plain_arrays_is_not_read(folder, data: bytes) -> None:
    seal(folder, data)
    with pytest.raises(CheckpointError, match=r"weights\.npz is not an archive of plain arrays"):
        checkpoints.load(folder)


def test_without_its_list_of_samples_a_leak_cannot_be_excluded(folder) -> None:
    (folder / "seen.txt").unlink()
    with pytest.raises(CheckpointError, match=r"seen\.txt is missing"):
        checkpoints.read_seen(folder)


@pytest.mark.parametrize("name", ["weights.npz", "seen.txt", "card.json"])
def test_a_run_killed_while_it_saves_leaves_the_old_one_or_none(folder, monkeypatch, name: str) -> None:
    """What is loaded afterwards is the old checkpoint or an error, never a mixture."""
    replaced = type(folder).replace

    def replace(self, target):
        if target.name == name:
            raise KeyboardInterrupt
        return replaced(self, target)

    monkeypatch.setattr(type(folder), "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(folder, {"stem/bias": np.ones(2)}, {"kind": "detector"}, ["c" * 64])
    monkeypatch.undo()
    if name == "weights.npz":
        assert set(checkpoints.load(folder)[0]) == set(ARRAYS)
        assert checkpoints.read_seen(folder) == set(SEEN)
    else:
        with pytest.raises(CheckpointError, match="not the file"):
            checkpoints.load(folder)
