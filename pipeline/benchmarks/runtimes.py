"""ONNX Runtime against OpenVINO on the networks of a bundle: `python -m pipeline.benchmarks.runtimes`.

OpenVINO is no dependency of the project: `uv pip install openvino` first. Milliseconds of one call on one thread, the
median over rounds in which all take turns; the input is a photo 4:3 at the detector's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.benchmarks.timing import in_turns
from pipeline.bundle import Bundle, Network, Precision
from pipeline.checkpoints import SHIPPED
from pipeline.detectors import refining
from pipeline.detectors.detector import frame
from pipeline.sessions import Session

Call = Callable[[NDArray[np.float32]], Any]

CALLS = 10  # in a round


def main(
    model: Annotated[Path, typer.Option(help="a folder with a bundle.json")] = SHIPPED / "export", threads: int = 1
) -> None:
    """Prints a table of milliseconds a call."""
    bundle = Bundle.load(model)
    print("| network | runtime | ms |\n|---|---|---|")
    names: tuple[Network, ...] = ("detector", "fast", "refiner")
    for name in names:
        batch = example(bundle, name)
        calls: dict[str, Call] = {}
        for precision in get_args(Precision):
            path, digest = bundle.file(name, precision)
            calls[f"ONNX Runtime, {precision}"] = Session(path, threads, digest).run
            for hint in ("f32", "bf16") if precision == "float" else ("f32",):
                calls[f"OpenVINO, {precision}, {hint}"] = openvino(path, threads, hint)
        for runtime, seconds in in_turns({key: repeated(call, batch) for key, call in calls.items()}).items():
            print(f"| {name} | {runtime} | {1000 * seconds / CALLS:.1f} |")


def repeated(call: Call, batch: NDArray[np.float32]) -> Callable[[], object]:
    return lambda: [call(batch) for _ in range(CALLS)]


def example(bundle: Bundle, name: str) -> NDArray[np.float32]:
    """A batch of one for a network, of random pixels."""
    rng = np.random.default_rng(0)
    if name == "refiner":
        return rng.integers(0, 256, (1, refining.HEIGHT, refining.WIDTH, 3)).astype(np.float32)
    photo = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    resolution = int(bundle.detector["resolution"] if name == "detector" else bundle.fast["resolution"])
    return frame(photo, resolution)[0][None]


def openvino(path: Path, threads: int, hint: str) -> Call:
    """A network compiled by OpenVINO for one stream on so many threads."""
    try:
        from openvino import Core
    except ImportError:
        raise SystemExit("OpenVINO is not installed: uv pip install openvino") from None
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    compiled = Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda batch: request.infer({0: batch})


if __name__ == "__main__":
    typer.run(main)
