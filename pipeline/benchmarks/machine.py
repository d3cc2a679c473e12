"""The machine that a benchmark ran on, for those who read its times elsewhere."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.sessions import runtime

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """`load` is how many processes wanted to run in the minute before, on average; None where it cannot be told."""

    processor: str
    cores: int
    system: str
    python: str
    onnxruntime: str
    load: float | None

    @classmethod
    def here(cls) -> Machine:
        try:
            load = os.getloadavg()[0]
        except (OSError, AttributeError):
            load = None
        return cls(
            processor(),
            os.cpu_count() or 1,
            f"{platform.system()} {platform.machine()}",
            platform.python_version(),
            runtime().__version__,
            load,
        )

    def __str__(self) -> str:
        busy = "" if self.load is None else f"; load {self.load:.1f} before the run"
        return (
            f"{self.processor}, {self.cores} core{'s'[: self.cores > 1]}, {self.system}; Python {self.python}, ONNX "
            f"Runtime {self.onnxruntime} on the CPU{busy}"
        )


def processor() -> str:
    """Its model, as far as the system tells."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
