"""The nouns refuse what they cannot be, in words that name the fault."""

import dataclasses
import math

import pytest

from pipeline.records import Box, Detection, Plate, Quad, Reading, Recognition, Sample

BOX = Box(1, 2, 5, 4)
QUAD = Quad((0, 1), (10, 0), (11, 5), (1, 6))


def sample(**changes):
    plain = {
        "id": "0123456789abcdef" * 4,
        "image": "a.jpg",
        "width": 20,
        "height": 10,
        "plates": (),
        "source": "synthetic",
        "group": "g",
    }
    return Sample(**{**plain, **changes})


WRONG = {
    "box: zero width": (lambda: Box(5, 0, 5, 9), r"zero width \(x1 = x2 = 5\)"),
    "box: zero height": (lambda: Box(0, 9, 5, 9), r"zero height \(y1 = y2 = 9\)"),
    "box: right before left": (lambda: Box(5, 0, 4, 9), r"inverted: \(5, 0, 4, 9\)"),
    "box: bottom above top": (lambda: Box(0, 9, 4, 0), "inverted"),
    "box: NaN": (lambda: Box(math.nan, 0, 4, 9), "not finite"),
    "box: infinite": (lambda: Box(0, 0, math.inf, 9), "not finite"),
    "quad: NaN": (lambda: Quad((0, 0), (1, math.nan), (1, 1), (0, 1)), "quad is not finite"),
    "quad: infinite": (lambda: Quad((0, 0), (1, 0), (1, -math.inf), (0, 1)), "quad is not finite"),
    "plate: three rows": (lambda: Plate(BOX, rows=3), "1 or 2 rows of characters, not 3"),
    "plate: no row": (lambda: Plate(BOX, rows=0), "not 0"),
    "plate: empty text": (lambda: Plate(BOX, text=""), "text None"),
    "sample: short id": (lambda: sample(id="abc"), "not a SHA-256: 'abc'"),
    "sample: id in upper case": (lambda: sample(id="A" * 64), "not a SHA-256"),
    "sample: id of other letters": (lambda: sample(id="g" * 64), "not a SHA-256"),
    "sample: no width": (lambda: sample(width=0), "a.jpg: image of 0 x 10 pixels"),
    "sample: negative height": (lambda: sample(height=-1), "image of 20 x -1 pixels"),
    "sample: unknown split": (lambda: sample(split="dev"), "a.jpg: 'dev' is not a split"),
    "sample: unknown official split": (lambda: sample(official_split="training"), "'training' is not a split"),
    "sample: unknown kind": (lambda: sample(kind="video"), "a photo or a crop, not 'video'"),
    "reading: scores for other characters": (lambda: Reading("AB1", 0.9, (0.9, 0.8)), "2 scores for 3 characters"),
    "reading: scores for no characters": (lambda: Reading("", 0.0, (0.5,)), "1 scores for 0 characters"),
    "reading: scores for others than the guess": (lambda: Reading("", 0.4, (0.5,), guess="AB1"), "1 scores for 3"),
    "reading: a text and a guess": (lambda: Reading("AB1", 0.9, guess="AB1"), "keeps no guess beside it"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


RIGHT = {
    "a box outside the picture": lambda: Box(-5, -5, -1, -1),
    "a box of a hair's width": lambda: Box(0, 0, 1e-6, 1),
    "a quad whose corners cross": lambda: Quad((0, 0), (1, 1), (1, 0), (0, 1)),
    "a plate in two rows": lambda: Plate(BOX, rows=2),
    "a plate not transcribed": lambda: Plate(BOX),
    "a sample without plates": lambda: sample(split="val", official_split="train", kind="crop"),
    "a no-read": lambda: Reading("", 0.0),
    "a no-read with a guess": lambda: Reading("", 0.4, (0.5, 0.6), guess="AB"),
    "a reading without scores for its characters": lambda: Reading("AB1", 0.9),
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT.keys())
def test_what_can_be_is_taken(make) -> None:
    assert make() == make()


def test_a_box_knows_its_sides() -> None:
    assert (BOX.width, BOX.height, BOX.area, BOX.xyxy) == (4, 2, 8, (1, 2, 5, 4))


def test_a_quad_knows_the_box_around_it() -> None:
    assert QUAD.points == ((0, 1), (10, 0), (11, 5), (1, 6))
    assert QUAD.box == Box(0, 0, 11, 6)


def test_a_quad_of_a_box_goes_clockwise_from_the_top_left() -> None:
    assert Quad.of_box(BOX).points == ((1, 2), (5, 2), (5, 4), (1, 4))
    assert Quad.of_box(BOX).box == BOX


TEXT, GUESS = Reading("AB1", 0.6, (0.7,) * 3, "GB"), Reading("", 0.6, (0.7,) * 3, "GB", "AB1")
NOTHING = Reading("", 0.0)
ANSWERS = {
    "sure enough": (TEXT, 0.5, TEXT),
    "as sure as asked": (TEXT, 0.6, TEXT),
    "not sure enough": (TEXT, 0.61, GUESS),
    "a guess that is sure enough after all": (GUESS, 0.5, TEXT),
    "a guess that stays one": (GUESS, 0.9, GUESS),
    "nothing, however little is asked": (NOTHING, 0.0, NOTHING),
    "nothing": (NOTHING, 0.5, NOTHING),
}


@pytest.mark.parametrize(("reading", "min_score", "answer"), ANSWERS.values(), ids=ANSWERS.keys())
def test_a_reading_is_a_text_or_a_guess_by_how_sure_it_is(reading, min_score, answer) -> None:
    assert reading.answered_from(min_score) == answer
    assert answer.best == reading.best


NOUNS = {
    "box": BOX,
    "quad": QUAD,
    "plate": Plate(BOX),
    "sample": sample(),
    "detection": Detection(BOX, QUAD, 0.5),
    "reading": Reading("AB1", 0.9),
    "recognition": Recognition(Detection(BOX, QUAD, 0.5), Reading("AB1", 0.9)),
}


@pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS.keys())
def test_nouns_do_not_change_and_can_be_counted(noun) -> None:
    name = dataclasses.fields(noun)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noun, name, None)
    assert not hasattr(noun, "__dict__")
    assert len({noun, dataclasses.replace(noun)}) == 1
