"""The benchmark of readers: every one on the same crops, a page that says what they were, figures, and errors."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pipeline.benchmarks import reader_page, readers
from pipeline.benchmarks.crops import Chosen, Crop, Target
from pipeline.benchmarks.pages import marks
from pipeline.benchmarks.reader_page import BATCH, Measured
from pipeline.benchmarks.readers import Contender
from pipeline.bundle import BundleError, Network, Precision, write
from pipeline.images import encode_png, sha256
from pipeline.manifest import write_manifest
from pipeline.metrics import Bootstrap
from pipeline.readers.decoding import ReaderError
from pipeline.records import Box, Plate, Reading, Sample

TEXTS = ("AB12", "CD34", "EF56")
FEW = Bootstrap(20, 1)


class Fake:
    """Reads a crop's text off its brightness, and gets that of the last one wrong; says how many it was given."""

    def __init__(self, sure: float = 0.9, wrong: str = "EFS6") -> None:
        self.sure, self.wrong, self.given = sure, wrong, []

    def read(self, crops):
        self.given.append(len(crops))
        texts = [[*TEXTS[:2], self.wrong][int(crop[0, 0, 0]) // 50] for crop in crops]
        return [Reading(text, self.sure) if text != "EF5" else Reading("", 0.1, guess=text) for text in texts]


def contender(name: str = "fake", reader: Callable[[], Fake] = Fake, **others) -> Contender:
    return Contender(name, lambda threads: reader(), **others)


def crop(number: int, region: str | None = None, rows: int | None = None, height: float = 20.0) -> Crop:
    box = Box(0, 0, 30, height)
    plate = Plate(box, text=TEXTS[number], region=region, rows=rows)
    sample = Sample(f"{number:064x}", f"{number}.png", 30, 10, (plate,), "made", str(number))
    return Crop(Target(sample, plate, TEXTS[number], box), np.full((10, 30, 3), 50 * number, np.uint8), height)


def curated(folder: Path) -> Path:
    """Three photos with a plate each, of the test split, and one of train that the reader learnt from."""
    samples = []
    for number in (0, 1, 2, 3):
        data = encode_png(np.full((40, 60, 3), 50 * (number % 3) + number // 3, np.uint8))
        (folder / f"{number}.png").write_bytes(data)
        plate = Plate(Box(10, 10, 50, 22), text=TEXTS[number % 3], region="IN", rows=1)
        split = "train" if number == 3 else "test"
        samples.append(Sample(sha256(data), f"{number}.png", 60, 40, (plate,), "made", f"g{number}", split=split))
    write_manifest(folder / "manifest.jsonl", samples)
    write_manifest(folder / "original.jsonl", samples)
    (folder / "reader").mkdir()
    (folder / "reader/seen.txt").write_text(f"{samples[3].id}\n")
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command on three photos with fakes in place of a bundle's reader and of Tesseract."""

    def missing() -> Contender:
        raise ReaderError("RapidOCR is not installed: install it")

    fakes = [contender("reader, float", megabytes=2.0), contender("reader, int8", lambda: Fake(0.5), megabytes=0.5)]
    monkeypatch.setattr(readers, "of_bundle", lambda folder: fakes)
    monkeypatch.setattr(readers, "of_tesseract", lambda: contender(reader_page.TESSERACT, rounds=1))
    monkeypatch.setattr(readers, "of_rapidocr", missing)
    curated(tmp_path)
    app = typer.Typer()
    app.command()(readers.main)

    def run(*arguments: object):
        where = {"curated": tmp_path, "images": tmp_path, "out": tmp_path / "bench.md", "model": tmp_path / "export"}
        given = [part for name, value in where.items() for part in (f"--{name}", value)]
        return CliRunner().invoke(app, [str(a) for a in [*given, "--bootstrap", 20, *arguments]])

    return run


def test_the_whole_run_writes_tables_figures_and_page(tmp_path, run) -> None:
    readme = tmp_path / "README.md"
    begin, end = marks("bench-reader")
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    done = run("--readme", readme)
    assert done.exit_code == 0, done.output
    assert "left out: RapidOCR is not installed: install it" in done.output
    figures = json.loads((tmp_path / "bench.json").read_text())
    assert figures["plates"] == 3
    assert [row["name"] for row in figures["readers"]] == ["reader, float", "reader, int8", "Tesseract"]
    for row in figures["readers"]:
        assert row["exact"] == pytest.approx(2 / 3)
        assert row["cer"] == pytest.approx(1 / 12)
        assert row["confusions"] == [{"truth": "5", "read": "S", "count": 1}]
        assert set(row["milliseconds"]) == {"1", "2"}
        assert row["of_tesseract"] > 0
    assert figures["readers"][0]["answers"]["calibration_error"] == pytest.approx(0.9 - 2 / 3, abs=1e-4)
    page = (tmp_path / "bench.md").read_text()
    assert page.strip() in done.output
    assert "all sources, the grouped test split: 3 plates with a certain text on 3 pictures." in page
    assert "cut out by their published boxes" in page
    assert "Left out: 0 plates of pictures that a reader has learnt from" in page
    assert "| reader | IN (3) |" in page
    assert "| 5 | S | 1 |" in page
    shown = readme.read_text()
    assert shown.startswith(f"before\n{begin}\n| reader | exact match |")
    assert shown.endswith(f"{end}\nafter\n")
    assert "old" not in shown


def test_what_was_learnt_from_is_counted_left_out_or_kept(tmp_path, run) -> None:
    assert run("--split", "all", "--no-tesseract").exit_code == 0
    page = (tmp_path / "bench.md").read_text()
    assert "all pictures: 3 plates" in page
    assert "Left out: 1 plate of pictures that a reader has learnt from" in page
    assert "Tesseract |" not in page
    assert run("--split", "all", "--keep-seen", "--cut", "corners").exit_code == 0
    page = (tmp_path / "bench.md").read_text()
    assert "all pictures: 4 plates" in page
    assert "Kept: 1 plate of pictures that a reader has learnt from" in page
    assert "rectified by their corners" in page


def damaged(folder: Path) -> str:
    (folder / "bad.onnx").write_text("no graph")
    return str(folder / "bad.onnx:ABC")


ERRORS = {
    "no manifest": (lambda folder: ["--curated", folder / "nowhere"], "run the stage that writes it"),
    "no crop": (lambda folder: ["--source", "other"], "no plate of other with a certain text stands in the split test"),
    "no list of what was seen": (lambda folder: ["--model", folder / "x/export"], "name the folder that has it"),
    "a bad ONNX": (lambda folder: ["--onnx", damaged(folder)], "bad.onnx: ONNX Runtime cannot load it"),
    "a missing ONNX": (lambda folder: ["--onnx", folder / "m.onnx"], "m.onnx: No such file"),
    "corners as published": (lambda folder: ["--labels", "published", "--cut", "corners"], "have no corners"),
    "a page without marks": (lambda folder: ["--readme", folder / "manifest.jsonl"], "has no <!-- bench-reader: begin"),
}


@pytest.mark.parametrize(("arguments", "sentence"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_a_sentence(tmp_path, run, arguments, sentence) -> None:
    done = run(*arguments(tmp_path))
    assert done.exit_code == 1
    assert str(done.exception).startswith("bench-reader: ")
    assert sentence in str(done.exception)


def test_a_guess_counts_for_accuracy_and_not_as_an_answer() -> None:
    crops = [crop(number) for number in range(3)]
    row = readers.accuracy(contender(reader=lambda: Fake(wrong="EF5")), crops, FEW)
    assert row["exact"] == pytest.approx(2 / 3)
    assert row["cer"] == pytest.approx(1 / 12), "the guess EF5 is nearer than nothing"
    assert row["answers"]["given"] == pytest.approx(2 / 3)
    assert row["answers"]["given_wrong"] == 0
    assert row["confusions"] == [{"truth": "6", "read": "", "count": 1}]


def test_parts_are_in_order_and_hold_every_crop() -> None:
    crops = [
        *(crop(0, "DE", 1, 15.9) for _ in range(10)),
        *(crop(1, "FR", 2, 16.0) for _ in range(9)),
        *(crop(1, "ZZ", 2, 16.0) for _ in range(11)),  # of no country
        crop(2, "US", None, 32.0),
        crop(2, None, None, 300.0),
    ]
    counts = {part: {v: len(i) for v, i in groups.items()} for part, groups in readers.parts(crops).items()}
    assert counts == {
        "region": {"US": 1, "DE": 10, "other": 20, "not stated": 1},
        "rows": {"one row": 10, "two rows": 20, "not stated": 2},
        "height": {"under 16 px": 10, "16 to 32 px": 20, "32 px and more": 2},
    }
    assert list(counts["region"]) == ["US", "DE", "other", "not stated"]
    assert list(counts["height"]) == ["under 16 px", "16 to 32 px", "32 px and more"]


def test_all_take_turns_and_slow_ones_have_fewer() -> None:
    opened: list[tuple[str, int, Fake]] = []

    def opening(name: str, rounds: int) -> Contender:
        def open_(threads: int) -> Fake:
            opened.append((name, threads, Fake()))
            return opened[-1][2]

        return Contender(name, open_, rounds=rounds)

    measured = readers.measure([opening("quick", 3), opening("slow", 1)], [crop(n) for n in range(3)], FEW)
    assert [(name, threads) for name, threads, _ in opened[2:]] == [(n, t) for t in (1, 2) for n in ("quick", "slow")]
    given = {(name, threads): fake.given for name, threads, fake in opened[2:]}
    for name, rounds in (("quick", 3), ("slow", 1)):
        alone = [1] * 3 * (rounds + 1)  # three crops, and a round to warm up
        assert given[name, 1] == alone
        assert given[name, 2] == [*alone, *[BATCH] * (rounds + 1)]
    assert [one.name for one in measured] == ["quick", "slow"]


def measured(name: str, ms: float, confusions: tuple = (), megabytes: float | None = None) -> Measured:
    empty = {"exact": None, "cer": None, "n": 0, "interval": {"exact": {"low": None, "high": None}}}
    empty["interval"]["cer"] = empty["interval"]["exact"]
    nothing = {"given": None, "given_wrong": None, "calibration_error": None}
    nothing["interval"] = {key: {"low": None, "high": None} for key in ("given", "given_wrong")}
    rows = [{"truth": t, "read": r, "count": c} for t, r, c in confusions]
    accuracy = {**empty, "answers": nothing, "parts": {}, "confusions": rows}
    return Measured(name, megabytes, accuracy, {1: ms, 2: ms / 2}, 30.0)


def test_time_stands_in_proportion_to_that_of_tesseract() -> None:
    own, baseline = measured("own", 3.0, megabytes=1.26), measured("Tesseract", 150.0)
    rows = reader_page._time_table([own, baseline])[-2:]
    assert rows == ["| own | 1.3 | 3.0 | 1.5 | 0.020 | 30 |", "| Tesseract | - | 150.0 | 75.0 | 1.000 | 30 |"]
    assert "| - |" in reader_page._time_table([own])[-1], "no Tesseract, no proportion"


def test_confusions_are_shown_down_to_the_ones_seen_twice() -> None:
    table = reader_page._confusion_table(measured("own", 1, (("0", "O", 3), ("", "1", 2), ("B", "8", 1))))
    assert table[0].endswith("the most frequent of its 6 wrong characters")
    assert table[-2:] == ["| 0 | O | 3 |", "| nothing | 1 | 2 |"]
    assert reader_page._confusion_table(measured("own", 1, (("B", "8", 1),)))[-1] == "| B | 8 | 1 |"
    assert "read every character right" in reader_page._confusion_table(measured("own", 1))[0]


def test_figures_that_are_missing_are_dashes() -> None:
    assert reader_page.brief([measured("own", 3.0)]).splitlines()[-1] == "| own | - | - | - | - | 3.0 | - | - |"


def test_the_page_says_how_crops_were_made() -> None:
    photo, small = crop(0).target, crop(1).target
    both = Chosen([photo, replace(small, sample=replace(small.sample, kind="crop"))], 0, False, 2)
    text = reader_page.introduction(both, "made", "test", "published", "box")
    assert "Cut out already: 1 plate." in text
    assert "Left out: 2 plates that the published labels lack." in text
    only = Chosen(both.targets[1:], 0, False, 0)
    text = reader_page.introduction(only, "made", "test", "published", "box")
    assert "boxes" not in text
    assert "published" not in text


class Opened:
    """In place of a reader's class: keeps what it was opened with."""

    calls: list[tuple]

    def __init__(self, *arguments) -> None:
        self.calls.append(arguments)


@pytest.fixture
def opened(monkeypatch) -> list[tuple]:
    monkeypatch.setattr(Opened, "calls", [], raising=False)
    for name in ("NetworkReader", "ForeignReader"):
        monkeypatch.setattr(readers, name, Opened)
    return Opened.calls


def test_a_bundle_gives_its_reader_float_and_int8(tmp_path, monkeypatch, opened) -> None:
    networks: dict[Network, dict] = {n: {p: f"{n}.{p}" for p in get_args(Precision)} for n in get_args(Network)}
    networks["reader"]["decoder"] = "slots"
    for files in networks.values():
        for precision, size in (("float", 3_000_000), ("int8", 1_000_000)):
            (tmp_path / files[precision]).write_bytes(bytes(size))
    write(tmp_path, networks, {})
    found = readers.of_bundle(tmp_path)
    assert [one.name for one in found] == [f"{tmp_path}: reader (slots), {p}" for p in ("float", "int8")]
    assert [one.megabytes for one in found] == [3.0, 1.0]
    for one in found:
        one.open(2)
    assert [call[1:] for call in opened] == [(2, "float"), (2, "int8")]
    monkeypatch.setattr(readers, "SHIPPED", tmp_path.parent)
    (tmp_path.parent / "export").symlink_to(tmp_path)
    assert readers.of_bundle(tmp_path.parent / "export")[0].name == "reader (slots), float"
    with pytest.raises(BundleError, match=r"no bundle\.json here"):
        readers.of_bundle(tmp_path / "nowhere")


def test_an_onnx_is_given_by_path_and_alphabet_and_tried_at_once(tmp_path, opened) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(bytes(500_000))
    one = readers.of_onnx(f"{path}:ABC-", "ctc", "first")
    assert opened == [(path, "ABC-", 1, "ctc", "first")]
    assert (one.name, one.megabytes) == ("other", 0.5)
    readers.of_onnx(str(path), "auto", "last").open(2)
    assert opened[-1] == (path, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_", 2, "auto", "last")


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
def test_tesseract_is_timed_less_often() -> None:
    one = readers.of_tesseract()
    assert one.rounds < readers.ROUNDS
    assert one.megabytes is None or one.megabytes > 1


def test_what_rapidocr_weighs_is_its_recognition(tmp_path, monkeypatch) -> None:
    models = tmp_path / "rapidocr_onnxruntime/models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("")
    (models / "ch_PP-OCRv4_rec_infer.onnx").write_bytes(bytes(2_000_000))
    (models / "ch_PP-OCRv4_det_infer.onnx").write_bytes(bytes(1_000_000))
    monkeypatch.syspath_prepend(tmp_path)
    assert readers._rapidocr_megabytes() == 2.0


def test_two_readers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two readers are called 'a'"):
        readers.distinct([contender("a"), contender("b"), contender("a")])


def test_what_is_installed_is_measured() -> None:
    one = contender()
    assert readers.installed(lambda: one) == [one]
