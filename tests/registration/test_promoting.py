"""The alias in a store of MLflow's: moved where the gate lets it, by force, and back; it never points at nothing."""

import json

import pytest

from pipeline.registration import promoting
from pipeline.registration.gate import Champion
from pipeline.registration.promoting import PromotionError, force, forced, roll_back, rolled_back, settle
from pipeline.tracking import registry
from pipeline.tracking.store import TrackingError


@pytest.fixture
def holder(client):
    return lambda model: registry.holder(client, model, "champion")


@pytest.fixture
def unlike(monkeypatch):
    """Makes comparisons end with a sentence, or with what a function says."""

    def are(says):
        monkeypatch.setattr(promoting, "confront", lambda own, version, trial: Champion(version, says(version)))

    return are


def test_the_first_is_the_champion_and_an_equal_one_follows(client, version, named, sound, tiny_bundle, holder):
    trial = named("equal")
    first = version("equal", tiny_bundle)
    assert holder("equal") is None
    verdict = settle(client, first, tiny_bundle, sound, trial)
    assert verdict.decision.moves
    assert verdict.champion is None
    assert verdict.holder == holder("equal") == "1"

    second = version("equal", tiny_bundle)
    verdict = settle(client, second, tiny_bundle, sound, trial)
    assert verdict.decision.reason == "no worse than version 1: the champion's own networks"
    assert holder("equal") == "2"
    tags = client.get_model_version("equal", "2").tags
    assert tags["decision"] == "promoted"
    assert tags["decision.against"] == "version 1"
    run = client.get_run(client.get_model_version("equal", "2").run_id)
    assert run.data.tags["decision.reason"] == tags["decision.reason"] == verdict.decision.reason

    again = settle(client, second, tiny_bundle, sound, trial)
    assert again.already
    assert again.decision.reason == verdict.decision.reason


def test_a_worse_one_stays_behind_and_says_why(client, version, named, sound, tiny_bundle, other_bundle, holder):
    settle(client, version("worse", tiny_bundle), tiny_bundle, sound, named("worse"))
    verdict = settle(client, version("worse", other_bundle), other_bundle, sound, named("worse"))
    assert not verdict.decision.moves
    assert verdict.holder == holder("worse") == "1"
    tags = client.get_model_version("worse", "2").tags
    assert tags["decision"] == "not promoted"
    assert "worse than the champion" in tags["decision.reason"]


def test_a_champion_that_changes_meanwhile_is_compared_with_anew(
    client, version, named, sound, tiny_bundle, monkeypatch
):
    for _ in range(3):
        version("race", tiny_bundle)
    registry.move(client, "race", "champion", "1", "promoted", "")
    met = []
    confront = promoting.confront

    def meanwhile(own, held, trial):
        met.append(held)
        if held == "1":  # another machine promotes version 2 while we compare
            registry.move(client, "race", "champion", "2", "promoted", "")
        return confront(own, held, trial)

    monkeypatch.setattr(promoting, "confront", meanwhile)
    verdict = settle(client, "3", tiny_bundle, sound, named("race"))
    assert met == ["1", "2"]
    assert verdict.decision.reason.startswith("no worse than version 2")
    assert client.get_model_version("race", "3").tags["decision.against"] == "version 2"
    assert registry.line_of(registry.moves(client, "race", "champion"), "3") == ["1", "2", "3"]


def test_a_champion_that_never_stops_changing_ends_the_trial(
    client, version, named, sound, tiny_bundle, monkeypatch, holder
):
    for _ in range(3):
        version("restless", tiny_bundle)
    client.set_registered_model_alias("restless", "champion", "1")
    confront = promoting.confront

    def swapped(own, held, trial):
        client.set_registered_model_alias("restless", "champion", "2" if held == "1" else "1")
        return confront(own, held, trial)

    monkeypatch.setattr(promoting, "confront", swapped)
    verdict = settle(client, "3", tiny_bundle, sound, named("restless"))
    assert not verdict.decision.moves
    assert "`alpr promote 3` tries again" in verdict.decision.reason
    assert holder("restless") != "3"


def test_a_champion_that_was_deleted_leaves_no_alias_behind_and_is_told(
    client, version, named, sound, tiny_bundle, holder
):
    settle(client, version("deleted", tiny_bundle), tiny_bundle, sound, named("deleted"))
    client.delete_model_version("deleted", "1")
    assert holder("deleted") is None
    verdict = settle(client, version("deleted", tiny_bundle), tiny_bundle, sound, named("deleted"))
    assert verdict.decision.reason.endswith("version 1, which held champion, was deleted")
    assert holder("deleted") == "2"


def test_an_alias_that_was_taken_away_is_told(client, version, named, sound, tiny_bundle):
    settle(client, version("taken", tiny_bundle), tiny_bundle, sound, named("taken"))
    client.delete_registered_model_alias("taken", "champion")
    verdict = settle(client, version("taken", tiny_bundle), tiny_bundle, sound, named("taken"))
    assert verdict.decision.reason.endswith("version 1 held champion until the alias was taken away")


def test_a_version_that_is_deleted_before_the_alias_moves_gets_none(client, version, named, sound, tiny_bundle, holder):
    version("gone", tiny_bundle)
    client.delete_model_version("gone", "1")
    with pytest.raises(Exception, match="not found"):
        settle(client, "1", tiny_bundle, sound, named("gone"))
    assert holder("gone") is None


