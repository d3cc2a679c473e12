"""Where time goes: each part is seen, networks are told apart by who runs them, and nothing is counted twice."""

import time
from functools import partial
from types import CodeType, SimpleNamespace

import numpy as np
import pytest

from pipeline.benchmarks import parts
from pipeline.detectors import detector, refining
from pipeline.images import encode_png
from pipeline.recognizer import Recognizer
from pipeline.serving import inputs, rows
from pipeline.serving.inputs import Named
from pipeline.sessions import Session


def photo() -> np.ndarray:
    """A white place as large as the plate that the tiny detector sees there."""
    image = np.zeros((480, 512, 3), np.uint8)
    image[200:232, 200:264] = 255
    return image


def work(recognizer: Recognizer, path) -> None:
    photo = inputs.load(Named(str(path), path)).photo
    image = photo.pixels
    rows.of_recognitions("", photo, recognizer.recognize([image])[0])


def test_every_part_is_named_once_and_in_order() -> None:
    assert {*parts.FUNCTIONS, *parts.NETWORKS, parts.REST} == set(parts.PARTS)
    assert len(parts.PARTS) == len(set(parts.PARTS))


def test_all_parts_of_a_photo_are_seen_and_add_up(tmp_path, tiny_bundle) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(photo()))
    recognizer = Recognizer.load(tiny_bundle, threads=1)
    assert recognizer.recognize([photo()])[0], "the tiny detector finds the plate"
    start = time.thread_time()
    seconds = parts.profiled(partial(work, recognizer, path))
    whole = time.thread_time() - start
    assert tuple(seconds) == parts.PARTS
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) <= whole


def entry(code: CodeType, total: float, *called: tuple[CodeType, float]) -> SimpleNamespace:
    """One of the profiler's: a function, its seconds, and those of what it called."""
    calls = [SimpleNamespace(code=own, totaltime=seconds) for own, seconds in called]
    return SimpleNamespace(code=code, totaltime=total, calls=calls or None)


def code_of(file: str | None) -> CodeType:
    return compile("pass", file or "", "exec")


def test_a_network_is_its_callers() -> None:
    run = Session.run.__code__
    entries = [
        entry(code_of(detector.__file__), 9.0, (run, 0.4), (code_of("other.py"), 8.0)),
        entry(code_of(refining.__file__), 9.0, (run, 0.2)),
        entry(code_of("elsewhere.py"), 9.0, (run, 0.1)),
        entry(refining.look.__code__, 0.05),
        entry(run, 0.7),
    ]
    assert list(parts._spent(entries)) == [
        ("network: detector", 0.4),
        ("network: refiner", 0.2),
        (parts.REST, 0.1),
        ("looks for the refiner", 0.05),
    ]


def test_waiting_is_no_part(monkeypatch) -> None:
    monkeypatch.setitem(parts._NETWORK_OF, __file__, "network: reader")
    slow = SimpleNamespace(run=lambda names, batch: time.sleep(0.3) or [])
    network = SimpleNamespace(_session=slow, _outputs=[], _input="")
    seconds = parts.profiled(lambda: Session.run(network, np.zeros(1)))
    assert 0 < seconds["network: reader"] < 0.1


def test_the_share_of_networks_is_theirs_of_the_whole() -> None:
    seconds = dict.fromkeys(parts.PARTS, 0.0) | {"network: detector": 3.0, "network: reader": 1.0, "row": 2.0}
    assert parts.networks(seconds) == 4.0
    assert parts.share_of_networks({**seconds, parts.REST: 2.0}) == 0.5


def test_medians_over_rounds_and_means_over_items(monkeypatch) -> None:
    """One slow round of a photo counts for nothing; all photos count alike."""
    spent = {"a": iter([1.0, 50.0, 1.0]), "b": iter([3.0, 3.0, 70.0])}
    runs: list[str] = []

    def profiled(one) -> dict[str, float]:
        one()
        return dict.fromkeys(parts.PARTS, 0.0) | {"row": next(spent[runs[-1]])}

    monkeypatch.setattr(parts, "profiled", profiled)
    assert parts.mean_parts({"it": runs.append}, ["a", "b"], rounds=3)["it"]["row"] == 2.0
    assert runs == ["a"] * 4 + ["b"] * 4, "each photo is seen once before it counts"


def test_a_run_without_a_network_is_told() -> None:
    with pytest.raises(ValueError, match="saw no network run"):
        parts.profiled(lambda: None)
