"""export: both networks -> ONNX, float and int8, each checked on real images.

python -m pipeline.stages.export --detector models/detector --reader models/reader \\
    --manifest data/curated/manifest.jsonl --images data/raw --out models/export --metrics metrics/export.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import boxes, bundle, checkpoints, exporting, params
from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle, Precision
from pipeline.detectors.detector import Detector, frame
from pipeline.images import RGB, crop, read_image
from pipeline.manifest import read_manifest, replacing_folder, write_json
from pipeline.readers.reader import HEIGHT, WIDTH, NetworkReader, prepare
from pipeline.records import Sample
from pipeline.sessions import Session

Option = Annotated[Path, typer.Option()]
DETECTOR_OUTPUTS = ("box", "corners", "heatmap")
PRECISIONS: tuple[Precision, Precision] = ("float", "int8")
SURE = 0.5  # score of a detection that int8 must find as well


def main(detector: Option, reader: Option, manifest: Option, images: Option, out: Option, metrics: Option) -> None:
    try:
        export(detector, reader, read_manifest(manifest), images, out, metrics, params.load())
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"export: {error}") from None


def export(
    detector: Path,
    reader: Path,
    samples: Sequence[Sample],
    images: Path,
    out: Path,
    metrics: Path,
    settings: params.Params,
) -> None:
    photos, crops = calibration_images(samples, images, settings.export.calibration_images)
    with replacing_folder(out) as folder:
        figures = {
            "detector_difference": export_detector(detector, folder, photos, settings.train_detector),
            "reader_difference": export_reader(reader, folder, crops, settings.train_reader),
        }
        write_bundle(folder, detector, reader)
        figures["detector_int8_box_shift"] = box_shift(folder, photos)
        figures["reader_int8_text_change"] = text_change(folder, crops)
        print("\n".join(f"{name}: {value:.6f}" for name, value in figures.items()))
        check(figures, settings.export)
    write_json(metrics, figures)


def calibration_images(samples: Sequence[Sample], images: Path, count: int) -> tuple[list[RGB], list[RGB]]:
    """Photos and plate crops of the training split: a test picture calibrates nothing."""
    chosen = [sample for sample in samples if sample.split == "train" and sample.plates]
    photos = [sample for sample in chosen if sample.kind == "photo"][:count]
    if not photos:
        raise exporting.ExportError(
            "no photo with a plate stands in the split `train`: there is nothing to calibrate int8 on"
        )
    decoded = {sample.id: read_image(images / sample.image) for sample in [*photos, *chosen[:count]]}
    crops = [
        crop(decoded[sample.id], plate.box)
        for sample in chosen
        if sample.id in decoded
        for plate in sample.plates
        if plate.legible
    ]
    return [decoded[sample.id] for sample in photos], crops


def export_detector(checkpoint: Path, out: Path, photos: list[RGB], settings: params.TrainDetector) -> float:
    """Writes detector.onnx and detector.int8.onnx; returns the float one's largest difference from Keras."""
    from pipeline.detectors import training

    network = training.build(settings.model_copy(update={"weights": "none", "freeze": None}))
    training.load(network, settings, checkpoint)
    inputs = [frame(photo, settings.resolution)[0][None] for photo in photos]
    exporting.write_pair(network, out, "detector", inputs, DETECTOR_OUTPUTS)
    return parity(network, out / "detector.onnx", inputs[:4])


def export_reader(checkpoint: Path, out: Path, crops: list[RGB], settings: params.TrainReader) -> float:
    """Writes reader.onnx and reader.int8.onnx; returns the float one's largest difference from Keras."""
    from pipeline.readers import training

    network, _ = training.start(checkpoint, settings.width)
    inputs = [prepare(picture)[None, :, :, None].astype(np.float32) for picture in crops]
    exporting.write_pair(network, out, "reader", inputs, ("logits",))
    return parity(network, out / "reader.onnx", inputs[:16])


def parity(network: Any, path: Path, inputs: list[NDArray[np.float32]]) -> float:
    session = Session(path)
    return max(exporting.largest_difference(network, session.run(batch), batch) for batch in inputs)


def write_bundle(folder: Path, detector: Path, reader: Path) -> None:
    card = checkpoints.read_card(detector)
    bundle.write(
        folder,
        detector={
            "float": "detector.onnx",
            "int8": "detector.int8.onnx",
            **{name: card[name] for name in ("resolution", "stride", "head", "backbone")},
        },
        reader={
            "float": "reader.onnx",
            "int8": "reader.int8.onnx",
            "height": HEIGHT,
            "width": WIDTH,
            "alphabet": CHARACTERS,
        },
        created_from={"detector": card, "reader": checkpoints.read_card(reader)},
    )


def box_shift(folder: Path, photos: list[RGB]) -> float:
    """1 - mean IoU of each precision's sure boxes with the other's; one that the other lacks counts as IoU 0.

    The other may be half as sure, or a score that moves a little over the threshold would count as a lost box.
    """
    detectors = [Detector(Bundle.load(folder), precision=precision) for precision in PRECISIONS]
    overlaps: list[float] = []
    for photo in photos:
        sure, likely = ([_boxes(detector, photo, score) for detector in detectors] for score in (SURE, SURE / 2))
        for own, others in ((sure[0], likely[1]), (sure[1], likely[0])):
            overlaps += boxes.iou(own, others).max(axis=1, initial=0.0).tolist()
    return 1 - float(np.mean(overlaps)) if overlaps else 0.0


def _boxes(detector: Detector, photo: RGB, min_score: float) -> NDArray[np.float64]:
    (found,) = detector.detect([photo], min_score)
    return np.array([d.box.xyxy for d in found]).reshape(-1, 4)


def text_change(folder: Path, crops: list[RGB]) -> float:
    """Share of crops that int8 reads differently from float."""
    texts = [
        [reading.text for reading in NetworkReader(Bundle.load(folder), precision=precision).read(crops)]
        for precision in PRECISIONS
    ]
    return float(np.mean([a != b for a, b in zip(*texts, strict=True)])) if crops else 0.0


def check(figures: dict[str, float], settings: params.Export) -> None:
    """ExportError where a network changed by more than params.yaml allows."""
    limits = {
        "detector_difference": settings.max_difference,
        "reader_difference": settings.max_difference,
        "detector_int8_box_shift": settings.max_int8_box_shift,
        "reader_int8_text_change": settings.max_int8_text_change,
    }
    broken = [
        f"{name} is {figures[name]:.4f}, above {limit}" for name, limit in limits.items() if figures[name] > limit
    ]
    if broken:
        raise exporting.ExportError("; ".join(broken) + " (see export in params.yaml)")


if __name__ == "__main__":
    typer.run(main)
