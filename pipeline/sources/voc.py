"""Any folder of images with Pascal VOC annotations; also the parser of such annotations.

An image and an annotation are a pair if their paths are the same apart from the suffix and from folders
that only say which of the two they hold: images/a.jpg with annots/a.xml, train/images/a.jpg with
train/annots/a.xml, JPEGImages/val/a.jpg with Annotations/val/a.xml, or a.jpg with a.xml.
A folder called train, valid or test gives the official split.
"""

from __future__ import annotations

import io
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from pipeline.images import Header, ImageError
from pipeline.params import Voc
from pipeline.records import Box, Plate, Sample, Split
from pipeline.sources.base import (
    Problem,
    Pulled,
    SourceError,
    Track,
    files_below,
    image_name,
    is_image,
    keep_picture,
    natural,
    read_picture,
    silently,
)
from pipeline.sources.origin import local_folders

MAX_XML_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_ELEMENTS = 20_000
HOLDERS = frozenset({"images", "image", "img", "jpegimages", "annotations", "annotation", "annots", "labels", "xml"})
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class VocError(ValueError):
    """An annotation that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class VocObject:
    label: str
    box: Box


@dataclass(frozen=True, slots=True)
class VocAnnotation:
    """`size` is (width, height) as annotated; None where the file does not say."""

    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def parse_voc(data: bytes, name: str) -> VocAnnotation:
    """Pascal VOC XML -> boxes as annotated, in the pixels of the annotated image.

    Entities and DTDs are refused, and more than a megabyte, 32 levels or 20,000 elements.
    Raises VocError, which names the file and the box.
    """
    try:
        root = _parse_bounded(data)
        objects = tuple(_parse_object(element, n) for n, element in enumerate(root.iter("object"), start=1))
        return VocAnnotation(_parse_size(root), objects)
    except DefusedXmlException as error:
        raise VocError(f"{name}: {type(error).__name__}: a DTD or an entity has no place in an annotation") from None
    except (ParseError, LookupError) as error:
        raise VocError(f"{name}: not well-formed XML: {error}") from None
    except ValueError as error:
        raise VocError(f"{name}: {error}") from None


def _parse_bounded(data: bytes) -> Element:
    if len(data) > MAX_XML_BYTES:
        raise ValueError(f"{len(data):,} bytes, more than the cap of {MAX_XML_BYTES:,}")
    root: Element | None = None
    depth = count = 0
    for event, element in iterparse(io.BytesIO(data.strip()), events=("start", "end"), forbid_dtd=True):
        if event == "end":
            depth -= 1
            continue
        root = element if root is None else root
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH:
            raise ValueError(f"elements nested deeper than {MAX_DEPTH}")
        if count > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_ELEMENTS:,} elements")
    if root is None or root.tag != "annotation":
        raise ValueError("not a Pascal VOC annotation: its root is not <annotation>")
    return root


def _parse_size(root: Element) -> tuple[int, int] | None:
    size = root.find("size")
    if size is None:
        return None
    width, height = (_number(size, tag, "<size>") for tag in ("width", "height"))
    if not (math.isfinite(width) and math.isfinite(height)):
        raise ValueError(f"<size> is not finite: {width} x {height}")
    return (int(width), int(height)) if width > 0 and height > 0 else None


def _parse_object(element: Element, number: int) -> VocObject:
    bndbox = element.find("bndbox")
    if bndbox is None:
        raise ValueError(f"object {number} has no <bndbox>")
    x1, y1, x2, y2 = (_number(bndbox, tag, f"box {number}") for tag in ("xmin", "ymin", "xmax", "ymax"))
    try:
        box = Box(x1, y1, x2, y2)
    except ValueError as error:
        raise ValueError(f"box {number}: {error}") from None
    return VocObject((element.findtext("name") or "").strip(), box)


def _number(parent: Element, tag: str, where: str) -> float:
    text = (parent.findtext(tag) or "").strip()
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where} has {tag} {text[:40]!r}, which is not a number") from None


def check_size(annotation: VocAnnotation, header: Header, name: str) -> None:
    """VocError where the annotation's <size> is not that of the upright picture."""
    if annotation.size is None or annotation.size == header.size:
        return
    annotated, upright = ("{} x {}".format(*size) for size in (annotation.size, header.size))
    if annotation.size == (header.stored_width, header.stored_height):
        raise VocError(
            f"{name}: annotated on the unrotated picture ({annotated}); its EXIF orientation "
            f"{header.orientation} makes it {upright}: draw the boxes on the upright picture"
        )
    raise VocError(f"{name}: <size> says {annotated}, the image is {upright}")


