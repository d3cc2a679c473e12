"""Blurs plates in photos and videos, so strongly that nothing reads them any more.

What is blurred is what the detector finds, and a detector misses plates: look through the result before you publish it.
docs/bench-tracks.md counts the misses. A lower score than for reading is asked for (MIN_SCORE), because a sign blurred
for nothing costs less than a plate left readable.

Written files have no metadata: EXIF says where a photo was taken, and its thumbnail shows the plate once more.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import images
from pipeline.boxes import is_convex_clockwise
from pipeline.images import RGB, ImageError
from pipeline.manifest import replacing
from pipeline.readers.decoding import NO_READ
from pipeline.recognizer import widen
from pipeline.records import Detection, Quad, Recognition
from pipeline.serving.inputs import Named
from pipeline.serving.tracks import Tracker
from pipeline.serving.video import Frame, Video, VideoError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MIN_SCORE = 0.2  # of a detection that is blurred
MARGIN = 0.25  # of a plate's height, blurred beyond it on each side
HOLD = 0.4  # seconds of video for which a plate stays blurred before and after it is found
QUALITY = 95  # of JPEG and WebP

_CELLS = (3, 1)  # of the mosaic, across and down
_LEVELS = 16  # of each colour in a cell: with three cells some 12 bits of brightness, where a text has 30
_MOST_HELD = 12  # frames that are looked ahead, which is what memory holds
_STEPS = 4  # sightings that a plate's speed is taken from
_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_TICKS = 60_000  # a second, of written times; MPEG-4 counts no finer than 65,535
_BT709, _LIMITED = 1, 1  # how colours are written, in FFmpeg's numbers
_CRF, _BITS = "20", 0.2  # quality of H.264; bits for each pixel where only MPEG-4 is there

Outline = NDArray[np.float64]  # (n, 2) x, y, convex


class Detector(Protocol):
    """Finds plates: for each image (H, W, 3), in order, its detections of at least `min_score`."""

    def detect(self, images: list[RGB], min_score: float) -> list[list[Detection]]: ...


@dataclass(frozen=True, slots=True)
class Redacted:
    """What became of a video: its frames, the plates that were blurred in them, and why it ended early, if it did."""

    frames: int
    plates: int
    error: str = ""


# Pictures


def redact(image: RGB, detections: Sequence[Detection], margin: float = MARGIN) -> RGB:
    """A copy of RGB uint8 (H, W, 3) with the plates blurred, each to `margin` of its height beyond its edges."""
    return blur(image, [outline(one, margin) for one in detections])


def outline(detection: Detection, margin: float = MARGIN) -> Outline:
    """(4, 2) the plate's corners moved outwards; those of its box where they cross each other."""
    quad = detection.quad
    if not is_convex_clockwise(np.asarray(quad.points)):
        quad = Quad.of_box(detection.box)
    corners = np.asarray(quad.points)
    width, height = (
        float(np.linalg.norm(corners[a] - corners[b]) + np.linalg.norm(corners[c] - corners[d])) / 2
        for a, b, c, d in ((0, 1, 3, 2), (0, 3, 1, 2))
    )
    return np.asarray(widen(quad, margin * height / max(width, 1e-6), margin).points, dtype=np.float64)


