"""train_refiner: a second look at detections is learnt from the augmented crops, and from what the detector got wrong.

python -m pipeline.stages.train_refiner --data data/augmented/detector --detector models/detector --out models/refiner
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import checkpoints, params

Option = Annotated[Path, typer.Option()]


def main(
    data: Option,
    detector: Option,
    out: Option,
    work: Option = Path("checkpoints/train_refiner"),
    start: Annotated[Path | None, typer.Option(help="A checkpoint to begin from, not the shipped one.")] = None,
) -> None:
    try:
        settings = params.load()
        train_refiner(data, detector, out, work, settings.train_refiner, settings.seed, start)
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"train_refiner: {error}") from None


def train_refiner(
    data: Path, detector: Path, out: Path, work: Path, settings: params.TrainRefiner, seed: int, start: Path | None
) -> None:
    import keras

    from pipeline import fitting
    from pipeline.detectors import refiner

    keras.utils.set_random_seed(seed)
    network = refiner.build()
    if start is None and settings.weights == "shipped":
        start = checkpoints.SHIPPED / "refiner"
    seen = frozenset((data / "train" / "seen.txt").read_text(encoding="utf-8").split())
    seen |= checkpoints.read_seen(detector)
    if start is not None:
        refiner.load(network, start)
        seen |= checkpoints.read_seen(start)
    train, validation = looks(data, detector, settings, seed)
    schedule = fitting.Schedule(settings.epochs, settings.learning_rate, settings.patience, settings.ema, seed=seed)
    fingerprint = fitting.fingerprint(data, settings.model_dump(), seed, [start, detector])
    history = fitting.fit(network, refiner.loss, train, validation, schedule, work, fingerprint)
    fitting.write_history(out / "history.csv", history)
    card = {
        "kind": "refiner",
        "parameters": network.count_params(),
        "epochs": len(history),
        "val_loss": min((row["val_loss"] for row in history), default=None),
    }
    checkpoints.save(out, fitting.variables(network), card, seen)
    print(f"{out}: {network.count_params():,} parameters, {len(history)} epochs")


def looks(data: Path, detector: Path, settings: params.TrainRefiner, seed: int) -> tuple[Any, Any]:
    """Training and validation looks, with what the detector is wrong about in each."""
    from pipeline.detectors import refiner, training

    detect = training.finder(detector, settings.mistaken_score)
    sets = []
    for number, (split, count) in enumerate((("train", settings.epoch_looks), ("val", settings.val_looks))):
        wrong = refiner.mistakes(data / split, detect, settings.mistaken_crops)
        batches = max(1, count // settings.batch_size)
        sets.append(refiner.Looks(data / split, settings.batch_size, batches, seed + number, wrong))
    return sets[0], sets[1]


if __name__ == "__main__":
    typer.run(main)
