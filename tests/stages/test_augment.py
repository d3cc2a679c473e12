"""The augment stage: whole folders of arrays, the same bytes for the same seed, nothing of the test split."""

import hashlib
import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import augmentation, params, reuse
from pipeline.images import RGB, encode_png, sha256
from pipeline.readers.crops import region_codes
from pipeline.readers.decoding import encode
from pipeline.records import Box, Plate, Sample
from pipeline.reuse import Rows
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "FEW", 0)  # so few crops would not be worth processes of their own
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
        augment.write_reader(Rows(tmp_path / "out", tmp_path / "none", b""), [unread], tmp_path, 3, 0, [1])
    assert not (tmp_path / "out").exists()


def test_the_same_seed_gives_the_same_bytes_in_worker_processes_and_in_this_one(made, tmp_path: Path) -> None:
    folder, samples, out = made
    augment.augment(samples, folder, tmp_path / "again", SETTINGS, seed=3)
    assert digests(tmp_path / "again") == digests(out)


def test_the_folder_is_replaced_whole(made, tmp_path: Path) -> None:
    folder, samples, out = made
    shutil.copytree(out, tmp_path / "again")
    (tmp_path / "again" / "leftover").touch()
    augment.augment(samples, folder, tmp_path / "again", SETTINGS, seed=3)
    assert digests(tmp_path / "again") == digests(out)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_split_without_photos_is_said(tmp_path: Path) -> None:
    samples = [photo(tmp_path, 1, "train")]
    with pytest.raises(ValueError, match="no photo stands in the split `val`"):
        augment.augment(samples, tmp_path, tmp_path / "out", SETTINGS, seed=3)
    assert not (tmp_path / "out").exists()


PHOTOS = 12


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample]]:
    """A folder of photos with the crops that were made of their first labels in augmented/, and those samples."""
    folder = tmp_path_factory.mktemp("labelled")
    samples = [photo(folder, number, "train" if number > 1 else "val") for number in range(PHOTOS)]
    augment.augment(samples, folder, folder / "augmented", MORE, seed=3)
    return folder, samples


MORE = SETTINGS.model_copy(update={"detector_crops": 24, "reader_crops": 24, "reader_rendered": 4})


def corrected(samples: list[Sample], number: int, **changes: Any) -> list[Sample]:
    """The samples with another label of the photo of that number."""
    image = f"{number}.png"
    return [
        replace(one, plates=tuple(replace(plate, **changes) for plate in one.plates)) if one.image == image else one
        for one in samples
    ]


def refuse(*_: Any) -> None:
    raise AssertionError("this was made by the first run")


CORRECTIONS: dict[str, Callable[[list[Sample]], list[Sample]]] = {
    "a text": lambda samples: corrected(samples, 5, text="XY9"),
    "a box": lambda samples: corrected(samples, 5, box=Box(32, 40, 92, 60)),
    "no text any more": lambda samples: corrected(samples, 5, text=None),
    "a box of val": lambda samples: corrected(samples, 0, box=Box(32, 40, 92, 60)),
    "no plate any more": lambda samples: [replace(s, plates=()) if s.image == "5.png" else s for s in samples],
    "a photo less": lambda samples: [s for s in samples if s.image != "5.png"],
    "another split": lambda samples: [replace(s, split="val") if s.image == "5.png" else s for s in samples],
}


