"""What goes on around fit's loop: callbacks, how a run is stopped or breaks off, and the progress bar."""

import io
import itertools
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fits import Line, data, quick

import tinyreg as tr
from tinyreg.training import Callback, EarlyStopping

pytestmark = pytest.mark.usefixtures("backend")


# ---- callbacks, and how it ends


class Notes(Callback):
    def __init__(self, notes, name=""):
        self.notes, self.name = notes, name

    def on_start(self, run):
        self.notes.append(f"{self.name}start {run.epoch}")

    def on_batch_end(self, run):
        self.notes.append(f"{self.name}batch")

    def on_epoch_end(self, run):
        self.notes.append(f"{self.name}epoch {run.epoch}/{run.epochs} of {len(run.history[-1])}")

    def on_end(self, run):
        self.notes.append(f"{self.name}end {run.epoch}")


def test_callbacks_are_called_in_order():
    notes = []
    quick(callbacks=[Notes(notes)], validation=data())
    epochs = [["batch"] * 3 + [f"epoch {i}/2 of 2"] for i in (1, 2)]
    assert notes == ["start 0", *epochs[0], *epochs[1], "end 2"]


def test_callbacks_end_like_contexts():
    notes = []
    quick(callbacks=[Notes(notes, "a "), Notes(notes, "b ")], epochs=1)
    assert [note for note in notes if "start" in note or "end" in note] == ["a start 0", "b start 0", "b end 1", "a end 1"]


class StopAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, run):
        run.stop = run.epoch == self.epoch


def test_a_callback_can_stop_the_run():
    _, history = quick(epochs=9, callbacks=[StopAfter(3)])
    assert len(history) == 3
    assert not history.interrupted


def test_a_weight_average_is_a_callback():
    model = Line()
    average = tr.optim.WeightAverage(model, decay=0.5)

    class Update(Callback):
        def on_batch_end(self, run):
            average.update()

    before = model.weight.numpy()
    quick(model, callbacks=[Update()], epochs=1, batch_size=10)
    np.testing.assert_allclose(average.averages[0].numpy(), (before + model.weight.numpy()) / 2, rtol=1e-12)


class Raise(Callback):
    def __init__(self, error, moment="on_batch_end", epoch=2):
        self.error, self.epoch = error, epoch
        setattr(self, moment, self.act)

    def act(self, run):
        if run.epoch == self.epoch:
            raise self.error


@pytest.mark.parametrize("moment", ["on_batch_end", "on_epoch_end"])
def test_ctrl_c_ends_training_cleanly(moment):
    notes = []
    model, history = quick(epochs=9, callbacks=[Notes(notes), Raise(KeyboardInterrupt(), moment)])
    assert len(history) == 2
    assert history.interrupted
    assert notes[-1] == "end 2"
    assert model.training


def test_an_error_is_passed_on_after_the_callbacks_have_ended():
    notes = []
    with pytest.raises(RuntimeError, match="a fault"):
        quick(epochs=9, callbacks=[Notes(notes), Raise(RuntimeError("a fault"))])
    assert notes[-1] == "end 2"


def test_a_callback_that_did_not_start_does_not_end():
    notes = []
    with pytest.raises(RuntimeError, match="at the start"):
        quick(callbacks=[Notes(notes, "a "), Raise(RuntimeError("at the start"), "on_start", 0), Notes(notes, "b ")])
    assert notes == ["a start 0", "a end 0"]


# ---- the bar


def test_the_bar_shows_loss_validation_and_speed(capsys):
    pytest.importorskip("tqdm")
    _, history = quick(epochs=3, validation=data(), progress=True)
    printed = capsys.readouterr()
    *_, last, end = re.split("[\r\n]", printed.err.strip())
    assert end == "fit: all 3 epochs are done"
    loss, validation = history[-1]["loss"], history[-1]["validation_loss"]
    assert "epoch 3/3" in last
    assert "9/9" in last
    assert re.search(rf"[\d.]+batch/s, loss {loss:.4g}, validation {re.escape(f'{validation:.4g}')}\]", last)
    assert printed.out == ""


def test_the_bar_without_validation_and_without_a_known_number_of_batches(capsys):
    pytest.importorskip("tqdm")

    class Endless:
        def __iter__(self):
            return iter([data()])

    quick(training=Endless(), progress=True)
    err = capsys.readouterr().err
    assert re.search(r"epoch 2/2: : 2batch .*batch/s, loss [\d.]+\]", err), err


def test_the_bar_changes_nothing(monkeypatch):
    tqdm = pytest.importorskip("tqdm").tqdm
    monkeypatch.setattr(tqdm, "update", lambda bar, n=1: True)  # so that the means are read at every batch
    settings = {"validation": data(), "metrics": {"mae": lambda a, b: abs(a - b).mean()}, "shuffle": False}
    assert quick(progress=True, **settings)[1].epochs == quick(progress=False, **settings)[1].epochs


