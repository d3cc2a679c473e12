"""Stage pull: the raw files of one source -> data/raw/<source>/ with manifest.jsonl, problems.jsonl, report.json.

The folder appears whole, by rename; a killed pull leaves the old one, and the next run starts clean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.progress import track

from pipeline import manifest, params
from pipeline.params import Params, SourceName
from pipeline.sources.base import Pulled, check_collisions, some


def main(
    source: Annotated[SourceName, typer.Option(help="a source's name, as in params.yaml")],
    out: Annotated[Path, typer.Option(help="the folder that the source gets")],
    work: Annotated[Path, typer.Option(help="where downloads are kept and archives unpacked")] = Path("data/downloads"),
) -> None:
    """Pulls one source into its folder."""
    try:
        settings = params.load()
        work_here = work / source
        work_here.mkdir(parents=True, exist_ok=True)
        with FileLock(work_here / "lock", timeout=0), manifest.replacing_folder(out) as fresh:
            pulled = pull(source, settings, fresh, work_here)
            save(pulled, fresh)
    except Timeout:
        raise SystemExit(f"another pull of {source} is running; wait for it, or end it, and try again") from None
    except (ValueError, OSError) as error:
        raise SystemExit(f"pull of {source}: {error}") from None
    print(summary(source, pulled))


def pull(source: SourceName, settings: Params, out: Path, work: Path) -> Pulled:
    """Pulls a source by its name; each is imported only when it is asked for."""
    match source:
        case "synthetic":
            from pipeline.sources import synthetic

            return Pulled(synthetic.pull(settings.synthetic, settings.seed, out, track))
        case "kaggle":
            from pipeline.sources import kaggle

            return kaggle.pull(settings.kaggle, work, out, track)
        case "ufpr":
            from pipeline.sources import ufpr

            return ufpr.pull(settings.ufpr, work, out, track)
        case "voc":
            from pipeline.sources import voc

            return voc.pull(settings.voc, work, out, track)
        case "crops":
            from pipeline.sources import crops

            return crops.pull(settings.crops, work, out, track)
        case "negatives":
            from pipeline.sources import negatives

            return negatives.pull(settings.negatives, work, out, track)


def save(pulled: Pulled, out: Path) -> None:
    """Writes what was pulled beside its images. SourceError where two images would be one file elsewhere."""
    check_collisions(sample.image for sample in pulled.samples)
    manifest.write_manifest(out / "manifest.jsonl", pulled.samples)
    manifest.write_jsonl(out / "problems.jsonl", (problem.to_row() for problem in pulled.problems))
    manifest.write_json(out / "report.json", {**counts(pulled), "notes": pulled.notes})


def counts(pulled: Pulled) -> dict[str, int]:
    """Images, plates and problems."""
    return {
        "images": len(pulled.samples),
        "plates": sum(len(sample.plates) for sample in pulled.samples),
        "problems": len(pulled.problems),
    }


def summary(source: str, pulled: Pulled) -> str:
    """What a person wants to know after a pull; one line, and one for each remark."""
    lines = [f"{source}: " + ", ".join(f"{number} {what}" for what, number in counts(pulled).items())]
    if pulled.problems:
        lines.append(f"  left out, see problems.jsonl: {some([problem.reason for problem in pulled.problems], 3)}")
    return "\n".join(lines + [f"  {note}" for note in pulled.notes])


if __name__ == "__main__":
    typer.run(main)
