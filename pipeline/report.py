"""The page of an evaluation: figures, tables and pictures in one self-contained report/index.html, and DVC's plots."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import jinja2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from pipeline import metrics
from pipeline.images import RGB, encode_jpeg, read_image, rectify
from pipeline.manifest import replacing, replacing_folder
from pipeline.metrics import Case, Ghost, Outcome
from pipeline.records import Box, Quad
from pipeline.rendering.lookalikes import beside

TRUTH, PREDICTION = (46, 160, 67), (218, 54, 51)  # green and red, RGB
TILE_WIDTH, TILE_HEIGHT, STRIP_HEIGHT, CAPTION_HEIGHT = 360, 270, 56, 44  # pixels
TEMPLATE = Path(__file__).parent / "templates" / "report.html"
LOOKALIKES = 36  # real crops, and as many rendered ones, in one picture
_INK = "#010203"  # stands for the page's own text colour in the figures
_COLOURS = ("#3b82c4", "#d98324", "#7a5fb5", "#4c9f70")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}
Item = TypeVar("Item")

READER_NAMES = {"network": "our reader", "tesseract": "Tesseract", "rapidocr": "RapidOCR"}


@dataclass(frozen=True, slots=True)
class Line:
    """A plate of a tile: its true text ('' where none is certain) and what each reader read on the detected crop."""

    truth: str
    read: Mapping[str, str]
    right: bool


@dataclass(frozen=True, slots=True)
class Tile:
    """One test picture, drawn: truth green, predictions red; below it the plate that matters most, upright."""

    name: str
    picture: RGB  # (h, w, 3) at most TILE_HEIGHT x TILE_WIDTH
    strip: RGB  # (STRIP_HEIGHT, w, 3), w at most TILE_WIDTH
    problems: tuple[str, ...]
    lines: tuple[Line, ...]


# The page


def write(
    folder: Path,
    document: Mapping[str, Any],
    cases: Sequence[Case],
    images: Path,
    *,
    worst: int,
    command: str,
    model: Mapping[str, Any],
) -> None:
    """Writes folder/index.html, worst.jpg, sample.jpg and rendered.jpg; an earlier report there is replaced as a whole.

    `document` is metrics.evaluate's; `images` the folder that the samples' paths are relative to; `worst` the number of
    cases in the picture of the worst; `model` the bundle.json. Raises ImageError where a picture cannot be read.
    """
    test = [case for case in cases if case.sample.split == "test"]
    min_score = document["detection"]["min_score"]
    ordered = by_badness(test, min_score)
    bad = [item for item in ordered if item.badness > 0][:worst]
    fair = evenly(ordered[::-1], max(1, worst // 2))
    tiles = {"worst": [draw(item, images) for item in bad], "sample": [draw(item, images) for item in fair]}
    real = [
        crop
        for case in evenly(sorted(test, key=lambda case: case.sample.id), LOOKALIKES)
        for crop in _read(case, images)
    ]
    lookalikes = beside(real[:LOOKALIKES], seed=0)
    page = render(document, cases, tiles, lookalikes, command=command, model=model)
    with replacing_folder(folder) as fresh:
        (fresh / "index.html").write_text(page, encoding="utf-8")
        (fresh / "rendered.jpg").write_bytes(encode_jpeg(lookalikes))
        for name, chosen in tiles.items():
            (fresh / f"{name}.jpg").write_bytes(encode_jpeg(sheet(chosen)))


def render(
    document: Mapping[str, Any],
    cases: Sequence[Case],
    tiles: Mapping[str, Sequence[Tile]],
    lookalikes: RGB,
    *,
    command: str,
    model: Mapping[str, Any],
) -> str:
    """The page as HTML; everything in it is inside it, and every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(percent=percent, interval=interval_text, jpeg=_jpeg_url)
    return environment.get_template(TEMPLATE.name).render(
        document=document,
        figures=figures(document, cases),
        tiles=tiles,
        lookalikes=lookalikes,
        command=command,
        model={part: _scalars(settings) for part, settings in model.items()},
        names=READER_NAMES,
        headings={"source": "Source", "region": "Region", "rows": "Rows of characters", "height": "Plate height"},
    )


def percent(value: float | None) -> str:
    """0.8374 -> '83.7 %'; what is missing is a dash."""
    return "\N{EN DASH}" if value is None else f"{100 * value:.1f} %"


def interval_text(section: Mapping[str, Any], name: str) -> str:
    """'79.1 to 88.0' of a figure's interval, or ''."""
    interval = section["interval"].get(name) or {}
    if interval.get("low") is None:
        return ""
    return f"{100 * interval['low']:.1f} to {100 * interval['high']:.1f}"


def _jpeg_url(image: RGB) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, 85)).decode()


