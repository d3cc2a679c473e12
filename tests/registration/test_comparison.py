"""Two models' cases of the same samples, side by side."""

import pytest

from pipeline.metrics import Bootstrap, Case
from pipeline.records import Box, Detection, Plate, Quad, Reading, Sample
from pipeline.registration.comparison import compare

BOOTSTRAP = Bootstrap(200, 7)
BOX, ELSEWHERE = Box(10, 10, 90, 30), Box(200, 100, 280, 120)


def found(box, score=0.9):
    return Detection(box, Quad.of_box(box), score)


def case(number, read, *, truth="AB12", kind="photo", ghost="", region="GB", legible=True):
    """A picture with one plate: `read` is what is read on it, None where it is not found; `ghost` is read elsewhere."""
    plate = Plate(BOX, text=truth, region=region, rows=1, legible=legible)
    sample = Sample(f"{number:064x}", f"{number}.png", 320, 240, (plate,), "s", f"g{number}", "test", kind=kind)
    pairs = [(found(BOX), read)] if read is not None and kind == "photo" else []
    pairs += [(found(ELSEWHERE, 0.8), ghost)] if ghost else []
    return Case(
        sample,
        tuple(detection for detection, _ in pairs),
        {"network": tuple(Reading(text, 0.9) for _, text in pairs)},
        {"network": {0: Reading(read or "", 0.9)} if truth else {}},
    )


def compared(own, theirs, least=50):
    return compare(own, theirs, 0.4, BOOTSTRAP, least)


def test_equal_models_differ_by_nothing():
    cases = [case(at, "AB12" if at % 3 else "AB13") for at in range(60)]
    comparison = compared(cases, cases)
    assert [one.difference for one in (*comparison.figures, *comparison.slices)] == [0.0] * 11
    assert all(one.low == one.high == 0.0 for one in comparison.figures)
    assert {one.plates for one in comparison.slices} == {60}


def test_the_interval_is_of_the_difference_on_the_same_pictures():
    """Half of the pictures is too hard for both, which says nothing of who is better; one picture does."""
    champion = [case(at, "AB12" if at % 2 else None) for at in range(200)]
    challenger = [case(at, "AB12" if at % 2 or at == 0 else None) for at in range(200)]
    exact = compared(challenger, champion).figures[0]
    assert exact.difference == pytest.approx(1 / 200)
    assert exact.low == 0.0
    assert exact.high < 0.02


def test_a_worse_model_is_worse_in_every_figure_and_slice():
    champion = [case(at, "AB12") for at in range(60)]
    challenger = [case(at, None if at < 6 else "AB13" if at < 12 else "AB12") for at in range(60)]
    comparison = compared(challenger, champion)
    exact, ap50, labelled = comparison.figures
    assert (exact.challenger, exact.champion) == (0.8, 1.0)
    assert exact.low < exact.difference < exact.high < 0
    assert ap50.difference < 0
    assert labelled.difference == pytest.approx(-0.2)
    slices = {one.name: one.difference for one in comparison.slices}
    assert slices["region GB: found"] == pytest.approx(-0.1)
    assert slices["region GB: read"] == pytest.approx(-0.2)


def test_false_readings_count_against_the_headline():
    champion = [case(at, "AB12") for at in range(10)]
    challenger = [case(at, "AB12", ghost="XY99") for at in range(10)]
    assert compared(challenger, champion).figures[0].challenger == 0.5


def test_slices_of_few_plates_and_plates_that_nobody_can_read_are_left_out():
    cases = [case(at, "AB12", region="DE" if at < 10 else "GB") for at in range(60)]
    cases += [case(at, None, truth=None, legible=False, region="FR") for at in range(60, 120)]
    names = {one.name for one in compared(cases, cases).slices}
    assert {name.split(":")[0] for name in names} == {"source s", "region GB", "rows 1", "height 16 to 24 px"}


def test_plates_without_text_are_still_to_be_found():
    champion = [case(at, "AB12", truth=None) for at in range(60)]
    challenger = [case(at, "AB12" if at else None, truth=None) for at in range(60)]
    comparison = compared(challenger, champion)
    assert comparison.figures[0].difference is None
    assert {one.name.split(": ")[1] for one in comparison.slices} == {"found"}
    assert comparison.slices[0].difference == pytest.approx(-1 / 60)


def test_crops_are_read_but_not_found():
    champion = [case(at, "AB12", kind="crop") for at in range(60)]
    challenger = [case(at, "AB12" if at else "AB13", kind="crop") for at in range(60)]
    comparison = compared(challenger, champion)
    exact, ap50, labelled = comparison.figures
    assert exact.difference is None
    assert ap50.difference is None
    assert labelled.difference == pytest.approx(-1 / 60)
    assert {one.name.split(": ")[1] for one in comparison.slices} == {"read"}


def test_the_champions_calibration_is_measured():
    right = [case(at, "AB12") for at in range(10)]
    wrong = [case(at, "AB13") for at in range(10)]
    assert compared(wrong, right).calibration == pytest.approx(0.1)
    assert compared(right, wrong).calibration == pytest.approx(0.9)
