"""Rendered plates as training arrays, drawn in worker processes. No Keras here: each worker imports this module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread

import numpy as np

from pipeline.alphabet import MAX_LENGTH, readable
from pipeline.readers.crops import Labelled, draw_nothing, stack
from pipeline.readers.reader import HEIGHT, WIDTH, Grey, prepare
from pipeline.rendering.fonts import FontBook
from pipeline.rendering.plates import render_crop


def rendered_batch(
    seed: Sequence[int], count: int, fonts: FontBook | None = None, nothing_share: float = 0.02
) -> Labelled:
    """`count` rendered plates, a pure function of `seed` and fonts; a few crops hold nothing at all."""
    rng = np.random.default_rng(list(seed))
    crops: list[Grey] = []
    texts: list[str] = []
    while len(crops) < count:
        if rng.random() < nothing_share:
            crops.append(draw_nothing(rng))
            texts.append("")
            continue
        crop, text, _, _ = render_crop(rng, HEIGHT, WIDTH, fonts)
        if 1 <= len(readable(text)) <= MAX_LENGTH:
            crops.append(prepare(crop))
            texts.append(readable(text))
    return stack(crops, texts)


def workers(processes: int) -> ProcessPoolExecutor:
    """A pool to submit `rendered_batch` to; its processes end with this one, even where it is killed."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
