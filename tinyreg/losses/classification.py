"""Losses of classifiers: how little probability a prediction gives to its target, or on which side of 0 it lies.

Each public loss checks its arguments and then is a composition. What is declared `@fused` has a fast form in `fast`.
"""

from __future__ import annotations

from .. import ops
from ..activations import log_softmax
from ..arguments import axis as checked_axis
from ..arguments import number
from ..core.backend import Array, described, is_float
from ..core.fused import fused
from ..core.tensor import Tensor
from ..hints import with_axis
from ..labels import check_labels, checked_ignore_index, class_indices, holds, is_soft
from ..messages import explained
from ..ops.precision import matched, widened
from .checks import (
    Reduction,
    above_0,
    check_arrays,
    check_broadcast,
    check_reduction,
    entering,
    matched_pair,
    reduced,
    rounded,
)

# ---- cross-entropy ---------------------------------------------------------------------------------------------------


def cross_entropy(
    logits: Tensor | Array,
    target: Tensor | Array,
    *,
    label_smoothing: float = 0.0,
    weight: Tensor | Array | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-sum_k weight_k q_k log softmax(logits)_k, where q = (1 - label_smoothing) y + label_smoothing / K, and its mean.

    logits: floats of shape (N, K, ...), or (K,) for one row; any finite size is safe, and -inf is a class that cannot be.
    target: either class indices, integers from 0 to K - 1 of shape (N, ...), whose y is 1 at the index; or soft targets,
    floats of the shape of logits, which are y.
    label_smoothing: in [0, 1]. weight: K floats, one for each class. ignore_index: rows with this index do not count, in
    the mean or in the smoothing (PyTorch's default is -100; here none is ignored unless you say so). reduction: "mean",
    "sum", or "none" for the loss of each row.

    As in PyTorch, the mean over class indices is weighted: the sum divided by the weights of the rows that count. The
    mean over soft targets divides by the number of rows. Unlike there, a mean over no rows is 0, so that a batch of
    padding changes nothing.

    Raises `ValueError` for shapes that do not fit and for `label_smoothing` out of range, `IndexError` for a class
    index out of range (unless `tr.unchecked("labels")`), and `TypeError` for dtypes that do not fit.

    Source of label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016.

    >>> import tinyreg as tr
    >>> logits = tr.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> round(tr.losses.cross_entropy(logits, tr.tensor([0, 1])).item(), 4)
    0.1269
    >>> round(tr.losses.cross_entropy(logits, tr.tensor([0, 1]), label_smoothing=0.1).item(), 4)
    0.2269
    """
    check_reduction("cross_entropy", reduction)
    label_smoothing = number(
        "cross_entropy", "label_smoothing", label_smoothing, least=0, most=1, expected="a share from 0 to 1"
    )
    check_labels("cross_entropy", logits, target)
    ignore_index = checked_ignore_index("cross_entropy", target, ignore_index)
    z, y = widened(logits), target
    if one_row := logits.ndim == 1:
        z, y = ops.expand_dims(z, axis=0), ops.expand_dims(y, axis=0)
    _check_class_weights(weight, z)
    weight = matched(weight, z)
    if is_soft(target):
        losses = _of_soft_targets(z, matched(y, z), weight, label_smoothing, reduction)
    else:
        index = class_indices("cross_entropy", y, z.shape[1], ignore_index)
        losses = _of_indices(z, index, ignore_index, weight, label_smoothing, reduction)
    return rounded(ops.squeeze(losses, axis=0) if one_row and losses.ndim else losses, logits)


def _of_soft_targets(
    z: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float, reduction: Reduction
) -> Tensor:
    """The loss of soft targets: the weights of the classes become part of the target."""
    w = None if weight is None else _along_classes(weight, z)
    q = target if w is None else entering(target, w)
    if label_smoothing:
        q = (1 - label_smoothing) * q + label_smoothing / z.shape[1]
    return soft_nll(z, q if w is None else w * q, reduction=reduction)


def _of_indices(
    z: Tensor, index: Array, ignore_index: int | None, weight: Tensor | None, label_smoothing: float, reduction: Reduction
) -> Tensor:
    """The loss of class indices: with weights, the hard part by that of the label and the smooth part by each class's."""
    counted = None if ignore_index is None else index != ignore_index
    if counted is not None:
        index = ops.where(counted, index, 0)
    if weight is None:
        return smoothed_nll(z, index, counted, label_smoothing=label_smoothing, reduction=reduction)
    share = ops.take(weight, index, axis=0)
    share = share if counted is None else ops.where(counted, share, 0.0)
    entered = counted if label_smoothing else share  # the smooth part asks for the logits of all rows that count
    z = z if entered is None else entering(z, ops.expand_dims(entered, axis=1))
    hard = (1 - label_smoothing) * share
    losses = hard * entering(smoothed_nll(z, index, counted, reduction="none"), hard)
    if label_smoothing:
        even = label_smoothing / z.shape[1] * _along_classes(weight, z)
        spread = -ops.sum(even * entering(log_softmax(z, axis=1), even), axis=1)
        losses = losses + (spread if counted is None else ops.where(counted, spread, 0.0))
    return reduced(losses, reduction, share)


@fused(name="cross_entropy", expects="logits and shares of one shape (N, K, ...)")
def soft_nll(logits: Tensor, q: Tensor, *, reduction: str = "mean") -> Tensor:
    """-sum_k q_k log softmax(logits)_k of each row, reduced. Rows whose q are all 0 may hold anything."""
    return reduced(-ops.sum(q * log_shares(logits, q), axis=1), reduction)


def log_shares(logits: Tensor, q: Tensor) -> Tensor:
    """The log softmax that enters a product with q."""
    z = entering(logits, ops.any(q != 0, axis=1, keepdims=True))
    return entering(log_softmax(z, axis=1), q)


@fused(
    name="cross_entropy",
    nondifferentiable=("index", "counted"),
    expects="logits (N, K, ...), indices (N, ...) and a mask of their shape",
)
def smoothed_nll(
    logits: Tensor, index: Array, counted: Array | None = None, *, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """(label_smoothing - 1) p[index] - label_smoothing mean(p) of each row, reduced, where p = log softmax(logits).

    Rows that are not counted are 0 and not in the mean.
    """
    if counted is not None:
        logits = ops.where(ops.expand_dims(counted, axis=1), logits, 0.0)
    p = log_softmax(logits, axis=1)
    parts: list[Tensor] = []
    if label_smoothing < 1:  # a weight of 0 would make NaN of p = -inf
        at_index = ops.squeeze(ops.take_along_axis(p, ops.expand_dims(index, axis=1), axis=1), axis=1)
        parts.append((label_smoothing - 1) * at_index)
    if label_smoothing:
        parts.append(-label_smoothing * ops.mean(p, axis=1))
    losses = sum(parts[1:], start=parts[0])
    if counted is None:
        return reduced(losses, reduction)
    return reduced(ops.where(counted, losses, 0.0), reduction, matched(counted, losses))


def _along_classes(weight: Tensor, z: Tensor) -> Tensor:
    """A number for each class, in the place of the classes in logits (N, K, ...)."""
    return ops.reshape(weight, (-1, *[1] * (z.ndim - 2)))


def _check_class_weights(weight: Tensor | Array | None, z: Tensor) -> None:
    """Refuse weights that are not one for each class."""
    if weight is None:
        return
    check_arrays("cross_entropy", weight=weight)
    if getattr(weight, "shape", None) != (z.shape[1],):
        raise ValueError(
            explained(
                "cross_entropy",
                "the weights do not fit the classes",
                got=f"weight {described(weight)} for logits {described(z)}",
                expected=f"one for each of {z.shape[1]} classes",
                remedy='reduction="none", and your own product, for a weight for each row',
            )
        )


# ---- the others ------------------------------------------------------------------------------------------------------


def binary_cross_entropy(
    logits: Tensor | Array,
    target: Tensor | Array,
    *,
    weight: Tensor | Array | float | None = None,
    pos_weight: Tensor | Array | float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-weight (pos_weight t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))) for logits z and targets t, and its mean.

    logits: floats, not probabilities; any finite size is safe. target: floats of the same shape, in [0, 1]. weight: for
    each element, pos_weight: for positive targets; numbers or floats that broadcast to that shape. reduction: "mean" over
    all elements, "sum", or "none" for the loss of each. PyTorch calls it binary_cross_entropy_with_logits.

    Raises `ValueError` where the shapes of logits and target differ, or a weight does not broadcast to them, and
    `TypeError` for a target that is not of floats.

    >>> import tinyreg as tr
    >>> logits, target = tr.tensor([0.0, 1e4, -1e4]), tr.tensor([1.0, 1.0, 1.0])
    >>> tr.losses.binary_cross_entropy(logits, target, reduction="none")
    tensor([6.931472e-01, 0.000000e+00, 1.000000e+04])
    """
    z, t = matched_pair("binary_cross_entropy", logits, target, reduction)
    if hasattr(target, "dtype") and not is_float(target):
        raise TypeError(f"binary_cross_entropy: got target {described(target)}, expected floats; use astype")
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        check_broadcast("binary_cross_entropy", name, value, logits)
    positive, negative = _weighted(t, matched(weight, z), matched(pos_weight, z))
    return rounded(logistic_nll(z, positive, negative, reduction=reduction), logits)


def _weighted(t: Tensor, weight: Tensor | float | None, pos_weight: Tensor | float | None) -> tuple[Tensor, Tensor | None]:
    """What -log sigmoid(z) and -log(1 - sigmoid(z)) are multiplied by; None stands for 1 minus the first."""
    if weight is None and pos_weight is None:
        return t, None
    if weight is not None:
        t = entering(t, weight)
    positive, negative = t, 1 - t
    if weight is not None:
        positive, negative = weight * positive, weight * negative
    return positive if pos_weight is None else positive * pos_weight, negative


@fused(name="binary_cross_entropy", expects="logits and two shares of their shape")
def logistic_nll(logits: Tensor, positive: Tensor, negative: Tensor | None = None, *, reduction: str = "mean") -> Tensor:
    """positive softplus(-logits) + negative softplus(logits), reduced; where negative is None, it is 1 - positive."""
    if negative is None:
        negative = 1 - positive
    losses = positive * ops.softplus(-entering(logits, positive)) + negative * ops.softplus(entering(logits, negative))
    return reduced(losses, reduction)


@with_axis
def kl_divergence(
    log_q: Tensor | Array,
    target: Tensor | Array,
    *,
    axis: int = -1,
    log_target: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """KL(p || q) = sum_k p_k (log p_k - log q_k) along `axis`, for a target p, and its mean over all rows.

    log_q: floats, the logarithms of the model's probabilities, as from `log_softmax`. target: p, of the same shape, whose
    zeros count for nothing; or log p where `log_target`. reduction: "mean" over rows, which PyTorch calls "batchmean" (its
    "mean" also divides by K), "sum", or "none" for the divergence of each row.

    Raises `ValueError` where the shapes differ.

    Source: Kullback and Leibler, "On Information and Sufficiency", 1951.

    >>> import tinyreg as tr
    >>> p, q = tr.tensor([[0.5, 0.5, 0.0]]), tr.tensor([[0.25, 0.25, 0.5]])
    >>> round(tr.losses.kl_divergence(tr.log(q), p).item(), 4)  # log 2
    0.6931
    """
    wide, t = matched_pair("kl_divergence", log_q, target, reduction)
    axis = checked_axis("kl_divergence", axis, wide.ndim)
    p = ops.exp(t) if log_target else t
    nothing = p == 0  # where 0 (-inf) would be NaN
    log_p = ops.where(nothing, 0.0, t) if log_target else ops.log(ops.where(nothing, 1.0, t))
    terms = p * (log_p - ops.where(nothing, 0.0, wide))
    return rounded(reduced(ops.sum(terms, axis=axis), reduction), log_q)


def hinge(scores: Tensor | Array, target: Tensor | Array, *, margin: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """max(0, margin - target * score), and its mean; the gradient is 0 where the two are equal.

    scores: floats, positive for the class 1. target: of the same shape, 1 or -1. margin: above 0. reduction: "mean", "sum",
    or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, for a target other than 1 and -1, and for a margin that is not above 0.

    Source: Cortes and Vapnik, "Support-Vector Networks", 1995.

    >>> import tinyreg as tr
    >>> tr.losses.hinge(tr.tensor([2.0, 0.5, 0.5]), tr.tensor([1.0, 1.0, -1.0]), reduction="none")
    tensor([0. , 0.5, 1.5])
    """
    margin = above_0("hinge", "margin", margin)
    x, t = matched_pair("hinge", scores, target, reduction)
    if not holds(ops.abs(t) == 1):
        raise ValueError(
            "hinge: got a target other than 1 and -1, expected only these; for labels 0 and 1 use 2 * target - 1"
        )
    return rounded(reduced(ops.relu(margin - t * x), reduction), scores)
