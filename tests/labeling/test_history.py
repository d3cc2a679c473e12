"""annotations.jsonl: the same bytes again, bad rows by name, and agreement computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.labeling import history
from pipeline.labeling.corrections import CorrectedPlate
from pipeline.labeling.history import Agreement, Annotated, Annotation, AnnotationError, agreement, last_words
from pipeline.records import Box, Plate, Quad

QUAD = Quad((100, 100), (200, 102.5), (200, 130), (100, 128))


def plate(x: float = 0, **known: Any) -> CorrectedPlate:
    about = {name: known.pop(name) for name in ("kind", "certain", "readings") if name in known}
    return CorrectedPlate(Plate(Box(100 + x, 100, 200 + x, 130), **known), **about)


def said(by: str, *plates: CorrectedPlate, when: int = 1, number: int = 0, **known: Any) -> Annotation:
    moment = f"2026-11-26T09:00:{when:02d}.000000Z"
    return Annotation(number or when, moment, moment, by, 31.5, known.pop("state", "submitted"), plates, **known)


def row(*annotations: Annotation, number: int = 1, **known: Any) -> Annotated:
    return Annotated(f"{number:064x}", f"kaggle/images/{number}.png", 12, (), (), annotations, **known)


def bytes_of(path: Path, *rows: Annotated) -> bytes:
    history.write(path, rows)
    return path.read_bytes()


# The file


FULL = replace(
    row(
        said("ann", plate(text="AB1", quad=QUAD, rows=2, region="SE"), plate(x=300), when=2, overruled=True),
        said("bob", plate(certain=False, readings=("A?1", "AB1"), kind="not_a_plate"), when=3, state="draft"),
        said("eve", when=4, state="refused", problem="region 'a': its shape is malformed"),
        replace(said("zoe", plate(kind="lettering"), when=5, state="deleted"), seconds=None),
        said("zoe", when=6, state="skipped"),
    ),
    base=(plate(),),
    source=(plate(text="AB1"), plate(x=300)),
    merged=(2, "2026-11-26T09:00:02.000000Z", "2026-11-26T09:00:02.000000Z"),
)


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "labels" / history.ANNOTATIONS
    first = bytes_of(path, FULL, row(number=2))
    assert history.read(path) == {FULL.id: FULL, f"{2:064x}": row(number=2)}
    assert bytes_of(path, *history.read(path).values()) == first


def test_rows_and_annotations_are_sorted(tmp_path: Path) -> None:
    annotations = [said("ann", when=2), said("bob", when=1), said("eve", when=2, number=1)]
    forth = bytes_of(tmp_path / "a.jsonl", row(number=1), row(*annotations, number=2))
    back = bytes_of(tmp_path / "a.jsonl", row(*annotations[::-1], number=2), row(number=1))
    assert forth == back
    (first, second) = (json.loads(line) for line in forth.splitlines())
    assert (first["id"], second["id"]) == (f"{1:064x}", f"{2:064x}")
    assert [one["by"] for one in second["annotations"]] == ["bob", "eve", "ann"]


def test_what_goes_without_saying_is_left_out(tmp_path: Path) -> None:
    (one,) = (json.loads(line) for line in bytes_of(tmp_path / "a.jsonl", row(said("ann", plate()))).splitlines())
    assert list(one) == ["id", "image", "task", "base", "source", "annotations"]
    assert one["annotations"] == [
        {
            "id": 1,
            "made": "2026-11-26T09:00:01.000000Z",
            "when": "2026-11-26T09:00:01.000000Z",
            "by": "ann",
            "seconds": 31.5,
            "state": "submitted",
            "plates": [{"box": [100, 100, 200, 130]}],
        }
    ]


@pytest.mark.parametrize("content", [None, "", "\n"], ids=["no file", "an empty file", "an empty line"])
def test_no_rows(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.jsonl"
    if content is not None:
        path.write_text(content)
    assert history.read(path) == {}


GOOD: dict[str, Any] = json.loads(
    json.dumps(
        {
            "id": f"{1:064x}",
            "image": "kaggle/images/a.png",
            "task": 12,
            "base": [],
            "source": [],
            "annotations": [
                {"id": 1, "made": "2026-11-26T09:00:01Z", "when": "2026-11-26T09:00:01Z", "by": "ann", "seconds": 1.0}
                | {"state": "submitted", "plates": []}
            ],
        }
    )
)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a field too many": ({"colour": "red"}, "unknown field 'colour'"),
    "an id that is a number": ({"id": 5}, "id: 5 is not a text"),
    "an image that is a number": ({"image": 5}, "image: 5 is not a text"),
    "a task's name": ({"task": "twelve"}, "task: invalid literal"),
    "no task": ({"task": None}, "task: "),
    "base is a number": ({"base": 5}, "base: "),
    "base is an object": ({"base": {"box": [1, 2, 3, 4]}}, "base: "),
    "base of texts": ({"base": ["plate"]}, "base: "),
    "a plate without a box": ({"base": [{}]}, "base: 'box' is missing"),
    "a plate of the source without width": ({"source": [{"box": [5, 2, 5, 9]}]}, "source: box has zero width"),
    "a text out of form": ({"source": [{"box": [1, 2, 5, 9], "text": "ab 1"}]}, "source: .*not in the form 'AB1'"),
    "no annotations": ({"annotations": None}, "annotations: "),
    "annotations of texts": ({"annotations": ["ann"]}, "annotations: "),
    "merged is a number": ({"merged": 7}, "merged: "),
    "merged is too short": ({"merged": [7, "2026-11-26T09:00:01Z"]}, "merged: not enough values"),
    "merged is an object": ({"merged": {"id": 7}}, "merged: "),
    "merged has a number for a time": ({"merged": [7, 8, 9]}, "merged: 8 is not a text"),
}
BAD_ANNOTATION: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown state": ({"state": "done"}, "annotations: state 'done' is none of submitted, revised"),
    "a state that is a list": ({"state": []}, r"annotations: state \[\] is none of"),
    "a field too many": ({"colour": "red"}, "annotations: .*'colour'"),
    "a time that is none": ({"when": "yesterday"}, "annotations: .*isoformat.*'yesterday'"),
    "a time that is a number": ({"made": 5}, "annotations: "),
    "a plate without height": ({"plates": [{"box": [1, 2, 5, 2]}]}, "annotations: box has zero height"),
    "plates that are a number": ({"plates": 5}, "annotations: "),
}


def spoil(path: Path, changed: dict[str, Any]) -> Path:
    path.write_text(json.dumps({**GOOD, "id": f"{0:064x}"}) + "\n" + json.dumps({**GOOD, **changed}) + "\n")
    return path


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD.keys())
def test_bad_rows_are_named_with_their_field(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = spoil(tmp_path / "annotations.jsonl", change)
    with pytest.raises(
        AnnotationError, match=rf"annotations.jsonl: row 2 \({change.get('image', GOOD['image'])}\): {words}"
    ):
        history.read(path)


@pytest.mark.parametrize(("change", "words"), BAD_ANNOTATION.values(), ids=BAD_ANNOTATION.keys())
def test_bad_annotations_are_named_with_their_row(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = spoil(tmp_path / "annotations.jsonl", {"annotations": [{**GOOD["annotations"][0], **change}]})
    with pytest.raises(AnnotationError, match=rf"row 2 \(kaggle/images/a.png\): {words}"):
        history.read(path)


@pytest.mark.parametrize("name", ["id", "task", "base", "source", "annotations"])
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "annotations.jsonl"
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != name}) + "\n")
    with pytest.raises(AnnotationError, match=f"row 1 .*: '{name}' is missing"):
        history.read(path)


@pytest.mark.parametrize("name", ["id", "made", "when", "by", "seconds", "state", "plates"])
def test_a_missing_field_of_an_annotation_is_named(tmp_path: Path, name: str) -> None:
    annotation = {key: value for key, value in GOOD["annotations"][0].items() if key != name}
    path = spoil(tmp_path / "annotations.jsonl", {"annotations": [annotation]})
    with pytest.raises(AnnotationError, match=f"row 2 .*: annotations: .*'{name}'"):
        history.read(path)


def test_two_rows_of_a_sample_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotations.jsonl"
    path.write_text(2 * (json.dumps(GOOD) + "\n"))
    with pytest.raises(AnnotationError, match="two rows for the sample 0000"):
        history.read(path)


def test_the_file_in_git_is_sound() -> None:
    history.read(Path(__file__).parents[2] / "data" / "labels" / history.ANNOTATIONS)


# Agreement


READ, OTHERWISE, UNREADABLE = plate(text="AB1"), plate(text="AB7"), plate(legible=False)


NONE = (None, None, None)
PICTURE: dict[
    str, tuple[list[Annotation], tuple[int, int], tuple[float | None, ...]]
] = {  # pictures, pairs; the figures
    "nobody": ([], (0, 0), NONE),
    "one annotator": ([said("ann", READ)], (0, 0), NONE),
    "one annotator, twice": ([said("ann", READ), said("ann", READ, when=2)], (0, 0), NONE),
    "only one handed in": (
        [said("ann", READ), *(said("bob", READ, state=state) for state in ("draft", "skipped", "deleted", "refused"))],
        (0, 0),
        NONE,
    ),
    "both see no plate": ([said("ann"), said("bob")], (1, 1), NONE),
    "alike, where all chose the same": ([said("ann", READ), said("bob", READ)], (1, 1), (1.0, 1.0, None)),
    "no texts": ([said("ann", plate()), said("bob", plate())], (1, 1), (1.0, None, None)),
    "only one has a plate": ([said("ann", READ), said("bob")], (1, 1), (0.0, None, None)),
    "not a plate, or deleted": ([said("ann", plate(kind="not_a_plate")), said("bob")], (1, 1), NONE),
    "75 of 125": ([said("ann", READ), said("bob", plate(25, text="AB1"))], (1, 1), (0.6, 1.0, None)),
    "40 of 160: two plates": ([said("ann", READ), said("bob", plate(60, text="AB1"))], (1, 1), (0.0, None, None)),
    "read unlike": ([said("ann", READ), said("bob", OTHERWISE)], (1, 1), (1.0, 0.0, None)),
    "read, or not readable": ([said("ann", READ), said("bob", UNREADABLE)], (1, 1), (1.0, 0.0, 0.0)),
}


@pytest.mark.parametrize(("annotations", "counted", "figures"), PICTURE.values(), ids=PICTURE.keys())
def test_agreement_of_one_picture(
    annotations: list[Annotation], counted: tuple[int, int], figures: tuple[float | None, ...]
) -> None:
    assert agreement([row(*annotations)]) == Agreement(*counted, *figures)


def test_agreement_over_pictures() -> None:
    rows = [
        row(
            said("ann", READ, plate(x=300, text="XY1")),
            said("bob", plate(x=25, text="AB1"), plate(x=300, legible=False)),
        ),
        row(said("bob", UNREADABLE), said("ann", UNREADABLE), number=2),
        row(said("ann", OTHERWISE), said("bob", READ), said("eve", READ, plate(x=300)), number=3),
        row(said("ann", READ), number=4),
    ]
    found = agreement(rows)
    assert (found.pictures, found.pairs) == (3, 5)
    # ious: 0.6 and 1; 1; ann-bob 1, ann-eve 1 and 0, bob-eve 1 and 0
    assert found.iou == pytest.approx((0.6 + 1 + 1 + 1 + 1 + 0 + 1 + 0) / 8)
    # texts where either has one: AB1 = AB1, XY1 or none, AB7 or AB1 twice, AB1 = AB1
    assert found.exact == pytest.approx(2 / 5)
    # legible twice; legible and unreadable; unreadable twice; legible three times: 5 of 6 alike
    alike, by_chance = 5 / 6, (5 / 6) * (4 / 6) + (1 / 6) * (2 / 6)
    assert found.kappa == pytest.approx((alike - by_chance) / (1 - by_chance))
    first, second = "LLULLL", "LUULLL"
    assert found.kappa == pytest.approx(cohen_kappa_score(list(first), list(second)))


def test_agreement_is_that_of_the_first_round() -> None:
    """Who disagreed and then settled it did not agree when they knew nothing of each other."""
    first = [said("ann", READ, overruled=True), said("bob", OTHERWISE, when=2, overruled=True)]
    settled = row(*first, said("bob", READ, when=3), said("ann", READ, when=4))
    assert agreement([settled]) == agreement([row(*first)]) == Agreement(1, 1, 1.0, 0.0, None)


def test_each_annotators_last_word_counts() -> None:
    annotations = [
        said("bob", READ, when=3),
        said("ann", OTHERWISE),
        said("bob", OTHERWISE, when=2),
        said("ann", READ, when=4),
    ]
    assert [(one.by, one.when[17:19]) for one in last_words(annotations)] == [("ann", "04"), ("bob", "03")]
    assert agreement([row(*annotations)]).exact == 1.0
    same_time = [said("ann", READ, number=2), said("ann", OTHERWISE, number=1)]
    assert last_words(same_time) == last_words(same_time[::-1]) == (same_time[0],)
