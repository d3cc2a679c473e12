"""alpr as a process of its own: Ctrl-C, readers that have had enough, a full disk."""

import csv
import io
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest

from pipeline.images import encode_png, read_image

from .fakes import COMMAND
from .test_video import make

MANY = 2000
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as users have it


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """One picture under many names."""
    folder = tmp_path_factory.mktemp("album")
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[56:64, 76:84] = 255
    (folder / "0000.png").write_bytes(encode_png(picture))
    for number in range(1, MANY):
        os.link(folder / "0000.png", folder / f"{number:04}.png")
    return folder


@contextmanager
def started(*arguments):
    """A process with pipes; Ctrl-C reaches it even where the tests themselves run in the background."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=BUFFERED,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupted(process):
    """(stdout, stderr) of a process that was sent Ctrl-C and must end soon, with 130."""
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in errors
    return rest, errors


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_ctrl_c_leaves_whole_lines_and_does_not_wait_for_the_rest(album, tiny_bundle, form):
    options = () if form == "table" else (f"--{form}",)
    with started("recognize", album, "--model", tiny_bundle, "--threads", "2", *options) as process:
        first = [process.stdout.readline() for _ in range(3)]
        rest, _ = interrupted(process)
    out = "".join(first) + rest
    assert out.endswith("\n")
    assert 3 <= len(out.splitlines()) < MANY
    if form == "json":
        names = [json.loads(line)["image"] for line in out.splitlines()]
    elif form == "csv":
        names = [row["image"] for row in csv.DictReader(io.StringIO(out))]
    else:
        names = [line.split()[-1] for line in out.splitlines()[1:]]
    assert names == [str(album / f"{number:04}.png") for number in range(len(names))]


def test_ctrl_c_leaves_only_whole_pictures_redacted(album, tiny_bundle, tmp_path):
    out = tmp_path / "out"
    with started("redact", album, "--out", out, "--model", tiny_bundle, "--threads", "2") as process:
        first = [process.stdout.readline() for _ in range(3)]
        rest, _ = interrupted(process)
    told = ("".join(first) + rest).splitlines()
    written = sorted(path.name for path in out.iterdir())
    assert len(told) <= len(written) < MANY
    assert [line.partition(": ")[0] for line in told] == [str(out / name) for name in written[: len(told)]]
    assert {read_image(out / name).shape for name in written} == {(120, 160, 3)}


def test_ctrl_c_leaves_nothing_of_a_video_half_redacted(tiny_bundle, tmp_path):
    out = tmp_path / "out"
    make(tmp_path / "drive.mp4", frames=400)
    with started("redact", tmp_path / "drive.mp4", "--out", out, "--model", tiny_bundle) as process:
        end = time.monotonic() + 60
        while not (out.exists() and any(out.iterdir())):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        rest, _ = interrupted(process)
    assert rest == ""
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("command", ["recognize", "redact"])
def test_a_reader_that_has_had_enough_ends_it_quietly(album, tiny_bundle, tmp_path, command):
    out = ("--out", tmp_path) if command == "redact" else ()
    with started(command, album, "--model", tiny_bundle, *out) as process:
        assert str(tmp_path if out else "image") in process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")  # noqa: PTH110
def test_a_full_disk_is_a_sentence_and_1(album, tiny_bundle):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, "recognize", album / "0000.png", "--json", "--model", tiny_bundle],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=BUFFERED,
        )
    assert done.returncode == 1
    assert done.stderr == "alpr: standard output: No space left on device\n"
