"""Processes of their own: when the first line comes, when they end, how much memory they hold, and how they fail."""

import sys

import pytest

from pipeline.benchmarks import processes
from pipeline.benchmarks.processes import Start

LATER = "import time; print('a', flush=True); time.sleep(0.3); print('b')"
HOLDING = "kept = bytearray(1) * {megabytes}_000_000"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_the_first_line_comes_before_the_end() -> None:
    start = processes.started(python(LATER))
    assert start.first_line > 0
    assert start.end - start.first_line >= 0.29


def test_a_process_that_waits_computes_nothing_meanwhile() -> None:
    waits = processes.started(python("import time; time.sleep(0.5); print()"))
    works = processes.started(python("for _ in range(10_000_000): pass\nprint()"))
    assert waits.end >= 0.5
    assert waits.cpu < 0.25
    assert works.cpu > 0.05


def test_memory_is_the_commands_own_and_not_that_of_the_one_who_asks() -> None:
    mine = bytearray(1) * 300_000_000
    small = processes.peak_megabytes(python(HOLDING.format(megabytes=1)))
    large = processes.peak_megabytes(python(HOLDING.format(megabytes=100)))
    assert len(mine) > 0
    assert small < 100
    assert 90 < large - small < 110


@pytest.mark.parametrize("run", [processes.started, processes.peak_megabytes], ids=["start", "memory"])
def test_a_command_that_fails_says_so_in_its_own_words(run) -> None:
    with pytest.raises(ValueError, match=r"ended with 3: no such photo"):
        run(python("import sys; print('first', file=sys.stderr); print('no such photo', file=sys.stderr); sys.exit(3)"))


def test_a_command_without_a_line_is_no_start() -> None:
    with pytest.raises(ValueError, match="ended with 0: no output"):
        processes.started(python("pass"))


def test_commands_take_turns_and_the_first_round_does_not_count(monkeypatch) -> None:
    order: list[str] = []
    lasts = {"a": iter([9.0, 1.0, 7.0, 1.0]), "b": iter([9.0, 2.0, 2.0, 8.0])}

    def started(command) -> Start:
        order.append(command[0])
        seconds = next(lasts[command[0]])
        return Start(seconds, 2 * seconds, seconds / 2)

    monkeypatch.setattr(processes, "started", started)
    medians = {"a": Start(1.0, 2.0, 0.5), "b": Start(2.0, 4.0, 1.0)}
    assert processes.starts({"a": ["a"], "b": ["b"]}, rounds=3) == medians
    assert order == ["a", "b"] * 4
