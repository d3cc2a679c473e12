"""Time that may be compared: the tasks of one run take turns, and the median of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

ROUNDS = 5
THREADS = (1, 2)
TURN = 8  # items that a task is given before it is the next one's turn

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds by the clock, and those of them in which this process computed: without what others took of the core."""

    clock: float
    cpu: float


def in_turns(tasks: Mapping[Key, Callable[[], object]], rounds: Mapping[Key, int] | None = None) -> dict[Key, float]:
    """Median seconds of each task, all of them run one after the other, ROUNDS times, after one round to warm up.

    `rounds` names tasks that are so slow that fewer will do.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in tasks}
    wanted = {name: (rounds or {}).get(name, ROUNDS) for name in tasks}
    for task in tasks.values():
        task()
    for done in range(max(wanted.values(), default=0)):
        for name, task in tasks.items():
            if done < wanted[name]:
                seconds[name].append(taken(task).clock)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def of_each(
    tasks: Mapping[Key, Callable[[Item], object]], items: Sequence[Item], rounds: int = ROUNDS
) -> dict[Key, list[Taken]]:
    """Median seconds of each task on each item, over `rounds` in which the tasks take turns, TURN items at a time.

    A turn begins with one item that is not timed: what the task before left in the caches is not this one's.
    """
    seconds = {name: np.zeros((rounds, len(items), 2)) for name in tasks}
    for done in range(rounds):
        for start in range(0, len(items), TURN):
            for name, task in tasks.items():
                task(items[start])
                for index in range(start, min(start + TURN, len(items))):
                    one = taken(partial(task, items[index]))
                    seconds[name][done, index] = one.clock, one.cpu
    return {
        name: [Taken(clock, cpu) for clock, cpu in np.median(values, axis=0).tolist()]
        for name, values in seconds.items()
    }


def taken(task: Callable[[], object]) -> Taken:
    clock, cpu = time.perf_counter(), time.process_time()
    task()
    return Taken(time.perf_counter() - clock, time.process_time() - cpu)
