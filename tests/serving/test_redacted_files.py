"""Photos and videos redacted into a folder, several at a time."""

import threading

import pytest

from pipeline.images import encode_png, read_image
from pipeline.serving import inputs
from pipeline.serving.progress import Bars
from pipeline.serving.redacted_files import written

from .bad_images import bad_images
from .fakes import DETECTION, FakeDetector, grey
from .test_video import make


def redacted(out, *paths, detector=None, at_once=2):
    return list(written(inputs.named(map(str, paths)), out, detector or FakeDetector(), 0.2, at_once, Bars()))


@pytest.fixture
def album(tmp_path):
    """a.png, b/a.png, b/drive.mp4 and c.png."""
    folder = tmp_path / "album"
    (folder / "b").mkdir(parents=True)
    for name in ("a.png", "b/a.png", "c.png"):
        (folder / name).write_bytes(encode_png(grey(200)))
    make(folder / "b" / "drive.mp4", frames=8)
    return folder


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_input_has_its_file_in_order_with_the_folders_below(album, tmp_path, at_once):
    out = tmp_path / "out"
    results = redacted(out, album, at_once=at_once)
    assert [one.path for one in results] == [str(out / name) for name in ("a.png", "c.png", "b/a.png", "b/drive.mp4")]
    assert [(one.plates, one.error) for one in results] == [(1, "")] * 4
    assert read_image(out / "b" / "a.png").shape == (40, 60, 3)


def test_photos_are_worked_on_at_once(album, tmp_path):
    both = threading.Barrier(2, timeout=10)  # passes only when two photos wait at it

    class Waits(FakeDetector):
        def detect(self, images, min_score=0.3):
            both.wait()
            return super().detect(images, min_score)

    results = redacted(tmp_path / "out", album / "a.png", album / "c.png", detector=Waits())
    assert [one.error for one in results] == ["", ""]


@pytest.mark.parametrize("at_once", [1, 3])
def test_of_two_photos_for_one_name_the_second_is_refused(album, tmp_path, at_once):
    out = tmp_path / "out"
    first, second = redacted(out, album / "a.png", album / "b" / "a.png", at_once=at_once)
    assert (first.path, first.error) == (str(out / "a.png"), "")
    assert (second.name, second.path) == (str(album / "b" / "a.png"), "")
    assert "is there already" in second.error


def test_a_bad_image_leaves_no_file_and_the_others_are_written(album, tmp_path):
    for name, (data, _) in bad_images().items():
        (album / name).write_bytes(data)
    results = {one.name: one for one in redacted(tmp_path / "out", album)}
    assert len(results) == 4 + len(bad_images())
    for name, (_, said) in bad_images().items():
        one = results[str(album / name)]
        assert (said or "") in one.error
        assert (tmp_path / "out" / name).exists() == (said is None) == bool(one.path)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert [results[str(album / name)].error for name in ("a.png", "c.png")] == ["", ""]


def test_of_a_damaged_video_what_is_there_is_written_and_where_it_ends_is_said(album, tmp_path):
    whole = make(tmp_path / "whole.mkv")
    (album / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (album / "none.mp4").write_bytes(b"no video")
    cut, none = redacted(tmp_path / "out", album / "cut.mkv", album / "none.mp4")
    assert "ends at" in cut.error
    assert cut.path == str(tmp_path / "out" / "cut.mkv")
    assert (none.path, none.error) == ("", "not a video of a known format")


def test_a_detector_that_fails_costs_only_its_photo(album, tmp_path):
    class Fails(FakeDetector):
        def detect(self, images, min_score=0.3):
            if images[0].max() < 255:
                raise RuntimeError("no memory")
            return [[DETECTION]]

    (album / "c.png").write_bytes(encode_png(grey(255)))
    failed, fine = redacted(tmp_path / "out", album / "a.png", album / "c.png", detector=Fails())
    assert (failed.path, failed.error) == ("", "no memory")
    assert (fine.path, fine.error) == (str(tmp_path / "out" / "c.png"), "")
