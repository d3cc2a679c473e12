"""Time that may be compared: the tasks of one run take turns, and the median of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

ROUNDS = 5
THREADS = (1, 2)


def in_turns(tasks: Mapping[str, Callable[[], object]], rounds: Mapping[str, int] | None = None) -> dict[str, float]:
    """Median seconds of each task, all of them run one after the other, ROUNDS times, after one round to warm up.

    `rounds` names tasks that are so slow that fewer will do.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    wanted = {name: (rounds or {}).get(name, ROUNDS) for name in tasks}
    for task in tasks.values():
        task()
    for done in range(max(wanted.values(), default=0)):
        for name, task in tasks.items():
            if done < wanted[name]:
                start = time.perf_counter()
                task()
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}
