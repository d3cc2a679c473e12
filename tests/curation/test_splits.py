"""A picture's split is its group's, depends on nothing else, and no leak passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curation import splits
from pipeline.curation.duplicates import Look, Picture
from pipeline.curation.splits import Rule
from pipeline.records import Box, Plate, Sample, Split

LOOK = Look("", 0, np.zeros(1, dtype=np.float32), 1.0)
RULE = Rule(seed=7, test=0.3, val=0.1)
KNOWN: list[Split] = ["train", "train", "train", "test", "train", "train", "train", "train"]


def sample(number: int, *plates: Plate, group: str | None = None) -> Sample:
    identity = f"{number:064x}"
    return Sample(identity, f"{number}.png", 100, 80, plates, "kaggle", group or identity)


def picture(number: int, group: str | None = None, official: Split | None = None, source: str = "kaggle") -> Picture:
    made = replace(sample(number, group=group), source=source, official_split=official)
    return Picture((made,), LOOK)


def texts(*values: str | None) -> list[tuple[Plate, ...]]:
    return [(Plate(Box(0, 0, 9, 9), text=value),) for value in values]


def curated(pictures: list[Picture], plates: list[tuple[Plate, ...]], near: list[tuple[int, int]]) -> list[Sample]:
    return splits.split(pictures, plates, splits.group(pictures, plates, near), RULE)


@given(st.text(), st.integers(0, 2**31))
def test_unit_is_a_pure_fraction(key: str, seed: int) -> None:
    assert 0.0 <= splits.unit(f"{seed}:{key}") < 1.0
    assert Rule(seed, 0.3, 0.1).split(key) == Rule(seed, 0.3, 0.1).split(key)


def test_shares_are_as_asked() -> None:
    parts = [RULE.split(str(number)) for number in range(4000)]
    assert parts.count("test") / 4000 == pytest.approx(0.3, abs=0.02)
    assert parts.count("val") / 4000 == pytest.approx(0.1, abs=0.02)


def test_known_splits_stay() -> None:
    """The weights that ship were trained on these parts: a change of the function would leak."""
    assert [RULE.split(f"{number:064x}") for number in range(8)] == KNOWN


def test_folds_cover_every_group_once() -> None:
    rules = [Rule(7, 0.3, 0.1, folds=5, fold=fold) for fold in range(5)]
    for number in range(200):
        assert [rule.split(str(number)) for rule in rules].count("test") == 1
    assert {"train", "val", "test"} == {rules[0].split(str(number)) for number in range(200)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"test": 0.8, "val": 0.3}, "nothing is left"),
        ({"folds": 1}, "2 folds or more"),
        ({"folds": 3, "fold": 3}, "fold 3 of curate.folds 3"),
    ],
)
def test_impossible_rules(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rule(**{"seed": 1, "test": 0.3, "val": 0.1, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pictures", "plates", "near", "groups"),
    [
        pytest.param([], [], [], [], id="nothing"),
        pytest.param([picture(1), picture(2)], texts("AB123", "AB124"), [], 2, id="two plates"),
        pytest.param([picture(1), picture(2)], texts("AB123", "ab-123"), [], 1, id="one plate"),
        pytest.param([picture(1), picture(2)], texts("TAXI", "TAXI"), [], 2, id="a text of many plates"),
        pytest.param([picture(1), picture(2)], texts(None, None), [(0, 1)], 1, id="near-duplicates"),
        pytest.param([picture(1, "track1"), picture(2, "track1")], texts(None, None), [], 1, id="one track"),
        pytest.param(
            [picture(1, "t"), picture(2, "t", source="voc")], texts(None, None), [], 2, id="two sources' group names"
        ),
    ],
)
def test_groups(
    pictures: list[Picture], plates: list[tuple[Plate, ...]], near: list[tuple[int, int]], groups: int
) -> None:
    made = curated(pictures, plates, near)
    assert len({one.group for one in made}) == (groups or 0)
    assert splits.leaks(made, near) == []


def test_a_picture_keeps_its_split_when_data_are_added() -> None:
    few = [picture(number) for number in range(0, 60, 2)]
    many = [picture(number) for number in range(60)]
    before = {one.id: (one.group, one.split) for one in curated(few, texts(*[None] * 30), [])}
    after = {one.id: (one.group, one.split) for one in curated(many, texts(*[None] * 60), [])}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        pytest.param([picture(1, official="train", source="ufpr")], ["train"], id="official train"),
        pytest.param([picture(1, official="val", source="ufpr")], ["val"], id="official val"),
        pytest.param([picture(1, official="val", source="voc")], ["test"], id="the part held out of two is test"),
        pytest.param(
            [picture(1, official="train", source="voc"), picture(2, official="val", source="voc")],
            ["test", "test"],
            id="near-duplicates: test wins",
        ),
    ],
)
def test_official_splits(pictures: list[Picture], expected: list[Split]) -> None:
    near = [(0, 1)] if len(pictures) == 2 else []
    made = curated(pictures, texts(*[None] * len(pictures)), near)
    assert [one.split for one in made] == expected
    assert len(splits.moved(made)) == len(pictures) - 1  # of two near-duplicates one moves


def test_a_track_torn_by_its_authors_is_split_by_us() -> None:
    frames = [picture(n, "voc/ride", "val" if n % 2 else "train", "voc") for n in range(8)]
    made = curated(frames, texts(*[None] * 8), [])
    assert {one.split for one in made} == {RULE.split(f"{0:064x}")}


def test_a_plate_that_the_authors_published_twice_is_reported_not_moved() -> None:
    frames = [picture(1, "track11", "train", "ufpr"), picture(2, "track140", "test", "ufpr")]
    made = curated(frames, texts("AVA1466", "AVA1466"), [])
    assert [one.split for one in made] == ["train", "test"]
    assert splits.official_overlaps(made) == {"AVA1466": ["test", "train"]}
    assert splits.leaks(made, []) == []


def placed(number: int, split: Split, text: str | None = None, group: str | None = None) -> Sample:
    return replace(sample(number, *(texts(text)[0] if text else ()), group=group), split=split)


@pytest.mark.parametrize(
    ("samples", "near", "words"),
    [
        pytest.param([placed(1, "train"), placed(2, "test")], [], [], id="no leak"),
        pytest.param(
            [placed(1, "train", group="g"), placed(2, "test", group="g")],
            [],
            ["group g is in test and train"],
            id="group",
        ),
        pytest.param(
            [placed(1, "train", "AB123"), placed(2, "val", "AB123")], [], ["the plate of 1.png, 2.png"], id="plate"
        ),
        pytest.param([placed(1, "train", "AB1"), placed(2, "val", "AB1")], [], [], id="short text"),
        pytest.param(
            [placed(1, "train"), placed(2, "test")],
            [(0, 1)],
            ["near-duplicates 1.png (train) and 2.png (test)"],
            id="near-duplicates",
        ),
    ],
)
def test_leaks(samples: list[Sample], near: list[tuple[int, int]], words: list[str]) -> None:
    found = splits.leaks(samples, near)
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_a_test_picture_that_was_trained_on_is_found_by_any_of_its_copies() -> None:
    samples = [placed(1, "test"), placed(2, "train"), placed(3, "test")]
    ids = [("a", "b"), ("c",), ("d",)]
    assert splits.seen_in_test(samples, ids, {"b", "c"}) == [samples[0]]
