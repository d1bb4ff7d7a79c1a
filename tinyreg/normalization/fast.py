"""Fast forms of the normalizations, on arrays: each a forward, which saves mean and rate for its backward, and that.

With c = (x - mean) rate the normalized x, where rate = 1 / sqrt(var + eps), and d = weight g for the incoming gradient g:

    dx = rate (d - mean(d) - c mean(d c)),    dweight = sum(g c),    dbias = sum(g)

c is worked out once more in the backward: to save it would take as much memory as x, which is saved anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.backend import Array, Backend
from .inputs import other_axes

BLOCKS = 4
"""How large a block is: a few of them, of x, g and c, stay in the processor's outer cache until they are used again."""


# ---- by the batch ----------------------------------------------------------------------------------------------------


def batch_norm(
    xp: Backend,
    x: Array,
    weight: Array = None,
    bias: Array = None,
    *,
    axes: tuple[int, ...],
    eps: float,
    scale: float = 1.0,
) -> Any:
    """(scale y, mean, var), and what is saved."""
    n = math.prod([x.shape[a] for a in axes])
    mean = x.sum(axis=axes, keepdims=True)
    mean /= n
    y = x - mean
    var = _dot(xp, y, y, axes)
    var /= n
    rate = 1 / xp.sqrt(var + eps)
    slope = (rate if weight is None else rate * weight.reshape(rate.shape)) * scale  # dy / dx at this mean and var
    y *= slope
    if bias is not None:
        y += bias.reshape(rate.shape) * scale
    return (y, mean.squeeze(axes), var.squeeze(axes)), (mean, rate, slope, scale)


def batch_norm_backward(g: Any, xp: Backend, x: Array, axes: tuple[int, ...], residuals: Any, wanted: Sequence[int]) -> Any:
    """rate (d - mean(d) - c mean(d c)) for x, d = weight g, c the normalized x; sum(g c) for weight, sum(g) for bias.

    For x also what comes by way of its mean and var, where these were asked for.
    """
    (mean, rate, slope, scale), (g, g_mean, g_var) = residuals, g
    g = xp.zeros_like(x) if g is None else g
    centred = x - mean
    total, weighted = g.sum(axis=axes, keepdims=True), _dot(xp, g, centred, axes) * rate
    dw, db = weighted.squeeze(axes) * scale, total.squeeze(axes) * scale
    if 0 not in wanted:
        return None, dw, db
    of_centred, of_one = slope * rate * weighted, slope * total
    if g_var is not None:
        of_centred -= 2 * g_var.reshape(rate.shape)
    if g_mean is not None:
        of_one -= g_mean.reshape(rate.shape)
    n = x.size // rate.size
    centred *= of_centred / n
    centred += of_one / n
    dx = g * slope
    dx -= centred
    return dx, dw, db


def _dot(xp: Backend, a: Array, b: Array, axes: tuple[int, ...]) -> Any:
    """The sum of a b over the axes, which stay with length 1."""
    if axes == (0,) and a.ndim == 2:  # the one sum that einsum adds up in the order of `sum`: as exact, and in one pass
        return xp.einsum("ij,ij->j", a, b)[None]
    return (a * b).sum(axis=axes, keepdims=True)


# ---- by the sample: rows that are normalized each by itself, in blocks that stay in the cache -------------------------


def layer_norm(
    xp: Backend, x: Array, weight: Array = None, bias: Array = None, *, axes: tuple[int, ...], eps: float
) -> Any:
    """y, and what is saved of each block: of rows, one a sample, with its features side by side."""
    rows, saved = _as_rows(xp, x, axes), []
    y, y_rows = _room_for_rows(xp, x, axes)
    for block in _blocks(xp, rows):
        c = y_rows[block]
        mean, rate = _centred(xp, rows[block], eps, c)
        c *= rate
        if weight is not None:
            c *= weight.reshape(-1)
        if bias is not None:
            c += bias.reshape(-1)
        saved.append((block, mean, rate))
    return y, saved


def layer_norm_backward(g: Array, xp: Backend, x: Array, weight: Array, axes: tuple[int, ...], residuals: Any) -> Any:
    """rate (d - mean(d) - c mean(d c)) for x, d = weight g, c the normalized x; sum(g c) for weight, sum(g) for bias."""
    rows, g, shape = _as_rows(xp, x, axes), _as_rows(xp, g, axes), [x.shape[a] for a in axes]
    n = rows.shape[1]
    w = xp.ones(n, dtype=x.dtype) if weight is None else weight.reshape(-1)
    (dx, dx_rows), dw, db = _room_for_rows(xp, x, axes), xp.zeros_like(w), xp.zeros_like(w)
    for block, mean, rate in residuals:
        g_block, d = g[block], dx_rows[block]
        c = rows[block] - mean
        xp.multiply(g_block, c, out=d)
        dw += rate[:, 0] @ d
        db += g_block.sum(axis=0)
        weighted, total = (d @ w)[:, None] * rate, (g_block @ w)[:, None]
        c *= weighted * rate / n
        c += total / n
        xp.multiply(g_block, w, out=d)
        d -= c
        d *= rate
    return dx, dw.reshape(shape), db.reshape(shape)


