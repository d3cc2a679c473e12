"""Stage queue: the samples that an annotator should see first, each with its reasons, the most suspicious first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import manifest, params
from pipeline.curation import suspicion
from pipeline.curation.suspicion import Suspected, Suspicion
from pipeline.labeling import conflicts, history

Row = dict[str, Any]


def main(
    predictions: Annotated[Path, typer.Option()],
    manifest_: Annotated[Path, typer.Option("--manifest")],
    disagreements: Annotated[Path, typer.Option()],
    labels: Annotated[Path, typer.Option(help="the folder of what annotators said, and what they disagree in")],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Ranks the samples of a curated manifest by how probably their labels are wrong or missing.

    What an annotator has answered is not asked again, unless another one, or a change of the labels here, disagrees.
    """
    try:
        settings = params.load().queue
        samples = manifest.read_manifest(manifest_)
        predicted = manifest.read_jsonl(predictions)
        asked = manifest.read_jsonl(disagreements)
        unsettled = conflicts.read(labels / conflicts.CONFLICTS)
        annotated = history.read(labels / history.ANNOTATIONS)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    answered = {one.id for one in annotated.values() if one.merged is not None} - unsettled.keys()
    questions = asked + [asdict(one) for one in unsettled.values()]
    ranked = suspicion.rank((one for one in samples if one.id not in answered), predicted, questions, settings)
    manifest.write_jsonl(out, [_row(one) for one in ranked[: settings.limit]])
    print(summary(ranked, settings.limit))


def _row(suspected: Suspected) -> Row:
    sample = suspected.sample
    return {
        "id": sample.id,
        "image": sample.image,
        "source": sample.source,
        "split": sample.split,
        "priority": round(suspected.priority, 4),
        "reasons": [_reason(one) for one in suspected.found],
    }


def _reason(one: Suspicion) -> Row:
    row: Row = {"kind": one.kind, "score": round(one.score, 4), "reason": one.reason}
    if one.box is not None:
        row["box"] = list(one.box)
    if one.readings:
        row["readings"] = list(one.readings)
    return row


def summary(ranked: Sequence[Suspected], limit: int) -> str:
    """How many samples are queued, and for what."""
    kinds = Counter(one.kind for suspected in ranked for one in suspected.found)
    told = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in sorted(kinds.items()))
    return f"{min(limit, len(ranked))} of {len(ranked)} suspicious samples are queued: {told or 'nothing to look at'}"


if __name__ == "__main__":
    typer.run(main)
