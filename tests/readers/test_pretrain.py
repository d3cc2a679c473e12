"""The recipe of the shipped weights: what it learns from, and one tiny run of it."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import checkpoints
from pipeline.calibration import Calibration
from pipeline.images import encode_png
from pipeline.manifest import write_manifest
from pipeline.readers import pretrain, stream
from pipeline.readers.crops import Said, region_codes
from pipeline.readers.rendered import Maker, Mixture
from pipeline.records import Box, Plate, Sample, Split

BOX = Box(10, 10, 70, 30)


def sample_of(image: str, plates: tuple[Plate, ...], split: Split) -> Sample:
    digest = hashlib.sha256(image.encode()).hexdigest()
    return Sample(digest, image, 80, 40, plates, source="voc", group=digest, split=split)


def plates_of(*texts: str) -> tuple[Plate, ...]:
    return tuple(Plate(BOX, text=text) for text in texts)


KNOWN = {
    "known": (Plate(BOX, text="ab 12"), True),
    "with a province": (Plate(BOX, text="京A12345"), True),
    "a province alone": (Plate(BOX, text="京"), False),
    "not transcribed": (Plate(BOX), False),
    "illegible": (Plate(BOX, text="AB12", legible=False), False),
    "tiny": (Plate(Box(10, 10, 30, 16), text="AB12"), False),
    "too long": (Plate(BOX, text="A" * 13), False),
}


@pytest.mark.parametrize(("plate", "known"), KNOWN.values(), ids=KNOWN.keys())
def test_which_plates_are_learnt_from(plate: Plate, known: bool) -> None:
    sample = sample_of("a.png", (plate,), "train")
    assert pretrain.readable_plates(sample) == ([plate] if known else [])
    assert pretrain.taught(sample, ()) is known


def text_of(quarter: int) -> str:
    """A text whose SHA-256 falls into a quarter."""
    texts = (f"AB{number}" for number in range(100))
    return next(text for text in texts if hashlib.sha256(text.encode()).digest()[-1] % 4 == quarter)


# split, the texts' quarters, whether the source is halved -> learnt from, looked at for calibration
SIDES = {
    "training": ("train", [3], False, True, False),
    "val": ("val", [0], False, False, True),
    "test": ("test", [0], False, False, False),
    "halved, the learning side, of whatever split": ("test", [0], True, True, False),
    "halved, the rest of that side": ("train", [2], True, True, False),
    "halved, a quarter for val": ("train", [1], True, False, True),
    "halved, a quarter for nobody": ("train", [3], True, False, False),
    "halved, two plates of one side": ("val", [0, 2], True, True, False),
    "halved, plates of two sides": ("train", [0, 1], True, False, False),
}


@pytest.mark.parametrize(("split", "quarters", "halved", "learnt", "looked_at"), SIDES.values(), ids=SIDES.keys())
def test_sides(split: Split, quarters: list[int], halved: bool, learnt: bool, looked_at: bool) -> None:
    sample = sample_of("gb/a.png", plates_of(*map(text_of, quarters)), split)
    halve = ["gb"] if halved else ["se"]
    assert pretrain.taught(sample, halve) is learnt
    assert pretrain.kept_for_val(sample, halve) is looked_at


def test_a_text_is_on_one_side_however_it_is_written_and_wherever_it_stands() -> None:
    for number in range(40):
        same = [
            sample_of(f"gb/{number}-{spelling}.png", plates_of(spelling), split)
            for spelling, split in ((f"AB {number}", "train"), (f"ab-{number}", "test"), (f"京AB{number}", "val"))
        ]
        assert len({(pretrain.taught(one, ["gb"]), pretrain.kept_for_val(one, ["gb"])) for one in same}) == 1


def test_half_of_the_texts_are_learnt_and_a_quarter_is_looked_at() -> None:
    samples = [sample_of("gb/a.png", plates_of(f"AB{number}"), "test") for number in range(1000)]
    sides = [(pretrain.taught(one, ["gb"]), pretrain.kept_for_val(one, ["gb"])) for one in samples]
    assert np.mean([learnt for learnt, _ in sides]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([looked_at for _, looked_at in sides]) == pytest.approx(0.25, abs=0.05)
    assert (True, True) not in sides


def test_sources_and_regions_may_be_left_out() -> None:
    sample = sample_of("gb/a.png", (Plate(BOX, text="AB12", region="GB"), Plate(BOX, text="CD34")), "train")
    assert pretrain.taught(sample, (), ["se"], ["DE"])
    assert not pretrain.taught(sample, (), ["gb"])
    assert not pretrain.taught(sample, (), (), ["DE", "GB"])


def test_real_crops_carry_what_is_known_of_them(tmp_path: Path) -> None:
    (tmp_path / "gb").mkdir()
    (tmp_path / "gb/a.png").write_bytes(encode_png(np.full((40, 80, 3), 90, np.uint8)))
    plates = (Plate(BOX, text="ab 12", region="GB"), Plate(BOX), Plate(BOX, text="京C3", rows=1))
    crops = pretrain.real_crops([sample_of("gb/a.png", plates, "train")], tmp_path)
    assert [(crop.said, crop.source) for crop in crops] == [(Said("AB12", None, "GB"), "gb"), (Said("C3", 2), "gb")]
    pictures, labels = pretrain.as_labelled(crops)
    assert pictures.shape == (2, 64, 192)
    assert labels[:, -2:].tolist() == [[-1, region_codes().index("GB")], [2, -1]]
    assert pretrain.as_labelled([])[0].shape == (0, 64, 192)


class InlinePool:
    """Makes batches in this process."""

    mixtures: list[Mixture] = []  # noqa: RUF012

    def __init__(self, _: int, mixture: Mixture) -> None:
        self.mixtures.append(mixture)
        self.maker = Maker(mixture)

    def submit(self, _: Any, seed: tuple[int, ...]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(self.maker.batch(seed))
        return future

    def shutdown(self, cancel_futures: bool) -> None: ...


def test_it_learns_from_the_training_split_only_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "workers", InlinePool)
    monkeypatch.setattr(InlinePool, "mixtures", [])
    samples = [sample_of(f"{split}.png", plates_of("AB12"), split) for split in ("train", "val", "test")]
    for split in ("train", "val"):  # the test picture is not even there to be opened
        (tmp_path / f"{split}.png").write_bytes(encode_png(np.full((40, 80, 3), 90, np.uint8)))
    write_manifest(tmp_path / "manifest.jsonl", samples)

    def run(epochs: int) -> dict[str, Any]:
        pretrain.main(
            tmp_path / "work", tmp_path / "out", [tmp_path / "manifest.jsonl"], tmp_path, decoder=["slots"],
            unseen=["GB", "DE"], width=8, epochs=epochs, batches=2, batch_size=4, real_share=0.25, held_out=4,
        )  # fmt: skip
        return checkpoints.load(tmp_path / "out")[1]

    card = run(1)
    assert (card["epochs"], card["width"], card["val_photographed"]) == (1, 8, 1)
    assert set(card["slots"]) == {"rendered_exact", "photographed_exact"}
    assert Calibration.of(card["calibrations"]["slots"]).threshold > 0
    assert card["regions"] == list(region_codes())
    assert checkpoints.read_seen(tmp_path / "out") == {samples[0].id}
    (mixture,) = InlinePool.mixtures
    assert (mixture.fresh, mixture.repeated, mixture.real_count) == (1, 2, 1)
    assert [real.said.text for real in mixture.real] == ["AB12"]
    assert not {"GB", "DE"} & {layout.region for layout in mixture.catalogue.layouts}
    assert run(0) == card  # trains no further, writes the same again
