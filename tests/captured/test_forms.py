"""What a program writes in a quicker form has the bits, the dtype and the layout of the call that the step makes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from captured.steps import values

import tinyreg as tr
from tinyreg.captured import step as step_module

pytestmark = pytest.mark.usefixtures("each_executor")

AXES = [None, 0, -1, (0,), (0, 2), (0, 1, 2)]
ARRAYS = {
    "rows": lambda x: x,
    "columns": lambda x: x.T,
    "in between": lambda x: x.swapaxes(0, 1),
    "with gaps": lambda x: x[:, ::2],
    "turned round": lambda x: x[::-1],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "one row": lambda x: x[:1],
    "not a number": lambda x: (
        np.where(x > 1, np.nan, np.where(x < -1, -0.0, x)).astype(x.dtype) if x.dtype.kind == "f" else x
    ),
}


def replayed(f, x):
    """What a captured function of an array of the library gives, in the end replayed; with NaN perhaps eager."""
    step = tr.capture(lambda t: f(t.data))
    for _ in range(4):
        made = step(tr.tensor(x))
    assert step.replays == 1 or (step_module.best() == "native" and np.isnan(x).any())
    return made


DTYPES = ["f4", "f8", "f2", "i4", "?"]
REDUCED = [  # every pair of an array, a reduction and a dtype, and in the usual dtypes every three of them
    (dtype, name, kind)
    for i, dtype in enumerate(DTYPES)
    for j, name in enumerate(["sum", "mean", "max", "min"])
    for k, kind in enumerate(ARRAYS)
    if i < 2 or (i + j + k) % 4 == 0
]


@pytest.mark.parametrize(("dtype", "name", "kind"), REDUCED)
def test_a_reduction_has_the_bits_of_the_call(kind, name, dtype):
    x = ARRAYS[kind]((np.random.default_rng(0).normal(size=(6, 33, 40)) * 2).astype(dtype))
    ways = [{"axis": axis, "keepdims": keepdims} for axis in AXES for keepdims in (False, True)]

    def step(x):
        reduced = [getattr(x, name)(**way) for way in ways]
        return [*reduced, *(getattr(x * x, name)(**way) < one for way, one in zip(ways, reduced, strict=True))]

    assert values(replayed(step, x)) == values(step(tr.tensor(x).data))


def test_a_reduction_to_another_dtype_has_it():
    x = np.random.default_rng(0).normal(size=(40, 30)).astype("f4")
    for dtype in ("f2", "f4", "f8"):

        def step(x, dtype=dtype):
            return [x.sum(dtype=dtype), (x + x).sum(axis=0, dtype=dtype) * 2]

        made = replayed(step, x)
        assert values(made) == values(step(x))
        assert [each.dtype for each in made] == [dtype, dtype]


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("equation", ["ijk,ijk->k", "ijk,ijk->i", "ijk,ijk->", "ijk,ijk->kij"])
def test_an_einsum_has_the_bits_of_the_call(kind, equation):
    x = ARRAYS[kind](np.random.default_rng(0).normal(size=(6, 33, 40)).astype("f4"))

    def step(t):
        summed = tr.einsum(equation, t, t + 1)
        return summed, summed * 2

    captured = tr.capture(step)
    for _ in range(4):
        made = captured(tr.tensor(x))
    assert captured.replays == 1
    assert values(made) == values(step(tr.tensor(x)))


def test_parts_that_stand_one_behind_the_other_are_joined_in_one_go():
    x = np.random.default_rng(0).normal(size=24).astype("f4")
    cuts = {
        "behind": ([slice(0, 4), slice(4, 24)], True),
        "out of order": ([slice(4, 24), slice(0, 4)], False),
        "with a gap": ([slice(0, 4), slice(5, 24)], False),
        "twice": ([slice(0, 4), slice(0, 4)], False),
        "every other": ([slice(0, 4), slice(4, 24, 2)], False),
        "one": ([slice(0, 4)], False),
    }
    for parts, at_once in cuts.values():

        def step(t, parts=parts):
            y = t * 2
            return tr.concat(*[y[part] for part in parts], axis=None) + 1

        captured = tr.capture(step, executor="numpy")
        for _ in range(4):
            made = captured(tr.tensor(x))
        assert captured.replays == 1
        assert values(made) == values(step(tr.tensor(x)))
        called = captured._variants[-1].executor.fixed.values()
        assert at_once is not any(f is np.concatenate for f in called)


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_what_is_masked_has_the_bits_of_the_call(kind, dtype):
    x = ARRAYS[kind](np.random.default_rng(0).normal(size=(6, 33, 40)).astype(dtype))
    runs = []
    for wrapped in (lambda f: f, lambda f: tr.capture(f, executor="numpy")):
        tr.seed(0)

        def body(t):
            y = tr.dropout.dropout(t, 0.3, training=True)
            slope = tr.grad(lambda t: (tr.dropout.dropout(t, 0.3, training=True) * t).sum())(t)
            return y, slope, tr.where(t > 0, t, 0.0), tr.where(t.T > 0, t.T, 0.0)

        step = wrapped(body)
        runs.append([values(step(tr.tensor(x))) for _ in range(5)])
    assert runs[0] == runs[1]
    assert step.replays == 2
    assert "masked" not in repr(step.program)


def test_a_mask_of_many_elements_takes_no_memory_more():
    step = tr.capture(lambda t: tr.where(t > 0, t, 0.0) * 2, executor="numpy")
    for _ in range(4):
        step(tr.ones((300, 300)))
    assert "masked" in repr(step.program)


NUMBERS = [
    0,
    -0.0,
    3,
    -1,
    0.1,
    1 / 3,
    1e-45,
    1e-310,
    2**24 + 1,
    2**53 + 1,
    1e30,
    float("inf"),
    float("nan"),
    True,
    1e300,
    10**30,
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "?"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_beside_an_array_has_the_value_and_the_dtype_that_it_has_in_the_call(number, dtype):
    x = np.array([[-2, -1, -0.0, 0], [1, 2, 3, 2.0**10]]).astype(dtype)

    def outcome(f, x):
        try:
            return values(f(x))
        except (OverflowError, TypeError) as error:
            return repr(error)

    def in_place(x):
        y = x + x
        y *= number
        y += number
        return [y, y + y]

    for f in (
        lambda x: [x * number, (x + x) * number + x],
        lambda x: [number - x, (number - (x + x)) + x],
        lambda x: [x <= number, (x + x) < number, number == x + x],
        lambda x: [number / (x + x + 5), (x + x) / 8],
        in_place,
    ):
        step = tr.capture(lambda t, f=f: f(t.data))
        for _ in range(4):
            got = outcome(step, tr.tensor(x))
        assert got == outcome(f, x)
        odd = step_module.best() == "native" and not math.isfinite(number)  # of which NumPy may tell: then it runs eagerly
        assert odd or step.replays == (not isinstance(got, str))


def test_the_same_warnings_come_of_a_number_that_is_too_large():
    x = np.ones((2, 3), "f4")
    step = tr.capture(lambda t: [t.data * 1e300, (t.data + 1) * 1e39])
    for _ in range(4):
        with pytest.warns(RuntimeWarning, match="overflow"):
            step(tr.tensor(x))
    assert step.replays == 1