def _scalars(section: Any) -> dict[str, Any]:
    """What of a bundle's section can stand in a table."""
    return {k: v for k, v in (section or {}).items() if isinstance(v, str | int | float) and k != "alphabet"}


# Figures


def figures(document: Mapping[str, Any], cases: Sequence[Case]) -> list[dict[str, str]]:
    """Title, caption and SVG of each figure that the test split gives something to draw for."""
    test = [case for case in cases if case.sample.split == "test"]
    photos = [case for case in test if case.sample.kind == "photo"]
    ranking, min_score = metrics.rank(photos), document["detection"]["min_score"]
    made = []

    def add(title: str, caption: str, svg: str) -> None:
        made.append({"title": title, "caption": caption, "svg": svg})

    if len(ranking.scores) and ranking.plates.sum():
        add(
            "Precision and recall",
            f"Every score as threshold, test photos. The dot is the working point, {min_score:g}.",
            _precision_recall_figure(ranking, min_score),
        )
        add(
            "Scores of detections",
            f"Right is a plate found at IoU 0.5. Those left of the line ({min_score:g}) are not read.",
            _score_figure(ranking, min_score),
        )
        heights = {name: row for name, row in document["slices"]["height"].items() if row.get("ap50") is not None}
        add(
            "AP50 by plate height",
            "Height of the plate's box in pixels of the photo; the number is that of plates; lines are 95 % intervals.",
            _height_figure(heights),
        )
    if any(row["exact"] is not None for _, _, row in exact_rows(document)):
        add(
            "Exact match by reader",
            "Plates with a certain text, all characters right; lines are 95 % intervals over groups of pictures.",
            _exact_figure(exact_rows(document)),
        )
    results, _ = metrics.outcomes(test, min_score)
    if counts := metrics.confusions(results, "network"):
        add(
            "Characters our reader confuses",
            "True character, then what was read, on labelled crops; ∅ stands for none. The 15 most frequent.",
            _confusion_figure(counts.most_common(15)),
        )
    return made


def _svg(paint: Callable[[Axes], None]) -> str:
    """What `paint` draws, as inline SVG in the page's text colour; the same drawing gives the same bytes."""
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        paint(axes)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return text.replace(_INK, "currentColor")


def _precision_recall_figure(ranking: metrics.Ranking, min_score: float) -> str:
    def paint(axes: Axes) -> None:
        working_point = int((ranking.scores >= min_score).sum()) - 1
        for index, colour in ((0, _COLOURS[0]), (4, _COLOURS[1])):
            precision, recall = metrics.precision_recall(ranking, index)
            shown = len(recall) - int(ranking.right[index][::-1].argmax())  # beyond the last right one, recall stands
            axes.plot(recall[:shown], precision[:shown], color=colour, label=f"IoU {metrics.IOUS[index]:g}")
            if working_point >= 0:
                axes.plot(recall[working_point], precision[working_point], "o", color=colour)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.legend(loc="lower left")

    return _svg(paint)


def _score_figure(ranking: metrics.Ranking, min_score: float) -> str:
    def paint(axes: Axes) -> None:
        right = ranking.right[0]
        edges = [edge / 20 for edge in range(21)]
        values = [ranking.scores[right], ranking.scores[~right]]
        axes.hist(values, bins=edges, stacked=True, color=_COLOURS[:2], label=["right", "wrong"])
        axes.axvline(min_score, color=_INK, linewidth=1, linestyle="--")
        axes.set(xlabel="score", ylabel="detections", xlim=(0, 1))
        axes.legend()

    return _svg(paint)


def _error_bar(axes: Axes, x: float, interval: Mapping[str, Any]) -> None:
    if interval.get("low") is not None:
        axes.vlines(x, interval["low"], interval["high"], color=_INK, linewidth=1.5)


def _height_figure(slices: Mapping[str, Mapping[str, Any]]) -> str:
    def paint(axes: Axes) -> None:
        axes.bar(range(len(slices)), [row["ap50"] for row in slices.values()], color=_COLOURS[0], width=0.6)
        for x, row in enumerate(slices.values()):
            _error_bar(axes, x, row["interval"]["ap50"])
        names = [
            f"{name.replace(' px', '').replace(' and more', ' +')}\n{row['plates']}" for name, row in slices.items()
        ]
        axes.set_xticks(range(len(slices)), names)
        axes.set(ylim=(0, 1.02), ylabel="AP50")
        axes.grid(visible=False, axis="x")

    return _svg(paint)


