"""Named photos and videos, redacted into a folder: photos several at a time, videos one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pipeline.images import RGB
from pipeline.records import Detection
from pipeline.serving.inputs import Named
from pipeline.serving.ordered import in_order
from pipeline.serving.progress import Bars
from pipeline.serving.redaction import Detector, redact_to
from pipeline.serving.video import Video


@dataclass(frozen=True, slots=True)
class Written:
    """What became of an input: the file that was written, if one was, and why not all of it is there, if it is not."""

    name: str
    path: str = ""
    plates: int = 0
    error: str = ""


def written(
    found: Iterable[Named], folder: Path, detector: Detector, min_score: float, at_once: int, bars: Bars
) -> Generator[Written, None, None]:
    """What became of each input, in their order. One that fails leaves no file, and the others go on."""
    for is_video, group in groupby(found, key=lambda one: one.is_video):
        if is_video:
            results: Iterator[Written] = (_film(one, folder, detector, min_score, bars) for one in group)
        else:
            results = _photos(group, folder, detector, min_score, at_once)
        for one in results:
            yield one
            bars.done()


def _photos(
    group: Iterable[Named], folder: Path, detector: Detector, min_score: float, at_once: int
) -> Iterator[Written]:
    """Several at a time. Of two that are in work at once and would be written under one name, the second is refused."""
    busy: set[Path] = set()

    def claimed() -> Iterator[tuple[Named, Path, bool]]:
        for one in group:
            target = folder / one.below
            is_free = target not in busy
            busy.add(target)
            yield one, target, is_free

    def work(claim: tuple[Named, Path, bool]) -> Written:
        one, target, is_free = claim
        if not is_free:
            return Written(one.name, error=f"{target} is there already, of another input; name another folder")
        try:
            return _file(one, folder, detector, min_score)
        finally:
            busy.discard(target)  # from now on the file itself is in the way

    return in_order(work, claimed(), at_once)


def _film(one: Named, folder: Path, detector: Detector, min_score: float, bars: Bars) -> Written:
    try:
        with Video(one.path or Path()) as video:
            seconds, step = video.duration, float(1 / video.rate)
    except (ValueError, OSError) as error:
        return Written(one.name, error=one.why(error))
    with bars.video(one.name, seconds) as tell:
        return _file(one, folder, _Counting(detector, lambda frames: tell(frames * step)), min_score)


def _file(one: Named, folder: Path, detector: Detector, min_score: float) -> Written:
    try:
        plates, path, ended = redact_to(folder, one, detector, min_score)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return Written(one.name, error=one.why(error))
    return Written(one.name, path, plates, ended)


class _Counting:
    """A detector that tells how many frames it has seen: it sees each frame of a video once."""

    def __init__(self, detector: Detector, tell: Callable[[int], None]) -> None:
        self._detector, self._tell, self._seen = detector, tell, 0

    def detect(self, images: list[RGB], min_score: float) -> list[list[Detection]]:
        self._seen += len(images)
        self._tell(self._seen)
        return self._detector.detect(images, min_score)
