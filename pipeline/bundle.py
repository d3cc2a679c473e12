"""A bundle: the folder of exported networks that recognises plates, described and sealed by its bundle.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.images import sha256
from pipeline.manifest import write_json

Precision = Literal["float", "int8"]
Network = Literal["detector", "fast", "refiner", "reader"]  # fast: the small detector, a student of the other
VERSION = 3  # 2 had a reader without decoder, regions and calibration


class BundleError(ValueError):
    """A bundle that is missing, damaged or of another version; the message names the file."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What bundle.json says: each network's settings, and the SHA-256 of each file."""

    folder: Path
    detector: dict[str, Any]
    fast: dict[str, Any]
    refiner: dict[str, Any]
    reader: dict[str, Any]
    sha256: dict[str, str]
    created_from: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Reads folder/bundle.json; BundleError says what is wrong with it."""
        path = folder / "bundle.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise BundleError(f"{folder}: no bundle.json here; run the export stage or name another model") from None
        except ValueError as error:
            raise BundleError(f"{path} is damaged: {error}") from None
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            raise BundleError(f"{path} is not of version {VERSION}; export the models again")
        for name in (*get_args(Network), "sha256"):
            if not isinstance(raw.get(name), dict):
                raise BundleError(f"{path} lacks {name!r}; export the models again")
        networks = {name: raw[name] for name in get_args(Network)}
        return cls(folder, **networks, sha256=raw["sha256"], created_from=raw.get("created_from", {}))

    def settings(self, network: Network) -> dict[str, Any]:
        """What the bundle says of one network."""
        settings: dict[str, Any] = getattr(self, network)
        return settings

    def file(self, network: Network, precision: Precision) -> tuple[Path, str]:
        """(path, SHA-256) of one network's ONNX file."""
        name = self.settings(network).get(precision)
        if not isinstance(name, str) or not name or Path(name).name != name:
            raise BundleError(f"{self.folder}/bundle.json names no {precision} {network}; export the models again")
        digest = self.sha256.get(name)
        if not isinstance(digest, str):  # None would open the file unchecked
            raise BundleError(f"{self.folder}/bundle.json has no SHA-256 of {name}; export the models again")
        return self.folder / name, digest


def verified(folder: Path) -> Path:
    """The folder, once every file that its bundle.json seals has the SHA-256 written there; nothing but ONNX is."""
    bundle = Bundle.load(folder)
    for name, digest in bundle.sha256.items():
        path = folder / name
        if Path(name).name != name or path.suffix != ".onnx":
            raise BundleError(f"{folder}/bundle.json names {name!r}, which is no ONNX file of this folder")
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path}: missing, or a link; restore the file, or export the models again")
        if sha256(path.read_bytes()) != digest:
            raise BundleError(f"{path}: its SHA-256 is not the one in its bundle.json; restore the file")
    return folder


def write(folder: Path, networks: Mapping[Network, dict[str, Any]], created_from: Mapping[Network, Any]) -> None:
    """Describes and seals the ONNX files of all the networks, which already stand in `folder`."""
    names = [str(networks[name][precision]) for name in get_args(Network) for precision in ("float", "int8")]
    write_json(
        folder / "bundle.json",
        {
            "version": VERSION,
            **{name: networks[name] for name in get_args(Network)},
            "sha256": {name: sha256((folder / name).read_bytes()) for name in names},
            "created_from": created_from,
        },
    )
