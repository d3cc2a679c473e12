"""A bundle opens no file but its own, and none whose bytes it does not vouch for."""

import copy
import json
import re

import pytest

from pipeline import bundle
from pipeline.bundle import Bundle, BundleError
from pipeline.images import sha256
from pipeline.sessions import Session, SessionError

NETWORKS = ("detector", "fast", "refiner", "reader")
FILES = {f"{network}{kind}.onnx": f"{network}{kind}".encode() for network in NETWORKS for kind in ("", ".int8")}


def settings(network: str) -> dict:
    return {"float": f"{network}.onnx", "int8": f"{network}.int8.onnx", "stride": 8}


def write(folder, created_from: dict) -> None:
    bundle.write(folder, {network: settings(network) for network in NETWORKS}, created_from)


@pytest.fixture
def folder(tmp_path):
    """A good bundle, its networks a few bytes each."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    write(tmp_path, {"detector": {"epochs": 3}})
    return tmp_path


def rewrite(folder, change) -> None:
    """Changes bundle.json in place."""
    raw = json.loads((folder / "bundle.json").read_text())
    raw = change(copy.deepcopy(raw)) or raw
    (folder / "bundle.json").write_text(json.dumps(raw))


def without(*keys: str):
    return lambda raw: {key: value for key, value in raw.items() if key not in keys}


def with_(**changes):
    return lambda raw: {**raw, **changes}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_what_was_written_is_found(folder, network, precision) -> None:
    loaded = Bundle.load(folder)
    path, digest = loaded.file(network, precision)
    assert path == folder / settings(network)[precision]
    assert digest == sha256(FILES[path.name])
    assert loaded.detector["stride"] == 8
    assert loaded.settings(network) == settings(network)
    assert loaded.created_from == {"detector": {"epochs": 3}}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there_cannot_be_sealed(folder, name: str) -> None:
    (folder / name).unlink()
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        write(folder, {})
    assert (folder / "bundle.json").read_bytes() == before


DAMAGED = {
    "no bundle": (lambda folder: (folder / "bundle.json").unlink(), "no bundle.json here"),
    "not JSON": (lambda folder: (folder / "bundle.json").write_text('{"version": 3'), "is damaged"),
    "other bytes": (lambda folder: (folder / "bundle.json").write_bytes(b"\xff\xfe"), "is damaged"),
    "a list": (lambda folder: (folder / "bundle.json").write_text("[]"), "not of version 3"),
    "no version": (lambda folder: rewrite(folder, without("version")), "not of version 3"),
    "an earlier version": (lambda folder: rewrite(folder, with_(version=2)), "not of version 3"),
    "a later version": (lambda folder: rewrite(folder, with_(version=4)), "not of version 3"),
    "no detector": (lambda folder: rewrite(folder, without("detector")), "lacks 'detector'"),
    "no fast detector": (lambda folder: rewrite(folder, without("fast")), "lacks 'fast'"),
    "no refiner": (lambda folder: rewrite(folder, without("refiner")), "lacks 'refiner'"),
    "no reader": (lambda folder: rewrite(folder, without("reader")), "lacks 'reader'"),
    "no digests": (lambda folder: rewrite(folder, without("sha256")), "lacks 'sha256'"),
    "a detector that is a name": (lambda folder: rewrite(folder, with_(detector="a.onnx")), "lacks 'detector'"),
    "digests that are a list": (lambda folder: rewrite(folder, with_(sha256=["a.onnx"])), "lacks 'sha256'"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_named(folder, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.load(folder)
    assert str(folder) in str(caught.value)


NAMES = {
    "one up": "../detector.onnx",
    "absolute": "/etc/passwd",
    "in a folder": "sub/detector.onnx",
    "through a folder and back": "sub/../detector.onnx",
    "the folder itself": ".",
    "nothing": "",
    "null": None,
    "a number": 3,
    "a list": ["detector.onnx"],
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_name_that_leads_elsewhere_is_refused(folder, name) -> None:
    """Even where bundle.json vouches for it."""
    rewrite(folder, with_(detector={"float": name}, sha256={str(name): sha256(b"")}))
    with pytest.raises(BundleError, match="names no float detector"):
        Bundle.load(folder).file("detector", "float")


def test_the_folder_above_is_no_file(folder) -> None:
    rewrite(folder, with_(detector={"float": ".."}, sha256={"..": sha256(b"")}))
    with pytest.raises((BundleError, SessionError)):
        Session(*_arguments(Bundle.load(folder)))


def _arguments(loaded: Bundle):
    path, digest = loaded.file("detector", "float")
    return path, 1, digest


DIGESTS = {
    "none": {},
    "null, which would mean unchecked": {"detector.onnx": None},
    "a number": {"detector.onnx": 0},
    "of another file": {"reader.onnx": "0" * 64},
}


@pytest.mark.parametrize("digests", DIGESTS.values(), ids=DIGESTS.keys())
def test_a_file_without_a_digest_is_not_opened(folder, digests) -> None:
    rewrite(folder, with_(sha256=digests))
    with pytest.raises(BundleError, match=r"no SHA-256 of detector\.onnx"):
        Bundle.load(folder).file("detector", "float")


def test_a_precision_that_was_not_exported_is_named(folder) -> None:
    rewrite(folder, with_(reader={"float": "reader.onnx"}))
    with pytest.raises(BundleError, match="names no int8 reader"):
        Bundle.load(folder).file("reader", "int8")


def test_swapped_networks_are_not_opened(folder) -> None:
    (folder / "detector.onnx").write_bytes(FILES["reader.onnx"])
    with pytest.raises(SessionError, match="SHA-256"):
        Session(*_arguments(Bundle.load(folder)))
