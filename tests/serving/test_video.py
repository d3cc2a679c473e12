"""Videos made here with PyAV, whole and broken: which frames come, at which times, and what is said of the rest."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.serving import video
from pipeline.serving.video import SUFFIXES, Video, VideoError

WIDTH, HEIGHT, RATE = 96, 64, 20


def picture(index):
    """A frame that can be told from its neighbours; its top-left quarter is bright."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2] = 230
    return pixels


def make(path, frames=40, times=None, codec="libx264", rotation=None, size=(WIDTH, HEIGHT), options=None):
    """Writes a video; `times` in milliseconds, or evenly at RATE."""
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for index, time in enumerate(times or [1000 * i // RATE for i in range(frames)]):
            pixels = picture(index) if size == (WIDTH, HEIGHT) else np.zeros((size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_sound(path, cover):
    """Writes sound alone, or with a cover picture, which FFmpeg lists as a video stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        if cover:
            drawn = container.add_stream("mjpeg", rate=1)
            drawn.width, drawn.height, drawn.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            drawn.disposition = av.stream.Disposition.attached_pic
            container.mux(drawn.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
            container.mux(drawn.encode())
        for start in range(0, 8192, 1024):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.rate, sound.pts = 8000, start
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def read(path, every=0.0):
    """(frames, error) of a video."""
    with Video(path) as opened:
        return list(opened.frames(every)), opened.error


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi"])
def test_every_frame_comes_with_its_number_time_and_pixels(tmp_path, name):
    frames, error = read(make(tmp_path / name, codec="mpeg4" if name.endswith("avi") else "libx264"))
    assert error == ""
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time for frame in frames] == pytest.approx([i / RATE for i in range(40)], abs=1e-3)
    assert all(frame.image.shape == (HEIGHT, WIDTH, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert frames[7].image[:30, :44].mean() > 200 > 100 > frames[7].image[34:].mean()
    assert (tmp_path / name).suffix in SUFFIXES


@pytest.mark.parametrize(
    ("every", "indices"), [(0.2, range(0, 40, 4)), (0.5, range(0, 40, 10)), (0.01, range(40)), (9.0, [0])]
)
def test_frames_are_taken_by_time(tmp_path, every, indices):
    frames, _ = read(make(tmp_path / "a.mp4"), every)
    assert [frame.index for frame in frames] == list(indices)


def test_a_variable_frame_rate_keeps_the_streams_own_times(tmp_path):
    times = [0, 20, 40, 60, 80, 500, 510, 900, 1700, 1710]
    path = make(tmp_path / "a.mkv", times=times)
    frames, error = read(path)
    assert error == ""
    assert [round(1000 * frame.time) for frame in frames] == times
    assert [round(1000 * frame.time) for frame in read(path, 0.2)[0]] == [0, 500, 900, 1700]


def test_times_start_at_the_first_frame(tmp_path):
    frames, _ = read(make(tmp_path / "a.ts", times=[5000, 5050, 5100]))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.05, 0.1], abs=1e-3)


@pytest.mark.parametrize(
    ("rotation", "shape", "bright"),
    [(0, (64, 96), "tl"), (90, (96, 64), "bl"), (-90, (96, 64), "tr"), (180, (64, 96), "br")],
)
def test_a_turned_camera_gives_upright_frames(tmp_path, rotation, shape, bright):
    """The display matrix says by how much to turn counterclockwise."""
    frames, _ = read(make(tmp_path / "a.mp4", frames=3, rotation=rotation))
    pixels = frames[0].image
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    assert pixels.shape[:2] == shape
    quarters = {
        **{"tl": pixels[:rows, :columns], "tr": pixels[:rows, columns:]},
        **{"bl": pixels[rows:, :columns], "br": pixels[rows:, columns:]},
    }
    assert max(quarters, key=lambda name: quarters[name].mean()) == bright


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
def test_a_truncated_video_gives_what_is_there_and_says_where_it_ends(tmp_path, name, options):
    path = make(tmp_path / name, options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, error = read(path)
    assert 15 <= len(frames) <= 30
    assert error == f"ends at {frames[-1].time + 1 / RATE:.1f} s of 2.0 s: the file is cut short or damaged"
    assert np.abs(frames[7].image.astype(int) - picture(7)).mean() < 20
    with Video(path) as opened:  # also where frames are left out
        assert len(list(opened.frames(0.2))) >= 3
        assert opened.error == error


def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path):
    path = make(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + len(data) // 20] = bytes(len(data) // 20)
    path.write_bytes(data)
    frames, error = read(path)
    assert 30 <= len(frames) < 40
    assert frames[-1].time == pytest.approx(39 / RATE)
    assert "damaged" in error
    assert "the first at 0.9 s" in error or "the first at 1." in error


def test_what_is_no_video_is_refused_in_a_sentence(tmp_path):
    whole = make(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:10,\n{tmp_path}/whole.mp4\n#EXT-X-ENDLIST\n")
    files = {
        "gone.mp4": (None, "no such file"),
        "empty.mp4": (b"", "empty file"),
        "page.mp4": (b"<html>not found</html>" * 40, "not a video of a known format"),
        "photo.mp4": (encode_png(picture(0)), "not a video of a known format"),
        "list.mp4": ((tmp_path / "list.m3u8").read_bytes(), "not a video of a known format"),
        "head.mp4": (whole[: len(whole) // 2], "cut short: its index"),
    }
    for name, (data, reason) in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError, match=f"{name}: {reason}"):
            Video(tmp_path / name)
    with pytest.raises(VideoError, match="not a file"):
        Video(tmp_path)


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_refused(tmp_path, cover):
    with pytest.raises(VideoError, match="has no pictures, only audio"):
        Video(make_sound(tmp_path / "a.mp4", cover))


def test_frames_over_the_cap_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    path = make(tmp_path / "a.mp4", frames=2)
    monkeypatch.setattr(video.images, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    monkeypatch.setattr(video, "upright", lambda _: pytest.fail("decoded"))
    with pytest.raises(VideoError, match=f"frames of {WIDTH} x {HEIGHT} pixels, more than the cap of 6,143"):
        Video(path)


def test_frames_that_grow_over_the_cap_end_the_video(tmp_path):
    """As a stream may: here two raw ones, one behind the other."""
    small, large = make(tmp_path / "s.h264", frames=5), make(tmp_path / "l.h264", frames=5, size=(256, 256))
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with Video(path, max_pixels=20_000) as opened:
        frames = list(opened.frames(0))
    assert [frame.image.shape[:2] for frame in frames] == [(HEIGHT, WIDTH)] * 5
    assert opened.error
    assert [frame.time for frame in frames] == pytest.approx([frame.index / float(opened.rate) for frame in frames])


def test_frames_are_decoded_when_they_are_asked_for(tmp_path):
    with Video(make(tmp_path / "a.mkv", frames=400)) as opened:
        turned = []
        real, video.upright = video.upright, lambda frame: turned.append(1) or real(frame)
        try:
            frames = opened.frames(0)
            next(frames), next(frames)
        finally:
            video.upright = real
        assert len(turned) == 2


def test_a_negative_step_is_refused(tmp_path):
    with Video(make(tmp_path / "a.mp4", frames=2)) as opened, pytest.raises(ValueError, match="every 0 or more"):
        next(opened.frames(-1))
