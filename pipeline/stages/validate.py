"""Stage validate: every picture decoded, every row judged by a Great Expectations suite; a gate.

What fails goes to the quarantine with its reasons, the rest goes on. Above the thresholds of params.yaml the stage
fails, after the quarantine, the metrics and the Data Docs have been written.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from pipeline import boxes, manifest, params
from pipeline.curation import data_docs, expectations
from pipeline.curation.expectations import Suites, Verdict
from pipeline.manifest import ManifestError
from pipeline.records import Box, Sample

Row = dict[str, Any]
SHOWN = 20  # failing rows that a failing gate lists


@dataclass(frozen=True, slots=True)
class Pulled:
    """A line of a source's manifest.jsonl or problems.jsonl: a sample, or the reason why it is none."""

    source: str
    image: str
    sample: Sample | None = None
    reason: str = ""
    unpaired: bool = False


def main(
    raw: Annotated[Path, typer.Option(help="the folder with a folder for each source")],
    out: Annotated[Path, typer.Option()],
    quarantine: Annotated[Path, typer.Option()],
    metrics: Annotated[Path, typer.Option()],
    docs: Annotated[Path, typer.Option(help="the folder of the Data Docs")],
) -> None:
    """Judges every picture and plate of the sources in params.yaml."""
    try:
        settings = params.load()
        rows = list(chain.from_iterable(read_source(raw, source) for source in settings.sources))
        with tempfile.TemporaryDirectory() as folder:
            suites = Suites(Path(folder))
            verdict = judge(suites, rows, raw, settings.validate_)
            failures = gate(rows, verdict, settings.validate_)
            counts = {**count(rows, verdict), "gate": failures}
            data_docs.publish(suites.docs, docs, counts, quarantined(rows, verdict))
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    manifest.write_jsonl(quarantine, quarantined(rows, verdict))
    manifest.write_json(metrics, counts)
    print(summary(counts))
    if failures:
        raise SystemExit("\n".join(["the gate of validate fails:", *failures, *worst(rows, verdict)]))
    manifest.write_manifest(out, (clip(row) for index, row in enumerate(rows) if index not in verdict.reasons))


def read_source(raw: Path, source: str) -> list[Pulled]:
    """The lines of one source's manifest.jsonl and problems.jsonl. One that is no sample is kept, with the reason."""
    folder = raw / source
    if not (folder / "manifest.jsonl").exists():
        raise ManifestError(f"{folder}/manifest.jsonl is not here: pull {source} first")
    rows = []
    for row in manifest.read_jsonl(folder / "manifest.jsonl"):
        image = str(row.get("image"))
        try:
            rows.append(Pulled(source, image, manifest.sample_from_row(row)))
        except (ValueError, TypeError, KeyError) as error:
            rows.append(
                Pulled(source, image, reason=f"{error} is missing" if isinstance(error, KeyError) else str(error))
            )
    if (folder / "problems.jsonl").exists():
        for row in manifest.read_jsonl(folder / "problems.jsonl"):
            name = row.get("image") or row.get("annotation") or "?"
            rows.append(Pulled(source, name, reason=row["reason"], unpaired=row.get("kind") == "unpaired"))
    return rows


def judge(suites: Suites, rows: Sequence[Pulled], raw: Path, settings: params.Validate) -> Verdict:
    """Decodes every picture and runs both suites."""
    pictures, plates = tabulate(rows, raw, settings.max_pixels)
    parts = (
        suites.judge("pictures", pictures, expectations.PICTURE_COLUMNS, expectations.picture_rules(settings)),
        suites.judge("plates", plates, expectations.PLATE_COLUMNS, expectations.plate_rules(settings)),
    )
    reasons: dict[int, list[str]] = defaultdict(list)
    for index, sentences in chain.from_iterable(part.reasons.items() for part in parts):
        reasons[index] += sentences
    return Verdict(dict(sorted(reasons.items())), {**parts[0].broken, **parts[1].broken})


