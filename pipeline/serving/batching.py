"""Micro-batching: pictures that wait at the same time go through the recogniser together, in one thread.

    with batcher.admit(1) as place:                  # raises QueueFullError where the answer would come too late
        recognitions = place.submit(image, 0.4).result()

Whoever leaves the block takes back what is not begun yet.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.images import RGB
from pipeline.records import Recognition

Recognize = Callable[[list[RGB], float], list[list[Recognition]]]
Recognized = Future[list[Recognition]]

WORTH = 0.8  # of a picture's time alone: what it may take in a batch, or batches do not pay
WITHIN = 2.0  # times what a picture takes without load: how late an answer may come where no patience is given
_NEWEST = 0.2  # weight of the newest batch in the running mean of seconds per picture


class BusyError(Exception):
    """No pictures are taken now; worth another try after `retry_after` seconds."""

    def __init__(self, says: str, retry_after: int) -> None:
        super().__init__(says)
        self.retry_after = retry_after


class QueueFullError(BusyError):
    """No room for more pictures."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many pictures are waiting; try again in {retry_after} s", retry_after)


class StoppedError(BusyError):
    """The batcher was closed before this picture's turn."""

    def __init__(self) -> None:
        super().__init__("the server is stopping", retry_after=5)


@dataclass(eq=False, slots=True)
class _Job:
    image: RGB
    min_score: float
    future: Recognized = field(default_factory=Future)


