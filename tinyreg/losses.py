"""Losses: how far a prediction is from its target, as compositions.

Shapes never broadcast here: a prediction of shape (N, 1) against a target of shape (N,) is an error, not an (N, N)
mean. `reduction` is "mean", "sum" or "none", as in PyTorch; a mean over nothing is 0, where PyTorch's is NaN.
"""

from __future__ import annotations

from typing import Any

from . import ops
from .activations import log_softmax
from .core.backend import Array, Backend
from .labels import class_indices, is_soft
from .recompute import fused
from .signature import described


def mse(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(prediction - target)^2, and its mean over all elements.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ.

    >>> import tinyreg as tr
    >>> tr.losses.mse(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(2.)
    """
    _check_pair("mse", prediction, target, reduction)
    return _reduced(ops.square(prediction - target), reduction)


def mae(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """|prediction - target|, and its mean over all elements; the gradient is 0 where they are equal.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ.

    >>> import tinyreg as tr
    >>> tr.losses.mae(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(1.)
    """
    _check_pair("mae", prediction, target, reduction)
    return _reduced(ops.abs(prediction - target), reduction)


def huber(prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean") -> Any:
    """d^2 / 2 where d = |prediction - target| is at most delta, otherwise delta (d - delta / 2), and its mean.

    prediction, target: floats of one shape. delta: above 0, where the parabola goes over into a line. reduction: "mean",
    "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, and for a delta that is not above 0.

    Source: Huber, "Robust Estimation of a Location Parameter", 1964.

    >>> import tinyreg as tr
    >>> tr.losses.huber(tr.tensor([1.0, 9.0]), tr.tensor([2.0, 4.0]), reduction="none")
    tensor([0.5, 4.5])
    """
    if not delta > 0:
        raise ValueError(f"huber: got delta={delta}, expected more than 0")
    _check_pair("huber", prediction, target, reduction)
    d = ops.abs(prediction - target)
    near = ops.minimum(d, delta)  # d^2 itself may overflow where it is not taken
    return _reduced(near * (d - near / 2), reduction)


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    label_smoothing: float = 0.0,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    """-sum_k weight_k q_k log softmax(logits)_k, where q = (1 - label_smoothing) y + label_smoothing / K, and its mean.

    logits: floats of shape (N, K, ...), or (K,); any finite size is safe. target: either class indices, integers from 0
    to K - 1 of shape (N, ...), whose y is 1 at the index; or soft targets, floats of the shape of logits, which are y.
    label_smoothing: in [0, 1]. weight: K floats, one a class. ignore_index: rows with this index count for nothing, in
    the mean and the smoothing either (PyTorch's default, -100, is none here). reduction: "mean", "sum", or "none" for
    the loss of each row.

    As in PyTorch, the mean over class indices is weighted: the sum divided by the weights of the rows that count; the
    mean over soft targets divides by the number of rows. Other than there, a mean over no rows is 0, so that a batch of
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
    _check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: got label_smoothing={label_smoothing}, expected a share from 0 to 1")
    soft = is_soft("cross_entropy", logits, target)
    axis = 1 if logits.ndim > 1 else 0
    if weight is not None and getattr(weight, "shape", None) != logits.shape[axis : axis + 1]:
        raise ValueError(
            f"cross_entropy: got weight {described(weight)}, expected one for each of {logits.shape[axis]} classes"
        )
    weights = None if weight is None else ops.reshape(weight, (-1, *[1] * (logits.ndim - 2)))
    if soft:
        if ignore_index is not None:
            raise ValueError(f"cross_entropy: got ignore_index={ignore_index} with soft targets, expected indices")
        q = (1 - label_smoothing) * target + label_smoothing / logits.shape[axis] if label_smoothing else target
        return _reduced(-ops.sum(_times(q * log_softmax(logits, axis=axis), weights), axis=axis), reduction)

    index = class_indices("cross_entropy", target, logits.shape[axis], ignore_index)
    if weight is None and ignore_index is None and logits.ndim == 2:
        return smoothed_nll(logits, index, label_smoothing=label_smoothing, reduction=reduction)
    log_p = log_softmax(logits, axis=axis)
    counted = None if ignore_index is None else index != ignore_index
    index = index if counted is None else ops.where(counted, index, 0)
    share = None if weight is None else ops.take(weight, index, axis=0)
    at_index = ops.take_along_axis(log_p, ops.expand_dims(index, axis=axis), axis=axis)
    losses = _times(-ops.squeeze(at_index, axis=axis), share)
    if label_smoothing:
        spread = -ops.sum(_times(log_p, weights), axis=axis) / logits.shape[axis]
        losses = (1 - label_smoothing) * losses + label_smoothing * spread
    if counted is not None:
        losses = ops.where(counted, losses, 0.0)
        share = ops.astype(counted, losses.dtype) if share is None else ops.where(counted, share, 0.0)
    return _reduced(losses, reduction, share)


def binary_cross_entropy(
    logits: Any, target: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
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
    _check_pair("binary_cross_entropy", logits, target, reduction)
    if getattr(target, "dtype", None) is not None and target.dtype.kind != "f":
        raise TypeError(f"binary_cross_entropy: got target {described(target)}, expected floats; use astype")
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        _check_broadcast("binary_cross_entropy", name, value, logits)
    losses = _times(target * ops.softplus(-logits), pos_weight) + (1 - target) * ops.softplus(logits)
    return _reduced(_times(losses, weight), reduction)


def kl_divergence(log_q: Any, target: Any, *, axis: int = -1, log_target: bool = False, reduction: str = "mean") -> Any:
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
    _check_pair("kl_divergence", log_q, target, reduction)
    if log_target:
        terms = ops.exp(target) * (target - log_q)
    else:
        log_p = ops.log(ops.where(target == 0, 1.0, target))
        terms = target * (log_p - ops.where(target == 0, 0.0, log_q))  # 0 (-inf) would be NaN
    return _reduced(ops.sum(terms, axis=axis), reduction)


def hinge(scores: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """max(0, margin - target * score), and its mean; the gradient is 0 where the two are equal.

    scores: floats, positive for the class 1. target: of the same shape, 1 or -1. margin: above 0. reduction: "mean", "sum",
    or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ, for a target other than 1 and -1, and for a margin that is not above 0.

    Source: Cortes and Vapnik, "Support-Vector Networks", 1995.

    >>> import tinyreg as tr
    >>> tr.losses.hinge(tr.tensor([2.0, 0.5, 0.5]), tr.tensor([1.0, 1.0, -1.0]), reduction="none")
    tensor([0. , 0.5, 1.5])
    """
    if not margin > 0:
        raise ValueError(f"hinge: got margin={margin}, expected more than 0")
    _check_pair("hinge", scores, target, reduction)
    if not ops.all(ops.abs(target) == 1):
        raise ValueError(
            "hinge: got a target other than 1 and -1, expected only these; for labels 0 and 1 use 2 * target - 1"
        )
    return _reduced(ops.relu(margin - ops.astype(target, scores.dtype) * scores), reduction)


# ---- parts -----------------------------------------------------------------------------------------------------------


@fused(nondifferentiable=("index",), expects="logits (N, K) and indices (N,)")
def smoothed_nll(logits: Any, index: Any, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Any:
    """(label_smoothing - 1) p[index] - label_smoothing mean(p) of each row, reduced, where p = log softmax(logits)."""
    log_p = log_softmax(logits, axis=1)
    at_index = ops.squeeze(ops.take_along_axis(log_p, ops.expand_dims(index, axis=1), axis=1), axis=1)
    return _reduced((label_smoothing - 1) * at_index - label_smoothing * ops.mean(log_p, axis=1), reduction)


@smoothed_nll.fast
def _(xp: Backend, logits: Array, index: Array, *, label_smoothing: float, reduction: str) -> tuple[Array, Array]:
    z = logits - logits.max(axis=1, keepdims=True)
    of_logits = (label_smoothing - 1) * z[xp.arange(len(z)), index]
    if label_smoothing:
        of_logits -= label_smoothing / z.shape[1] * z.sum(axis=1)
    p = xp.exp(z, out=z)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    return _reduced(xp.log(total[:, 0]) + of_logits, reduction), p


@smoothed_nll.backward
def _(g: Array, xp: Backend, index: Array, residuals: Array, label_smoothing: float, reduction: str) -> Array:
    dz = residuals - label_smoothing / residuals.shape[1]
    dz[xp.arange(len(dz)), index] -= 1 - label_smoothing
    dz *= g[:, None] if reduction == "none" else g / (len(dz) or 1) if reduction == "mean" else g
    return dz


def _times(x: Any, weight: Any) -> Any:
    return x if weight is None else x * weight


def _check_pair(loss: str, prediction: Any, target: Any, reduction: str) -> None:
    """Whether a prediction and its target have one shape."""
    _check_reduction(loss, reduction)
    if getattr(prediction, "shape", ()) != getattr(target, "shape", ()):
        raise ValueError(
            f"{loss}: got prediction {described(prediction)} and target {described(target)}, expected one shape; "
            "reshape one of them"
        )


def _check_broadcast(loss: str, name: str, value: Any, like: Any) -> None:
    """Whether a weight can be repeated to the shape of the losses, which must not grow by it."""
    shape = getattr(value, "shape", ())
    pairs = zip(shape[::-1], like.shape[::-1], strict=False)
    if len(shape) > like.ndim or not all(n in (1, m) for n, m in pairs):
        raise ValueError(
            f"{loss}: got {name} {described(value)} for {described(like)}, expected a shape that broadcasts to it"
        )


def _check_reduction(loss: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{loss}: got reduction={reduction!r}, expected 'mean', 'sum' or 'none'")


def _reduced(losses: Any, reduction: str, share: Any = None) -> Any:
    """The losses, their sum, or their mean, in which row i counts `share[i]` of a row; a mean over nothing is 0."""
    if reduction == "none":
        return losses
    if reduction == "sum" or not losses.size:
        return ops.sum(losses)
    if share is None:
        return ops.mean(losses)
    total = ops.mean(share)
    return ops.mean(losses) / ops.where(total == 0, 1.0, total)
