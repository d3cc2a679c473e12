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
    import keras

    from pipeline import fitting
    from pipeline.detectors import training

    keras.utils.set_random_seed(seed)
    network = training.build(settings)
    if start is None and settings.weights == "shipped":
        start = checkpoints.SHIPPED / "student"
    # What the teacher has seen, it passes on.
    seen = frozenset((data / "train" / "seen.txt").read_text(encoding="utf-8").split()) | checkpoints.read_seen(teacher)
    if start is not None:
        training.load(network, settings, start)
        seen |= checkpoints.read_seen(start)
    fingerprint = fitting.fingerprint(data, settings.model_dump(), seed, [start, teacher])
    history = training.train(network, data, settings, seed, work, fingerprint, training.teacher(teacher, settings))
    fitting.write_history(out / "history.csv", history)
    checkpoints.save(out, fitting.variables(network), training.card(network, settings, history), seen)
    print(f"{out}: {network.count_params():,} parameters, {len(history)} epochs")


if __name__ == "__main__":
    typer.run(main)
