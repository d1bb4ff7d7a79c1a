"""Fast forms of losses: one entry on the tape, and a forward that works out the slope of each loss while it is at hand.

Each stands for a definition in `classification` or `regression`, which it equals; delete one, and that loss is its
definition again. Large arrays are worked on in blocks that stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import ops
from ..core.backend import Array, Backend
from .checks import entering, reduced
from .classification import log_shares, logistic_nll, smoothed_nll, soft_nll
from .regression import parabola_and_line

Parts = Sequence[Array | None]

# ---- of numbers ------------------------------------------------------------------------------------------------------


@parabola_and_line.fast
def _(xp: Backend, prediction: Array, target: Array, *, delta: float, reduction: str) -> tuple[Array, Array]:
    """slope (d - slope / 2), where the slope is d cut off at -delta and delta."""

    def block(x: Array, t: Array) -> tuple[Array, Array]:
        d = x - t
        slope = xp.clip(d, -delta, delta)
        d -= slope / 2
        d *= slope
        return d, slope

    return _in_blocks(xp, block, reduction, *_flat(xp, prediction, target), shape=prediction.shape)


@parabola_and_line.backward
def _(g: Array, residuals: Array, wanted: Sequence[int]) -> Parts:
    """g times d cut off at -delta and delta for the prediction, and the negative of that for the target."""
    dx = residuals * g
    return dx, -dx if 1 in wanted else None


# ---- of two classes --------------------------------------------------------------------------------------------------


@logistic_nll.fast
def _(xp: Backend, logits: Array, positive: Array, negative: Array = None, *, reduction: str) -> tuple[Array, Array]:
    """(p + n) log(1 + e^-|z|) + n max(z, 0) - p min(z, 0), for logits z, p positive and n negative."""

    def certain(z: Array, p: Array) -> tuple[Array, Array]:  # where p + n is 1
        above, s = ~xp.signbit(z), xp.exp(-xp.abs(z))
        slope = above - p
        loss = xp.log1p(s)
        loss += slope * xp.masked(z, slope != 0)
        s /= 1 + s  # sigmoid(-|z|)
        slope -= xp.copysign(s, z)
        return loss, slope

    def weighted(z: Array, p: Array, n: Array) -> tuple[Array, Array]:
        both, z = p + n, xp.masked(z, (p != 0) | (n != 0))
        below, s = xp.signbit(z), xp.exp(-xp.abs(z))
        slope = xp.masked(n, ~below) - xp.masked(p, below)
        loss = both * xp.log1p(s)
        loss += slope * xp.masked(z, slope != 0)
        s /= 1 + s
        slope -= both * xp.copysign(s, z)
        return loss, slope

    if negative is None:
        return _in_blocks(xp, certain, reduction, *_flat(xp, logits, positive), shape=logits.shape)
    return _in_blocks(xp, weighted, reduction, *_flat(xp, logits, positive, negative), shape=logits.shape)


@logistic_nll.backward
def _(
    g: Array, logits: Array, positive: Array, negative: Array, residuals: Array, reduction: str, wanted: Sequence[int]
) -> Parts:
    """g (negative sigmoid(z) - positive sigmoid(-z)) for the logits z, divided by their number for a mean."""
    dz = residuals * g
    if 1 not in wanted and 2 not in wanted:
        return dz, None, None
    g = _for_each(g, logits.size, reduction)
    n = 1 - positive if negative is None else negative
    dp, dn = g * ops.softplus(-entering(logits, positive)), g * ops.softplus(entering(logits, n))
    return dz, dp - dn if negative is None else dp, dn


def _flat(xp: Backend, x: Array, *others: Array) -> list[Array]:
    """Arrays of one shape along one axis, in the dtype of the first."""
    return [xp.asarray(array, x.dtype).reshape(-1) for array in (x, *others)]


# ---- of many classes -------------------------------------------------------------------------------------------------


@soft_nll.fast
def _(xp: Backend, logits: Array, q: Array, *, reduction: str) -> tuple[Array, Array]:
    """sum(q) log(sum(e^z)) - sum(q z) of each row, where z is the logits less the largest."""

    def block(z: Array, q: Array) -> tuple[Array, Array]:
        counts = q != 0
        z = xp.masked(z, counts.any(axis=1, keepdims=True))
        z -= z.max(axis=1, keepdims=True)
        p, whole = xp.exp(z), q.sum(axis=1, keepdims=True)
        total = p.sum(axis=1, keepdims=True)
        p *= whole / total
        p -= q
        xp.multiply(xp.masked(z, counts), q, out=z)
        return (whole * xp.log(total)).squeeze(1) - z.sum(axis=1), p

    return _in_blocks(xp, block, reduction, logits, q, shape=logits.shape)


@soft_nll.backward
def _(g: Array, logits: Array, q: Array, residuals: Array, reduction: str, wanted: Sequence[int]) -> Parts:
    """g (sum(q) softmax(logits) - q) for the logits, divided by the number of rows for a mean."""
    g = g[:, None] if reduction == "none" else g
    dz = residuals * g
    if 1 not in wanted:
        return dz, None
    return dz, log_shares(logits, q) * -_for_each(g, _rows(logits.shape), reduction)


@smoothed_nll.fast
def _(
    xp: Backend, logits: Array, index: Array, counted: Array = None, *, label_smoothing: float, reduction: str
) -> tuple[Array, Array]:
    z = logits if counted is None else xp.masked(logits, counted[:, None])
    z = z - z.max(axis=1, keepdims=True)
    losses = (label_smoothing - 1) * z[_places(xp, index)] if label_smoothing < 1 else 0.0
    if label_smoothing:
        losses = losses - label_smoothing / z.shape[1] * z.sum(axis=1)
    p = xp.exp(z, out=z)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    losses = xp.log(total[:, 0]) + losses
    if counted is None:
        return reduced(losses, reduction), p
    losses = xp.masked(losses, counted)
    return reduced(losses, reduction, counted.astype(losses.dtype)), p


@smoothed_nll.backward
def _(
    g: Array, xp: Backend, index: Array, counted: Array, residuals: Array, label_smoothing: float, reduction: str
) -> Array:
    """g (softmax(logits) - (1 - e) [k = index] - e / K), e the smoothing, divided by the rows that count for a mean."""
    dz = residuals - label_smoothing / residuals.shape[1]
    dz[_places(xp, index)] -= 1 - label_smoothing
    rows = _for_each(g, index.size if counted is None else xp.maximum(counted.sum(), 1), reduction)
    dz *= rows[:, None] if reduction == "none" else rows
    return dz if counted is None else xp.masked(dz, counted[:, None])


def _places(xp: Backend, index: Array) -> tuple[Array, ...]:
    """Where in logits (N, K, ...) is what indices (N, ...) say."""
    axes = range(1, index.ndim)
    others = [xp.arange(index.shape[i]).reshape([-1 if i == j else 1 for j in axes]) for i in axes]
    return (xp.arange(len(index)).reshape(-1, *[1 for _ in axes]), index, *others)


# ---- parts -----------------------------------------------------------------------------------------------------------


def _in_blocks(
    xp: Backend, block: Callable[..., tuple[Array, Array]], reduction: str, *arrays: Array, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """The losses, reduced, and the slopes of that, from a function that gives both for some rows of all arrays.

    shape: of the slopes. On a CPU a block has so few rows that its arrays stay in the cache.
    """
    x = arrays[0]
    n = _rows(x.shape) or 1
    slopes, losses = xp.empty(x.shape, x.dtype), []
    step = max(1, xp.block * len(x) // (x.size or 1))
    for start in range(0, max(1, len(x)), step):
        rows = slice(start, start + step)
        loss, slope = block(*(array[rows] for array in arrays))
        xp.divide(slope, n if reduction == "mean" else 1, out=slopes[rows])
        losses.append(loss if reduction == "none" else loss.sum())
    slopes = slopes.reshape(shape)
    if reduction == "none":
        return xp.concatenate(losses).reshape(shape[:1] + shape[2:] if x.ndim > 1 else shape), slopes
    return sum(losses) / (n if reduction == "mean" else 1), slopes


def _rows(shape: tuple[int, ...]) -> int:
    """How many losses there are of logits (N, K, ...), or of numbers (N,)."""
    return math.prod(shape[:1] + shape[2:])


def _for_each(g: Array, n: int, reduction: str) -> Array:
    """What arrives at each of n losses from the incoming gradient of their reduction."""
    return g / (n or 1) if reduction == "mean" else g
