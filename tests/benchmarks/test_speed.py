"""The benchmark of whole recognisers: what runs, what is counted, and the page that it writes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pipeline.benchmarks import processes, speed
from pipeline.benchmarks.forms import Form, Photo, as_they_are
from pipeline.benchmarks.pages import marks
from pipeline.benchmarks.pairs import looks
from pipeline.benchmarks.processes import Start
from pipeline.benchmarks.speed import Contender
from pipeline.checkpoints import SHIPPED
from pipeline.images import encode_png, sha256
from pipeline.manifest import write_manifest
from pipeline.metrics import Bootstrap
from pipeline.records import Box, Detection, Plate, Quad, Reading, Recognition, Sample
from pipeline.sessions import SessionError

TRUE, AWAY = Box(180, 196, 244, 228), Box(20, 20, 84, 52)
FEW = Bootstrap(20, 1)


class Fake:
    """Finds one plate in every photo, and what it reads there goes by the photo's brightness."""

    def __init__(self, box: Box = TRUE, texts: tuple[str, ...] = ("AB12", "AB12", "XY99")) -> None:
        self._box, self._texts = box, texts

    def recognize(self, images, min_score):
        return [
            [Recognition(Detection(self._box, Quad.of_box(self._box), 0.9), Reading(self._texts[image[0, 0, 0]], 0.8))]
            for image in images
        ]


def curated(folder: Path, count: int = 2) -> list[Sample]:
    """Photos of the test split with the plate AB12 on each, in whose middle the tiny detector sees white; one of train.

    The photos have the size that its network works at, where a plate has 64 x 32 pixels.
    """
    samples = []
    for number in range(count + 1):
        image = np.full((384, 512, 3), number, np.uint8)
        image[208:216, 208:216] = 255
        data = encode_png(image)
        (folder / f"{number}.png").write_bytes(data)
        split = "train" if number == count else "test"
        plate = Plate(TRUE, Quad.of_box(TRUE), text="AB12")
        samples.append(Sample(sha256(data), f"{number}.png", 512, 384, (plate,), "made", str(number), split=split))
    write_manifest(folder / "manifest.jsonl", samples)
    return samples


def contender(name: str = "fake", recognizer: Fake | None = None) -> Contender:
    return Contender(name, lambda threads: recognizer or Fake(), ("alpr",), 1.0)


@pytest.fixture
def run(tmp_path, tiny_bundle):
    """Runs the command on two photos with the tiny bundle."""
    curated(tmp_path)
    app = typer.Typer()
    app.command()(speed.main)

    def run(*arguments: object):
        where = {"curated": tmp_path, "images": tmp_path, "out": tmp_path / "bench.md", "model": tiny_bundle}
        given = [part for name, value in where.items() for part in (f"--{name}", value)]
        return CliRunner().invoke(app, [str(a) for a in [*given, "--bootstrap", 20, *arguments]])

    return run


@pytest.fixture
def no_processes(monkeypatch) -> list[list[str]]:
    """In place of processes, which take a second each: what they would have run."""
    commands: list[list[str]] = []

    def starts(wanted):
        commands.extend(list(command) for command in wanted.values())
        return {name: Start(0.5, 0.6, 0.4) for name in wanted}

    def peak_megabytes(command):
        commands.append(list(command))
        return 200.0

    monkeypatch.setattr(processes, "starts", starts)
    monkeypatch.setattr(processes, "peak_megabytes", peak_megabytes)
    return commands


def test_the_whole_run_writes_tables_figures_and_page(tmp_path, run, no_processes) -> None:
    readme = tmp_path / "README.md"
    begin, end = marks("bench-speed")
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    done = run("--readme", readme, "--side", 1024)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "bench.json").read_text())
    assert figures["machine"]["cores"] >= 1
    assert [(form["form"], form["size"]) for form in figures["forms"]] == [
        ("as they are", [512, 384]),
        ("as JPEG of 1024 pixels", [1024, 768]),
    ]
    for form in figures["forms"]:
        assert (form["photos"], form["timed"]) == (2, 2)
        assert len(form["measured"]) == 2
        for row in form["measured"]:
            assert row["accuracy"]["n"] == 2
            assert row["accuracy"]["found_and_read"] == 1.0, "also where the photo is larger than its labels say"
            assert 0 < row["networks_share"] < 1
            assert row["parts"]["network: reader"] > 0
            assert row["milliseconds_p95"] >= row["milliseconds"] > 0
            assert row["cpu_milliseconds"] > 0
            assert set(row["photos_a_second"]) == set(row["peak_megabytes"]) == {"1", "2"}
    page = (tmp_path / "bench.md").read_text()
    assert page.strip() in done.output
    assert page.startswith("all sources, the grouped test split. ")
    assert "**Photos as JPEG of 1024 pixels**: 2 photos; the middle one has 1024 x 768 pixels" in page
    shown = readme.read_text()
    assert shown.startswith(f"before\n{begin}\n| photos | recogniser |")
    assert shown.endswith(f"{end}\nafter\n")
    assert "old" not in shown
    assert not list(Path(no_processes[-1][-1]).parent.glob("*.jpg")), "copies are gone when they are measured"


