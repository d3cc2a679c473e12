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
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import fitting
from pipeline.alphabet import MAX_LENGTH, readable
from pipeline.images import RGB, read_image
from pipeline.manifest import read_manifest
from pipeline.readers import training
from pipeline.readers.crops import RealCrop, rendered_batch, stack
from pipeline.readers.reader import prepare
from pipeline.records import Sample, Split
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
    samples = [sample for path in manifest or [] for sample in read_manifest(path)]
    learnt = [sample for sample in samples if sample.split == "train"]
    real = real_crops(learnt, images, "train")
    print(f"{len(real)} real crops to learn from, out of {len(samples)} samples", flush=True)
    fonts = FontBook.installed()
    network, _ = training.start(None, width)
    train = training.RenderedPlates(batch_size, batches, seed, real, real_share, fresh_share, fonts, processes)
    rendered = validation(*rendered_batch((_HELD_OUT, seed), held_out, fonts))
    unseen = real_crops(samples, images, "val")
    photographed = validation(*stack([prepare(plain(crop)) for crop in unseen], [crop.text for crop in unseen]))
    schedule = fitting.Schedule(epochs, learning_rate, patience=max(1, epochs), ema=0.999, seed=seed)
    history = fitting.fit(
        network, training.loss, train, rendered, schedule, work, fingerprint=f"reader pretraining, width {width}"
    )
    train.close()
    figures = {
        "epochs": len(history),
        "rendered_exact": round(training.exact_match(network, rendered), 4),
        "rendered_count": held_out,
        "real_val_exact": round(training.exact_match(network, photographed), 4),
        "real_val_count": len(unseen),
    }
    print(figures)
    training.save(network, out, width, [sample.id for sample in learnt], figures)


def real_crops(samples: Iterable[Sample], images: Path, split: Split) -> list[RealCrop]:
    """Every plate of a split whose text is known and can be seen, cut out of its photo."""
    crops = []
    for sample in samples:
        plates = [p for p in sample.plates if p.text and p.legible and p.box.height >= _LEAST_HEIGHT]
        if sample.split != split or not plates:
            continue
        photo = read_image(images / sample.image)
        for plate in plates:
            text = readable(plate.text or "")
            if 1 <= len(text) <= MAX_LENGTH:
                crops.append(RealCrop.of_box(photo, plate.box, text, Path(sample.image).parts[0]))
    return crops


def plain(crop: RealCrop) -> RGB:
    """The plate's own box, as labelled."""
    (left, top), _, (right, bottom), _ = np.rint(crop.corners).astype(int)
    return crop.picture[top:bottom, left:right]


def validation(crops: NDArray[Any], labels: NDArray[Any]) -> training.StoredCrops:
    return training.StoredCrops(crops, labels, 64, seed=0, shuffle=False)


if __name__ == "__main__":
    typer.run(main)
