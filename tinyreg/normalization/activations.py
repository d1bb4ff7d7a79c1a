"""Normalization of activations, by statistics of a batch, of a sample or of a group of its features."""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import ops
from ..arguments import integer, number
from ..core.backend import Array, Backend
from ..ops.fast.writing import written_to
from ..ops.precision import matched, narrowed, widened
from ..recompute import fused
from ..signature import described
from .axes import checked_axes, other_axes


def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    mean: Any = None,
    var: Any = None,
    axes: tuple[int, ...] | None = None,
    eps: float = 1e-5,
    return_stats: bool = False,
) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance of each channel over the batch.

    x: floats, (N, C) or (N, C, ...). axes: those to normalize over, every axis but the second if None, as in PyTorch.
    weight, bias, mean, var: one value for each element of the other axes, in their order; so (C,). With `mean` and `var`
    these are used, as in inference; otherwise those of x, which gradients flow through. return_stats: return (y, mean,
    var) instead of y; the variance is biased.

    Raises `ValueError` for one of mean and var without the other, for shapes that do not fit, and where the statistics
    would be those of a single value, which normalizes to 0.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.

    >>> import tinyreg as tr
    >>> x = tr.tensor([[1.0, 10.0], [3.0, 30.0]])
    >>> tr.normalization.batch_norm(x, eps=0.0)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    >>> tr.normalization.batch_norm(x, mean=tr.tensor([1.0, 0.0]), var=tr.tensor([4.0, 100.0]), eps=0.0)
    tensor([[0., 1.],
            [1., 3.]])
    """
    if mean is None and var is None:
        y, mean, var = by_batch(x, weight, bias, axes=axes, eps=eps)
        return (y, mean, var) if return_stats else y
    if mean is None or var is None:
        raise ValueError(f"batch_norm: got {'var' if mean is None else 'mean'} alone, expected both, or neither")
    axes = checked_axes("batch_norm", x, axes)
    kept = other_axes(x, axes)
    wide, eps = widened(x), _checked_eps("batch_norm", eps)
    mean, var, weight, bias = _fitting("batch_norm", wide, kept, mean=mean, var=var, weight=weight, bias=bias)
    rate = 1 / ops.sqrt(var + eps)
    y = (wide - _placed(mean, x, kept)) * _placed(rate if weight is None else weight * rate, x, kept)
    y = narrowed(_affine(y, None, bias, kept), x)
    return (y, mean, var) if return_stats else y


def by_batch(
    x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...] | None = None, eps: float, then: Callable[[], Any] = dict
) -> Any:
    """(y, mean, var): `batch_norm` by the statistics of x.

    then: gives what comes next, as `normalized_channels` takes it; called once x is accepted, because it may draw a mask.
    """
    axes, wide, eps = checked_axes("batch_norm", x, axes), widened(x), _checked_eps("batch_norm", eps)
    weight, bias = _fitting("batch_norm", wide, other_axes(x, axes), weight=weight, bias=bias)
    if (asking := _alone.get()) and 0 in axes:
        raise ValueError(
            f"{asking}: got a batch norm by the batch's own statistics, expected results that each depend on one sample "
            "only: put the model in eval mode, freeze its batch norms (frozen=True), or use layer norms"
        )
    if math.prod([x.shape[a] for a in axes]) < 2:
        raise ValueError(
            f"batch_norm: got x {described(x)}, expected more than one value for each channel over axes {axes}; use a "
            "larger batch (leave out a last batch of one sample: drop_last=True), or give mean and var"
        )
    y, mean, var = normalized_channels(wide, weight, bias, **then(), axes=axes, eps=eps)
    return narrowed(y, x), mean, var


@fused(nondifferentiable=("keep",), expects="floats, and parameters that have the axes of x which are not normalized over")
def normalized_channels(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    keep: Any = None,
    *,
    axes: tuple[int, ...] = (),
    eps: float = 1e-5,
    relu: bool = False,
    scale: float = 1.0,
) -> Any:
    """(weight (x - mean) / sqrt(var + eps) + bias, mean, var), the statistics over axes that the parameters lack.

    What often comes next goes along in the same passes: relu, and what dropout does with a mask, `thinned`.
    """
    mean, var = _statistics(x, axes)
    y = _affine((x - mean) / ops.sqrt(var + eps), weight, bias, other_axes(x, axes))
    y = ops.relu(y) if relu else y
    y = y if keep is None else ops.thinned(y, keep, scale=scale)
    return y, ops.squeeze(mean, axis=axes), ops.squeeze(var, axis=axes)


@normalized_channels.fast
def _(
    xp: Backend,
    x: Array,
    weight: Array = None,
    bias: Array = None,
    keep: Array = None,
    *,
    axes: tuple[int, ...],
    eps: float,
    relu: bool,
    scale: float,
) -> Any:
    y, mean, var, rate = _centred(xp, x, axes, eps)
    scale = 1.0 if keep is None else scale
    slope = (rate if weight is None else rate * weight.reshape(rate.shape)) * scale  # dy / dx at this mean and var
    y = written_to(xp.multiply, y, slope)
    if bias is not None:
        y = written_to(xp.add, y, bias.reshape(rate.shape) * scale)
    if relu:
        through = xp.logical_not(y <= 0)  # NaN goes through
        keep = through if keep is None else through & keep
    if keep is not None:
        y = xp.kept(keep, y)
    return (y, mean.squeeze(axes), var.squeeze(axes)), (mean, rate, slope, keep, scale)


@normalized_channels.backward
def _(g: Any, xp: Backend, x: Array, axes: tuple[int, ...], residuals: Any, wanted: Sequence[int]) -> Any:
    """dx = slope (g - sum(g) / n - c sum(g c) / n), with c the normalized x, and the part of the statistics."""
    (mean, rate, slope, keep, scale), (g, g_mean, g_var) = residuals, g
    g = xp.zeros_like(x) if g is None else g if keep is None else xp.kept(keep, g)
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


def layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, axes: int | tuple[int, ...] = (-1,), eps: float = 1e-5
) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance of each sample over its features.

    x: floats of any shape. axes: of the features, the last by default. weight, bias: of the shape that x has there. The
    same in training and in inference.

    Raises `ValueError` for axes that x lacks and for shapes that do not fit.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.

    >>> import tinyreg as tr
    >>> tr.normalization.layer_norm(tr.tensor([[1.0, 3.0], [10.0, 30.0]]), eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    axes, wide, eps = checked_axes("layer_norm", x, axes), widened(x), _checked_eps("layer_norm", eps)
    weight, bias = _fitting("layer_norm", wide, axes, weight=weight, bias=bias)
    return narrowed(normalized_features(wide, weight, bias, axes=axes, own=axes, eps=eps), x)


@fused(expects="floats, axes of x to normalize over, and parameters that have its axes `own`")
def normalized_features(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    axes: tuple[int, ...] = (),
    own: tuple[int, ...] = (),
    eps: float = 1e-5,
) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with statistics over `axes`, and parameters that have the axes `own`."""
    mean, var = _statistics(x, axes)
    return _affine((x - mean) / ops.sqrt(var + eps), weight, bias, own)


