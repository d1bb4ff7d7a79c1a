"""Cases of the layers, as functions of their input and of the values of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr

from ..case import Call, Case, at
from ..strategies import arrays, elementwise, shapes, values

Pick = Callable[[Any], Any]
BATCHES = st.sampled_from([(2,), (), (3, 2), (1,), (0,)])


def _linear(weight: Any, bias: Any) -> tr.nn.Linear:
    """A layer with these in place of its parameters."""
    layer = tr.nn.Linear(*weight.shape[::-1], bias=bias is not None, rng=tr.Generator(0))
    vars(layer).update(weight=weight, bias=bias)
    return layer


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """`Linear` with these parameters."""
    return _linear(weight, bias)(x)


def relu(x: Any) -> Any:
    """`ReLU`."""
    return tr.nn.ReLU()(x)


def flatten(x: Any, *, start_dim: int) -> Any:
    """`Flatten`."""
    return tr.nn.Flatten(start_dim)(x)


def sequential(x: Any, weight: Any, bias: Any, weight2: Any) -> Any:
    """`Sequential` of two layers with these parameters, and what stands between them."""
    return tr.nn.Sequential(_linear(weight, bias), tr.nn.ReLU(), tr.nn.Flatten(), _linear(weight2, None))(x)


def _numpys_linear(x: Any, weight: Any, bias: Any) -> Any:
    return x @ weight.T + (0.0 if bias is None else bias)


def _numpys_sequential(x: Any, weight: Any, bias: Any, weight2: Any) -> Any:
    hidden = np.maximum(_numpys_linear(x, weight, bias), 0.0)
    return hidden.reshape(hidden.shape[0], -1) @ weight2.T


@st.composite
def _to_linear(pick: Pick) -> Call:
    inside, outside = pick(st.sampled_from([(2, 3), (3, 1), (1, 2)]))
    bias = st.one_of(arrays((outside,)), st.none())
    return Call((pick(arrays((*pick(BATCHES), inside))), pick(arrays((outside, inside))), pick(bias)), {})


@st.composite
def _to_flatten(pick: Pick) -> Call:
    x = pick(arrays(shapes(min_dims=1)))
    return Call((x,), {"start_dim": pick(st.integers(0, x.ndim - 1))})


# Products of halves are quarters and a bias is an odd number of eighths, so no hidden value is within 1/8 of the kink. It
# moves by less than 10 times what two inputs, their weights of at most 2, and the bias move.
HALVES = st.sampled_from([1.0, 0.5, -0.5, -1.5, 2.0])
ODD_EIGHTHS = st.sampled_from([0.125, -0.125, 1.125, -0.875])


@st.composite
def _to_sequential(pick: Pick) -> Call:
    x = pick(arrays(st.sampled_from([(2, 2), (1, 2), (2, 2, 2)]), HALVES))
    hidden = 3 * (math.prod(x.shape[1:-1]))
    weight2 = pick(arrays((2, hidden)))
    return Call((x, pick(arrays((3, 2), HALVES)), pick(arrays((3,), ODD_EIGHTHS)), weight2), {})


CASES = [
    Case(linear, _to_linear(), _numpys_linear, name="Linear", reach=math.inf),
    Case(
        relu,
        elementwise(elements=values(away_from=(0.0,))),
        lambda x: np.maximum(x, 0.0),
        name="ReLU",
        points=[at([0.0, -1.0, 2.0], gradient=[0.0, 0.0, 1.0])],
    ),
    Case(
        flatten,
        _to_flatten(),
        lambda x, start_dim: x.reshape(*x.shape[:start_dim], math.prod(x.shape[start_dim:])),
        name="Flatten",
        reach=math.inf,
    ),
    Case(
        sequential,
        _to_sequential(),
        _numpys_sequential,
        name="Sequential",
        points=[
            at([[1.0]], [[2.0]], [-2.0], [[3.0]], gradients=[[[0.0]], [[0.0]], [0.0], [[0.0]]]),
            at([[1.0]], [[2.0]], [-1.0], [[3.0]], gradients=[[[6.0]], [[3.0]], [3.0], [[1.0]]]),
        ],
        reach=1 / 80,
    ),
]
