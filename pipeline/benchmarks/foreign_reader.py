"""Readers that others exported to ONNX, behind the protocol of our own: to be measured on the same crops.

What the graph says of its input decides what it is given; its height and width must be fixed, and the crop is resized
to them, stretched.

    (B, H, W, 1) (B, H, W, 3)    uint8 or float32, 0..255
    (B, 1, H, W) (B, 3, H, W)    uint8, 0..255; float32, (x / 255 - 0.5) / 0.5, as PyTorch's readers have it
                                 one channel is grey, three are RGB

Of its outputs, logits or probabilities, the first that fits its alphabet of A characters is read; C is A, or A + 1
with the blank as a class of its own.

    (B, T, C)                    a distribution for each of T places
    (B, C), T of them            likewise, one output for each place
    (B, T * C)                   likewise, in one row

The blank is the last class, or the first (`blank`); where C is A, that is the alphabet's own last (first) character,
such as the "_" that fast-plate-ocr pads with. Up to 16 places are slots: each gives its best character or, by the
blank, none. More are the steps of CTC, decoded greedily. `decoding` overrules the number. The reading's score is the
product of all places' best probabilities; every reading is given as a text, however unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, readable
from pipeline.images import RGB
from pipeline.readers.decoding import NO_READ
from pipeline.records import Reading
from pipeline.sessions import Session, SessionError

ALPHABET = f"{CHARACTERS}_"  # fast-plate-ocr's
MOST_SLOTS = 16
Decoding = Literal["auto", "slots", "ctc"]
Blank = Literal["first", "last"]

_BATCH = 32  # crops in one forward pass, where the graph leaves their number open
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}

Probabilities = NDArray[np.float64]  # (T, C)


class ForeignReader:
    """An ONNX reader of one of the kinds above. SessionError where it is of none of them."""

    def __init__(
        self,
        path: Path,
        alphabet: str = ALPHABET,
        threads: int = 0,
        decoding: Decoding = "auto",
        blank: Blank = "last",
    ) -> None:
        self._path, self._alphabet, self._decoding, self._blank = path, alphabet, decoding, blank
        if len(alphabet) < 2 or len(set(alphabet)) != len(alphabet):
            raise SessionError(f"{path}: {alphabet!r} is not an alphabet: name each of its characters once, in order")
        self._session = _Typed(path, threads)
        shape, kind = self._session.input_shape, self._session.input_type
        self._channels_last = len(shape) == 4 and shape[3] in (1, 3)
        if len(shape) != 4 or (not self._channels_last and shape[1] not in (1, 3)) or kind not in _TYPES:
            raise SessionError(
                f"{path}: its input is {kind} of {shape}, not uint8 or float of (B, H, W, C) or (B, C, H, W) "
                "with 1 or 3 channels: not a reader that is known here"
            )
        batch, *sides = (shape[0], *shape[1:3]) if self._channels_last else (shape[0], *shape[2:])
        if not all(isinstance(side, int) for side in sides):
            raise SessionError(f"{path}: its input {shape} leaves height or width open; export it with both fixed")
        if isinstance(batch, int) and batch != 1:
            raise SessionError(f"{path}: it reads {batch} crops at a time; export it for one, or for any number")
        self._height, self._width = sides
        self._channels = shape[3] if self._channels_last else shape[1]
        self._type = _TYPES[kind]
        self._batch = batch if isinstance(batch, int) else _BATCH
        self._read([np.full((self._height, self._width, 3), 127, np.uint8)])  # so that a wrong output is told at once

    def read(self, crops: Sequence[RGB]) -> list[Reading]:
        """One Reading for each crop (h, w, 3), in order."""
        readings = [NO_READ] * len(crops)
        usable = [index for index, crop in enumerate(crops) if crop.size]
        for start in range(0, len(usable), self._batch):
            chosen = usable[start : start + self._batch]
            for index, reading in zip(chosen, self._read([crops[index] for index in chosen]), strict=True):
                readings[index] = reading
        return readings

    def _read(self, crops: Sequence[RGB]) -> list[Reading]:
        batch = np.stack([self.prepared(crop) for crop in crops])
        try:
            outputs = list(self._session.run(batch).values())
        except Exception as error:  # onnxruntime raises its own untyped exceptions
            raise SessionError(f"{self._path}: ONNX Runtime cannot run it: {error}") from error
        places = places_of(outputs, len(crops), len(self._alphabet))
        if places is None:
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise SessionError(
                f"{self._path}: its outputs, {shapes}, are not those of a reader of {len(self._alphabet)} characters "
                f"({self._alphabet}); name its alphabet, in its order and with its padding"
            )
        return [self.reading(probabilities(one)) for one in places]

    def prepared(self, crop: RGB) -> NDArray[Any]:
        """RGB (h, w, 3) of any size -> what the graph takes for one crop."""
        pixels: NDArray[Any] = np.ascontiguousarray(crop)
        if self._channels == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = cv2.resize(pixels, (self._width, self._height), interpolation=cv2.INTER_LINEAR)
        pixels = pixels.reshape(self._height, self._width, self._channels).astype(self._type)
        if self._channels_last:
            return pixels
        if self._type is np.float32:
            pixels = (pixels / 255 - 0.5) / 0.5
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), self._type)

    def reading(self, places: Probabilities) -> Reading:
        """One crop's (T, C) -> what it says."""
        classes, scores = places.argmax(axis=1), places.max(axis=1)
        blank = 0 if self._blank == "first" else places.shape[1] - 1
        offset = int(self._blank == "first" and places.shape[1] > len(self._alphabet))
        kept = classes != blank
        if self._decoding == "ctc" or (self._decoding == "auto" and len(places) > MOST_SLOTS):
            kept[1:] &= classes[1:] != classes[:-1]
        text, char_scores = "", []
        for index, score in zip(classes[kept], scores[kept], strict=True):
            characters = readable(self._alphabet[index - offset])
            text += characters
            char_scores += [float(score)] * len(characters)
        return Reading(text, float(scores.prod()), tuple(char_scores)) if text else NO_READ


class _Typed(Session):
    """A session that also says of which type its input is."""

    @property
    def input_type(self) -> str:
        return str(self._session.get_inputs()[0].type)


def places_of(outputs: Sequence[NDArray[np.float32]], crops: int, characters: int) -> NDArray[np.float32] | None:
    """A graph's outputs -> (crops, T, C), C being the characters or one more; None where they hold no such thing."""
    for classes in (characters, characters + 1):
        for output in outputs:
            if output.ndim == 3 and output.shape[0] == crops and output.shape[2] == classes:
                return output
        slots = [output for output in outputs if output.shape == (crops, classes)]
        if len(slots) > 1:
            return np.stack(slots, axis=1)
        for output in outputs:
            if (
                output.ndim == 2
                and output.shape[0] == crops
                and classes < output.shape[1]
                and output.shape[1] % classes == 0
            ):
                return output.reshape(crops, -1, classes)
    return None


def probabilities(places: NDArray[np.float32]) -> Probabilities:
    """(T, C) logits, or probabilities already -> probabilities."""
    values = places.astype(np.float64)
    if values.min() < 0 or not np.allclose(values.sum(axis=1), 1, atol=1e-2):
        values = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(values / values.sum(axis=1, keepdims=True))
