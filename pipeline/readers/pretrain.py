"""Makes the reader's shipped weights: an endless stream of rendered plates, with real crops mixed in.

    python -m pipeline.readers.pretrain --work checkpoints/pretrain_reader --out pipeline/weights/reader \\
        --manifest data/curated/manifest.jsonl --images data/raw --epochs 60

Only what the manifest puts into the training split is learnt from, and only its val split is looked at; the list
of what was learnt from goes beside the weights. A killed run goes on after its last epoch. `--epochs 0` trains no
further and writes the best weights so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pipeline.alphabet import MAX_LENGTH, readable
from pipeline.images import read_image
from pipeline.manifest import read_manifest
from pipeline.readers.crops import Labelled, RealCrop, stack
from pipeline.readers.reader import prepare
from pipeline.records import Box, Sample
from pipeline.rendering.fonts import FontBook

_HELD_OUT = 1_000_003  # a stream of its own: no training seed begins with it
_LEAST_HEIGHT = 7.0  # pixels; of smaller plates the text cannot be seen


def main(
    work: Annotated[Path, typer.Option(help="where the resumable state is kept")],
    out: Annotated[Path, typer.Option(help="where the checkpoint goes")],
    manifest: Annotated[list[Path] | None, typer.Option(help="curated manifests; may be given more than once")] = None,
    images: Annotated[Path, typer.Option(help="what the manifests' paths are relative to")] = Path("data/raw"),
    width: int = 32,
    epochs: int = 60,
    batches: int = 300,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    real_share: float = 0.2,
    fresh_share: float = 0.5,
    held_out: int = 512,
    processes: int = 1,
    seed: int = 7,
) -> None:
    from pipeline import fitting
    from pipeline.readers import training
    from pipeline.readers.rendered import rendered_batch
    from pipeline.readers.stream import RenderedPlates

    samples = [sample for path in manifest or [] for sample in read_manifest(path)]
    learnt = [sample for sample in samples if sample.split == "train" and readable_plates(sample)]
    unseen = [sample for sample in samples if sample.split == "val" and readable_plates(sample)]
    fonts = FontBook.installed()
    real = real_crops(learnt, images)
    print(f"{len(real)} real crops to learn from", flush=True)
    train = RenderedPlates(batch_size, batches, seed, real, real_share, fresh_share, fonts, processes)
    rendered = training.StoredCrops(*rendered_batch((_HELD_OUT, seed), held_out, fonts), batch_size)
    photographed = training.StoredCrops(*as_labelled(real_crops(unseen, images)), batch_size)
    network, _ = training.start(None, width)
    schedule = fitting.Schedule(epochs, learning_rate, patience=max(1, epochs), ema=0.999, seed=seed)
    identity = f"reader pretraining, width {width}"  # data may be added and epochs changed between two runs
    history = fitting.fit(network, training.loss, train, rendered, schedule, work, identity)
    train.close()
    figures = {
        "epochs": len(history),
        "rendered_exact": round(training.exact_match(network, rendered), 4),
        "real_val_exact": round(training.exact_match(network, photographed), 4),
        "real_val_crops": photographed.count,
    }
    print(figures)
    training.save(network, out, width, [sample.id for sample in learnt], figures)


def readable_plates(sample: Sample) -> list[tuple[Box, str]]:
    """The plates whose text is known and large enough to be seen, as (box, text)."""
    found = []
    for plate in sample.plates:
        text = readable(plate.text or "")
        if plate.legible and plate.box.height >= _LEAST_HEIGHT and 1 <= len(text) <= MAX_LENGTH:
            found.append((plate.box, text))
    return found


def real_crops(samples: Iterable[Sample], images: Path) -> list[RealCrop]:
    """Every readable plate of the samples, cut out of its photo."""
    crops = []
    for sample in samples:
        photo = read_image(images / sample.image)
        source = Path(sample.image).parts[0]
        crops += [RealCrop.of_box(photo, box, text, source) for box, text in readable_plates(sample)]
    return crops


def as_labelled(crops: Iterable[RealCrop]) -> Labelled:
    """The plates' own boxes, as they were labelled, undistorted."""
    chosen = list(crops)
    return stack([prepare(crop.plain) for crop in chosen], [crop.text for crop in chosen])


if __name__ == "__main__":
    typer.run(main)
