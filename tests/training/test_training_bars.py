"""When a bar is drawn, and when lines are written."""

import io
import math
import sys

import pytest
from fits import quick

tqdm = pytest.importorskip("tqdm")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_and_no_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    quick(progress=None)
    assert "epoch 2/2" in shown.getvalue()
    assert "epoch 2/2: loss" not in shown.getvalue().replace("epoch 2/2: 100%", "")
    assert "fit: all 2 epochs are done\n" in shown.getvalue()


def test_there_is_no_bar_of_a_run_that_is_over(tmp_path, capsys):
    path = tmp_path / "run"
    quick(checkpoint=path)
    capsys.readouterr()
    quick(checkpoint=path, progress=True)
    assert capsys.readouterr().err.splitlines() == [
        "fit: the run in run has done 2 epochs, all that were asked for: nothing is trained",
        "fit: all 2 epochs are done",
    ]


def test_the_bar_of_a_run_that_goes_on_begins_at_the_batches_that_are_done(tmp_path, capsys):
    path = tmp_path / "run"
    quick(checkpoint=path, rng=0)
    capsys.readouterr()
    quick(checkpoint=path, rng=0, epochs=3, progress=True)  # of three batches each
    shown = capsys.readouterr().err
    assert "6/9" in shown
    assert "9/9" in shown


@pytest.mark.parametrize(("stream", "pause"), [(Terminal, 0.1), (io.StringIO, math.inf)])
def test_a_bar_is_drawn_often_on_a_terminal_and_elsewhere_only_where_an_epoch_ends(monkeypatch, stream, pause):
    made, real = [], tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda **settings: [made.append(settings), real(**settings)][1])
    monkeypatch.setattr(sys, "stderr", stream())
    quick(progress=True)
    (settings,) = made
    assert (settings["mininterval"], settings["total"], settings["initial"]) == (pause, 6, 0)
