"""Class labels: whether a target is one of indices or soft, whether it fits its logits, and which rows count.

`where` is the function that was called: its name begins an error.
"""

from __future__ import annotations

from typing import Any

from .core.tensor import Tensor
from .safety import checked
from .signature import described


def kind_of(value: Any) -> str | None:
    """The kind of a value's dtype, "f" for floats; None where it is no array of NumPy's kinds."""
    return getattr(getattr(value, "dtype", None), "kind", None)


def is_soft(where: str, logits: Any, target: Any) -> bool:
    """Whether the target is soft; raises where logits and target do not fit each other."""
    for name, value in (("logits", logits), ("target", target)):
        if kind_of(value) is None:
            raise TypeError(f"{where}: got {name} {value!r:.80}, expected a tensor: tr.tensor(...)")
    if logits.dtype.kind != "f" or not logits.ndim:
        raise TypeError(f"{where}: got logits {described(logits)}, expected floats of shape [N, K, ...] or [K]")
    if target.dtype.kind not in "iuf":
        raise TypeError(f"{where}: got target {described(target)}, expected class indices or soft targets")
    soft: bool = target.dtype.kind == "f"
    axis = 1 if logits.ndim > 1 else 0
    expected = logits.shape if soft else logits.shape[:axis] + logits.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"{where}: got logits {described(logits)} and target {described(target)}, expected "
            f"{'soft targets' if soft else 'class indices'} of shape {list(expected)}; "
            f"{'for class indices use integers' if soft else 'for soft targets use floats'}"
        )
    return soft


def class_indices(where: str, target: Any, classes: int, ignore_index: int | None) -> Any:
    """The target as int64, checked: on CuPy an index out of range would wrap around."""
    index = (target.data if isinstance(target, Tensor) else target).astype("int64", copy=False)
    if not index.size or not checked("labels") or (index.min() >= 0 and index.max() < classes):
        return index
    valid = (index >= 0) & (index < classes)
    if ignore_index is not None:
        valid |= index == ignore_index
    if not valid.all():
        wrong = int(index[~valid][0])
        remedy = f"or ignore_index={ignore_index}" if ignore_index is not None else "or rows left out by ignore_index=..."
        raise IndexError(f"{where}: got class index {wrong}, expected 0 to {classes - 1}, {remedy}")
    return index
