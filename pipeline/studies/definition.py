"""study.yaml: the settings that a study compares, each a few values of params.yaml changed.

A factor names its alternatives; what the base says instead is the alternative that all factors share. One at a time, a
study of head (ssd, yolo) and decoder (slots) has four settings: base, ssd, yolo, slots; as a grid it has six.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.params import Params, Strict

BASE = "base"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]  # a part of a git ref
Value = bool | int | float | str | None | list[str]
Changes = dict[str, Value]  # dotted keys of params.yaml
Design = Literal["one-at-a-time", "grid"]


class StudyError(ValueError):
    """A study that cannot be run as it stands; the message says where and why."""


class Study(Strict):
    name: Name
    design: Design = "one-at-a-time"
    base: Changes = Field(default_factory=dict)  # shared by all settings
    factors: Annotated[dict[Name, dict[Name, Changes]], Field(min_length=1)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Study:
        named = [("base", self.base)] if self.base else []
        for factor, alternatives in self.factors.items():
            if not alternatives:
                raise ValueError(f"factor {factor} has no alternative")
            named += [(f"{factor}: {alternative}", changes) for alternative, changes in alternatives.items()]
            if BASE in alternatives:
                raise ValueError(f"factor {factor}: its alternative {BASE!r} is there by itself")
        for place, changes in named:
            if not changes:
                raise ValueError(f"{place} changes nothing")
            if own := [key for key in changes if key.startswith("register.")]:
                raise ValueError(f"{place}: {own[0]}: a study registers under a name of its own")
        return self


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: of each factor that is not at its base, the alternative; and all that this changes."""

    levels: tuple[tuple[str, str], ...]
    changes: Mapping[str, Value] = field(hash=False)

    @property
    def label(self) -> str:
        return ", ".join(f"{factor}: {alternative}" for factor, alternative in self.levels) or BASE

    def differs(self, base: Setting) -> Changes:
        """What it changes that the base does not."""
        return {key: value for key, value in self.changes.items() if (key, value) not in base.changes.items()}

    def experiment(self, study: str, code: str) -> str:
        """The name of the DVC experiment: the same for the same changes on the same code and params (a digest)."""
        words = "-".join([study, *(word for level in self.levels for word in level)])
        told = json.dumps([code, self.label, dict(self.changes)], sort_keys=True)
        return f"{words[:120]}-{hashlib.sha256(told.encode()).hexdigest()[:7]}"


def load(path: Path) -> Study:
    """Reads study.yaml; StudyError names each key that is unknown, missing or of a wrong kind."""
    try:
        return Study.model_validate(yaml.load(path.read_text(encoding="utf-8"), _NoRepeats))
    except FileNotFoundError:
        raise StudyError(f"{path} is not here; docs/studies.md shows what stands in one") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc'])) or 'study'}: {e['msg']}" for e in error.errors()]
        raise StudyError("\n".join(lines)) from None


class _NoRepeats(yaml.SafeLoader):
    """YAML in which a key given twice is an error; by itself the last one wins, and a setting would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(
                f"{twice[0]} stands there twice, the first in line {node.start_mark.line + 1} or below"
            )
        return super().construct_mapping(node, deep)


def settings(study: Study, design: Design | None = None) -> list[Setting]:
    """All settings, the base first; StudyError where two factors of a grid change the same key."""
    levels = [[(factor, name) for name in alternatives] for factor, alternatives in study.factors.items()]
    if (design or study.design) == "one-at-a-time":
        return [_setting(study, ())] + [_setting(study, (level,)) for factor in levels for level in factor]
    chosen = itertools.product(*([None, *factor] for factor in levels))
    return [_setting(study, tuple(level for level in combination if level)) for combination in chosen]


def _setting(study: Study, levels: tuple[tuple[str, str], ...]) -> Setting:
    changed: Changes = {}
    for factor, alternative in levels:
        changes = study.factors[factor][alternative]
        if both := sorted(changed.keys() & changes):
            raise StudyError(f"two factors change {both[0]} ({Setting(levels, {}).label}): no grid can be made of them")
        changed |= changes
    return Setting(levels, study.base | changed)


def check(wanted: list[Setting], params: Mapping[str, Any], place: str = "study.yaml") -> None:
    """StudyError for the first setting that pipeline/params.py refuses, before any of them is run."""
    for setting in wanted:
        document = json.loads(json.dumps(params))
        for key, value in setting.changes.items():
            *sections, last = key.split(".")
            inner = document
            for section in sections:
                inner = inner.get(section) if isinstance(inner, dict) else None
            if not isinstance(inner, dict) or last not in inner:
                raise StudyError(f"{place}: {setting.label}: params.yaml has no {key}")
            inner[last] = value
        try:
            Params.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise StudyError(f"{place}: {setting.label}: {key}: {first['msg']}") from None


def overrides(changes: Mapping[str, Value]) -> list[str]:
    """What `dvc exp run` takes after -S; JSON is how Hydra, which reads it, quotes."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]
