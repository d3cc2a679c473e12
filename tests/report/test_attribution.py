"""Truth swapped in stage by stage: each fault once, the order of the swaps, and that the loss adds up."""

import pytest

from pipeline import metrics
from pipeline.report import attribution

from .conftest import BOOTSTRAP, CASES, case, found, plate, sample

AT = found(10, 10, 0.9)
# (detections, text found, text in the true box, text at the true corners) -> states, fault
PLATES = {
    "right": ([AT], ["AB"], "AB", "AB", (True, True, True, True, True), None),
    "missed, readable": ([], [], "AB", "AB", (False, True, True, True, True), "missed plate"),
    "missed, readable at the true corners alone": ([], [], "A8", "AB", (False, False, False, True, True), "bad crop"),
    "missed and not readable": ([], [], "A8", "A8", (False, False, False, False, True), "wrong character"),
    "bad box": ([AT], ["A8"], "AB", "AB", (False, False, True, True, True), "bad box"),
    "bad box, though the true corners are read wrongly": (
        [AT],
        ["A8"],
        "AB",
        "A8",
        (False, False, True, False, True),
        "bad box",
    ),
    "bad crop": ([AT], ["A8"], "A8", "AB", (False, False, False, True, True), "bad crop"),
    "wrong character": ([AT], ["A8"], "A8", "A8", (False, False, False, False, True), "wrong character"),
    "a guess that is not given counts as read": ([AT], ["?AB"], "AB", "AB", (True, True, True, True, True), None),
    "right by luck": ([AT], ["AB"], "A8", "A8", (True, True, False, False, True), None),
}


def outcome_of(detections, texts, placed, labelled, number=1, **fields):
    one = case(sample(number, plate(10, 10, "AB", **fields)), detections, texts, [labelled], [placed])
    (outcome,), _ = metrics.outcomes([one], 0.3)
    return outcome


@pytest.mark.parametrize(("detections", "texts", "placed", "labelled", "states", "fault"), PLATES.values(), ids=PLATES)
def test_states_and_fault(detections, texts, placed, labelled, states, fault):
    outcome = outcome_of(detections, texts, placed, labelled)
    assert attribution.states(outcome) == states
    assert attribution.fault(outcome) == fault


def test_the_loss_is_split_and_adds_up():
    outcomes = [outcome_of(*row[:4], number=number) for number, row in enumerate(PLATES.values())]
    found_ = attribution.measure(outcomes, BOOTSTRAP)
    assert (found_["n"], found_["missed"], found_["without_corners"]) == (10, 3, 10)
    assert found_["plates"] == {"missed_plate": 1, "bad_box": 2, "bad_crop": 2, "wrong_character": 2}
    assert [found_["right"][swap.key] for swap in attribution.SWAPS] == pytest.approx([0.4, 0.5, 0.6, 1.0])
    loss = sum(found_["loss"][fault] for fault in found_["plates"])
    assert loss == pytest.approx(1 - found_["right"]["as_found"])
    stages = found_["stage_loss"]
    assert [stages[stage] for stage in attribution.STAGES] == pytest.approx([0.3, 0.2, 0.2])
    assert found_["broken"] == {"missed_plates": 0, "true_boxes": 1, "true_corners": 1, "true_text": 0}
    assert found_["perfect_crops"] == {"mended": 4, "spoilt": 1}
    low, high = (found_["loss"]["interval"]["bad_box"][side] for side in ("low", "high"))
    assert low < 0.2 < high


def test_crops_and_plates_without_a_certain_text_are_left_out():
    results, _ = metrics.outcomes([CASES[4], case(sample(7, plate(10, 10)), [AT], ["ZZ"], ["ZZ"])], 0.3)
    found_ = attribution.measure(results, BOOTSTRAP)
    assert (found_["n"], found_["right"]["as_found"]) == (0, None)
    assert found_["loss"]["interval"]["bad_box"]["reason"] == "no plate with a certain text on a photo"


def test_rows_follow_the_swaps():
    outcomes = [outcome_of(*row[:4], number=number) for number, row in enumerate(PLATES.values())]
    rows = attribution.rows(attribution.measure(outcomes, BOOTSTRAP))
    assert [row["fault"] for row in rows] == [None, "missed plate", "bad box", "bad crop", "wrong character"]
    assert [row.get("plates") for row in rows] == [None, 1, 2, 2, 2]
