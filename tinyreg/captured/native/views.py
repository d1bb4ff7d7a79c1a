"""Where views stand."""

from __future__ import annotations

import math

from ..recording import View

Span = tuple[int, int, int]
"""A storage, and from where to where in it, in bytes."""


def span(view: View) -> Span:
    """From where to where the bytes of a view stand."""
    steps = [(n - 1) * step for n, step in zip(view.shape, view.strides or (), strict=True)] if view.strides else []
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
    return view.storage, view.offset + low, view.offset + high + view.dtype.itemsize


def overlap(a: Span, b: Span) -> bool:
    """Whether two spans share bytes."""
    return bool(a[0] == b[0] and a[1] < b[2] and b[1] < a[2])


def touch(a: View, b: View) -> bool:
    """Whether two views may share bytes."""
    return a.storage == b.storage and overlap(span(a), span(b))


def dense(view: View) -> bool:
    """Whether a view has all bytes from its first to its last."""
    _, low, high = span(view)
    return bool(math.prod(view.shape) * view.dtype.itemsize == high - low)
