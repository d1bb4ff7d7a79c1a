"""The windows of an image, and the sums of products over them: what convolution and pooling are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator
from ..core.fused import fused
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .shape import permute_dims, reshape

Two = tuple[int, int]


def reach(size: int, dilation: int) -> int:
    """How many elements a window spans, from its first to its last."""
    return dilation * (size - 1) + 1


@primitive(name="unfold", expects="windows that fit into the last two axes")
def windows(xp: Backend, x: Array, /, size: Two, stride: Two = (1, 1), dilation: Two = (1, 1)) -> Array:
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


@primitive(name="fold")
def unwindow(xp: Backend, x: Array, /, shape: Two, stride: Two, dilation: Two) -> Array:
    """Add windows, where they came from, to zeros of height and width `shape`: the gradient of `windows`."""
    corner = x[..., 0, 0]  # whose memory order y shares
    places = places_of(shape, x.shape[-2:], stride, dilation)
    parts = (x[..., p, q] for p in range(x.shape[-2]) for q in range(x.shape[-1]))
    return added_up(xp, corner, (*corner.shape[:-2], *shape), places, parts)


def added_up(xp: Backend, like: Array, shape: Shape, places: Sequence[Any], parts: Iterable[Array]) -> Array:
    """Add each part at its place to zeros of `shape` in the memory order of `like`, in float32 at least."""
    y = xp.zeros_like(like, dtype=accumulator(like.dtype) or like.dtype, shape=shape)
    for place, part in zip(places, parts, strict=True):
        y[place] += part
    return y.astype(like.dtype, copy=False)


def places_of(shape: Sequence[int], size: Sequence[int], stride: Two, dilation: Two) -> list[tuple[Any, ...]]:
    """Say, for every place in a window, where the elements are that stand there in all windows."""
    down, across = (
        [slice(start, start + n - reach(k, d) + 1, step) for start in range(0, k * d, d)]
        for n, k, step, d in zip(shape[-2:], size, stride, dilation, strict=True)
    )
    return [(..., rows, columns) for rows in down for columns in across]


@windows.vjp("x")
def _(g: Any, x_like: Any, stride: Two, dilation: Two) -> Any:
    return unwindow(g, shape=x_like.shape[-2:], stride=stride, dilation=dilation)


@unwindow.vjp("x")
def _(g: Any, x_like: Any, stride: Two, dilation: Two) -> Any:
    """g in windows."""
    return windows(g, size=x_like.shape[-2:], stride=stride, dilation=dilation)


# ---- correlation -----------------------------------------------------------------------------------------------------


@fused(name="conv2d", expects="images, kernels and biases as of conv2d")
def correlation(
    x: Any, weight: Any, bias: Any = None, *, stride: Two = (1, 1), dilation: Two = (1, 1), groups: int = 1
) -> Tensor:
    """Multiply the kernels, as a matrix, with all the windows of all the images, as another: `conv2d` without padding."""
    view = windows(x, size=weight.shape[2:], stride=stride, dilation=dilation)
    y = kernels_of(weight, groups) @ _patches(view, groups)
    images, _, rows, columns, *_ = view.shape
    y = permute_dims(reshape(y, shape=(weight.shape[0], images, rows, columns)), axes=(1, 0, 2, 3))
    return y if bias is None else y + reshape(bias, shape=(weight.shape[0], 1, 1))


def kernels_of(weight: Any, groups: int) -> Any:
    """Make the kernels of each group the rows of a matrix."""
    return reshape(weight, shape=(groups, weight.shape[0] // groups, math.prod(weight.shape[1:])))


def _patches(view: Any, groups: int) -> Any:
    """Make the windows of each group's channels the columns of a matrix."""
    images, channels, rows, columns, *size = view.shape
    across = permute_dims(view, axes=(1, 4, 5, 0, 2, 3))
    return reshape(across, shape=(groups, channels // groups * math.prod(size), images * rows * columns))


# ---- each channel by itself ------------------------------------------------------------------------------------------


@fused(name="conv2d", expects="images, as many kernels of one channel as they have channels, and as many biases")
def depthwise(x: Any, weight: Any, bias: Any = None, *, stride: Two = (1, 1), dilation: Two = (1, 1)) -> Tensor:
    """`correlation` with a group for each channel."""
    return correlation.definition(x, weight, bias, stride=stride, dilation=dilation, groups=weight.shape[0])