def test_without_a_bar_nothing_is_printed(capsys):
    quick(validation=data(), callbacks=[EarlyStopping()])
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model = Line()
    with pytest.raises(ModuleNotFoundError, match=r"tr\.training needs tqdm: pip install 'tinyreg\[training\]'"):
        quick(model, progress=True)
    assert model.seen == []
    quick(progress=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(history, epochs):
    rows = [", ".join(f"{name} {value:.4g}" for name, value in row.items()) for row in history]
    return [f"epoch {i}/{epochs}: {row}" for i, row in enumerate(rows, start=1)]


@pytest.mark.parametrize("tqdm", [True, False])
def test_in_a_log_there_is_a_line_an_epoch_and_why_it_ended(capsys, monkeypatch, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    _, history = quick(epochs=3, validation=data(), batch_size=1, progress=None)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [*lines(history, 3), "fit: all 3 epochs are done"]
    assert "validation_loss" in printed.err
    assert printed.out == ""


def test_on_a_terminal_there_is_a_bar_where_tqdm_is_there(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    quick(epochs=3, progress=None)
    assert re.search(r"\repoch 3/3: 100%.*9/9", terminal.getvalue())
    assert terminal.getvalue().endswith("\nfit: all 3 epochs are done\n")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    _, history = quick(epochs=3, progress=None)
    assert terminal.getvalue().splitlines() == [*lines(history, 3), "fit: all 3 epochs are done"]


def test_a_bar_in_a_log_is_drawn_once_an_epoch(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    clock = itertools.count()
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(clock)))  # a second passes at each look
    quick(epochs=3, batch_size=1, progress=True)
    assert capsys.readouterr().err.count("\r") <= 5  # at the start, after each epoch and at the end


@pytest.mark.parametrize(
    ("callback", "ended"),
    [
        (StopAfter(2), "stopped by StopAfter after epoch 2 of 9"),
        (EarlyStopping("loss", patience=1, min_delta=1e9), "stopped by EarlyStopping after epoch 2 of 9"),
        (Raise(KeyboardInterrupt()), "interrupted by Ctrl-C after epoch 2 of 9"),
        (Callback(), "all 9 epochs are done"),
    ],
)
def test_it_says_why_it_ended(capsys, callback, ended):
    _, history = quick(epochs=9, callbacks=[callback], progress=None)
    assert history.ended == ended
    assert capsys.readouterr().err.endswith(f"\nfit: {ended}\n")
    assert quick(epochs=9, callbacks=[callback], progress=False)[1].ended == ended
    assert capsys.readouterr() == ("", "")


# ---- a second Ctrl-C


class Pressing(Callback):
    """Ctrl-C in a batch, and again while it ends, so many times."""

    def __init__(self, times):
        self.times = times

    def on_batch_end(self, run):
        if run.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    def on_end(self, run):
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)


def test_a_second_ctrl_c_waits_until_the_best_weights_are_back():
    weights = []

    class Keep(Callback):
        def on_epoch_end(self, run):
            run.history[-1]["score"] = float(run.epoch)
            weights.append(run.model.weight.numpy().copy())

    def run(times):
        model, notes = Line(), []
        weights.clear()
        before = signal.getsignal(signal.SIGINT)
        try:
            early = EarlyStopping("score", patience=100)
            callbacks = [Keep(), early, Notes(notes, "a "), Pressing(times), Notes(notes, "b ")]
            _, history = quick(model, epochs=9, callbacks=callbacks)
        finally:
            assert signal.getsignal(signal.SIGINT) is before
            assert notes[-2:] == ["b end 2", "a end 2"]
            np.testing.assert_array_equal(model.weight.numpy(), weights[0])
            assert model.training
        return history

    assert run(0).interrupted
    with pytest.raises(KeyboardInterrupt):
        run(1)


def test_a_third_ctrl_c_does_not_wait():
    notes = []

    class Hanging(Pressing):
        def on_end(self, run):
            super().on_end(run)
            notes.append("it goes on")

    with pytest.raises(KeyboardInterrupt):
        quick(epochs=9, callbacks=[Notes(notes), Hanging(2)])
    assert "it goes on" not in notes
    assert notes[-1] == "end 2"


def test_in_another_thread_it_trains_and_ends():
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(quick).result()[1]) == 2


def test_a_stream_may_be_no_file_or_not_there_and_every_line_is_out_at_once(monkeypatch):
    said = []

    class Stream:
        def write(self, text):
            said.append(text)

        def flush(self):
            said.append("out")

    monkeypatch.setattr(sys, "stderr", Stream())
    quick(epochs=1, progress=None, metrics={"a\nb": lambda output, target: 0.5})
    assert len(said) == 4
    assert said[0].endswith("a\\nb 0.5\n")
    assert said[1::2] == ["out", "out"]
    monkeypatch.setattr(sys, "stderr", None)
    quick(epochs=1, progress=None)


class Sets(Callback):
    """Sets run.stop at one moment of an epoch."""

    def __init__(self, stop, epoch, moment="on_epoch_end"):
        self.stop, self.epoch = stop, epoch
        setattr(self, moment, self.set)

    def set(self, run):
        if run.epoch == self.epoch:
            run.stop = self.stop


class Undoes(Sets):
    pass


class StopsLater(Sets):
    pass


def test_who_stopped_a_run_is_who_did_so_last_and_was_not_undone():
    _, history = quick(epochs=9, callbacks=[Sets(True, 1), Undoes(False, 1), StopsLater(True, 2), Callback()])
    assert history.ended == "stopped by StopsLater after epoch 2 of 9"
    _, history = quick(epochs=9, callbacks=[Sets(True, 0, "on_batch_end"), Callback()])
    assert history.ended == "stopped by Sets after epoch 1 of 9"
