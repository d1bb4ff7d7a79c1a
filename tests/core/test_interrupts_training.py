"""Ctrl-C at any bytecode of `fit`: whole steps are done, modes and handlers are as before, and the run can go on."""

import pytest
from interrupting import interrupted, moments
from situations import bits

import tinyreg as tr

MOST = {"fast": 8, "ci": 100, "deep": 4000}


class Noted(tr.training.Callback):
    """The state after each step, and how often the end was told."""

    def __init__(self, optimizer):
        self.optimizer, self.ends = optimizer, 0
        self.states = [self.state()]

    def state(self):
        optimizer = self.optimizer
        return bits([[p.data for p in optimizer.parameters], optimizer.state_dict()["state"]])

    def on_batch_end(self, run):
        self.states.append(self.state())

    def on_end(self, run):
        self.ends += 1


class Training:
    """A run of two epochs of two steps, with dropout, statistics and a file."""

    def __init__(self, path):
        rng, nn = tr.Generator(0), tr.nn
        self.model = nn.Sequential(
            nn.Linear(2, 2, rng=rng), nn.BatchNorm(2), nn.Dropout(0.5, rng=rng), nn.Linear(2, 1, rng=rng)
        )
        self.model[1].eval()
        self.optimizer = tr.optim.Adam(self.model.parameters(), lr=0.1)
        self.path, self.data = path, (tr.tensor([[0.0, 1.0], [1.0, 2.0], [2.0, 0.0], [3.0, 1.0]]), tr.ones((4, 1)))
        self.noted = Noted(self.optimizer)

    def fit(self):
        settings = {
            "loss": tr.losses.mse,
            "epochs": 2,
            "batch_size": 2,
            "rng": 0,
            "checkpoint": self.path,
            "progress": False,
        }
        history = tr.training.fit(
            self.model, self.data, optimizer=self.optimizer, clip_norm=1.0, callbacks=[self.noted], **settings
        )
        if history.interrupted:
            raise KeyboardInterrupt
        return history

    def modes(self):
        return [module.training for module in self.model.modules()]

    def result(self):
        return bits([self.model.state_dict(), self.optimizer.state_dict()])


def test_fit_is_interrupted_between_steps_and_goes_on(tmp_path, request):
    whole = Training(tmp_path / "whole")
    whole.fit()
    first = Training(tmp_path / "first")
    before, wrong = first.modes(), []
    for n in moments(first.fit, interrupted, MOST[request.config.getoption("--profile") or "fast"]):
        run = Training(tmp_path / f"{n}")
        run_before = run.noted
        interrupted(run.fit, n)
        if run_before.state() not in whole.noted.states:
            wrong.append(f"at {n}: half of a step is done")
        if run.modes() != before:
            wrong.append(f"at {n}: modes are {run.modes()}")
        if run_before.ends > 1 or (len(run_before.states) > 1 and run_before.ends != 1):
            wrong.append(f"at {n}: the end was told {run_before.ends} times")
        left = {file.name for file in tmp_path.iterdir()} - {"whole", "first", f"{n}"}
        if left:
            wrong.append(f"at {n}: left are {left}")
        again = Training(tmp_path / f"{n}")
        again.fit()
        if again.result() != whole.result():
            wrong.append(f"at {n}: going on gives another result")
        (tmp_path / f"{n}").unlink()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_the_end_of_fit_is_told_once_however_it_ends(tmp_path, how):
    run = Training(tmp_path / "run")

    def stop(run):
        if how == "raises":
            raise ZeroDivisionError

    run.noted.on_epoch_end = stop
    try:
        run.fit()
    except ZeroDivisionError:
        assert how == "raises"
    assert run.noted.ends == 1
