"""Cases of the regularizers, as functions of two weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.testing import Case, at
from tinyreg.testing.strategies import arrays, calls

STRENGTH = st.sampled_from([0.1, 2.0])
ELEMENTS = st.sampled_from([1.0, -0.5, 2.25, 0.0])
NONZERO = st.sampled_from([1.0, -0.5, 2.25])


def _penalty(f: Callable[..., Any]) -> Callable[..., Any]:
    """A regularizer as a function of weights."""

    def penalty(*weights: Any, **settings: Any) -> Any:
        return f(weights, **settings)

    penalty.__name__ = f.__name__
    return penalty


def _group_lasso(*weights: Any, strength: float, axis: int) -> Any:
    groups = [w.reshape(len(w), -1) for w in (np.moveaxis(w, axis, 0) for w in weights)]
    return strength * sum(math.sqrt(rows.shape[1]) * np.sqrt(np.sum(rows**2, axis=1)).sum() for rows in groups)


def _orthogonal(*weights: Any, strength: float) -> Any:
    def off(w: Any) -> Any:
        rows = w.reshape(len(w), -1)
        product = min((rows @ rows.T, rows.T @ rows), key=len)
        return np.sum((product - np.eye(len(product))) ** 2)

    return strength * sum(map(off, weights))


def gradient_penalty(x: Any, weight: Any, *, strength: float, target: float) -> Any:
    """The penalty of sum_j tanh(x w)_j, as a function of the samples and of what the function closes over."""
    return tr.regularizers.gradient_penalty(lambda x: tr.tanh(x @ weight), x, strength, target=target)


def _gradient_penalty(x: Any, weight: Any, strength: float, target: float) -> Any:
    slopes = (1 - np.tanh(x @ weight) ** 2) @ weight.T
    return strength * np.mean((np.sqrt(np.sum(slopes**2, axis=1)) - target) ** 2)


CASES = [
    Case(
        _penalty(tr.regularizers.l2),
        calls(arrays((2, 3), ELEMENTS), arrays((3,), ELEMENTS), strength=STRENGTH),
        lambda *ws, strength: strength / 2 * sum(np.sum(w**2) for w in ws),
        points=[at([0.0, 3.0], strength=0.5, gradient=[0.0, 1.5])],
        reach=math.inf,
    ),
    Case(
        _penalty(tr.regularizers.l1),
        calls(arrays((2, 3), NONZERO), arrays((3,), NONZERO), strength=STRENGTH),
        lambda *ws, strength: strength * sum(np.sum(np.abs(w)) for w in ws),
        points=[at([0.0, -3.0], strength=0.5, gradient=[0.0, -0.5])],
    ),
    Case(
        _penalty(tr.regularizers.elastic_net),
        calls(arrays((2, 3), NONZERO), arrays((3,), NONZERO), l1=STRENGTH, l2=STRENGTH),
        lambda *ws, l1, l2: sum(l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2) for w in ws),
        points=[at([0.0, -3.0], l1=0.5, l2=0.25, gradient=[0.0, -2.0])],
    ),
    Case(
        _penalty(tr.regularizers.group_lasso),
        calls(arrays((2, 3), NONZERO), arrays((3, 2, 2), NONZERO), strength=STRENGTH, axis=st.sampled_from([0, 1, -1])),
        _group_lasso,
        points=[
            at([[0.0, 0.0], [3.0, 4.0]], strength=0.5, axis=0, gradient=[[0.0, 0.0], [0.3 * 2**0.5, 0.4 * 2**0.5]]),
            at([0.0, -3.0], strength=0.5, axis=0, gradient=[0.0, -0.5]),
        ],
        reach=1 / 8,
    ),
    Case(
        _penalty(tr.regularizers.orthogonal),
        calls(arrays((2, 3), ELEMENTS), arrays((3, 1, 2), ELEMENTS), strength=STRENGTH),
        _orthogonal,
        points=[at([[0.0, 1.0], [1.0, 0.0]], strength=0.5, gradient=[[0.0, 0.0], [0.0, 0.0]])],
        reach=math.inf,
    ),
    Case(
        gradient_penalty,
        calls(
            arrays(st.sampled_from([(2, 2), (3, 2), (1, 2)])),
            arrays(st.sampled_from([(2, 1), (2, 3)]), st.sampled_from([0.5, 0.25, 0.75])),
            strength=STRENGTH,
            target=st.sampled_from([0.0, 1.0]),
        ),
        _gradient_penalty,
        points=[
            at([[0.0, 0.0]], [[0.0], [0.0]], strength=1.0, target=1.0, gradients=[[[0.0, 0.0]], [[0.0], [0.0]]]),
            at([[0.0, 0.0]], [[3.0], [4.0]], strength=0.5, target=0.0, gradients=[[[0.0, 0.0]], [[3.0], [4.0]]]),
        ],
        reach=1 / 8,
    ),
]
