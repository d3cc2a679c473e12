"""Challenger and champion on the same pictures; the champion comes from a registry that is made up."""

from dataclasses import replace

import pytest

from pipeline.bundle import BundleError
from pipeline.registration import trial as trials
from pipeline.registration.trial import Contender, confront
from pipeline.tracking.store import TrackingError


@pytest.fixture
def champion(monkeypatch):
    """Makes a folder the registry's version 3."""

    def is_in(folder):
        def fetch(model, version, into):
            if isinstance(folder, Exception):
                raise folder
            assert (model, version) == ("alpr", "3")
            return version, folder

        monkeypatch.setattr(trials.registry, "fetch", fetch)

    return is_in


def test_another_reader_is_compared_picture_by_picture(trial, champion, tiny_bundle, other_bundle):
    champion(tiny_bundle)
    found = confront(Contender(other_bundle, trial), "3", trial)
    exact = found.comparison.figures[0]
    assert not found.comparison.same
    assert exact.plates == 60
    assert exact.high < 0
    slices = {one.name: one for one in found.comparison.slices}
    assert slices["source s: found"].difference == 0.0
    assert slices["source s: read"].difference == pytest.approx(5 / 60 - 55 / 60)


def test_the_same_networks_look_once_and_differ_by_nothing(trial, champion, tiny_bundle, alter, monkeypatch):
    champion(alter(tiny_bundle, lambda described: described.update(created_from={"detector": {"seed": 8}})))
    looked = []
    examine = trials.examine
    monkeypatch.setattr(trials, "examine", lambda *arguments: looked.append(1) or examine(*arguments))
    found = confront(Contender(tiny_bundle, trial), "3", trial)
    assert found.comparison.same
    assert found.comparison.figures[0].difference == 0.0
    assert found.comparison.figures[0].low == 0.0
    assert looked == [1]


def test_another_threshold_is_another_model(trial, champion, tiny_bundle, alter):
    champion(alter(tiny_bundle, lambda described: described["reader"]["calibration"].update(threshold=0.9)))
    assert not confront(Contender(tiny_bundle, trial), "3", trial).comparison.same


def test_the_challenger_looks_once_however_often_the_champion_changes(trial, champion, tiny_bundle, other_bundle):
    champion(other_bundle)
    challenger = Contender(tiny_bundle, trial)
    confront(challenger, "3", trial)
    assert challenger.cases is challenger.cases


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("another alphabet", lambda d: d["reader"].update(alphabet="ABC12Ä"), "another alphabet (they differ in 03456"),
        ("another order", lambda d: d["reader"].update(alphabet=d["reader"]["alphabet"][::-1]), "in its order"),
        ("an older format", lambda d: d.update(version=2), "not of version 3"),
        ("another head", lambda d: d["detector"].update(head="future"), "head 'future' is unknown"),
        ("damaged", lambda d: d["sha256"].update({"reader.onnx": "0" * 64}), "its SHA-256 is not the one"),
        ("files gone", lambda d: d["sha256"].update({"gone.onnx": "0" * 64}), "gone.onnx: missing"),
        ("a setting gone", lambda d: d["reader"].pop("decoder"), "decoder"),
    ],
)
def test_a_champion_that_cannot_be_compared_says_why(trial, champion, tiny_bundle, alter, name, change, message):
    champion(alter(tiny_bundle, change))
    found = confront(Contender(tiny_bundle, trial), "3", trial)
    assert isinstance(found.comparison, str)
    assert message in found.comparison


def test_a_champion_that_the_registry_does_not_give(trial, champion, tiny_bundle):
    champion(TrackingError("MLflow at ... does not give it: no such artifact"))
    assert "no such artifact" in confront(Contender(tiny_bundle, trial), "3", trial).comparison


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("no manifest", lambda t, tmp: replace(t, manifest=tmp / "none.jsonl"), "run the stage that writes it"),
        ("no pictures", lambda t, tmp: replace(t, images=tmp), "No such file"),
    ],
)
def test_without_the_test_pictures_nothing_is_compared(
    trial, champion, tiny_bundle, other_bundle, tmp_path, name, place, message
):
    champion(other_bundle)
    elsewhere = place(trial, tmp_path)
    assert message in confront(Contender(tiny_bundle, elsewhere), "3", elsewhere).comparison


def test_an_empty_test_split_is_said(trial, champion, tiny_bundle, other_bundle, tmp_path):
    champion(other_bundle)
    (tmp_path / "manifest.jsonl").write_text("")
    empty = replace(trial, manifest=tmp_path / "manifest.jsonl")
    assert "no test pictures" in confront(Contender(tiny_bundle, empty), "3", empty).comparison


def test_a_challenger_that_is_damaged_stands_no_trial(trial, tiny_bundle, alter):
    with pytest.raises(BundleError, match="SHA-256"):
        Contender(alter(tiny_bundle, lambda d: d["sha256"].update({"reader.onnx": "0" * 64})), trial)