class Batcher:
    """A bounded queue in front of one thread that calls `recognize(images, min_score)`.

    `batch` pictures at most go together, and the first of them waits `linger` seconds at most for others already
    admitted. The queue is as long as what can be worked off in `patience` seconds by the running mean, and at most
    `most`. Without patience it is WITHIN times what pictures took that came alone, in `warm_up` and since.
    """

    def __init__(
        self,
        recognize: Recognize,
        batch: int = 4,
        linger: float = 0.003,
        patience: float | None = None,
        most: int = 64,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._recognize, self._on_batch = recognize, on_batch
        self._batch, self._linger, self._most = batch, linger, most
        self._given, self._seconds = patience, 0.0  # seconds for each picture, a running mean
        self._alone: deque[float] = deque(maxlen=32)  # seconds of the last pictures that came without load
        self._loaded = False  # whether another picture was there, or refused, since the batch in work began
        self._waiting: deque[_Job] = deque()
        self._pending = 0  # pictures admitted and not done: not yet submitted, waiting or in work
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="recogniser", daemon=True)

    @property
    def pending(self) -> int:
        """Pictures admitted and not done."""
        return self._pending

    @property
    def capacity(self) -> int:
        """How many pictures may be pending now."""
        return min(self._most, max(1, int(self.patience / self._seconds))) if self._seconds else 1

    @property
    def patience(self) -> float:
        """The most seconds until an admitted picture is done, as far as can be foreseen."""
        if self._given is not None or not self._alone:
            return self._given or 0.0
        return WITHIN * sorted(self._alone)[int(0.9 * len(self._alone))]

    def start(self) -> None:
        self._thread.start()

    def warm_up(self, image: RGB, min_score: float, rounds: int = 3, seconds: float = 1.0) -> str:
        """Runs a picture alone and in batches, before the first request; a sentence on what that took.

        Ends with the round in which `seconds` are over. Goes on without batches where they do not pay: on few cores a
        batch of four takes as long as four pictures, and then the first of them would wait for the last.
        """
        ends = time.perf_counter() + seconds
        self._timed([image], min_score)  # the first run of a network is slower
        self._alone.append(self._timed([image], min_score))
        together = []
        for _ in range(rounds):  # in turn, so that other work on the machine slows both
            together.append(self._timed([image] * self._batch, min_score) / self._batch)
            self._alone.append(self._timed([image], min_score))
            if time.perf_counter() > ends:
                break
        alone, shared = min(self._alone), min(together)
        if shared > WORTH * alone:
            self._batch = 1
        self._seconds = alone if self._batch == 1 else shared
        return (
            f"a picture takes {1000 * self._seconds:.0f} ms in batches of {self._batch}, "
            f"and {self.capacity} pictures may be in work or wait"
        )

    def _timed(self, images: list[RGB], min_score: float) -> float:
        started = time.perf_counter()
        self._recognize(images, min_score)
        return time.perf_counter() - started

    def check(self, count: int = 1) -> None:
        """Raises QueueFullError if so many pictures would not be admitted now. An idle batcher admits any number."""
        if self._pending and self._pending + count > self.capacity:
            self._loaded = True
            raise QueueFullError(max(1, math.ceil(self._pending * self._seconds)))

    @contextmanager
    def admit(self, count: int) -> Iterator[Place]:
        """Room for `count` pictures, or QueueFullError. What is not in work when the block is left is dropped."""
        with self._changed:
            if self._closed:
                raise StoppedError()
            self.check(count)
            self._pending += count
        place = Place(self, count)
        try:
            yield place
        finally:
            self._leave(place)

    def _submit(self, job: _Job) -> None:
        with self._changed:
            if self._closed:
                raise StoppedError()
            self._waiting.append(job)
            self._changed.notify()

    def _leave(self, place: Place) -> None:
        with self._changed:
            self._pending -= place.left
            place.left = 0
            for job in place.jobs:
                if job.future.cancel() and job in self._waiting:
                    self._waiting.remove(job)
                    self._pending -= 1

    def close(self) -> None:
        """Ends the batch in work, gives the waiting ones StoppedError, and joins the thread."""
        with self._changed:
            self._closed = True
            jobs = [job for job in self._waiting if job.future.set_running_or_notify_cancel()]
            self._pending -= len(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for job in jobs:
            job.future.set_exception(StoppedError())
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._closed:
            if jobs := self._next():
                self._run(jobs)

    def _next(self) -> list[_Job]:
        """Waits for a picture, then a little for those that are admitted too."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(
                lambda: len(self._waiting) >= min(self._batch, self._pending) or self._closed, self._linger
            )
            taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            jobs = [job for job in taken if job.future.set_running_or_notify_cancel()]
            self._pending -= len(taken) - len(jobs)
            return jobs

    def _run(self, jobs: list[_Job]) -> None:
        """One call for all; where it fails each goes again alone, so that only the culprit gets the error."""
        self._loaded = self._pending > 1
        started = time.perf_counter()
        try:
            found = self._recognize([job.image for job in jobs], min(job.min_score for job in jobs))
            if len(found) != len(jobs):
                raise RuntimeError(f"{len(found)} answers to {len(jobs)} pictures")
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._run([job])
                return
            self._done(1, time.perf_counter() - started)
            jobs[0].future.set_exception(error)
            return
        self._done(len(jobs), time.perf_counter() - started)
        for job, recognitions in zip(jobs, found, strict=True):
            job.future.set_result([one for one in recognitions if one.detection.score >= job.min_score])

    def _done(self, count: int, seconds: float) -> None:
        with self._changed:
            if self._pending == 1 and not self._loaded:
                self._alone.append(seconds)
            self._pending -= count
            newest = seconds / count
            self._seconds = (1 - _NEWEST) * self._seconds + _NEWEST * newest if self._seconds else newest
        self._on_batch(count)


class Place:
    """Room for some pictures in a batcher's queue."""

    def __init__(self, batcher: Batcher, left: int) -> None:
        self._batcher, self.left = batcher, left
        self.jobs: list[_Job] = []

    def submit(self, image: RGB, min_score: float) -> Recognized:
        """RGB uint8 (H, W, 3) -> its recognitions of at least `min_score`, once its batch is done."""
        if not self.left:
            raise ValueError("more pictures than were admitted")
        job = _Job(image, min_score)
        self._batcher._submit(job)
        self.left -= 1
        self.jobs.append(job)
        return job.future
