"""Regularizers: what a loss adds for the size of the weights, as compositions with the chapter's factors.

`weights` is one Tensor or several; `strength` is lambda. Leave biases out by not passing them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import ops
from .core.tensor import Tensor


def l2(weights: Tensor | Iterable[Tensor], strength: float) -> Any:
    """(strength / 2) sum w^2, over all weights together.

    weights: one Tensor or several, of any shapes. strength: at least 0. With the half, the gradient is strength * w, so
    that SGD multiplies w by 1 - lr * strength (a penalty without it, as in Keras, is twice as strong).

    Raises `ValueError` for a negative strength, and for no weights at all.

    >>> import tinyreg as tr
    >>> tr.regularizers.l2([tr.tensor([3.0, 4.0]), tr.tensor([[1.0]])], 0.5)
    tensor(6.5)
    """
    return strength / 2 * _total("l2", weights, strength, ops.square)


def l1(weights: Tensor | Iterable[Tensor], strength: float) -> Any:
    """strength * sum |w|, over all weights together.

    weights: one Tensor or several, of any shapes. strength: at least 0. The gradient at 0 is 0. Descending along it
    makes weights small, but hardly ever exactly 0.

    Raises `ValueError` for a negative strength, and for no weights at all.

    >>> import tinyreg as tr
    >>> tr.regularizers.l1(tr.tensor([3.0, -4.0]), 0.5)
    tensor(3.5)
    """
    return strength * _total("l1", weights, strength, ops.abs)


def _total(name: str, weights: Any, strength: float, size: Callable[[Any], Any]) -> Any:
    """The sum of size(w) over every element of every weight."""
    if not strength >= 0:
        raise ValueError(f"{name}: got strength={strength}, expected at least 0")
    each = [ops.sum(size(w)) for w in ([weights] if hasattr(weights, "dtype") else weights)]
    if not each:
        raise ValueError(f"{name}: got no weights, expected at least one; an iterator serves only once, so pass a list")
    return sum(each[1:], start=each[0])