def read_annotation(file: Path, name: str) -> VocAnnotation:
    """parse_voc of a file, of which no more than the cap is read."""
    try:
        with file.open("rb") as opened:
            return parse_voc(opened.read(MAX_XML_BYTES + 1), name)
    except OSError as error:
        raise VocError(f"{name}: cannot be read: {error.strerror or error}") from None


def read_pair(
    folder: Path, image: str, annotation: str, out: Path, kept: str, source: str, labels: Sequence[str] | None = None
) -> Sample | Problem:
    """An image and its annotation (paths below `folder`) as a Sample, the image copied to out/kept.

    Objects are plates if they bear one of the `labels`, or whatever they are called where there are none.
    """
    try:
        data, header = read_picture(folder / image)
        boxes = read_annotation(folder / annotation, annotation)
        check_size(boxes, header, annotation)
    except ImageError as error:
        return Problem("image", f"{image}: {error}", image, annotation)
    except VocError as error:
        return Problem("annotation", str(error), image, annotation)
    picture = keep_picture(data, header, out, kept)
    width, height = header.size
    plates = tuple(Plate(found.box) for found in boxes.objects if labels is None or found.label in labels)
    return Sample(picture.id, picture.image, width, height, plates, source, group=picture.id)


def pull(settings: Voc, work: Path, out: Path, track: Track = silently) -> Pulled:
    """Every annotated image of the origins; what is unpaired, unreadable or nonsense becomes a Problem."""
    pulled = Pulled()
    for prefix, folder in local_folders(settings.origin, "voc.origin", work):
        pairs, unpaired = pair(files_below(folder)[0])
        if not pairs and not unpaired:
            raise SourceError(f"{folder}: holds no images with .xml annotations; is voc.origin the right folder?")
        _check_labels(folder, [annotation for _, annotation in pairs], settings.labels)
        pulled.problems.extend(unpaired)
        for image, annotation in track(pairs, "Reading pairs"):
            found = read_pair(folder, image, annotation, out, image_name(image, prefix), "voc", settings.labels)
            if isinstance(found, Sample):
                group = _track_of(image, prefix, settings.track) or found.group
                found = replace(found, official_split=split_of(image), group=group)
            pulled.add(found)
    return pulled


def _check_labels(folder: Path, annotations: Sequence[str], labels: Sequence[str] | None) -> None:
    """SourceError where a car might be taken for a plate, or no plate for one, because of its name."""
    seen: set[str] = set()
    for name in annotations:
        with suppress(VocError):  # told when its pair is read
            seen.update(found.label for found in read_annotation(folder / name, name).objects)
    named = ", ".join(sorted(repr(label) for label in seen))
    if labels is None and len(seen) > 1:
        raise SourceError(f"{folder}: objects are called {named}; list in voc.labels which of these are plates")
    if labels is not None and seen and not seen.intersection(labels):
        raise SourceError(f"{folder}: objects are called {named}; voc.labels names none of these")


def pair(files: Sequence[str]) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Relative paths -> (image, annotation) pairs, and a Problem for each file that has no one partner."""
    images, annotations = defaultdict(list), defaultdict(list)
    for name in files:
        if is_image(name):
            images[_key(name)].append(name)
        elif PurePosixPath(name).suffix.lower() == ".xml":
            annotations[_key(name)].append(name)
    pairs: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for key in sorted({**images, **annotations}):
        ours, theirs = images[key], annotations[key]
        if len(ours) == len(theirs) == 1:
            pairs.append((ours[0], theirs[0]))
        elif not theirs:
            problems += [Problem("unpaired", f"{name}: image without annotation", image=name) for name in ours]
        elif not ours:
            problems += [Problem("unpaired", f"{name}: annotation without image", annotation=name) for name in theirs]
        else:
            reason = f"which belongs to which? {', '.join(ours + theirs)}; keep one image and one annotation"
            problems += [Problem("unpaired", reason, image=name, annotation=theirs[0]) for name in ours]
    return sorted(pairs, key=lambda found: natural(found[0])), problems


def _key(name: str) -> str:
    path = PurePosixPath(name)
    return "/".join([*(part for part in path.parts[:-1] if part.lower() not in HOLDERS), path.stem])


def split_of(name: str) -> Split | None:
    """The official split that a path's folders name, if they do."""
    for part in PurePosixPath(name).parts[:-1]:
        if (split := SPLITS.get(part.lower())) is not None:
            return split
    return None


def _track_of(image: str, prefix: str, pattern: str | None) -> str | None:
    """voc/<what the pattern captures of the file's stem>, so that a video's frames stay in one split."""
    match = re.search(pattern, PurePosixPath(image).stem) if pattern else None
    return f"voc/{prefix}{match[1]}" if match else None