@normalized_features.fast
def _(
    xp: Backend,
    x: Array,
    weight: Array = None,
    bias: Array = None,
    *,
    axes: tuple[int, ...],
    own: tuple[int, ...],
    eps: float,
) -> Any:
    parts = _parts(xp, x, 0 in axes or 0 in own)
    y, statistics = xp.empty_like(x) if len(parts) > 1 else None, []
    for part in parts:
        c, mean, _, rate = _centred(xp, x[part], axes, eps)
        statistics.append((part, mean, rate))
        out = xp.multiply(c, rate, out=c if y is None else y[part])
        if weight is not None:
            out *= _placed(weight, x, own)
        if bias is not None:
            out += _placed(bias, x, own)
    return out if y is None else y, statistics


@normalized_features.backward
def _(
    g: Any,
    xp: Backend,
    x: Array,
    weight: Array,
    axes: tuple[int, ...],
    own: tuple[int, ...],
    residuals: Any,
    wanted: Sequence[int],
) -> Any:
    """With c the normalized x and d = w g: dx = rate (d - mean(d) - c mean(d c)); what shares a w is added up first."""
    w = 1.0 if weight is None else _placed(weight, x, own)
    shared = tuple([a for a in axes if a not in own])
    others, n = other_axes(x, own), math.prod([x.shape[a] for a in axes])
    dx = xp.empty(x.shape, dtype=g.dtype) if 0 in wanted else None
    dw = db = 0.0
    for part, mean, rate in residuals:
        g_part, c = g[part], _again(x[part], mean, rate)
        weighted, total = _summed(g_part * c, shared), _summed(g_part, shared)
        dw, db = dw + weighted.sum(axis=others), db + total.sum(axis=others)
        if dx is not None:
            c *= _summed(weighted * w, axes) * (rate / n)
            c += _summed(total * w, axes) * (rate / n)
            out = xp.multiply(g_part, rate * w, out=dx[part])
            out -= c
    return dx, dw if 1 in wanted else None, db if 2 in wanted else None


