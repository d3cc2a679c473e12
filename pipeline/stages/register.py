"""register: an MLflow run with params, figures, curves and report, and the recogniser as a registered model's version.

python -m pipeline.stages.register --models models/export --detector models/detector --student models/student \
    --refiner models/refiner --reader models/reader --metrics metrics --report report --out metrics/registration.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import params
from pipeline.manifest import write_json
from pipeline.registration.run import register
from pipeline.serving import pyfunc
from pipeline.tracking import runs, store

Option = typer.Option()


def main(
    models: Annotated[Path, Option],
    detector: Annotated[Path, Option],
    student: Annotated[Path, Option],
    refiner: Annotated[Path, Option],
    reader: Annotated[Path, Option],
    metrics: Annotated[Path, Option],
    report: Annotated[Path, Option],
    out: Annotated[Path, Option],
) -> None:
    """Registers the exported models, and moves the alias where they are no worse than its holder."""
    from mlflow.exceptions import MlflowException

    try:
        settings = params.load()
        documents = runs.read_metrics(metrics)
        hashes = runs.data_hashes(Path("dvc.lock"), settings.sources)
        trained = (detector, student, refiner, reader)
        curves = {folder.name: runs.read_curves(folder / "history.csv") for folder in trained}
        registration = register(settings, documents, hashes, curves, models, report, pyfunc.__name__)
    except MlflowException as error:
        message = f"register: MLflow at {store.uri()} fails: {error.message}"
        raise SystemExit(store.without_password(message)) from None
    except (ValueError, OSError) as error:
        raise SystemExit(f"register: {error}") from None
    write_json(out, registration)
    verb = "moves to it" if registration["moved"] else "stays"
    print(
        f"{registration['model']} version {registration['version']}: {registration['alias']} {verb}: "
        f"{registration['reason']}"
    )


if __name__ == "__main__":
    typer.run(main)
