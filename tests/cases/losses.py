"""Cases of the losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy

import tinyreg as tr
from tinyreg.losses.classification import logistic_nll, smoothed_nll, soft_nll
from tinyreg.losses.regression import parabola_and_line
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, near_even, near_odd, resized, shapes, values

from .activations import softmax

Pick = Callable[[Any], Any]
REDUCTION = st.sampled_from(["mean", "sum", "none"])


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return np.asarray(losses)
    return np.mean(losses) if reduction == "mean" and np.size(losses) else np.sum(losses)


@st.composite
def _pairs(pick: Pick, /, kinks: bool = False, **settings: SearchStrategy[Any]) -> Call:
    """A prediction and a target of one shape; with kinks, no difference of elements is within 1/32 of a multiple of 1/8."""
    shape = pick(shapes())
    drawn = {name: pick(strategy) for name, strategy in settings.items()}
    one, other = (values(), values()) if not kinks else (values().map(near_even), values().map(near_odd))
    return Call((pick(arrays(shape, one)), pick(arrays(shape, other))), drawn | {"reduction": pick(REDUCTION)})


LOGITS = st.sampled_from([(2, 3), (3, 2), (3,), (4, 3), (2, 3, 2), (0, 3)])
PIXELS = st.sampled_from([(2, 3), (1, 2), (3, 2), (0, 3), (2, 3, 2), (1, 2, 2, 3)])
CLASS_WEIGHTS = st.sampled_from([1.0, 0.5, 2.0])


def _one_resized(shape: tuple[int, ...]) -> SearchStrategy[tuple[int, ...]]:
    return resized(shape).map(lambda shapes: shapes[0])


@st.composite
def _labelled(pick: Pick) -> Call:
    """Logits with class indices or soft targets, weights, and rows that do not count."""
    settings: dict[str, Any] = {"label_smoothing": pick(st.sampled_from([0.0, 0.2])), "reduction": pick(REDUCTION)}
    logits = pick(arrays(LOGITS.flatmap(_one_resized)))
    axis = 1 if logits.ndim > 1 else 0
    classes = logits.shape[axis]
    weight = pick(st.one_of(st.none(), arrays((classes,), CLASS_WEIGHTS)))
    if pick(st.booleans()):
        return Call((logits, pick(arrays(logits.shape)), weight), settings)
    settings["ignore_index"] = pick(st.sampled_from([None, 1, -100]))
    allowed = [*range(classes), *[-100] * (settings["ignore_index"] == -100)]
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    target = pick(arrays(shape, st.sampled_from(allowed), dtype=np.int64))
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
            losses[row] = -np.sum(w * q * np.log(softmax(rows[row], 0)))
            shares[row] = 1.0 if soft else w[t]
    if reduction == "mean":
        return np.sum(losses) / (np.sum(shares) or 1.0)
    return _reduced(losses, reduction)


@st.composite
def _binary(pick: Pick) -> Call:
    """Logits with targets from 0 to 1, and weights that broadcast to them."""
    shape = pick(shapes())
    weights = st.one_of(st.none(), arrays(st.sampled_from([shape, shape[-1:], ()]), CLASS_WEIGHTS))
    target = pick(arrays(shape, st.sampled_from([0.0, 1.0, 0.25])))
    return Call((pick(arrays(shape)), target, pick(weights), pick(weights)), {"reduction": pick(REDUCTION)})


def binary_cross_entropy(logits: Any, target: Any, weight: Any = None, pos_weight: Any = None, **settings: Any) -> Any:
    """The loss with its weights as arrays, so that they get a gradient too."""
    return tr.losses.binary_cross_entropy(logits, target, weight=weight, pos_weight=pos_weight, **settings)


def _binary_cross_entropy(logits: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    p = 1 / (1 + np.exp(-logits))
    losses = -target * np.log(p) * (1.0 if pos_weight is None else pos_weight) - (1 - target) * np.log(1 - p)
    return _reduced(losses * (1.0 if weight is None else weight), reduction)


@st.composite
def _distributions(pick: Pick) -> Call:
    """Logarithms of probabilities, not quite normalized, and targets, or their logarithms."""
    shape = pick(shapes(min_dims=1))
    log_target = pick(st.booleans())
    target = pick(arrays(shape, None if log_target else st.sampled_from([0.25, 0.5, 1.0])))
    settings = {"axis": pick(st.integers(-len(shape), len(shape) - 1)), "log_target": log_target}
    return Call((pick(arrays(shape)), target), settings | {"reduction": pick(REDUCTION)})


def _kl_divergence(log_q: Any, target: Any, axis: int, log_target: bool, reduction: str) -> Any:
    p = np.exp(target) if log_target else target
    return _reduced(np.sum(p * np.log(p / np.exp(log_q)), axis=axis), reduction)


def hinge(scores: Any, target: Any, *, margin: float, reduction: Any) -> Any:
    """The loss with integers for targets, which have no gradient."""
    return tr.losses.hinge(scores, target, margin=margin, reduction=reduction)


@st.composite
def _sides(pick: Pick) -> Call:
    """Scores that are not at the margin, and the sides on which they should be."""
    shape = pick(shapes())
    target = pick(arrays(shape, st.sampled_from([-1, 1]), dtype=np.int64))
    settings = {"margin": pick(st.sampled_from([1.0, 0.5])), "reduction": pick(REDUCTION)}
    return Call((pick(arrays(shape, st.sampled_from([0.0, -0.25, 0.75, 1.25, -2.0, 3.0]))), target), settings)


@st.composite
def _rows(pick: Pick) -> Call:
    logits = pick(arrays(PIXELS.flatmap(_one_resized)))
    shape = (*logits.shape[:1], *logits.shape[2:])
    index = pick(arrays(shape, st.integers(0, logits.shape[1] - 1), dtype=np.int64))
    counted = pick(st.one_of(st.none(), arrays(shape, st.booleans(), dtype=np.bool_)))
    settings = {"label_smoothing": pick(st.sampled_from([0.0, 0.2, 1.0])), "reduction": pick(REDUCTION)}
    return Call((logits, index, counted), settings)


def _smoothed_nll(logits: Any, index: Any, counted: Any, label_smoothing: float, reduction: str) -> Any:
    index = index if counted is None else np.where(counted, index, -1)
    return _cross_entropy(logits, index, None, label_smoothing, reduction, ignore_index=-1)


@st.composite
def _soft_rows(pick: Pick) -> Call:
    """Logits with shares of any size, some of them 0."""
    logits = pick(arrays(PIXELS.flatmap(_one_resized)))
    return Call((logits, pick(arrays(logits.shape, SHARES))), {"reduction": pick(REDUCTION)})


@st.composite
def _shared(pick: Pick) -> Call:
    """Logits with what the two sides count, or with targets alone."""
    shape = pick(shapes())
    shares = arrays(shape, SHARES)
    return Call((pick(arrays(shape)), pick(shares), pick(st.one_of(st.none(), shares))), {"reduction": pick(REDUCTION)})


LOG2 = math.log(2)
SHARES = st.sampled_from([1.0, 0.0, 0.25, 2.0])


def _logistic_nll(logits: Any, positive: Any, negative: Any, reduction: str) -> Any:
    p = 1 / (1 + np.exp(-logits))
    negative = 1 - positive if negative is None else negative
    return _reduced(-positive * np.log(p) - negative * np.log(1 - p), reduction)


def _huber(x: Any, y: Any, delta: float, reduction: str) -> Any:
    d = np.abs(x - y)
    return _reduced(np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)), reduction)


CASES = [
    Case(
        smoothed_nll,
        _rows(),
        _smoothed_nll,
        points=[
            at([[1e4, 0.0]], [1], label_smoothing=0.0, reduction="none", gradient=[[1.0, -1.0]]),
            at([[1e4, 0.0]], [0], label_smoothing=0.5, reduction="sum", gradient=[[0.25, -0.25]]),
            at([[0.0, -math.inf, 0.0]], [0], gradient=[[-0.5, 0.0, 0.5]]),
            at([[0.0, -math.inf]], [1], label_smoothing=1.0, gradient=[[0.5, -0.5]]),
            at([[math.nan, 0.0], [0.0, 0.0]], [0, 1], [False, True], gradient=[[0.0, 0.0], [0.5, -0.5]]),
            at([[0.0, 0.0]] * 3, [0, 1, 1], [True, True, False], gradient=[[-0.25, 0.25], [0.25, -0.25], [0.0, 0.0]]),
            at([[math.inf, 0.0]], [0], [False], reduction="none", label_smoothing=0.2, gradient=[[0.0, 0.0]]),
        ],
        reach=1 / 4,
    ),
    Case(
        soft_nll,
        _soft_rows(),
        lambda z, q, reduction: _cross_entropy(z, q, None, 0.0, reduction),
        points=[
            at(
                [[-1e4, -1e4], [1e4, 0.0]],
                [[1.0, 0.0], [1.0, 0.0]],
                gradients=[[[-0.25, 0.25], [0.0, 0.0]], [[LOG2 / 2, LOG2 / 2], [0.0, 5e3]]],
            ),
            at([[-1e4, 0.0, 1e4]], [[0.0, 0.5, 0.5]], gradients=[[[0.0, -0.5, 0.5]], [[2e4, 1e4, 0.0]]]),
            at([[0.0, -math.inf, 0.0]], [[1.0, 0.0, 0.0]], gradients=[[[-0.5, 0.0, 0.5]], [[LOG2, 0.0, LOG2]]]),
            at(
                [[math.nan, 0.0], [0.0, 0.0]],
                [[0.0, 0.0], [1.0, 2.0]],
                gradients=[[[0.0, 0.0], [0.25, -0.25]], [[LOG2 / 2, LOG2 / 2], [LOG2 / 2, LOG2 / 2]]],
            ),
            at([[math.inf, 0.0]], [[0.0, 0.0]], reduction="none", gradients=[[[0.0, 0.0]], [[LOG2, LOG2]]]),
        ],
        reach=1 / 4,
    ),
    Case(
        logistic_nll,
        _shared(),
        _logistic_nll,
        points=[
            at([1e4, -1e4], [0.0, 1.0], reduction="sum", gradients=[[1.0, -1.0], [-1e4, 1e4]]),
            at([1e4, -1e4], [1.0, 0.0], reduction="sum", gradients=[[0.0, 0.0], [-1e4, 1e4]]),
            at([-math.inf], [0.0], [2.0], gradients=[[0.0], [LOG2], [0.0]]),
            at([0.0, -0.0], [1.0, 0.5], gradients=[[-0.25, 0.0], [0.0, 0.0]]),
            at([math.inf, -math.inf], [1.0, 0.0], reduction="sum", gradients=[[0.0, 0.0], [-LOG2, LOG2]]),
            at([math.nan, 1e4], [0.0, 0.0], [0.0, 2.0], gradients=[[0.0, 1.0], [LOG2 / 2, 0.0], [LOG2 / 2, 5e3]]),
            at(
                [-1e4, math.inf], [3.0, 2.0], [0.0, 0.0], reduction="none", gradients=[[-3.0, 0.0], [1e4, 0.0], [0.0, LOG2]]
            ),
        ],
        reach=math.inf,
    ),
    Case(
        parabola_and_line,
        _pairs(kinks=True, delta=st.sampled_from([1.0, 0.5, 2.0])),
        _huber,
        points=[
            at(
                [1.0, 2.0, 3.0], [1.0, 1.0, 0.0], delta=1.0, reduction="sum", gradients=[[0.0, 1.0, 1.0], [0.0, -1.0, -1.0]]
            ),
            at([math.inf, 0.0], [0.0, math.inf], delta=0.5, reduction="sum", gradients=[[0.5, -0.5], [-0.5, 0.5]]),
        ],
        reach=1 / 64,
    ),
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
                gradients=[[[0.5, -0.5], [-1.5, 1.5]], [LOG2, LOG2]],
            ),
            at([[0.0, 1.0]], [1], [1.0, 2.0], ignore_index=1, gradients=[[[0.0, 0.0]], [0.0, 0.0]]),
            at([[math.nan, 1.0]], [1], ignore_index=1, gradient=[[0.0, 0.0]]),
            at([[math.nan, 1.0], [0.0, 0.0]], [0, 1], [0.0, 1.0], gradients=[[[0.0, 0.0], [0.5, -0.5]], [0.0, 0.0]]),
            at(
                [[0.0, -math.inf, 0.0]],
                [[1.0, 0.0, 0.0]],
                gradients=[[[-0.5, 0.0, 0.5]], [[LOG2, 0.0, LOG2]]],
            ),
        ],
        reach=1 / 4,
    ),
    Case(
        tr.losses.mae,
        _pairs(kinks=True),
        lambda x, y, reduction: _reduced(np.abs(x - y), reduction),
        points=[at([1.0, 2.0], [1.0, 0.0], gradients=[[0.0, 0.5], [0.0, -0.5]])],
        reach=1 / 64,
    ),
    Case(
        tr.losses.huber,
        _pairs(kinks=True, delta=st.sampled_from([1.0, 0.5, 2.0])),
        _huber,
        points=[
            at([1.0, 2.0, 3.0], [1.0, 1.0, 0.0], reduction="sum", gradients=[[0.0, 1.0, 1.0], [0.0, -1.0, -1.0]]),
            at([1e200], [-1e200], delta=0.5, gradients=[[0.5], [-0.5]]),
            at([math.inf, 0.0], [0.0, math.inf], delta=0.5, reduction="sum", gradients=[[0.5, -0.5], [-0.5, 0.5]]),
        ],
        reach=1 / 64,
    ),
    Case(
        binary_cross_entropy,
        _binary(),
        _binary_cross_entropy,
        points=[
            at([1e4, -1e4], [0.0, 1.0], reduction="sum", gradients=[[1.0, -1.0], [-1e4, 1e4]]),
            at([1e4, -1e4], [1.0, 0.0], reduction="sum", gradients=[[0.0, 0.0], [-1e4, 1e4]]),
        ],
        reach=math.inf,
    ),
    Case(
        tr.losses.kl_divergence,
        _distributions(),
        _kl_divergence,
        points=[
            at([[-math.inf, 0.0]], [[0.0, 1.0]], gradients=[[[0.0, -1.0]], [[0.0, 1.0]]]),
            at([[0.0, -1e4]], [[0.0, 1.0]], gradients=[[[0.0, -1.0]], [[0.0, 10001.0]]]),
        ],
        reach=1 / 8,
    ),
    Case(
        hinge,
        _sides(),
        lambda s, t, margin, reduction: _reduced(np.maximum(0.0, margin - t * s), reduction),
        points=[at([1.0, 0.0, -3.0], [1, 1, 1], margin=1.0, reduction="sum", gradient=[0.0, -1.0, -1.0])],
        reach=1 / 8,
    ),
]
