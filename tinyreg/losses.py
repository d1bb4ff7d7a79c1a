"""Losses: how far a prediction is from its target, as compositions.

Shapes never broadcast here: a prediction of shape (N, 1) against a target of shape (N,) is an error, not an (N, N)
mean. `reduction` is "mean", "sum" or "none", as in PyTorch; a mean over nothing is 0, where PyTorch's is NaN.

A loss has the dtype of the prediction: targets and weights are cast to it. float16 is worked out in float32 and rounded at
the end. What has the weight 0, or is ignored, may hold anything, NaN and infinities too: it is 0, and so is its gradient.
"""

from __future__ import annotations

from typing import Any

from . import ops
from .activations import log_softmax
from .arguments import axis as checked_axis
from .arguments import integer, number
from .core.backend import Array, Backend, described, get
from .core.fused import fused
from .labels import class_indices, is_soft, kind_of
from .ops.elementwise import let_in
from .ops.precision import matched, narrowed, widened


def mse(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(prediction - target)^2, and its mean over all elements.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ.

    >>> import tinyreg as tr
    >>> tr.losses.mse(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(2.)
    """
    x, t = _pair("mse", prediction, target, reduction)
    return narrowed(_reduced(ops.square(x - t), reduction), prediction)


def mae(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """|prediction - target|, and its mean over all elements; the gradient is 0 where they are equal.

    prediction, target: floats of one shape. reduction: "mean", "sum", or "none" for the loss of each element.

    Raises `ValueError` where the shapes differ.

    >>> import tinyreg as tr
    >>> tr.losses.mae(tr.tensor([1.0, 2.0]), tr.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, t = _pair("mae", prediction, target, reduction)
    return narrowed(_reduced(ops.abs(x - t), reduction), prediction)


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
    delta = _positive("huber", "delta", delta)
    x, t = _pair("huber", prediction, target, reduction)
    delta = min(delta, float(get("numpy").finfo(x.dtype).max))
    d = ops.abs(x - t)
    far = d > delta
    near, beyond = ops.where(far, 0.0, d), ops.where(far, d - delta / 2, 0.0)  # so that a d of infinity has a slope too
    return narrowed(_reduced(ops.square(near) / 2 + delta * beyond, reduction), prediction)


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

    logits: floats of shape (N, K, ...), or (K,); any finite size is safe, and -inf is a class that cannot be. target:
    either class indices, integers from 0 to K - 1 of shape (N, ...), whose y is 1 at the index; or soft targets, floats
    of the shape of logits, which are y.
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
    label_smoothing = number(
        "cross_entropy", "label_smoothing", label_smoothing, least=0, most=1, expected="a share from 0 to 1"
    )
    soft = is_soft("cross_entropy", logits, target)
    if soft and ignore_index is not None:
        raise ValueError(f"cross_entropy: got ignore_index={ignore_index} with soft targets, expected indices")
    if ignore_index is not None:
        ignore_index = integer("cross_entropy", "ignore_index", ignore_index)
    z = widened(logits if logits.ndim > 1 else ops.expand_dims(logits, axis=0))
    if weight is not None:
        _expect_arrays("cross_entropy", weight=weight)
        if getattr(weight, "shape", None) != (z.shape[1],):
            raise ValueError(
                f"cross_entropy: got weight {described(weight)}, expected one for each of {z.shape[1]} classes"
            )
    target = target if logits.ndim > 1 else ops.expand_dims(target, axis=0)
    if soft:
        losses = _of_soft_targets(z, matched(target, z), matched(weight, z), label_smoothing, reduction)
    else:
        index = class_indices("cross_entropy", target, z.shape[1], ignore_index)
        counted = None if ignore_index is None else index != ignore_index
        losses = _of_indices(z, index, counted, matched(weight, z), label_smoothing, reduction)
    return narrowed(ops.squeeze(losses, axis=0) if logits.ndim == 1 and losses.ndim else losses, logits)


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
    z, t = _pair("binary_cross_entropy", logits, target, reduction)
    if hasattr(target, "dtype") and kind_of(target) != "f":
        raise TypeError(f"binary_cross_entropy: got target {described(target)}, expected floats; use astype")
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        _check_broadcast("binary_cross_entropy", name, value, logits)
    share = matched(weight, z)
    t = t if share is None else let_in(t, share)
    positive, negative = t, 1 - t
    if share is not None:
        positive, negative = share * positive, share * negative
    if pos_weight is not None:
        positive = positive * matched(pos_weight, z)
    losses = positive * ops.softplus(-let_in(z, positive)) + negative * ops.softplus(let_in(z, negative))
    return narrowed(_reduced(losses, reduction), logits)


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
    log_q, t = _pair("kl_divergence", like := log_q, target, reduction)
    axis = checked_axis("kl_divergence", axis, log_q.ndim)
    p = ops.exp(t) if log_target else t
    nothing = p == 0  # where 0 (-inf) would be NaN
    log_p = ops.where(nothing, 0.0, t) if log_target else ops.log(ops.where(nothing, 1.0, t))
    terms = p * (log_p - ops.where(nothing, 0.0, log_q))
    return narrowed(_reduced(ops.sum(terms, axis=axis), reduction), like)


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
    margin = _positive("hinge", "margin", margin)
    x, t = _pair("hinge", scores, target, reduction)
    if not ops.all(ops.abs(t) == 1):
        raise ValueError(
            "hinge: got a target other than 1 and -1, expected only these; for labels 0 and 1 use 2 * target - 1"
        )
    return narrowed(_reduced(ops.relu(margin - t * x), reduction), scores)


# ---- parts -----------------------------------------------------------------------------------------------------------


def _of_soft_targets(z: Any, target: Any, weight: Any, label_smoothing: float, reduction: str) -> Any:
    """-sum_k q_k log softmax(z)_k, where q holds the weights too."""
    q = target
    if weight is not None:
        weight = ops.reshape(weight, (-1, *[1] * (z.ndim - 2)))
        q = let_in(q, weight)
    if label_smoothing:
        q = (1 - label_smoothing) * q + label_smoothing / z.shape[1]
    q = q if weight is None else weight * q
    z = let_in(z, ops.any(q != 0, axis=1, keepdims=True))
    return _reduced(-ops.sum(q * let_in(log_softmax(z, axis=1), q), axis=1), reduction)


def _of_indices(z: Any, index: Any, counted: Any, weight: Any, label_smoothing: float, reduction: str) -> Any:
    """`smoothed_nll` of the rows that count, by the weights of their classes."""
    if counted is not None:
        index = ops.where(counted, index, 0)
    if weight is None:
        return smoothed_nll(z, index, counted, label_smoothing=label_smoothing, reduction=reduction)
    share = ops.take(weight, index, axis=0)
    share = share if counted is None else ops.where(counted, share, 0.0)
    z = let_in(z, ops.expand_dims(counted if label_smoothing and counted is not None else share, axis=1))
    hard = (1 - label_smoothing) * share
    losses = hard * let_in(smoothed_nll(z, index, counted, reduction="none"), hard)
    if label_smoothing:
        even = label_smoothing / z.shape[1] * ops.reshape(weight, (-1, *[1] * (z.ndim - 2)))
        spread = -ops.sum(even * let_in(log_softmax(z, axis=1), even), axis=1)
        losses = losses + (spread if counted is None else ops.where(counted, spread, 0.0))
    return _reduced(losses, reduction, share)


@fused(nondifferentiable=("index", "counted"), expects="logits (N, K, ...), indices (N, ...) and a mask of their shape")
def smoothed_nll(
    logits: Any, index: Any, counted: Any = None, *, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Any:
    """(label_smoothing - 1) p[index] - label_smoothing mean(p) of each row, reduced, where p = log softmax(logits).

    Rows that are not counted are 0 and not in the mean.
    """
    if counted is not None:
        logits = ops.where(ops.expand_dims(counted, axis=1), logits, 0.0)
    log_p = log_softmax(logits, axis=1)
    losses: Any = 0.0
    if label_smoothing < 1:  # a weight of 0 would make NaN of log_p = -inf
        at_index = ops.squeeze(ops.take_along_axis(log_p, ops.expand_dims(index, axis=1), axis=1), axis=1)
        losses = (label_smoothing - 1) * at_index
    if label_smoothing:
        losses = losses - label_smoothing * ops.mean(log_p, axis=1)
    if counted is None:
        return _reduced(losses, reduction)
    return _reduced(ops.where(counted, losses, 0.0), reduction, matched(counted, losses))


@smoothed_nll.fast
def _(
    xp: Backend, logits: Array, index: Array, counted: Array = None, *, label_smoothing: float, reduction: str
) -> tuple[Array, Any]:
    z = logits if counted is None else xp.kept(counted[:, None], logits)
    z = z - z.max(axis=1, keepdims=True)
    at = _places(xp, index)
    losses = (label_smoothing - 1) * z[at] if label_smoothing < 1 else 0.0
    if label_smoothing:
        losses = losses - label_smoothing / z.shape[1] * z.sum(axis=1)
    p = xp.exp(z, out=z)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    losses = xp.log(total[:, 0]) + losses
    if counted is None:
        return _reduced(losses, reduction), (p, at, losses.size or 1)
    losses = xp.kept(counted, losses)
    return _reduced(losses, reduction, counted.astype(losses.dtype)), (p, at, xp.maximum(counted.sum(), 1))


@smoothed_nll.backward
def _(g: Array, xp: Backend, counted: Array, residuals: Any, label_smoothing: float, reduction: str) -> Array:
    p, at, n = residuals
    dz = p - label_smoothing / p.shape[1]
    dz[at] -= 1 - label_smoothing
    dz *= g[:, None] if reduction == "none" else g / n if reduction == "mean" else g
    return dz if counted is None else xp.kept(counted[:, None], dz)


def _places(xp: Backend, index: Array) -> tuple[Array, ...]:
    """Where in logits (N, K, ...) is what indices (N, ...) say."""
    axes = range(1, index.ndim)
    others = [xp.arange(index.shape[i]).reshape([-1 if i == j else 1 for j in axes]) for i in axes]
    return (xp.arange(len(index)).reshape(-1, *[1 for _ in axes]), index, *others)


def _pair(loss: str, prediction: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    """A prediction and its target, of one shape, in the dtype in which the loss is worked out."""
    _check_reduction(loss, reduction)
    _expect_arrays(loss, prediction=prediction, target=target)
    if getattr(prediction, "shape", ()) != getattr(target, "shape", ()):
        raise ValueError(
            f"{loss}: got prediction {described(prediction)} and target {described(target)}, expected one shape; "
            "reshape one of them"
        )
    if kind_of(prediction) != "f":
        raise TypeError(f"{loss}: got prediction {described(prediction)}, expected floats; use tr.tensor or astype")
    wide = widened(prediction)
    return wide, matched(target, wide)


def _expect_arrays(loss: str, **values: Any) -> None:
    """Whether each value is an array, a tensor or a number."""
    for name, value in values.items():
        if not isinstance(value, int | float) and kind_of(value) is None:
            raise TypeError(f"{loss}: got {name} {value!r:.80}, expected a tensor or an array: tr.tensor(...)")


def _positive(loss: str, name: str, value: Any) -> float:
    found = number(loss, name, value, least=0, expected="more than 0")
    if not found:
        raise ValueError(f"{loss}: got {name}={value}, expected more than 0")
    return found


def _check_broadcast(loss: str, name: str, value: Any, like: Any) -> None:
    """Whether a weight can be repeated to the shape of the losses, which must not grow by it."""
    if value is not None:
        _expect_arrays(loss, **{name: value})
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
    return ops.divide(ops.mean(losses), ops.where(total == 0, 1.0, total))
