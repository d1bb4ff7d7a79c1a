"""Going on from a checkpoint with other settings: refused by name, or those of the file or of the call, as one says."""

import functools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from training_run import comparable

import tinyreg as tr
from tinyreg.training import Callback, EarlyStopping, fit, load, save

X = tr.Tensor(np.random.default_rng(0).normal(size=(24, 3)).astype("float32"))
Y = tr.Tensor(np.random.default_rng(1).normal(size=(24, 1)).astype("float32"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def parts(lr=0.01, momentum=0.9, p=0.5, seed=0, step_size=2, gamma=0.5):
    """A model with dropout, its optimizer and a schedule, as a script makes them."""
    tr.seed(seed)
    nn = tr.nn
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 1))
    optimizer = tr.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    return model, optimizer, tr.optim.StepLR(optimizer, step_size, gamma)


def script(path, epochs=3, scheduled=True, loss=tr.losses.mse, fitted=None, **settings):
    """The script, run once; gives the model, the optimizer and the history."""
    own = {key: settings.pop(key) for key in ("lr", "momentum", "p", "seed", "step_size", "gamma") if key in settings}
    model, optimizer, schedule = fitted or parts(**own)
    settings = {"batch_size": 8, "progress": False, **settings}
    if scheduled:
        settings["schedule"] = schedule
    history = fit(model, (X, Y), loss=loss, optimizer=optimizer, epochs=epochs, checkpoint=path, **settings)
    return model, optimizer, history


def weights(model):
    return comparable(model.state_dict())


def smoothed(eps):
    return lambda output, y: (1 - eps) * tr.losses.mse(output, y)


def weighed(output, y, factor):
    return factor * tr.losses.mse(output, y)


OTHERS = {
    "lr": ({"lr": 0.02}, "lr: 0.01 there, 0.02 here"),
    "another setting of the optimizer": ({"momentum": 0.5}, "momentum: 0.9 there, 0.5 here"),
    "dropout": ({"p": 0.25}, "model.2.p: 0.5 there, 0.25 here"),
    "gamma": ({"gamma": 0.25}, "schedule.gamma: 0.5 there, 0.25 here"),
    "no schedule": ({"scheduled": False}, "schedule: StepLR there, NoneType here"),
    "batch size": ({"batch_size": 4}, "batch_size: 8 there, 4 here"),
    "shuffle": ({"shuffle": False}, "shuffle: True there, False here"),
    "drop_last": ({"drop_last": True}, "drop_last: False there, True here"),
    "clip_norm": ({"clip_norm": 1.0}, "clip_norm: None there, 1.0 here"),
    "seed": ({"seed": 1}, "seed of default rng: 0 there, 1 here"),
    "seed of fit": ({"rng": 5}, None),
    "loss": ({"loss": tr.losses.mae}, "loss: mse there, mae here"),
    "penalty": ({"penalty": lambda model: tr.regularizers.l2(model.parameters(), 0.1)}, "penalty: None there, <lambda>"),
    "transform": ({"transform": lambda x, y, rng: (2 * x, y)}, "transform: None there, <lambda>"),
    "fewer epochs": ({"epochs": 2}, "epochs: 3 done there, 2 here"),
}
CODE = ("loss", "penalty", "transform", "no schedule")


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if OTHERS[kind][1]])
def test_another_setting_is_named_and_nothing_is_changed(path, kind, capsys):
    other, text = OTHERS[kind]
    script(path)
    file = path.read_bytes()
    fitted = parts(**{key: value for key, value in other.items() if key in ("lr", "momentum", "p", "gamma", "seed")})
    other = {key: value for key, value in other.items() if key not in ("lr", "momentum", "p", "gamma", "seed")}
    before, state = weights(fitted[0]), comparable(fitted[1].state_dict())
    rng = tr.random.default_generator.state
    with pytest.raises(ValueError, match=r"fit: .*run.safetensors holds a run with other settings\n.*") as caught:
        script(path, fitted=fitted, **{"epochs": 5, **other})
    assert text in str(caught.value)
    assert str(caught.value).endswith(
        "\n  try a new file for a new run; or resume='file' or resume='call', whose settings the run then goes on with"
    )
    assert weights(fitted[0]) == before
    assert comparable(fitted[1].state_dict()) == state
    assert tr.random.default_generator.state == rng
    assert path.read_bytes() == file
    assert capsys.readouterr() == ("", "")


