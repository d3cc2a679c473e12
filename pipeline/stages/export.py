"""export: the networks -> ONNX, float and int8, each checked on real images.

python -m pipeline.stages.export --detector models/detector --student models/student --refiner models/refiner \
    --reader models/reader --manifest data/curated/manifest.jsonl --images data/raw --out models/export \
    --metrics metrics/export.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import boxes, bundle, checkpoints, exporting, params
from pipeline.alphabet import CHARACTERS
from pipeline.bundle import Bundle, Network, Precision
from pipeline.detectors.detector import Detector, frame
from pipeline.detectors.refining import look, region_of
from pipeline.images import RGB, crop, read_image
from pipeline.manifest import read_manifest, replacing_folder, write_json
from pipeline.readers.reader import HEIGHT, WIDTH, NetworkReader, prepare
from pipeline.records import Detection, Sample
from pipeline.sessions import Session

Option = Annotated[Path, typer.Option()]
Checkpoints = Mapping[Network, Path]
FINDERS: tuple[Literal["detector", "fast"], ...] = ("detector", "fast")
PRECISIONS: tuple[Precision, Precision] = ("float", "int8")
SURE = 0.5  # score of a detection that int8 must find as well


def main(
    detector: Option,
    student: Option,
    refiner: Option,
    reader: Option,
    manifest: Option,
    images: Option,
    out: Option,
    metrics: Option,
) -> None:
    networks: Checkpoints = {"detector": detector, "fast": student, "refiner": refiner, "reader": reader}
    try:
        export(networks, read_manifest(manifest), images, out, metrics, params.load())
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"export: {error}") from None


def export(
    networks: Checkpoints,
    samples: Sequence[Sample],
    images: Path,
    out: Path,
    metrics: Path,
    settings: params.Params,
) -> None:
    shown = calibration_samples(samples, settings.export.calibration_images)
    photos, crops, looks = calibration_images(shown, images)
    with replacing_folder(out) as folder:
        figures = {
            **{f"{name}_difference": export_finder(networks[name], folder, name, photos) for name in FINDERS},
            "refiner_difference": export_refiner(networks["refiner"], folder, looks),
            "reader_difference": export_reader(networks["reader"], folder, crops, settings.train_reader),
        }
        write_bundle(folder, networks, settings.train_reader)
        figures |= {f"{name}_int8_box_shift": box_shift(folder, name, photos) for name in FINDERS}
        figures["reader_int8_text_change"] = text_change(folder, crops)
        print("\n".join(f"{name}: {value:.6f}" for name, value in figures.items()))
        check(figures, settings.export)
    write_json(metrics, figures)


def calibration_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Up to `count` photos with plates, and as many crops, of the training split: a test picture calibrates nothing."""
    chosen = [sample for sample in samples if sample.split == "train" and any(plate.legible for plate in sample.plates)]
    photos = [sample for sample in chosen if sample.kind == "photo"][:count]
    if not photos:
        raise exporting.ExportError(
            "no photo with a plate stands in the split `train`: there is nothing to calibrate int8 on"
        )
    return [*photos, *[sample for sample in chosen if sample.kind == "crop"][:count]]


def calibration_images(samples: Sequence[Sample], images: Path) -> tuple[list[RGB], list[RGB], list[RGB]]:
    """(photos, crops of plates as a reader sees them, looks at plates as the refiner sees them)."""
    photos, crops, looks = [], [], []
    for sample in samples:
        image = read_image(images / sample.image)
        legible = [plate for plate in sample.plates if plate.legible]
        crops += [crop(image, plate.box) for plate in legible]
        if sample.kind == "photo":
            photos.append(image)
            looks += [look(image, region_of(*plate.box.xyxy)) for plate in legible]
    return photos, crops, looks


def export_finder(checkpoint: Path, out: Path, name: str, photos: list[RGB]) -> float:
    """Writes NAME.onnx and NAME.int8.onnx; returns the float one's largest difference from Keras."""
    from pipeline.detectors import training

    network, card = training.restored(checkpoint)
    inputs = [frame(photo, card["resolution"])[0][None] for photo in photos]
    exporting.write_pair(network, out, name, inputs, sorted(network.output))
    return parity(network, out / f"{name}.onnx", inputs[:4])


