"""The gate that an alias passes."""

from pathlib import Path

import pytest

from pipeline import params
from pipeline.registration.comparison import HEADLINE, Comparison, Difference
from pipeline.registration.gate import Champion, decide

SETTINGS = params.load(Path(__file__).parents[2] / "params.yaml")


def champion(difference=0.0, low=-0.005, high=0.01, *, slices=(), calibration=0.02, same=False, plates=900):
    champions = None if difference is None else 0.8 - difference
    headline = Difference(HEADLINE, plates, 0.8, champions, difference, low, high)
    rows = tuple(Difference(name, count, 0.5, 0.5 - fall, fall) for name, count, fall in slices)
    return Champion("3", Comparison((headline,), rows, calibration, same))


def passes(figures, opponent, note=""):
    return decide(figures, opponent, SETTINGS.register_, SETTINGS.export, note)


@pytest.mark.parametrize(
    ("name", "changes", "opponent", "failing", "reason"),
    [
        ("the first", {}, None, [], "the first, with 80.0 % end to end"),
        ("better", {}, champion(0.02, 0.01, 0.03), [], "no worse than version 3: end to end +2.0 points"),
        ("just within", {}, champion(0.0, -0.005), [], "no worse than version 3"),
        ("much worse", {}, champion(-0.06, -0.1, -0.02), ["end to end"], "worse than the champion by more than 0.5"),
        ("too few to tell", {}, champion(0.004, -0.03, plates=46), ["end to end"], "the 46 plates of this test set"),
        ("the same networks", {}, champion(0.0, 0.0, 0.0, same=True), [], "the champion's own networks"),
        ("no interval", {}, champion(0.1, None, None), ["end to end"], "without an interval"),
        ("equal without interval", {}, champion(0.0, None, None), [], "no worse"),
        ("nothing to compare", {}, champion(None), ["end to end"], "no plate with a certain text"),
        ("incomparable", {}, Champion("3", "its files are gone"), ["champion"], "its files are gone; `alpr promote"),
        ("a slice falls by one plate", {}, champion(slices=[("rows 2", 50, 49 / 50 - 1)]), [], "no worse"),
        (
            "a slice falls by two",
            {},
            champion(slices=[("rows 2", 50, -0.04)]),
            ["slices"],
            "rows 2 \N{MINUS SIGN}4.0 on 50",
        ),
        ("a slice gains", {}, champion(slices=[("rows 2", 50, 0.4)]), [], "no worse"),
        ("leaks", {"curation.leaks": 2.0}, None, ["leaks"], "2 leaks between splits"),
        ("leaks unknown", {"curation.leaks": None}, None, ["leaks"], "is not known"),
        ("export differs", {"export.fast_difference": 0.1}, None, ["export"], "fast_difference 0.1, above 0.001"),
        ("export unknown", {"export.reader_difference": None}, None, ["export"], "no reader_difference"),
        ("text changes", {"export.reader_int8_text_change": 0.2}, None, ["export"], "above 0.15"),
        ("headline missing", {"detection.ap50": None}, None, ["headlines"], "not measured on this test set: AP50"),
        ("headline NaN", {"end_to_end.exact": float("nan")}, None, ["headlines"], "end to end"),
        (
            "uncalibrated",
            {"ocr.network.answers.calibration_error": 0.08},
            champion(),
            ["calibration"],
            "the champion has 0.020",
        ),
        (
            "uncalibrated, as the champion is",
            {"ocr.network.answers.calibration_error": 0.08},
            champion(calibration=0.08),
            [],
            "no worse",
        ),
        (
            "uncalibrated, as far as so few plates tell",
            {"ocr.network.answers.calibration_error": 0.08, "calibration.by_chance": 0.09},
            champion(),
            [],
            "no worse than version 3",
        ),
        ("uncalibrated, the first", {"ocr.network.answers.calibration_error": 0.3}, None, [], "the first"),
        (
            "uncalibrated, and not by chance",
            {"ocr.network.answers.calibration_error": 0.08, "calibration.by_chance": 0.04},
            champion(),
            ["calibration"],
            "above 0.05",
        ),
        ("calibration unknown", {"ocr.network.answers.calibration_error": None}, None, ["calibration"], "not measured"),
        ("nothing known", None, None, ["headlines", "leaks", "export", "calibration"], "not measured"),
    ],
)
def test_decide(sound, name, changes, opponent, failing, reason):
    changed = {} if changes is None else {name: value for name, value in (sound | changes).items() if value is not None}
    decision = passes(changed, opponent)
    assert [check.check for check in decision.checks if not check.good] == failing
    assert decision.moves is not bool(failing)
    assert reason in decision.reason


def test_every_check_is_listed_with_a_sentence(sound):
    decision = passes(sound, champion(slices=[("rows 1", 60, 0.0)]))
    checks = {check.check: check.says for check in decision.checks}
    assert list(checks) == ["end to end", "slices", "headlines", "leaks", "export", "calibration"]
    assert all(checks.values())
    assert "none of 1" in checks["slices"]


def test_a_champion_that_was_deleted_is_told(sound):
    assert passes(sound, None, "version 2, which held champion, was deleted").reason.endswith("was deleted")


def test_many_falling_slices_are_counted_the_worst_first(sound):
    falls = [(f"region {at}", 60, -0.03 - at / 100) for at in range(6)]
    reason = passes(sound, champion(slices=falls)).reason
    assert reason.index("region 5") < reason.index("region 4")
    assert reason.endswith("and 3 more")