def _parts(xp: Backend, x: Array, mixed: bool) -> list[slice]:
    """Runs of samples to work on one after the other, each small enough for the cache; all together if they are mixed."""
    if mixed or x.size <= 16 * xp.stretch:
        return [slice(None)]
    step = max(1, xp.stretch * len(x) // x.size)
    return [slice(start, start + step) for start in range(0, len(x), step)]


def _summed(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum over axes that stay with length 1, if there are any."""
    return x.sum(axis=axes, keepdims=True) if axes else x


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, *, eps: float = 1e-5) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance over a group of channels of each sample.

    x: floats, (N, C, ...), of whose channels `num_groups` groups are made in order. weight, bias: (C,). One group is a
    layer norm over all axes but the first, C groups are an `instance_norm`.

    Raises `ValueError` where num_groups does not divide C, and for shapes that do not fit.

    Source: Wu and He, "Group Normalization", 2018.

    >>> import tinyreg as tr
    >>> tr.normalization.group_norm(tr.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    num_groups = integer("group_norm", "num_groups", num_groups, least=1)
    if getattr(x, "ndim", 0) < 2 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: got x {described(x)} and num_groups={num_groups}, expected (N, C, ...) with a C that it divides"
        )
    return _by_groups("group_norm", x, num_groups, weight, bias, eps)


def instance_norm(x: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance of each channel of each sample over its positions.

    x: floats, (N, C, ...), with more than one position. weight, bias: (C,).

    Raises `ValueError` for an x without several positions, and for shapes that do not fit.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.

    >>> import tinyreg as tr
    >>> tr.normalization.instance_norm(tr.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    if getattr(x, "ndim", 0) < 3 or math.prod(x.shape[2:]) < 2:
        raise ValueError(f"instance_norm: got x {described(x)}, expected (N, C, ...) with more than one position")
    return _by_groups("instance_norm", x, x.shape[1], weight, bias, eps)


def _by_groups(name: str, x: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """Normalized over each group of channels and all positions, as features of shape (N, groups, channels, positions)."""
    checked_axes(name, x, 1)
    wide, eps = widened(x), _checked_eps(name, eps)
    weight, bias = _fitting(name, wide, (1,), weight=weight, bias=bias)
    n, channels = x.shape[:2]
    size = channels // num_groups
    apart = ops.reshape(wide, (n, num_groups, size, math.prod(x.shape[2:])))
    weight, bias = (None if p is None else ops.reshape(p, (num_groups, size)) for p in (weight, bias))
    y = normalized_features(apart, weight, bias, axes=(2, 3), own=(1, 2), eps=eps)
    return narrowed(ops.reshape(y, x.shape), x)


def rms_norm(x: Any, weight: Any = None, *, axes: int | tuple[int, ...] = (-1,), eps: float = 1e-6) -> Any:
    """weight x / sqrt(mean(x^2) + eps): a `layer_norm` that does not subtract the mean.

    x: floats of any shape. axes: of the features, the last by default. weight: of the shape that x has there. (PyTorch's
    eps is that of the dtype, 1.2e-7 for float32.)

    Raises `ValueError` for axes that x lacks and for a weight that does not fit.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    >>> import tinyreg as tr
    >>> tr.normalization.rms_norm(tr.tensor([3.0, 3.0, -3.0]), eps=0.0)
    tensor([ 1.,  1., -1.])
    """
    axes, wide, eps = checked_axes("rms_norm", x, axes), widened(x), _checked_eps("rms_norm", eps)
    (weight,) = _fitting("rms_norm", wide, axes, weight=weight)
    y = wide / ops.sqrt(ops.mean(ops.square(wide), axis=axes, keepdims=True) + eps)
    return narrowed(_affine(y, weight, None, axes), x)


# ---- parts -----------------------------------------------------------------------------------------------------------


_alone: contextvars.ContextVar[str] = contextvars.ContextVar("tinyreg_one_sample_alone", default="")


@contextlib.contextmanager
def one_sample_alone(asking: str) -> Iterator[None]:
    """In this context a norm by the statistics of the batch is refused, by the name of what asks for it."""
    token = _alone.set(asking)
    try:
        yield
    finally:
        _alone.reset(token)


def _checked_eps(name: str, eps: Any) -> float:
    return number(name, "eps", eps, least=0)


def _statistics(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and biased variance over the axes, which stay with length 1."""
    mean = ops.mean(x, axis=axes, keepdims=True)
    return mean, ops.mean(ops.square(x - mean), axis=axes, keepdims=True)


def _centred(xp: Backend, x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, ...]:
    """(x - mean, mean, var, rate), where rate is 1 / sqrt(var + eps), of arrays and with the first of them to write to."""
    n = math.prod([x.shape[a] for a in axes])
    mean = x.sum(axis=axes, keepdims=True)
    mean /= n
    y = x - mean
    var = _dot(xp, y, y, axes)
    var /= n
    return y, mean, var, 1 / xp.sqrt(var + eps)


def _dot(xp: Backend, a: Array, b: Array, axes: tuple[int, ...]) -> Any:
    """The sum of a b over the axes, which stay with length 1."""
    if axes == (0,) and a.ndim == 2:  # the one sum that einsum adds up in the order of `sum`: as exact, and in one pass
        return xp.einsum("ij,ij->j", a, b)[None]
    return (a * b).sum(axis=axes, keepdims=True)


def _again(x: Array, mean: Array, rate: Array) -> Array:
    """The normalized x, worked out once more: to keep it would take as much memory as x, which is kept anyway."""
    c = x - mean
    c *= rate
    return c


def _fitting(name: str, x: Any, axes: tuple[int, ...], **values: Any) -> list[Any]:
    """The values that are given, each of the shape that x has along these axes, in the dtype of x, which x decides."""
    expected = tuple([x.shape[a] for a in axes])
    for label, value in values.items():
        if value is not None and getattr(value, "shape", None) != expected:
            raise ValueError(
                f"{name}: got {label} {described(value)} for x {described(x)}, expected shape {list(expected)}"
            )
    return [None if value is None else matched(value, x) for value in values.values()]


def _placed(value: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A value that has these axes of x, with length 1 along the others."""
    return value.reshape(tuple([n if i in axes else 1 for i, n in enumerate(x.shape)]))


def _affine(y: Any, weight: Any, bias: Any, axes: tuple[int, ...]) -> Any:
    """weight y + bias, of which weight and bias have these axes of y."""
    if weight is not None:
        y = y * _placed(weight, y, axes)
    if bias is not None:
        y = y + _placed(bias, y, axes)
    return y
