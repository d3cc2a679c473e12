"""A folder of pictures without a plate: what a detector must stay silent on."""

from __future__ import annotations

from pathlib import Path

from pipeline.images import ImageError
from pipeline.params import Negatives
from pipeline.records import Sample
from pipeline.sources.base import (
    Problem,
    Pulled,
    SourceError,
    Track,
    files_below,
    image_name,
    is_image,
    keep_picture,
    read_picture,
    silently,
)
from pipeline.sources.origin import local_folders


def pull(settings: Negatives, work: Path, out: Path, track: Track = silently) -> Pulled:
    """Every picture of the origin as a Sample with no plates."""
    pulled = Pulled()
    for prefix, folder in local_folders(settings.origin, "negatives.origin", work):
        names = [name for name in files_below(folder)[0] if is_image(name)]
        if not names:
            raise SourceError(f"{folder}: holds no pictures; is negatives.origin the right folder?")
        for name in track(names, "Reading pictures"):
            try:
                data, header = read_picture(folder / name)
            except ImageError as error:
                pulled.add(Problem("image", f"{name}: {error}", image=name))
                continue
            picture = keep_picture(data, header, out, image_name(name, prefix))
            width, height = header.size
            pulled.add(Sample(picture.id, picture.image, width, height, (), "negatives", picture.id))
    return pulled
