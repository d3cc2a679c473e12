"""The data of a run as MLflow's dataset inputs: each split of the curated manifest, and the label snapshot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.manifest import read_manifest
from pipeline.records import Sample

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

CONTEXTS = {"train": "training", "val": "validation", "test": "test"}  # of each split, in MLflow's words
LABELS = ("corrections.jsonl", "annotations.jsonl")
COLUMNS = {"id": "string", "image": "string", "source": "string", "group": "string", "plates": "long", "texts": "long"}


@dataclass(frozen=True, slots=True)
class Data:
    """What a run saw: a name, what for, where it lay, the hash that DVC knows it by, and counts."""

    context: str
    path: str
    digest: str  # 32 hexadecimal digits, with ".dir" where DVC keeps a folder
    counts: Mapping[str, int]
    tags: Mapping[str, str] = field(default_factory=dict)


def read(manifest: Path, labels: Path, hashes: Mapping[str, str]) -> list[Data]:
    """The three splits of a curated manifest, and the label files; `hashes` are DVC's, by path."""
    samples = read_manifest(manifest)
    digest = known_hash(manifest, hashes)
    splits = [
        Data(
            context,
            str(manifest),
            digest,
            counts([sample for sample in samples if sample.split == split]),
            {"rows": rows_digest(sample for sample in samples if sample.split == split)},
        )
        for split, context in CONTEXTS.items()
    ]
    files = [labels / name for name in LABELS if (labels / name).exists()]
    return splits + [
        Data("labels", str(file), known_hash(file, hashes), {"num_rows": lines(file)}, {"sha256": sha256(file)})
        for file in files
    ]


def known_hash(path: Path, hashes: Mapping[str, str]) -> str:
    """DVC's hash of a file or of the folder that it is kept with; without one, the MD5 that DVC would give it."""
    for candidate in (path, *path.parents):
        if digest := hashes.get(candidate.as_posix()):
            return digest
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def counts(samples: Sequence[Sample]) -> dict[str, int]:
    plates = [plate for sample in samples for plate in sample.plates]
    return {
        "num_rows": len(samples),
        "groups": len({sample.group for sample in samples}),
        "plates": len(plates),
        "texts": sum(plate.text is not None for plate in plates),
    }


def rows_digest(samples: Iterable[Sample]) -> str:
    """SHA-256 of the samples' ids: equal for two splits of the same pictures, whatever else changed in the data."""
    return hashlib.sha256("\n".join(sorted(sample.id for sample in samples)).encode()).hexdigest()


def lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(1 for line in opened if line.strip())


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def as_input(data: Data) -> DatasetInput:
    """As MLflow keeps it; its source is the file's path in the project."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": name, "type": kind, "required": True} for name, kind in COLUMNS.items()]
    dataset = Dataset(
        name=name_of(data),
        digest=data.digest,
        source_type="local",
        source=json.dumps({"uri": data.path}),
        schema=json.dumps({"mlflow_colspec": columns}) if data.context != "labels" else None,
        profile=json.dumps(dict(data.counts)),
    )
    tags = {"mlflow.data.context": data.context, "dvc": f"{data.path} {data.digest}", **data.tags}
    return DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])


def name_of(data: Data) -> str:
    """What MLflow lists it as."""
    return data.context if data.context != "labels" else f"labels {Path(data.path).stem}"
