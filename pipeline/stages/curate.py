"""Stage curate: corrections applied, copies merged, near-duplicates and tracks grouped, groups split; a gate.

A gate that fails names each leak and leaves the old manifest in place.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from pipeline import checkpoints, images, manifest, params
from pipeline.curation import duplicates, looks, splits
from pipeline.curation.duplicates import Disagreement, Look, Picture
from pipeline.labeling import corrections
from pipeline.labeling.corrections import Applied, Correction
from pipeline.records import Plate, Sample

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Curated:
    """What curation made of the samples: one sample a picture, what annotators should look at, what was counted.

    `original` are the same samples in the same splits with the boxes that their sources drew; `copies` has the ids of
    each picture that stands in the data under several.
    """

    samples: list[Sample]
    original: list[Sample]
    copies: list[Row]
    disagreements: list[Row]
    metrics: Row
    leaks: list[str]


def main(
    manifest_: Annotated[Path, typer.Option("--manifest")],
    images_: Annotated[Path, typer.Option("--images", help="the folder that the manifest's paths start from")],
    labels: Annotated[Path, typer.Option(help="the folder of corrections")],
    out: Annotated[Path, typer.Option()],
    metrics: Annotated[Path, typer.Option()],
    looks_: Annotated[Path, typer.Option("--looks", help="a file that keeps what was seen of pictures for next time")],
) -> None:
    """Merges, groups and splits the samples of a validated manifest."""
    try:
        settings = params.load()
        samples = manifest.read_manifest(manifest_)
        known = corrections.read(labels / corrections.CORRECTIONS)
        seen = look_at(samples, images_, settings.validate_.max_pixels, looks_)
        curated = curate(samples, seen, known, settings.curate, settings.seed, seen_by_weights(settings))
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    manifest.write_json(metrics, curated.metrics)
    manifest.write_jsonl(out / "disagreements.jsonl", curated.disagreements)
    print(summary(curated.metrics))
    if curated.leaks:
        raise SystemExit("the gate of curate fails, nothing was split:\n  " + "\n  ".join(curated.leaks))
    manifest.write_jsonl(out / "copies.jsonl", curated.copies)
    manifest.write_manifest(out / "original.jsonl", curated.original)
    manifest.write_manifest(out / "manifest.jsonl", curated.samples)


def look_at(samples: Sequence[Sample], root: Path, max_pixels: int, kept: Path) -> list[Look]:
    """Decodes each distinct picture once, if the file `kept` has not its look; ImageError names one that cannot be."""
    paths = {sample.id: root / sample.image for sample in samples}
    version = looks.version(max_pixels)
    known = looks.read(kept, version)
    found = {identity: known[identity] for identity, path in paths.items() if identity in known and path.is_file()}
    new = {identity: path for identity, path in paths.items() if identity not in found}
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        decoded = pool.map(lambda path: duplicates.look(images.read_image(path, max_pixels)), new.values())
        found |= zip(new, track(decoded, "comparing pictures", total=len(new)), strict=True)
    if found.keys() != known.keys():
        looks.write(kept, version, found)
    return [found[sample.id] for sample in samples]


def seen_by_weights(settings: params.Params) -> dict[str, frozenset[str]]:
    """The ids that the shipped weights we start from were trained on, by network."""
    starts = {
        "detector": settings.train_detector.weights,
        "student": settings.train_student.weights,
        "refiner": settings.train_refiner.weights,
        "reader": settings.train_reader.weights,
    }
    folders = {name: checkpoints.SHIPPED / name for name, weights in starts.items() if weights == "shipped"}
    return {name: checkpoints.read_seen(folder) for name, folder in folders.items() if folder.exists()}


def curate(
    samples: Sequence[Sample],
    looks: Sequence[Look],
    known: Sequence[Correction],
    settings: params.Curate,
    seed: int,
    seen: Mapping[str, frozenset[str]],
) -> Curated:
    """The curation of samples and their looks, corrections and the ids that starting weights have seen."""
    pictures = duplicates.gather(samples, looks)
    merged = [duplicates.merge(p.copies, settings.merge_iou, settings.disagree_iou) for p in pictures]
    applied = apply_corrections(pictures, [plates for plates, _ in merged], known, settings.merge_iou)
    near = duplicates.near_pairs(pictures, settings.phash_distance)
    plates = [one.plates for one in applied]
    rule = splits.Rule(seed, settings.test, settings.val, settings.folds, settings.fold)
    curated = splits.split(pictures, plates, splits.group(pictures, plates, near), rule)
    found = find_leaks(curated, pictures, near, seen)
    missing = missing_corrections(samples, known)
    differing = [disagreement for _, disagreement in merged]
    counts = count(samples, pictures, curated, differing, settings.disagree_iou)
    rows = questions(pictures, differing, applied) + missing
    counts |= {
        "near_duplicate_pairs": len(near),
        "groups": len({sample.group for sample in curated}),
        "corrections_without_picture": len(missing),
        "corrections_without_box": sum(len(one.orphans) for one in applied),
        "plates_waiting": sum(len(one.waiting) for one in applied),
        "plates_in_two_official_splits": len(splits.official_overlaps(curated)),
        "moved_from_official_split": len(splits.moved(curated)),
        "leaks": len(found),
    }
    original = [replace(sample, plates=own) for sample, (own, _) in zip(curated, merged, strict=True)]
    copies = [
        {"id": sample.id, "copies": list(p.ids)} for sample, p in zip(curated, pictures, strict=True) if len(p.ids) > 1
    ]
    return Curated(curated, original, copies, rows, counts, found)


def apply_corrections(
    pictures: Sequence[Picture],
    plates: Sequence[tuple[Plate, ...]],
    known: Sequence[Correction],
    match_iou: float,
) -> list[Applied]:
    """Each picture's plates under the corrections of any of its copies, in order of id."""
    by_id = {correction.id: correction for correction in known}
    results = []
    for picture, own in zip(pictures, plates, strict=True):
        result = Applied(own, (), ())
        for identity in picture.ids:
            if (correction := by_id.get(identity)) is not None:
                after = corrections.apply(result.plates, correction, match_iou)
                result = Applied(
                    after.plates,
                    result.waiting + after.waiting,
                    result.orphans + after.orphans,
                    result.complete or after.complete,
                )
        results.append(result)
    return results


