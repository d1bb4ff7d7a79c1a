"""What fast forms share: a result written to memory that nobody else holds."""

from __future__ import annotations

from typing import Any

from ...core.backend import Array


def written_to(operation: Any, y: Array, other: Array) -> Array:
    """Give operation(y, other) of a y that nobody else holds: in its memory, unless the other has another dtype."""
    result: Array = operation(y, other, out=y if other.dtype == y.dtype else None)
    return result
