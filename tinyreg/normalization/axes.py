"""The axes that a normalization goes over, and the others."""

from __future__ import annotations

from typing import Any

from ..signature import described


def checked_axes(name: str, x: Any, axes: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes counted from the front, in order; every one but the second if None."""
    if getattr(getattr(x, "dtype", None), "kind", None) != "f":
        raise TypeError(f"{name}: got x {described(x)}, expected floats")
    ndim = x.ndim
    if axes is None:
        if ndim < 2:
            raise ValueError(f"{name}: got x {described(x)}, expected (N, C) or (N, C, ...); or say the axes")
        return (0, *range(2, ndim))
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    found = sorted({a % ndim for a in given if -ndim <= a < ndim})
    if not found or len(found) < len(given):
        raise ValueError(f"{name}: got axes={axes} for x {described(x)}, expected axes that it has, each once")
    return tuple(found)


def other_axes(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of x that are not among these."""
    return tuple([i for i in range(x.ndim) if i not in axes])
