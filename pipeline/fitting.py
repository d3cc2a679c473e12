"""Fits a Keras network so that a killed run goes on from its last epoch and ends where it would have ended.

After each epoch the network, the optimizer and the moving average of the weights are written beside and renamed.
Order of data is a function of (seed, epoch), so nothing but those files has to be remembered. Networks have no random
layers (dropout): the state of those would have to be kept as well.
Runs on any Keras backend: no backend calls, batches are plain arrays.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import resource
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline import costs
from pipeline.manifest import replacing

Arrays = dict[str, NDArray[Any]]
Loss = Callable[[Any, Any], Mapping[str, Any]]  # (targets, outputs) -> named scalars, summed
CURVES = ("epoch", "loss", "val_loss")
COSTS = ("epoch", "seconds", "memory_mb", "cpu_percent")


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says where it stopped and what was kept."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: AdamW under a cosine from `learning_rate` to its hundredth, after a short warm-up."""

    epochs: int
    learning_rate: float
    patience: int  # epochs without a better validation loss before stopping
    ema: float  # decay of the moving average of the weights, for each step
    weight_decay: float = 1e-4
    warmup: float = 0.05  # share of all steps
    clip_norm: float = 10.0
    seed: int = 0


class Batches(keras.utils.PyDataset):
    """A dataset whose order depends on `epoch`, which fit() sets before each one."""

    epoch: int = 0