def tabulate(rows: Sequence[Pulled], raw: Path, max_pixels: int) -> tuple[list[Row], list[Row]]:
    """The rows of the two suites: pictures and plates. `row` is the index in `rows`."""
    pictures, plates = [], []
    paths = [raw / row.source / row.image if row.sample else None for row in rows]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        files = pool.map(lambda path: expectations.inspect(path, max_pixels) if path else None, paths)
        for index, (row, file) in enumerate(zip(rows, track(files, "decoding pictures", len(rows)), strict=True)):
            if row.sample is None or file is None:
                pictures.append(expectations.problem_row(index, row.source, row.image, row.reason, row.unpaired))
            else:
                pictures.append(expectations.picture_row(index, row.source, row.sample, file))
                plates += expectations.plate_rows(index, row.source, row.sample)
    return pictures, plates


def clip(row: Pulled) -> Sample:
    """The sample with its path below data/raw, and boxes cut at the edges that they reach over by a pixel."""
    if row.sample is None:
        raise ValueError(f"{row.image} is no sample")
    sample = row.sample
    plates = []
    for plate in sample.plates:
        edges = boxes.clip(np.array([plate.box.xyxy]), sample.width, sample.height)[0]
        plates.append(replace(plate, box=Box(*(float(v) for v in edges))))
    return replace(sample, image=f"{row.source}/{sample.image}", plates=tuple(plates))


def gate(rows: Sequence[Pulled], verdict: Verdict, settings: params.Validate) -> list[str]:
    """A sentence for each source and threshold that too many of its rows fail."""
    failures = []
    for source, one in count(rows, verdict)["sources"].items():
        if not one["passed"]:
            failures.append(f"{source}: none of its {one['rows']} rows is sound")
        judged = one["rows"] - one["unpaired"]
        shares = (
            (one["failed"], judged, settings.max_failed, "fail", "max_failed"),
            (one["unpaired"], one["rows"], settings.max_unpaired, "are half a pair", "max_unpaired"),
        )
        for number, total, most, what, key in shares:
            if number > most * total:
                share = f"{number} of {total} rows {what} ({number / total:.1%})"
                failures.append(f"{source}: {share}, above validate.{key} = {most:g}")
    return failures


def count(rows: Sequence[Pulled], verdict: Verdict) -> Row:
    """What each source holds and how much of it passed, and how many rows broke each rule."""
    sources: Row = {}
    for source in dict.fromkeys(row.source for row in rows):
        own = [index for index, row in enumerate(rows) if row.source == source]
        samples = [sample for index in own if (sample := rows[index].sample) is not None]
        unpaired = sum(rows[index].unpaired for index in own)
        bad = sum(index in verdict.reasons for index in own)
        sources[source] = {
            "rows": len(own),
            "passed": len(own) - bad,
            "failed": bad - unpaired,
            "unpaired": unpaired,
            "plates": sum(len(sample.plates) for sample in samples),
            **{f"{kind}s": number for kind, number in Counter(sample.kind for sample in samples).items()},
        }
    return {"sources": sources, "broken_rules": {name: number for name, number in verdict.broken.items() if number}}


def quarantined(rows: Sequence[Pulled], verdict: Verdict) -> list[Row]:
    """A row for each one that failed: where it stands and why, sorted by source and image."""
    found = []
    for index, reasons in verdict.reasons.items():
        row = rows[index]
        name: Row = {"source": row.source, "image": row.image}
        if row.sample is not None:
            name["id"] = row.sample.id
        found.append({**name, "reasons": reasons})
    return sorted(found, key=lambda row: (row["source"], row["image"], row["reasons"]))


def worst(rows: Sequence[Pulled], verdict: Verdict) -> list[str]:
    """The first failing rows in words, and where the others and their mending are."""
    found = quarantined(rows, verdict)
    lines = [f"  {row['source']}: {row['image']}: {'; '.join(row['reasons'])}" for row in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more in the quarantine file")
    return [*lines, "mend them where the source comes from and pull it again, or raise the threshold in params.yaml"]


def summary(counts: Row) -> str:
    """A line for each source."""
    return "\n".join(
        f"{source}: {one['passed']} of {one['rows']} rows pass, with {one['plates']} plates pulled; "
        f"{one['failed']} fail, {one['unpaired']} are half a pair"
        for source, one in counts["sources"].items()
    )


if __name__ == "__main__":
    typer.run(main)
