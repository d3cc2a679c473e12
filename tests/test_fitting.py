"""Training goes on after a kill as if nothing had happened, stops where it should, and keeps what was best."""

import json
import shutil
import time

import keras
import numpy as np
import pytest

from pipeline import costs, fitting
from pipeline.fitting import Batches, Schedule, TrainingError, fit

SCHEDULE = Schedule(epochs=3, learning_rate=0.05, patience=9, ema=0.8, seed=3)


class Killed(BaseException):
    """As a signal: no `except Exception` sees it."""


class Rows(Batches):
    """2 batches of 8 rows of a noisy line, drawn anew from (seed, epoch). `kill` is the epoch that does not end."""

    def __init__(self, seed: int = 0, kill: int | None = None) -> None:
        super().__init__()
        self._seed, self._kill = seed, kill

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int):
        rng = np.random.default_rng([self._seed, self.epoch, index])
        x = rng.normal(size=(8, 3)).astype(np.float32)
        y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + rng.normal(size=(8, 1)).astype(np.float32) / 10
        return x, y

    def on_epoch_end(self) -> None:
        if self._kill == self.epoch:
            raise Killed


def network(seed: int) -> keras.Model:
    """Two layers, with a BatchNormalization between, whose statistics belong to the state as well."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((3,), name="x")
    x = keras.layers.Dense(4, name="hidden")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    return keras.Model(image, keras.layers.Dense(1, name="out")(x), name="tiny")


def squares(target, output):
    return {"squares": keras.ops.mean((target - output) ** 2)}


def run(work, model, train=None, schedule=SCHEDULE, fingerprint="f", validation=None, loss=squares):
    return fit(model, loss, train or Rows(), validation or Rows(seed=99), schedule, work, fingerprint, verbose=0)


def losses(history):
    """A history without what its epochs cost: no two runs take the same time."""
    return [{name: row[name] for name in ("epoch", "loss", "val_loss")} for row in history]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """(weights, history, state) of a run that nobody disturbed."""
    work = tmp_path_factory.mktemp("whole")
    model = network(1)
    history = run(work, model)
    return model.get_weights(), history, work / "state.npz"


@pytest.mark.parametrize("epoch", [0, 1, 2], ids="killed in epoch {}".format)
def test_a_killed_run_ends_where_it_would_have_ended(tmp_path, uninterrupted, epoch: int, capsys) -> None:
    weights, history, _ = uninterrupted
    with pytest.raises(Killed):
        run(tmp_path, network(1), Rows(kill=epoch))
    # A new process starts from other random weights, unless none had been saved yet.
    model = network(1 if epoch == 0 else 2)
    resumed = run(tmp_path, model)
    assert losses(resumed) == losses(history)
    for mine, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (f"resumed after epoch {epoch} " in capsys.readouterr().out) == (epoch > 0)


def test_a_finished_run_is_not_trained_again(tmp_path, uninterrupted) -> None:
    weights, history, state = uninterrupted
    shutil.copy(state, tmp_path)
    model = network(2)
    assert run(tmp_path, model, Rows(kill=0)) == history, "with what its epochs cost then"
    for mine, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def flip(state) -> None:
    data = bytearray(state.read_bytes())
    data[data.index(b"fingerprint")] ^= 1
    state.write_bytes(data)


OTHERS = {
    "of other data or params": (lambda state: None, "g", "belongs to other data or params"),
    "cut off": (lambda state: state.write_bytes(state.read_bytes()[:500]), "f", "is damaged"),
    "with a flipped byte": (flip, "f", "is damaged"),
    "empty": (lambda state: state.write_bytes(b""), "f", "is damaged"),
}


@pytest.mark.parametrize(("spoil", "fingerprint", "message"), OTHERS.values(), ids=OTHERS.keys())
def test_a_state_that_is_not_this_runs_is_not_used(
    tmp_path, uninterrupted, spoil, fingerprint: str, message: str, capsys
) -> None:
    shutil.copy(uninterrupted[2], tmp_path)
    spoil(tmp_path / "state.npz")
    history = run(tmp_path, network(1), schedule=Schedule(1, 0.05, 9, 0.8, seed=3), fingerprint=fingerprint)
    assert [row["epoch"] for row in history] == [1], "the old state had 3 epochs"
    assert message in (printed := capsys.readouterr().out)
    assert "starting anew" in printed
    with np.load(tmp_path / "state.npz") as archive:
        assert json.loads(archive["header"].tobytes()) == {"fingerprint": fingerprint, "history": history}


def test_an_epoch_says_what_it_cost(tmp_path) -> None:
    class Slow(Rows):
        def __getitem__(self, index: int):
            time.sleep(0.1)
            return super().__getitem__(index)

    first, second = run(tmp_path, network(1), Slow(), Schedule(2, 0.05, 9, 0.8, seed=3))
    assert 0.2 <= second["seconds"] <= first["seconds"], "the first builds the graph; two batches of 0.1 s and more"
    assert 50 < first["memory_mb"] <= second["memory_mb"] < 100_000
    assert 0 < second["cpu_percent"] <= 100


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["NaN", "infinite"])
def test_a_loss_that_is_not_finite_names_its_batch(tmp_path, value: float, uninterrupted) -> None:
    class Poisoned(Rows):
        def __getitem__(self, index: int):
            x, y = super().__getitem__(index)
            return x, np.full_like(y, value) if (self.epoch, index) == (1, 1) else y

    with pytest.raises(TrainingError, match=r"not finite in epoch 2, batch 2; the last good state is kept in .*"):
        run(tmp_path, network(1), Poisoned())
    with np.load(tmp_path / "state.npz") as archive:
        assert losses(json.loads(archive["header"].tobytes())["history"]) == losses(uninterrupted[1][:1])
        assert all(np.isfinite(archive[name]).all() for name in archive.files)


def test_a_validation_loss_that_is_not_finite_stops_too(tmp_path) -> None:
    class Poisoned(Rows):
        def __getitem__(self, index: int):
            x, y = super().__getitem__(index)
            return x * np.nan, y

    with pytest.raises(TrainingError, match="the validation loss is not finite after epoch 1"):
        run(tmp_path, network(1), validation=Poisoned())
    assert not (tmp_path / "state.npz").exists()


def test_it_stops_when_validation_no_longer_gets_better(tmp_path, capsys) -> None:
    """Validation wants the opposite line: the first epoch is the best."""

    class Opposite(Rows):
        def __getitem__(self, index: int):
            x, y = super().__getitem__(index)
            return x, -10 * y

    schedule = Schedule(epochs=9, learning_rate=0.05, patience=2, ema=0.0, seed=3)
    model = network(1)
    history = run(tmp_path, model, schedule=schedule, validation=Opposite(seed=99))
    losses = [row["val_loss"] for row in history]
    assert len(history) == int(np.argmin(losses)) + 1 + 2 < 9
    assert "no better validation loss for 2 epochs: stopped after epoch 3" in capsys.readouterr().out
    best = fitting.Objective(model, squares)
    best.compile()
    assert float(best.evaluate(Opposite(seed=99), verbose=0)) == pytest.approx(min(losses), rel=1e-5)
    # Resumed, it has still stopped.
    assert run(tmp_path, network(2), Rows(kill=3), schedule, validation=Opposite(seed=99)) == history


def test_what_remains_is_the_best_moving_average(tmp_path) -> None:
    """The average is redone by hand from the weights after every step."""
    model = network(1)
    start = [np.array(weight) for weight in model.get_weights()]
    steps: list[list[np.ndarray]] = []
    update = fitting._Average.on_train_batch_end

    def watch(self, batch, logs=None) -> None:
        steps.append([np.array(weight) for weight in self.model.network.get_weights()])
        update(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting._Average, "on_train_batch_end", watch)
        history = run(tmp_path, model)
    assert len(steps) == 3 * 2
    average, after_epochs = start, []
    for number, weights in enumerate(steps, start=1):
        decay = min(0.8, (1 + number) / (10 + number))
        average = [decay * old + (1 - decay) * new for old, new in zip(average, weights, strict=True)]
        if number % 2 == 0:
            after_epochs.append(average)
    best = int(np.argmin([row["val_loss"] for row in history]))
    for mine, expected in zip(model.get_weights(), after_epochs[best], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(model.get_weights()[0], steps[-1][0]), "the average lags behind the last weights"


def test_no_epochs_leave_the_network_as_it_was(tmp_path) -> None:
    model = network(1)
    before = model.get_weights()
    assert run(tmp_path, model, schedule=Schedule(0, 0.05, 2, 0.5)) == []
    for mine, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_without_validation_the_training_loss_decides(tmp_path) -> None:
    history = fit(network(1), squares, Rows(), None, Schedule(2, 0.05, 9, 0.5), tmp_path, "f", verbose=0)
    assert [row["val_loss"] for row in history] == [row["loss"] for row in history]


def test_the_parts_of_a_loss_are_summed() -> None:
    objective = fitting.Objective(network(1), lambda y, p: {"a": keras.ops.mean(p) * 0 + 2.0, "b": 0.5})
    assert float(objective.compute_loss(y=np.ones((2, 1)), y_pred=np.ones((2, 1)))) == pytest.approx(2.5)


def test_history_is_written_as_a_table(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    cost = {"seconds": 3.5, "memory_mb": 900.0, "cpu_percent": 50.0}
    history = [{"epoch": 1.0, "loss": 0.5, "val_loss": 0.25}, {"epoch": 2.0, "loss": 0.4, "val_loss": 0.2, **cost}]
    path = tmp_path / "deep" / "history.csv"
    fitting.write_history(path, history)
    assert path.read_text() == "epoch,loss,val_loss\n1,0.5,0.25\n2,0.4,0.2\n"
    assert costs.of_history(path).read_text() == (
        "epoch,seconds,memory_mb,cpu_percent\n"
        "1,,,\n"  # resumed from a state of before costs were kept
        "2,3.5,900.0,50.0\n"
    )
    before = path.read_bytes()
    fitting.write_history(path, [row | {"seconds": 9.0} for row in history])
    assert path.read_bytes() == before, "the same curves are the same bytes, however long they took"


def test_variables_are_put_back_by_path() -> None:
    one, other = network(1), network(2)
    arrays = fitting.variables(one)
    assert set(arrays) >= {"hidden/kernel", "hidden/bias", "bn/moving_mean", "out/kernel"}
    fitting.assign(other, arrays, "models/detector")
    for mine, theirs in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


WRONG = {
    "one is missing": ({"bn/gamma": None}, "models/detector has no bn/gamma: it is a checkpoint of another network"),
    "of another shape": ({"hidden/kernel": np.ones((3, 5))}, r"hidden/kernel has shape \(3, 5\), the network \(3, 4\)"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_another_networks_variables_are_refused(changes, message: str) -> None:
    model = network(1)
    arrays = {name: value for name, value in {**fitting.variables(model), **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        fitting.assign(model, arrays, "models/detector")


def other_data(folder) -> None:
    np.save(folder / "train" / "labels.npy", np.ones((4, 12), np.int8))


def other_card(folder) -> None:
    (folder.parent / "start" / "card.json").write_text('{"epochs": 2}')


PRINTS = {
    "nothing": (lambda folder: None, {}, True),
    "what no training reads": (lambda folder: (folder / "train" / "seen.txt").write_text("a"), {}, True),
    "the data": (other_data, {}, False),
    "the validation data": (lambda folder: np.save(folder / "val" / "labels.npy", np.ones(3)), {}, False),
    "the params": (lambda folder: None, {"settings": {"width": 32}}, False),
    "the seed": (lambda folder: None, {"seed": 2}, False),
    "the checkpoint to start from": (other_card, {}, False),
    "no checkpoint to start from": (lambda folder: None, {"starts": [None]}, False),
}


@pytest.mark.parametrize(("change", "changes", "same"), PRINTS.values(), ids=PRINTS.keys())
def test_the_fingerprint_follows_data_params_and_checkpoints(tmp_path, change, changes, same: bool) -> None:
    for name in ("data/train", "data/val", "start"):
        (tmp_path / name).mkdir(parents=True)
    np.save(tmp_path / "data/train/labels.npy", np.zeros((4, 12), np.int8))
    (tmp_path / "start/card.json").write_text('{"epochs": 1}')
    given = {"settings": {"width": 16}, "seed": 1, "starts": [None, tmp_path / "start"]}
    first = fitting.fingerprint(tmp_path / "data", **given)
    change(tmp_path / "data")
    assert (fitting.fingerprint(tmp_path / "data", **{**given, **changes}) == first) == same