def _exact_figure(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    readers = list(dict.fromkeys(reader for reader, _, _ in rows))
    places = list(dict.fromkeys(place for _, place, _ in rows))
    width = 0.8 / len(readers)

    def paint(axes: Axes) -> None:
        for index, reader in enumerate(readers):
            chosen = [(places.index(p), row) for r, p, row in rows if r == reader and row["exact"] is not None]
            xs = [at + (index - (len(readers) - 1) / 2) * width for at, _ in chosen]
            name, colour = READER_NAMES.get(reader, reader), _COLOURS[index % len(_COLOURS)]
            axes.bar(xs, [row["exact"] for _, row in chosen], width * 0.92, color=colour, label=name)
            for x, (_, row) in zip(xs, chosen, strict=True):
                _error_bar(axes, x, row["interval"]["exact"])
        axes.set_xticks(range(len(places)), places)
        axes.set(ylim=(0, 1.02), ylabel="exact match")
        axes.grid(visible=False, axis="x")
        axes.legend()

    return _svg(paint)


def _confusion_figure(counts: Sequence[tuple[tuple[str, str], int]]) -> str:
    def paint(axes: Axes) -> None:
        names = [f"{true or '∅'} → {read or '∅'}" for (true, read), _ in counts]
        axes.barh(range(len(counts)), [count for _, count in counts], color=_COLOURS[0])
        axes.set_yticks(range(len(counts)), names)
        axes.invert_yaxis()
        axes.set(xlabel="times")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=False, axis="y")

    return _svg(paint)


def exact_rows(document: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(reader, where, section with `exact`) for labelled crops, detected crops and end to end."""
    ocr = document["ocr"]
    whole = {next(iter(ocr)): document["end_to_end"], **document["end_to_end_baselines"]}
    rows = []
    for reader, section in ocr.items():
        rows += [(reader, "labelled crops", section["labelled"]), (reader, "detected crops", section["detected"])]
        rows.append((reader, "end to end", whole[reader]))
    return rows


# Pictures of cases


@dataclass(frozen=True, slots=True)
class Judged:
    """A test case with what became of its plates; the larger `badness`, the worse. `focus` is the plate to show."""

    case: Case
    results: tuple[Outcome, ...]
    ghosts: tuple[Ghost, ...]
    badness: float
    problems: tuple[str, ...]
    focus: tuple[Box, Quad | None]


def by_badness(cases: Iterable[Case], min_score: float) -> list[Judged]:
    """Worst first. A missed plate weighs 2, a false detection its score, a wrong text its share of wrong characters."""
    judged = [_judge(case, min_score) for case in cases]
    return sorted(judged, key=lambda item: (-item.badness, item.case.sample.id, item.case.sample.image))


def _judge(case: Case, min_score: float) -> Judged:
    results, ghosts = metrics.outcomes([case], min_score)
    whole = Box(0, 0, case.sample.width, case.sample.height)
    weighed: list[tuple[float, str, Box, Quad | None]] = []
    for outcome in results:
        weight, problem = _weigh(outcome)
        weighed.append((weight, problem, outcome.plate.box, outcome.plate.quad))
    for ghost in ghosts:
        read = ghost.read.get("network", "")
        problem = f"false plate, read as {read}" if read else "false plate"
        weighed.append((ghost.detection.score, problem, ghost.detection.box, ghost.detection.quad))
    _, _, box, quad = max(weighed, key=lambda item: item[0], default=(0.0, "", whole, None))
    return Judged(
        case=case,
        results=tuple(results),
        ghosts=tuple(ghosts),
        badness=sum(weight for weight, _, _, _ in weighed),
        problems=tuple(dict.fromkeys(problem for _, problem, _, _ in weighed if problem)),
        focus=(box, quad),
    )


def _weigh(outcome: Outcome) -> tuple[float, str]:
    """(badness, problem in words) of one plate."""
    on_photo = outcome.sample.kind == "photo"
    if on_photo and outcome.detection is None:
        return 2.0, "missed plate"
    read = (outcome.detected if on_photo else outcome.labelled).get("network")
    if outcome.truth is None or read is None or read == outcome.truth:
        return 0.0, ""
    return min(1.0, Levenshtein.normalized_distance(outcome.truth, read)), "misread" if read else "not read"


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items at even steps, both ends included: a fair sample of an ordered list."""
    if len(items) <= count:
        return list(items)
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, count).round()]


