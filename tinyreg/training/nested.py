"""Inputs, targets and results that may be several: Tensors and arrays in tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

from ..core.backend import described
from ..core.tensor import Tensor
from ..structure import leaves, mapped


def detached(tree: Any) -> Any:
    """The tree without its tape."""
    return mapped(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


def elements(tree: Any) -> int:
    """How many numbers there are in the tree; `TypeError` for what has no size."""
    return sum(map(_size, leaves(tree)))


def shapes_in(tree: Any) -> str:
    """The dtypes and shapes in the tree, for an error."""
    return ", ".join(map(named, leaves(tree))) or "nothing"


def named(leaf: Any) -> str:
    """What a leaf is, for an error: a data frame has a shape and no dtype."""
    return described(leaf) if hasattr(leaf, "dtype") else f"{leaf!r:.80}"


def _size(leaf: Any) -> int:
    if isinstance(leaf, bool | int | float | str):
        return 1
    if (shape := getattr(leaf, "shape", None)) is None:
        raise TypeError(
            f"fit: got {leaf!r:.80} in a batch, and cannot count its elements; say how much a batch counts in the means: "
            "count=lambda x, y: ..."
        )
    size = 1
    for n in shape:
        size *= n
    return size
