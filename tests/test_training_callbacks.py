"""What goes on around fit's loop: callbacks, how a run is stopped or breaks off, and the progress bar."""

import re
import sys

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
    last = re.split("[\r\n]", printed.err.strip())[-1]
    loss, validation = history[-1]["loss"], history[-1]["validation_loss"]
    assert "epoch 3/3" in last
    assert "9/9" in last
    assert re.search(rf"loss {loss:.4g}, validation {re.escape(f'{validation:.4g}')}, [\d,]+ samples/s", last)
    assert printed.out == ""


def test_the_bar_without_validation_and_without_a_known_number_of_batches(capsys):
    pytest.importorskip("tqdm")

    class Endless:
        def __iter__(self):
            return iter([data()])

    quick(training=Endless(), progress=True)
    err = capsys.readouterr().err
    assert re.search(r"epoch 2/2: : 2batch .* loss [\d.]+, [\d,]+ samples/s", err), err


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
    with pytest.raises(ModuleNotFoundError, match=r"tr\.training needs tqdm: pip install 'tinyreg\[training\]'"):
        quick(progress=True)
    quick(progress=False)
