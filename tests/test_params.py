"""params.yaml as committed loads, hides no key, and each key is used; what is wrong is named by its key."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pipeline.params import Params, ParamsError, Strict, load

ROOT = Path(__file__).parent.parent
COMMITTED = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def keys_of_yaml(tree: dict[str, Any]) -> Iterator[str]:
    for name, value in tree.items():
        yield name
        if isinstance(value, dict):
            yield from (f"{name}.{key}" for key in keys_of_yaml(value))


def keys_of_model(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key
        if isinstance(field.annotation, type) and issubclass(field.annotation, Strict):
            yield from (f"{key}.{inner}" for inner in keys_of_model(field.annotation))


KEYS = sorted(keys_of_model(Params))
SECTIONS = [key for key in COMMITTED if isinstance(COMMITTED[key], dict)]


def written(tmp_path: Path, tree: Any) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree), encoding="utf-8")
    return path


def changed(key: str, value: Any) -> dict[str, Any]:
    """The committed params with one dotted key set."""
    tree = copy.deepcopy(COMMITTED)
    *sections, last = key.split(".")
    place = tree
    for name in sections:
        place = place[name]
    place[last] = value
    return tree


def test_the_committed_file_loads_and_says_every_key() -> None:
    load(ROOT / "params.yaml")
    assert sorted(keys_of_yaml(COMMITTED)) == KEYS


@pytest.mark.parametrize("key", [key for key in KEYS if key not in SECTIONS])
def test_every_key_is_used(key: str) -> None:
    """Beside params.py, some module reads it as an attribute or names it in a list of attributes."""
    name = key.split(".")[-1]
    used = re.compile(rf"\.{name}\b|\"{name}\"")
    sources = [path for path in (ROOT / "pipeline").rglob("*.py") if path.name != "params.py"]
    assert any(used.search(path.read_text(encoding="utf-8")) for path in sources), f"nothing reads {key}"


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_an_unknown_key_is_named(tmp_path: Path, section: str) -> None:
    key = f"{section}.epochz".lstrip(".")
    with pytest.raises(ParamsError, match=rf"params\.yaml: {re.escape(key)}: Extra inputs"):
        load(written(tmp_path, changed(key, 3)))


OPTIONAL = {key for key in KEYS if re.search(r"\.(sha256|limit|track|labels|folds|fold|freeze)$", key)}
REQUIRED = [key for key in KEYS if key not in OPTIONAL and key not in ("pull", "sync_labels")]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    tree = copy.deepcopy(COMMITTED)
    *sections, last = key.split(".")
    place = tree
    for name in sections:
        place = place[name]
    del place[last]
    with pytest.raises(ParamsError, match=rf"params\.yaml: {re.escape(key)}: Field required"):
        load(written(tmp_path, tree))


WRONG = {
    "no source": ("sources", []),
    "unknown source": ("sources", ["imagenet"]),
    "share above one": ("curate.test", 1.5),
    "share below zero": ("validate.max_failed", -0.1),
    "share that is no number": ("curate.val", float("nan")),
    "no batch": ("train_reader.batch_size", 0),
    "half an epoch": ("train_detector.epochs", 1.5),
    "negative epochs": ("train_detector.epochs", -1),
    "stride between": ("train_detector.stride", 6),
    "unknown backbone": ("train_detector.backbone", "resnet50"),
    "too many bits": ("curate.phash_distance", 65),
    "text for a number": ("seed", "seven"),
    "pattern that does not close": ("voc.track", "(cars"),
    "pattern without a group": ("voc.track", "cars[0-9]+"),
}


@pytest.mark.parametrize(("key", "value"), WRONG.values(), ids=WRONG.keys())
def test_a_value_out_of_range_is_named(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ParamsError, match=rf"params\.yaml: {re.escape(key)}"):
        load(written(tmp_path, changed(key, value)))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    tree = changed("curate.test", 2)
    tree["train_reader"]["epochs"] = "many"
    with pytest.raises(ParamsError) as caught:
        load(written(tmp_path, tree))
    assert len(str(caught.value).splitlines()) == 2


FILES = {
    "empty": ("", "params.yaml"),
    "a list": ("- seed\n- sources\n", "params.yaml"),
    "not YAML": ("seed: [7\n", "is not YAML"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_params(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        load(written(tmp_path, text))


def test_a_missing_file_says_where_to_stand(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="run from the project's root"):
        load(tmp_path / "params.yaml")


def test_numbers_as_yaml_writes_them(tmp_path: Path) -> None:
    """YAML reads 1e-4 as a text: it is the number that was meant."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("learning_rate: 0.0001", "learning_rate: 1e-4")
    loaded = load(written(tmp_path, text))
    assert loaded.train_detector.learning_rate == loaded.train_reader.learning_rate == 1e-4


def test_params_do_not_change() -> None:
    loaded = load(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 8  # type: ignore[misc]
