"""Whatever a step computes stands in memory as eagerly, so that NumPy adds up in the same order: all bits agree."""

from __future__ import annotations

import operator
import warnings

import numpy as np
import pytest
from captured.steps import poison, values

import tinyreg as tr
from tinyreg.core.backend import get
from tinyreg.normalization.norms import layer_normalized

pytestmark = pytest.mark.usefixtures("each_executor")

BATCHES = 6


def both(step, *arguments, replays=BATCHES - 3):
    """Assert that captured calls give what eager ones give, in bits and layout."""
    captured = tr.capture(step)
    for _ in range(BATCHES):
        expected = values(step(*arguments))
        assert values(captured(*arguments)) == expected
        poison(captured)
    assert captured.replays == replays
    return captured


def drawn(*shape, seed=0, dtype="f4"):
    return (100 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


WIDE = {name: drawn(512, 512, seed=k) for k, name in enumerate("xyz")}
ELIDED = {
    "add": lambda x, y: ((x.T * 2) + y).sum(axis=0),
    "add, the second": lambda x, y: (y + (x.T * 2)).sum(axis=0),
    "both": lambda x, y: ((x.T * 2) + (y * 2)).sum(axis=0),
    "sub": lambda x, y: ((x.T * 2) - y).sum(axis=0),
    "sub, the second": lambda x, y: (y - (x.T * 2)).sum(axis=0),
    "mul": lambda x, y: ((x.T * 2) * y).sum(axis=0),
    "truediv": lambda x, y: ((x.T * 2) / y).sum(axis=0),
    "floordiv": lambda x, y: ((x.T * 2) // y).sum(axis=0),
    "mod": lambda x, y: ((x.T * 2) % y).sum(axis=0),
    "a chain": lambda x, y: (((x.T * 2) + y) * y - x).sum(axis=0),
    "a number": lambda x, y: (2 * (x.T * 2) + 1).sum(axis=0),
    "broadcast": lambda x, y: ((x.T * 2) + y[0]).sum(axis=0),
    "a wider dtype": lambda x, y: ((x.T * 2) + y.astype("f8")).sum(axis=0),
    "smaller arrays": lambda x, y: ((x[:128, :128].T * 2) + y[:128, :128]).sum(axis=0),
    "integers": lambda x, y: (x.astype("i4").T * 2) ^ y.astype("i4"),
}


def named(x, y):
    temporary = x.T * 2
    return (temporary + y).sum(axis=0), temporary


def named_second(x, y):
    temporary = x.T * 2
    return (y + temporary).sum(axis=0), temporary


@pytest.mark.parametrize("name", [*ELIDED, named, named_second])
def test_a_large_result_stands_where_numpy_writes_it(name):
    """NumPy writes over large temporaries, and then a result has their layout: seen by sums, and in `integers` itself."""
    step = ELIDED.get(name, name)
    both(lambda x, y: step(x.data, y.data), tr.tensor(WIDE["x"]), tr.tensor(WIDE["y"]))


def test_the_layout_of_a_temporary_makes_a_difference():
    x, y = WIDE["x"], WIDE["y"]
    temporary = x.T * 2
    of_temporary, of_named = (x.T * 2) + y, temporary + y  # no asserts, which hold what they see
    assert of_temporary.strides != of_named.strides
    assert of_temporary.sum(axis=0).tobytes() != of_named.sum(axis=0).tobytes()


RESULTS = {
    "transposed": lambda x: x.T,
    "turned round": lambda x: x[::-1, ::-1],
    "with gaps": lambda x: x[::2, 1::3],
    "repeated": lambda x: tr.broadcast_to(tr.tensor(1) * x, (3, *x.shape)),
    "permuted": lambda x: x.reshape(2, 3, 10).permute_dims((1, 2, 0)) * 2,
    "empty": lambda x: x[:0],
    "one element": lambda x: x[:1, :1],
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_stand_in_memory_as_they_do_eagerly(name):
    both(lambda x: (RESULTS[name](x), RESULTS[name](x * 2)), tr.tensor(drawn(6, 10)))


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2]])
def test_arguments_and_state_stand_in_memory_as_they_do_eagerly(layout):
    w = tr.Tensor(layout(drawn(30, 40, seed=1)), requires_grad=True)
    both(lambda x: (x.data.sum(axis=0), (w * x).sum(axis=1), w + x), tr.tensor(layout(drawn(30, 40))))


def test_a_matrix_times_itself_is_told_from_one_times_another():
    """BLAS takes another way for A^T A, with other bits."""
    x, y = drawn(257, 129), drawn(257, 129)
    step = lambda a, b: a.T @ b
    captured = tr.capture(step)
    for a, b in [(x, x), (x, y)] * 5:
        assert values(captured(a, b)) == values(step(a, b))
    assert len(captured._variants) == 2


