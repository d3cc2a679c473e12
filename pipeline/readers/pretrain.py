"""Makes the reader's shipped weights: an endless stream of rendered plates, with real crops mixed in.

    python -m pipeline.readers.pretrain --work checkpoints/pretrain_reader --out pipeline/weights/reader \\
        --manifest data/curated/manifest.jsonl --images data/raw --epochs 60

Of the manifest only the training split is learnt from, and of the sources named by --halve the half of the plate
texts that `taught` picks; of the sources named by --leave-out nothing. The list of what was learnt from goes beside
the weights. A killed run goes on after its last epoch. `--epochs 0` trains no further and writes the best weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from pipeline.alphabet import MAX_LENGTH, readable
from pipeline.calibration import Calibration
from pipeline.images import read_image
from pipeline.manifest import read_manifest
from pipeline.readers.crops import Labelled, RealCrop, stack
from pipeline.readers.reader import prepare
from pipeline.records import Plate, Sample, Split
from pipeline.rendering.catalogue import Catalogue
from pipeline.rendering.fonts import FontBook

_HELD_OUT = 1_000_003  # a stream of its own: no training seed begins with it
_QUARTERS: tuple[Split, ...] = ("train", "val", "train", "test")  # of the plates of a halved source, by their texts
_LEAST_HEIGHT = 7.0  # pixels; of smaller plates the text cannot be seen


def main(
    work: Annotated[Path, typer.Option(help="where the resumable state is kept")],
    out: Annotated[Path, typer.Option(help="where the checkpoint goes")],
    manifest: Annotated[list[Path] | None, typer.Option(help="curated manifests; may be given more than once")] = None,
    images: Annotated[Path, typer.Option(help="what the manifests' paths are relative to")] = Path("data/raw"),
    start: Annotated[Path | None, typer.Option(help="a reader's checkpoint to go on from")] = None,
    decoder: Annotated[
        list[str] | None, typer.Option(help="ctc, slots or attention; may be given more than once")
    ] = None,
    frozen: Annotated[bool, typer.Option(help="train only what the checkpoint of --start does not hold")] = False,
    halve: Annotated[list[str] | None, typer.Option(help="sources of which half of the texts are learnt")] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="sources to learn nothing from")] = None,
    unseen: Annotated[list[str] | None, typer.Option(help="regions neither rendered nor learnt from")] = None,
    width: int = 24,
    epochs: int = 60,
    batches: int = 300,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    real_share: float = 0.15,
    fresh_share: float = 0.3,
    held_out: int = 1024,
    processes: int = 1,
    precision: Annotated[Literal["float32", "bfloat16"], typer.Option(help="that training computes in")] = "float32",
    seed: int = 7,
) -> None:
    from pipeline import fitting
    from pipeline.readers import training
    from pipeline.readers.rendered import Mixture, rendered_batch
    from pipeline.readers.stream import RenderedPlates

    samples = [sample for path in manifest or [] for sample in read_manifest(path)]
    learnt = [sample for sample in samples if taught(sample, halve or (), leave_out or (), unseen or ())]
    val = [sample for sample in samples if kept_for_val(sample, halve or (), leave_out or (), unseen or ())]
    fonts, catalogue = FontBook.installed(), Catalogue.shipped().without(unseen or ())
    real = real_crops(learnt, images)
    print(f"{len(real)} real crops to learn from, {len(catalogue.layouts)} layouts", flush=True)
    mixture = Mixture.of(batch_size, real, real_share, fresh_share, fonts, catalogue, processes)
    train = RenderedPlates(mixture, batches, seed, processes)
    rendered = training.StoredCrops(*rendered_batch((_HELD_OUT, seed), held_out, fonts, catalogue), batch_size)
    photographed = training.StoredCrops(*as_labelled(real_crops(val, images)), batch_size)
    fitting.compute_in(precision)
    network, seen = training.start(start, width, decoder or ("ctc",))
    if frozen:
        training.freeze(network, start)
    schedule = fitting.Schedule(epochs, learning_rate, patience=max(1, epochs), ema=0.999, seed=seed)
    identity = f"reader pretraining, width {width}"  # data may be added and epochs changed between two runs
    history = fitting.fit(network, training.loss, train, rendered, schedule, work, identity)
    train.close()
    figures: dict[str, Any] = {"epochs": len(history), "val_photographed": photographed.count}
    calibrations = {}
    for name in training.decoders_of(network):
        on_rendered, on_photographed = (training.judged(network, data, name) for data in (rendered, photographed))
        scores = np.concatenate([on_rendered[0], on_photographed[0]])
        calibrations[name] = Calibration.fit(scores, np.concatenate([on_rendered[1], on_photographed[1]]))
        figures[name] = {
            "rendered_exact": round(float(on_rendered[1].mean()), 4),
            "photographed_exact": round(float(on_photographed[1].mean()), 4) if photographed.count else None,
        }
    print(figures)
    training.save(network, out, width, calibrations, seen | {sample.id for sample in learnt}, figures)


def taught(
    sample: Sample, halve: Collection[str], leave_out: Collection[str] = (), unseen: Collection[str] = ()
) -> bool:
    """True where a sample may be learnt from: it has a readable plate, and is on the learning side.

    That is the training split; of the sources in `halve`, every plate whose text's SHA-256 is even, whatever its split.
    """
    return _side(sample, halve, leave_out, unseen) == "train"


def kept_for_val(
    sample: Sample, halve: Collection[str], leave_out: Collection[str] = (), unseen: Collection[str] = ()
) -> bool:
    """True where calibration and threshold may look at a sample: the val split; of halved sources, a quarter."""
    return _side(sample, halve, leave_out, unseen) == "val"


def _side(sample: Sample, halve: Collection[str], leave_out: Collection[str], unseen: Collection[str]) -> Split | None:
    """The split of a sample with a readable plate; None for one that is left out, or whose plates are of two splits."""
    source = Path(sample.image).parts[0]
    texts = [readable(plate.text or "") for plate in readable_plates(sample)]
    if not texts or source in leave_out or any(plate.region in unseen for plate in sample.plates):
        return None
    if source not in halve:
        return sample.split
    sides = {_QUARTERS[hashlib.sha256(text.encode()).digest()[-1] % 4] for text in texts}
    return sides.pop() if len(sides) == 1 else None


def readable_plates(sample: Sample) -> list[Plate]:
    """The plates whose text is known and large enough to be seen."""
    return [
        plate
        for plate in sample.plates
        if plate.legible and plate.box.height >= _LEAST_HEIGHT and 1 <= len(readable(plate.text or "")) <= MAX_LENGTH
    ]


def real_crops(samples: Iterable[Sample], images: Path) -> list[RealCrop]:
    """Every readable plate of the samples, cut out of its photo."""
    crops = []
    for sample in samples:
        photo = read_image(images / sample.image)
        source = Path(sample.image).parts[0]
        crops += [
            RealCrop.of_plate(photo, plate, readable(plate.text or ""), source) for plate in readable_plates(sample)
        ]
    return crops


def as_labelled(crops: Iterable[RealCrop]) -> Labelled:
    """The plates' own boxes, as they were labelled, undistorted."""
    chosen = list(crops)
    return stack([prepare(crop.plain) for crop in chosen], [crop.said for crop in chosen])


if __name__ == "__main__":
    typer.run(main)
