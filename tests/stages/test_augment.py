"""The augment stage: whole folders of arrays, the same bytes for the same seed, nothing of the test split."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import params
from pipeline.images import encode_png, sha256
from pipeline.readers.crops import region_codes
from pipeline.readers.decoding import encode
from pipeline.records import Box, Plate, Sample
from pipeline.stages import augment

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml").augment.model_copy(
    update={
        "detector_crops": 6,
        "detector_val_crops": 4,
        "detector_size": 64,
        "reader_crops": 3,
        "reader_rendered": 2,
        "reader_val_crops": 2,
    }
)


def photo(folder: Path, number: int, split: str) -> Sample:
    picture = np.random.default_rng(number).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    data = encode_png(picture)
    (folder / f"{number}.png").write_bytes(data)
    plates = (Plate(Box(30, 40, 90, 60), text="AB-123", region="SE", rows=1),)
    return Sample(sha256(data), f"{number}.png", 120, 90, plates, "made", str(number), split)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("photos")
    samples = [photo(folder, number, split) for number, split in enumerate(["train", "train", "val", "test"])]
    out = folder / "augmented"
    augment.augment(samples, folder, out, SETTINGS, seed=3)
    return folder, samples, out


def test_arrays_hold_what_was_asked_for(made) -> None:
    _, _, out = made
    assert np.load(out / "detector" / "train" / "images.npy").shape == (6, 64, 64, 3)
    assert np.load(out / "detector" / "val" / "images.npy").shape == (1, 64, 64, 3)  # one photo, shown once
    assert np.load(out / "reader" / "train" / "crops.npy").shape == (5, 64, 192)
    assert np.load(out / "reader" / "val" / "crops.npy").shape == (4, 64, 192)  # real ones, and as many rendered
    assert (np.load(out / "detector" / "val" / "kinds.npy")[0] == 1).sum() == 1


def test_the_reader_s_labels_are_text_rows_and_region_first_of_the_real_crops(made) -> None:
    _, _, out = made
    labels = np.load(out / "reader" / "train" / "labels.npy")
    assert (labels.shape, labels.dtype) == ((5, 14), np.int8)
    assert labels[:3].tolist() == [[*encode("AB123"), 5, region_codes().index("SE")]] * 3
    assert labels[3:].tolist() != labels[:2].tolist()


@pytest.mark.parametrize("network", ["detector", "reader"])
def test_no_test_picture_is_learnt_from_or_looked_at(made, network: str) -> None:
    _, samples, out = made
    seen = {path.parent.name: set(path.read_text().split()) for path in out.glob(f"{network}/*/seen.txt")}
    assert seen == {"train": {samples[0].id, samples[1].id}, "val": {samples[2].id}}


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    unread = replace(photo(tmp_path, 1, "train"), plates=(Plate(Box(30, 40, 90, 60)),))
    with pytest.raises(ValueError, match=r"augment\.reader_rendered is 0"):
        augment.write_reader(tmp_path / "out", [unread], tmp_path, 3, 0, [1])
    assert not (tmp_path / "out").exists()


def test_the_same_seed_gives_the_same_bytes_and_replaces_the_folder_whole(made) -> None:
    folder, samples, out = made
    before = digests(out)
    augment.augment(samples, folder, out, SETTINGS, seed=3)
    assert digests(out) == before
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_split_without_photos_is_said(tmp_path: Path) -> None:
    samples = [photo(tmp_path, 1, "train")]
    with pytest.raises(ValueError, match="no photo stands in the split `val`"):
        augment.augment(samples, tmp_path, tmp_path / "out", SETTINGS, seed=3)
    assert not (tmp_path / "out").exists()


SHARES = {
    "half of them empty": (
        {"negative_share": 0.5, "rendered_share": 0.5},
        {"none": 0.5, "synthetic": 0.25, "made": 0.25},
    ),
    "no rendered scene wanted": ({"negative_share": 0.0, "rendered_share": 0.0}, {"made": 1.0}),
    "rendered scenes alone": ({"negative_share": 0.0, "rendered_share": 1.0}, {"synthetic": 1.0}),
}


@pytest.mark.parametrize(("shares", "wanted"), SHARES.values(), ids=SHARES.keys())
def test_photos_are_drawn_by_their_shares(tmp_path: Path, shares, wanted) -> None:
    real, drawn, empty = (photo(tmp_path, number, "train") for number in range(3))
    samples = [real, replace(drawn, source="synthetic"), replace(empty, plates=(), source="none")]
    crops = augment._Crops(samples, tmp_path, SETTINGS.model_copy(update=shares), [1], augmented=True)
    rng = np.random.default_rng(0)
    found = Counter(crops._draw(rng).source for _ in range(2000))
    assert {source: count / 2000 for source, count in found.items()} == pytest.approx(wanted, abs=0.04)


def test_what_there_is_is_drawn_where_a_kind_is_missing(tmp_path: Path) -> None:
    samples = [replace(photo(tmp_path, 1, "train"), source="synthetic")]
    settings = SETTINGS.model_copy(update={"negative_share": 0.9, "rendered_share": 0.0})
    crops = augment._Crops(samples, tmp_path, settings, [1], augmented=True)
    assert crops._draw(np.random.default_rng(0)) == samples[0]


def test_every_crop_may_be_a_mosaic(tmp_path: Path) -> None:
    samples = [photo(tmp_path, number, "train") for number in range(3)]
    settings = SETTINGS.model_copy(update={"mosaic_share": 1.0, "detector_size": 64})
    view = augment._Crops(samples, tmp_path, settings, [1], augmented=True)(0)
    assert view.image.shape == (64, 64, 3)
    seams = np.abs(np.diff(view.image.astype(int), axis=1)).mean(axis=(0, 2))
    assert seams[31] > seams.mean(), "two views meet in the middle"
