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


def test_each_item_has_its_own_median_and_a_turn_begins_untimed(monkeypatch) -> None:
    """Two rounds over three items in turns of two; a task's first item of a turn is slow once and then quick."""
    monkeypatch.setattr(timing, "TURN", 2)
    now, order = 0.0, []
    lasts = {"quick": {"x": 1.0, "y": 2.0, "z": 3.0}, "slow": {"x": 10.0, "y": 20.0, "z": 30.0}}

    def work(name: str, item: str) -> None:
        nonlocal now
        cold = not order or order[-1][0] != name
        order.append((name, item))
        now += lasts[name][item] + 100 * cold

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    monkeypatch.setattr(timing.time, "process_time", lambda: now / 2)
    tasks = {name: lambda item, name=name: work(name, item) for name in lasts}
    taken = timing.of_each(tasks, ["x", "y", "z"], rounds=2)
    assert {name: [one.clock for one in own] for name, own in taken.items()} == {
        name: list(own.values()) for name, own in lasts.items()
    }
    assert taken["slow"][2].cpu == 15.0
    turns = [(name, *items) for items in (("x", "x", "y"), ("z", "z")) for name in lasts]
    assert order == [(name, item) for _ in range(2) for name, *items in turns for item in items]
