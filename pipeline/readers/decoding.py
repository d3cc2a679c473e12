"""Labels and texts: what a text is to the networks, and how a decoder's logits become a text. No Keras here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.alphabet import CHARACTERS, MAX_LENGTH
from pipeline.records import Reading

BLANK = len(CHARACTERS)  # of CTC; "nothing" of the other decoders
PADDING = -1  # in labels, after the last character
SURE = 1 - 1e-7  # a step so surely blank that another one like it before or after it changes nothing
NO_READ = Reading("", 0.0)


class ReaderError(ValueError):
    """A reader that cannot be set up; the message says what is missing and what to do."""


def encode(text: str) -> NDArray[np.int8]:
    """A text of the alphabet -> (12,) classes, padded with -1. ValueError where it does not fit."""
    if len(text) > MAX_LENGTH or any(c not in CHARACTERS for c in text):
        raise ValueError(f"the readers know at most {MAX_LENGTH} of {CHARACTERS}; this text is none of those")
    label = np.full(MAX_LENGTH, PADDING, dtype=np.int8)
    label[: len(text)] = [CHARACTERS.index(c) for c in text]
    return label


def ctc(logits: NDArray[np.floating]) -> Reading:
    """Greedy CTC decoding of one crop's logits (T, 37).

    A character's score is its highest posterior among its steps. The reading's score is the probability of
    the whole text: the sum over all its alignments (the forward variables of Graves et al. 2006, section 4.1).
    """
    posteriors = _softmax(logits.astype(np.float64))
    path = posteriors.argmax(axis=1)
    classes: list[int] = []
    scores: list[float] = []
    previous = BLANK
    for step, best in enumerate(path.tolist()):
        if best != BLANK and best != previous:
            classes.append(best)
            scores.append(0.0)
        if best != BLANK:
            scores[-1] = max(scores[-1], float(posteriors[step, best]))
        previous = best
    if not classes or len(classes) > MAX_LENGTH:
        return NO_READ
    text = "".join(CHARACTERS[index] for index in classes)
    return Reading(text, text_probability(posteriors, classes), tuple(scores))


def text_probability(posteriors: NDArray[np.floating], classes: Sequence[int]) -> float:
    """P(text | crop): the posteriors (T, 37) summed over every CTC path that collapses to `classes`."""
    blank = posteriors[:, BLANK] > SURE
    posteriors = posteriors[~(blank & np.append(False, blank[:-1]))]
    states = np.full(2 * len(classes) + 1, BLANK)  # a blank before, between and after the characters
    states[1::2] = classes
    skips = np.zeros(len(states))  # 1 where the blank before may be skipped
    skips[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    emitted = posteriors[:, states]
    forward = np.zeros(len(states))
    forward[:2] = emitted[0, :2]
    for step in emitted[1:]:
        following = forward.copy()
        following[1:] += forward[:-1]
        following[2:] += forward[:-2] * skips[2:]
        forward = following * step
    return float(min(1.0, forward[-2:].sum()))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def slots(logits: NDArray[np.floating]) -> Reading:
    """One crop's logits (12, 37): a place for each character, then nothing. The score is the places' product."""
    posteriors = _softmax(logits.astype(np.float64))
    classes = posteriors.argmax(axis=1)
    length = int(np.argmax(classes == BLANK)) if (classes == BLANK).any() else len(classes)
    if not length:
        return NO_READ
    best = posteriors.max(axis=1)
    text = "".join(CHARACTERS[index] for index in classes[:length])
    return Reading(text, float(best[: length + 1].prod()), tuple(float(score) for score in best[:length]))


DECODE: Mapping[str, Callable[[NDArray[np.floating]], Reading]] = {"ctc": ctc, "slots": slots, "attention": slots}
