"""What goes to MLflow, and the gate that an alias passes."""

import pytest

from pipeline import tracking
from pipeline.tracking import Standing, TrackingError, decide

METRIC = "end_to_end.exact"


def standing(version="2", exact=0.8, test_set="t", **others):
    return Standing(version, {METRIC: exact, **others} if exact is not None else others, test_set)


@pytest.mark.parametrize(
    ("name", "challenger", "champion", "tolerance", "moves", "reason"),
    [
        ("the first", standing(), None, 0.0, True, "the first"),
        ("the first, not measured", standing(exact=None), None, 0.0, False, "could not be measured"),
        ("better", standing(exact=0.9), standing("1"), 0.0, True, "no worse"),
        ("equal", standing(), standing("1"), 0.0, True, "no worse"),
        ("worse", standing(exact=0.79), standing("1"), 0.0, False, "below the 0.8000 of version 1"),
        ("worse within the tolerance", standing(exact=0.79), standing("1"), 0.02, True, "no worse"),
        ("another test set", standing(exact=1.0), standing("1", test_set="u"), 0.0, False, "another test set"),
        ("champion without it", standing(), standing("1", exact=None), 0.0, False, "no end_to_end.exact"),
    ],
)
def test_decide(name, challenger, champion, tolerance, moves, reason):
    decision = decide(challenger, champion, METRIC, tolerance)
    assert decision.moves is moves
    assert reason in decision.reason


@pytest.mark.parametrize(("high", "moves"), [(0.59, False), (0.61, True)])
def test_a_challenger_that_is_surely_worse_in_one_slice_stays(high, moves):
    bound = {"slices.source.kaggle.recall": 0.5, "slices.source.kaggle.interval.recall.high": high}
    champion = {"slices.source.kaggle.recall": 0.6, "slices.source.kaggle.interval.recall.high": 0.7}
    decision = decide(standing(exact=0.9, **bound), standing("1", **champion), METRIC, 0.0)
    assert decision.moves is moves
    assert moves or "slices.source.kaggle.recall" in decision.reason


def test_figures_are_the_finite_numbers_by_dotted_name():
    document = {"a": {"b": 1, "c": None, "reason": "x"}, "d<5": True, "e": float("inf"), "16 to 24 px": 0.5, "f": [1]}
    assert tracking.figures(document) == {"a.b": 1.0, "d_5": 1.0, "16 to 24 px": 0.5}


def test_read_metrics_leaves_the_registration_out_and_names_a_damaged_file(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"a": 1}')
    (tmp_path / "registration.json").write_text('{"version": 1}')
    assert tracking.read_metrics(tmp_path) == {"evaluation": {"a": 1}}
    (tmp_path / "evaluation.json").write_text('{"a"')
    with pytest.raises(TrackingError, match=str(tmp_path)):
        tracking.read_metrics(tmp_path)


def test_read_curves(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,\n")
    assert tracking.read_curves(path) == [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.4}]


def test_data_hashes_are_those_of_listed_sources_below_data(tmp_path):
    lock = tmp_path / "dvc.lock"
    assert tracking.data_hashes(lock, ["a"]) == {}
    lock.write_text(
        "schema: '2.0'\nstages:\n"
        "  pull@a:\n    cmd: x\n    outs:\n    - {path: data/raw/a, md5: 1.dir}\n"
        "  pull@b:\n    cmd: x\n    outs:\n    - {path: data/raw/b, md5: 2.dir}\n"
        "  train:\n    cmd: x\n    outs:\n    - {path: models/m, md5: 3.dir}\n"
        "  sync:\n    cmd: x\n"
    )
    assert tracking.data_hashes(lock, ["a"]) == {"data/raw/a": "1.dir"}
    lock.write_text("")
    with pytest.raises(TrackingError, match="alpr doctor"):
        tracking.data_hashes(lock, ["a"])


def test_a_password_is_taken_out_of_a_message():
    shown = tracking.without_password("POST https://me:secret@tracking.example/api failed; see https://example.org")
    assert shown == "POST https://tracking.example/api failed; see https://example.org"