def test_all_that_differs_is_named_at_once(path):
    script(path, rng=5)
    with pytest.raises(ValueError, match="with other settings") as caught:
        script(path, lr=0.02, p=0.1, rng=6, seed=3)
    for text in ("lr: 0.01 there, 0.02 here", "model.2.p: 0.5", "seed of rng: 5 there, 6 here", "seed of default rng: 0"):
        assert text in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if OTHERS[kind][1] and kind not in CODE])
def test_with_the_settings_of_the_file_it_goes_on_as_if_nothing_had_differed(path, kind):
    script(path, 3)
    model, optimizer, history = script(path, **{"epochs": 5, **OTHERS[kind][0]}, resume="file")
    expected, other, rows = script(path.with_name("other"), len(history))
    assert len(history) == (3 if kind == "fewer epochs" else 5)
    assert weights(model) == weights(expected)
    assert history.epochs == rows.epochs
    assert comparable(optimizer.state_dict()) == comparable(other.state_dict())


@pytest.mark.parametrize("kind", CODE)
def test_code_cannot_come_from_a_file(path, kind):
    script(path)
    with pytest.raises(ValueError, match="the same here, since these are code, which no file can hold; or resume='call'"):
        script(path, 5, resume="file", **OTHERS[kind][0])


@pytest.mark.parametrize("kind", OTHERS)
def test_with_the_settings_of_the_call_it_goes_on_with_them(path, kind, capsys):
    script(path, 3)
    model, optimizer, history = script(path, **{"epochs": 5, **OTHERS[kind][0]}, resume="call")
    assert len(history) == (3 if kind == "fewer epochs" else 5)
    assert history.epochs[:3] == load(path)["history"]["epochs"][:3]
    if kind == "lr":
        assert history["lr"] == pytest.approx([0.01, 0.01, 0.005, 0.01, 0.005])
        assert "goes on from run.safetensors after epoch 3 of 5, with lr=0.02, initial_lr=0.02" in capsys.readouterr().err
    if kind == "gamma":
        assert history["lr"] == pytest.approx([0.01, 0.01, 0.005, 0.0025, 0.000625])
    assert optimizer.param_groups[0]["momentum"] == (0.5 if "setting" in kind else 0.9)
    assert model[2].p == (0.25 if kind == "dropout" else 0.5)
    if kind != "fewer epochs":
        again = script(path, **{"epochs": 6, **OTHERS[kind][0]})[2]  # these are now the settings of the run
        assert len(again) == 6


def test_the_rate_of_the_call_is_the_rate_of_the_steps(path):
    """Without dropout and shuffling, from the same weights and velocities: the step is twice as long."""
    settings = {"scheduled": False, "p": 0.0, "shuffle": False, "momentum": 0.0, "batch_size": 24}
    start = script(path, 1, **settings)[0].state_dict()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    one = script(path, 2, **settings)[0].state_dict()
    two = script(copy, 2, lr=0.02, resume="call", **settings)[0].state_dict()
    for name, at in start.items():
        np.testing.assert_allclose((two[name] - at).numpy(), 2 * (one[name] - at).numpy(), atol=1e-6)


def test_the_plain_values_in_a_loss_are_compared(path):
    script(path, loss=smoothed(0.1))
    script(path, loss=smoothed(0.1))
    with pytest.raises(ValueError, match=r"loss: <lambda>\(.*0\.1.*\) there, <lambda>\(.*0\.2.*\) here"):
        script(path, loss=smoothed(0.2))
    other = path.with_name("other")
    script(other, loss=functools.partial(weighed, factor=2.0))
    with pytest.raises(ValueError, match=r"loss: weighed\(.*2\.0\)\) there, weighed\(.*3\.0\)\) here"):
        script(other, loss=functools.partial(weighed, factor=3.0))


class Activated(tr.nn.Module):
    """With an activation as an attribute, numbers that are data, and a counter."""

    def __init__(self, act):
        self.line, self.act, self.calls, self.table = tr.nn.Linear(3, 1), act, 0, list(range(100))
        self.best = float("nan")

    def forward(self, x):
        self.calls += 1
        return self.act(self.line(x))