@pytest.mark.parametrize("correct", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_what_is_taken_over_is_what_would_be_made(first, tmp_path: Path, correct) -> None:
    folder, samples = first
    shutil.copytree(folder / "augmented", tmp_path / "again")
    augment.augment(correct(samples), folder, tmp_path / "again", MORE, seed=3)
    augment.augment(correct(samples), folder, tmp_path / "fresh", MORE, seed=3)
    assert digests(tmp_path / "again") == digests(tmp_path / "fresh")
    assert digests(tmp_path / "again") != digests(folder / "augmented")


def test_nothing_is_decoded_or_made_and_no_process_started_where_nothing_changed(
    first, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, samples = first
    shutil.copytree(folder / "augmented", tmp_path / "again")
    for module, name in (
        (augment, "read_image"),
        (augment, "rendered_batch"),
        (augmentation, "read_image"),
        (multiprocessing, "get_context"),
    ):
        monkeypatch.setattr(module, name, refuse)
    augment.augment(samples, folder, tmp_path / "again", MORE, seed=3)
    assert digests(tmp_path / "again") == digests(folder / "augmented")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The photos that are decoded, for the detector and the reader."""
    names: dict[str, list[str]] = {"detector": [], "reader": []}
    for network, module in (("detector", augmentation), ("reader", augment)):
        read = module.read_image

        def watch(path: Path, network: str = network, read: Callable[[Path], RGB] = read) -> RGB:
            names[network].append(path.name)
            return read(path)

        monkeypatch.setattr(module, "read_image", watch)
    return names


def again(first: tuple[Path, list[Sample]], folder: Path, samples: list[Sample]) -> dict[str, tuple[int, int]]:
    """Runs again with other labels; of each folder of arrays, how many rows are new, and how many there are."""
    shutil.copytree(first[0] / "augmented", folder / "again")
    augment.augment(samples, first[0], folder / "again", MORE, seed=3)
    rows = {}
    for path in sorted((folder / "again").glob("*/*/keys.npy")):
        name = path.relative_to(folder / "again")
        old, new = (
            {row.tobytes() for row in np.load(side / name)} for side in (first[0] / "augmented", folder / "again")
        )
        rows[str(name.parent)] = (len(new - old), len(new))
    return rows


def test_another_text_changes_that_plate_s_crops_alone(first, tmp_path: Path, decoded, monkeypatch) -> None:
    monkeypatch.setattr(augment, "rendered_batch", refuse)
    rows = again(first, tmp_path, corrected(first[1], 5, text="XY9"))
    new, count = rows.pop("reader/train")
    assert (0 < new < 8, count) == (True, 28)
    assert [new for new, _ in rows.values()] == [0, 0, 0]
    assert decoded == {"detector": [], "reader": ["5.png"]}


def test_another_box_changes_crops_of_its_photo_and_of_its_plate_elsewhere(first, tmp_path: Path, decoded) -> None:
    rows = again(first, tmp_path, corrected(first[1], 5, box=Box(32, 40, 92, 60)))
    assert {name: 0 < new < count / 2 for name, (new, count) in rows.items()} == {
        **{"detector/train": True, "detector/val": False},
        **{"reader/train": True, "reader/val": False},
    }
    assert decoded["reader"] == ["5.png"]
    assert "5.png" in decoded["detector"]
    assert len(set(decoded["detector"])) < PHOTOS - 2, "photos of crops that stay are not decoded"


def test_other_code_makes_everything_again(first, tmp_path: Path, decoded, monkeypatch) -> None:
    monkeypatch.setattr(reuse, "code", lambda *_: b"changed")
    rows = again(first, tmp_path, first[1])
    assert all(new == count for new, count in rows.values())
    names = {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").glob("*/*/*s.npy")}
    old = [(first[0] / "augmented" / name).read_bytes() for name in sorted(names) if name.name != "keys.npy"]
    assert [(tmp_path / "again" / name).read_bytes() for name in sorted(names) if name.name != "keys.npy"] == old


def test_a_damaged_output_is_made_again(first, tmp_path: Path) -> None:
    folder, samples = first
    shutil.copytree(folder / "augmented", tmp_path / "again")
    (tmp_path / "again" / "detector" / "train" / "keys.npy").write_text("damaged")
    (tmp_path / "again" / "reader" / "train" / "crops.npy").unlink()
    augment.augment(samples, folder, tmp_path / "again", MORE, seed=3)
    assert digests(tmp_path / "again") == digests(folder / "augmented")


def test_more_crops_keep_the_first_ones(first, tmp_path: Path) -> None:
    folder, samples = first
    more = MORE.model_copy(update={"detector_crops": 30, "reader_crops": 30})
    augment.augment(samples, folder, tmp_path / "more", more, seed=3)
    for network in ("detector", "reader"):
        old, new = (
            np.load(side / network / "train" / "keys.npy") for side in (folder / "augmented", tmp_path / "more")
        )
        assert np.array_equal(old[:24], new[:24])
