"""Stage queue: the samples that an annotator should see first, each with its reasons, the most suspicious first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import manifest, params
from pipeline.curation import suspicion
from pipeline.curation.suspicion import Suspicion
from pipeline.records import Sample

Row = dict[str, Any]


def main(
    predictions: Annotated[Path, typer.Option()],
    manifest_: Annotated[Path, typer.Option("--manifest")],
    disagreements: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Ranks the samples of a curated manifest by how probably their labels are wrong or missing."""
    try:
        settings = params.load().queue
        samples = manifest.read_manifest(manifest_)
        predicted = manifest.read_jsonl(predictions)
        asked = manifest.read_jsonl(disagreements)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    ranked = rank(samples, predicted, asked, settings)
    manifest.write_jsonl(out, ranked[: settings.limit])
    print(summary(ranked, settings.limit))


def rank(
    samples: Sequence[Sample], predicted: Iterable[Row], asked: Iterable[Row], settings: params.Queue
) -> list[Row]:
    """Rows for the samples that there is a reason to look at, by priority, then by id."""
    by_id = {row["id"]: row for row in predicted}
    questions: dict[str, list[Row]] = defaultdict(list)
    for row in asked:
        questions[row["id"]].append(row)
    rows = []
    for sample in samples:
        found = suspicion.suspect(
            sample, by_id.get(sample.id), questions[sample.id], settings.min_score, settings.far_iou
        )
        if found:
            rows.append(_row(sample, found))
    return sorted(rows, key=lambda row: (-row["priority"], row["id"]))


def _row(sample: Sample, found: Sequence[Suspicion]) -> Row:
    return {
        "id": sample.id,
        "image": sample.image,
        "source": sample.source,
        "split": sample.split,
        "priority": round(suspicion.priority(found), 4),
        "reasons": [_reason(one) for one in found],
    }


def _reason(one: Suspicion) -> Row:
    row: Row = {"kind": one.kind, "score": round(one.score, 4), "reason": one.reason}
    if one.box is not None:
        row["box"] = list(one.box)
    if one.readings:
        row["readings"] = list(one.readings)
    return row


def summary(ranked: Sequence[Row], limit: int) -> str:
    """How many samples are queued, and for what."""
    kinds = Counter(reason["kind"] for row in ranked for reason in row["reasons"])
    told = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in sorted(kinds.items()))
    return f"{min(limit, len(ranked))} of {len(ranked)} suspicious samples are queued: {told or 'nothing to look at'}"


if __name__ == "__main__":
    typer.run(main)
