"""What the runs inside a run say of a training and of an evaluation."""

import pytest

from pipeline.registration import nested

EPOCHS = [
    {"epoch": 1.0, "loss": 3.0, "val_loss": 2.0, "seconds": 5.0},
    {"epoch": 2.0, "loss": 2.0, "val_loss": 1.0, "seconds": 4.0},
    {"epoch": 3.0, "loss": 1.0, "val_loss": 1.5, "seconds": 4.0},
]
BEST = {
    "not trained": ([], {"epochs": 0}),
    "the lowest validation loss": (
        EPOCHS,
        {"epochs": 3, "best.epoch": 2, "best.val_loss": 1.0, "seconds.total": 13.0},
    ),
    "times were not kept": ([{"epoch": 1.0, "val_loss": 2.0}], {"epochs": 1, "best.epoch": 1, "best.val_loss": 2.0}),
}


@pytest.mark.parametrize(("epochs", "expected"), BEST.values(), ids=BEST.keys())
def test_best(epochs, expected):
    assert nested.best(epochs) == expected


def test_a_curve_has_the_same_steps_whatever_was_detected():
    assert set(nested.at_percents([])) == set(nested.at_percents([(0.5, 1.0)])) == set(range(101))
    curve = nested.at_percents([(0.25, 1.0), (0.5, 0.6), (0.75, 0.8)])
    assert [curve[percent] for percent in (0, 25, 26, 50, 51, 75, 76, 100)] == [1.0, 1.0, 0.8, 0.8, 0.8, 0.8, 0.0, 0.0]
