"""Plates drawn on photos, also at the edges and on pictures smaller than a label."""

import itertools

import numpy as np
import pytest

from pipeline.serving.drawing import annotate

from .fakes import grey

GREEN, ORANGE = (0, 200, 83), (255, 160, 0)


def plate(x1, y1, x2, y2, text="AB12"):
    return {"box": [x1, y1, x2, y2], "corners": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], "score": 0.9, "text": text}


def shows(image, colour):
    return bool((image == colour).all(axis=2).any())


def test_a_plate_is_outlined_and_the_photo_stays_as_it_is():
    photo = grey(120, 200, 300)
    drawn = annotate(photo, [plate(100, 80, 180, 110)])
    assert (photo == 120).all()
    assert drawn.shape == photo.shape
    assert tuple(drawn[80, 140]) == GREEN
    assert (drawn[85:105, 105:175] == 120).all(), "what is in the plate can still be seen"
    assert (drawn[130:] == 120).all(), "the text stands above"
    assert (drawn[60:78, 100:140] != 120).any()


@pytest.mark.parametrize(
    ("text", "colour", "other"), [("AB12", GREEN, ORANGE), ("", ORANGE, GREEN), (None, ORANGE, GREEN)]
)
def test_what_was_read_is_green_and_what_was_not_is_orange(text, colour, other):
    drawn = annotate(grey(120, 200, 300), [plate(100, 80, 180, 110, text)])
    assert shows(drawn, colour)
    assert not shows(drawn, other)


def test_a_guess_is_marked_as_one():
    """The wider label: score, guess and text of the same letters differ."""
    one = plate(100, 80, 180, 110, "")
    drawn = [annotate(grey(120, 200, 300), [one | more]) for more in ({}, {"guess": "AB12"}, {"text": "AB12"})]
    assert not any(np.array_equal(a[50:78], b[50:78]) for a, b in itertools.combinations(drawn, 2))


def test_a_plate_at_the_top_has_its_text_below():
    drawn = annotate(grey(120, 200, 300), [plate(100, 2, 180, 20)])
    assert (drawn[24:40, 100:150] != 120).any()


@pytest.mark.parametrize("size", [(4, 6), (12, 400), (400, 12)])
def test_tiny_and_narrow_pictures(size):
    height, width = size
    assert annotate(grey(120, *size), [plate(0, 0, width, height)]).shape == (*size, 3)


def test_larger_photos_have_thicker_lines():
    thick = []
    for scale in (1, 6):
        one = plate(100 * scale, 100 * scale, 300 * scale, 200 * scale)
        drawn = annotate(grey(120, 400 * scale, 500 * scale), [one])
        below = drawn[190 * scale : 210 * scale, 200 * scale]
        thick.append(int((below != 120).any(axis=1).sum()))
    assert thick[1] > thick[0] >= 1


def test_no_plates_are_no_change():
    assert np.array_equal(annotate(grey(120), []), grey(120))
