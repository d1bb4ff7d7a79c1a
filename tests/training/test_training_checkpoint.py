"""fit with a checkpoint: what is in the file, when a run goes on from it, and when it does not. NumPy, bit for bit."""

import contextlib
import math
import os

import pytest
import training_run
from training_run import comparable

import tinyreg as tr
from tinyreg import training
from tinyreg.training import Callback, EarlyStopping, fit, load, save


def left_by(folder, result):
    """All that a run left, to be compared by ==."""
    save(folder / "result", **result)
    return comparable(load(folder / "result"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint"


class Raise(Callback):
    """Raises in the batch after so many epochs."""

    def __init__(self, error, epochs):
        self.error, self.epochs = error, epochs

    def on_batch_end(self, run):
        if run.epoch == self.epochs:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault")])
def test_a_run_that_was_broken_off_goes_on_from_its_last_whole_epoch(tmp_path, path, error):
    expected = left_by(tmp_path, training_run.train(checkpoint=None))
    for epochs in (1, 2, 4):
        with contextlib.suppress(RuntimeError):
            training_run.train(path, [Raise(error, epochs)])
        assert len(load(path)["history"]["epochs"]) == epochs
    started = []

    class Started(Callback):
        def on_start(self, run):
            started.append(run.epoch)

    assert left_by(tmp_path, training_run.train(path, [Started()])) == expected
    assert started == [4]


def test_a_finished_run_is_not_trained_further(tmp_path, path):
    first = left_by(tmp_path, training_run.train(path))
    before = path.read_bytes()
    batches = []

    class Batch(Callback):
        def on_batch_end(self, run):
            batches.append(run.epoch)

    again = training_run.train(path, [Batch()])
    assert left_by(tmp_path, again) == first
    assert batches == []
    assert again["history"].epochs
    assert path.read_bytes() == before


# ---- with less around it

X = [[float(i), 1.0] for i in range(6)]
LINE = tr.nn.Linear(2, 1)


def short(path, epochs=2, model=None, **settings):
    model = model or tr.nn.Linear(2, 1)
    settings.setdefault("optimizer", tr.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    data = tr.tensor(X), tr.tensor([[1.0]] * 6)
    return fit(model, data, loss=tr.losses.mse, epochs=epochs, checkpoint=path, progress=False, **settings)


def test_more_epochs_go_on_where_the_run_ended(path):
    one, other = tr.nn.Linear(2, 1), tr.nn.Linear(2, 1)
    other.load_state_dict(one.state_dict())
    first = short(path, 2, one, rng=tr.Generator(0))
    more = short(path, 5, tr.nn.Linear(2, 1), rng=tr.Generator())
    at_once = short(path.with_name("other"), 5, other, rng=tr.Generator(0))
    assert len(first) == 2
    assert more.epochs == at_once.epochs


def test_a_checkpoint_from_before_gradients_were_clipped_goes_on(path):
    short(path, 2)
    more = short(path, 3, clip_norm=1.0, resume="call")["grad_norm"]
    assert [math.isnan(norm) for norm in more] == [True, True, False]


def test_a_run_that_was_stopped_stays_stopped(path):
    def early():
        return EarlyStopping("loss", patience=1, min_delta=1e9)

    first = short(path, 9, callbacks=[early()])
    assert len(first) == 2
    assert short(path, 9, callbacks=[early()]).epochs == first.epochs


def test_the_weights_come_out_of_a_checkpoint_without_the_rest(path):
    model, other = tr.nn.Linear(2, 1), tr.nn.Linear(2, 1)
    short(path, model=model)
    load(path, model=other)
    assert comparable(other.state_dict()) == comparable(model.state_dict())


def test_the_names_in_a_checkpoint(path):
    drop = [tr.nn.Dropout(0.5, rng=tr.Generator(seed)) for seed in (0, 1)]
    model = tr.nn.Sequential(tr.nn.Linear(2, 4), *drop, tr.nn.Linear(4, 1))
    optimizer = tr.optim.Adam(model.parameters())
    short(path, model=model, optimizer=optimizer, schedule=tr.optim.StepLR(optimizer, 1), callbacks=[EarlyStopping("loss")])
    # Whether the last epoch was the best depends on the weights that were drawn.
    assert [name for name in load(path) if name != "model after the last epoch"] == [
        "model",
        "optimizer",
        "history",
        "rng",
        "default rng",
        "rng of 1.rng",
        "rng of 2.rng",
        "callback 0 EarlyStopping",
        "schedule",
        "settings",
        "stopped by",
    ]


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"model": tr.nn.Linear(2, 1, bias=False)}, "the state has unknown bias"),
        (
            {"callbacks": [EarlyStopping("loss")]},
            r"load: .*checkpoint lacks callback 0 EarlyStopping; it has model, optimizer",
        ),
        ({"optimizer": tr.optim.Adam(LINE.parameters()), "model": LINE}, "got the state of SGD, expected one of Adam"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused_and_changes_nothing(path, other, text):
    short(path)
    model = other.get("model") or tr.nn.Linear(2, 1)
    state, before, file = model.state_dict(), tr.random.default_generator.state, path.read_bytes()
    with pytest.raises(ValueError, match=text):
        short(path, 4, **{"model": model, **other})
    assert comparable(model.state_dict()) == comparable(state)
    assert tr.random.default_generator.state == before
    assert path.read_bytes() == file


def test_a_damaged_checkpoint_is_refused_and_left_as_it_is(path):
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="load: .*checkpoint is damaged, cut short, or no safetensors file at all"):
        short(path)
    assert path.read_bytes() == b"not a checkpoint"


def test_a_checkpoint_in_a_folder_that_is_missing_is_refused_before_training(tmp_path):
    model = tr.nn.Linear(2, 1)
    before = model.state_dict()
    with pytest.raises(FileNotFoundError, match="but there is no folder .*missing; make it first"):
        short(tmp_path / "missing" / "checkpoint", model=model)
    assert comparable(model.state_dict()) == comparable(before)
    assert os.listdir(tmp_path) == []


def test_what_callbacks_do_to_the_run_at_the_end_of_an_epoch_is_in_the_checkpoint(path):
    class Note(Callback):
        def on_epoch_end(self, run):
            run.history[-1]["noted"] = float(run.epoch)
            run.model.bias.assign([7.0])

    short(path, 2, callbacks=[Note()])
    state = load(path)
    assert [row["noted"] for row in state["history"]["epochs"]] == [1.0, 2.0]
    assert state["model"]["bias"].tolist() == [7.0]


def test_a_callback_with_a_state_goes_on(path):
    class Count(Callback):
        def __init__(self):
            self.batches = 0

        def on_batch_end(self, run):
            self.batches += 1

        def state_dict(self):
            return {"batches": self.batches}

        def load_state_dict(self, state):
            self.batches = state["batches"]

    for epochs in (2, 5):
        count = Count()
        short(path, epochs, callbacks=[count], batch_size=2)
        assert count.batches == 3 * epochs


def test_public_names():
    assert set(training.__all__) >= {"fit", "EarlyStopping", "History", "save", "load", "Callback"}


# ---- files in which a run is not what it was


def spoilt(state, key, value=None):
    """The state with another value at a key, a path such as "settings/now"; without it for None."""
    first, _, rest = key.partition("/")
    new = dict(state)
    if rest:
        new[first] = spoilt(state[first], rest, value)
    elif value is None:
        del new[first]
    else:
        new[first] = value
    return new


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", None),
        ("model", 3),
        ("model", {"weight": 3}),
        ("model after the last epoch", {"weight": 3}),
        ("settings", 3),
        *((f"settings/{key}", value) for key in ("start", "now", "epochs") for value in (None, "x")),
        ("settings/start", {"lr": tr.ones(1)}),
        ("settings/now", {"lr": tr.ones(1)}),
        ("stopped by", 3),
        *((f"stopped by/{key}", value) for key in ("callback", "settings") for value in (None, 3)),
        ("stopped by/settings", [3]),
        ("stopped by/settings", [{}, {"patience": tr.ones(1)}]),
    ],
)
def test_a_file_that_holds_no_run_is_refused_and_left_as_it_is(path, key, value):
    early = EarlyStopping("loss", patience=1, min_delta=1e9)
    short(path, 9, callbacks=[early])
    save(path, **spoilt(load(path), key, value))
    before, model = path.read_bytes(), tr.nn.Linear(2, 1)
    weights = comparable(model.state_dict())
    with pytest.raises(ValueError, match="^fit: .*checkpoint holds .*, but no run that fit can go on with; choose"):
        short(path, 9, model=model, callbacks=[early])
    assert path.read_bytes() == before
    assert comparable(model.state_dict()) == weights