class Objective(keras.Model):
    """A network with its loss: Keras's own training step, our targets."""

    def __init__(self, network: keras.Model, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self._parts = loss

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.network(inputs, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        parts = self._parts(y, y_pred)
        total = 0.0
        for value in parts.values():
            total = total + value
        return total


class _Average(keras.callbacks.Callback):
    """Exponential moving average of all variables, warmed up, kept as arrays outside the network."""

    def __init__(self, network: keras.Model, decay: float, values: list[NDArray[Any]] | None, steps: int) -> None:
        super().__init__()
        self._decay = decay
        self.values = values if values is not None else [np.array(v) for v in network.get_weights()]
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        network = self.model.network  # not the one kept here: asking Keras for its model brings JAX's state up to date
        for kept, now in zip(self.values, network.get_weights(), strict=True):
            kept += (1 - decay) * (now - kept)


class _StopOnNan(keras.callbacks.Callback):
    def __init__(self, epoch: int, work: Path) -> None:
        super().__init__()
        self._epoch, self._work = epoch, work

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise TrainingError(
                f"the loss is not finite in epoch {self._epoch + 1}, batch {batch + 1}; "
                f"the last good state is kept in {self._work}; lower the learning rate or look at that batch"
            )


def compute_in(precision: str) -> None:
    """Sets what the networks built from now on compute in: "float32" or "bfloat16". Weights stay float32."""
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")


def fit(
    network: keras.Model,
    loss: Loss,
    train: Batches,
    validation: Batches | None,
    schedule: Schedule,
    work: Path,
    fingerprint: str,
    verbose: int = 2,
) -> list[dict[str, float]]:
    """Trains `network` in place, leaving it with the best averaged weights; returns one row an epoch.

    `work` holds the resumable state. It is used only if it was written under the same `fingerprint` (a digest of
    data and params); otherwise training starts anew. Raises TrainingError when the loss stops being finite.
    """
    keras.utils.set_random_seed(schedule.seed)
    objective = Objective(network, loss)
    total = max(1, len(train) * schedule.epochs)
    warmup = max(1, int(total * schedule.warmup))
    rate = keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate / 100,
        max(1, total - warmup),
        0.01,
        warmup_target=schedule.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=schedule.weight_decay, clipnorm=schedule.clip_norm)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    objective.compile(optimizer=optimizer)

    state = _State.resume(work, fingerprint, network, optimizer)
    average = _Average(network, schedule.ema, state.average, int(np.asarray(optimizer.iterations)))
    for epoch in range(len(state.history), schedule.epochs):
        if state.stale(schedule.patience):
            print(f"no better validation loss for {schedule.patience} epochs: stopped after epoch {epoch}")
            break
        train.epoch = epoch
        clock = _Clock()
        guard = _StopOnNan(epoch, work)
        past = objective.fit(
            train, epochs=epoch + 1, initial_epoch=epoch, callbacks=[average, guard], verbose=verbose, shuffle=False
        )
        row = {"epoch": float(epoch + 1), "loss": float(past.history["loss"][-1])}
        current = network.get_weights()
        network.set_weights(average.values)
        row["val_loss"] = float(objective.evaluate(validation, verbose=0)) if validation else row["loss"]
        network.set_weights(current)
        if not math.isfinite(row["val_loss"]):
            raise TrainingError(
                f"the validation loss is not finite after epoch {epoch + 1}; the last good state is kept in {work}; "
                "lower the learning rate or look at the validation data"
            )
        print(
            f"epoch {epoch + 1}/{schedule.epochs}: loss {row['loss']:.4f}, validation {row['val_loss']:.4f}", flush=True
        )
        state.add(row | clock.cost(), average.values)
        state.save(network, optimizer)
    if state.best is not None:
        network.set_weights(state.best)
    return state.history


class _Clock:
    """What an epoch costs, from when this is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self) -> dict[str, float]:
        """Wall seconds, the process's largest memory so far (MB), and its share of all cores (percent)."""
        seconds = time.perf_counter() - self._wall
        busy = (time.process_time() - self._cpu) / max(seconds, 1e-9) / (os.cpu_count() or 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes
        return {"seconds": round(seconds, 3), "memory_mb": round(peak / 1e6, 1), "cpu_percent": round(100 * busy, 1)}


class _State:
    """What a killed run needs to go on."""

    def __init__(self, work: Path, fingerprint: str) -> None:
        self._work, self._fingerprint = work, fingerprint
        self.history: list[dict[str, float]] = []
        self.average: list[NDArray[Any]] | None = None
        self.best: list[NDArray[Any]] | None = None

    def stale(self, patience: int) -> bool:
        losses = [row["val_loss"] for row in self.history]
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= patience

    def add(self, row: dict[str, float], average: list[NDArray[Any]]) -> None:
        self.average = average
        if not self.history or row["val_loss"] < min(past["val_loss"] for past in self.history):
            self.best = [np.array(values) for values in average]
        self.history.append(row)

    def save(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        groups = {
            "network": network.get_weights(),
            "optimizer": [np.asarray(keras.ops.convert_to_numpy(v)) for v in optimizer.variables],
            "average": self.average or [],
            "best": self.best or [],
        }
        arrays: Arrays = {f"{name}/{i}": value for name, values in groups.items() for i, value in enumerate(values)}
        header = json.dumps({"fingerprint": self._fingerprint, "history": self.history})
        arrays["header"] = np.frombuffer(header.encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        with replacing(self._work / "state.npz", "wb") as file:
            file.write(buffer.getvalue())

    @classmethod
    def resume(
        cls, work: Path, fingerprint: str, network: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> _State:
        state = cls(work, fingerprint)
        path = work / "state.npz"
        if not path.exists():
            return state
        groups: dict[str, list[NDArray[Any]]] = {"network": [], "optimizer": [], "average": [], "best": []}
        try:
            with np.load(path, allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                if header["fingerprint"] != fingerprint:
                    print(f"{path} belongs to other data or params: starting anew")
                    return state
                for name in archive.files:
                    if name != "header":
                        groups[name.split("/")[0]].append(archive[name])
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{path} is damaged ({error}): starting anew")
            return state
        network.set_weights(groups["network"])
        for variable, value in zip(optimizer.variables, groups["optimizer"], strict=True):
            variable.assign(value)
        state.history, state.average, state.best = header["history"], groups["average"], groups["best"]
        print(f"resumed after epoch {len(state.history)} from {path}")
        return state


def fingerprint(data: Path, settings: Mapping[str, Any], seed: int, starts: Iterable[Path | None]) -> str:
    """A digest of all that a training's result depends on: the arrays below `data`, params, checkpoints it starts from
    or learns from."""
    digest = hashlib.sha256(json.dumps([settings, seed]).encode())
    for path in sorted(data.glob("*/*.npy")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for start in starts:
        digest.update(b"" if start is None else (start / "card.json").read_bytes())
    return digest.hexdigest()


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Writes the learning curves as CSV, one row an epoch; and what each cost to costs.of_history(path)."""
    _write_table(path, CURVES, history)
    _write_table(costs.of_history(path), COSTS, history)


def _write_table(path: Path, columns: Sequence[str], history: list[dict[str, float]]) -> None:
    with replacing(path) as file:
        writer = csv.DictWriter(file, fieldnames=columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)


def variables(network: keras.Model) -> Arrays:
    """The network's variables by path, as a checkpoint stores them (float16: a relative error of 5e-4)."""
    return {v.path: np.asarray(keras.ops.convert_to_numpy(v)) for v in network.weights}


def assign(network: keras.Model, arrays: Mapping[str, NDArray[Any]], whose: str) -> None:
    """Puts arrays back by path; ValueError names the first variable that is missing or of another shape."""
    for variable in network.weights:
        value = arrays.get(variable.path)
        if value is None:
            raise ValueError(f"{whose} has no {variable.path}: it is a checkpoint of another network")
        if tuple(value.shape) != tuple(variable.shape):
            raise ValueError(f"{whose}: {variable.path} has shape {value.shape}, the network {tuple(variable.shape)}")
        variable.assign(value)
