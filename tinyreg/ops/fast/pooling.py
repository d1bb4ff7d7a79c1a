"""The fast forms of pooling: an operation between slices, one for each place in a window, and no copy of the windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...core.backend import Array, Backend
from ..correlation import Two, added_up, places_of
from ..window import window_max, window_mean


@window_max.fast
def _(xp: Backend, x: Array, *, size: Two, stride: Two, dilation: Two) -> tuple[Array, None]:
    return _folded(xp.maximum, x, size, stride, dilation), None


@window_max.backward
def _(g: Array, xp: Backend, x: Array, y: Array, size: Two, stride: Two, dilation: Two) -> Array:
    """g to the largest element of its window, shared equally by those that tie."""
    places = places_of(x.shape, size, stride, dilation)
    chosen = [x[place] == y for place in places]
    share = g / _ties(chosen, g.dtype)
    dx = xp.zeros_like(x, dtype=g.dtype)
    for place, among in zip(places, chosen, strict=True):
        dx[place] += xp.masked(share, among)
    return dx


def _folded(operation: Any, x: Array, size: Two, stride: Two, dilation: Two) -> Array:
    """Apply an operation between the elements of each window; where these overlap, down first, then across what is left."""
    down = (size[0], 1), (stride[0], 1), (dilation[0], 1)
    across = (1, size[1]), (1, stride[1]), (1, dilation[1])
    overlap = stride[0] < size[0] and stride[1] < size[1]
    for settings in (down, across) if overlap else ((size, stride, dilation),):
        first, *others = places_of(x.shape, *settings)
        y = x[first]
        for i, place in enumerate(others):
            y = operation(y, x[place], out=y if i else None)
        x = y
    return x


def _ties(chosen: Sequence[Array], dtype: Any) -> Array:
    """Count the masks that hold, at least 1: a window with NaN has none."""
    ties = chosen[0].astype(dtype)
    for mask in chosen[1:]:
        ties += mask
    return ties + (ties == 0)


@window_mean.fast
def _(xp: Backend, x: Array, *, size: Two, stride: Two) -> tuple[Array, None]:
    return _folded(xp.add, x, size, stride, (1, 1)) / math.prod(size), None


@window_mean.backward
def _(g: Array, xp: Backend, x: Array, size: Two, stride: Two) -> Array:
    """g / n to each of the n elements of its window."""
    places = places_of(x.shape, size, stride, (1, 1))
    return added_up(xp, x, x.shape, places, [g / math.prod(size)] * len(places))
