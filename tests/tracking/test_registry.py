"""Which version held the alias before; the registry itself is asked in tests/registration."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST

from pipeline.tracking import registry
from pipeline.tracking.registry import Move, line_of


def moved(version, before, how="promoted"):
    return Move(version, before, how, "me", "")


FIRST, SECOND, THIRD = moved("1", None), moved("2", "1"), moved("3", "2")


@pytest.mark.parametrize(
    ("name", "moves", "holder", "line"),
    [
        ("nothing was ever registered", [], None, []),
        ("an alias set before moves were remembered", [], "4", ["4"]),
        ("promotions add to it", [FIRST, SECOND, THIRD], "3", ["1", "2", "3"]),
        ("a rollback takes its end away", [FIRST, SECOND, THIRD, moved("2", "3", "rolled back")], "2", ["1", "2"]),
        (
            "two take two away",
            [FIRST, SECOND, THIRD, moved("2", "3", "rolled back"), moved("1", "2", "rolled back")],
            "1",
            ["1"],
        ),
        (
            "what comes after a rollback goes back to where that went",
            [FIRST, SECOND, moved("1", "2", "rolled back"), moved("3", "1")],
            "3",
            ["1", "3"],
        ),
        ("the same again, by force", [FIRST, SECOND, moved("1", "2", "forced")], "1", ["1", "2", "1"]),
        ("the same twice", [FIRST, moved("1", "1", "forced")], "1", ["1"]),
        ("forward by hand", [FIRST, SECOND], "5", ["1", "2", "5"]),
        ("back by hand", [FIRST, SECOND], "1", ["1"]),
        ("by hand, seen by the next move", [FIRST, moved("3", "2")], "3", ["1", "2", "3"]),
        ("the holder was deleted", [FIRST, SECOND], None, ["1", "2"]),
        ("a move that was not remembered", [FIRST], "2", ["1", "2"]),
        ("rolled back to what no line leads to", [FIRST, moved("7", "1", "rolled back")], "7", ["7"]),
    ],
)
def test_line_of(name, moves, holder, line):
    assert line_of(moves, holder) == line


class FakeClient:
    """Refuses whatever it is asked."""

    def __init__(self, code):
        self.error = MlflowException("refused", code)

    def get_model_version_by_alias(self, model, alias):
        raise self.error

    def get_model_version(self, model, version):
        raise self.error

    def get_registered_model(self, model):
        raise self.error


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no such model, or an alias of a version that is gone", RESOURCE_DOES_NOT_EXIST),
        ("no such alias", INVALID_PARAMETER_VALUE),
    ],
)
def test_an_alias_of_nothing_is_held_by_none(name, code):
    client = FakeClient(code)
    assert registry.holder(client, "alpr", "champion") is None
    assert not registry.exists(client, "alpr", "1")
    assert registry.moves(client, "alpr", "champion") == []


def test_a_registry_that_does_not_let_us_look_is_not_taken_for_an_empty_one():
    client = FakeClient(PERMISSION_DENIED)
    for asked in (
        lambda: registry.holder(client, "alpr", "champion"),
        lambda: registry.exists(client, "alpr", "1"),
        lambda: registry.moves(client, "alpr", "champion"),
    ):
        with pytest.raises(MlflowException, match="refused"):
            asked()


def test_a_user_without_a_name(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(registry.getpass, "getuser", nobody)
    assert registry.user() == "unknown"
