"""The page of an evaluation: figures, tables and pictures in one self-contained report/index.html."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.images import RGB, encode_jpeg
from pipeline.manifest import replacing_folder
from pipeline.metrics import Case
from pipeline.rendering.lookalikes import beside
from pipeline.report import attribution, comparison, galleries
from pipeline.report.figures import figures
from pipeline.report.galleries import REASONS, Tile
from pipeline.report.tables import READER_NAMES, environment

TEMPLATE = "report.html"
LOOKALIKES = 36  # real crops, and as many rendered ones, in one picture
OPEN = 8  # tiles of a gallery that are seen before it is unfolded
HEADINGS = {
    "source": "Source",
    "region": "Region",
    "rows": "Rows of characters",
    "height": "Plate height",
    "blur": "Blur",
}


def write(
    folder: Path,
    document: Mapping[str, Any],
    cases: Sequence[Case],
    images: Path,
    *,
    worst: int,
    command: str,
    model: Mapping[str, Any],
    upstream: Mapping[str, Any],
) -> None:
    """Writes folder/index.html, worst.jpg, sample.jpg and rendered.jpg; an earlier report there is replaced as a whole.

    `document` is what the stage evaluate measured; `images` the folder that the samples' paths are relative to; `worst`
    the number of cases in the picture of the worst, and of each reason on the page; `model` the bundle.json;
    `upstream` the metrics of validate and curate, by those names, where they are known. Raises ImageError where a
    picture cannot be read.
    """
    test = [case for case in cases if case.sample.split == "test"]
    ordered = galleries.by_badness(test, document["detection"]["min_score"])
    bad = [item for item in ordered if item.badness > 0][:worst]
    fair = galleries.evenly(ordered[::-1], max(1, worst // 2))
    by_reason = galleries.by_reason(ordered)
    drawn = {
        reason: (len(found), [galleries.draw(item, images) for item in found[:worst]])
        for reason, found in by_reason.items()
    }
    sample = [galleries.draw(item, images) for item in fair]
    real = [
        crop
        for case in galleries.evenly(sorted(test, key=lambda case: case.sample.id), LOOKALIKES)
        for crop in galleries.labelled_crops(case, images)
    ]
    lookalikes = beside(real[:LOOKALIKES], seed=0)
    templates = environment()
    templates.filters.update(jpeg=_jpeg_url)
    text = templates.get_template(TEMPLATE).render(
        document=document,
        figures=figures(document, cases),
        steps=attribution.rows(document["attribution"]),
        stages=attribution.STAGES,
        galleries=drawn,
        reasons=REASONS,
        open=OPEN,
        sample=sample,
        lookalikes=lookalikes,
        champion=comparison.place(),
        command=command,
        model={part: _scalars(settings) for part, settings in model.items()},
        upstream=upstream,
        names=READER_NAMES,
        headings=HEADINGS,
    )
    with replacing_folder(folder) as fresh:
        (fresh / "index.html").write_text(text, encoding="utf-8")
        (fresh / "rendered.jpg").write_bytes(encode_jpeg(lookalikes))
        _write_sheet(fresh / "worst.jpg", [galleries.draw(item, images) for item in bad])
        _write_sheet(fresh / "sample.jpg", sample)


def _write_sheet(path: Path, tiles: Sequence[Tile]) -> None:
    path.write_bytes(encode_jpeg(galleries.sheet(tiles)))


def _jpeg_url(image: RGB) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, 85)).decode()


def _scalars(section: Any) -> dict[str, Any]:
    """What of a bundle's section can stand in a table."""
    return {k: v for k, v in (section or {}).items() if isinstance(v, str | int | float) and k != "alphabet"}
