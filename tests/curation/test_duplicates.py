"""Copies, near-duplicates, and what their labels come to."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.curation import duplicates
from pipeline.curation.duplicates import Look, Picture
from pipeline.images import RGB
from pipeline.records import Box, Plate, Quad, Sample


def sample(number: int, *plates: Plate, kind: str = "photo", group: str | None = None) -> Sample:
    identity = f"{number:064x}"
    return Sample(identity, f"{number}.png", 100, 80, plates, "kaggle", group or identity, kind=kind)  # type: ignore[arg-type]


def plate(*xyxy: float, text: str | None = None) -> Plate:
    return Plate(Box(*xyxy), text=text)


def scene(seed: int, height: int = 240, width: int = 320) -> RGB:
    """A smooth random picture, so that it survives resizing."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((height // 6, width // 8, 1), dtype=np.uint8))


def brighter(image: RGB) -> RGB:
    return np.clip(image.astype(np.int16) + 6, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("other", "same", "near"),
    [
        pytest.param(scene(1), True, False, id="the same pixels are a copy"),
        pytest.param(brighter(scene(1)), False, True, id="a little brighter is nearly the same"),
        pytest.param(scene(2), False, False, id="another scene"),
        pytest.param(scene(1).reshape(320, 240, 3), False, False, id="the same bytes in another shape"),
        pytest.param(np.repeat(scene(1), 2, axis=1), False, False, id="stretched"),
        pytest.param(np.zeros((240, 320, 3), dtype=np.uint8), False, False, id="black"),
    ],
)
def test_copies_and_near_duplicates(other: RGB, same: bool, near: bool) -> None:
    looks = [duplicates.look(scene(1)), duplicates.look(other)]
    pictures = duplicates.gather([sample(1), sample(2)], looks)
    assert len(pictures) == (1 if same else 2)
    assert bool(duplicates.near_pairs(pictures, distance=8)) is near


def test_equal_hashes_of_unlike_thumbnails_are_no_near_duplicates() -> None:
    one, other = duplicates.look(scene(1)), duplicates.look(scene(2))
    forged = Look(other.pixels, one.phash, other.thumbnail, one.aspect)
    pictures = [Picture((sample(1),), one), Picture((sample(2),), forged)]
    assert duplicates.near_pairs(pictures, distance=0) == []


def test_crops_are_told_apart_by_their_texts_not_their_looks() -> None:
    pictures = duplicates.gather(
        [sample(1, kind="crop"), sample(2, kind="crop")],
        [duplicates.look(scene(1)), duplicates.look(brighter(scene(1)))],
    )
    assert duplicates.near_pairs(pictures, distance=64) == []


def test_near_pairs_of_more_pictures_than_are_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 2)
    seen = duplicates.look(scene(1))
    pictures = [Picture((sample(number),), seen) for number in range(5)]
    assert duplicates.near_pairs(pictures, 0) == [(a, b) for a in range(5) for b in range(a + 1, 5)]


def test_a_picture_is_named_by_its_smallest_id() -> None:
    seen = duplicates.look(scene(1))
    (picture,) = duplicates.gather([sample(3), sample(1), sample(2)], [seen] * 3)
    assert picture.ids == tuple(f"{number:064x}" for number in (1, 2, 3))
    assert picture.copies[0].image == "1.png"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param([], [[0], [1], [2], [3]], id="none"),
        pytest.param([(0, 2)], [[0, 2], [1], [3]], id="one pair"),
        pytest.param([(3, 2), (2, 0)], [[0, 2, 3], [1]], id="a chain"),
    ],
)
def test_components(pairs: list[tuple[int, int]], expected: list[list[int]]) -> None:
    assert duplicates.components(4, pairs) == expected


def test_components_of_nothing() -> None:
    assert duplicates.components(0, []) == []


def test_shared_keys_connect_all_that_have_them() -> None:
    pairs = duplicates.shared_pairs([{"a"}, {"b"}, {"a", "b"}, set(), {"c"}])
    assert duplicates.components(5, pairs) == [[0, 1, 2], [3], [4]]


@pytest.mark.parametrize(
    ("text", "links"),
    [("mh-20 ej 0364", {"MH20EJ0364"}), ("TAXI", set()), ("F1", set()), (None, set())],
)
def test_only_texts_of_one_vehicle_link(text: str | None, links: set[str]) -> None:
    assert duplicates.linking_texts([plate(0, 0, 9, 9, text=text)]) == links


MERGING = [
    pytest.param([], [], None, id="no copies with plates"),
    pytest.param([[plate(0, 0, 40, 10)]], [(0, 0, 40, 10)], None, id="one picture"),
    pytest.param([[plate(0, 0, 40, 10)]] * 2, [(0, 0, 40, 10)], None, id="the same box twice"),
    pytest.param(
        [[plate(0, 0, 40, 10)], [plate(2, 0, 42, 10)], [plate(4, 2, 44, 12)]],
        [(2, 0, 42, 10)],
        (True, 0.8 * 36 / (80 - 0.8 * 36), 1),
        id="the median of three; the first and the third are far apart",
    ),
    pytest.param([[plate(0, 0, 40, 10)], [plate(0, 0, 41, 10)]], [(0, 0, 40.5, 10)], (False, 40 / 41, 0), id="a pixel"),
    pytest.param(
        [[plate(0, 0, 40, 10)], [plate(50, 50, 90, 60)]],
        [(0, 0, 40, 10), (50, 50, 90, 60)],
        (True, 0.0, 2),
        id="different plates drawn: both are kept",
    ),
    pytest.param(
        [[plate(0, 0, 40, 10), plate(0, 2, 40, 12)], []],
        [(0, 0, 40, 10), (0, 2, 40, 12)],
        (True, 0.0, 2),
        id="boxes of one copy are two plates",
    ),
]


@pytest.mark.parametrize(("copies", "merged", "disagreement"), MERGING)
def test_merge(
    copies: list[list[Plate]],
    merged: list[tuple[float, ...]],
    disagreement: tuple[bool, float, int] | None,
) -> None:
    plates, found = duplicates.merge([sample(n, *own) for n, own in enumerate(copies)], 0.3, 0.7)
    assert [one.box.xyxy for one in plates] == merged
    if disagreement is None:
        assert found is None
    else:
        assert found is not None
        assert (found.severe, found.lowest_iou, len(found.reasons)) == pytest.approx(disagreement)


@pytest.mark.parametrize(
    ("texts", "kept", "severe"),
    [(("AB123", None), "AB123", None), (("AB123", "AB124"), None, True), (("AB123", "AB123"), "AB123", None)],
)
def test_merged_texts(texts: tuple[str | None, str | None], kept: str | None, severe: bool | None) -> None:
    copies = [sample(number, plate(0, 0, 40, 10, text=text)) for number, text in enumerate(texts)]
    (merged,), found = duplicates.merge(copies, 0.3, 0.7)
    assert merged.text == kept
    assert (found and found.severe) == severe


def test_a_quad_keeps_its_box() -> None:
    exact = Plate(Box(0, 0, 40, 10), Quad((0, 1), (40, 0), (40, 9), (0, 10)))
    (merged,), _ = duplicates.merge([sample(1, exact), sample(2, exact)], 0.3, 0.7)
    assert merged == exact
