"""The axes that a normalization goes over, and the others."""

from __future__ import annotations

from typing import Any

from ..arguments import axes as named_axes
from ..core.backend import described


def checked_axes(name: str, x: Any, axes: int | tuple[int, ...] | None, label: str = "axes") -> tuple[int, ...]:
    """The axes of x, which is of floats, counted from the front, in order; every one but the second if None."""
    if getattr(getattr(x, "dtype", None), "kind", None) != "f":
        raise TypeError(f"{name}: got x {described(x)}, expected floats")
    ndim = x.ndim
    if axes is None:
        if ndim < 2:
            raise ValueError(f"{name}: got x {described(x)}, expected (N, C) or (N, C, ...); or say the axes")
        return (0, *range(2, ndim))
    found = named_axes(name, axes, ndim, name=label)
    if not found:
        raise ValueError(f"{name}: got {label}={axes} for x {described(x)}, expected at least one")
    return tuple(sorted(found))


def other_axes(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of x that are not among these."""
    return tuple([i for i in range(x.ndim) if i not in axes])
