"""train_detector: trunk and head learn from the augmented crops, from shipped, ImageNet or no weights.

python -m pipeline.stages.train_detector --data data/augmented/detector --out models/detector
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import checkpoints, params

Option = Annotated[Path, typer.Option()]


def main(
    data: Option,
    out: Option,
    work: Option = Path("checkpoints/train_detector"),
    start: Annotated[Path | None, typer.Option(help="A checkpoint to begin from, not the shipped one.")] = None,
) -> None:
    try:
        settings = params.load()
        train_detector(data, out, work, settings.train_detector, settings.seed, start)
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"train_detector: {error}") from None


def train_detector(
    data: Path, out: Path, work: Path, settings: params.TrainDetector, seed: int, start: Path | None
) -> None:
    import keras

    from pipeline import fitting
    from pipeline.detectors import training

    keras.utils.set_random_seed(seed)
    network = training.build(settings)
    if start is None and settings.weights == "shipped":
        start = checkpoints.SHIPPED / "detector"
    seen = frozenset((data / "train" / "seen.txt").read_text(encoding="utf-8").split())
    if start is not None:
        training.load(network, settings, start)
        seen |= checkpoints.read_seen(start)
    fingerprint = fitting.fingerprint(data, settings.model_dump(), seed, [start])
    history = training.train(network, data, settings, seed, work, fingerprint)
    fitting.write_history(out / "history.csv", history)
    checkpoints.save(out, fitting.variables(network), training.card(network, settings, history), seen)
    print(f"{out}: {network.count_params():,} parameters, {len(history)} epochs")


if __name__ == "__main__":
    typer.run(main)
