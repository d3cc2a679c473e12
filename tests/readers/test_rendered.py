"""Rendered plates as arrays, and the batches that mix them with earlier and with real ones."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.readers import rendered
from pipeline.readers.crops import LABEL, RealCrop, Said, region_codes
from pipeline.readers.rendered import Maker, Mixture, make, rendered_batch, workers
from pipeline.rendering.catalogue import Catalogue

SAID = Said("Z" * 12, 12)
REAL = RealCrop(np.zeros((60, 100, 3), np.uint8), np.array([[5, 5], [95, 5], [95, 55], [5, 55]], np.float32), SAID)


def mixture(**changes: object) -> Mixture:
    plain = {"fresh": 4, "repeated": 3, "real_count": 2, "real": [REAL], "fonts": None, "catalogue": None}
    return Mixture(**{**plain, **changes})


def test_rendered_plates_are_a_function_of_the_seed() -> None:
    first, labels = rendered_batch((1, 2), 6, nothing_share=0.3)
    again, same = rendered_batch((1, 2), 6, nothing_share=0.3)
    other, _ = rendered_batch((1, 3), 6, nothing_share=0.3)
    assert first.shape == (6, 64, 192)
    assert labels.shape == (6, LABEL)
    assert np.array_equal(first, again)
    assert np.array_equal(labels, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("share", "empty"), [(0.0, 0), (1.0, 5)], ids=["never", "always"])
def test_crops_of_nothing_have_neither_text_nor_region(share: float, empty: int) -> None:
    _, labels = rendered_batch((1,), 5, nothing_share=share)
    nothing = [*[-1] * 12, 0, -1]  # no text, none of it above, no region
    assert labels.tolist().count(nothing) == empty
    assert (labels[:, 0] >= 0).sum() == 5 - empty


def test_labels_say_how_many_characters_are_above() -> None:
    _, labels = rendered_batch((1,), 30, nothing_share=0.0)
    lengths = (labels[:, :12] >= 0).sum(axis=1)
    assert (labels[:, 12] >= 0).all()
    assert (labels[:, 12] <= lengths).all()
    assert 3 < (labels[:, 12] < lengths).sum() < 27, "some of two rows or with a stack, some of one row"


def test_only_the_catalogue_s_countries_are_rendered() -> None:
    codes = region_codes()
    few = Catalogue(Catalogue.shipped().of("SE"), invented=0.0)
    _, labels = rendered_batch((1,), 24, catalogue=few, nothing_share=0.0)
    assert set(labels[:, -1]) == {codes.index("SE"), codes.index("ZZ")}  # a free text is no country's


# of a batch of 10: real crops, share real, share fresh -> fresh, repeated, real
SHARES = {
    "of all three": ([REAL], 0.2, 0.5, (4, 4, 2)),
    "no real crops": ([], 0.2, 0.5, (5, 5, 0)),
    "all fresh": ([REAL], 0.2, 1.0, (8, 0, 2)),
    "none fresh, so one": ([REAL], 0.2, 0.0, (1, 7, 2)),
    "none real": ([REAL], 0.0, 0.3, (3, 7, 0)),
}


@pytest.mark.parametrize(("real", "real_share", "fresh_share", "expected"), SHARES.values(), ids=SHARES.keys())
def test_a_mixture_by_shares(real, real_share: float, fresh_share: float, expected: tuple[int, int, int]) -> None:
    found = Mixture.of(10, real, real_share, fresh_share, None, None, processes=2)
    assert (found.fresh, found.repeated, found.real_count) == expected
    assert found.remembered == rendered.REMEMBERED // 2


def test_a_batch_is_part_fresh_part_repeated_part_real() -> None:
    maker = Maker(mixture())
    crops, labels = maker.batch((1, 0, 0))
    fresh, _ = rendered_batch((1, 0, 0), 4)
    assert crops.shape == (9, 64, 192)
    assert np.array_equal(crops[:4], fresh)
    known = {row.tobytes() for row in labels[:4]}
    assert {row.tobytes() for row in labels[4:7]} <= known
    assert not any(np.array_equal(crop, one) for crop in crops[4:7] for one in fresh), "cut and lit anew"
    assert (labels[7:, :12] == 35).all(), "the real ones say Z..."


def test_what_comes_again_is_of_all_batches_that_are_remembered() -> None:
    maker = Maker(mixture(fresh=2, repeated=20, real_count=0, remembered=4))
    batches = [maker.batch((1, 0, index))[1] for index in range(3)]
    assert len(maker.past) == 2
    own = [{row.tobytes() for row in labels[:2]} for labels in batches]
    repeated = {row.tobytes() for row in batches[2][2:]}
    assert repeated <= own[1] | own[2]
    assert repeated & own[1]
    assert repeated & own[2]


@pytest.mark.parametrize("changes", [{"repeated": 0}, {"real_count": 0}, {"repeated": 0, "real_count": 0}])
def test_a_part_may_be_missing(changes: dict[str, int]) -> None:
    one = mixture(**changes)
    crops, labels = Maker(one).batch((1, 2))
    assert len(crops) == len(labels) == one.fresh + one.repeated + one.real_count


def test_worker_processes_make_the_same_batches() -> None:
    one = mixture(fresh=2, repeated=1, real_count=1)
    pool = workers(1, one)
    try:
        found = pool.submit(make, (1, 0, 0)).result(timeout=100)
    finally:
        pool.shutdown()
    for array, expected in zip(found, Maker(one).batch((1, 0, 0)), strict=True):
        assert np.array_equal(array, expected)
