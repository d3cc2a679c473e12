"""What waits to be sent: kept whole or not at all, sent in order, and taken away once sent; the registry is made up."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.manifest import write_manifest
from pipeline.registration import unsent
from pipeline.registration.finished import Finished
from pipeline.registration.sending import Registration
from pipeline.tracking import store
from pipeline.tracking.store import TrackingError, UnreachableError

ROOT = Path(__file__).parents[2]
FINISHED = Finished(
    *(Path("models") / name for name in ("export", "detector", "student", "refiner", "reader")),
    *(Path(name) for name in ("data/curated/manifest.jsonl", "data/labels", "metrics", "plots", "report")),
    profile=Path("data/evaluated/profile.json"),
    images=Path("data/raw"),
)


@pytest.fixture
def project(tmp_path, tiny_bundle, monkeypatch):
    """The least that can be registered, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(tiny_bundle, FINISHED.models)
    for network in (FINISHED.detector, FINISHED.student, FINISHED.refiner, FINISHED.reader):
        network.mkdir()
        (network / "history.csv").write_text("epoch,loss\n1,0.5\n")
    write_manifest(FINISHED.manifest, [])
    FINISHED.metrics.mkdir()
    FINISHED.report.mkdir()
    (FINISHED.report / "index.html").write_text("<p>report</p>")
    measured(0.5)
    return tmp_path


def measured(exact):
    (FINISHED.metrics / "evaluation.json").write_text(json.dumps({"end_to_end": {"exact": exact}}))


@pytest.fixture
def registry(monkeypatch):
    """What it was sent, (figure, git tags, patch) each time, and the faults that it has first."""
    fake = SimpleNamespace(sent=[], faults=[])

    def send(finished, settings, results, loader):
        assert finished.models.is_absolute()
        assert (finished.models / "bundle.json").exists()
        assert finished.images == Path.cwd() / "data/raw"
        fake.sent.append((results.documents["evaluation"]["end_to_end"]["exact"], dict(results.git), results.patch))
        if fake.faults:
            raise fake.faults.pop(0)
        return Registration({"sent": True}, "page")

    monkeypatch.setattr(unsent, "send", send)
    return fake


def away():
    return UnreachableError("MLflow at ... cannot be asked: connection refused")


def stage(settings):
    return unsent.send_or_keep(FINISHED, settings, "loader")


def test_they_are_sent_as_they_were_in_the_order_they_were_made(project, registry, settings, monkeypatch):
    monkeypatch.setattr(unsent, "here", lambda: ({"mlflow.source.git.commit": "abc"}, "a patch"))
    registry.faults = [away(), away(), away()]
    for exact in (0.5, 0.1, 0.5):
        measured(exact)
        assert not stage(settings).row["sent"]
    monkeypatch.setattr(unsent, "here", lambda: ({"mlflow.source.git.commit": "def"}, ""))
    measured(0.9)
    assert [unsent.deliver(one, "loader").row for one in unsent.waiting()] == [{"sent": True}] * 2
    assert registry.sent[3:] == [(exact, {"mlflow.source.git.commit": "abc"}, "a patch") for exact in (0.5, 0.1)]
    assert unsent.waiting() == []
    assert not list(unsent.place().iterdir())


@pytest.mark.parametrize("fault", [away(), TrackingError("MLflow refuses it"), KeyboardInterrupt()])
def test_nothing_is_lost_where_sending_fails(project, registry, settings, fault):
    registry.faults = [away(), fault]
    stage(settings)
    (parcel,) = unsent.waiting()
    with pytest.raises(type(fault)):
        unsent.deliver(parcel, "loader")
    assert unsent.waiting() == [parcel]
    unsent.deliver(parcel, "loader")
    assert unsent.waiting() == []


def test_an_error_that_waiting_does_not_mend_keeps_nothing(project, registry, settings):
    registry.faults = [TrackingError("MLflow refuses it")]
    with pytest.raises(TrackingError, match="refuses"):
        stage(settings)
    assert unsent.waiting() == []


def test_a_copy_that_is_cut_off_leaves_the_earlier_one(project, registry, settings, monkeypatch):
    registry.faults = [away(), away()]
    stage(settings)
    monkeypatch.setattr(unsent, "write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        stage(settings)
    (parcel,) = unsent.waiting()
    assert (parcel.folder / "models/export/bundle.json").exists()


def test_one_whose_place_was_being_taken_when_it_was_killed_still_waits(project, registry, settings):
    registry.faults = [away()]
    stage(settings)
    (parcel,) = unsent.waiting()
    parcel.folder.rename(parcel.folder.with_name(f".{parcel.fingerprint}.old"))
    assert unsent.waiting() == [parcel]


def test_one_that_was_killed_while_it_was_taken_away_is_not_sent_again(project, registry, settings):
    registry.faults = [away(), away()]
    stage(settings)
    (parcel,) = unsent.waiting()
    parcel.folder.rename(parcel.folder.with_name(f".{parcel.fingerprint}.sent"))
    assert unsent.waiting() == []
    measured(0.6)
    stage(settings)
    unsent.deliver(unsent.waiting()[0], "loader")
    assert not list(unsent.place().iterdir())


def test_the_stage_takes_away_what_it_has_sent_itself(project, registry, settings):
    registry.faults = [away()]
    stage(settings)
    assert stage(settings).row["sent"]
    assert unsent.waiting() == []


@pytest.mark.parametrize("text", ["{", "[]", '{"made": "x"}', '{"made": "x", "git": {}, "paths": {"a": "b"}}'])
def test_a_damaged_one_is_named(project, registry, settings, text):
    registry.faults = [away()]
    stage(settings)
    (parcel,) = unsent.waiting()
    (parcel.folder / "kept.json").write_text(text)
    (damaged,) = unsent.waiting()
    with pytest.raises(TrackingError, match=rf"{parcel.fingerprint}.*(delete|another version)"):
        unsent.deliver(damaged, "loader")
    registry.faults = [away()]
    stage(settings)
    unsent.deliver(parcel, "loader")


def test_files_outside_the_project_cannot_be_kept(project, registry, settings):
    registry.faults = [away()]
    with pytest.raises(TrackingError, match="outside the project"):
        unsent.send_or_keep(FINISHED.below(project), settings, "loader")


def test_they_wait_in_the_project_not_in_a_copy_that_dvc_deletes(project, monkeypatch):
    copy = project / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert unsent.place() == project / ".alpr/unsent"
    assert store.uri() == f"sqlite:///{project}/mlflow.db"