def find_leaks(
    curated: Sequence[Sample],
    pictures: Sequence[Picture],
    near: Sequence[tuple[int, int]],
    seen: Mapping[str, frozenset[str]],
) -> list[str]:
    """A sentence for each way in which a test picture is known to training, or to the weights it starts from."""
    found = splits.leaks(curated, near)
    for network, ids in seen.items():
        known = splits.seen_in_test(curated, [picture.ids for picture in pictures], ids)
        found += [
            f"test picture {sample.image} stands among those that the shipped {network} was trained on; "
            f"set train_{network}.weights to another start, or give back the seed and splits it was trained with"
            for sample in known
        ]
    return found


def questions(
    pictures: Sequence[Picture], differing: Sequence[Disagreement | None], applied: Sequence[Applied]
) -> list[Row]:
    """What only an annotator can settle, a row each, in order of sample id."""
    rows: list[Row] = []
    for picture, disagreement, one in zip(pictures, differing, applied, strict=True):
        name = {"id": picture.copies[0].id, "image": picture.copies[0].image}
        if disagreement is not None and disagreement.severe and not one.complete:
            drawn = [{"image": c.image, "boxes": [list(p.box.xyxy) for p in c.plates]} for c in picture.copies]
            lowest = round(disagreement.lowest_iou, 4)
            rows.append(
                {**name, "kind": "copies", "reasons": list(disagreement.reasons), "lowest_iou": lowest, "copies": drawn}
            )
        for wait in one.waiting:
            box, readings = list(wait.plate.box.xyxy), list(wait.readings)
            rows.append({**name, "kind": "waiting", "reasons": [wait.reason], "box": box, "readings": readings})
        for orphan in one.orphans:
            reason = "a correction's box overlaps none of the picture's plates: correct it again"
            rows.append({**name, "kind": "correction", "reasons": [reason], "box": list(orphan.plate.box.xyxy)})
    return rows