def blur(image: RGB, outlines: Iterable[Outline]) -> RGB:
    """A copy of RGB uint8 (H, W, 3) in which nothing of what the outlines (n, 2) hold can be made out.

    Each becomes a few cells of even colour, blurred into each other. More and finer cells can be read again by trying
    which text gives the same ones (Hill et al. 2016, "On the (in)effectiveness of mosaicing and blurring as tools for
    document redaction"); these hold fewer bits than a text has.
    """
    result = image.copy()
    rows, columns = image.shape[:2]
    for corners in outlines:
        low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
        x1, y1, x2, y2 = max(low[0], 0), max(low[1], 0), min(high[0], columns), min(high[1], rows)
        if x1 >= x2 or y1 >= y2:
            continue
        size = (int(x2 - x1), int(y2 - y1))
        cells = (min(_CELLS[0], size[0]), min(_CELLS[1], size[1]))
        part = image[y1:y2, x1:x2]
        step = 256 // _LEVELS
        mosaic = np.asarray(cv2.resize(part, cells, interpolation=cv2.INTER_AREA), np.uint8).reshape(*cells[::-1], 3)
        even = cv2.resize(mosaic // step * step + step // 2, size, interpolation=cv2.INTER_NEAREST)
        soft = cv2.GaussianBlur(even, (0, 0), max(1.0, size[0] / 8))
        mask = cv2.fillConvexPoly(np.zeros(size[::-1], np.uint8), np.round(corners - (x1, y1)).astype(np.int32), 1)
        result[y1:y2, x1:x2][mask > 0] = soft[mask > 0]
    return result


def redact_photo(
    data: bytes, detector: Detector, min_score: float = MIN_SCORE, margin: float = MARGIN
) -> tuple[bytes, list[Detection]]:
    """(a photo's bytes with its plates blurred, the plates). ImageError where the bytes are no picture."""
    image = images.decode(data)
    found = detector.detect([image], min_score)[0]
    return encode_like(data, redact(image, found, margin)), found


def redact_photo_file(
    source: Path, target: Path, detector: Detector, min_score: float = MIN_SCORE, margin: float = MARGIN
) -> list[Detection]:
    """Writes the photo `source` to `target` with its plates blurred, and returns these.

    ImageError where it is no picture; ValueError where it would take the place of the original.
    """
    _keep_original(source, target)
    data, found = redact_photo(source.read_bytes(), detector, min_score, margin)
    with replacing(target, "wb") as file:
        file.write(data)
    return found


def redact_to(folder: Path, one: Named, detector: Detector, min_score: float = MIN_SCORE) -> tuple[int, str, str]:
    """Redacts a named photo or video into a folder, under its own name: (plates, path, why a video ended early)."""
    if one.error or one.path is None:
        raise ImageError(one.error or "standard input has no name to write it under; name a file")
    target = folder / one.below
    if one.is_video:
        target = target.with_name(redacted_name(one.path))
        _unused(target)
        done = redact_video(one.path, target, detector, min_score)
        return done.plates, str(target), done.error
    _unused(target)
    return len(redact_photo_file(one.path, target, detector, min_score)), str(target), ""


def _unused(target: Path) -> None:
    if target.exists():
        raise ImageError(f"{target} is there already; name another folder, or move it away")


def encode_like(data: bytes, image: RGB) -> bytes:
    """An upright image (H, W, 3) in the format of the picture `data`: JPEG and WebP at quality 95, others lossless.

    Of what `data` holds beside its pixels only the colour profile is kept; of an animation only the first frame.
    """
    from PIL import Image

    header = images.read_header(data)
    form = "JPEG" if header.format == "MPO" else header.format
    picture: Picture = Image.fromarray(image)
    with Image.open(io.BytesIO(data)) as original:
        profile = original.info.get("icc_profile") if header.mode in ("RGB", "RGBA") else None
    options: dict[str, Any] = {}
    if form in ("JPEG", "WEBP"):
        options["quality"] = QUALITY
    if form == "TIFF":
        options["compression"] = "tiff_deflate"
    if profile and form in ("JPEG", "PNG", "WEBP", "TIFF"):
        options["icc_profile"] = profile
    out = io.BytesIO()
    (picture.convert("L") if header.mode in ("L", "1") else picture).save(out, form, **options)
    return out.getvalue()


def _keep_original(source: Path, target: Path) -> None:
    if target.exists() and source.samefile(target):
        raise ValueError(f"{target} is the original: write to another folder")


# Videos


def redacted_name(source: Path) -> str:
    """The name of a video once it is redacted: its own, or with .mp4 where its kind of file is not written."""
    return source.name if source.suffix.lower() in _CONTAINERS else f"{source.stem}.mp4"


def redact_video(
    source: Path, target: Path, detector: Detector, min_score: float = MIN_SCORE, margin: float = MARGIN
) -> Redacted:
    """Writes the video `source` to `target` with the plates of every frame blurred.

    Upright, with the frames' own times, as H.264 (MPEG-4 where FFmpeg lacks libx264); without sound and metadata.
    `target` ends on .mp4, .m4v, .mov or .mkv: `redacted_name`. VideoError where nothing can be read; of a damaged
    video what can be read is written, and Redacted says where it ends.
    """
    if target.suffix.lower() not in _CONTAINERS:
        raise VideoError(f"{target}: videos are written as {', '.join(_CONTAINERS)}")
    with Video(source) as video:
        _keep_original(source, target)
        held = Held(detector, min_score, margin, held_frames(float(video.rate)))
        with replacing(target, "wb") as file:
            count = 0
            with _Writer(file, _CONTAINERS[target.suffix.lower()], video.rate) as writer:
                for frame, outlines in held.over(video.frames(every=0)):
                    writer.write(frame.time, blur(frame.image, outlines))
                    count += 1
            if not count:
                raise VideoError(f"{source}: {video.error}")
        return Redacted(count, held.plates, video.error)


def held_frames(rate: float) -> int:
    """For how many frames HOLD is, at `rate` of them a second; no more than memory should hold."""
    return int(np.clip(round(HOLD * rate), 1, _MOST_HELD))


class Held:
    """What to blur in each frame of a video: plates found in it, and plates found up to `hold` frames before or after.

    A plate missed between two frames is blurred from where it was to where it will be; one not yet or no longer found,
    from there to where it came from or goes to at its speed.
    """

    def __init__(self, detector: Detector, min_score: float, margin: float, hold: int) -> None:
        self._detector, self._min_score, self._margin, self._hold = detector, min_score, margin, hold
        self._tracker = Tracker(start_score=min_score)
        self._seen: deque[dict[int, Outline]] = deque()  # by track, of the newest frame and those before it
        self._numbers: set[int] = set()

    @property
    def plates(self) -> int:
        """How many there were so far, each counted once."""
        return len(self._numbers)

    def over(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, list[Outline]]]:
        """Each frame with the outlines to blur; `hold` frames are looked ahead."""
        waiting: deque[Frame] = deque()  # those of the newest in `seen` that are not yet given
        for frame in frames:
            waiting.append(frame)
            self._seen.append(self._found(frame))
            if len(waiting) > self._hold:
                outlines = self._outlines(len(self._seen) - len(waiting))
                yield waiting.popleft(), outlines
            if len(self._seen) > len(waiting) + self._hold + _STEPS:
                self._seen.popleft()
        while waiting:
            outlines = self._outlines(len(self._seen) - len(waiting))
            yield waiting.popleft(), outlines

    def _found(self, frame: Frame) -> dict[int, Outline]:
        found = self._detector.detect([frame.image], self._min_score)[0]
        self._tracker.update(frame.time, [Recognition(one, NO_READ) for one in found])
        numbers = [number for number in self._tracker.assigned if number is not None]
        self._numbers.update(numbers)
        return {number: outline(one, self._margin) for number, one in zip(numbers, found, strict=True)}

    def _outlines(self, now: int) -> list[Outline]:
        """What to blur in the frame at this place of those seen."""
        first, last = max(0, now - self._hold), min(len(self._seen) - 1, now + self._hold)
        own = dict(self._seen[now])
        for number in {number for place in range(first, last + 1) for number in self._seen[place]} - set(own):
            before = [place for place in range(now) if number in self._seen[place]]
            before = before if before and before[-1] >= first else []
            after = [place for place in range(now + 1, last + 1) if number in self._seen[place]]
            if before and after:
                corners = [self._seen[before[-1]][number], self._seen[after[0]][number]]
            elif before:
                corners = self._moved(number, before[::-1], now)
            else:
                corners = self._moved(number, after, now)
            own[number] = hull(corners)
        return list(own.values())

    def _moved(self, number: int, places: Sequence[int], now: int) -> list[Outline]:
        """A plate where it was seen, at the first of `places`, and where it is now by its speed over the first few."""
        nearest, other = places[0], places[:_STEPS][-1]
        corners = self._seen[nearest][number]
        if nearest == other:
            return [corners]
        step = (corners - self._seen[other][number]) / (nearest - other)
        return [corners, corners + (now - nearest) * step]


