"""Metrics of classifiers: Python floats that say how good predictions are. They have no gradient.

They take what `losses.cross_entropy` takes: logits (N, K, ...) or (K,), and a target of class indices (N, ...) or of soft
labels of the shape of logits; Tensors and arrays alike. Over no rows each is 0, as the losses are. Soft labels count as
their largest class for `accuracy` and `calibration_error`: after mixup these say how often the larger part is named, so
measure against the labels from before it.
"""

from __future__ import annotations

from . import ops
from .activations import softmax
from .arguments import integer
from .core.backend import Array, described, get
from .core.tape import no_grad
from .core.tensor import Tensor
from .creation import backend_of
from .labels import check_labels, checked_ignore_index, class_indices, is_soft
from .losses import cross_entropy
from .messages import explained


def accuracy(logits: Tensor | Array, target: Tensor | Array, *, ignore_index: int | None = None) -> float:
    """The share of rows whose largest logit is at the label; the first one where several are largest.

    logits: floats, (N, K, ...) or (K,), of at least two classes. target: class indices, integers (N, ...), or soft labels,
    floats of the shape of logits, whose largest class is the label. ignore_index: rows with this index do not count.

    Raises what `losses.cross_entropy` raises for what does not fit, and `ValueError` for fewer than two classes.

    >>> import tinyreg as tr
    >>> logits = tr.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 0.0]])
    >>> tr.metrics.accuracy(logits, tr.tensor([0, 1, 1, 0]))
    0.75
    """
    rows, labels = _rows("accuracy", logits, target, ignore_index)
    return _mean(rows.argmax(axis=1) == labels)


def nll(logits: Tensor | Array, target: Tensor | Array, *, ignore_index: int | None = None) -> float:
    """-sum_k y_k log softmax(logits)_k, where y is 1 at the label or soft: the mean over the rows that count.

    That is `losses.cross_entropy` without weights and smoothing, worked out in float64. logits, target, ignore_index: as
    for `accuracy`.

    Raises what `losses.cross_entropy` raises for what does not fit, and `ValueError` for fewer than two classes.

    >>> import tinyreg as tr
    >>> round(tr.metrics.nll(tr.tensor([[2.0, 0.0], [0.0, 2.0]]), tr.tensor([0, 1])), 4)
    0.1269
    """
    check_labels("nll", logits, target)
    if is_soft(target):
        _check_classes("nll", logits)
        checked_ignore_index("nll", target, ignore_index)
        with no_grad():
            return float(cross_entropy(ops.astype(logits, "float64"), target))
    rows, labels = _rows("nll", logits, target, ignore_index)
    return float(cross_entropy(rows.astype("float64"), labels))


def calibration_error(
    logits: Tensor | Array, target: Tensor | Array, *, bins: int = 15, ignore_index: int | None = None
) -> float:
    """sum_b n_b / N |acc_b - conf_b|: how far confidence is from accuracy, the expected calibration error (ECE).

    A row's confidence is its largest probability, max_k softmax(logits)_k. Bin b of `bins` holds the n_b rows of N whose
    confidence is in ((b - 1) / bins, b / bins]; acc_b is their accuracy and conf_b their mean confidence. From 0 to 1; NaN
    where logits are NaN. logits, target, ignore_index: as for `accuracy`.

    Raises what `losses.cross_entropy` raises for what does not fit, `ValueError` for fewer than two classes or one bin.

    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.

    >>> import tinyreg as tr
    >>> logits = tr.tensor([[4.0, 0.0]] * 10)  # each is 98.2 % sure of class 0
    >>> round(tr.metrics.calibration_error(logits, tr.tensor([0] * 8 + [1] * 2)), 6)
    0.182014
    """
    bins = integer("calibration_error", "bins", bins, least=1)
    rows, labels = _rows("calibration_error", logits, target, ignore_index)
    if not len(rows):
        return 0.0
    xp = get(backend_of(rows))
    confidence = softmax(rows.astype("float64"), axis=1).max(axis=1)
    gap = (rows.argmax(axis=1) == labels) - confidence
    place = xp.ceil(xp.where(xp.isnan(confidence), 1.0, confidence) * bins).astype("int64") - 1
    of_bins = xp.zeros(bins)
    xp.add.at(of_bins, place, gap)
    return float(xp.abs(of_bins).sum()) / len(rows)


def _rows(where: str, logits: Tensor | Array, target: Tensor | Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Check logits and target, and give arrays: logits (n, K) and labels (n,) of the rows that count."""
    check_labels(where, logits, target)
    _check_classes(where, logits)
    ignore_index = checked_ignore_index(where, target, ignore_index)
    axis = 1 if logits.ndim > 1 else 0
    logits, target = (value.data if isinstance(value, Tensor) else value for value in (logits, target))
    classes = logits.shape[axis]
    order = (*(i for i in range(logits.ndim) if i != axis), axis)
    rows = logits.transpose(order).reshape((-1, classes))
    soft = is_soft(target)
    labels = (target.argmax(axis=axis) if soft else class_indices(where, target, classes, ignore_index)).reshape(-1)
    if ignore_index is None:
        return rows, labels
    counted = labels != ignore_index
    return rows[counted], labels[counted]


def _check_classes(where: str, logits: Tensor | Array) -> None:
    """Refuse a single class: every metric of it would be perfect."""
    if logits.shape[1 if logits.ndim > 1 else 0] < 2:
        raise ValueError(
            explained(
                where,
                "one class is no choice",
                got=f"logits {described(logits)}",
                expected="at least two classes",
                remedy="tr.concat(tr.zeros_like(z), z, axis=1) for one logit z of a yes-or-no question",
            )
        )


def _mean(values: Array) -> float:
    return float(values.sum()) / (values.size or 1)
