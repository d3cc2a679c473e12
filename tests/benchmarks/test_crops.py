"""Which crops readers are compared on: plates with a certain text, none that a reader learnt from, cut out one way."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.benchmarks import crops
from pipeline.checkpoints import CheckpointError
from pipeline.images import encode_png
from pipeline.manifest import write_manifest
from pipeline.records import Box, Plate, Quad, Sample

LEFT, RIGHT = Box(10, 10, 50, 20), Box(60, 30, 90, 40)


def sample(number: int, *plates: Plate, **others) -> Sample:
    given = {"source": "made", "group": f"g{number}", "split": "test", **others}
    return Sample(f"{number:064x}", f"{number}.png", 100, 50, plates, **given)


def written(folder: Path, samples: list[Sample], original: list[Sample]) -> Path:
    write_manifest(folder / "manifest.jsonl", samples)
    write_manifest(folder / "original.jsonl", original)
    return folder


def moved(box: Box, across: float) -> Plate:
    return Plate(Box(box.x1 + across, box.y1, box.x2 + across, box.y2))


MATCHES = {
    "none drawn": ([LEFT], [], {}),
    "none published": ([], [moved(LEFT, 0)], {}),
    "in another order": ([LEFT, RIGHT], [moved(RIGHT, 1), moved(LEFT, 2)], {0: 12, 1: 61}),
    "one too far": ([LEFT], [moved(LEFT, 30)], {}),
    "one for two, the nearer has it": ([LEFT, moved(LEFT, 8).box], [moved(LEFT, 7)], {1: 17}),
    "two for one, the nearer is taken": ([LEFT], [moved(LEFT, 6), moved(LEFT, 1)], {0: 11}),
    "the best pair first, then what is left": (
        [LEFT, moved(LEFT, 10).box],
        [moved(LEFT, 9), moved(LEFT, 19)],
        {1: 19, 0: 29},
    ),
}


@pytest.mark.parametrize(("drawn", "published", "lefts"), MATCHES.values(), ids=MATCHES.keys())
def test_published_boxes_are_matched_one_to_one(drawn, published, lefts) -> None:
    found = crops.matched([Plate(box) for box in drawn], published)
    assert {index: box.x1 for index, box in found.items()} == lefts


def test_only_plates_with_a_certain_text_are_chosen(tmp_path) -> None:
    plates = (Plate(LEFT, text="京A 12"), Plate(RIGHT), Plate(Box(0, 0, 5, 5), text="ZZ1", legible=False))
    samples = [sample(1, *plates), sample(2, Plate(LEFT))]
    chosen = crops.choose(written(tmp_path, samples, samples), None, "test", "corrected", set(), False)
    assert [(target.truth, target.box) for target in chosen.targets] == [("A12", LEFT)]


def test_a_plate_is_cut_out_by_the_box_that_was_published_of_it(tmp_path) -> None:
    samples = [sample(1, Plate(RIGHT), Plate(LEFT, text="A1"), Plate(Box(0, 40, 20, 50), text="B2"))]
    original = [sample(1, moved(RIGHT, 0), moved(LEFT, 3))]
    folder = written(tmp_path, samples, original)
    published = crops.choose(folder, None, "test", "published", set(), False)
    assert [(target.truth, target.box.x1) for target in published.targets] == [("A1", 13)]
    assert published.unboxed == 1
    corrected = crops.choose(folder, None, "test", "corrected", set(), False)
    assert [(target.truth, target.box.x1) for target in corrected.targets] == [("A1", 10), ("B2", 0)]
    assert corrected.unboxed == 0


def test_a_picture_that_the_originals_lack_has_no_published_box(tmp_path) -> None:
    kept = sample(1, Plate(LEFT, text="A1"))
    folder = written(tmp_path, [kept, sample(2, Plate(LEFT, text="B2"))], [sample(1, moved(LEFT, 0))])
    chosen = crops.choose(folder, None, "test", "published", set(), False)
    assert [target.truth for target in chosen.targets] == ["A1"]
    assert chosen.unboxed == 1


def test_what_was_learnt_from_is_left_out_with_its_group_unless_it_is_kept(tmp_path) -> None:
    plate = Plate(LEFT, text="A1")
    seen, copy, fresh = sample(1, plate, split="train"), sample(2, plate, group="g1"), sample(3, plate, plate)
    elsewhere = sample(4, plate, source="other")
    samples = [seen, copy, fresh, elsewhere]
    folder = written(tmp_path, samples, samples)
    for split, learnt in (("test", 1), ("all", 2)):
        chosen = crops.choose(folder, "made", split, "corrected", {seen.id}, False)
        assert {target.sample.id for target in chosen.targets} == {fresh.id}
        assert (chosen.learnt, chosen.keeps_learnt) == (learnt, False)
        kept = crops.choose(folder, "made", split, "corrected", {seen.id}, True)
        assert len(kept.targets) == 2 + learnt
        assert (kept.learnt, kept.keeps_learnt) == (learnt, True)


def test_nothing_to_read_is_said_with_its_reason(tmp_path) -> None:
    samples = [sample(1, Plate(LEFT, text="A1"))]
    folder = written(tmp_path, samples, samples)
    with pytest.raises(ValueError, match=r"no plate of nowhere with a certain text stands in the split test of [^,]*$"):
        crops.choose(folder, "nowhere", "test", "corrected", set(), False)
    with pytest.raises(ValueError, match=r"but for those that a reader has learnt from \(--keep-seen\)"):
        crops.choose(folder, None, "all", "corrected", {samples[0].id}, False)


def test_seen_pictures_are_those_of_every_reader(tmp_path) -> None:
    for name, ids in (("a/reader", "1 2"), ("b/reader", "2 3")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "seen.txt").write_text(ids.replace(" ", "\n"))
    bundles = [tmp_path / "a/export", tmp_path / "b/export"]
    assert crops.seen_by_readers(None, bundles, False) == {"1", "2", "3"}
    assert crops.seen_by_readers([tmp_path / "b/reader"], bundles, False) == {"2", "3"}


def test_a_reader_that_hides_what_it_has_seen_is_no_contender_unless_that_does_not_matter(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"seen.txt is missing.*--seen, or --keep-seen"):
        crops.seen_by_readers(None, [tmp_path / "export"], False)
    assert crops.seen_by_readers(None, [tmp_path / "export"], True) == frozenset()
    with pytest.raises(CheckpointError, match=r"seen.txt is missing"):
        crops.seen_by_readers([tmp_path], [], True)


def test_corners_are_those_of_the_corrected_labels() -> None:
    assert crops.whose(None, "box") == "published"
    assert crops.whose("corrected", "box") == "corrected"
    assert crops.whose(None, "corners") == "corrected"
    with pytest.raises(ValueError, match="published labels have no corners"):
        crops.whose("published", "corners")


def test_crops_are_the_pixels_of_the_box_or_rectified_or_the_whole_crop(tmp_path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (50, 100, 3)).astype(np.uint8)
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(encode_png(picture))
    plate = Plate(LEFT, Quad((10, 12), (50, 10), (50, 18), (10, 20)), text="A1")
    samples = [sample(1, plate), sample(2, Plate(Box(0, 0, 100, 50), text="B2"), kind="crop")]
    targets, _ = crops.targets(samples, None)
    plain, whole = crops.cut_out(targets, tmp_path, "box")
    np.testing.assert_array_equal(plain.image, picture[10:20, 10:50])
    np.testing.assert_array_equal(whole.image, picture)
    assert (plain.height, whole.height) == (10, 50)
    rectified, untouched = crops.cut_out(targets, tmp_path, "corners")
    assert rectified.image.shape[0] == 64, "as the readers see it"
    assert rectified.height == 10, "of the box, not of the crop that was enlarged"
    np.testing.assert_array_equal(untouched.image, picture)