def hull(outlines: Sequence[Outline]) -> Outline:
    """(n, 2) the convex outline of all of them."""
    points = np.concatenate(outlines).astype(np.float32)
    return np.asarray(cv2.convexHull(points)[:, 0], dtype=np.float64)


class _Writer:
    """Encodes RGB frames with their times into an opened file."""

    def __init__(self, file: IO[bytes], container: str, rate: Fraction) -> None:
        import av

        self._rate = rate
        self._container = av.open(file, "w", format=container)
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, time: float, image: RGB) -> None:
        """A frame at `time` seconds; all take the size of the first."""
        import av

        if self._stream is None:
            self._stream = self._started(image)
        size = (self._stream.width, self._stream.height)
        if image.shape[1::-1] != size:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format=self._stream.pix_fmt, dst_colorspace="itu709", dst_color_range="MPEG"
        )
        self._last = frame.pts = max(self._last + 1, round(time * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def _started(self, image: RGB) -> Any:
        import av

        height, width = image.shape[:2]
        if "libx264" in av.codecs_available:
            stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": _CRF, "preset": "fast"})
        else:
            stream = self._container.add_stream("mpeg4", rate=self._rate)
            stream.bit_rate = round(_BITS * width * height * float(self._rate))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 or stream.name == "mpeg4" else "yuv444p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = _BT709
        stream.codec_context.color_range = _LIMITED
        return stream
