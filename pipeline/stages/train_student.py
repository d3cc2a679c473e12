"""train_student: a small detector learns from the augmented crops and from what the large one sees in them.

python -m pipeline.stages.train_student --data data/augmented/detector --teacher models/detector --out models/student
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import checkpoints, params

Option = Annotated[Path, typer.Option()]


def main(
    data: Option,
    teacher: Option,
    out: Option,
    work: Option = Path("checkpoints/train_student"),
    start: Annotated[Path | None, typer.Option(help="A checkpoint to begin from, not the shipped one.")] = None,
) -> None:
    try:
        settings = params.load()
        train_student(data, teacher, out, work, settings.train_student, settings.seed, start)
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"train_student: {error}") from None


def train_student(
    data: Path, teacher: Path, out: Path, work: Path, settings: params.TrainDetector, seed: int, start: Path | None
) -> None:
    from pipeline.detectors import training

    if start is None and settings.weights == "shipped":
        start = checkpoints.SHIPPED / "student"
    training.run(data, out, work, settings, seed, start, teacher)


if __name__ == "__main__":
    typer.run(main)
