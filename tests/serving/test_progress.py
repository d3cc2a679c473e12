"""Bars of progress, on a terminal made here, and nothing of them elsewhere."""

import io
import os
import pty
import re
import sys
import threading

import pytest

from pipeline.images import encode_png
from pipeline.serving import progress
from pipeline.serving.cli import app

from .fakes import grey, on_fakes
from .test_video import make

ESCAPE = r"\x1b\[[?\d;]*[A-Za-z]"
BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"


class Terminal:
    """A pseudo-terminal: `file` is to be written to; `text` is all that came, once it is closed."""

    def __init__(self):
        self._master, slave = pty.openpty()
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self._parts = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            while part := os.read(self._master, 65536):
                self._parts.append(part)
        except OSError:  # the other end is closed
            pass

    def close(self):
        if not self.file.closed:
            self.file.close()
            self._reader.join()
            os.close(self._master)
        return b"".join(self._parts).decode()


def screen(text):
    """The lines that stand on a terminal at the end: it knows line feeds, returns, erased lines and steps upwards."""
    shown, row, column = [""], 0, 0
    for piece in re.findall(rf"{ESCAPE}|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            row += 1
            shown += [""] * (row == len(shown))
        elif piece == "\r":
            column = 0
        elif piece.endswith("A"):
            row -= int(piece[2:-1] or 1)
        elif piece.endswith("K"):
            shown[row] = ""
        elif not piece.startswith("\x1b"):
            shown[row] = shown[row][:column].ljust(column) + piece + shown[row][column + len(piece) :]
            column += len(piece)
    return [line for line in shown if line.strip()]


@pytest.fixture
def terminal(monkeypatch):
    opened = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    yield opened
    opened.close()


@pytest.fixture
def album(tmp_path):
    """Four photos, of which one is broken, and a video of two seconds."""
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(encode_png(grey(200)))
    (tmp_path / "d.png").write_bytes(b"no picture")
    make(tmp_path / "drive.mp4")
    return tmp_path


def run(monkeypatch, terminal, arguments, both):
    """(stdout, what came on the terminal) of a command whose stderr, and stdout if `both`, is the terminal."""
    on_fakes(monkeypatch)
    out = terminal.file if both else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", terminal.file)
    with pytest.raises(SystemExit):
        app([str(one) for one in arguments])
    monkeypatch.undo()
    return "" if both else out.getvalue(), terminal.close()


def bare(shown):
    """Without colours and steps."""
    return re.sub(ESCAPE, "", shown)


def test_a_terminal_shows_how_many_are_done_and_how_far_a_video_is(monkeypatch, terminal, album):
    out, shown = run(monkeypatch, terminal, ["recognize", album, "--json"], both=False)
    assert len(out.splitlines()) == 5
    assert "\x1b" not in out
    assert all(f"{done} / 5" in shown for done in range(6))
    assert "drive.mp4" in shown
    assert all(f"0:0{second} / 0:02" in shown for second in (0, 1))
    assert re.search(r"\d\.\d/s", shown)
    assert re.search(r"\d\.\d x real time", shown)
    assert "left" in shown
    assert screen(shown) == [f"alpr: {album}/d.png: not an image of a known format"]


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_rows_on_the_same_terminal_stand_whole_and_no_bar_is_left(monkeypatch, terminal, album, options):
    _, shown = run(monkeypatch, terminal, ["recognize", album, *options], both=True)
    ends = [line for line in screen(shown) if not line.startswith(("text", '{"image": ')) or "plates" in line]
    assert len(ends) == 5
    assert ends[3] == f"alpr: {album}/d.png: not an image of a known format"
    assert BAR in shown
    assert not [line for line in ends if BAR in line]
    assert all("AB12" in ends[place] for place in (0, 1, 2))


def test_redacting_one_video_shows_its_seconds(monkeypatch, terminal, album, tmp_path):
    out, shown = run(monkeypatch, terminal, ["redact", album / "drive.mp4", "--out", tmp_path / "out"], both=False)
    assert out == f"{tmp_path}/out/drive.mp4: 1 plate blurred\n"
    assert "0:01 / 0:02" in shown
    assert "x real time" in shown
    assert screen(shown) == []


def test_one_photo_has_no_bar(monkeypatch, terminal, album):
    _, shown = run(monkeypatch, terminal, ["recognize", album / "a.png", "--json"], both=False)
    assert screen(shown) == []
    assert "/ 1" not in shown


def test_names_on_standard_input_are_counted_without_an_end(monkeypatch, terminal, album):
    listed = io.TextIOWrapper(io.BytesIO(b"\n".join(os.fsencode(album / f"{name}.png") for name in "abc")))
    monkeypatch.setattr(sys, "stdin", listed)
    _, shown = run(monkeypatch, terminal, ["recognize", "-", "--json"], both=False)
    assert re.search(r" 3 \d+\.\d/s", bare(shown))
    assert "left" not in shown


def test_where_nobody_looks_on_nothing_is_shown(monkeypatch, album, tmp_path):
    alpr = on_fakes(monkeypatch)
    for arguments in (
        ["recognize", album / "a.png", album / "drive.mp4"],
        ["redact", album, "--out", tmp_path / "out"],
    ):
        result = alpr(*arguments)
        assert all(line.startswith(f"alpr: {album}/d.png: ") for line in result.stderr.splitlines())
        assert BAR not in result.output


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (62.9, "1:02"), (3723, "1:02:03")])
def test_times_are_shown_as_a_clock_does(seconds, shown):
    assert progress.clock(seconds) == shown
