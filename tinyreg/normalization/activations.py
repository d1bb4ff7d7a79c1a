"""Normalization of activations, by statistics of a batch, of a sample or of a group of its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..core.backend import Array, Backend, accumulator
from ..ops.linalg import onto
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
    _expect_shape("batch_norm", x, kept, mean=mean, var=var, weight=weight, bias=bias)
    y = (_widened(x) - _placed(mean, x, kept)) / ops.sqrt(_placed(var, x, kept) + eps)
    y = _narrowed(_affine(y, weight, bias, kept), x)
    return (y, mean, var) if return_stats else y


def by_batch(
    x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...] | None = None, eps: float, then: Callable[[], Any] = dict
) -> Any:
    """(y, mean, var): `batch_norm` by the statistics of x.

    then: gives what comes next, as `normalized_channels` takes it; called once x is accepted, because it may draw a mask.
    """
    axes = checked_axes("batch_norm", x, axes)
    _expect_shape("batch_norm", x, other_axes(x, axes), weight=weight, bias=bias)
    if math.prod([x.shape[a] for a in axes]) < 2:
        raise ValueError(
            f"batch_norm: got x {described(x)}, expected more than one value for each channel over axes {axes}; use a "
            "larger batch (leave out a last batch of one sample: drop_last=True), or give mean and var"
        )
    y, mean, var = normalized_channels(_widened(x), weight, bias, **then(), axes=axes, eps=eps)
    return _narrowed(y, x), mean, var


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
    y = onto(xp.multiply, y, slope)
    if bias is not None:
        y = onto(xp.add, y, bias.reshape(rate.shape) * scale)
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
    axes = checked_axes("layer_norm", x, axes)
    _expect_shape("layer_norm", x, axes, weight=weight, bias=bias)
    return _narrowed(normalized_features(_widened(x), weight, bias, axes=axes, eps=eps), x)


@fused(expects="floats, and parameters that have the axes of x which are normalized over")
def normalized_features(
    x: Any, weight: Any = None, bias: Any = None, *, axes: tuple[int, ...] = (), eps: float = 1e-5
) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias, with statistics over the axes that the parameters have."""
    mean, var = _statistics(x, axes)
    return _affine((x - mean) / ops.sqrt(var + eps), weight, bias, axes)


@normalized_features.fast
def _(xp: Backend, x: Array, weight: Array = None, bias: Array = None, *, axes: tuple[int, ...], eps: float) -> Any:
    y, mean, _, rate = _centred(xp, x, axes, eps)
    y *= rate
    if weight is not None:
        y = onto(xp.multiply, y, _placed(weight, x, axes))
    if bias is not None:
        y = onto(xp.add, y, _placed(bias, x, axes))
    return y, (mean, rate)


@normalized_features.backward
def _(g: Any, xp: Backend, x: Array, weight: Array, axes: tuple[int, ...], residuals: Any, wanted: Sequence[int]) -> Any:
    """With c the normalized x and d = w g: dx = rate (d - mean(d) - c mean(d c))."""
    mean, rate = residuals
    c = _again(x, mean, rate)
    kept = other_axes(x, axes)
    product = g * c
    dw = xp.sum(product, axis=kept) if 1 in wanted else None
    db = xp.sum(g, axis=kept) if 2 in wanted else None
    if 0 not in wanted:
        return None, dw, db
    dx = g * rate
    if weight is not None:
        w = _placed(weight, x, axes)
        dx *= w
        product *= w
    of_c = xp.mean(product, axis=axes, keepdims=True) * rate
    of_one = xp.mean(dx, axis=axes, keepdims=True)
    dx -= xp.multiply(c, of_c, out=product)
    dx -= of_one
    return dx, dw, db


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
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: got x {described(x)} and num_groups={num_groups}, expected (N, C, ...) with a C that it divides"
        )
    _expect_shape("group_norm", x, (1,), weight=weight, bias=bias)
    apart = ops.reshape(_widened(x), (x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:]))
    y = normalized_features(apart, axes=tuple(range(2, apart.ndim)), eps=eps)
    return _narrowed(_affine(ops.reshape(y, x.shape), weight, bias, (1,)), x)


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
    if math.prod(x.shape[2:]) < 2:
        raise ValueError(f"instance_norm: got x {described(x)}, expected (N, C, ...) with more than one position")
    _expect_shape("instance_norm", x, (1,), weight=weight, bias=bias)
    y = normalized_features(_widened(x), axes=tuple(range(2, x.ndim)), eps=eps)
    return _narrowed(_affine(y, weight, bias, (1,)), x)


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
    axes, wide = checked_axes("rms_norm", x, axes), _widened(x)
    _expect_shape("rms_norm", x, axes, weight=weight)
    y = wide / ops.sqrt(ops.mean(ops.square(wide), axis=axes, keepdims=True) + eps)
    return _narrowed(_affine(y, weight, None, axes), x)


# ---- parts -----------------------------------------------------------------------------------------------------------


def _widened(x: Any) -> Any:
    """x in the dtype in which its values are summed: squares of more than 256 have no float16."""
    wider = accumulator(x.dtype)
    return x if wider is None else ops.astype(x, wider)


def _narrowed(y: Any, x: Any) -> Any:
    """What was computed from `_widened(x)`, in the dtype of x again."""
    return ops.astype(y, x.dtype) if accumulator(x.dtype) else y


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


def _expect_shape(name: str, x: Any, axes: tuple[int, ...], **values: Any) -> None:
    """Whether each value that is given has the shape that x has along these axes."""
    expected = tuple([x.shape[a] for a in axes])
    for label, value in values.items():
        if value is not None and getattr(value, "shape", None) != expected:
            raise ValueError(
                f"{name}: got {label} {described(value)} for x {described(x)}, expected shape {list(expected)}"
            )


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
