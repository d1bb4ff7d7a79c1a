"""Cases of the reductions."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr

from ...ops.reduction import p_norm
from ...ops.table import POSITIVE
from ..case import Case
from ..strategies import axes, reductions

KEEP = st.booleans()
CORRECTION = st.sampled_from([0, 0.5])


def _one_axis(ndim: int) -> st.SearchStrategy[int | None]:
    return st.integers(-ndim, ndim - 1) if ndim else st.none()


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def _cumulative_sum(x: Any, axis: Any, include_initial: bool) -> Any:
    first = [(int(include_initial and i == axis % x.ndim), 0) for i in range(x.ndim)]
    return np.pad(np.cumsum(x, axis=axis), first)


def _norm(x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    return np.linalg.vector_norm(x, ord=ord, axis=axis, keepdims=keepdims)


CASES = [
    Case(tr.sum, reductions(keepdims=KEEP, dtype=st.sampled_from([None, np.dtype(np.float64)])), np.sum),
    Case(tr.mean, reductions(min_side=1, keepdims=KEEP), np.mean),
    Case(tr.max, reductions(min_side=1, unique=True, keepdims=KEEP), np.max),
    Case(tr.min, reductions(min_side=1, unique=True, keepdims=KEEP), np.min),
    Case(tr.prod, reductions(keepdims=KEEP), np.prod),
    Case(tr.var, reductions(min_side=1, keepdims=KEEP, correction=CORRECTION), np.var),
    Case(tr.std, reductions(min_side=2, min_dims=1, unique=True, keepdims=KEEP, correction=CORRECTION), np.std),
    Case(tr.logsumexp, reductions(min_side=1, keepdims=KEEP), _logsumexp),
    Case(
        tr.cumulative_sum,
        reductions(axis=_one_axis, min_dims=1, include_initial=st.booleans()),
        _cumulative_sum,
    ),
    Case(
        p_norm,
        reductions(away_from=(0.0,), min_side=1, keepdims=KEEP, ord=st.sampled_from([1, 2, 2.5, 3])),
        _norm,
    ),
    Case(
        tr.norm,
        reductions(POSITIVE, min_side=1, max_dims=2, unique=True, keepdims=KEEP, ord=st.sampled_from([1, 2, 3, math.inf])),
        _norm,
    ),
    # without a gradient
    Case(tr.argmax, reductions(axis=_one_axis, min_side=1, keepdims=KEEP), np.argmax, order=0),
    Case(tr.argmin, reductions(axis=_one_axis, min_side=1, keepdims=KEEP), np.argmin, order=0),
    Case(tr.all, reductions(axis=axes, keepdims=KEEP), np.all, order=0),
    Case(tr.any, reductions(axis=axes, keepdims=KEEP), np.any, order=0),
]