def test_a_bundle_is_run_as_a_user_would(tmp_path, run, no_processes, tiny_bundle) -> None:
    assert run("--side", 0, "--photos", 1).exit_code == 0
    photo = str(tmp_path / "0.png")
    other = str(tmp_path / "1.png")
    start = [sys.executable, "-c", speed.ALPR, "recognize", "--json"]
    model = ["--model", str(tiny_bundle)]
    (only,) = {command[-1] for command in no_processes}
    assert only in (photo, other)
    assert [command[:-1] for command in no_processes] == [
        [*start, *model],
        [*start, "--fast", *model],
        *([*start, *fast, *model, "--threads", n] for fast in ([], ["--fast"]) for n in ("1", "2")),
    ]


def test_processes_really_run(tmp_path, tiny_bundle) -> None:
    """The commands of a contender, as they are, on two photos."""
    curated(tmp_path)
    accurate, _ = speed.of_bundle(tiny_bundle)
    paths = [str(tmp_path / f"{number}.png") for number in range(2)]
    assert processes.started([*accurate.command, paths[0]]).first_line > 0
    assert processes.peak_megabytes([*accurate.command, "--threads", "2", *paths]) > 30


ERRORS = {
    "no manifest": (lambda folder: ["--curated", folder / "nowhere"], "run the stage that writes it"),
    "no photo": (lambda folder: ["--source", "other"], "no photo of other stands in the split test"),
    "no bundle": (lambda folder: ["--model", folder / "x"], "no bundle.json here"),
    "a detector alone": (lambda folder: ["--onnx-detector", folder / "d.onnx"], "give them in pairs"),
    "a missing ONNX": (
        lambda folder: ["--onnx-detector", folder / "d.onnx", "--onnx-reader", folder / "r.onnx:AB"],
        "d.onnx: No such file",
    ),
}


@pytest.mark.parametrize(("arguments", "sentence"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_a_sentence(tmp_path, run, arguments, sentence) -> None:
    done = run(*arguments(tmp_path))
    assert done.exit_code == 1
    assert str(done.exception).startswith("bench-speed: ")
    assert sentence in str(done.exception)


def test_what_ships_is_run_without_a_model() -> None:
    found = speed.of_bundle(SHIPPED / "export")
    assert [one.name.split(" (")[0] for one in found] == ["ours, accurate", "ours, fast"]
    assert found[0].command[-2:] == ("recognize", "--json")
    assert found[1].command[-2:] == ("--json", "--fast")
    assert found[0].megabytes > found[1].megabytes > 1


def test_a_pair_is_named_by_its_files_and_tried_at_once(tmp_path, monkeypatch) -> None:
    opened: list[tuple] = []

    def load(*arguments, **options):
        opened.append((*arguments, options))
        if arguments[0].name == "bad.onnx":
            raise SessionError("bad.onnx: no graph")

    monkeypatch.setattr(speed.Pair, "load", load)
    detector, reader = tmp_path / "yolo.onnx", tmp_path / "cct.onnx"
    detector.write_bytes(bytes(2_000_000))
    reader.write_bytes(bytes(500_000))
    (one,) = speed.of_pairs([detector], [f"{reader}:ABC_"], "slots", "first")
    assert (one.name, one.megabytes, one.min_score) == ("yolo + cct", 2.5, 0.25)
    one.open(2)
    how = {"decoding": "slots", "blank": "first"}
    assert opened == [(detector, f"{reader}:ABC_", n, how) for n in (1, 2)]
    assert one.command[1:] == (
        *("-m", "pipeline.benchmarks.pairs", str(detector), f"{reader}:ABC_"),
        *("--decoding", "slots", "--blank", "first"),
    )
    with pytest.raises(SessionError, match="no graph"):
        speed.of_pairs([detector.with_name("bad.onnx")], [str(reader)], "auto", "last")


def test_two_recognisers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two recognisers are called 'a'"):
        speed.distinct([contender("a"), contender("b"), contender("a")])


@pytest.mark.parametrize(
    ("recognizer", "found_and_read", "exact"),
    [(Fake(), 2 / 3, 2 / 3), (Fake(box=AWAY), 0.0, 0.0), (Fake(texts=("", "", "")), 0.0, 0.0)],
    ids=["one of three misread", "beside the plate, and read there", "not read"],
)
def test_accuracy_is_that_of_the_rows(tmp_path, recognizer, found_and_read, exact) -> None:
    form = as_they_are(curated(tmp_path, 3)[:3], tmp_path)
    row = speed.found_and_read("it", looks(recognizer, 0.4), form, FEW)
    assert row["n"] == 3
    assert row["found_and_read"] == pytest.approx(found_and_read)
    assert row["exact"] == pytest.approx(exact)
    assert row["false_readings"] == (3 if recognizer._box is AWAY else 0)


def test_a_photo_that_cannot_be_read_ends_it(tmp_path) -> None:
    (sample, *_) = curated(tmp_path)
    (tmp_path / "no.png").write_bytes(b"no picture")
    form = Form("as they are", [Photo(sample, tmp_path / "no.png")])
    with pytest.raises(ValueError, match=r"no\.png: not an image"):
        speed.found_and_read("it", looks(Fake(), 0.4), form, FEW)
