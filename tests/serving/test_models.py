"""Models by name: which folder it is, what its reader's threshold is, and nothing left of what was fetched."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle import BundleError
from pipeline.serving import models


def test_a_folder_is_itself_and_what_ships_is_not_read_twice(tiny_bundle, monkeypatch):
    assert models.folder_of(str(tiny_bundle)) == tiny_bundle
    monkeypatch.setattr(models, "verified", lambda folder: pytest.fail("each file is checked as it is opened"))
    assert models.folder_of(str(models.SHIPPED)) == models.SHIPPED


def test_what_ships_is_called_so(tiny_bundle, monkeypatch):
    monkeypatch.setattr(models, "SHIPPED", tiny_bundle)
    assert models.find(str(tiny_bundle)) == models.Model("shipped", tiny_bundle)


def test_the_readers_threshold_is_the_bundles(tiny_bundle):
    assert models.least_text_score(tiny_bundle) == 0.5


@pytest.mark.parametrize("name", ["models:/", "models:/alpr", "models:/alpr@", "models:/@champion", "models:/alpr/x"])
def test_what_is_no_name_of_a_version_is_refused(name):
    with pytest.raises(BundleError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        models.find(name)


@pytest.fixture
def registry(tiny_bundle, monkeypatch):
    """Fetching gives the tiny bundle as version 7, some folders down."""
    fetched = []

    def fetch(model, version, folder):
        fetched.append((model, version, folder))
        return "7", Path(shutil.copytree(tiny_bundle, folder / "artifacts" / "bundle"))

    monkeypatch.setattr(models.registry, "fetch", fetch)
    return fetched


@pytest.mark.parametrize(("name", "version"), [("models:/alpr@champion", "@champion"), ("models:/alpr/7", "7")])
def test_a_registered_model_is_fetched_once_and_named_by_its_version(registry, name, version):
    found = models.find(name)
    ((model, asked, folder),) = registry
    assert (model, asked, found.name) == ("alpr", version, "models:/alpr/7")
    assert found.folder == folder / "artifacts" / "bundle"
    shutil.rmtree(folder)


def test_what_was_fetched_is_taken_away_when_the_program_ends(tiny_bundle):
    code = (
        "import shutil\n"
        "from pathlib import Path\n"
        "from pipeline.serving import models\n"
        f"models.registry.fetch = lambda model, version, folder: ('1', Path(shutil.copytree({str(tiny_bundle)!r}, "
        "folder / 'bundle')))\n"
        "folder = models.find('models:/alpr/1').folder\n"
        "assert folder.exists()\n"
        "print(folder.parent)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("link", "missing, or a link"), ("flip", "SHA-256"), ("outside", "no ONNX file"), ("pickle", "no ONNX file")],
)
def test_a_bundle_is_opened_only_where_every_file_is_as_it_was_sealed(tiny_bundle, tmp_path, damage, said):
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    if damage == "link":
        (folder / "reader.onnx").unlink()
        (folder / "reader.onnx").symlink_to(tiny_bundle / "reader.onnx")
    elif damage == "flip":
        (folder / "reader.onnx").write_bytes((folder / "reader.onnx").read_bytes()[:-1] + b"!")
    else:
        bundle = json.loads((folder / "bundle.json").read_text())
        name = {"outside": "../reader.onnx", "pickle": "reader.pkl"}[damage]
        bundle["sha256"][name] = bundle["sha256"]["reader.onnx"]
        (folder / "bundle.json").write_text(json.dumps(bundle))
    with pytest.raises(BundleError, match=said):
        models.folder_of(str(folder))
