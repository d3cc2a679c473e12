"""Keras networks -> ONNX, and ONNX float -> int8. Only the export stage needs this."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sessions import Session

Batch = NDArray[np.float32]

ATTEMPTS = 3  # of an export


class ExportError(ValueError):
    """An exported network that does not do what the trained one does."""


def write_pair(network: Any, folder: Path, name: str, batches: list[Batch], keep_float: Iterable[str]) -> None:
    """Writes folder/NAME.onnx and folder/NAME.int8.onnx, both with the outputs' names and shapes of the Keras network.

    Two exports of one network are not the same bytes, and one in some twenty, on a loaded machine, had an output of
    another rank. So each pair is tried on a real input, and made again if it is wrong.
    """
    for attempt in range(1, ATTEMPTS + 1):
        to_onnx(network, folder / f"{name}.onnx")
        quantise(folder / f"{name}.onnx", folder / f"{name}.int8.onnx", batches, keep_float)
        wrong = [
            problem
            for file in (f"{name}.onnx", f"{name}.int8.onnx")
            if (problem := misfit(network, folder / file, batches[0]))
        ]
        if not wrong:
            return
        print(f"export {attempt} of {ATTEMPTS}: {'; '.join(wrong)}")
    raise ExportError(f"{name}: {'; '.join(wrong)}")


def misfit(network: Any, path: Path, batch: Batch) -> str | None:
    """What is wrong with the exported outputs' names or shapes, as a sentence; None if they are the network's."""
    wanted = {key: tuple(value.shape) for key, value in _named(network, batch).items()}
    found = {key: value.shape for key, value in Session(path).run(batch).items()}
    return None if wanted == found else f"{path.name} gives outputs {found}, the network {wanted}"


def to_onnx(network: Any, path: Path) -> None:
    """Writes a Keras network as ONNX, its outputs named as the network names them."""
    import keras

    network(np.zeros([1, *(side or 64 for side in network.inputs[0].shape[1:])], np.float32))  # must have been called
    network.export(path, format="onnx", verbose=False)
    keras.backend.clear_session(free_memory=False)
    _name_outputs(network, path)


def _name_outputs(network: Any, path: Path) -> None:
    """The exporter calls outputs Identity_1 and the like; the network's own names are given back."""
    import onnx

    model = onnx.load(path)
    wanted = _output_names(network)
    if len(wanted) != len(model.graph.output):
        raise ValueError(f"{path}: {len(model.graph.output)} outputs, the network has {len(wanted)}")
    for output, name in zip(model.graph.output, wanted, strict=True):
        old = output.name
        if old == name:
            continue
        for node in model.graph.node:
            for index, produced in enumerate(node.output):
                if produced == old:
                    node.output[index] = name
            for index, consumed in enumerate(node.input):
                if consumed == old:
                    node.input[index] = name
        output.name = name
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _output_names(network: Any) -> list[str]:
    outputs = network.output
    if isinstance(outputs, dict):
        return sorted(outputs)  # the exporter flattens a dict by key
    return list(network.output_names)


class _Calibration:
    """Feeds real inputs to ONNX Runtime's calibrator, one at a time: photos differ in shape."""

    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._rows: Iterator[dict[str, Batch]] = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._rows, None)


def quantise(source: Path, target: Path, batches: Iterable[Batch], keep_float: Iterable[str] = ()) -> None:
    """Static int8 (QDQ, weights per channel) of an ONNX network, calibrated on `batches` of its real inputs.

    Nodes that produce the outputs named in `keep_float` stay float.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_last_convolutions(model, set(keep_float)),
        )


def _last_convolutions(model: Any, outputs: set[str]) -> list[str]:
    """Names of the nodes from each output back to the convolution that makes it."""
    producers = {name: node for node in model.graph.node for name in node.output}
    excluded = []
    for name in sorted(outputs):
        node = producers.get(name)
        while node is not None:
            excluded.append(node.name)
            if node.op_type in ("Conv", "MatMul", "Gemm"):
                break
            node = next((producers[i] for i in node.input if i in producers), None)
    return excluded


def largest_difference(network: Any, outputs: Any, batch: Batch) -> float:
    """The largest absolute difference of any output between Keras and an ONNX session's `outputs`."""
    named = _named(network, batch)
    return max(float(np.abs(np.asarray(named[name]) - outputs[name]).max()) for name in named)


def _named(network: Any, batch: Batch) -> dict[str, Any]:
    made = network(batch, training=False)
    return dict(made) if isinstance(made, dict) else dict(zip(_output_names(network), [made], strict=True))
