"""ONNX Runtime sessions, opened the same way everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.images import sha256


class SessionError(ValueError):
    """A model file that is missing, damaged or not what its manifest says."""


def runtime() -> Any:
    """ONNX Runtime, told not to report on its use: else importing it leaves files behind and sends events."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


class Session:
    """One network: `run(batch) -> {output name: array}`."""

    def __init__(self, path: Path, threads: int = 0, digest: str | None = None) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SessionError(f"{path}: {error.strerror or error}") from None
        if digest is not None and sha256(data) != digest:
            raise SessionError(f"{path}: its SHA-256 is not the one in its bundle.json; restore the file")
        options = runtime().SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads sleep: where others work too, spinning ones make two threads slower than one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime().InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own untyped exceptions
            raise SessionError(f"{path}: ONNX Runtime cannot load it: {error}") from error
        first = self._session.get_inputs()[0]
        self._input, self.input_shape = first.name, tuple(first.shape)  # names stand for sides that are left open
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """One forward pass over a batch whose first axis is the batch."""
        values = self._session.run(self._outputs, {self._input: batch})
        return dict(zip(self._outputs, values, strict=True))
