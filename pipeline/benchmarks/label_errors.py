"""Measures how well the queue finds wrong labels, and what the figures gain when they are mended: `make bench-queue`.

python -m pipeline.benchmarks.label_errors --curated data/curated --images data/raw --out docs/bench-queue.md

A tenth of the pictures get one wrong label each (pipeline/curation/corruption.py says what is wrong with them), the
queue ranks all pictures of the set, and what counts is how many of the wrong ones stand in its first 10 % and 20 %.
This is drawn many times. Every photo is looked at once, as detections don't depend on labels; plates are read again
where a label was moved or added. Pictures that the networks learnt from are measured by themselves: there a wrong label
stands out more than it would in new data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from pipeline import metrics, params
from pipeline.benchmarks.pages import heading, line, show
from pipeline.checkpoints import SHIPPED, CheckpointError, read_seen
from pipeline.curation import predictions, suspicion
from pipeline.curation.corruption import KINDS, Corruption, Kind, corrupt
from pipeline.images import read_image
from pipeline.manifest import read_jsonl, read_manifest, replacing, write_json
from pipeline.metrics import Case
from pipeline.recognizer import MIN_SCORE, Recognizer, cut
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample

BENCHMARK = "bench-queue"
FLOOR = 0.01  # AP looks at detections far below the working point
FIRST = (0.1, 0.2)  # parts of the queue that are looked at
MENDED = 0.2  # the part whose labels are mended
SETS: Mapping[str, tuple[str, ...]] = {
    "test": ("test",),
    "val": ("val",),
    "test and val": ("test", "val"),
    "train": ("train",),
}
TOLD: Mapping[Kind, str] = {
    "retyped": "a text with one or two wrong characters",
    "shifted": "a box beside its plate",
    "dropped": "a plate without a label",
    "added": "a label where no plate is",
}
FIGURES = {"ap50": "AP50", "recall": f"recall at score {MIN_SCORE:g}", "exact": "exact match"}

Row = dict[str, Any]
Place = tuple[str, Box, Quad | None]  # a picture's id, and what is cut out of it


@dataclass(frozen=True, slots=True)
class Draw:
    """One time that labels were made wrong: the samples then, and what is wrong with them."""

    samples: Sequence[Sample]
    made: Sequence[Corruption]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the networks make of the pictures: by a picture's id, and by a plate's place on it."""

    detections: dict[str, tuple[Detection, ...]] = field(default_factory=dict)  # best first
    found: dict[str, tuple[Reading, ...]] = field(default_factory=dict)  # of those at the working point
    labelled: dict[Place, Reading] = field(default_factory=dict)

    def case(self, sample: Sample) -> Case:
        readings = {place: self.labelled[_place(sample, plate)] for place, plate in enumerate(sample.plates)}
        return Case(sample, self.detections[sample.id], {"network": self.found[sample.id]}, {"network": readings})

    def row(self, sample: Sample) -> Row:
        """The sample's line of predictions.jsonl."""
        case = self.case(sample)
        return predictions.row(sample, case.detections, case.found["network"], case.labelled)


@dataclass(frozen=True, slots=True)
class Measured:
    """One set of pictures: where the queue puts the wrong labels of each draw, and the figures on its labels."""

    name: str
    pictures: int
    learnt: int | None  # pictures that the networks learnt from; None: not known
    places: Sequence[Mapping[str, int]]  # of each draw: sample id of a wrong label -> its place in the queue, from 0
    kinds: Sequence[Mapping[str, Kind]]
    figures: Mapping[str, Sequence[Mapping[str, float]]]  # by labels: wrong, mended, clean; of each draw


