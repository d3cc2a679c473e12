"""What a run ended with, in a dozen lines: `python -m pipeline.serving.summary` in the project's root."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    """Prints the summary of the metrics that stand in the current folder."""
    documents = read(Path("metrics"))
    if missing := {"validation", "curation", "evaluation", "registration"} - set(documents):
        raise SystemExit(f"no {', '.join(sorted(missing))} in metrics/ yet: `make run` runs the pipeline")
    print("\n".join([*data_lines(documents), *model_lines(documents), *place_lines()]))


def read(folder: Path) -> dict[str, Row]:
    """Each metrics file under its stage's name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def data_lines(documents: dict[str, Row]) -> list[str]:
    """What was pulled, what the gates said."""
    lines = ["", "Data"]
    for source, one in documents["validation"]["sources"].items():
        curated = documents["curation"]["sources"].get(source)
        lines.append(
            f"  {source}: {one['rows']} files pulled, {one['passed']} sound, {one['rows'] - one['passed']} not"
        )
        if curated:
            splits = ", ".join(f"{count} {name}" for name, count in curated["splits"].items())
            lines.append(f"    {curated['pictures']} distinct pictures, {curated['plates']} plates: {splits}")
    lines.append(f"  gates: validate and curate passed; {documents['curation']['leaks']} leaks between splits")
    return lines


def model_lines(documents: dict[str, Row]) -> list[str]:
    """The figures of the test split with their 95 % intervals, and the version in the registry."""
    evaluation, registration = documents["evaluation"], documents["registration"]
    data = evaluation["data"]
    lines = ["", f"Test split: {data['photos']} photos with {data['plates']} plates, {data['crops']} crops"]
    lines.append(f"  detection AP50           {figure(evaluation['detection'], 'ap50')}")
    lines.append(f"  small detector, AP50     {figure(evaluation['detection_fast'], 'ap50')}")
    names = {"network": "our reader", "tesseract": "Tesseract", "rapidocr": "RapidOCR"}
    for reader, section in evaluation["ocr"].items():
        lines.append(f"  exact match, {names[reader]:10}  {figure(section['labelled'], 'exact')}  on labelled plates")
    lines.append(f"  end to end               {figure(evaluation['end_to_end'], 'exact')}  found and read exactly")
    moved = "now" if registration["moved"] else "not"
    place = f"version {registration['version']}, {moved} {registration['alias']}"
    if not registration["sent"]:
        place = "not registered yet"
    return [*lines, "", f"Model: {registration['model']} {place} ({registration['reason']})"]


def figure(section: Row, name: str) -> str:
    """A value with its interval, or why there is none."""
    value, interval = section[name], section["interval"][name]
    if value is None:
        return f"not measured ({interval.get('reason')})"
    if interval["low"] is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def place_lines() -> list[str]:
    """Commands and addresses that open what was written."""
    return [
        "",
        "To look at",
        f"  the report      {(Path('report') / 'index.html').absolute().as_uri()}",
        f"  with champion   {(Path('review') / 'index.html').absolute().as_uri()}",
        f"  the Data Docs   {(Path('data/docs') / 'index.html').absolute().as_uri()}",
        "  MLflow          make mlflow   (then http://127.0.0.1:5000)",
        "  a photo         .venv/bin/alpr recognize PHOTO --model models/export",
    ]


if __name__ == "__main__":
    main()
