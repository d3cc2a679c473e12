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
    from pipeline.detectors import training

    if start is None and settings.weights == "shipped":
        start = checkpoints.SHIPPED / "detector"
    training.run(data, out, work, settings, seed, start)


if __name__ == "__main__":
    typer.run(main)
