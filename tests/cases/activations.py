"""Cases of the activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.ops import units
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, elementwise, reductions, shapes

from .elementwise import erf

SLOPE = st.sampled_from([0.01, 0.5, 0.0, -0.5, 2.0])


def _one_axis(ndim: int) -> st.SearchStrategy[int]:
    return st.integers(-ndim, ndim - 1)


def softmax(x: Any, axis: int) -> Any:
    """The softmax of an array."""
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "none":
        return x * (1 + erf(x / np.sqrt(2))) / 2
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


@st.composite
def _bent(pick: Callable[[Any], Any]) -> Call:
    x = pick(arrays(shapes()))
    above = pick(hnp.arrays(np.bool_, x.shape, elements=st.booleans(), fill=st.nothing()))
    return Call((x, above), {"slope": pick(SLOPE)})


CASES = [
    Case(
        tr.softmax,
        reductions(axis=_one_axis, min_dims=1, least=2),
        softmax,
        points=[
            at([[800.0, 0.0], [1e4, 1e4]], gradient=[[0.0, 0.0], [0.0, 0.0]]),
            at([[2.0], [3.0]], gradient=[[0.0], [0.0]]),
            at([-math.inf, 0.0, 0.0], gradient=[0.0, 0.0, 0.0]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.log_softmax,
        reductions(axis=_one_axis, min_dims=1, least=2),
        lambda x, axis: np.log(softmax(x, axis)),
        points=[
            at([[1e4, 0.0]], gradient=[[-1.0, 1.0]]),
            at([0.0, -800.0, 0.0], gradient=[-0.5, 1.0, -0.5]),
            at([[2.0], [3.0]], gradient=[[0.0], [0.0]]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.gelu,
        elementwise(approximate=st.sampled_from(["none", "tanh"])),
        _gelu,
        points=[
            at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 0.5, 1.0, 1.0]),
            at([-1e4, -800.0, 0.0, 800.0, 1e4], approximate="tanh", gradient=[0.0, 0.0, 0.5, 1.0, 1.0]),
            at([-math.inf, math.inf], gradient=[0.0, 1.0]),
            at([-math.inf, math.inf], approximate="tanh", gradient=[0.0, 1.0]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.silu,
        elementwise(),
        lambda x: x / (1 + np.exp(-x)),
        points=[
            at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 0.5, 1.0, 1.0]),
            at([-math.inf, math.inf], gradient=[0.0, 1.0]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.leaky_relu,
        elementwise(away_from=(0.0,), negative_slope=SLOPE),
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        points=[at([0.0, -800.0, 800.0], negative_slope=0.5, gradient=[0.5, 0.5, 1.0])],
    ),
    Case(
        units.bent,
        _bent(),
        lambda x, above, slope: np.where(above, x, slope * x),
        points=[at([math.inf, -math.inf], [True, False], slope=0.5, gradient=[1.0, 0.5])],
        reach=math.inf,
    ),
    Case(
        tr.elu,
        elementwise(away_from=(0.0,), alpha=st.sampled_from([1.0, 0.5])),
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
        points=[
            at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 1.0, 1.0, 1.0]),
            at([0.0], alpha=0.5, gradient=[0.5]),
        ],
    ),
]
