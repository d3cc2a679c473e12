"""Stage sync_labels: checks the snapshot of label corrections in data/labels/. Frozen: repro takes it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.labeling import corrections


def main(labels: Annotated[Path, typer.Option()]) -> None:
    """Reads every correction, so that a broken line is found here and not in curate; changes nothing."""
    try:
        known = corrections.read(labels / corrections.CORRECTIONS)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    plates = [plate for correction in known for plate in correction.plates]
    certain = sum(plate.certain for plate in plates)
    print(f"{len(known)} corrected pictures with {len(plates)} plates, {certain} of them certain")


if __name__ == "__main__":
    typer.run(main)
