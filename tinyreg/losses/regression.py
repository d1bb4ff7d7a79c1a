"""Losses of numbers: how far a prediction is from its target."""

from __future__ import annotations

from .. import ops
from ..core.backend import Array, get
from ..core.fused import fused
from ..core.tensor import Tensor
from .checks import Reduction, above_0, matched_pair, reduced, rounded


def mse(prediction: Tensor | Array, target: Tensor | Array, *, reduction: Reduction = "mean") -> Tensor:
    """(prediction - target)^2, and its mean over all elements.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, and `TypeError` for a prediction that is not of floats.

    >>> import tinyreg as tr
    >>> tr.losses.mse(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(2.)
    """
    x, t = matched_pair("mse", prediction, target, reduction)
    return rounded(reduced(ops.square(x - t), reduction), prediction)


def mae(prediction: Tensor | Array, target: Tensor | Array, *, reduction: Reduction = "mean") -> Tensor:
    """|prediction - target|, and its mean over all elements; the gradient is 0 where they are equal.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, and `TypeError` for a prediction that is not of floats.

    >>> import tinyreg as tr
    >>> tr.losses.mae(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, t = matched_pair("mae", prediction, target, reduction)
    return rounded(reduced(ops.abs(x - t), reduction), prediction)


def huber(
    prediction: Tensor | Array, target: Tensor | Array, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """d^2 / 2 where d = |prediction - target| is at most delta, otherwise delta (d - delta / 2), and its mean.

    prediction, target: floats of one shape. delta: above 0, where the parabola ends and the line begins. reduction: "mean",
    "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, and for a delta that is not above 0.

    Source: Huber, "Robust Estimation of a Location Parameter", 1964.

    >>> import tinyreg as tr
    >>> tr.losses.huber(tr.tensor([1.0, 9.0]), tr.tensor([2.0, 4.0]), reduction="none")
    tensor([0.5, 4.5])
    """
    delta = above_0("huber", "delta", delta)
    x, t = matched_pair("huber", prediction, target, reduction)
    delta = min(delta, float(get("numpy").finfo(x.dtype).max))
    return rounded(parabola_and_line(x, t, delta=delta, reduction=reduction), prediction)


@fused(name="huber", expects="a prediction and a target of one shape")
def parabola_and_line(prediction: Tensor, target: Tensor, *, delta: float, reduction: str = "mean") -> Tensor:
    """d^2 / 2 up to |d| = delta, beyond it delta (|d| - delta / 2), for d = prediction - target; reduced."""
    d = ops.abs(prediction - target)
    far = d > delta
    near, beyond = ops.where(far, 0.0, d), ops.where(far, d - delta / 2, 0.0)  # so that a d of infinity has a slope too
    return reduced(ops.square(near) / 2 + delta * beyond, reduction)