def export_refiner(checkpoint: Path, out: Path, looks: list[RGB]) -> float:
    """Writes refiner.onnx and refiner.int8.onnx; returns the float one's largest difference from Keras."""
    from pipeline.detectors import refiner

    network = refiner.build()
    refiner.load(network, checkpoint)
    inputs = [picture[None].astype(np.float32) for picture in looks]
    exporting.write_pair(network, out, "refiner", inputs, sorted(network.output))
    return parity(network, out / "refiner.onnx", inputs[:16])


def export_reader(checkpoint: Path, out: Path, crops: list[RGB], settings: params.TrainReader) -> float:
    """Writes reader.onnx and reader.int8.onnx; returns the float one's largest difference from Keras."""
    from pipeline.readers import training
    from pipeline.readers.layers import folded

    network, _ = training.start(checkpoint, settings.width, (settings.decoder,))
    network = folded(network)
    inputs = [prepare(picture)[None, :, :, None].astype(np.float32) for picture in crops]
    exporting.write_pair(network, out, "reader", inputs, sorted(network.output))
    return parity(network, out / "reader.onnx", inputs[:16])


def parity(network: Any, path: Path, inputs: list[NDArray[np.float32]]) -> float:
    session = Session(path)
    return max(exporting.largest_difference(network, session.run(batch), batch) for batch in inputs)


def write_bundle(folder: Path, checkpoints_: Checkpoints, reader: params.TrainReader) -> None:
    cards = {name: checkpoints.read_card(path) for name, path in checkpoints_.items()}
    of_card = ("resolution", "stride", "head", "backbone")
    settings: dict[Network, dict[str, Any]] = {
        "detector": {key: cards["detector"][key] for key in of_card},
        "fast": {key: cards["fast"][key] for key in of_card},
        "refiner": {},
        "reader": {
            "height": HEIGHT,
            "width": WIDTH,
            "alphabet": CHARACTERS,
            "decoder": reader.decoder,
            "regions": cards["reader"]["regions"],
            "calibration": cards["reader"]["calibrations"][reader.decoder],
        },
    }
    files = {name: {"float": f"{name}.onnx", "int8": f"{name}.int8.onnx"} for name in settings}
    bundle.write(folder, {name: {**files[name], **own} for name, own in settings.items()}, cards)


def box_shift(folder: Path, network: Literal["detector", "fast"], photos: list[RGB]) -> float:
    """1 - mean IoU of each precision's sure boxes with the other's; one that the other lacks counts as IoU 0.

    The other may be half as sure, or a score that moves a little over the threshold would count as a lost box.
    """
    detectors = [Detector(Bundle.load(folder), precision=precision, network=network) for precision in PRECISIONS]
    overlaps: list[float] = []
    for photo in photos:
        found = [detector.detect([photo], SURE / 2)[0] for detector in detectors]
        sure, likely = ([_boxes(one, least) for one in found] for least in (SURE, SURE / 2))
        for own, others in ((sure[0], likely[1]), (sure[1], likely[0])):
            overlaps += boxes.iou(own, others).max(axis=1, initial=0.0).tolist()
    return 1 - float(np.mean(overlaps)) if overlaps else 0.0


def _boxes(found: Sequence[Detection], least: float) -> NDArray[np.float64]:
    """(N, 4) boxes of the detections of at least this score."""
    return np.array([one.box.xyxy for one in found if one.score >= least]).reshape(-1, 4)


def text_change(folder: Path, crops: list[RGB]) -> float:
    """Share of crops that int8 reads differently from float."""
    texts = [
        [reading.best for reading in NetworkReader(Bundle.load(folder), precision=precision).read(crops)]
        for precision in PRECISIONS
    ]
    return float(np.mean([a != b for a, b in zip(*texts, strict=True)])) if crops else 0.0


def check(figures: dict[str, float], settings: params.Export) -> None:
    """ExportError where a network changed by more than params.yaml allows."""
    limits = {
        "detector_difference": settings.max_difference,
        "fast_difference": settings.max_difference,
        "refiner_difference": settings.max_difference,
        "reader_difference": settings.max_difference,
        "detector_int8_box_shift": settings.max_int8_box_shift,
        "fast_int8_box_shift": settings.max_int8_box_shift,
        "reader_int8_text_change": settings.max_int8_text_change,
    }
    broken = [
        f"{name} is {figures[name]:.4f}, above {limit}" for name, limit in limits.items() if figures[name] > limit
    ]
    if broken:
        raise exporting.ExportError("; ".join(broken) + " (see export in params.yaml)")


if __name__ == "__main__":
    typer.run(main)
