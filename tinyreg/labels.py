"""Class labels: whether a target is one of indices or soft, whether it fits its logits, and which rows count.

`where` is the function that was called: its name begins an error.
"""

from __future__ import annotations

from .arguments import integer
from .core.backend import Array, described, is_float
from .core.tensor import Tensor
from .messages import explained
from .safety import checked


def kind_of(value: object) -> str | None:
    """The kind of a value's dtype, "f" for floats; None where it is no array of NumPy's kinds."""
    return getattr(getattr(value, "dtype", None), "kind", None)


def holds(condition: Tensor | Array) -> bool:
    """Whether a condition holds everywhere. A recorded step may ask this, and its replays ask again."""
    array = condition.data if isinstance(condition, Tensor) else condition
    return bool(array.all())


def is_soft(target: Tensor | Array) -> bool:
    """Whether a target is soft: floats, a share for each class. Otherwise it holds class indices."""
    return is_float(target)


def check_labels(where: str, logits: Tensor | Array, target: Tensor | Array) -> None:
    """Refuse logits and a target that do not fit each other."""
    for name, value in (("logits", logits), ("target", target)):
        if kind_of(value) is None:
            raise TypeError(f"{where}: got {name} {value!r:.80}, expected a tensor: tr.tensor(...)")
    if not is_float(logits) or not logits.ndim:
        raise TypeError(f"{where}: got logits {described(logits)}, expected floats of shape [N, K, ...] or [K]")
    if not is_soft(target) and target.dtype.kind not in "iu":
        raise TypeError(f"{where}: got target {described(target)}, expected class indices or soft targets")
    axis = 1 if logits.ndim > 1 else 0
    soft = is_soft(target)
    expected = logits.shape if soft else logits.shape[:axis] + logits.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(
            explained(
                where,
                "the target does not fit the logits",
                got=f"logits {described(logits)} and target {described(target)}",
                expected=f"{'soft targets' if soft else 'class indices'} of shape {list(expected)}",
                remedy="integers for class indices" if soft else "floats of the shape of logits for soft targets",
            )
        )


def checked_ignore_index(where: str, target: Tensor | Array, ignore_index: int | None) -> int | None:
    """The index to ignore, as Python's; `ValueError` beside a soft target, which has none."""
    if ignore_index is None:
        return None
    if is_soft(target):
        raise ValueError(
            f"{where}: got ignore_index={ignore_index} with soft targets, expected class indices; to leave a row out, "
            "make its soft targets 0"
        )
    return integer(where, "ignore_index", ignore_index)


def class_indices(where: str, target: Tensor | Array, classes: int, ignore_index: int | None) -> Array:
    """The target as an int64 array, checked: on CuPy an index out of range would wrap around."""
    index = (target.data if isinstance(target, Tensor) else target).astype("int64", copy=False)
    if not index.size or not checked("labels") or (index.min() >= 0) & (index.max() < classes):  # one wait for a GPU
        return index
    valid = (index >= 0) & (index < classes)
    if ignore_index is not None:
        valid |= index == ignore_index
    if not valid.all():
        wrong = int(index[~valid][0])
        also = "" if ignore_index is None else f", or ignore_index={ignore_index}"
        raise IndexError(
            explained(
                where,
                "a label is no class of the logits",
                got=f"class index {wrong}",
                expected=f"0 to {classes - 1}{also}",
                remedy=f"ignore_index={wrong} to leave such rows out, or logits of more classes",
            )
        )
    return index
