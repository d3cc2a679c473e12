"""augment: curated samples -> training crops as memory-mapped arrays, and a contact sheet to look at.

`--out` still holds what the last run made: a crop that depends on nothing that has changed is taken over from there.

python -m pipeline.stages.augment --manifest data/curated/manifest.jsonl --images data/raw --out data/augmented
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from pipeline import augmentation, params, reuse
from pipeline.alphabet import CHARACTERS, MAX_LENGTH, readable
from pipeline.augmentation import MAX_PLATES, Ingredients, Photos, Recipe, View
from pipeline.images import RGB, encode_jpeg, read_image
from pipeline.manifest import read_manifest, replacing, replacing_folder
from pipeline.readers import crops as reader_crops
from pipeline.readers.crops import LABEL, RealCrop
from pipeline.readers.reader import HEIGHT, WIDTH
from pipeline.readers.rendered import rendered_batch
from pipeline.records import Plate, Sample
from pipeline.rendezvous import Pool

WORKERS = 2
CHUNK = 32
FEW = 1000  # crops that are made in this process before others would have started


Option = Annotated[Path, typer.Option()]


def main(manifest: Option, images: Option, out: Option) -> None:
    try:
        settings = params.load()
        samples = read_manifest(manifest)
        augment(samples, images, out, settings.augment, settings.seed)
    except ValueError as error:
        raise SystemExit(f"augment: {error}") from None


def augment(samples: Sequence[Sample], images: Path, out: Path, settings: params.Augment, seed: int) -> None:
    code = reuse.code(Path(__file__), "albumentations", "cv2", "matplotlib", "numpy", "PIL")
    with replacing_folder(out) as folder:
        for split, detector_count, reader_count in (
            ("train", settings.detector_crops, settings.reader_crops),
            ("val", settings.detector_val_crops, settings.reader_val_crops),
        ):
            chosen = [sample for sample in samples if sample.split == split]
            seeds = [seed, 0 if split == "train" else 1]
            detector, reader = (
                reuse.Rows(folder / name / split, out / name / split, code) for name in ("detector", "reader")
            )
            write_detector(detector, chosen, images, settings, detector_count, seeds, split)
            rendered = settings.reader_rendered if split == "train" else settings.reader_val_crops
            write_reader(reader, chosen, images, reader_count, rendered, [*seeds, 2])
        sheet = contact_sheet(folder / "detector" / "train", folder / "reader" / "train")
        with replacing(folder / "contact_sheet.jpg", "wb") as file:
            file.write(encode_jpeg(sheet))


def write_detector(
    rows: reuse.Rows,
    samples: Sequence[Sample],
    images: Path,
    settings: params.Augment,
    count: int,
    seeds: list[int],
    split: str,
) -> None:
    """Writes the detector's crops of one split (pipeline/detectors/crops.py says how they lie)."""
    photos = [sample for sample in samples if sample.kind == "photo"]
    if not photos:
        raise ValueError(f"no photo stands in the split `{split}`: add data, or change curate's shares in params.yaml")
    learnt = samples if split == "train" else photos  # crops lend their plates to photos
    ingredients = Ingredients(learnt, settings)
    if split == "train":
        recipes = [ingredients.drawn(seeds, index) for index in range(count)]
    else:
        recipes = ingredients.plain()[:count]
    size = settings.detector_size
    types = {
        "images": np.dtype((np.uint8, (size, size, 3))),
        "corners": np.dtype((np.float32, (MAX_PLATES, 6, 2))),
        "kinds": np.dtype((np.uint8, (MAX_PLATES,))),
    }
    made = rows.write(recipes, types, partial(_detector_rows, recipes, images))
    _say(rows, made, len(recipes))
    write_seen(rows.out, learnt)


def _detector_rows(recipes: Sequence[Recipe], images: Path, missing: Sequence[int]) -> Iterator[reuse.Row]:
    views = _views([recipes[index] for index in missing], images)
    for index, view in zip(missing, track(views, "detector crops", len(missing)), strict=True):
        yield index, (view.image, *augmentation.pack(view.plates))


def _views(recipes: Sequence[Recipe], images: Path) -> Iterator[View]:
    if len(recipes) <= FEW:
        photos = Photos(images)
        yield from (augmentation.make(recipe, photos) for recipe in recipes)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(WORKERS, _start, (images,)) as pool:
        yield from pool.imap(_make, recipes, chunksize=CHUNK)


_photos: Photos  # of this worker process


def _start(images: Path) -> None:
    global _photos
    cv2.setNumThreads(1)
    _photos = Photos(images)


def _make(recipe: Recipe) -> View:
    return augmentation.make(recipe, _photos)


@dataclass(frozen=True, slots=True)
class Legend:
    """A plate that can be read: its photo, and what it says."""

    id: str
    image: str
    plate: Plate
    text: str