def test_a_run_that_was_deleted_takes_no_tags_and_is_no_obstacle(client, version, named, sound, tiny_bundle, holder):
    number = version("runless", tiny_bundle)
    client.delete_run(client.get_model_version("runless", number).run_id)
    assert settle(client, number, tiny_bundle, sound, named("runless")).decision.moves
    assert holder("runless") == "1"


def test_force_moves_it_and_says_who_and_why(
    client, version, named, sound, tiny_bundle, other_bundle, holder, monkeypatch
):
    monkeypatch.setattr(registry.getpass, "getuser", lambda: "ada")
    rules = named("forced").rules
    settle(client, version("forced", tiny_bundle), tiny_bundle, sound, named("forced"))
    version("forced", other_bundle)
    move = forced(None, "the yard's cameras changed", rules)
    assert (move.version, move.before) == ("2", "1")
    assert holder("forced") == "2"
    tags = client.get_model_version("forced", "2").tags
    assert tags["forced.by"] == "ada"
    assert tags["forced.why"] == tags["decision.reason"] == "the yard's cameras changed"
    assert tags["forced.at"].endswith("Z")
    kept = [json.loads(value) for key, value in client.get_registered_model("forced").tags.items() if "champion" in key]
    assert {"how": "forced", "by": "ada", "why": "the yard's cameras changed", "version": "2", "before": "1"} in kept


def test_force_needs_a_reason_and_a_whole_version(client, version, named, tiny_bundle, alter, holder):
    rules = named("strict").rules
    broken = alter(tiny_bundle, lambda d: d["sha256"].update({"reader.onnx": "0" * 64}))
    number = version("strict", broken)
    with pytest.raises(PromotionError, match="say why"):
        force(client, number, "  ", rules)
    with pytest.raises(PromotionError, match=r"version 1 cannot be served, so nothing was moved: .*SHA-256"):
        force(client, number, "because", rules)
    with pytest.raises(TrackingError, match="strict has no version 9"):
        forced("9", "because", rules)
    with pytest.raises(TrackingError, match="no version of nobody has the alias challenger"):
        forced(None, "because", named("nobody").rules)
    assert holder("strict") is None


def test_rollback_goes_back_one_version_each_time(client, version, named, sound, tiny_bundle, other_bundle, holder):
    rules = named("back").rules
    for bundle in (tiny_bundle, tiny_bundle):
        settle(client, version("back", bundle), bundle, sound, named("back"))
    force(client, version("back", other_bundle), "a trial", rules)
    assert holder("back") == "3"
    assert rolled_back("it misreads", rules).version == holder("back") == "2"
    assert "to version 2: it misreads" in client.get_model_version("back", "3").tags["rolled back"]
    assert roll_back(client, rules, "").version == holder("back") == "1"
    with pytest.raises(PromotionError, match="version 1 is the first to hold champion"):
        roll_back(client, rules, "")
    assert holder("back") == "1"
    force(client, "3", "after all", rules)
    assert roll_back(client, rules, "").version == holder("back") == "1"


@pytest.mark.parametrize(("name", "model"), [("no such model", "none"), ("no champion yet", "unaliased")])
def test_rollback_without_a_champion_is_refused(client, version, named, tiny_bundle, name, model):
    if model == "unaliased":
        version(model, tiny_bundle)
    with pytest.raises(PromotionError, match=f"no version of {model} has held champion"):
        roll_back(client, named(model).rules, "")


def test_rollback_to_a_version_that_is_gone_or_broken_is_refused(
    client, version, named, tiny_bundle, alter, holder, monkeypatch
):
    rules = named("lost").rules
    broken = alter(tiny_bundle, lambda d: None)
    for bundle in (tiny_bundle, broken, tiny_bundle):
        number = version("lost", bundle)
        registry.move(client, "lost", "champion", number, "promoted", "")
    (broken / "reader.onnx").unlink()
    with pytest.raises(PromotionError, match="version 2 cannot be served"):
        roll_back(client, rules, "")
    client.delete_model_version("lost", "2")
    with pytest.raises(PromotionError, match="version 2, which held champion before, was deleted"):
        roll_back(client, rules, "")
    assert holder("lost") == "3"


def test_rollback_after_the_champion_was_deleted(client, version, named, tiny_bundle, holder):
    for _ in range(2):
        registry.move(client, "orphan", "champion", version("orphan", tiny_bundle), "promoted", "")
    client.delete_model_version("orphan", "2")
    assert holder("orphan") is None
    assert roll_back(client, named("orphan").rules, "").version == holder("orphan") == "1"


def test_a_registered_model_that_was_deleted_starts_anew(client, version, named, sound, tiny_bundle, holder):
    settle(client, version("anew", tiny_bundle), tiny_bundle, sound, named("anew"))
    client.delete_registered_model("anew")
    assert holder("anew") is None
    assert registry.moves(client, "anew", "champion") == []
    verdict = settle(client, version("anew", tiny_bundle), tiny_bundle, sound, named("anew"))
    assert verdict.holder == "1"


def test_one_registration_waits_for_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with (
        promoting.one_at_a_time(),
        pytest.raises(TrackingError, match=r"at work for 0\.1 s"),
        promoting.one_at_a_time(patience=0.1),
    ):
        pass
    assert "waiting for it" in capsys.readouterr().err
    with promoting.one_at_a_time(patience=0.1):
        pass
