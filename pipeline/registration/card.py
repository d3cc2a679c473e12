"""The model card of a version: what it is, how to use it, how good it is, where it fails, what it learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.bundle import Bundle
from pipeline.registration import headline, markdown
from pipeline.registration.nested import NETWORKS
from pipeline.tracking.runs import figures

if TYPE_CHECKING:
    from mlflow.entities import Run

TEMPLATE = "card.md"
SLICES = 3
LICENCES = {
    "kaggle": "CC0 1.0",
    "ufpr": "UFPR-ALPR's, signed; research only",
    "synthetic": "drawn by this project",
    "voc": "its owner's",
    "crops": "its owner's",
    "negatives": "its owner's",
}
LONGEST = 5000  # characters of a description that MLflow's database holds


def write(settings: params.Params, bundle: Bundle, evaluation: Mapping[str, Any], run: Run) -> str:
    """Markdown for README.md of the model's files and the version's description."""
    data, tags = evaluation["data"], run.data.tags
    starts = {name: getattr(settings, f"train_{name}").weights for name in NETWORKS}
    return markdown.render(
        TEMPLATE,
        model=settings.register_.model,
        alias=settings.register_.alias,
        bundle=bundle,
        threshold=threshold(bundle),
        test=headline.test_split(data),
        lines=headline.lines(figures(evaluation)),
        worst=headline.worst_slices(evaluation.get("slices", {}), SLICES),
        sources=data.get("by_source", {}),
        licences=LICENCES,
        shipped=listed(name for name, start in starts.items() if start == "shipped"),
        imagenet=listed(name for name, start in starts.items() if start == "imagenet"),
        run=run.info.run_id,
        commit=tags.get("mlflow.source.git.commit", ""),
        dirty=tags.get("git.dirty") == "true",
        test_set=data["test_set"],
    )


def threshold(bundle: Bundle) -> str:
    """The score from which on a text is given."""
    return f"{bundle.reader.get('calibration', {}).get('threshold', 0):.3f}"


def listed(names: Iterable[str]) -> str:
    """detector, refiner and reader"""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def description(card: str) -> str:
    """The card as a version's description: with room in its tables, and cut at the last section that fits."""
    card = markdown.spaced(card)
    if len(card) <= LONGEST:
        return card
    more = "\n\nREADME.md among the version's files has the rest.\n"
    return card[: card.rindex("\n## ", 0, LONGEST - len(more))].rstrip() + more
