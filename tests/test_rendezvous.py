"""Draws from a pool: uniform, and nearly all the same when a member comes, goes or is replaced."""

import hashlib

import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline.rendezvous import Pool

DRAWS = 4000
NAMES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]


def drawn(names: list[str], draws: int = DRAWS) -> list[str]:
    pool = Pool(names, names)
    return [pool.draw(np.random.default_rng([7, index])) for index in range(draws)]


@pytest.mark.parametrize(
    "names",
    [NAMES, [f"{NAMES[0]} {place}" for place in range(40)], NAMES[:2], NAMES[:1]],
    ids=["digests", "plates of one picture", "two", "one"],
)
def test_every_member_is_equally_likely(names: list[str]) -> None:
    found = drawn(names)
    counts = [found.count(name) for name in names]
    assert sum(counts) == DRAWS
    assert len(names) == 1 or chisquare(counts).pvalue > 1e-3


CHANGES = {
    "one more": (NAMES[:39], NAMES),
    "one less": (NAMES, NAMES[:20] + NAMES[21:]),
    "another order": (NAMES, NAMES[::-1]),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES.keys())
def test_only_draws_of_what_came_or_went_change(before: list[str], after: list[str]) -> None:
    moved = [(old, new) for old, new in zip(drawn(before), drawn(after), strict=True) if old != new]
    changed = set(before) ^ set(after)
    assert all(old in changed or new in changed for old, new in moved)
    assert len(moved) == pytest.approx(DRAWS / 40 * len(changed), rel=0.4)


def test_two_draws_in_a_row_have_nothing_to_do_with_each_other() -> None:
    pool = Pool(NAMES[:2], NAMES[:2])
    rng = np.random.default_rng(0)
    found = [(pool.draw(rng), pool.draw(rng)) for _ in range(DRAWS)]
    assert chisquare([found.count((a, b)) for a in NAMES[:2] for b in NAMES[:2]]).pvalue > 1e-3


@pytest.mark.parametrize("names", [NAMES, NAMES[:1]], ids=["many", "one"])
def test_a_draw_takes_one_number_whatever_is_in_the_pool(names: list[str]) -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    Pool(names, names).draw(rng)
    other.integers(2**64, dtype=np.uint64)
    assert rng.random() == other.random()


def test_an_empty_pool_is_false_and_a_member_without_a_name_is_refused() -> None:
    assert not Pool([], [])
    with pytest.raises(ValueError, match="2 members have 1 names"):
        Pool([1, 2], ["one"])
