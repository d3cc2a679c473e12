"""train_reader: the OCR network learns from the augmented crops, from the shipped weights or from nothing.

python -m pipeline.stages.train_reader --data data/augmented/reader --out models/reader
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline import checkpoints, params


def main(
    data: Annotated[Path, typer.Option(help="data/augmented/reader")],
    out: Annotated[Path, typer.Option(help="where the checkpoint and its curves go")],
    work: Annotated[Path, typer.Option(help="where the resumable state is kept")] = Path("checkpoints/train_reader"),
) -> None:
    try:
        settings = params.load()
        train_reader(data, out, work, settings.train_reader, settings.seed)
    except (ValueError, RuntimeError) as error:  # every error of ours is a sentence for the person who runs this
        raise SystemExit(f"train_reader: {error}") from None


def train_reader(data: Path, out: Path, work: Path, settings: params.TrainReader, seed: int) -> None:
    from pipeline import fitting
    from pipeline.calibration import Calibration, coverage, expected_error
    from pipeline.readers import training

    crops, labels, learnt = training.load_stored(data / "train")
    val_crops, val_labels, _ = training.load_stored(data / "val")
    fitting.compute_in(settings.precision)
    network, seen = training.start(starting_weights(settings.weights), settings.width, (settings.decoder,))
    train = training.StoredCrops(crops, labels, settings.batch_size, seed, shuffle=True)
    validation = training.StoredCrops(val_crops, val_labels, settings.batch_size)
    schedule = fitting.Schedule(settings.epochs, settings.learning_rate, settings.patience, settings.ema, seed=seed)
    fingerprint = fitting.fingerprint(data, settings.model_dump(), seed, [starting_weights(settings.weights)])
    history = fitting.fit(network, training.loss, train, validation, schedule, work, fingerprint)
    scores, right = training.judged(network, validation, settings.decoder)
    calibration = Calibration.fit(scores, right)
    sure = np.array([calibration(score) for score in scores])
    given, wrong = coverage(sure, right, calibration.threshold)
    figures = {
        "epochs": len(history),
        "val_exact": float(right.mean()),
        "val_calibration_error": expected_error(sure, right),
        "val_given": given,
        "val_given_wrong": wrong,
    }
    fitting.write_history(out / "history.csv", history)
    training.save(network, out, settings.width, {settings.decoder: calibration}, seen | set(learnt), figures)
    print(
        f"{out}: {len(crops):,} crops, {len(history)} epochs; on val {figures['val_exact']:.3f} read exactly, "
        f"{given:.3f} given at a score of {calibration.threshold:.3f}, {wrong:.3f} of these wrong"
    )


def starting_weights(choice: str) -> Path | None:
    """The folder of the weights to start from; None to start from nothing."""
    if choice == "none":
        return None
    folder = checkpoints.SHIPPED / "reader"
    if not (folder / "card.json").exists():
        raise checkpoints.CheckpointError(
            f"train_reader.weights is `shipped`, but {folder} holds no checkpoint; "
            "restore it, or set train_reader.weights to none in params.yaml"
        )
    return folder


if __name__ == "__main__":
    typer.run(main)
