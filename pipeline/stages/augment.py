"""augment: curated samples -> training crops as memory-mapped arrays, and a contact sheet to look at.

python -m pipeline.stages.augment --manifest data/curated/manifest.jsonl --images data/raw --out data/augmented
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from pipeline import augmentation, params
from pipeline.alphabet import CHARACTERS, MAX_LENGTH, readable
from pipeline.images import RGB, encode_jpeg, read_image
from pipeline.manifest import read_manifest, replacing, replacing_folder
from pipeline.readers import crops as reader_crops
from pipeline.readers import rendered as rendered_crops
from pipeline.records import Sample

WORKERS = 2
CHUNK = 32


Option = Annotated[Path, typer.Option()]


def main(manifest: Option, images: Option, out: Option) -> None:
    try:
        settings = params.load()
        samples = read_manifest(manifest)
        augment(samples, images, out, settings.augment, settings.seed)
    except ValueError as error:
        raise SystemExit(f"augment: {error}") from None


def augment(samples: Sequence[Sample], images: Path, out: Path, settings: params.Augment, seed: int) -> None:
    with replacing_folder(out) as folder:
        for split, detector_count, reader_count in (
            ("train", settings.detector_crops, settings.reader_crops),
            ("val", settings.detector_val_crops, settings.reader_val_crops),
        ):
            chosen = [sample for sample in samples if sample.split == split]
            seeds = [seed, 0 if split == "train" else 1]
            write_detector(folder / "detector" / split, chosen, images, settings, detector_count, seeds, split)
            rendered = settings.reader_rendered if split == "train" else settings.reader_val_crops
            write_reader(folder / "reader" / split, chosen, images, reader_count, rendered, [*seeds, 2])
        sheet = contact_sheet(folder / "detector" / "train", folder / "reader" / "train")
        with replacing(folder / "contact_sheet.jpg", "wb") as file:
            file.write(encode_jpeg(sheet))


class _Crops:
    """Makes crop i; one of these lives in each worker and keeps its decoded photos."""

    def __init__(
        self, samples: Sequence[Sample], images: Path, settings: params.Augment, seeds: list[int], augmented: bool
    ) -> None:
        self._photos = augmentation.Photos(images)
        photos = [sample for sample in samples if sample.kind == "photo"]
        shown = [sample for sample in photos if sample.plates]
        self._drawn = [sample for sample in shown if sample.source == "synthetic"]
        self._real = [sample for sample in shown if sample.source != "synthetic"]
        self._without = [sample for sample in photos if not sample.plates]
        self._settings, self._seeds, self._augmented = settings, seeds, augmented
        self._donors = augmentation.donors(samples, self._photos) if augmented else []

    def __call__(self, index: int) -> augmentation.View:
        rng = np.random.default_rng([*self._seeds, index])
        size = self._settings.detector_size
        if not self._augmented:  # every photo once
            pool = [*self._real, *self._drawn, *self._without]
            return self._view(rng, pool[index % len(pool)], size)
        if rng.random() < self._settings.mosaic_share:
            return augmentation.mosaic([self._view(rng, self._draw(rng), size // 2) for _ in range(4)])
        return self._view(rng, self._draw(rng), size)

    def _draw(self, rng: np.random.Generator) -> Sample:
        """A photo: by share one without a plate, one that was rendered, or a real one with plates."""
        empty, rendered = rng.random(2) < (self._settings.negative_share, self._settings.rendered_share)
        wanted = (self._without if empty else self._drawn if rendered else self._real, self._real, self._drawn)
        pool = next((pool for pool in wanted if pool), self._without)
        return pool[int(rng.integers(len(pool)))]

    def _view(self, rng: np.random.Generator, sample: Sample, size: int) -> augmentation.View:
        image, plates = self._photos.get(sample)
        return augmentation.detector_view(
            rng, image, plates, self._donors, size, self._settings.transplant_share, self._augmented
        )


_worker: _Crops | None = None


def _start(make: Callable[[], _Crops]) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = make()


def _make(index: int) -> augmentation.View:
    assert _worker is not None
    return _worker(index)


def write_detector(
    out: Path,
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
    if split == "val":
        count = min(count, len(photos))
    out.mkdir(parents=True)
    size = settings.detector_size
    pixels: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        out / "images.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
    )
    corners = np.full((count, augmentation.MAX_PLATES, 6, 2), np.nan, np.float32)
    kinds = np.zeros((count, augmentation.MAX_PLATES), np.uint8)
    learnt = samples if split == "train" else photos  # crops lend their plates to photos
    make = partial(_Crops, learnt, images, settings, seeds, split == "train")
    for index, view in enumerate(track(_views(make, count), f"detector crops, {split}", count)):
        pixels[index] = view.image
        corners[index], kinds[index] = augmentation.pack(view.plates)
    pixels.flush()
    np.save(out / "corners.npy", corners)
    np.save(out / "kinds.npy", kinds)
    write_seen(out, learnt)


def _views(make: Callable[[], _Crops], count: int) -> Iterator[augmentation.View]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(WORKERS, _start, (make,)) as pool:
        yield from pool.imap(_make, range(count), chunksize=CHUNK)


def write_reader(
    out: Path, samples: Sequence[Sample], images: Path, count: int, rendered: int, seeds: list[int]
) -> None:
    """Writes the reader's crops of one split: `count` drawn from labelled plates, and `rendered` plates."""
    learnt: list[Sample] = []
    reals: list[reader_crops.RealCrop] = []
    for sample in samples:
        texts = [(plate, readable(plate.text or "")) for plate in sample.plates]
        if not any(text for _, text in texts):
            continue
        photo = read_image(images / sample.image)
        learnt.append(sample)
        reals += [reader_crops.RealCrop.of_plate(photo, plate, text) for plate, text in texts if text]
    parts = []
    if reals and count:
        parts.append(reader_crops.real_batch(np.random.default_rng(seeds), count, reals))
    if rendered:
        parts.append(rendered_crops.rendered_batch(seeds, rendered))
    if not parts:
        raise ValueError("no plate has a text and augment.reader_rendered is 0: there is nothing to read from")
    out.mkdir(parents=True)
    np.save(out / "crops.npy", np.concatenate([crops for crops, _ in parts]))
    np.save(out / "labels.npy", np.concatenate([labels for _, labels in parts]))
    write_seen(out, learnt)


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
