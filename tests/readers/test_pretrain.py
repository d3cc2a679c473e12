"""The recipe of the shipped weights: what it learns from, and one tiny run of it."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import checkpoints
from pipeline.images import encode_png
from pipeline.manifest import write_manifest
from pipeline.readers import pretrain, stream
from pipeline.records import Box, Plate, Sample, Split

BOX = Box(10, 10, 70, 30)


@pytest.mark.parametrize(
    ("plate", "texts"),
    [
        (Plate(BOX, text="ab 12"), ["AB12"]),
        (Plate(BOX, text="京A12345"), ["A12345"]),
        (Plate(BOX), []),
        (Plate(BOX, text="AB12", legible=False), []),
        (Plate(Box(10, 10, 30, 16), text="AB12"), []),
        (Plate(BOX, text="A" * 13), []),
    ],
    ids=["known", "province", "not transcribed", "illegible", "tiny", "too long"],
)
def test_which_plates_are_learnt_from(plate: Plate, texts: list[str]) -> None:
    assert [text for _, text in pretrain.readable_plates(sample_of("a.png", (plate,), "train"))] == texts


def sample_of(image: str, plates: tuple[Plate, ...], split: Split) -> Sample:
    digest = hashlib.sha256(image.encode()).hexdigest()
    return Sample(digest, image, 80, 40, plates, source="voc", group=digest, split=split)


class InlinePool:
    """Renders in this process."""

    def __init__(self, _: int) -> None: ...

    def submit(self, function: Any, *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, cancel_futures: bool) -> None: ...


def test_it_learns_from_the_training_split_only_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "workers", InlinePool)
    samples = [sample_of(f"{split}.png", (Plate(BOX, text="AB12"),), split) for split in ("train", "val", "test")]
    for split in ("train", "val"):  # the test picture is not even there to be opened
        (tmp_path / f"{split}.png").write_bytes(encode_png(np.full((40, 80, 3), 90, np.uint8)))
    write_manifest(tmp_path / "manifest.jsonl", samples)

    def run(epochs: int) -> dict[str, Any]:
        pretrain.main(
            tmp_path / "work", tmp_path / "out", [tmp_path / "manifest.jsonl"], tmp_path,
            width=16, epochs=epochs, batches=2, batch_size=4, held_out=4,
        )  # fmt: skip
        return checkpoints.load(tmp_path / "out")[1]

    card = run(1)
    assert (card["epochs"], card["width"], card["real_val_crops"]) == (1, 16, 1)
    assert checkpoints.read_seen(tmp_path / "out") == {samples[0].id}
    assert run(0) == card  # trains no further, writes the same again