def main(
    curated: Annotated[Path, typer.Option(help="the folder that curate writes")] = Path("data/curated"),
    images: Annotated[Path, typer.Option(help="the folder that the manifest's paths start from")] = Path("data/raw"),
    out: Annotated[Path, typer.Option(help="the tables, as Markdown; figures beside them, as JSON")] = Path(
        "docs/bench-queue.md"
    ),
    model: Annotated[Path, typer.Option(help="a folder with a bundle.json")] = SHIPPED / "export",
    source: Annotated[str | None, typer.Option(help="only pictures of this source")] = None,
    share: Annotated[float, typer.Option(help="of the pictures that get a wrong label")] = 0.1,
    draws: Annotated[int, typer.Option(help="how often labels are made wrong")] = 50,
    seed: Annotated[int, typer.Option(help="of the first draw")] = 0,
    readme: Annotated[Path | None, typer.Option(help="a page that shows it in brief between two marks")] = None,
) -> None:
    """Measures, prints, and writes the tables."""
    try:
        settings = params.load().queue
        samples = chosen(read_manifest(curated / "manifest.jsonl"), source)
        asked = read_jsonl(curated / "disagreements.jsonl")
        seeds = range(seed, seed + draws)
        sets = sets_of(samples)
        drawn = {name: [Draw(*corrupt(own, share, one)) for one in seeds] for name, own in sets.items()}
        if not any(draw.made for own in drawn.values() for draw in own):
            raise ValueError(f"{curated} has too few photos of {source or 'any source'} for a wrong label")
        recognizer = Recognizer.load(model)
        seen = look(
            [*samples, *(one for own in drawn.values() for draw in own for one in draw.samples)], images, recognizer
        )
        learnt = learnt_from(model)
        measured = [measure(name, sets[name], drawn[name], seen, asked, settings, learnt) for name in drawn]
        page = table(measured, source or "all sources", share, draws)
        with replacing(out) as file:
            file.write(page)
        write_json(out.with_suffix(".json"), as_row(measured, source, share, seeds))
        if readme is not None:
            show(readme, BENCHMARK, brief(measured))
    except (ValueError, OSError) as error:
        raise SystemExit(f"{BENCHMARK}: {error}") from None
    print(page)


def chosen(samples: Iterable[Sample], source: str | None) -> list[Sample]:
    return [sample for sample in samples if sample.kind == "photo" and source in (None, sample.source)]


