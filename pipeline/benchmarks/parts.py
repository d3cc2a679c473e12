"""Where a recogniser's time goes: Python's own profiler over chosen functions, without a change to any of them.

It counts what the thread itself computes: on a busy machine, the clock would count others too. Only calls of Python
functions are recorded, a thousand or so a photo, which adds two or three milliseconds to what is no network. The
networks are the calls of `Session.run`, told apart by the file that calls it. No chosen function calls another one.
"""

from __future__ import annotations

import cProfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from pipeline import images, recognizer
from pipeline.benchmarks import foreign, foreign_reader
from pipeline.benchmarks.foreign_reader import ForeignReader
from pipeline.benchmarks.timing import ROUNDS
from pipeline.detectors import detector, refining
from pipeline.detectors.heads import HEADS
from pipeline.readers import reader
from pipeline.readers.decoding import DECODE
from pipeline.serving import inputs, output, rows
from pipeline.sessions import Session

Item = TypeVar("Item")
Function = Callable[..., object]

FUNCTIONS: Mapping[str, tuple[Function, ...]] = {
    "file, decoding": (inputs.load,),
    "scaling": (detector.frame, foreign.centred),
    "boxes from outputs": (*(head.decode for head in HEADS.values()), foreign.boxes_of),
    "looks for the refiner": (refining.look,),
    "cutting plates out": (recognizer.cut, images.crop),
    "preparing crops": (reader.prepare, reader.look_again, ForeignReader.prepared),
    "texts from outputs": (*DECODE.values(), foreign_reader.probabilities, ForeignReader.reading),
    "row": (rows.of_recognitions, output.Json.write),
}
NETWORKS: Mapping[str, tuple[ModuleType, ...]] = {
    "network: detector": (detector, foreign),
    "network: refiner": (refining,),
    "network: reader": (reader, foreign_reader),
}
REST = "all else"
PARTS = (
    "file, decoding",
    "scaling",
    "network: detector",
    "boxes from outputs",
    "looks for the refiner",
    "network: refiner",
    "cutting plates out",
    "preparing crops",
    "network: reader",
    "texts from outputs",
    "row",
    REST,
)  # in the order of the work

_PART_OF: Mapping[CodeType, str] = {
    cast(FunctionType, function).__code__: part for part, own in FUNCTIONS.items() for function in own
}
_NETWORK_OF: Mapping[str | None, str] = {module.__file__: name for name, own in NETWORKS.items() for module in own}


def mean_parts(
    tasks: Mapping[str, Callable[[Item], object]], items: Sequence[Item], rounds: int = ROUNDS
) -> dict[str, dict[str, float]]:
    """Seconds of each part, for each task: medians over an item's rounds, then the mean over items."""
    seconds: dict[str, list[list[list[float]]]] = {name: [] for name in tasks}  # items, rounds, parts
    for item in items:
        for name, task in tasks.items():
            task(item)
            seconds[name].append([list(profiled(partial(task, item)).values()) for _ in range(rounds)])
    return {
        name: dict(zip(PARTS, np.median(values, axis=1).mean(axis=0).tolist(), strict=True))
        for name, values in seconds.items()
    }


def profiled(work: Callable[[], object]) -> dict[str, float]:
    """Seconds that this thread computes for each of PARTS in one run of `work`.

    ValueError where it runs no network that is known.
    """
    profile = cProfile.Profile(time.thread_time, builtins=False)
    start = time.thread_time()
    profile.enable()
    try:
        work()
    finally:
        profile.disable()
    whole = time.thread_time() - start
    seconds = dict.fromkeys(PARTS, 0.0)
    for part, spent in _spent(profile.getstats()):
        seconds[part] += spent
    if not networks(seconds):
        raise ValueError("the profile saw no network run: NETWORKS in parts.py names the files that run one")
    seconds[REST] = whole - sum(seconds.values())
    return seconds


def _spent(entries: Iterable[Any]) -> Iterator[tuple[str, float]]:
    """(part, seconds) of the profiler's entries: those of chosen functions, and those of networks by their callers."""
    for entry in entries:
        if entry.code in _PART_OF:
            yield _PART_OF[entry.code], entry.totaltime
        for called in entry.calls or ():
            if called.code is Session.run.__code__:
                yield _NETWORK_OF.get(entry.code.co_filename, REST), called.totaltime


def networks(seconds: Mapping[str, float]) -> float:
    """The time of all networks among those of all parts."""
    return sum(seconds[name] for name in NETWORKS)


def share_of_networks(seconds: Mapping[str, float]) -> float:
    return networks(seconds) / sum(seconds.values())
