"""The command line on a recogniser that finds one plate, and reads it, in every picture that is not black.

from .fakes import on_fakes
"""

import json
import sys

import numpy as np
from typer.testing import CliRunner

from pipeline.recognizer import Recognizer
from pipeline.records import Box, Detection, Quad, Reading
from pipeline.serving.cli import app

BOX = Box(10, 12.345, 50, 24)
DETECTION = Detection(BOX, Quad.of_box(BOX), 0.98765)
READING = Reading("AB12", 0.9, (0.9, 0.8, 0.7, 0.6), "GB")

COMMAND = [sys.executable, "-c", "from pipeline.serving.cli import app; app()"]  # alpr in a process of its own


class FakeDetector:
    def detect(self, images, min_score=0.3):
        return [[DETECTION] if image.any() and DETECTION.score >= min_score else [] for image in images]


class FakeReader:
    def read(self, crops):
        return [READING if crop.any() else Reading("", 0.0) for crop in crops]


def on_fakes(monkeypatch):
    """Runs a command line; returns what CliRunner saw."""
    fakes = Recognizer(FakeDetector(), FakeReader())
    monkeypatch.setattr("pipeline.recognizer.Recognizer.load", lambda *args, **options: fakes)
    return lambda *arguments, stdin=None: CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)


def grey(value, height=40, width=60):
    return np.full((height, width, 3), value, dtype=np.uint8)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]
