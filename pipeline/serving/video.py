"""Decodes a video's frames one at a time: upright RGB, with the time that the stream itself gives them.

    with Video(Path("drive.mp4")) as video:
        for frame in video.frames():
            ...
        print(video.error)  # why it ended early, or nothing

A file is opened as one of FORMATS only: FFmpeg also takes playlists, which name other files, for videos.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline import images
from pipeline.images import RGB

if TYPE_CHECKING:
    from av import VideoFrame

SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".flv", ".wmv"}
)
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,h264,hevc,ivf"  # FFmpeg's names
EVERY = 0.2  # seconds between the frames that are looked at: a plate is in view for longer than that
_EARLY = 0.25  # seconds that a stream may end before the length it states: codecs and containers count differently
_RATE = 25  # frames a second of a stream that states neither times nor a rate


class VideoError(ValueError):
    """A video of which nothing can be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: its number, from 0 and over all frames of the video; seconds since the first; upright pixels."""

    index: int
    time: float
    image: RGB


class Video:
    """An opened video. VideoError where it is none, has no pictures, or pictures of more than `max_pixels`.

    What breaks off later does not raise: `frames` ends, and `error` says at which second and why.
    """

    def __init__(self, path: Path, max_pixels: int | None = None) -> None:
        self.error = ""
        self._damaged, self._hurt = 0, 0.0  # packets that could not be decoded so far, and the first one's second
        self._path = path
        self._max_pixels = images.MAX_PIXELS if max_pixels is None else max_pixels
        self._closing = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        import av

        if not self._path.exists():
            raise VideoError(f"{self._path}: no such file")
        if not self._path.is_file():
            raise VideoError(f"{self._path}: not a file")
        limit = {"max_pixels": str(self._max_pixels)}  # FFmpeg decodes a little to find out what is in a file
        options = {"format_whitelist": FORMATS, **limit}
        try:  # an opened file and not a name: FFmpeg would take "concat:a|b" for two files
            file = self._closing.enter_context(self._path.open("rb"))
        except OSError as error:
            raise VideoError(f"{self._path}: {error.strerror or error}") from None
        try:
            container = self._closing.enter_context(av.open(file, "r", options=options, metadata_errors="replace"))
        except (av.FFmpegError, OSError, ValueError):
            raise VideoError(f"{self._path}: {self._why_not()}") from None
        pictures = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
        if not pictures:
            raise VideoError(f"{self._path}: has no pictures, only {self._others(container)}")
        self._container, self._stream = container, pictures[0]
        self._context = self._stream.codec_context
        if self._context is None:
            raise VideoError(f"{self._path}: its pictures are in a format that this FFmpeg cannot decode")
        width, height = self._context.width, self._context.height
        if width * height > self._max_pixels:
            raise VideoError(
                f"{self._path}: frames of {width} x {height} pixels, more than the cap of {self._max_pixels:,}"
            )
        self._context.options = limit  # threads stay those of slices: after an error those of frames lose good ones

    def _why_not(self) -> str:
        """Why FFmpeg refuses a file, as far as its first bytes tell."""
        with self._path.open("rb") as file:
            start = file.read(12)
        if not start:
            return "empty file"
        if start[4:8] == b"ftyp":
            return "cut short: its index, which stands at the end, is missing; copy or record it again"
        return "not a video of a known format"

    @staticmethod
    def _others(container: Any) -> str:
        return " and ".join(sorted({str(one.type) for one in container.streams})) or "an empty container"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    @property
    def duration(self) -> float | None:
        """Seconds of pictures, as the file states it; None where it does not."""
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        if stated := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):  # Matroska
            hours, minutes, seconds = stated.groups()
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        if self._container.duration is not None and not self._container.streams.audio:  # else it may be the sound's
            return self._container.duration / 1e6
        return None

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return self._stream.average_rate or self._stream.guessed_rate or Fraction(_RATE)

    def frames(self, every: float = EVERY) -> Iterator[Frame]:
        """The frames, one every `every` seconds (0: all of them), each decoded when it is asked for.

        Can be run through once. Ends at the first thing that cannot be got over, and `error` then says where; damaged
        stretches that decoding gets over are left out, and `error` names the first.
        """
        if every < 0:
            raise ValueError(f"frames are taken every 0 or more seconds, not {every:g}")
        taken = None
        for index, (time, frame) in enumerate(self._timed()):
            place = int(time / every + 1e-6) if every else index
            if place == taken:
                continue
            taken = place
            if frame.width * frame.height > self._max_pixels:  # a stream may change its size on the way
                self.error = f"ends at {time:.1f} s: frames of {frame.width} x {frame.height} pixels follow"
                return
            try:
                image = upright(frame)
            except (ValueError, OSError, MemoryError) as error:
                self.error = f"ends at {time:.1f} s: {error or 'not enough memory'}"
                return
            yield Frame(index, time, image)

    def _timed(self) -> Iterator[tuple[float, VideoFrame]]:
        """Every frame with its time in seconds since the first; sets `error` at the end."""
        start, last, step = None, None, float(1 / self.rate)
        for frame in self._decoded():
            time = frame.time
            if time is None:  # a raw stream has no timestamps
                time = 0.0 if last is None else last + step
            elif start is None:
                start = time
            last = time if start is None else time - start
            yield last, frame
        end = 0.0 if last is None else last + step
        if last is None:
            self.error = f"no frame of it can be decoded{': ' * bool(self.error)}{self.error}"
        elif self.error:
            self.error = f"ends at {end:.1f} s: {self.error}"
        elif self.duration is not None and end < self.duration - max(_EARLY, 1.5 * step):
            self.error = f"ends at {end:.1f} s of {self.duration:.1f} s: the file is cut short or damaged"
        elif self._damaged:
            self.error = (
                f"{self._damaged} damaged part{'s'[: self._damaged > 1]} left out, the first at {self._hurt:.1f} s"
            )

    def _decoded(self) -> Iterator[VideoFrame]:
        """Every frame that can be decoded, in the order in which they are shown."""
        import av

        packets = self._container.demux(self._stream)
        ended = False
        while not ended:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.error, packet = _reason(error), None
            ended = packet is None
            try:
                yield from self._context.decode(packet)  # None, at the end: what the decoder still holds back
            except EOFError:  # the decoder was told before that there is no more
                return
            except MemoryError:
                self.error = "not enough memory"
                return
            except av.FFmpegError:
                self._note(packet)

    def _note(self, packet: Any) -> None:
        """Counts a packet that could not be decoded."""
        if not self._damaged:
            stamp = None if packet is None else (packet.pts if packet.pts is not None else packet.dts)
            start = self._stream.start_time or 0
            base = self._stream.time_base or 0
            self._hurt = float(max(0, (stamp if stamp is not None else start) - start) * base)
        self._damaged += 1


def upright(frame: VideoFrame) -> RGB:
    """A decoded frame -> RGB uint8 (H, W, 3), turned by quarters as the camera's display matrix says."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4), dtype=np.uint8)


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return f"the file is cut short or damaged ({said})"
