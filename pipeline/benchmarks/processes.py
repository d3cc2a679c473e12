"""What a command costs from its start on: seconds until its first line and its end, and the memory at its peak."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from pipeline.benchmarks.timing import ROUNDS

# A small process starts the command: what the kernel counts of a child is at least what its parent held at the start.
_BETWEEN = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of a process to its first line of output and to its end, and those that it computed."""

    first_line: float
    end: float
    cpu: float


def starts(commands: Mapping[str, Sequence[str]], rounds: int = ROUNDS) -> dict[str, Start]:
    """The median start of each command: they take turns, after one round that fills the file cache."""
    seen: dict[str, list[Start]] = {name: [] for name in commands}
    for done in range(rounds + 1):
        for name, command in commands.items():
            start = started(command)
            if done:
                seen[name].append(start)
    return {name: Start(*np.median([astuple(one) for one in own], axis=0).tolist()) for name, own in seen.items()}


def started(command: Sequence[str]) -> Start:
    """Runs a command to its end; ValueError with its own last words where it fails or prints nothing."""
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            first = time.perf_counter() - begin
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        end = time.perf_counter() - begin
        errors.seek(0)
        if process.returncode or not line:
            raise ValueError(_failure(command, process.returncode, errors.read()))
    return Start(first, end, usage.ru_utime + usage.ru_stime)


def peak_megabytes(command: Sequence[str]) -> float:
    """The most memory that a command holds in RAM at a time; its output is thrown away."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _BETWEEN, *command], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(_failure(command, done.returncode, done.stderr))
    return int(done.stdout) * _UNIT / 1e6


def _failure(command: Sequence[str], code: int, errors: str) -> str:
    shown = " ".join(command[:6])
    last = (errors.strip().splitlines() or ["no output"])[-1]
    return f"{shown} ... ended with {code}: {last}"