@pytest.mark.parametrize("part", ["optimizer", "history"])
def test_what_every_run_has_is_missed_also_where_the_call_decides(path, part):
    short(path)
    save(path, **spoilt(load(path), part))
    with pytest.raises(ValueError, match=part):
        short(path, resume="call")


@pytest.mark.parametrize("resume", ["file", "call"])
def test_fewer_epochs_than_are_done_are_those_of_the_file_or_none(path, resume):
    short(path, 5, callbacks=[Raise(KeyboardInterrupt(), 3)])
    history = short(path, 2, resume=resume)
    assert len(history) == (5 if resume == "file" else 3)


def test_a_file_that_is_gone_at_the_end_is_not_made_again(path):
    class Removes(Callback):
        def on_end(self, run):
            path.unlink()

    assert len(short(path, callbacks=[Removes()])) == 2
    assert not path.exists()


@pytest.mark.parametrize("lr", [1.0, 2.0])
@pytest.mark.parametrize("gamma", [0.5, 0.25])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rates_are_those_that_the_settings_of_the_call_would_have_had_by_then(path, lr, gamma, momentum):
    def go_on(epochs, lr, gamma, momentum):
        model = tr.nn.Linear(2, 1)
        optimizer = tr.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
        schedule = tr.optim.StepLR(optimizer, 1, gamma)
        history = short(path, epochs, model, optimizer=optimizer, schedule=schedule, resume="call")
        return history["lr"], optimizer.param_groups[0]["momentum"]

    go_on(2, 1.0, 0.5, 0.0)
    rates, now = go_on(4, lr, gamma, momentum)
    assert rates == [1.0, 0.5, lr * gamma**2, lr * gamma**3]
    assert now == momentum
