"""One go at Label Studio from a project's folder: push, pull, or a look at how things stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import params
from pipeline.labeling import conflicts, corrections, history, pictures
from pipeline.labeling.connection import connect
from pipeline.labeling.history import Agreement, State
from pipeline.labeling.pictures import Picture
from pipeline.labeling.pull import Labels, Pulled, listed, pull
from pipeline.labeling.push import Local, Pushed, Uploaded, by_sample, push, wanted
from pipeline.labeling.studio import Studio, StudioError, Task
from pipeline.manifest import read_jsonl


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the pipeline's stages leave what is needed here."""

    labels: Path = Path("data/labels")
    curated: Path = Path("data/curated")
    images: Path = Path("data/raw")
    predictions: Path = Path("data/evaluated/predictions.jsonl")


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand: pictures queued, with a task, with a submitted annotation; and what a pull would change."""

    queued: int
    pushed: int
    done: int
    conflicts: int
    states: Counter[State]
    agreement: Agreement
    would_correct: int
    would_conflict: int


class Desk:
    """A project's labels and its server, one at a time: a second `alpr labels` fails and says so."""

    def __init__(self, folders: Folders, settings: params.Params, studio: Studio | None = None) -> None:
        self._folders, self._settings = folders, settings
        self._studio = studio if studio is not None else connect()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with FileLock(self._folders.labels / ".lock", timeout=0):
                yield
        except Timeout:
            raise StudioError(
                f"another `alpr labels` is at work on {self._folders.labels}; wait until it has ended"
            ) from None

    def _labels(self) -> Labels:
        folder = self._folders.labels
        return Labels(
            {one.id: one for one in corrections.read(folder / corrections.CORRECTIONS)},
            history.read(folder / history.ANNOTATIONS),
            conflicts.read(folder / conflicts.CONFLICTS),
        )

    def _pictures(self, labels: Labels) -> dict[str, Picture]:
        return pictures.read(self._folders.curated, labels.corrections, self._settings.curate.merge_iou)

    def begun(self) -> bool:
        """Whether the server has the project yet."""
        return self._studio.open(self._title)

    def push(self, limit: int | None = None) -> Pushed:
        """Sends the queue, or its first `limit` samples, and what is in conflict."""
        with self._alone():
            labels = self._labels()
            known = self._pictures(labels)
            queue = read_jsonl(self._folders.labels / "queue.jsonl")[:limit]
            tasks = wanted(queue, known, labels.conflicts, read_jsonl(self._folders.predictions))
            if not self._studio.open(self._title):
                self._studio.create(self._title)
            return push(self._studio, tasks, self._addresses, self._settings.sync_labels.batch)

    def _addresses(self, asked: Sequence[Picture]) -> dict[str, str]:
        settings = self._settings.sync_labels
        if settings.images == "upload":
            return Uploaded(self._folders.images).addresses(self._studio, asked)
        return Local(Path(settings.root).absolute()).addresses(self._studio, asked)

    def pull(self) -> Pulled:
        """Takes what annotators said into data/labels; in such an order that a kill between loses nothing."""
        with self._alone():
            pulled = self._pulled(self._tasks(), self._labels())
            folder, labels = self._folders.labels, pulled.labels
            corrections.write(folder / corrections.CORRECTIONS, labels.corrections.values())
            history.write(folder / history.ANNOTATIONS, labels.annotated.values())
            conflicts.write(folder / conflicts.CONFLICTS, labels.conflicts.values())
            return pulled

    def _pulled(self, tasks: Sequence[Task], labels: Labels) -> Pulled:
        same_iou = self._settings.sync_labels.same_iou
        return pull(tasks, self._studio.users(), self._pictures(labels), labels, same_iou)

    def status(self) -> Status:
        """How things stand on both sides; changes nothing."""
        labels, tasks = self._labels(), self._tasks()
        pulled, grouped = self._pulled(tasks, labels), by_sample(tasks)
        queued = [row["id"] for row in read_jsonl(self._folders.labels / "queue.jsonl")]
        return Status(
            queued=len(queued),
            pushed=len(grouped),
            done=sum(any(a.get("was_cancelled") is False for t in g for a in t.annotations) for g in grouped.values()),
            conflicts=len(labels.conflicts),
            states=pulled.states,
            agreement=history.agreement(pulled.labels.annotated.values()),
            would_correct=len(pulled.corrected),
            would_conflict=len(pulled.labels.conflicts.keys() - labels.conflicts.keys()),
        )

    def _tasks(self) -> list[Task]:
        if not self._studio.open(self._title):
            raise StudioError(
                f"Label Studio at {self._studio.url} has no project {self._title!r}: run `alpr labels push` first, or "
                "set sync_labels.project in params.yaml to the title of one"
            )
        return listed(self._studio)

    @property
    def _title(self) -> str:
        return self._settings.sync_labels.project