def missing_corrections(samples: Sequence[Sample], known: Sequence[Correction]) -> list[Row]:
    """A row for each correction whose picture has gone from a folder that is otherwise here."""
    ids = {sample.id for sample in samples}
    here = {Path(sample.image).parts[0] for sample in samples}
    reason = (
        "the picture of this correction is not in the data: in quarantine, beyond a limit, or gone from its source?"
    )
    return [
        {"id": one.id, "image": one.image, "kind": "correction", "reasons": [reason]}
        for one in known
        if one.id not in ids and Path(one.image).parts[0] in here
    ]


def count(
    samples: Sequence[Sample],
    pictures: Sequence[Picture],
    curated: Sequence[Sample],
    differing: Sequence[Disagreement | None],
    disagree_iou: float,
) -> Row:
    """What the data hold, for each source: files, copies, plates, texts, splits."""
    by_source: Row = {}
    for source in sorted({sample.source for sample in samples}):
        files = [sample for sample in samples if sample.source == source]
        own = [index for index, sample in enumerate(curated) if sample.source == source]
        by_bytes = Counter(sample.id for sample in files)
        copied = [index for index in own if len(pictures[index].copies) > 1]
        contradicting = {index: d for index in copied if (d := differing[index]) is not None}
        single = [i for i in contradicting if all(len(copy.plates) == 1 for copy in pictures[i].copies)]
        plates = [plate for index in own for plate in curated[index].plates]
        by_source[source] = {
            "files": len(files),
            "boxes": sum(len(sample.plates) for sample in files),
            "distinct_by_bytes": len(by_bytes),
            "groups_of_byte_copies": sum(number > 1 for number in by_bytes.values()),
            "files_in_groups_of_byte_copies": sum(number for number in by_bytes.values() if number > 1),
            "pictures": len(own),
            "groups_of_copies": len(copied),
            "files_in_groups_of_copies": sum(len(pictures[index].copies) for index in copied),
            "groups_that_disagree": len(contradicting),
            "groups_to_look_at": sum(one.severe for one in contradicting.values()),
            "single_box_groups_that_differ": sum(contradicting[i].lowest_iou < disagree_iou for i in single),
            "plates": len(plates),
            "texts": sum(plate.text is not None for plate in plates),
            "splits": {name: sum(curated[index].split == name for index in own) for name in ("train", "val", "test")},
        }
    return {"sources": by_source}


def summary(metrics: Row) -> str:
    """The counts in words, a line a source."""
    lines = []
    for source, one in metrics["sources"].items():
        parts = ", ".join(f"{number} {name}" for name, number in one["splits"].items())
        lines.append(
            f"{source}: {one['files']} files with {one['boxes']} boxes are {one['pictures']} distinct pictures "
            f"({one['distinct_by_bytes']} by bytes) with {one['plates']} plates, {one['texts']} of them read; "
            f"{one['groups_of_byte_copies']} groups of copies hold {one['files_in_groups_of_byte_copies']} files "
            f"({one['groups_of_copies']} and {one['files_in_groups_of_copies']} by pixels), "
            f"{one['groups_that_disagree']} disagree, {one['groups_to_look_at']} badly; {parts}"
        )
    lines.append(
        f"{metrics['groups']} groups, {metrics['near_duplicate_pairs']} pairs of near-duplicates, "
        f"{metrics['plates_waiting']} plates wait for an annotator"
    )
    if metrics["corrections_without_picture"] or metrics["corrections_without_box"]:
        lines.append(
            f"{metrics['corrections_without_picture']} corrections are of pictures that are not in the data and "
            f"{metrics['corrections_without_box']} of boxes that are not in their picture: see disagreements.jsonl"
        )
    if metrics["plates_in_two_official_splits"]:
        lines.append(f"{metrics['plates_in_two_official_splits']} plates are in two of their authors' own splits")
    if metrics["moved_from_official_split"]:
        lines.append(
            f"{metrics['moved_from_official_split']} pictures left their authors' split, to stand with near-duplicates"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
