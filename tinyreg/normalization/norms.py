"""Normalization of activations, by statistics of a batch, of a sample or of a group of its channels: the formulas.

Each function checks what it is given and then applies its formula. Three formulas have fast forms, in fast.py, with which
they are one entry of the tape; without them they run as they stand here.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypedDict, Unpack, overload

from .. import ops
from ..arguments import integer
from ..core.backend import Array, described
from ..core.fused import fused
from ..core.tensor import Tensor
from ..hints import with_axis
from ..ops.precision import narrowed, widened
from . import fast
from .inputs import checked_axes, checked_eps, expect_batch, fitting, other_axes

Given = Tensor | Array | None
"""A parameter or a statistic, or none."""


class Settings(TypedDict, total=False):
    """What `batch_norm` takes by keyword, whatever it returns."""

    mean: Given
    var: Given
    axes: int | tuple[int, ...] | None
    eps: float


@overload
def batch_norm(
    x: Tensor | Array,
    weight: Given = None,
    bias: Given = None,
    *,
    return_stats: Literal[True],
    **settings: Unpack[Settings],
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def batch_norm(
    x: Tensor | Array,
    weight: Given = None,
    bias: Given = None,
    *,
    return_stats: Literal[False] = False,
    **settings: Unpack[Settings],
) -> Tensor: ...
@with_axis
def batch_norm(
    x: Tensor | Array,
    weight: Given = None,
    bias: Given = None,
    *,
    mean: Given = None,
    var: Given = None,
    axes: int | tuple[int, ...] | None = None,
    eps: float = 1e-5,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
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
    if (mean is None) != (var is None):
        raise ValueError(f"batch_norm: got {'var' if mean is None else 'mean'} alone, expected both, or neither")
    axes, eps, wide = checked_axes("batch_norm", x, axes), checked_eps("batch_norm", eps), widened(x)
    channels = other_axes(x, axes)
    mean, var, weight, bias = fitting("batch_norm", wide, channels, mean=mean, var=var, weight=weight, bias=bias)
    if mean is None:
        expect_batch("batch_norm", wide, axes)
        y, mean, var = batch_normalized(wide, weight, bias, axes=axes, eps=eps)
    else:
        rate = 1 / ops.sqrt(var + eps)
        y = (wide - placed(mean, x, channels)) * placed(rate if weight is None else weight * rate, x, channels)
        y = affine(y, None, bias, channels)
    return (narrowed(y, x), mean, var) if return_stats else narrowed(y, x)


@fused(name="batch_norm", expects="floats, and parameters that have the axes of x which are not normalized over")
def batch_normalized(
    x: Any, weight: Any = None, bias: Any = None, *, axes: tuple[int, ...] = (), eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """(weight (x - mean) / sqrt(var + eps) + bias, mean, var), the statistics over axes that the parameters lack."""
    mean, var = statistics(x, axes)
    y = affine((x - mean) / ops.sqrt(var + eps), weight, bias, other_axes(x, axes))
    return y, ops.squeeze(mean, axis=axes), ops.squeeze(var, axis=axes)


batch_normalized.fast(fast.batch_norm)
batch_normalized.backward(fast.batch_norm_backward)


@with_axis
def layer_norm(
    x: Tensor | Array,
    weight: Tensor | Array | None = None,
    bias: Tensor | Array | None = None,
    *,
    axes: int | tuple[int, ...] = (-1,),
    eps: float = 1e-5,
) -> Tensor:
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
    axes, eps, wide = checked_axes("layer_norm", x, axes), checked_eps("layer_norm", eps), widened(x)
    weight, bias = fitting("layer_norm", wide, axes, weight=weight, bias=bias)
    return narrowed(layer_normalized(wide, weight, bias, axes=axes, eps=eps), x)


@fused(name="layer_norm", expects="floats, axes of x to normalize over, and parameters that have these axes")
def layer_normalized(
    x: Any, weight: Any = None, bias: Any = None, *, axes: tuple[int, ...] = (), eps: float = 1e-5
) -> Tensor:
    """weight (x - mean) / sqrt(var + eps) + bias, the statistics over the axes that the parameters have."""
    mean, var = statistics(x, axes)
    return affine((x - mean) / ops.sqrt(var + eps), weight, bias, axes)


layer_normalized.fast(fast.layer_norm)
layer_normalized.backward(fast.layer_norm_backward)


def group_norm(
    x: Tensor | Array,
    num_groups: int,
    weight: Tensor | Array | None = None,
    bias: Tensor | Array | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
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
    axes, eps, wide = checked_axes("group_norm", x, 1), checked_eps("group_norm", eps), widened(x)
    weight, bias = fitting("group_norm", wide, axes, weight=weight, bias=bias)
    return narrowed(group_normalized(wide, weight, bias, num_groups=num_groups, eps=eps), x)


@fused(name="group_norm", expects="x (N, C, ...), groups that divide C, and a weight and a bias (C,)")
def group_normalized(x: Any, weight: Any = None, bias: Any = None, *, num_groups: int = 1, eps: float = 1e-5) -> Tensor:
    """weight (x - mean) / sqrt(var + eps) + bias, the statistics over each group of channels of each sample."""
    groups = ops.reshape(x, (x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups))
    mean, var = statistics(groups, (2,))
    return affine(ops.reshape((groups - mean) / ops.sqrt(var + eps), x.shape), weight, bias, (1,))


group_normalized.fast(fast.group_norm)
group_normalized.backward(fast.group_norm_backward)
instance_normalized: Final = group_normalized.named("instance_norm")


def instance_norm(
    x: Tensor | Array,
    weight: Tensor | Array | None = None,
    bias: Tensor | Array | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance of each channel of each sample over its positions.

    x: floats, (N, C, ...), with more than one position. weight, bias: (C,).

    Raises `ValueError` for an x without channels or without several positions, and for shapes that do not fit.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.

    >>> import tinyreg as tr
    >>> tr.normalization.instance_norm(tr.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    if math.prod(getattr(x, "shape", ())[2:]) < 2 or not x.shape[1]:
        raise ValueError(f"instance_norm: got x {described(x)}, expected (N, C, ...) with more than one position")
    axes, eps, wide = checked_axes("instance_norm", x, 1), checked_eps("instance_norm", eps), widened(x)
    weight, bias = fitting("instance_norm", wide, axes, weight=weight, bias=bias)
    return narrowed(instance_normalized(wide, weight, bias, num_groups=x.shape[1], eps=eps), x)


@with_axis
def rms_norm(
    x: Tensor | Array, weight: Tensor | Array | None = None, *, axes: int | tuple[int, ...] = (-1,), eps: float = 1e-6
) -> Tensor:
    """weight x / sqrt(mean(x^2) + eps): a `layer_norm` that does not subtract the mean.

    x: floats of any shape. axes: of the features, the last by default. weight: of the shape that x has there. (PyTorch's
    eps is that of the dtype, 1.2e-7 for float32.)

    Raises `ValueError` for axes that x lacks and for a weight that does not fit.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    >>> import tinyreg as tr
    >>> tr.normalization.rms_norm(tr.tensor([3.0, 3.0, -3.0]), eps=0.0)
    tensor([ 1.,  1., -1.])
    """
    axes, eps, wide = checked_axes("rms_norm", x, axes), checked_eps("rms_norm", eps), widened(x)
    (weight,) = fitting("rms_norm", wide, axes, weight=weight)
    y = wide / ops.sqrt(ops.mean(ops.square(wide), axis=axes, keepdims=True) + eps)
    return narrowed(affine(y, weight, None, axes), x)


# ---- parts of the formulas -------------------------------------------------------------------------------------------


def statistics(x: Any, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over the axes, which stay with length 1."""
    mean = ops.mean(x, axis=axes, keepdims=True)
    return mean, ops.mean(ops.square(x - mean), axis=axes, keepdims=True)


def affine(y: Tensor, weight: Any, bias: Any, axes: tuple[int, ...]) -> Tensor:
    """weight y + bias, of which weight and bias have these axes of y."""
    if weight is not None:
        y = y * placed(weight, y, axes)
    if bias is not None:
        y = y + placed(bias, y, axes)
    return y


def placed(value: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A value that has these axes of x, with length 1 along the others."""
    return value.reshape(tuple([n if i in axes else 1 for i, n in enumerate(x.shape)]))
