"""Stage sync_labels: the snapshot of labels in data/labels/, checked. Frozen: repro takes it as it is in git.

`alpr labels sync` brings it up to date with Label Studio, and records it in dvc.lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.labeling import conflicts, corrections, history


def main(labels: Annotated[Path, typer.Option()]) -> None:
    """Reads every line, so that a broken one is found here and not in curate; changes nothing."""
    try:
        known = corrections.read(labels / corrections.CORRECTIONS)
        annotated = history.read(labels / history.ANNOTATIONS)
        open_ = conflicts.read(labels / conflicts.CONFLICTS)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    plates = [plate for correction in known for plate in correction.plates]
    certain = sum(plate.certain for plate in plates)
    print(f"{len(known)} corrected pictures with {len(plates)} plates, {certain} of them certain")
    print(f"{len(annotated)} of them annotated in Label Studio, {len(open_)} in conflict")


if __name__ == "__main__":
    typer.run(main)