def test_functions_in_a_model_are_compared_and_what_counts_is_not(path):
    def run(act, epochs, model=None):
        model = model or Activated(act)
        return model, script(path, epochs, fitted=(model, tr.optim.SGD(model.parameters(), lr=0.01), None))[2]

    model, _ = run(tr.relu, 1)
    assert len(run(tr.relu, 2, model)[1]) == 2
    assert len(run(tr.relu, 3)[1]) == 3
    with pytest.raises(ValueError, match=r"\n  model.act: relu there, tanh here\n"):
        run(tr.tanh, 4)


def test_the_objects_of_the_run_themselves_may_be_used_again(path):
    """As in a notebook, where the schedule has lowered the rate meanwhile."""
    fitted = parts()
    script(path, 3, fitted=fitted)
    assert fitted[1].lr == 0.005
    assert script(path, 5, fitted=fitted)[2].epochs == script(path.with_name("other"), 5)[2].epochs


def test_a_rate_that_was_set_by_hand_between_two_calls_is_a_difference(path):
    fitted = parts()
    script(path, 3, fitted=fitted, scheduled=False)
    fitted[1].lr = 0.001
    with pytest.raises(ValueError, match=r"\n  lr: 0.01 there, 0.001 here\n"):
        script(path, 5, fitted=fitted, scheduled=False)
    assert fitted[1].lr == 0.001
    script(path, 5, fitted=fitted, scheduled=False, resume="call")
    assert fitted[1].lr == 0.001
    script(path, 6, fitted=fitted, scheduled=False, resume="file")
    assert fitted[1].lr == 0.001  # which is now what the file says


def test_a_rate_that_was_lowered_on_the_way_is_no_difference(path):
    class Lower(Callback):
        def on_epoch_end(self, run):
            run.optimizer.lr = 0.01 / 2**run.epoch
            run.model[2].p = 0.5 / 2**run.epoch

    settings = {"callbacks": [Lower()], "scheduled": False}
    script(path, 3, **settings)
    model, optimizer, history = script(path, 5, **settings)
    expected = script(path.with_name("other"), 5, **settings)
    assert (optimizer.lr, model[2].p) == (0.01 / 32, 0.5 / 32)
    assert weights(model) == weights(expected[0])
    assert history.epochs == expected[2].epochs


def test_a_seed_that_is_not_said_is_no_difference(path):
    script(path, 2)
    tr.random.default_generator.seed(None)
    fitted = parts()
    tr.random.default_generator.seed(None)
    assert len(script(path, 3, fitted=fitted)[2]) == 3


@pytest.mark.parametrize("how", ["call", "file"])
def test_with_the_seed_of_the_call_the_numbers_are_those_of_the_call(path, how):
    script(path, 3, rng=tr.Generator(5))
    rng = tr.Generator(6)
    script(path, 4, rng=rng, resume=how)
    expected = tr.Generator(6 if how == "call" else 5)
    for _ in range(1 if how == "call" else 4):
        expected.permutation(24)
    assert rng.state == expected.state


def test_the_generators_of_layers_are_compared_too(path):
    def run(seed):
        model = tr.nn.Sequential(tr.nn.Linear(3, 1), tr.nn.Dropout(0.5, rng=tr.Generator(seed)))
        optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
        return fit(model, (X, Y), loss=tr.losses.mse, optimizer=optimizer, epochs=1, checkpoint=path, progress=False)

    run(1)
    run(1)
    with pytest.raises(ValueError, match=r"seed of rng of 1\.rng: 1 there, 2 here"):
        run(2)


def test_a_checkpoint_without_settings_goes_on(path):
    script(path, 2)
    state = load(path)
    del state["settings"]
    save(path, **state)
    assert len(script(path, 3, lr=0.7)[2]) == 3


def test_an_unknown_way_to_resume(path):
    with pytest.raises(ValueError, match="fit: got resume='yes', expected one of 'error', 'file', 'call'"):
        script(path, resume="yes")


# ---- one line


