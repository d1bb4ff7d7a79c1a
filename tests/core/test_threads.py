"""What several threads may share: leaves on the way back, generators, ops and backends that are met for the first time."""

import sys
import threading
import time

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core import backend as backends

THREADS = 8


@pytest.fixture(autouse=True)
def eager():
    """Threads take turns as often as Python lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(f):
    """Run f in all threads at once; what they returned, or the error that one of them raised."""
    start, results, errors = threading.Barrier(THREADS), [], []

    def run():
        start.wait()
        try:
            results.append(f())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_contribution_to_a_shared_leaf_is_lost(create_graph):
    w, v = tr.ones(3, requires_grad=True), tr.ones(3, requires_grad=True)
    times = 100 if create_graph else 1000

    def work():
        for _ in range(times):
            (w * v).sum().backward(create_graph=create_graph)

    at_once(work)
    assert w.grad.tolist() == v.grad.tolist() == [THREADS * times] * 3
    w.zero_grad()  # under create_graph a leaf is tied to its tape
    v.zero_grad()


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.uniform(shape=7),
        lambda rng: rng.normal(shape=7),
        lambda rng: rng.integers(0, 2**40, shape=7),
    ],
)
def test_no_number_of_a_shared_generator_is_drawn_twice(draw, monkeypatch):
    make, rng, alone = np.random.PCG64, tr.Generator(0), tr.Generator(0)
    monkeypatch.setattr(np.random, "PCG64", lambda seed: time.sleep(0.01) or make(seed))  # at the first draw
    drawn = np.concatenate(at_once(lambda: draw(rng)))
    assert sorted(drawn) == sorted(np.concatenate([draw(alone) for _ in range(THREADS)]))


def test_a_generator_is_seeded_and_set_back_while_others_draw():
    rng = tr.Generator(0)

    def work():
        for i in range(50):
            state = rng.state
            rng.normal(shape=3)
            rng.state = state
            rng.seed(i)
            rng.bernoulli(0.5, shape=3)

    at_once(work)
    rng.seed(1)
    assert rng.uniform(shape=2).tolist() == tr.Generator(1).uniform(shape=2).tolist()


def test_a_backend_is_loaded_once(monkeypatch):
    made = []

    def load():
        made.append(backends.Backend("slow", np))
        made[-1].ndarray = type("ndarray", (), {})
        return made[-1]

    monkeypatch.setitem(backends.LOADERS, "slow", load)
    try:
        found = at_once(lambda: backends.get("slow"))
    finally:
        backends._loaded.pop("slow")
        backends.HOMES.pop(made[0].ndarray)
    assert len(made) == 1
    assert found == made * THREADS


def test_an_op_may_run_for_the_first_time_in_every_thread():
    @tr.primitive
    def tripled(xp, x1, x2):
        return 3 * x1 * x2

    tripled.vjp("x1", "x2")(lambda g, x1, x2: (3 * g * x2, 3 * g * x1))

    def work():
        a, b = tr.tensor(2.0, requires_grad=True), tr.tensor(5.0, requires_grad=True)
        tripled(a, b).backward()
        tripled(a, 1.0).backward()
        return a.grad.item(), b.grad.item()

    assert at_once(work) == [(18.0, 6.0)] * THREADS
