"""The data of a run, as MLflow is told of them."""

import hashlib
import json

import pytest

from pipeline.manifest import ManifestError, write_manifest
from pipeline.records import Box, Plate, Sample
from pipeline.registration import datasets


@pytest.fixture
def project(tmp_path, monkeypatch):
    """data/curated/manifest.jsonl with two training pictures of one group and a test picture; corrections."""
    monkeypatch.chdir(tmp_path)
    plates = (Plate(Box(0, 0, 9, 9), text="A"), Plate(Box(0, 0, 9, 9)))
    rows = [("a", "g", "train"), ("b", "g", "train"), ("c", "h", "test")]
    samples = [Sample(name * 64, f"{name}.png", 9, 9, plates, "s", group, split) for name, group, split in rows]
    write_manifest(tmp_path / "data/curated/manifest.jsonl", samples)
    (tmp_path / "data/labels").mkdir()
    (tmp_path / "data/labels/corrections.jsonl").write_text("{}\n{}\n")
    return tmp_path


def read(project, hashes):
    manifest, labels = (project / name for name in ("data/curated/manifest.jsonl", "data/labels"))
    return datasets.read(manifest.relative_to(project), labels.relative_to(project), hashes)


def test_splits_and_labels_with_the_hashes_that_dvc_has(project):
    found = read(project, {"data/curated": "a" * 32 + ".dir", "data/labels/corrections.jsonl": "b" * 32})
    assert [(one.context, one.digest[:1], one.counts["num_rows"]) for one in found] == [
        ("training", "a", 2),
        ("validation", "a", 0),
        ("test", "a", 1),
        ("labels", "b", 2),
    ]
    assert found[0].counts == {"num_rows": 2, "groups": 1, "plates": 4, "texts": 2}
    assert found[3].tags["sha256"] == hashlib.sha256(b"{}\n{}\n").hexdigest()


def test_without_a_lock_file_the_md5_that_dvc_would_give(project):
    digest = hashlib.md5((project / "data/curated/manifest.jsonl").read_bytes()).hexdigest()
    assert [one.digest for one in read(project, {})] == [digest] * 3 + [hashlib.md5(b"{}\n{}\n").hexdigest()]


def test_the_rows_of_a_split_are_known_again_whatever_its_labels(project):
    """A changed label changes DVC's hash of all splits; which pictures a split holds is a digest of its own."""
    before = read(project, {})
    text = (project / "data/curated/manifest.jsonl").read_text()
    (project / "data/curated/manifest.jsonl").write_text(text.replace('"text": "A"', '"text": "B"'))
    after = read(project, {})
    assert [one.digest for one in before[:3]] != [one.digest for one in after[:3]]
    assert [one.tags["rows"] for one in before[:3]] == [one.tags["rows"] for one in after[:3]]


def test_as_mlflow_keeps_it(project):
    test = datasets.as_input(read(project, {"data/curated": "a" * 32 + ".dir"})[2])
    assert (test.dataset.name, test.dataset.digest) == ("test", "a" * 32 + ".dir")
    assert json.loads(test.dataset.source) == {"uri": "data/curated/manifest.jsonl"}
    assert json.loads(test.dataset.profile)["plates"] == 2
    tags = {tag.key: tag.value for tag in test.tags}
    assert tags["mlflow.data.context"] == "test"
    assert tags["dvc"] == f"data/curated/manifest.jsonl {'a' * 32}.dir"


def test_no_manifest_is_a_sentence(project):
    (project / "data/curated/manifest.jsonl").unlink()
    with pytest.raises(ManifestError, match="run the stage that writes it"):
        read(project, {})
