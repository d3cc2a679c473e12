"""register: an MLflow run with params, figures, curves and report, and the recogniser as a registered model's version,
which takes the champion's alias where it is no worse. What cannot be sent is kept, and `alpr register` sends it.

python -m pipeline.stages.register --models models/export --detector models/detector --student models/student \
    --refiner models/refiner --reader models/reader --manifest data/curated/manifest.jsonl --images data/raw \
    --labels data/labels --profile data/evaluated/profile.json --metrics metrics --plots plots --report report \
    --out metrics/registration.json --review review
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import params
from pipeline.registration import unsent
from pipeline.registration.finished import Finished
from pipeline.registration.promoting import one_at_a_time
from pipeline.serving import pyfunc

Option = typer.Option()


def main(
    models: Annotated[Path, Option],
    detector: Annotated[Path, Option],
    student: Annotated[Path, Option],
    refiner: Annotated[Path, Option],
    reader: Annotated[Path, Option],
    manifest: Annotated[Path, Option],
    images: Annotated[Path, Option],
    labels: Annotated[Path, Option],
    profile: Annotated[Path, Option],
    metrics: Annotated[Path, Option],
    plots: Annotated[Path, Option],
    report: Annotated[Path, Option],
    out: Annotated[Path, Option],
    review: Annotated[Path, Option],
) -> None:
    """Registers the exported models, and moves the alias if they may have it; if not, the stage is done as well."""
    finished = Finished(
        models, detector, student, refiner, reader, manifest, labels, metrics, plots, report, profile, images
    )
    try:
        settings = params.load()
        with one_at_a_time():
            registration = unsent.send_or_keep(finished, settings, pyfunc.__name__)
            others = [one for one in unsent.waiting() if one.fingerprint != registration.row.get("fingerprint")]
    except (ValueError, OSError) as error:
        raise SystemExit(f"register: {error}") from None
    registration.write(out, review)
    print(registration.sentence())
    if others:
        print(f"{len(others)} earlier still to be sent: `alpr register` does it")


if __name__ == "__main__":
    typer.run(main)
