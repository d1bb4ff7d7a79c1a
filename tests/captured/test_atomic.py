"""A captured call changes all of the state or none of it, whatever ends it, and the next call goes on from there."""

from __future__ import annotations

import gc
import random

import numpy as np
import pytest
from captured.steps import compare, data, layers, network, plain, state
from interrupting import failing, interrupted, moments

import tinyreg as tr
from tinyreg import nn, optim

pytestmark = pytest.mark.usefixtures("each_executor")


class Own:
    """A state that is written to in place, and that others see."""

    def __init__(self, parameters):
        self.totals = [np.zeros(4, "f4"), np.zeros((5, 4), "f4")]
        self.seen = [self.totals[0][:2], self.totals[1].T]
        self.generator = tr.Generator(3)
        self.optimizer = optim.SGD(parameters, lr=0.1, momentum=0.9)

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self):
        self.optimizer.step()

    def state_dict(self):
        return {"state": [{str(i): tr.tensor(x) for i, x in enumerate([*self.totals, *self.seen])}]}


def own_state(model, own):
    def step(x, y):
        own.zero_grad()
        own.totals[0] += x.data.sum(axis=0)
        own.totals[1][:2] = x.data[:2] * own.totals[0]
        loss = tr.losses.cross_entropy(model(x + own.generator.normal(shape=(5, 4))), y)
        loss.backward()
        own.step()
        return loss, x * 2

    return step


STEPS = {
    "dropout, statistics": (lambda: network(lambda: layers(nn.Dropout(0.5), nn.BatchNorm(8))), plain),
    "Adam": (lambda: network(optimizer=lambda p: optim.Adam(p, lr=0.01)), plain),
    "state of ones own": (lambda: network(optimizer=Own), own_state),
}


@pytest.fixture(autouse=True)
def uncollected():
    """No collection of garbage meanwhile: its callbacks are nobody's code, and what they raise is lost."""
    gc.disable()
    yield
    gc.enable()


def generators(optimizer):
    return str(optimizer.generator.state) if isinstance(optimizer, Own) else ""


class Pair:
    """A captured step, and what states its eager twin goes through."""

    def __init__(self, make, body):
        self.model, self.optimizer = make()
        self.step = tr.capture(body(self.model, self.optimizer))
        self.batch = data(1)[0]
        self.state_of_the_generator = tr.random.default_generator.state
        twin = make()
        eager = body(*twin)
        self._twin, self._run = twin, lambda: eager(*self.batch)
        self.reached = [(state(*twin), generators(twin[1]))]
        tr.random.default_generator.state = self.state_of_the_generator

    def expected(self, n):
        """The state of the twin after n calls."""
        now = tr.random.default_generator.state
        tr.random.default_generator.state = self.state_of_the_generator
        while len(self.reached) <= n:
            self._run()
            self.reached.append((state(*self._twin), generators(self._twin[1])))
        self.state_of_the_generator = tr.random.default_generator.state
        tr.random.default_generator.state = now
        return self.reached[n]

    def call(self):
        self.step(*self.batch)

    def after(self, n):
        """How many calls count, of which there were n before the last that was ended."""
        got = state(self.model, self.optimizer), generators(self.optimizer)
        assert got in (self.expected(n), self.expected(n + 1)), n
        return n if got == self.expected(n) else n + 1


def chosen(call, how, request):
    """At which moments to end a replay: a few, and all of its end, where the state changes; in a long search all."""
    every = moments(call, how, None)
    if request.config.getoption("--profile") in ("ci", "deep"):
        return every
    end = every[-200:]
    return sorted({*random.Random(0).sample(every, min(60, len(every))), *end})


@pytest.mark.parametrize("name", STEPS)
def test_ctrl_c_at_any_bytecode_of_a_replay_leaves_all_or_nothing(name, request):
    pair = Pair(*STEPS[name])
    for _ in range(10):
        pair.call()
    assert pair.step.replays == 7
    done, every, n = set(), chosen(pair.call, interrupted, request), pair.after(10)
    for moment in every:
        was_interrupted, _ = interrupted(pair.call, moment)
        before, n = n, pair.after(n)
        done.add((was_interrupted, n - before))
    assert done >= {(True, 0), (True, 1)}
    assert (False, 0) not in done


@pytest.mark.parametrize("name", STEPS)
def test_a_call_that_fails_at_any_place_of_a_replay_leaves_all_or_nothing(name, request):
    pair = Pair(*STEPS[name])
    for _ in range(10):
        pair.call()
    every, n = chosen(pair.call, failing, request), pair.after(10)
    for moment in every:
        failed, _ = failing(pair.call, moment)
        before, n = n, pair.after(n)
        assert n == before + (not failed)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("how", [interrupted, failing])
def test_what_ends_a_call_that_is_recorded_leaves_all_or_nothing(name, how):
    pair = Pair(*STEPS[name])
    pair.call()
    _, count = how(pair.call, 0)  # of the second call
    rng = np.random.default_rng(0)
    for moment in rng.integers(1, count + 1, size=12):
        pair = Pair(*STEPS[name])
        pair.call()
        how(pair.call, moment)
        n = pair.after(1)
        for _ in range(4):
            pair.call()
            n = pair.after(n)
        assert n >= 5


def test_what_fails_in_the_program_runs_eagerly():
    def body(model, optimizer):
        own = optimizer

        def step(x, y):
            own.totals[0] += x.data.sum(axis=0)
            return tr.losses.cross_entropy(model(x), y)

        return step

    step = compare(lambda: network(optimizer=Own), data(5), body)
    before = step.replays
    with pytest.raises(IndexError):
        step(data(1)[0][0], np.array([0, 1, 2, 0, 7]))
    assert step.replays == before
