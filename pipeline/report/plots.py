"""What `dvc plots show` draws, as CSV files in plots/: the same curves as the page's figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import metrics
from pipeline.manifest import replacing
from pipeline.metrics import Case
from pipeline.report import attribution, reliability
from pipeline.report.figures import slice_rows
from pipeline.report.reliability import Scored
from pipeline.report.tables import exact_rows

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]  # header, rows


def write(folder: Path, document: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """A file for each of dvc.yaml's `plots` that evaluation makes; one with nothing to show has its header alone."""
    test = [case for case in cases if case.sample.split == "test"]
    results, _ = metrics.outcomes(test, document["detection"]["min_score"])
    scored = Scored.of(results)
    heights = document["slices"]["height"].items()
    tables: dict[str, Table] = {
        "precision_recall": _precision_recall(test),
        "ap_by_height": (
            ("height", "ap50", "recall", "plates"),
            [(name, row.get("ap50"), row["recall"], row["plates"]) for name, row in heights],
        ),
        "recall_by_height": (
            ("height", "recall", "low", "high", "plates"),
            [(name, row["recall"], *_bounds(row, "recall"), row["plates"]) for name, row in heights],
        ),
        "exact_match": (
            ("case", "exact", "low", "high", "n"),
            [
                (f"{reader}, {place}", row["exact"], *_bounds(row, "exact"), row["n"])
                for reader, place, row in exact_rows(document)
            ],
        ),
        "exact_by_slice": _exact_by_slice(document),
        "attribution": _attribution(document["attribution"]),
        "reliability": (
            ("score", "right", "low", "high", "n", "honest"),
            [
                (row["score"], row["right"], row["low"], row["high"], row["n"], row["score"])
                for row in reliability.bins(scored)
            ],
        ),
        "coverage": (
            ("given", "wrong", "threshold", "n"),
            [(row["given"], row["wrong"], row["threshold"], row["n"]) for row in reliability.sweep(scored)],
        ),
        "confusions": (
            ("confusion", "actual", "predicted", "times"),
            [
                (f"{true or 'nothing'} read as {read or 'nothing'}", true, read, times)
                for (true, read), times in metrics.confusions(results, "network").most_common()
            ],
        ),
    }
    for name, (header, rows) in tables.items():
        _write(folder / f"{name}.csv", header, rows)


def _bounds(row: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    return row["interval"][name]["low"], row["interval"][name]["high"]


def _precision_recall(test: Sequence[Case]) -> Table:
    ranking = metrics.rank([case for case in test if case.sample.kind == "photo"])
    precision, recall = metrics.precision_recall(ranking)
    rows = zip(recall.tolist(), precision.tolist(), ranking.scores.tolist(), strict=False)
    return ("recall", "precision", "score"), rows


def _exact_by_slice(document: Mapping[str, Any]) -> Table:
    readers = list(document["ocr"])
    own, others = readers[0], readers[1:]
    rows = [
        (
            f"{facet} {value}",
            row[f"exact_{own}"],
            *_bounds(row, f"exact_{own}"),
            row["texts"],
            *(row[f"exact_{reader}"] for reader in others),
        )
        for facet, value, row in slice_rows(document)
    ]
    return ("slice", "exact", "low", "high", "n", *others), rows


def _attribution(section: Mapping[str, Any]) -> Table:
    rows = []
    for row in attribution.rows(section):
        right = section["right"]
        loss, plates = (section["loss"][row["loss"]], row["plates"]) if row["fault"] else (None, None)
        name = row["name"]
        rows.append((name, right[row["key"]], *_bounds(right, row["key"]), row["fault"], loss, plates))
    return ("swap", "right", "low", "high", "fault", "loss", "plates"), rows


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([round(v, 4) if isinstance(v, float) else v for v in row] for row in rows)
