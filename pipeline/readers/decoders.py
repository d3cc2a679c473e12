"""Three ways from the trunk's features to a text: the layers and the loss of each, to be compared on one trunk.

    ctc         two lanes, one for each row of characters; their steps stand one after the other in time
    slots       one place for each of the 12 characters, which looks where it has learnt to
    attention   one query for each of the 12 characters; queries look at the crop and at each other

features (B, 4, 48, C) -> logits (B, steps, 37): 36 characters of the alphabet, then "nothing". How logits become a
text is decoding.py's, which needs no Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras import layers, ops

from pipeline.alphabet import MAX_LENGTH
from pipeline.readers.decoding import BLANK, PADDING
from pipeline.readers.layers import StandardConv, conv, residual

CLASSES = BLANK + 1
LANES = ("a", "b")
DILATIONS = (1, 2, 4, 8)  # of a lane's convolutions: together they see 60 pixels to either side, some three characters
DEPTH = 2  # of the attention decoder
HEADS = 4


@dataclass(frozen=True, slots=True)
class Decoder:
    """build: features -> logits (B, steps, 37). loss: (labels (B, 12) padded with -1, how many of them are in the upper
    row (B,) or -1, logits) -> (B,) nats."""

    build: Callable[[Any], Any]
    loss: Callable[[Any, Any, Any], Any]


def _ctc(features: Any) -> Any:
    """A plate of one row is read by lane A; of two rows, the upper by lane A and the lower by lane B."""
    channels = 3 * features.shape[-1] // 4
    lanes = [_lane(features, channels, name) for name in LANES]
    steps = layers.Concatenate(axis=1, name="lanes")(lanes)  # (B, 96, channels)
    return layers.Dense(CLASSES, dtype="float32", name="ctc")(steps)


def _lane(x: Any, channels: int, name: str) -> Any:
    """All rows projected onto one by a learned kernel, then context along it: (B, 48, channels)."""
    y = conv(x, channels, (x.shape[1], 1), (1, 1), f"lane_{name}_project", padding="valid")
    for dilation in DILATIONS:
        y = residual(y, f"lane_{name}_time{dilation}", (1, 3), (1, dilation))
    return layers.Reshape((y.shape[2], channels), name=f"lane_{name}_sequence")(y)


def ctc_loss(labels: Any, upper: Any, logits: Any) -> Any:
    """Connectionist temporal classification (Graves et al. 2006), of each lane with its own row where that is known.

    Without that, a network that reads all single rows in one lane never finds out what the other one is for.
    """
    labels = ops.cast(labels, "int32")
    lengths = ops.sum(ops.cast(labels != PADDING, "int32"), axis=1)
    whole = _ctc_loss(labels, lengths, logits)
    before = ops.maximum(ops.cast(upper, "int32"), 0)
    places = ops.minimum(ops.arange(MAX_LENGTH, dtype="int32")[None] + before[:, None], MAX_LENGTH - 1)
    steps = logits.shape[1] // len(LANES)
    first = _ctc_loss(labels, before, logits[:, :steps])
    second = _ctc_loss(ops.take_along_axis(labels, places, axis=1), lengths - before, logits[:, steps:])
    return ops.where(upper >= 0, first + second, whole)


def _ctc_loss(labels: Any, lengths: Any, logits: Any) -> Any:
    steps = ops.full(ops.shape(lengths), logits.shape[1], dtype="int32")
    return ops.ctc_loss(ops.maximum(labels, 0), ops.cast(logits, "float32"), lengths, steps, mask_index=BLANK)


def _slots(features: Any) -> Any:
    """Each slot is the mean of the features under a map of its own."""
    _, rows, columns, channels = features.shape
    flat = layers.Reshape((rows * columns, channels), name="slots_flat")(features)
    maps = StandardConv(MAX_LENGTH, (3, 5), name="slots_maps")(features)  # (B, 4, 48, 12) logits
    maps = layers.Reshape((rows * columns, MAX_LENGTH), name="slots_maps_flat")(maps)
    weights = layers.Softmax(axis=1, dtype="float32", name="slots_where")(maps)
    looks = layers.Dot(axes=1, name="slots_looks")([weights, flat])  # (B, 12, channels)
    looks = layers.Dense(channels, activation="relu", name="slots_hidden")(looks)
    return layers.Dense(CLASSES, dtype="float32", name="slots")(looks)


def _attention(features: Any) -> Any:
    """A transformer decoder over the features, all characters at once (as DETR's, Carion et al. 2020)."""
    _, rows, columns, channels = features.shape
    memory = layers.Reshape((rows * columns, channels), name="attention_flat")(features)
    memory = _Places(name="attention_places")(layers.Dense(channels, name="attention_memory")(memory))
    queries = _Queries(MAX_LENGTH, channels, name="attention_queries")(memory)
    for depth in range(DEPTH):
        name = f"attention{depth}"
        y = layers.LayerNormalization(name=f"{name}_cross_norm")(queries)
        queries = queries + layers.MultiHeadAttention(HEADS, channels // HEADS, name=f"{name}_cross")(y, memory)
        y = layers.LayerNormalization(name=f"{name}_self_norm")(queries)
        queries = queries + layers.MultiHeadAttention(HEADS, channels // HEADS, name=f"{name}_self")(y, y)
        y = layers.LayerNormalization(name=f"{name}_mlp_norm")(queries)
        y = layers.Dense(2 * channels, activation="relu", name=f"{name}_mlp")(y)
        queries = queries + layers.Dense(channels, name=f"{name}_mlp_out")(y)
    queries = layers.LayerNormalization(name="attention_norm")(queries)
    return layers.Dense(CLASSES, dtype="float32", name="attention")(queries)


class _Places(layers.Layer):
    """Adds a learned vector for each place of a sequence."""

    def build(self, shape: Any) -> None:
        self.places = self.add_weight(shape=shape[1:], initializer="random_normal", name="places")

    def call(self, x: Any) -> Any:
        return x + self.places


class _Queries(layers.Layer):
    """Learned queries, the same for each sample of a batch: (B, count, channels)."""

    def __init__(self, count: int, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # under no other name would Keras keep the layer's name in its config
        self.count, self.channels = count, channels

    def build(self, shape: Any) -> None:
        self.queries = self.add_weight(shape=(self.count, self.channels), initializer="random_normal", name="queries")

    def call(self, memory: Any) -> Any:
        return ops.zeros_like(memory[:, : self.count]) + self.queries

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.count, self.channels)


def slots_loss(labels: Any, upper: Any, logits: Any) -> Any:
    """Cross-entropy of each of the 12 places, summed; places after the text's end are "nothing". Rows don't matter."""
    wanted = ops.where(labels == PADDING, BLANK, ops.cast(labels, "int32"))
    each = ops.sparse_categorical_crossentropy(wanted, ops.cast(logits, "float32"), from_logits=True)
    return ops.sum(each, axis=1)


DECODERS: Mapping[str, Decoder] = {
    "ctc": Decoder(_ctc, ctc_loss),
    "slots": Decoder(_slots, slots_loss),
    "attention": Decoder(_attention, slots_loss),
}