def write_reader(
    rows: reuse.Rows, samples: Sequence[Sample], images: Path, count: int, rendered: int, seeds: list[int]
) -> None:
    """Writes the reader's crops of one split: `count` drawn from labelled plates, and `rendered` plates."""
    legends = {
        f"{sample.id} {place}": Legend(sample.id, sample.image, plate, text)
        for sample in samples
        for place, plate in enumerate(sample.plates)
        if (text := readable(plate.text or ""))
    }
    pool = Pool(list(legends.values()), legends)
    chosen = [pool.draw(np.random.default_rng([*seeds, 0, index])) for index in range(count if legends else 0)]
    if not chosen and not rendered:
        raise ValueError("no plate has a text and augment.reader_rendered is 0: there is nothing to read from")
    recipes: list[object] = [(seeds, index, legend) for index, legend in enumerate(chosen)]
    recipes += [(seeds, "rendered", index) for index in range(rendered)]
    types = {"crops": np.dtype((np.uint8, (HEIGHT, WIDTH))), "labels": np.dtype((np.int8, (LABEL,)))}
    made = rows.write(recipes, types, partial(_reader_rows, chosen, images, rendered, seeds))
    _say(rows, made, len(recipes))
    ids = {legend.id for legend in legends.values()}
    write_seen(rows.out, [sample for sample in samples if sample.id in ids])


def _reader_rows(
    chosen: Sequence[Legend], images: Path, rendered: int, seeds: list[int], missing: Sequence[int]
) -> Iterator[reuse.Row]:
    """Real crops photo by photo, so that each is decoded once; then rendered ones, each of which follows the last."""
    real = sorted((index for index in missing if index < len(chosen)), key=lambda index: chosen[index].image)
    for image, indices in groupby(real, lambda index: chosen[index].image):
        photo = read_image(images / image)
        for index in indices:
            cut = RealCrop.of_plate(photo, chosen[index].plate, chosen[index].text)
            crop, said = reader_crops.redrawn(np.random.default_rng([*seeds, 1, index]), cut)
            crops, labels = reader_crops.stack([crop], [said])
            yield index, (crops[0], labels[0])
    if later := [index for index in missing if index >= len(chosen)]:
        crops, labels = rendered_batch(seeds, rendered)
        for index in later:
            yield index, (crops[index - len(chosen)], labels[index - len(chosen)])


def _say(rows: reuse.Rows, made: int, count: int) -> None:
    name = "/".join(rows.out.parts[-2:])
    print(f"{name}: {made} of {count} crops made, {count - made} taken over from the last run")


def write_seen(out: Path, samples: Sequence[Sample]) -> None:
    with replacing(out / "seen.txt") as file:
        file.writelines(f"{sample.id}\n" for sample in sorted(samples, key=lambda sample: sample.id))


def contact_sheet(detector: Path, reader: Path, columns: int = 6, rows: int = 6) -> RGB:
    """Detector crops with boxes (green), corners (red) and what is ignored (grey); below, reader crops with texts."""
    images, corners, kinds = (
        np.load(detector / f"{name}.npy", mmap_mode="r") for name in ("images", "corners", "kinds")
    )
    size = images.shape[1]
    tiles = [_drawn(images[i], corners[i], kinds[i]) for i in range(min(columns * rows, len(images)))]
    crops, labels = np.load(reader / "crops.npy", mmap_mode="r"), np.load(reader / "labels.npy")
    places = np.linspace(0, len(crops) - 1, min(len(crops), columns * 8)).astype(int)
    strips = [_captioned(crops[i], labels[i], size) for i in places]
    return np.concatenate([_grid(tiles, columns), _grid(strips, columns)])


def _grid(tiles: list[RGB], columns: int) -> RGB:
    blank = np.full_like(tiles[0], 255)
    tiles = tiles + [blank] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])


def _drawn(image: RGB, corners: NDArray[np.float32], kinds: NDArray[np.uint8]) -> RGB:
    canvas = np.array(image)
    for points, kind in zip(corners, kinds, strict=True):
        if kind == 0:
            continue
        (x1, y1), (x2, y2) = points[:2].round().astype(int)
        cv2.rectangle(canvas, (int(x1), int(y1)), (int(x2), int(y2)), (0, 220, 0) if kind == 1 else (128, 128, 128), 1)
        if not np.isnan(points[2:]).any():
            cv2.polylines(canvas, [points[2:].round().astype(np.int32)], True, (255, 40, 40), 1)
            cv2.circle(canvas, tuple(int(v) for v in points[2].round()), 3, (255, 200, 0), -1)
    return canvas


def _captioned(crop: NDArray[np.uint8], label: NDArray[np.int8], width: int) -> RGB:
    text = "".join(CHARACTERS[i] for i in label[:MAX_LENGTH] if i >= 0)
    tile = np.full((crop.shape[0] + 22, max(width, crop.shape[1]), 3), 255, np.uint8)
    tile[: crop.shape[0], : crop.shape[1]] = crop[..., None]
    cv2.putText(tile, text, (4, crop.shape[0] + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(cv2.resize(tile, (width, tile.shape[0])), dtype=np.uint8) if width < crop.shape[1] else tile


if __name__ == "__main__":
    typer.run(main)
