"""How far long work has come, as bars on stderr where a person looks on: inputs a second, and a video's seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from pipeline.serving.output import plain
from pipeline.serving.video import Frame, Video

_PAUSE = 0.1  # seconds between two drawings
_LONGEST_NAME = 24  # characters of a video's name


class Bars:
    """A bar of the inputs, where they are several, and one of each video's seconds while it is worked on.

    Where stderr is no terminal nothing is shown. To be used from one thread.
    """

    def __init__(self, count: Callable[[], int | None] | None = None) -> None:
        """`count` gives the number of inputs, or None where it is not known before; without it there is one input."""
        self._bars: Progress | None = None
        self._inputs: TaskID | None = None
        self._drawn = 0.0
        if not sys.stderr.isatty():
            return
        self._bars = Progress(
            BarColumn(),
            _Come(),
            _Rate(),
            _Left(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            auto_refresh=False,  # no thread: each step draws
            transient=True,
            redirect_stdout=False,  # it would send rows to stderr
            redirect_stderr=False,
        )
        if count is not None:
            self._inputs = self._bars.add_task("", total=count(), video=False)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bars are away while something else is written."""
        if self._bars is None or not self._bars.live.is_started:
            yield
            return
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def done(self) -> None:
        """One more input is done."""
        if self._bars is not None and self._inputs is not None:
            self._bars.advance(self._inputs)
            self._draw(self._bars)

    @contextmanager
    def video(self, name: str, seconds: float | None) -> Iterator[Callable[[float], None]]:
        """Gives what is to be told how many seconds of a video are done, of so many if its length is known."""
        if self._bars is None:
            yield lambda done: None
            return
        bars = self._bars
        task = bars.add_task(escape(_short(name)), total=seconds, video=True)

        def tell(done: float) -> None:
            bars.update(task, completed=done)
            self._draw(bars)

        try:
            yield tell
        finally:
            bars.remove_task(task)

    def frames(self, name: str, video: Video, every: float) -> Iterator[Frame]:
        """The video's frames, one every `every` seconds, with a bar of how far they have come."""
        with self.video(name, video.duration) as tell:
            for frame in video.frames(every):
                tell(frame.time)
                yield frame

    def _draw(self, bars: Progress) -> None:
        if (now := time.monotonic()) >= self._drawn + _PAUSE:
            self._drawn = now
            bars.refresh()


class _Come(ProgressColumn):
    """41 / 100, or 0:12 / 3:40 of a video."""

    def render(self, task: Task) -> Text:
        shown = clock if task.fields["video"] else str
        parts = [task.completed] if task.total is None else [min(task.completed, task.total), task.total]
        return Text(" / ".join(shown(int(part)) for part in parts), "progress.download")


class _Rate(ProgressColumn):
    """12.3/s, or 2.1 x real time of a video."""

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        return Text(f"{task.speed:.1f}{' x real time' if task.fields['video'] else '/s'}", "progress.data.speed")


class _Left(ProgressColumn):
    """0:07 left."""

    def render(self, task: Task) -> Text:
        left = None if task.total is None else task.time_remaining
        return Text("" if left is None else f"{clock(left)} left", "progress.remaining")


def clock(seconds: float) -> str:
    """62 -> 1:02, 3723 -> 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(name: str) -> str:
    """A video's own name, cut to fit beside its bar."""
    own = plain(Path(name).name)
    return own if len(own) <= _LONGEST_NAME else f"{own[: _LONGEST_NAME - 3]}..."
