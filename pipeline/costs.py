"""Where it is kept what the epochs of a training cost: seconds, memory, CPU.

Not in its history.csv, nor beside it: the same training gives the same bytes, however long it took.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

COSTS = Path("checkpoints", "costs")


def of_history(history: Path) -> Path:
    """The file, from the project's folder on, with the costs of the epochs of a history.csv."""
    return COSTS / f"{hashlib.sha256(history.read_bytes()).hexdigest()[:32]}.csv"
