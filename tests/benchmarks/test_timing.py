"""Time in one run: tasks take turns, and the median of each counts."""

from itertools import count

from pipeline.benchmarks import timing


def test_tasks_take_turns_and_the_median_counts(monkeypatch) -> None:
    clock = count()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    order: list[str] = []
    seconds = timing.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b"] * (timing.ROUNDS + 1)
    assert seconds == {"a": 1.0, "b": 1.0}


def test_a_slow_task_has_fewer_turns_and_a_slow_round_does_not_count(monkeypatch) -> None:
    now = 0.0
    lasts = {"quick": iter([9, 1, 1, 50, 1, 1]), "slow": iter([9, 20, 22])}

    def work(name: str) -> None:
        nonlocal now
        now += next(lasts[name])

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    tasks = {name: lambda name=name: work(name) for name in lasts}
    assert timing.in_turns(tasks, {"slow": 2}) == {"quick": 1.0, "slow": 21.0}


def test_nothing_takes_no_time() -> None:
    assert timing.in_turns({}) == {}
