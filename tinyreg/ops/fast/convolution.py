"""The fast forms of convolution, with the images as the last axis in memory, so that a row of windows is one long piece."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ...core.backend import Array, Backend
from .. import reduction
from ..correlation import Two, added_up, correlation, depthwise, kernels_of, places_of, windows
from .writing import written_to


def _images_last(xp: Backend, x: Array) -> Array:
    """Copy x with the images next to each other in memory, so that the windows of a row are one long piece of it."""
    return xp.ascontiguousarray(x.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)


def _columns(view: Array, groups: int) -> Array:
    """Do what `_patches` does, with the images as the last axis of the columns."""
    images, channels, rows, columns, *size = view.shape
    across = view.transpose(1, 4, 5, 2, 3, 0)
    return across.reshape(groups, channels // groups * math.prod(size), rows * columns * images)


@correlation.fast
def _(
    xp: Backend, x: Array, weight: Array, bias: Array = None, *, stride: Two, dilation: Two, groups: int
) -> tuple[Array, None]:
    view = windows(_images_last(xp, x), size=weight.shape[2:], stride=stride, dilation=dilation)
    y = xp.matmul(kernels_of(weight, groups), _columns(view, groups))
    y = y.reshape(weight.shape[0], *view.shape[2:4], view.shape[0])
    y = y if bias is None else written_to(xp.add, y, bias.reshape(-1, 1, 1, 1))
    return y.transpose(3, 0, 1, 2), None


@correlation.backward
def _(
    g: Array, xp: Backend, x: Array, weight: Array, stride: Two, dilation: Two, groups: int, wanted: Sequence[int]
) -> tuple[Array, Array, Array]:
    """g laid over the windows, times weight, for x; g times the windows of x for weight; the sum of g for bias.

    A product for each place in a window: all of them together would take as many times the memory of x.
    """
    (out, channels, *size), images = weight.shape, _images_last(xp, x)
    rows = g.transpose(1, 2, 3, 0).reshape(groups, out // groups, -1)
    places = places_of(x.shape, size, stride, dilation)
    dx = dw = None
    if 0 in wanted:
        kernels = xp.ascontiguousarray(weight.reshape(groups, -1, channels, len(places)).transpose(3, 0, 2, 1))
        shape = (x.shape[1], *g.shape[2:], len(x))
        parts = (xp.matmul(kernel, rows).reshape(shape).transpose(3, 0, 1, 2) for kernel in kernels)
        dx = added_up(xp, images, x.shape, places, parts)
    if 1 in wanted:
        patches = (images[place].transpose(1, 2, 3, 0).reshape(groups, channels, -1) for place in places)
        dw = xp.stack([xp.matmul(rows, patch.swapaxes(1, 2)) for patch in patches], axis=-1).reshape(weight.shape)
    return dx, dw, reduction.sum(rows, axis=2).reshape(out) if 2 in wanted else None


# ---- each channel by itself ------------------------------------------------------------------------------------------


@depthwise.fast
def _(xp: Backend, x: Array, weight: Array, bias: Array = None, *, stride: Two, dilation: Two) -> tuple[Array, None]:
    """No product of matrices, which would be of one row: each place of a window is multiplied and added."""
    images = _channels_first(xp, x)
    first, *others = [place[1:] for place in places_of(x.shape, weight.shape[2:], stride, dilation)]
    parts = []
    for block, factors in _blocks(xp, images, weight):
        y = images[(block, *first)] * factors[:, 0]
        for i, place in enumerate(others, 1):
            y += images[(block, *place)] * factors[:, i]
        parts.append(y)
    y = xp.concatenate(parts)
    y = y if bias is None else written_to(xp.add, y, bias.reshape(-1, 1, 1, 1))
    return y.transpose(3, 0, 1, 2), None


@depthwise.backward
def _(
    g: Array, xp: Backend, x: Array, weight: Array, stride: Two, dilation: Two, wanted: Sequence[int]
) -> tuple[Array, Array, Array]:
    """g laid over the windows, times weight, for x; g times the windows of x for weight; the sum of g for bias."""
    images, rows = _channels_first(xp, x), _channels_first(xp, g)
    dx, dw = xp.zeros_like(images), xp.zeros_like(weight)
    for block, factors in _blocks(xp, images, weight):
        for i, place in enumerate(places_of(x.shape, weight.shape[2:], stride, dilation)):
            here = (block, *place[1:])
            if 0 in wanted:
                dx[here] += rows[block] * factors[:, i]
            if 1 in wanted:
                products = images[here] * rows[block]
                p, q = divmod(i, weight.shape[3])
                dw[block, 0, p, q] = products.reshape(len(products), -1).sum(axis=1)
    return (
        dx.transpose(3, 0, 1, 2) if 0 in wanted else None,
        dw if 1 in wanted else None,
        rows.sum(axis=(1, 2, 3)) if 2 in wanted else None,
    )


def _channels_first(xp: Backend, x: Array) -> Array:
    """Copy x to (channels, height, width, images), in that order in memory."""
    return xp.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _blocks(xp: Backend, images: Array, kernels: Array) -> Iterator[tuple[slice, Array]]:
    """Take turns with as many channels as fit into the cache, and their kernels, with an axis for the place in a window."""
    step = max(1, xp.block // (images[0].size or 1))
    for start in range(0, len(images), step):
        block = slice(start, start + step)
        yield block, kernels[block].reshape(-1, math.prod(kernels.shape[2:]), 1, 1, 1)
