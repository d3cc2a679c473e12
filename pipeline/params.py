"""params.yaml as typed, frozen models: an unknown or misspelt key is an error, never ignored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
SourceName = Literal["synthetic", "kaggle", "ufpr", "voc", "crops", "negatives"]


class ParamsError(ValueError):
    """A params.yaml that cannot be used; the message names the key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthetic(Strict):
    scenes: Annotated[int, Field(ge=0)]  # rendered photos with plates in them
    crops: Annotated[int, Field(ge=0)]  # rendered plate crops, for the reader
    width: Positive
    height: Positive


class Kaggle(Strict):
    origin: str  # kagglehub | a directory | a .zip or .tar | a URL
    sha256: str | None = None  # of the archive, where the origin is a URL
    version: Positive  # of the dataset on Kaggle
    limit: Positive | None = None  # the first n pictures by name; for trials


class Ufpr(Strict):
    origin: str | None
    sha256: str | None = None
    split: Literal["official", "grouped"]


class Voc(Strict):
    origin: str | list[str] | None  # folders (or archives) of images + Pascal VOC annotations
    track: str | None = None  # a pattern whose group 1, found in a file's stem, names the video it is a frame of
    labels: list[str] | None = None  # objects of these names are plates, others are not; null: all, if named alike

    @field_validator("track")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups < 1:
                raise ValueError(f"{pattern!r} has no (group) that names the video")
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return pattern


class Crops(Strict):
    origin: str | list[str] | None  # folders with labels.csv: image_path,plate_text[,plate_region]


class Negatives(Strict):
    origin: str | None  # a folder of pictures without a plate


class Validate(Strict):
    max_pixels: Positive
    min_box_side: float  # pixels
    min_aspect: float  # width / height of a plate's box
    max_aspect: float
    duplicate_iou: Fraction  # two boxes of one picture above this are one plate drawn twice
    quad_iou: Fraction  # a plate's corners and box agree by at least this
    clip_tolerance: float  # pixels a box may stand outside the image and be clipped
    max_failed: Fraction  # share of rows that may go to quarantine
    max_unpaired: Fraction  # share of images without annotation, or annotations without image


class SyncLabels(Strict):
    project: str  # title of the project in Label Studio
    images: Literal["local", "upload"]  # the server reads the pictures from its own disk, or they are sent to it
    root: str  # where local: the folder on the server's machine that it serves, with the pictures in its raw/
    batch: Positive  # tasks sent at once
    same_iou: Fraction  # two people's boxes above this are the same


class Curate(Strict):
    phash_distance: Annotated[int, Field(ge=0, le=64)]  # bits of 64 by which near-duplicates may differ
    merge_iou: Fraction  # boxes of copies above this are one plate
    disagree_iou: Fraction  # merged boxes below this are written down for the annotators
    test: Fraction
    val: Fraction
    folds: Positive | None = None  # k folds instead of one split
    fold: Annotated[int, Field(ge=0)] = 0


class Augment(Strict):
    detector_crops: Positive
    detector_val_crops: Positive
    detector_size: Positive  # pixels, square
    negative_share: Fraction  # crops that hold no plate
    rendered_share: Fraction  # of the others, those cut from rendered scenes where there are real photos
    transplant_share: Fraction  # crops that get another plate warped onto them
    mosaic_share: Fraction  # crops made of four photos
    reader_crops: Annotated[int, Field(ge=0)]  # real crops, augmented
    reader_rendered: Annotated[int, Field(ge=0)]  # plates rendered straight for the reader
    reader_val_crops: Positive


