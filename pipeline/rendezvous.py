"""Draws that stay as they are when something else joins, leaves or changes: rendezvous hashing.

Each member's name is hashed together with the draw, and the largest hash wins (Thaler and Ravishankar 1998). Every
member is equally likely, a new one takes only what it wins, and one that leaves gives up only what it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Member = TypeVar("Member")


class Pool(Generic[Member]):
    """Members to draw from with replacement, each under a name of its own."""

    def __init__(self, members: Sequence[Member], names: Iterable[str]) -> None:
        self.members = tuple(members)
        digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
        self._hashes = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
        if len(self._hashes) != len(self.members):
            raise ValueError(f"{len(self.members)} members have {len(self._hashes)} names")

    def __len__(self) -> int:
        return len(self.members)

    def draw(self, rng: np.random.Generator) -> Member:
        """One member; it takes exactly one number of `rng`, whatever the pool holds."""
        number = rng.integers(2**64, dtype=np.uint64)
        return self.members[int(np.argmax(_mixed(self._hashes ^ number)))]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): each bit of the input flips half of the output's."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