def group_norm(xp: Backend, x: Array, weight: Array = None, bias: Array = None, *, num_groups: int, eps: float) -> Any:
    """y, and what is saved of each block: of rows, one a group of a sample, in which a channel has its own stretch."""
    rows, (weights, biases) = _grouped(xp, x, num_groups, weight, bias)
    (y, y_rows), saved = _room_shaped(xp, x, rows), []
    for block in _blocks(xp, rows):
        mean, rate = _centred(xp, rows[block], eps, y_rows[block])
        channels = y_rows[block].reshape(weights[block].size, -1)
        channels *= (weights[block] * rate).reshape(-1, 1)
        if bias is not None:
            channels += biases[block].reshape(-1, 1)
        saved.append((block, mean, rate))
    return y, saved


def group_norm_backward(g: Array, xp: Backend, x: Array, weight: Array, num_groups: int, residuals: Any) -> Any:
    """rate (d - mean(d) - c mean(d c)) for x, d = weight g, c the normalized x; sum(g c) for weight, sum(g) for bias."""
    rows, (weights, _) = _grouped(xp, x, num_groups, weight, None)
    g, n = g.reshape(rows.shape), rows.shape[1]
    (dx, dx_rows), dw, db = _room_shaped(xp, x, rows), xp.empty_like(weights), xp.empty_like(weights)
    for block, mean, rate in residuals:
        w, g_block, d = weights[block], g[block], dx_rows[block]
        c = rows[block] - mean
        xp.multiply(g_block, c, out=d)
        weighted = _row_sums(xp, d.reshape(w.size, -1)).reshape(w.shape) * rate
        total = _row_sums(xp, g_block.reshape(w.size, -1)).reshape(w.shape)
        dw[block], db[block] = weighted, total
        c *= (weighted * w).sum(axis=1, keepdims=True) * rate / n
        c += (total * w).sum(axis=1, keepdims=True) / n
        xp.multiply(g_block.reshape(w.size, -1), w.reshape(-1, 1), out=d.reshape(w.size, -1))
        d -= c
        d *= rate
    dw, db = (each.reshape(x.shape[:2]).sum(axis=0) for each in (dw, db))
    return dx, dw, db


def _blocks(xp: Backend, rows: Array) -> list[slice]:
    """Runs of rows to work on one after the other: of a few blocks together, since every pass has its own cost."""
    step = max(1, BLOCKS * xp.block // (rows.shape[1] or 1))
    return [slice(start, start + step) for start in range(0, len(rows), step)]


def _centred(xp: Backend, rows: Array, eps: float, c: Array) -> tuple[Array, Array]:
    """Mean and rate of each row, of length 1 along the other axis; the rows less their means are written to c."""
    n = rows.shape[1]
    mean = _row_sums(xp, rows) / n
    xp.subtract(rows, mean, out=c)
    var = xp.matmul(c[:, None], c[:, :, None])[:, 0] / n
    return mean, 1 / xp.sqrt(var + eps)


def _row_sums(xp: Backend, rows: Array) -> Array:
    """The sum of each row, of length 1 along the other axis.

    By a product, which is quicker than `sum`; of runs of at most 128, so that it is as exact.
    """
    run = math.gcd(rows.shape[1], 128)
    if run < 8:
        return rows.sum(axis=1, keepdims=True)
    sums = xp.matmul(rows.reshape(-1, run), xp.ones((run, 1), dtype=rows.dtype))
    return sums if run == rows.shape[1] else sums.reshape(len(rows), -1).sum(axis=1, keepdims=True)


def _as_rows(xp: Backend, x: Array, axes: tuple[int, ...]) -> Array:
    """x in a row of memory for each index along the other axes: (samples, features)."""
    n = math.prod([x.shape[a] for a in axes])
    return xp.ascontiguousarray(_last(xp, x, axes)).reshape(x.size // (n or 1), n)


def _room_for_rows(xp: Backend, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """An array like x to be filled, and its memory as `_as_rows` has it."""
    order = other_axes(x, axes) + axes
    room = xp.empty([x.shape[a] for a in order], dtype=x.dtype)
    n = math.prod([x.shape[a] for a in axes])
    like_x = room if axes[0] == x.ndim - len(axes) else xp.transpose(room, sorted(range(x.ndim), key=order.__getitem__))
    return like_x, room.reshape(x.size // (n or 1), n)


def _room_shaped(xp: Backend, x: Array, rows: Array) -> tuple[Array, Array]:
    """An array like x to be filled, and its memory in the shape of the rows."""
    room = xp.empty(x.shape, dtype=x.dtype)
    return room, room.reshape(rows.shape)


def _last(xp: Backend, x: Array, axes: tuple[int, ...]) -> Array:
    """x with these axes at the end."""
    return x if axes[0] == x.ndim - len(axes) else xp.transpose(x, other_axes(x, axes) + axes)


def _grouped(xp: Backend, x: Array, num_groups: int, *parameters: Array) -> tuple[Array, list[Array]]:
    """x with a row for each group of each sample, and parameters with such rows of a number a channel; ones for None."""
    samples, channels = x.shape[:2]
    rows = x.reshape(samples * num_groups, x.size // (samples * num_groups or 1))
    ones = xp.ones((samples, channels), dtype=x.dtype)
    of_rows = [(ones if p is None else ones * p).reshape(len(rows), channels // num_groups) for p in parameters]
    return rows, of_rows
