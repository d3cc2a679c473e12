"""The note of a run, which MLflow shows on its page: the decision, how good it is, where it fails, what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from pipeline.images import read_image
from pipeline.registration import headline, markdown
from pipeline.tracking.runs import figures

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TEMPLATE = "note.md"
PICTURES = {"worst.jpg": "The worst cases, the truth green, what was found red:", "sample.jpg": "Typical ones:"}
TOP = 3 * 378  # pixels: three rows of the report's sheets
WIDTH = 840  # pixels: MLflow's page widens for a picture, and pushes out what stands beside the note
SLICES = 6


def write(
    run: Run,
    documents: Mapping[str, Any],
    registration: Mapping[str, Any],
    comparison: Mapping[str, Any] | None,
    pictures: Mapping[str, str],
) -> str:
    """Markdown for the tag mlflow.note.content. `documents` are the metrics by stage, `registration` is what became of
    the version, `comparison` the champion's figures as the report has them, and `pictures` captions by artifact.
    """
    evaluation = documents["evaluation"]
    values = figures(evaluation)
    lines = headline.lines(values)
    text = markdown.render(
        TEMPLATE,
        glance=headline.glance(values),
        run=run.info.run_id,
        experiment=run.info.experiment_id,
        test=headline.test_split(evaluation["data"]),
        sources=evaluation["data"].get("by_source", {}),
        lines=lines,
        tesseract=any(line.tesseract for line in lines),
        worst=headline.worst_slices(evaluation.get("slices", {}), SLICES),
        enough=headline.ENOUGH,
        pictures=pictures,
        registration=registration,
        comparison=comparison,
        words=quality(documents.get("curation", {})),
    )
    return markdown.spaced(text)


def log_pictures(client: MlflowClient, run: Run, report: Path) -> dict[str, str]:
    """Logs the top of the report's pictures, no wider than the note; their captions by artifact."""
    logged = {}
    for name, caption in PICTURES.items():
        if (report / name).exists():
            picture = read_image(report / name)[:TOP]
            scale = min(1.0, WIDTH / picture.shape[1])
            smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            client.log_image(run.info.run_id, smaller, artifact_file=f"note/{name}")
            logged[f"note/{name}"] = caption
    return logged


def quality(curation: Mapping[str, Any]) -> str:
    """A sentence on what curation found."""
    leaks, pairs = curation.get("leaks"), curation.get("near_duplicate_pairs")
    if leaks is None:
        return ""
    return f"Leaks between splits: {leaks}. Pairs of near-duplicates, kept in one split: {pairs}."
