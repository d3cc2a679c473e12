"""The synthetic source: exact truth, the same bytes each time, more without changing what was there."""

from pathlib import Path

import pytest

from pipeline import manifest
from pipeline.images import read_image, sha256
from pipeline.params import Synthetic
from pipeline.records import Box, Plate, Sample
from pipeline.sources import synthetic


def settings(scenes: int = 3, crops: int = 4) -> Synthetic:
    return Synthetic(scenes=scenes, crops=crops, width=192, height=144)


def ids(samples: list[Sample], kind: str) -> list[str]:
    return [sample.id for sample in samples if sample.kind == kind]


def test_files_are_what_the_samples_say(tmp_path: Path) -> None:
    samples = synthetic.pull(settings(), 7, tmp_path)
    assert len(ids(samples, "photo")) == 3
    assert len(ids(samples, "crop")) == 4
    for sample in samples:
        data = (tmp_path / sample.image).read_bytes()
        assert sha256(data) == sample.id
        assert read_image(tmp_path / sample.image).shape == (sample.height, sample.width, 3)
        assert sample.source == "synthetic"
        for plate in sample.plates:
            assert 0 <= plate.box.x1 < plate.box.x2 <= sample.width
            assert 0 <= plate.box.y1 < plate.box.y2 <= sample.height


def test_a_crop_is_one_plate_with_a_text(tmp_path: Path) -> None:
    for sample in synthetic.pull(settings(0, 5), 7, tmp_path):
        (plate,) = sample.plates
        assert plate.text
        assert plate.box == Box(0, 0, sample.width, sample.height)


def test_the_same_seed_gives_the_same_bytes_over_a_former_pull(tmp_path: Path) -> None:
    first = synthetic.pull(settings(), 7, tmp_path)
    (tmp_path / first[0].image).write_bytes(b"half a pict")
    again = synthetic.pull(settings(), 7, tmp_path)
    assert again == first
    assert sha256((tmp_path / first[0].image).read_bytes()) == first[0].id
    manifest.write_manifest(tmp_path / "manifest.jsonl", again)
    assert len(manifest.read_manifest(tmp_path / "manifest.jsonl")) == 7


def test_another_seed_gives_other_pictures(tmp_path: Path) -> None:
    one, two = (synthetic.pull(settings(), seed, tmp_path / str(seed)) for seed in (1, 2))
    assert not {sample.id for sample in one} & {sample.id for sample in two}


def test_asking_for_more_keeps_the_first_ones(tmp_path: Path) -> None:
    few = synthetic.pull(settings(2, 3), 7, tmp_path / "few")
    more = synthetic.pull(settings(4, 6), 7, tmp_path / "more")
    for kind, count in (("photo", 2), ("crop", 3)):
        assert ids(more, kind)[:count] == ids(few, kind)


def test_progress_is_told(tmp_path: Path) -> None:
    told = []

    def track(sequence, description):  # type: ignore[no-untyped-def]
        told.append((description, len(sequence)))
        return sequence

    synthetic.pull(settings(1, 2), 7, tmp_path, track)
    assert [count for _, count in told] == [1, 2]


def sample_of(name: str, *texts: str | None) -> Sample:
    digest = sha256(name.encode())
    plates = tuple(Plate(Box(0, 0, 9, 3), text=text, legible=text is not None) for text in texts)
    return Sample(digest, f"{name}.png", 90, 30, plates, "synthetic", digest)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([("A",), ("B",)], [0, 1], id="different plates"),
        pytest.param([("A",), ("A",)], [0, 0], id="the same plate"),
        pytest.param([("A", "B"), ("C",), ("B", "C")], [0, 0, 0], id="bridged by a third"),
        pytest.param([("A",), ("B",), ("C",), ("B",)], [0, 1, 2, 1], id="the second one's"),
        pytest.param([(None,), (None,), ()], [0, 1, 2], id="unread plates join nothing"),
    ],
)
def test_pictures_of_one_plate_are_one_group(texts: list[tuple[str | None, ...]], expected: list[int]) -> None:
    samples = [sample_of(f"s{number}", *each) for number, each in enumerate(texts)]
    grouped = synthetic._grouped(samples)
    partition = [grouped[number].group for number in range(len(samples))]
    assert [partition.index(group) for group in partition] == [expected.index(number) for number in expected]
