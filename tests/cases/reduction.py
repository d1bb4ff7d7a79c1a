"""Cases of the reductions."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.ops.exponential import log_shares, shares
from tinyreg.ops.reduction import p_norm
from tinyreg.testing import Case, at
from tinyreg.testing.strategies import reductions, values

KEEP = st.booleans()
FEW = st.sampled_from([1.0, 0.0, -2.0])  # so that there are ties, and lines of zeros
CORRECTION = st.sampled_from([0, 0.5, 1])
DIFFERENT_SIZES = st.sampled_from([(-1) ** k * k / 8 for k in range(8, 25)] + [k / 8 for k in range(1, 8)])


def _one_axis(ndim: int) -> st.SearchStrategy[int | None]:
    return st.integers(-ndim, ndim - 1) if ndim else st.none()


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def _cumulative_sum(x: Any, axis: Any, include_initial: bool) -> Any:
    first = [(int(include_initial and i == axis % x.ndim), 0) for i in range(x.ndim)]
    return np.pad(np.cumsum(x, axis=axis), first)


def _norm(x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    return np.linalg.vector_norm(x, ord=ord, axis=axis, keepdims=keepdims)


MAX_TIES = [
    at([2.0, 1.0, 2.0], gradient=[0.5, 0.0, 0.5]),
    at([[1.0, 1.0, 0.0], [2.0, 0.0, 0.0]], axis=1, gradient=[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]),
    at([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], axis=0, keepdims=True, gradient=[[0.5, 1.0, 0.5], [0.5, 0.0, 0.5]]),
]
MIN_TIES = [
    at([1.0, 1.0, 1.0, 2.0], gradient=[1 / 3, 1 / 3, 1 / 3, 0.0]),
    at([[1.0, 1.0, 2.0], [2.0, 0.0, 3.0]], axis=1, gradient=[[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]),
    at([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0]], axis=0, keepdims=True, gradient=[[0.5, 1.0, 0.5], [0.5, 0.0, 0.5]]),
]
NORM_ZEROS = [
    at([0.0, 0.0], gradient=[0.0, 0.0]),
    at([0.0, -2.0], ord=1, gradient=[0.0, -1.0]),
    at([0.0, 0.0], ord=3, gradient=[0.0, 0.0]),
    at([[0.0, 0.0], [3.0, -4.0]], axis=1, gradient=[[0.0, 0.0], [0.6, -0.8]]),
    at([[0.0, 0.0], [3.0, 0.0]], axis=1, ord=3, gradient=[[0.0, 0.0], [1.0, 0.0]]),
    at([-math.inf, 1.0], gradient=[-1.0, 0.0]),
]

CASES = [
    Case(
        tr.sum,
        reductions(keepdims=KEEP),
        np.sum,
        points=[
            at([1.5, -2.0], dtype=np.dtype(np.float32), gradient=[1.0, 1.0]),
            at([1.5, -2.0], dtype=np.dtype(np.float64), gradient=[1.0, 1.0]),
        ],
        reach=math.inf,
    ),
    Case(tr.mean, reductions(least=1, keepdims=KEEP), np.mean, reach=math.inf),
    Case(tr.max, reductions(least=1, unique=True, keepdims=KEEP), np.max, points=MAX_TIES),
    Case(tr.min, reductions(least=1, unique=True, keepdims=KEEP), np.min, points=MIN_TIES),
    Case(
        tr.prod,
        reductions(keepdims=KEEP, budget=100),
        np.prod,
        points=[
            at([0.0, 2.0, 3.0], gradient=[6.0, 0.0, 0.0]),
            at([0.0, 0.0, 3.0], gradient=[0.0, 0.0, 0.0]),
            at([[0.0, 2.0], [3.0, 4.0]], axis=0, gradient=[[3.0, 4.0], [0.0, 2.0]]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.var,
        reductions(least=2, keepdims=KEEP, correction=CORRECTION),
        np.var,
        points=[at([3.0, 3.0], gradient=[0.0, 0.0]), at(np.array(3.0), gradient=0.0)],
        reach=math.inf,
    ),
    Case(
        tr.std,
        reductions(least=2, unique=True, keepdims=KEEP, correction=CORRECTION),
        np.std,
        points=[
            at([3.0, 3.0], gradient=[0.0, 0.0]),
            at(np.array(3.0), gradient=0.0),
            at([[3.0, 3.0], [1.0, 2.0]], axis=1, gradient=[[0.0, 0.0], [-0.5, 0.5]]),
        ],
        reach=1 / 16,
    ),
    Case(
        tr.logsumexp,
        reductions(least=1, keepdims=KEEP),
        _logsumexp,
        points=[
            at([-math.inf, -math.inf], gradient=[0.0, 0.0]),
            at([[-math.inf, -math.inf], [0.0, 0.0]], axis=1, gradient=[[0.0, 0.0], [0.5, 0.5]]),
            at([-math.inf, 2.0], gradient=[0.0, 1.0]),
            at([1e4, -1e4], gradient=[1.0, 0.0]),
            at([800.0, 800.0], gradient=[0.5, 0.5]),
            at(np.array(-800.0), gradient=1.0),
        ],
        reach=math.inf,
    ),
    Case(
        shares,
        reductions(least=2, zeros=st.booleans()),
        lambda x, axis, zeros: np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True),
        points=[
            at([-math.inf, -math.inf], zeros=True, gradient=[0.0, 0.0]),
            at([[math.inf, 0.0], [1e4, 1e4]], axis=1, zeros=True, gradient=[[0.0, 0.0], [0.0, 0.0]]),
        ],
        reach=math.inf,
    ),
    Case(
        log_shares,
        reductions(least=2),
        lambda x, axis: x - np.log(np.exp(x).sum(axis=axis, keepdims=True)),
        points=[
            at([0.0, -1e4], gradient=[-1.0, 1.0]),
            at([[0.0, -math.inf], [1e4, 1e4]], axis=1, gradient=[[-1.0, 1.0], [0.0, 0.0]]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.cumulative_sum,
        reductions(axis=_one_axis, min_dims=1, include_initial=st.booleans()),
        _cumulative_sum,
        points=[at([1.0, 2.0, 3.0], gradient=[3.0, 2.0, 1.0])],
        reach=math.inf,
    ),
    Case(
        p_norm,
        reductions(values(away_from=(0.0,)), least=1, keepdims=KEEP, ord=st.sampled_from([1, 2, 2.5, 3])),
        _norm,
        points=NORM_ZEROS,
    ),
    Case(
        tr.norm,
        reductions(DIFFERENT_SIZES, least=1, unique=True, keepdims=KEEP, ord=st.sampled_from([1, 2, 3, math.inf])),
        _norm,
        points=[
            *NORM_ZEROS,
            at([0.0, 0.0], ord=math.inf, gradient=[0.0, 0.0]),
            at([2.0, -2.0], ord=math.inf, gradient=[0.5, -0.5]),
        ],
    ),
    # without a gradient
    Case(tr.argmax, reductions(FEW, axis=_one_axis, least=1, keepdims=KEEP), np.argmax, order=0),
    Case(tr.argmin, reductions(FEW, axis=_one_axis, least=1, keepdims=KEEP), np.argmin, order=0),
    Case(tr.all, reductions(FEW, keepdims=KEEP), np.all, order=0),
    Case(tr.any, reductions(FEW, keepdims=KEEP), np.any, order=0),
]
