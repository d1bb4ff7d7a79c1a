"""The windows of an image, and the sums of products over them: what convolution and pooling are made of."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator
from ..core.fused import fused
from ..core.primitive import primitive
from .linalg import onto
from .reduction import sum
from .shape import permute_dims, reshape

Two = tuple[int, int]


def reach(size: int, dilation: int) -> int:
    """How many elements a window spans, from its first to its last."""
    return dilation * (size - 1) + 1


@primitive(expects="windows that fit into the last two axes")
def windows(xp: Backend, x: Array, *, size: Two, stride: Two = (1, 1), dilation: Two = (1, 1)) -> Array:
    """The windows of x: y[..., i, j, p, q] = x[..., i stride + p dilation, j stride + q dilation], a view.

    x: (..., height, width); the result: (..., rows, columns, *size), with as many rows and columns as fit. Derivative:
    the incoming gradient, added up where windows overlap.

    >>> import tinyreg as tr
    >>> from tinyreg.ops.correlation import windows
    >>> windows(tr.arange(6).reshape(2, 3), size=(2, 2))[0, 1]
    tensor([[1, 2],
            [4, 5]])
    """
    spans = [n - reach(k, d) for n, k, d in zip(x.shape[-2:], size, dilation, strict=True)]
    if min(*spans, *[n - 1 for n in (*size, *stride, *dilation)]) < 0:  # as_strided would read what is not x's
        raise ValueError(f"size {size}, stride {stride} and dilation {dilation} do not fit")
    counts = [span // step + 1 for span, step in zip(spans, stride, strict=True)]
    moves = [n * step for n, step in zip(x.strides[-2:], stride, strict=True)]
    inside = [n * step for n, step in zip(x.strides[-2:], dilation, strict=True)]
    shape, strides = (*x.shape[:-2], *counts, *size), (*x.strides[:-2], *moves, *inside)
    return xp.lib.stride_tricks.as_strided(x, shape=shape, strides=strides)


@primitive
def unwindow(xp: Backend, x: Array, *, shape: Two, stride: Two, dilation: Two) -> Array:
    """Zeros of height and width `shape`, to which windows are added where they came from: the way back of `windows`."""
    corner = x[..., 0, 0]  # whose memory order y shares
    places = places_of(shape, x.shape[-2:], stride, dilation)
    parts = (x[..., p, q] for p in range(x.shape[-2]) for q in range(x.shape[-1]))
    return added_up(xp, corner, (*corner.shape[:-2], *shape), places, parts)


def added_up(xp: Backend, like: Array, shape: Shape, places: Sequence[Any], parts: Iterable[Array]) -> Array:
    """Zeros of this shape, in the memory order of `like`, to which each part is added at its place, in float32 at least."""
    y = xp.zeros_like(like, dtype=accumulator(like.dtype) or like.dtype, shape=shape)
    for place, part in zip(places, parts, strict=True):
        y[place] += part
    return y.astype(like.dtype, copy=False)


def places_of(shape: Sequence[int], size: Sequence[int], stride: Two, dilation: Two) -> list[tuple[Any, ...]]:
    """Of every place in a window, where the elements are that stand there in all windows."""
    spans = zip(shape[-2:], size, stride, dilation, strict=True)
    counts = [(n - reach(k, d)) // step + 1 for n, k, step, d in spans]

    def along(axis: int, p: int) -> slice:
        start = p * dilation[axis]
        return slice(start, start + (counts[axis] - 1) * stride[axis] + 1, stride[axis])

    return [(..., along(0, p), along(1, q)) for p in range(size[0]) for q in range(size[1])]


@windows.vjp("x")
def _(g: Any, x_like: Any, stride: Two, dilation: Two) -> Any:
    return unwindow(g, shape=x_like.shape[-2:], stride=stride, dilation=dilation)


@unwindow.vjp("x")
def _(g: Any, x_like: Any, stride: Two, dilation: Two) -> Any:
    return windows(g, size=x_like.shape[-2:], stride=stride, dilation=dilation)


# ---- correlation -----------------------------------------------------------------------------------------------------


@fused(expects="images, kernels and biases as of conv2d")
def correlation(
    x: Any, weight: Any, bias: Any = None, *, stride: Two = (1, 1), dilation: Two = (1, 1), groups: int = 1
) -> Any:
    """`conv2d` without padding: one large product, of the elements of a window with all the windows of all the images."""
    view = windows(x, size=weight.shape[2:], stride=stride, dilation=dilation)
    y = _kernels(weight, groups) @ _patches(view, groups)
    images, _, rows, columns, *_ = view.shape
    y = permute_dims(reshape(y, shape=(weight.shape[0], images, rows, columns)), axes=(1, 0, 2, 3))
    return y if bias is None else y + reshape(bias, shape=(weight.shape[0], 1, 1))


def _kernels(weight: Any, groups: int) -> Any:
    """The kernels of each group as the rows of a matrix."""
    return reshape(weight, shape=(groups, weight.shape[0] // groups, math.prod(weight.shape[1:])))


def _patches(view: Any, groups: int) -> Any:
    """The windows of each group's channels as the columns of a matrix."""
    images, channels, rows, columns, *size = view.shape
    across = permute_dims(view, axes=(1, 4, 5, 0, 2, 3))
    return reshape(across, shape=(groups, channels // groups * math.prod(size), images * rows * columns))


def _images_last(xp: Backend, x: Array) -> Array:
    """x with the images next to each other in memory, so that the windows of a row are one long piece of it."""
    return xp.ascontiguousarray(x.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)


def _columns(view: Array, groups: int) -> Array:
    """`_patches` with the images as the last axis of the columns."""
    images, channels, rows, columns, *size = view.shape
    across = view.transpose(1, 4, 5, 2, 3, 0)
    return across.reshape(groups, channels // groups * math.prod(size), rows * columns * images)


@correlation.fast
def _(
    xp: Backend, x: Array, weight: Array, bias: Array = None, *, stride: Two, dilation: Two, groups: int
) -> tuple[Array, None]:
    view = windows(_images_last(xp, x), size=weight.shape[2:], stride=stride, dilation=dilation)
    y = xp.matmul(_kernels(weight, groups), _columns(view, groups))
    y = y.reshape(weight.shape[0], *view.shape[2:4], view.shape[0])
    y = y if bias is None else onto(xp.add, y, bias.reshape(-1, 1, 1, 1))
    return y.transpose(3, 0, 1, 2), None


@correlation.backward
def _(
    g: Array, xp: Backend, x: Array, weight: Array, stride: Two, dilation: Two, groups: int, wanted: Sequence[int]
) -> tuple[Array, Array, Array]:
    """A product for each place in a window: all of them together would take as many times the memory of x."""
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
    return dx, dw, sum(rows, axis=2).reshape(out) if 2 in wanted else None


# ---- each channel by itself ------------------------------------------------------------------------------------------


@fused(expects="images, as many kernels of one channel as they have channels, and as many biases")
def depthwise(x: Any, weight: Any, bias: Any = None, *, stride: Two = (1, 1), dilation: Two = (1, 1)) -> Any:
    """`correlation` with a group for each channel."""
    return correlation.definition(x, weight, bias, stride=stride, dilation=dilation, groups=weight.shape[0])


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
    y = y if bias is None else onto(xp.add, y, bias.reshape(-1, 1, 1, 1))
    return y.transpose(3, 0, 1, 2), None


@depthwise.backward
def _(
    g: Array, xp: Backend, x: Array, weight: Array, stride: Two, dilation: Two, wanted: Sequence[int]
) -> tuple[Array, Array, Array]:
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
    """(channels, height, width, images), in that order in memory."""
    return xp.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _blocks(xp: Backend, images: Array, kernels: Array) -> Iterator[tuple[slice, Array]]:
    """Channels that fit into the cache together, and their kernels, with an axis for the place in a window."""
    step = builtins.max(1, xp.stretch // (images[0].size or 1))
    for start in range(0, len(images), step):
        block = slice(start, start + step)
        yield block, kernels[block].reshape(-1, math.prod(kernels.shape[2:]), 1, 1, 1)
