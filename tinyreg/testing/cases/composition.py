"""Cases of the compositions: activations, losses and regularizers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

import tinyreg as tr

from ..case import Call, Case, at
from ..strategies import arrays, calls, elementwise, reductions, shapes
from .elementwise import erf

Pick = Callable[[Any], Any]
SLOPE = st.sampled_from([0.01, 0.5])
STRENGTH = st.sampled_from([0.1, 2.0])
REDUCTION = st.sampled_from(["mean", "sum", "none"])


def _one_axis(ndim: int) -> st.SearchStrategy[int]:
    return st.integers(-ndim, ndim - 1)


def _softmax(x: Any, axis: int) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "none":
        return x * (1 + erf(x / np.sqrt(2))) / 2
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return np.asarray(losses)
    return np.mean(losses) if reduction == "mean" and np.size(losses) else np.sum(losses)


@st.composite
def _pairs(pick: Pick) -> Call:
    shape = pick(shapes())
    return Call((pick(arrays(shape)), pick(arrays(shape))), {"reduction": pick(REDUCTION)})


LOGITS = st.sampled_from([(2, 3), (3, 2), (3,), (4, 3), (2, 3, 2), (0, 3)])
CLASS_WEIGHTS = st.sampled_from([1.0, 0.5, 2.0])


@st.composite
def _labelled(pick: Pick) -> Call:
    """Logits with class indices or soft targets, weights, and rows that do not count."""
    settings: dict[str, Any] = {"label_smoothing": pick(st.sampled_from([0.0, 0.2])), "reduction": pick(REDUCTION)}
    logits = pick(arrays(LOGITS))
    axis = 1 if logits.ndim > 1 else 0
    classes = logits.shape[axis]
    weight = pick(st.one_of(st.none(), arrays((classes,), CLASS_WEIGHTS)))
    if pick(st.booleans()):
        return Call((logits, pick(arrays(logits.shape)), weight), settings)
    settings["ignore_index"] = pick(st.sampled_from([None, 1, -100]))
    allowed = [*range(classes), *[-100] * (settings["ignore_index"] == -100)]
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    target = pick(hnp.arrays(np.int64, shape, elements=st.sampled_from(allowed), fill=st.nothing()))
    return Call((logits, target, weight), settings)


def cross_entropy(logits: Any, target: Any, weight: Any = None, **settings: Any) -> Any:
    """The loss with its weights as an array, so that they get a gradient too."""
    return tr.losses.cross_entropy(logits, target, weight=weight, **settings)


def _cross_entropy(
    logits: Any, target: Any, weight: Any, label_smoothing: float, reduction: str, ignore_index: Any = None
) -> Any:
    """Row by row, as the definition reads."""
    rows = np.moveaxis(logits, 1 if logits.ndim > 1 else 0, -1)
    soft = target.dtype.kind == "f"
    targets = np.moveaxis(target, 1 if logits.ndim > 1 else 0, -1) if soft else target
    classes = rows.shape[-1]
    w = np.ones(classes) if weight is None else weight
    losses, shares = np.zeros(rows.shape[:-1]), np.zeros(rows.shape[:-1])
    for row in np.ndindex(losses.shape):
        t = targets[row]
        if soft or t != ignore_index:
            q = (1 - label_smoothing) * (t if soft else np.eye(classes)[t]) + label_smoothing / classes
            losses[row] = -np.sum(w * q * np.log(_softmax(rows[row], 0)))
            shares[row] = 1.0 if soft else w[t]
    if reduction == "mean":
        return np.sum(losses) / (np.sum(shares) or 1.0)
    return _reduced(losses, reduction)


def _penalty(f: Callable[..., Any]) -> Callable[..., Any]:
    """A regularizer as a function of two weights."""

    def penalty(*weights: Any, strength: float) -> Any:
        return f(weights, strength)

    penalty.__name__ = f.__name__
    return penalty


WEIGHTS = (arrays((2, 3), st.sampled_from([1.0, -0.5, 2.25])), arrays((3,), st.sampled_from([1.0, -0.5, 2.25])))

CASES = [
    # activations
    Case(
        tr.softmax,
        reductions(axis=_one_axis, min_dims=1, least=2),
        _softmax,
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
        lambda x, axis: np.log(_softmax(x, axis)),
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
        ],
        reach=math.inf,
    ),
    Case(
        tr.silu,
        elementwise(),
        lambda x: x / (1 + np.exp(-x)),
        points=[at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 0.5, 1.0, 1.0])],
        reach=math.inf,
    ),
    Case(
        tr.leaky_relu,
        elementwise(away_from=(0.0,), negative_slope=SLOPE),
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        points=[at([0.0, -800.0, 800.0], negative_slope=0.5, gradient=[0.5, 0.5, 1.0])],
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
    # losses
    Case(
        tr.losses.mse,
        _pairs(),
        lambda x, y, reduction: _reduced((x - y) ** 2, reduction),
        points=[at([1.0, 2.0], [1.0, 0.0], gradients=[[0.0, 2.0], [0.0, -2.0]])],
        reach=math.inf,
    ),
    Case(
        cross_entropy,
        _labelled(),
        _cross_entropy,
        points=[
            at([[1e4, 0.0]], [0], gradient=[[0.0, 0.0]]),
            at([[1e4, 0.0]], [1], gradient=[[1.0, -1.0]]),
            at([[-1e4, 0.0, 1e4]], [[0.0, 0.5, 0.5]], gradients=[[[0.0, -0.5, 0.5]], [[2e4, 1e4, 0.0]]]),
            at([[0.0, 0.0]], [1], ignore_index=1, gradient=[[0.0, 0.0]]),
            at([[0.0, 0.0], [0.0, 0.0]], [1, 0], ignore_index=1, gradient=[[0.0, 0.0], [-0.5, 0.5]]),
            at(
                [[0.0, 0.0], [0.0, 0.0]],
                [1, 0],
                [3.0, 1.0],
                reduction="sum",
                gradients=[[[0.5, -0.5], [-1.5, 1.5]], [math.log(2), math.log(2)]],
            ),
            at([[0.0, 1.0]], [1], [1.0, 2.0], ignore_index=1, gradients=[[[0.0, 0.0]], [0.0, 0.0]]),
        ],
        reach=1 / 4,
    ),
    # regularizers
    Case(
        _penalty(tr.regularizers.l2),
        calls(*WEIGHTS, strength=STRENGTH),
        lambda *ws, strength: strength / 2 * sum(np.sum(w**2) for w in ws),
        points=[at([0.0, 3.0], strength=0.5, gradient=[0.0, 1.5])],
        reach=math.inf,
    ),
    Case(
        _penalty(tr.regularizers.l1),
        calls(*WEIGHTS, strength=STRENGTH),
        lambda *ws, strength: strength * sum(np.sum(np.abs(w)) for w in ws),
        points=[at([0.0, -3.0], strength=0.5, gradient=[0.0, -0.5])],
    ),
]
