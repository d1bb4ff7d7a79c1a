"""Cases of the compositions: activations, losses and regularizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr

from ..case import Call, Case
from ..strategies import arrays, calls, elementwise, reductions
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
    return np.asarray(losses) if reduction == "none" else getattr(np, reduction)(losses)


@st.composite
def _pairs(pick: Pick) -> Call:
    shape = pick(st.sampled_from([(3,), (2, 3)]))
    return Call((pick(arrays(shape)), pick(arrays(shape))), {"reduction": pick(REDUCTION)})


@st.composite
def _labelled(pick: Pick) -> Call:
    """Logits of three classes, with class indices or soft targets, weights and rows that do not count."""
    settings: dict[str, Any] = {"label_smoothing": pick(st.sampled_from([0.0, 0.2])), "reduction": pick(REDUCTION)}
    if pick(st.booleans()):
        return Call((pick(arrays((2, 3))), pick(arrays((2, 3)))), settings)
    settings["ignore_index"] = pick(st.sampled_from([None, 1]))
    target = np.array(pick(st.lists(st.integers(0, 2), min_size=4, max_size=4)), dtype=np.int64)
    return Call((pick(arrays((4, 3))), target), settings)


def _cross_entropy(logits: Any, target: Any, label_smoothing: float, reduction: str, ignore_index: Any = None) -> Any:
    """Row by row, as the definition reads."""
    soft = target.ndim == 2
    counts = [soft or t != ignore_index for t in target]
    losses = []
    for z, t, counted in zip(logits, target, counts, strict=True):
        q = (1 - label_smoothing) * (t if soft else np.eye(3)[t]) + label_smoothing / 3
        losses.append(-np.sum(q * np.log(_softmax(z, 0))) if counted else 0.0)
    if reduction == "mean":
        return np.sum(losses) / max(sum(counts), 1)
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
    Case(tr.softmax, reductions(axis=_one_axis, min_dims=1, min_side=1), _softmax),
    Case(tr.log_softmax, reductions(axis=_one_axis, min_dims=1, min_side=1), lambda x, axis: np.log(_softmax(x, axis))),
    Case(tr.gelu, elementwise(approximate=st.sampled_from(["none", "tanh"])), _gelu),
    Case(tr.silu, elementwise(), lambda x: x / (1 + np.exp(-x))),
    Case(
        tr.leaky_relu,
        elementwise(away_from=(0.0,), negative_slope=SLOPE),
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    ),
    Case(
        tr.elu,
        elementwise(away_from=(0.0,), alpha=st.sampled_from([1.0, 0.5])),
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    ),
    # losses
    Case(tr.losses.mse, _pairs(), lambda x, y, reduction: _reduced((x - y) ** 2, reduction)),
    Case(tr.losses.cross_entropy, _labelled(), _cross_entropy),
    # regularizers
    Case(
        _penalty(tr.regularizers.l2),
        calls(*WEIGHTS, strength=STRENGTH),
        lambda *ws, strength: strength / 2 * sum(np.sum(w**2) for w in ws),
    ),
    Case(
        _penalty(tr.regularizers.l1),
        calls(*WEIGHTS, strength=STRENGTH),
        lambda *ws, strength: strength * sum(np.sum(np.abs(w)) for w in ws),
    ),
]