def draw(judged: Judged, images: Path) -> Tile:
    """Draws a case: truth green, detections red; and its plate of interest upright."""
    sample = judged.case.sample
    image = read_image(images / sample.image)
    scale = min(TILE_WIDTH / sample.width, TILE_HEIGHT / sample.height)
    size = (max(1, round(sample.width * scale)), max(1, round(sample.height * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.uint8)
    if sample.kind == "photo":
        for plate in sample.plates:
            _outline(picture, plate.quad or Quad.of_box(plate.box), scale, TRUTH)
        for detection in [o.detection for o in judged.results if o.detection] + [g.detection for g in judged.ghosts]:
            _outline(picture, detection.quad, scale, PREDICTION)
    box, quad = judged.focus
    strip = rectify(image, quad or Quad.of_box(box), STRIP_HEIGHT, max_width=TILE_WIDTH)
    lines = [
        Line(outcome.truth or "", read, outcome.truth is not None and read.get("network") == outcome.truth)
        for outcome in judged.results
        for read in [outcome.detected if sample.kind == "photo" else outcome.labelled]
    ]
    return Tile(sample.image, picture, strip, judged.problems, tuple(lines))


def _read(case: Case, images: Path) -> list[tuple[RGB, str]]:
    """The plates of a case whose text is known, upright, with the text."""
    chosen = [(plate, text) for plate in case.sample.plates if (text := metrics.certain_text(plate))]
    if not chosen:
        return []
    image = read_image(images / case.sample.image)
    if case.sample.kind == "crop":
        return [(image, text) for _, text in chosen]
    return [(rectify(image, plate.quad or Quad.of_box(plate.box), STRIP_HEIGHT), text) for plate, text in chosen]


def _outline(picture: RGB, quad: Quad, scale: float, colour: tuple[int, int, int]) -> None:
    points = np.round(np.array(quad.points) * scale).astype(np.int32)
    cv2.polylines(picture, [points[:, None]], isClosed=True, color=colour, thickness=2, lineType=cv2.LINE_AA)


def sheet(tiles: Sequence[Tile], columns: int = 4) -> RGB:
    """All tiles in one picture, with their texts below them; a grey line of words where there are none."""
    height = TILE_HEIGHT + STRIP_HEIGHT + CAPTION_HEIGHT
    columns = max(1, min(columns, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    canvas = Image.new("RGB", (columns * (TILE_WIDTH + 8), rows * (height + 8)), (250, 250, 250))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    if not tiles:
        pen.text((16, height // 2), "nothing to show", (90, 90, 90), font)
    for index, tile in enumerate(tiles):
        x, y = (index % columns) * (TILE_WIDTH + 8) + 4, (index // columns) * (height + 8) + 4
        above, beside = (TILE_HEIGHT - tile.picture.shape[0]) // 2, (TILE_WIDTH - tile.picture.shape[1]) // 2
        canvas.paste(Image.fromarray(tile.picture), (x + beside, y + above))
        canvas.paste(Image.fromarray(tile.strip), (x + (TILE_WIDTH - tile.strip.shape[1]) // 2, y + TILE_HEIGHT))
        name = Path(tile.name).stem + (f": {'; '.join(tile.problems)}" if tile.problems else "")
        pen.text((x, y + height - CAPTION_HEIGHT + 3), name[:48], (60, 60, 60), font)
        start = 0.0
        for line in tile.lines[:2]:
            colour = TRUTH if line.right else PREDICTION
            text = f"{line.truth or '?'} > {line.read.get('network') or '-'}"
            pen.text((x + start, y + height - CAPTION_HEIGHT + 22), text, colour, font)
            start += font.getlength(f"{text}    ")
    return np.asarray(canvas, dtype=np.uint8)


# DVC's plots


def write_plots(folder: Path, document: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """precision_recall.csv, exact_match.csv, ap_by_height.csv and confusions.csv, for dvc.yaml's `plots`."""
    test = [case for case in cases if case.sample.split == "test"]
    min_score = document["detection"]["min_score"]
    ranking = metrics.rank([case for case in test if case.sample.kind == "photo"])
    precision, recall = metrics.precision_recall(ranking)
    _write_csv(
        folder / "precision_recall.csv",
        ("recall", "precision", "score"),
        zip(recall.tolist(), precision.tolist(), ranking.scores.tolist(), strict=False),
    )
    _write_csv(
        folder / "exact_match.csv",
        ("case", "exact", "low", "high", "n"),
        (
            (
                f"{reader}, {place}",
                row["exact"],
                row["interval"]["exact"]["low"],
                row["interval"]["exact"]["high"],
                row["n"],
            )
            for reader, place, row in exact_rows(document)
        ),
    )
    _write_csv(
        folder / "ap_by_height.csv",
        ("height", "ap50", "recall", "plates"),
        ((name, row.get("ap50"), row["recall"], row["plates"]) for name, row in document["slices"]["height"].items()),
    )
    results, _ = metrics.outcomes(test, min_score)
    _write_csv(
        folder / "confusions.csv",
        ("confusion", "actual", "predicted", "times"),
        (
            (f"{true or 'nothing'} read as {read or 'nothing'}", true, read, times)
            for (true, read), times in metrics.confusions(results, "network").most_common()
        ),
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([round(v, 4) if isinstance(v, float) else v for v in row] for row in rows)