class TrainDetector(Strict):
    backbone: Literal["efficientnetb3", "efficientnetb0", "efficientnet-lite0"]
    weights: Literal["shipped", "imagenet", "none"]
    cut: str  # the trunk's last block
    activation: Literal["relu6", "swish"]  # of the trunk; weights: imagenet needs swish
    stride: Literal[4, 8]  # pixels a cell of the fused features
    width: Positive  # channels of the fused features
    fusion: Literal["fpn", "bifpn"]  # of the feature pyramid
    freeze: str | None = None  # blocks up to and with this one are not trained
    head: Literal["corner", "ssd", "yolo"]
    epochs: Annotated[int, Field(ge=0)]
    epoch_crops: Positive  # crops between two validations
    batch_size: Positive
    learning_rate: float
    patience: Positive
    ema: Fraction
    resolution: Positive  # the longer side of a photo when it is detected in
    precision: Literal["float32", "bfloat16"]  # that training computes in; weights are kept in float32


class TrainRefiner(Strict):
    weights: Literal["shipped", "none"]
    epochs: Annotated[int, Field(ge=0)]
    epoch_looks: Positive  # looks at crops between two validations
    val_looks: Positive
    batch_size: Positive
    learning_rate: float
    patience: Positive
    ema: Fraction
    mistaken_crops: Annotated[int, Field(ge=0)]  # crops that the detector looks at first, for what it is wrong about
    mistaken_score: Fraction  # from which on a wrong detection is learnt from


class TrainReader(Strict):
    weights: Literal["shipped", "none"]
    width: Positive  # channels of the first block; later ones are multiples
    decoder: Literal["ctc", "slots", "attention"]
    epochs: Annotated[int, Field(ge=0)]
    batch_size: Positive
    learning_rate: float
    patience: Positive
    ema: Fraction
    precision: Literal["float32", "bfloat16"]  # that training computes in; weights are kept in float32


class Export(Strict):
    calibration_images: Positive
    max_difference: float  # float ONNX against Keras, largest absolute difference of any output
    max_int8_box_shift: Fraction  # 1 - mean IoU of the int8 boxes with the float ones
    max_int8_text_change: Fraction  # share of crops that int8 reads differently


class Evaluate(Strict):
    min_score: Fraction  # detections below are not read, and count neither for precision nor recall
    bootstrap: Positive
    tesseract: bool
    rapidocr: bool  # a third opinion on every plate, for the queue too; needs the optional package
    worst: Positive  # cases in the picture of the worst, and most shown of each reason on the page


class Queue(Strict):
    limit: Positive
    min_score: Fraction  # an unlabelled detection above is a suspected plate
    min_support: Fraction  # a label that no detection of this score touches is suspected to be no plate
    far_iou: Fraction  # a label whose best detection overlaps less is suspected


class Register(Strict):
    experiment: str
    model: str
    alias: str  # of the version that is served; `challenger` is always the newest one's
    max_loss: Fraction  # of the share of plates found and read, at the lower end of the difference's 95 % interval
    max_slice_loss: Fraction  # the same in any slice, of the difference itself
    slice_plates: Positive  # a slice of fewer is not compared
    max_calibration_error: Fraction  # of the reader's scores; more only where the champion or chance has as much

    @field_validator("alias")
    @classmethod
    def _is_not_the_newest(cls, alias: str) -> str:
        if alias == "challenger":
            raise ValueError("challenger is the alias of every new version; another one must tell which is served")
        return alias


class Params(Strict):
    seed: int
    sources: Annotated[list[SourceName], Field(min_length=1)]
    synthetic: Synthetic
    kaggle: Kaggle
    ufpr: Ufpr
    voc: Voc
    crops: Crops
    negatives: Negatives
    pull: Strict = Strict()
    validate_: Validate = Field(alias="validate")
    sync_labels: SyncLabels
    curate: Curate
    augment: Augment
    train_detector: TrainDetector
    train_student: TrainDetector  # the small one, which learns from the other
    train_refiner: TrainRefiner
    train_reader: TrainReader
    export: Export
    evaluate: Evaluate
    queue: Queue
    register_: Register = Field(alias="register")


def load(path: Path = Path("params.yaml")) -> Params:
    """Reads params.yaml; ParamsError names each key that is unknown, missing or out of range."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is not here; run from the project's root") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ParamsError("\n".join(lines)) from None
