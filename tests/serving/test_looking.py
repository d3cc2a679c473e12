"""Pictures and videos through a recogniser in threads: order, memory, and the files made of what is found."""

import gc
import os
import sys
import threading
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import Photo, encode_jpeg, encode_png
from pipeline.records import Reading, Recognition
from pipeline.serving import looking, output, rows
from pipeline.serving.inputs import Named
from pipeline.serving.video import Frame

from .fakes import DETECTION, READING, grey
from .test_video import make

PIXEL = encode_png(grey(200, 4, 4))
FOUND = Recognition(DETECTION, READING)


def look(name, photo):
    return looking.Looked(rows.of_recognitions(name, photo, [FOUND]), photo, (DETECTION,))


@pytest.mark.parametrize(
    ("threads", "several", "expected"), [(4, True, (4, 1)), (4, False, (1, 4)), (0, True, (os.cpu_count(), 1))]
)
def test_many_share_the_threads_and_one_has_them_all(threads, several, expected):
    assert looking.workers(threads, several) == expected


@pytest.mark.parametrize(("whole", "side", "shrunk"), [(False, 2000, 2), (True, 4000, 1)])
def test_a_large_jpeg_is_looked_at_smaller_and_answered_in_its_own_pixels(whole, side, shrunk):
    photo = Named("large.jpg", data=encode_jpeg(grey(200, 3000, 4000)))
    (one,) = looking.looked([photo], look, None, 1, whole=whole)
    assert max(one.photo.pixels.shape) == side
    assert (one.row["width"], one.row["height"]) == (4000, 3000)
    assert one.row["plates"][0]["box"] == pytest.approx([shrunk * value for value in DETECTION.box.xyxy], abs=0.01)
    corners = np.array(one.row["plates"][0]["corners"])
    np.testing.assert_allclose(corners, shrunk * np.array(DETECTION.quad.points), atol=0.01)


def sees_nothing(name, photo):
    return looking.Looked({"image": name, "plates": []}, photo)


def resident():
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say how much memory is used")
def test_a_hundred_thousand_pictures_need_no_more_memory_than_ten_thousand():
    """Of Python's objects not one stays for a picture, and what lies in memory grows by less than 40 bytes for each."""
    found = (Named(f"{number}.png", data=PIXEL) for number in range(100_000))
    measured = {}
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        out = output.writer("json", (), nowhere)
        for number, one in enumerate(looking.looked(found, sees_nothing, None, at_once=2), start=1):
            out.write(one.row)
            if number in (10_000, 100_000):
                gc.collect()
                measured[number] = sys.getallocatedblocks(), resident()
    blocks, size = (later - sooner for sooner, later in zip(measured[10_000], measured[100_000], strict=True))
    assert blocks < 9_000
    assert size < 90_000 * 40


@pytest.mark.parametrize("form", ["table", "csv"])
def test_no_form_keeps_what_it_has_written(form):
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        out = output.writer(form, ("text", "text score", "score", "box"), nowhere)
        blocks = []
        for number in range(3000):
            out.write(look(f"{number}.png", Photo.of(grey(0))).row)
            if number in (1000, 2999):
                gc.collect()
                blocks.append(sys.getallocatedblocks())
    assert blocks[1] - blocks[0] < 200


@pytest.fixture
def unwritten(monkeypatch):
    """Files are not really written."""

    @contextmanager
    def replacing(path, mode):
        with open(os.devnull, mode) as file:  # noqa: PTH123
            yield file

    monkeypatch.setattr(looking, "replacing", replacing)


@pytest.mark.parametrize("same", [False, True], ids=["names of their own", "one name in many folders"])
def test_names_of_crops_cost_some_150_bytes_each_and_are_found_at_once(unwritten, same):
    folder, count = looking.Folder(Path("crops")), 5000
    tracemalloc.start()
    written = {
        folder.write("image" if same else f"IMG_{number:08}", ".png", b"", numbered=True) for number in range(count)
    }
    own = sum(sys.getsizeof(path) for path in written) + sys.getsizeof(written)
    kept = tracemalloc.get_traced_memory()[0] - own
    tracemalloc.stop()
    assert len(written) == count
    assert kept < 220 * count


@pytest.mark.parametrize(
    ("stems", "numbered", "expected"),
    [
        (["a", "a", "a", "a"], False, ["a", "a-2", "a-3", "a-4"]),
        (["a", "a", "a", "a"], True, ["a-1", "a-2", "a-3", "a-4"]),
        (["a-2", "a", "a", "a"], False, ["a-2", "a", "a-3", "a-4"]),
        (["a", "a", "a-2", "a-2"], False, ["a", "a-2", "a-2-2", "a-2-3"]),
        (["a", "b", "a"], True, ["a-1", "b-1", "a-2"]),
    ],
)
def test_no_two_pictures_have_one_name(tmp_path, stems, numbered, expected):
    folder = looking.Folder(tmp_path)
    written = [Path(folder.write(stem, ".png", stem.encode(), numbered)) for stem in stems]
    assert [path.stem for path in written] == expected
    assert [path.read_text() for path in written] == stems


def test_a_second_run_writes_over_the_first(tmp_path):
    for _ in range(2):
        assert looking.Folder(tmp_path).write("a", ".png", b"") == str(tmp_path / "a.png")


def test_each_input_is_done_once_after_its_last_answer(tmp_path):
    happened = []

    def watch(name, video):
        yield from ({"video": name, "track": number} for number in (1, 2))

    clip = make(tmp_path / "drive.mp4", frames=2)
    found = [Named("a.png", data=PIXEL), Named("drive.mp4", clip), Named("b.png", error="gone")]
    for one in looking.looked(found, look, watch, 1, lambda: happened.append("done")):
        happened.append(one.row.get("image", one.row.get("track")))
    assert happened == ["a.png", "done", 1, 2, "done", "b.png", "done"]


def moving(index, text="AB12"):
    """A frame that says in its pixels which it is."""
    return Frame(index, index / 5, np.full((8, 8, 3), index, np.uint8))


@pytest.mark.parametrize("at_once", [1, 2])
def test_frames_of_a_video_are_looked_at_several_at_a_time_and_tracked_in_order(at_once):
    together = threading.Barrier(at_once, timeout=10)
    asked = []

    def see(image, least):
        together.wait()
        asked.append(least)
        index = int(image[0, 0, 0])
        return [] if index >= 6 else [Recognition(DETECTION, Reading(f"AB{index}", 0.5 + index / 20, (0.9,) * 3))]

    (track,) = looking.tracked(map(moving, range(8)), see, 0.4, 0.9, at_once)
    assert (track.first.time, track.last_seen, track.frames) == (0.0, 1.0, 6)
    assert track.best.recognition.reading.best == "AB5"
    assert track.reading.text == "", "the least score of a text reaches the vote"
    assert set(asked) == {0.2}, "what goes on with a track may be found less surely"
