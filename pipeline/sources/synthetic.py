"""Plates drawn by rendering/: scenes (photos) and crops with exact corners and texts, as many as asked for.

Item i is a pure function of (seed, i): asking for more keeps the first ones, and a pull that is run again gives the
same bytes. Only the stroke alphabet and matplotlib's DejaVu are used, so that every machine draws the same.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline import images
from pipeline.params import Synthetic
from pipeline.records import Box, Plate, Sample
from pipeline.rendering.cropping import render_crop
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.scenes import render_scene
from pipeline.sources.base import Track, keep_picture, silently

SOURCE = "synthetic"
_JPEG_QUALITY = 95
_SCENE, _CROP = 0, 1  # parts of an item's seed


def pull(settings: Synthetic, seed: int, out: Path, track: Track = silently) -> list[Sample]:
    """Draws settings.scenes photos into out/images and settings.crops crops into out/crops; returns their Samples.

    Samples that show the same text share a group, whatever their kind.
    """
    scenes = [_scene(seed, number, settings, out) for number in track(range(settings.scenes), "Drawing scenes")]
    crops = [_crop(seed, number, out) for number in track(range(settings.crops), "Drawing crops")]
    return _grouped(scenes + crops)


def _scene(seed: int, number: int, settings: Synthetic, out: Path) -> Sample:
    rng = np.random.default_rng([seed, _SCENE, number])
    scene = render_scene(rng, settings.width, settings.height, fonts=FontBook.reproducible())
    data = images.encode_jpeg(scene.image, _JPEG_QUALITY)
    return _kept(data, out, f"images/scene{number:06d}.jpg", scene.plates, "photo")


def _crop(seed: int, number: int, out: Path) -> Sample:
    rng = np.random.default_rng([seed, _CROP, number])
    crop, drawn = render_crop(rng, fonts=FontBook.reproducible())
    height, width = crop.shape[:2]
    plate = Plate(Box(0.0, 0.0, float(width), float(height)), text=drawn.text, region=drawn.region, rows=drawn.rows)
    return _kept(images.encode_png(crop), out, f"crops/crop{number:06d}.png", (plate,), "crop")


def _kept(data: bytes, out: Path, name: str, plates: tuple[Plate, ...], kind: Literal["photo", "crop"]) -> Sample:
    picture = keep_picture(data, images.read_header(data), out, name)
    width, height = picture.header.size
    return Sample(picture.id, picture.image, width, height, plates, SOURCE, picture.id, kind=kind)


def _grouped(samples: list[Sample]) -> list[Sample]:
    """Puts samples that share a plate's text, directly or through others, into the group of the first of them."""
    groups: dict[str, str] = {sample.id: sample.id for sample in samples}

    def root(member: str) -> str:
        while groups[member] != member:
            member = groups[member]
        return member

    first: dict[str, str] = {}
    for sample in samples:
        for text in (plate.text for plate in sample.plates if plate.text is not None):
            ends = root(first.setdefault(text, sample.id)), root(sample.id)
            if ends[0] != ends[1]:
                groups[ends[1]] = ends[0]
    return [replace(sample, group=root(sample.id)) for sample in samples]