def sets_of(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The sets of pictures by name, those left out that lack one of their splits."""
    present = {sample.split for sample in samples}
    return {
        name: [sample for sample in samples if sample.split in splits]
        for name, splits in SETS.items()
        if present.issuperset(splits)
    }


def learnt_from(model: Path) -> frozenset[str] | None:
    """The pictures that a bundle's detector was trained on, by the checkpoint beside it; None where there is none."""
    try:
        return read_seen(model.parent / "detector")
    except CheckpointError:
        return None


# What the networks see


def look(samples: Iterable[Sample], images: Path, recognizer: Recognizer) -> Seen:
    """Detects once in every picture, and reads once every place that any of the samples labels."""
    labelled: dict[str, dict[Place, None]] = {}  # as a set that keeps its order
    paths: dict[str, str] = {}
    for sample in samples:
        paths[sample.id] = sample.image
        labelled.setdefault(sample.id, {}).update(dict.fromkeys(_place(sample, plate) for plate in sample.plates))
    seen = Seen()
    for identity, plates in track(labelled.items(), description="finding and reading"):
        picture = read_image(images / paths[identity])
        detections = tuple(recognizer.detector.detect([picture], FLOOR)[0])
        sure = [one for one in detections if one.score >= MIN_SCORE]
        crops = [*(cut(picture, one.box, one.quad) for one in sure), *(cut(picture, *key[1:]) for key in plates)]
        readings = recognizer.reader.read(crops) if crops else []
        seen.detections[identity] = detections
        seen.found[identity] = tuple(readings[: len(sure)])
        seen.labelled.update(zip(plates, readings[len(sure) :], strict=True))
    return seen


def _place(sample: Sample, plate: Plate) -> Place:
    return sample.id, plate.box, plate.quad


# The figures


def measure(
    name: str,
    clean: Sequence[Sample],
    draws: Sequence[Draw],
    seen: Seen,
    asked: Sequence[Row],
    settings: params.Queue,
    learnt: frozenset[str] | None,
) -> Measured:
    """Ranks the pictures of each draw, and mends the labels of the first ones."""
    truth = {sample.id: sample for sample in clean}
    places: list[dict[str, int]] = []
    figures: dict[str, list[dict[str, float]]] = {"wrong": [], "mended": [], "clean": []}
    whole = quality([seen.case(sample) for sample in clean])
    for draw in draws:
        order = queue(draw.samples, seen, asked, settings)
        places.append({one.sample: order.index(one.sample) for one in draw.made})
        first = set(order[: math.ceil(MENDED * len(order))])
        mended = [truth[sample.id] if sample.id in first else sample for sample in draw.samples]
        figures["wrong"].append(quality([seen.case(sample) for sample in draw.samples]))
        figures["mended"].append(quality([seen.case(sample) for sample in mended]))
        figures["clean"].append(whole)
    return Measured(
        name,
        len(clean),
        None if learnt is None else len(learnt & truth.keys()),
        places,
        [{one.sample: one.kind for one in draw.made} for draw in draws],
        figures,
    )


def queue(samples: Sequence[Sample], seen: Seen, asked: Sequence[Row], settings: params.Queue) -> list[str]:
    """The ids of all samples as an annotator would see them; those without a suspicion come last."""
    ranked = suspicion.rank(samples, [seen.row(sample) for sample in samples], asked, settings)
    first = [one.sample.id for one in ranked]
    return [*first, *sorted({sample.id for sample in samples} - set(first))]


def quality(cases: Sequence[Case]) -> dict[str, float]:
    """AP50, recall at the working point and exact match on labelled plates: what an evaluation on these labels says."""
    ranking = metrics.rank(cases)
    total = np.array([ranking.plates.sum()])
    right = sought = 0
    for case in cases:
        plates, detections = metrics.sought(case)
        sure = [one for one in detections if one.score >= MIN_SCORE]
        right += int((metrics.match(metrics.box_array(plates), metrics.box_array(sure), 0.5) >= 0).sum())
        sought += len(plates)
    read = [one.labelled["network"] == one.truth for one in metrics.outcomes(cases, MIN_SCORE)[0] if one.truth]
    return {
        "ap50": float(metrics.average_precision(ranking.right[0], np.ones((1, len(ranking.scores))), total)[0]),
        "recall": right / max(sought, 1),
        "exact": float(np.mean(read)) if read else float("nan"),
    }


def found(measured: Measured, first: float) -> list[float]:
    """Of each draw, the share of the wrong labels that stand in that first part of the queue."""
    last = math.ceil(first * measured.pictures)
    return [float(np.mean([place < last for place in own.values()])) for own in measured.places if own]


def found_by_kind(measured: Measured, first: float) -> dict[Kind, tuple[int, float | None]]:
    """For each kind, how many wrong labels all draws have, and the share of them in that first part of the queue."""
    last = math.ceil(first * measured.pictures)
    own: dict[Kind, list[bool]] = {kind: [] for kind in KINDS}
    for places, kinds in zip(measured.places, measured.kinds, strict=True):
        for identity, place in places.items():
            own[kinds[identity]].append(place < last)
    return {kind: (len(hits), float(np.mean(hits)) if hits else None) for kind, hits in own.items()}


def ranking_precision(measured: Measured) -> list[float]:
    """Of each draw, the average precision of the queue as a ranking of pictures by whether a label is wrong."""
    values = []
    for own in measured.places:
        ranks = np.sort(list(own.values())) + 1
        if len(ranks):
            values.append(float(np.mean(np.arange(1, len(ranks) + 1) / ranks)))
    return values


def spread(values: Sequence[float]) -> Row:
    """Mean over draws, and the interval that holds 95 % of them."""
    low, high = np.percentile(values, (2.5, 97.5)) if values else (float("nan"),) * 2
    return {"mean": float(np.mean(values)), "low": float(low), "high": float(high)}


# The page


def as_row(measured: Sequence[Measured], source: str | None, share: float, seeds: range) -> Row:
    return {
        "source": source,
        "share": share,
        "seeds": [seeds.start, seeds.stop - 1],
        "sets": [
            {
                "name": one.name,
                "pictures": one.pictures,
                "learnt_from": one.learnt,
                "wrong": sum(len(own) for own in one.places),
                "found": {f"{first:g}": spread(found(one, first)) for first in FIRST},
                "average_precision": spread(ranking_precision(one)),
                "by_kind": {
                    kind: {"wrong": count, **{f"{first:g}": found_by_kind(one, first)[kind][1] for first in FIRST}}
                    for kind, (count, _) in found_by_kind(one, FIRST[0]).items()
                },
                "figures": {
                    labels: {name: spread([draw[name] for draw in own]) for name in FIGURES}
                    for labels, own in one.figures.items()
                },
            }
            for one in measured
        ],
    }


def table(measured: Sequence[Measured], source: str, share: float, draws: int) -> str:
    """The figures as a page of Markdown."""
    lines = [
        f"{source}: {100 * share:g} % of the pictures get one wrong label, drawn {draws} times, the kinds evenly. The "
        "queue ranks all pictures of a set. Figures are means over the draws, in brackets the interval that holds 95 % "
        "of them. By chance the first 10 % and 20 % of the queue would hold 0.1 and 0.2 of the wrong labels.",
        "",
        "**Wrong labels found** (learnt from: pictures that the networks were trained on, where a wrong label stands "
        "out more than in new data)",
        "",
        *heading(["pictures", "count", "learnt from", *_first_columns(), "average precision"]),
        *(
            line([one.name, str(one.pictures), "-" if one.learnt is None else str(one.learnt), *_found_cells(one)])
            for one in measured
        ),
        "",
    ]
    for one in measured:
        lines += [
            f"**By kind, {one.name}** (count: wrong labels of all draws)",
            "",
            *heading(["what is wrong", "count", *_first_columns()]),
            *_kind_lines(one),
            "",
        ]
    for one in measured:
        lines += [
            f"**What an evaluation says, {one.name}**, by the labels that it is done on; mended: with the first "
            f"{100 * MENDED:g} % of the queue put right",
            "",
            *heading(["labels", *FIGURES.values()]),
            *_figure_lines(one),
            "",
        ]
    return "\n".join(lines[:-1]) + "\n"


def brief(measured: Sequence[Measured]) -> str:
    """One line for each set: how much of what is wrong the queue finds."""
    lines = heading(["pictures", *_first_columns(), "average precision"])
    return "\n".join([*lines, *(line([one.name, *_found_cells(one)]) for one in measured)]) + "\n"


def _first_columns() -> list[str]:
    return [f"in the first {100 * first:g} %" for first in FIRST]


def _found_cells(one: Measured) -> list[str]:
    return [*(_told(spread(found(one, first))) for first in FIRST), _told(spread(ranking_precision(one)))]


def _kind_lines(one: Measured) -> list[str]:
    shares = [found_by_kind(one, first) for first in FIRST]
    return [
        line([TOLD[kind], str(shares[0][kind][0]), *(_share(own[kind][1]) for own in shares)]) for kind in sorted(KINDS)
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _figure_lines(one: Measured) -> list[str]:
    lines = [
        line([labels, *(_told(spread([draw[name] for draw in own])) for name in FIGURES)])
        for labels, own in one.figures.items()
    ]
    gained = zip(one.figures["mended"], one.figures["wrong"], strict=True)
    differences = [{name: after[name] - before[name] for name in FIGURES} for after, before in gained]
    cells = [_told(spread([row[name] for row in differences]), "+") for name in FIGURES]
    return [*lines, line(["mended less wrong", *cells])]


def _told(row: Row, sign: str = "") -> str:
    return f"{row['mean']:{sign}.3f} [{row['low']:{sign}.3f}, {row['high']:{sign}.3f}]"


if __name__ == "__main__":
    typer.run(main)
