"""study.yaml to settings, and settings to what DVC is told."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.studies.definition import BASE, Setting, Study, StudyError, check, load, overrides, settings

ROOT = Path(__file__).parent.parent.parent
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
FACTORS = {
    "head": {"ssd": {"train_detector.head": "ssd"}, "yolo": {"train_detector.head": "yolo"}},
    "decoder": {"slots": {"train_reader.decoder": "slots"}},
}


def study(**changes):
    return Study.model_validate({"name": "trial", "factors": FACTORS, **changes})


def written(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_one_at_a_time_is_the_base_and_each_alternative_alone():
    found = settings(study(base={"seed": 8}))
    assert [one.label for one in found] == [BASE, "head: ssd", "head: yolo", "decoder: slots"]
    assert [dict(one.changes) for one in found] == [
        {"seed": 8},
        {"seed": 8, "train_detector.head": "ssd"},
        {"seed": 8, "train_detector.head": "yolo"},
        {"seed": 8, "train_reader.decoder": "slots"},
    ]


def test_a_grid_is_every_combination_once_and_can_be_asked_for():
    expected = [BASE, "decoder: slots"]
    expected += [f"head: {head}{rest}" for head in ("ssd", "yolo") for rest in ("", ", decoder: slots")]
    assert sorted(one.label for one in settings(study(design="grid"))) == sorted(expected)
    assert settings(study(), "grid") == settings(study(design="grid"))


def test_a_factor_may_change_what_the_base_changes():
    assert settings(study(base={"train_detector.head": "yolo"}))[1].changes["train_detector.head"] == "ssd"


def test_a_grid_of_factors_that_change_the_same_key_is_refused():
    twice = study(factors={**FACTORS, "other": {"corner": {"train_detector.head": "corner"}}})
    assert len(settings(twice)) == 5
    with pytest.raises(StudyError, match=r"change train_detector\.head \(head: ssd, other: corner\)"):
        settings(twice, "grid")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ssd", 'key="ssd"'),
        (0.0001, "key=0.0001"),
        (True, "key=true"),
        (None, "key=null"),
        (["kaggle", "voc"], 'key=["kaggle", "voc"]'),
        ("/a b/c=d,e", 'key="/a b/c=d,e"'),
        ('a "b"', r'key="a \"b\""'),
        ("1", 'key="1"'),
    ],
)
def test_overrides_are_quoted_so_that_dvc_reads_back_the_same(value, told, tmp_path):
    from dvc.utils.hydra import apply_overrides

    assert overrides({"key": value}) == [told]
    path = written(tmp_path, "key: before\n")
    apply_overrides(path, [told])
    assert yaml.safe_load(path.read_text()) == {"key": value}


def test_names_tell_settings_code_and_base_apart():
    base, ssd, *_ = settings(study())
    assert re.fullmatch(r"trial-head-ssd-[0-9a-f]{7}", ssd.experiment("trial", "code"))
    assert re.fullmatch(r"trial-[0-9a-f]{7}", base.experiment("trial", "code"))
    assert ssd.experiment("trial", "code") == settings(study())[1].experiment("trial", "code")
    names = {
        ssd.experiment("trial", "code"),
        ssd.experiment("trial", "other code"),
        settings(study(base={"seed": 8}))[1].experiment("trial", "code"),
        Setting((("head", "ssd"),), {"train_detector.head": "yolo"}).experiment("trial", "code"),
    }
    assert len(names) == 4
    many = Setting(tuple((f"factor-{n}", "a" * 40) for n in range(9)), {})
    assert len(many.experiment("trial", "code")) < 200, "a file of git's has this name"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "study: Input should be"),
        ("name: [", "is not YAML"),
        ("name: trial\n", "factors: Field required"),
        ("name: trial\nfactors: {}\n", "factors: Dictionary should have at least 1"),
        ("name: a trial\nfactors: {a: {b: {seed: 1}}}\n", "name: String should match"),
        ("name: trial\nfactors: {a: {}}\n", "factor a has no alternative"),
        ("name: trial\nfactors: {a: {b: {}}}\n", "a: b changes nothing"),
        ("name: trial\nfactors: {a: {base: {seed: 1}}}\n", "alternative 'base' is there by itself"),
        ("name: trial\nfactors: {a: {b: {register.model: x}}}\n", "registers under a name of its own"),
        ("name: trial\nfactors: {a: {b: {seed: 1}}}\nheads: 3\n", "heads: Extra inputs"),
        ("name: trial\nfactors: {a: {b: {seed: 1}, b: {seed: 2}}}\n", "b stands there twice"),
        ("name: trial\ndesign: all\nfactors: {a: {b: {seed: 1}}}\n", "design: Input should be"),
    ],
)
def test_what_is_wrong_is_said(text, said, tmp_path):
    with pytest.raises(StudyError, match=re.escape(said)):
        load(written(tmp_path, text))


def test_a_study_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"study\.yaml is not here"):
        load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_detector.had": "ssd"}, "params.yaml has no train_detector.had"),
        ({"detector": 1}, "params.yaml has no detector"),
        ({"seed.x": 1}, "params.yaml has no seed.x"),
        ({"train_detector.head": "sdd"}, "train_detector.head: Input should be"),
        ({"augment.mosaic_share": 2}, "augment.mosaic_share: Input should be less"),
    ],
)
def test_settings_that_params_refuse_are_refused_before_any_is_run(changes, said):
    with pytest.raises(StudyError, match=rf"study\.yaml: a: b: {re.escape(said)}"):
        check(settings(study(factors={"a": {"b": changes}})), PARAMS)
    assert yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) == PARAMS, "nothing was changed in place"


def test_the_study_that_ships_can_be_run():
    ours = load(ROOT / "study.yaml")
    check(settings(ours), PARAMS)
    assert len(settings(ours)) == 1 + sum(map(len, ours.factors.values()))
    assert set(ours.factors) == {"head", "trunk", "augmentation", "synthetic", "decoder"}


def test_the_example_in_the_page_can_be_run(tmp_path):
    page = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.+?)```", page, re.DOTALL)
    check(settings(load(written(tmp_path, example[1]))), PARAMS)