def test_an_array_that_is_an_argument_and_the_state_is_refused_or_runs_eagerly():
    total = np.zeros(4, "f4")

    def step(x):
        nonlocal total
        total += x
        return x * 2

    captured = tr.capture(step)
    for _ in range(4):
        captured(np.ones(4, "f4"))
    before = total.copy()
    assert captured(total).tolist() == (4 * before).tolist()
    assert captured.replays == 1
    other = tr.capture(step)
    other(total)
    with pytest.raises(tr.CaptureError, match="reaches by itself; pass a copy"):
        other(total)


def test_work_in_blocks_is_cut_as_it_is_eagerly():
    x, w = tr.tensor(drawn(50, 33)), tr.Tensor(drawn(33, seed=1), requires_grad=True)

    def step(x):
        w.zero_grad()
        y = layer_normalized(x, w, None, axes=(1,), eps=1e-5)
        (y * y).sum().backward()
        return w.grad

    outcomes = []
    backend = get("numpy")
    before = backend.block
    captured = tr.capture(step, keep_grads=True)
    try:
        for block in [1, 100, before] * 4:
            backend.block = block
            outcomes.append(values(step(x)))
            assert values(captured(x)) == outcomes[-1]
    finally:
        backend.block = before
    assert len({str(outcome) for outcome in outcomes}) > 1


def test_a_step_that_ignores_overflow_does_so_when_it_is_replayed():
    def step(x):
        with np.errstate(over="ignore", invalid="ignore"):
            y = x * 1e30
            y = y - y
        return y / x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both(lambda x: step(x.data), tr.tensor(np.full(3, 1e30, "f4")))


@pytest.mark.parametrize("seen", ["warn", "ignore"])
def test_other_overflow_is_told_as_it_is_eagerly(seen, each_executor):
    captured = tr.capture(lambda x: x.data * np.float32(3e38))
    for _ in range(6):
        with np.errstate(over=seen), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            captured(tr.ones(2) * 3)
        assert [str(w.message) for w in told] == ["overflow encountered in multiply"] * (seen == "warn")
    assert captured.replays == (0 if each_executor == "native" and seen == "warn" else 3)


# ---- state that is written to in place


def whole(s, x):
    s *= 0.5
    s += x


def whole_by_name(s, x):
    s[...] = s * 0.5 + x


def halves(s, x):
    s[:2] *= 0.5
    s[2:] += x[2:]


def overlapping(s, x):
    s[:3] *= 0.5
    s[1:] += x[1:] + s[:3]


def a_part(s, x):
    s[1:3] += x[1:3]


def with_gaps(s, x):
    s[::2] += x[::2]


def by_rows(s, x):
    for i in range(len(s)):
        s[i] = s[i - 1] + x[i]


def transposed(s, x):
    s.T[...] = s.T * 2 + x.T


def elements(s, x):
    s[[0, 2]] = x[[0, 2]] + s[[1, 3]]


def a_power(s, x):
    s *= 0.1
    s **= 2
    s -= x


def read_between(s, x):
    before = s + x
    s *= 0.5
    s += before


def turned_round(s, x):
    s[::-1] *= 2
    s += x


def other_dtype(s, x):
    s += (x * 3).astype("f8")


def filled(s, x):
    s.fill(3)
    s -= x


WRITES = [whole, whole_by_name, halves, overlapping, a_part, with_gaps, by_rows, transposed, elements, a_power]
WRITES += [read_between, turned_round, other_dtype, filled]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("size", [3, 600])
def test_state_that_is_written_to_in_place_follows(write, size):
    runs = []
    for wrapped in (lambda f: f, tr.capture):
        states = [drawn(4, size) / 100, np.asfortranarray(drawn(4, size, seed=1)) / 100]
        alias = states[1][1:]

        def step(x, states=states):
            for s in states:
                write(s, x)
            return states[0] * 2, states[1].sum(axis=0)

        step = wrapped(step)
        run = []
        for i in range(BATCHES):
            run.append((values(step(drawn(4, size, seed=i) / 100)), values([*states, alias])))
            if step is not wrapped(step) or wrapped is tr.capture:
                poison(step)
        runs.append(run)
    assert runs[0] == runs[1]
    assert step.replays == BATCHES - 3


def test_operators_are_all_known():
    from tinyreg.captured.layouts import SIGNS

    for name, sign in SIGNS.items():
        f = getattr(operator, f"{name}_" if name in ("and", "or") else name)
        assert eval(f"6 {sign} 3") == f(6, 3)