def test_it_says_in_one_line_where_it_goes_on(path, capsys):
    script(path, 2)
    assert capsys.readouterr() == ("", "")
    script(path, 4)
    assert capsys.readouterr() == ("", "fit: goes on from run.safetensors after epoch 2 of 4\n")
    script(path, 4)
    line = "fit: the run in run.safetensors has done 4 epochs, all that were asked for: nothing is trained\n"
    assert capsys.readouterr() == ("", line)


# ---- what early stopping leaves


class Score:
    """A metric that gets worse with each batch, so that the first epoch is the best."""

    def __init__(self):
        self.value = 0.0

    def __call__(self, output, target):
        self.value += 1.0
        return self.value

    def state_dict(self):
        return {"value": self.value}


def stopped(path, epochs=8, patience=2, early=True, extra=(), **settings):
    """A run whose first epoch is the best; the score goes on by the epochs that are done."""
    score = Score()

    class Keep(Callback):
        def on_start(self, run):
            score.value = 3.0 * run.epoch

    callbacks = [Keep(), *([EarlyStopping("score", patience=patience)] if early else []), *extra]
    return script(path, epochs, metrics={"score": score}, callbacks=callbacks, **settings)


def test_the_model_in_the_file_is_the_one_that_fit_left(path):
    model, *_ = stopped(path)
    last, *_ = stopped(path.with_name("other"), 3, early=False)
    assert weights(model) != weights(last)
    other, *_ = parts()
    load(path, model=other)
    assert weights(other) == weights(model)
    again, _, history = stopped(path)
    assert len(history) == 3
    assert weights(again) == weights(model)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault")])
def test_after_ctrl_c_too_and_an_error_leaves_the_last_epoch(path, error):
    class Raise(Callback):
        def on_batch_end(self, run):
            if run.epoch == 2:
                raise error

    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="a fault"):
            stopped(path, patience=9, extra=[Raise()])
        expected = stopped(path.with_name("other"), 2, early=False)[0]
    else:
        expected = stopped(path, patience=9, extra=[Raise()])[0]
    other, *_ = parts()
    load(path, model=other)
    assert weights(other) == weights(expected)
    assert len(stopped(path, 4, patience=9)[2]) == 4


@pytest.mark.parametrize("how", ["more patience", "without it"])
def test_a_run_that_was_stopped_goes_on_from_its_last_epoch(path, how):
    assert len(stopped(path)[2]) == 3
    settings = {"patience": 4} if how == "more patience" else {"early": False}
    model, _, history = stopped(path, **settings)
    expected, _, rows = stopped(path.with_name("other"), **settings)
    assert len(history) == len(rows) == (5 if how == "more patience" else 8)
    assert history.epochs == rows.epochs
    assert weights(model) == weights(expected)


def test_a_run_that_was_stopped_stays_so_where_nothing_else_is_said(path, capsys):
    first = stopped(path)[2]
    capsys.readouterr()
    assert stopped(path)[2].epochs == first.epochs
    line = (
        "was stopped by EarlyStopping after epoch 3: nothing is trained; with other settings of it, or without it, the run"
    )
    assert line in capsys.readouterr().err


class StopBelow(Callback):
    """Stops once the loss is low; it has no state, and counts what it sees."""

    def __init__(self, loss):
        self.loss, self.seen = loss, 0

    def on_epoch_end(self, run):
        self.seen += 1
        run.stop = run.history[-1]["loss"] < self.loss


def test_so_with_any_callback_that_stops(path):
    assert len(script(path, 4, callbacks=[StopBelow(100.0)])[2]) == 1
    assert len(script(path, 4, callbacks=[StopBelow(100.0)])[2]) == 1
    assert len(script(path, 4, callbacks=[StopBelow(0.0)])[2]) == 4


# ---- before the first epoch


class Never(Callback):
    def on_batch_end(self, run):
        raise AssertionError("it trains")


def test_a_folder_that_cannot_be_written_is_found_before_the_first_epoch(path, monkeypatch):
    def refuse(*args, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match=r"fit: got .*run.safetensors, but no file can be made in"):
        script(path, callbacks=[Never()])
    assert os.listdir(path.parent) == []


def test_a_missing_safetensors_is_found_before_the_first_epoch(path, monkeypatch):
    monkeypatch.delitem(sys.modules, "safetensors.numpy")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"tr\.training needs safetensors: pip install"):
        script(path, callbacks=[Never()])
