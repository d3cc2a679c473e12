"""A detector and a reader of others as one recogniser, and in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.benchmarks import pairs
from pipeline.benchmarks.pairs import Pair
from pipeline.images import encode_png
from pipeline.records import Box, Detection, Quad, Reading
from pipeline.sessions import SessionError

from .test_foreign import network

ALPHABET = "ABCD_"


def pair_of(folder: Path) -> tuple[Path, str]:
    """A detector that finds a plate at 10, 20, 30, 28 of any 64 x 64 photo, and a reader that reads CAB on it."""
    detector, reader = folder / "finder.onnx", folder / "speller.onnx"
    network(detector, np.array([[10, 20, 30, 28, 0.9, 0]], np.float32)[None], (1, 3, 64, 64))
    network(reader, np.eye(5, dtype=np.float32)[None, [2, 0, 1, 4]], (1, 3, 8, 16))
    return detector, f"{reader}:{ALPHABET}"


def photos(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    return paths


class Finder:
    """A plate in the upper left of every photo, another one in the lower right of bright ones."""

    def detect(self, images, min_score):
        places = (Box(2, 2, 12, 6), Box(20, 10, 30, 18))
        found = [Detection(box, Quad.of_box(box), 0.9) for box in places]
        return [found if image.any() else found[:1] for image in images]


class Sizes:
    """Reads a crop's size."""

    def read(self, crops):
        return [Reading(f"{crop.shape[1]}X{crop.shape[0]}", 0.9) for crop in crops]


def test_plates_are_cut_out_by_their_boxes_and_readings_go_to_their_photos() -> None:
    dark, bright = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50, 3), np.uint8)
    found = Pair(Finder(), Sizes()).recognize([dark, bright, dark])
    assert [[one.reading.text for one in own] for own in found] == [["10X4"], ["10X4", "10X8"], ["10X4"]]
    assert Pair(Finder(), Sizes()).recognize([]) == []


@pytest.mark.parametrize(
    ("given", "alphabet"), [("a/r.onnx:AB_", "AB_"), ("a/r.onnx", pairs.ALPHABET), ("a/r.onnx:", pairs.ALPHABET)]
)
def test_a_reader_is_named_with_its_alphabet_or_without(given, alphabet) -> None:
    assert pairs.named_reader(given) == (Path("a/r.onnx"), alphabet)


def test_a_process_prints_a_row_for_each_photo(tmp_path) -> None:
    detector, reader = pair_of(tmp_path)
    paths = photos(tmp_path, 2)
    command = [sys.executable, "-m", "pipeline.benchmarks.pairs", detector, reader, "--threads", "2", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["image"] for row in found] == [str(path) for path in paths]
    for row in found:
        (plate,) = row["plates"]
        assert plate["box"] == [10, 20, 30, 28]
        assert plate["text"] == "CAB"


def test_what_is_no_pair_is_told_at_once(tmp_path) -> None:
    detector, reader = pair_of(tmp_path)
    with pytest.raises(SessionError, match=r"speller\.onnx: its outputs, .* are not those of a reader of 2 characters"):
        Pair.load(detector, f"{pairs.named_reader(reader)[0]}:AB", 1)
    with pytest.raises(SessionError, match=r"nowhere\.onnx: No such file"):
        Pair.load(tmp_path / "nowhere.onnx", reader, 1)
