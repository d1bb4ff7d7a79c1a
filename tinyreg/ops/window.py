"""Ops on the windows of an image: convolution and pooling, over the last two axes."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator
from ..core.primitive import primitive
from ..creation import as_array, backend_of
from ..recompute import fused
from .linalg import onto
from .reduction import max, mean, sum
from .shape import pad, permute_dims, reshape

Pair = int | tuple[int, int]
Two = tuple[int, int]


def _reach(size: int, dilation: int) -> int:
    """How many elements a window spans, from its first to its last."""
    return dilation * (size - 1) + 1


@primitive(expects="windows that fit into the last two axes")
def windows(xp: Backend, x: Array, *, size: Two, stride: Two = (1, 1), dilation: Two = (1, 1)) -> Array:
    """The windows of x: y[..., i, j, p, q] = x[..., i stride + p dilation, j stride + q dilation], a view.

    x: (..., height, width); the result: (..., rows, columns, *size), with as many rows and columns as fit. Derivative:
    the incoming gradient, added up where windows overlap.

    >>> import tinyreg as tr
    >>> from tinyreg.ops.window import windows
    >>> windows(tr.arange(6).reshape(2, 3), size=(2, 2))[0, 1]
    tensor([[1, 2],
            [4, 5]])
    """
    spans = [n - _reach(k, d) for n, k, d in zip(x.shape[-2:], size, dilation, strict=True)]
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
    places = _places(shape, x.shape[-2:], stride, dilation)
    parts = (x[..., p, q] for p in range(x.shape[-2]) for q in range(x.shape[-1]))
    return _added_up(xp, corner, (*corner.shape[:-2], *shape), places, parts)


def _added_up(xp: Backend, like: Array, shape: Shape, places: Sequence[Any], parts: Iterable[Array]) -> Array:
    """Zeros of this shape, in the memory order of `like`, to which each part is added at its place, in float32 at least."""
    y = xp.zeros_like(like, dtype=accumulator(like.dtype) or like.dtype, shape=shape)
    for place, part in zip(places, parts, strict=True):
        y[place] += part
    return y.astype(like.dtype, copy=False)


def _places(shape: Sequence[int], size: Sequence[int], stride: Two, dilation: Two) -> list[tuple[Any, ...]]:
    """Of every place in a window, where the elements are that stand there in all windows."""
    spans = zip(shape[-2:], size, stride, dilation, strict=True)
    counts = [(n - _reach(k, d)) // step + 1 for n, k, step, d in spans]

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


# ---- what the ops below are given ------------------------------------------------------------------------------------


def _pair(op: str, name: str, value: Any, least: int = 1, words: str = "") -> Two:
    """A setting for both axes: an integer stands for two."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= least for n in pair):
        raise ValueError(f"{op}: got {name} = {value!r}, expected {words}an integer of at least {least} or a pair")
    return pair[0], pair[1]


def _windows_of(
    op: str, x: Any, size: Two, stride: Two, padding: Sequence[Two], dilation: Two = (1, 1), value: float = 0.0
) -> Any:
    """The windows of x with `value` around it, or an error that names the op."""
    return windows(_padded(op, x, size, padding, dilation, value), size=size, stride=stride, dilation=dilation)


def _padded(op: str, x: Any, size: Two, padding: Sequence[Two], dilation: Two, value: float) -> Any:
    """x with `value` around it, or an error that names the op where no window fits into that."""
    padded = [n + before + after for n, (before, after) in zip(x.shape[-2:], padding, strict=True)]
    reach = [_reach(k, d) for k, d in zip(size, dilation, strict=True)]
    if padded[0] < reach[0] or padded[1] < reach[1]:
        raise ValueError(
            f"{op}: got a kernel that spans {reach[0]} by {reach[1]} elements and an input of {padded[0]} by "
            f"{padded[1]}, its padding included; expected one that fits. Use a smaller kernel, or more padding"
        )
    if not any(map(any, padding)):
        return x
    return pad(x, pad_width=((0, 0),) * (x.ndim - 2) + tuple(padding), value=value)


# ---- convolution -----------------------------------------------------------------------------------------------------


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Any:
    """The cross-correlation y[n, o, i, j] = bias[o] + sum over c, p, q of weight[o, c, p, q] x[n, c, i + p, j + q].

    x: (N, C, height, width); weight: (O, C / groups, kernel height, kernel width); bias: (O,); the result: (N, O, rows,
    columns). The settings are PyTorch's, integers or pairs: `stride` between windows; `padding`, zeros on each side, or
    "valid" for none, or "same" for as many as keep the size at stride 1 (an odd one at the end); `dilation`, the
    distance between neighbours in a window; `groups` of channels, each with its own share of the outputs.

    Raises `ValueError` where shapes, channels and groups do not fit. Derivatives: sums of products, as of `matmul`.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> import tinyreg as tr
    >>> tr.conv2d(tr.ones((1, 1, 3, 3)), tr.ones((1, 1, 2, 2)), tr.tensor([0.5]))
    tensor([[[[4.5, 4.5],
              [4.5, 4.5]]]])
    """
    _check_channels(x, weight, bias, groups)
    size = (weight.shape[2], weight.shape[3])
    steps, spread = _pair("conv2d", "stride", stride), _pair("conv2d", "dilation", dilation)
    x = _padded("conv2d", x, size, _conv_padding(padding, size, steps, spread), spread, 0.0)
    return correlation(x, weight, bias, stride=steps, dilation=spread, groups=groups)


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
    places = _places(x.shape, size, stride, dilation)
    dx = dw = None
    if 0 in wanted:
        kernels = xp.ascontiguousarray(weight.reshape(groups, -1, channels, len(places)).transpose(3, 0, 2, 1))
        shape = (x.shape[1], *g.shape[2:], len(x))
        parts = (xp.matmul(kernel, rows).reshape(shape).transpose(3, 0, 1, 2) for kernel in kernels)
        dx = _added_up(xp, images, x.shape, places, parts)
    if 1 in wanted:
        patches = (images[place].transpose(1, 2, 3, 0).reshape(groups, channels, -1) for place in places)
        dw = xp.stack([xp.matmul(rows, patch.swapaxes(1, 2)) for patch in patches], axis=-1).reshape(weight.shape)
    return dx, dw, sum(rows, axis=2).reshape(out) if 2 in wanted else None


def _check_channels(x: Any, weight: Any, bias: Any, groups: int) -> None:
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"conv2d: got shapes {list(x.shape)} for x and {list(weight.shape)} for weight, expected (N, C, height, "
            "width) and (O, C / groups, height, width); for a single image use x[None]"
        )
    if groups < 1 or x.shape[1] != groups * weight.shape[1] or weight.shape[0] % groups:
        raise ValueError(
            f"conv2d: got {x.shape[1]} channels, groups = {groups} and a weight of shape {list(weight.shape)}, expected"
            " a weight of shape (O, channels / groups, height, width) whose O the groups divide"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"conv2d: got a bias of shape {list(bias.shape)}, expected {list(weight.shape[:1])}, one an output"
        )


def _conv_padding(padding: Pair | str, size: Two, stride: Two, dilation: Two) -> list[Two]:
    """How many zeros come before and after each axis."""
    if padding == "valid":
        return [(0, 0), (0, 0)]
    if padding != "same":
        return [(n, n) for n in _pair("conv2d", "padding", padding, least=0, words='"same", "valid", ')]
    if stride != (1, 1):
        raise ValueError(
            f"conv2d: got padding = 'same' and stride {stride}, expected stride 1; give the padding in numbers"
        )
    total = [_reach(k, d) - 1 for k, d in zip(size, dilation, strict=True)]
    return [(n // 2, n - n // 2) for n in total]


# ---- pooling ---------------------------------------------------------------------------------------------------------


def max_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> Any:
    """The largest element of each window.

    x: floats of shape (..., height, width). The settings are PyTorch's, integers or pairs: `stride` is kernel_size if
    none is given; `padding` puts -inf on each side, at most half a kernel; `dilation` is the distance between
    neighbours in a window. Elements at the end that fill no window are left out.

    Raises `ValueError` where the kernel does not fit. Derivative: 1 for the largest, shared equally by k that tie
    (1 / k each; PyTorch gives all to the first).

    >>> import tinyreg as tr
    >>> tr.max_pool2d(tr.tensor([[1.0, 2.0, 5.0], [4.0, 3.0, 6.0]]), 2, stride=1)
    tensor([[4., 6.]])
    """
    spread = _pair("max_pool2d", "dilation", dilation)
    size, steps, around = _pool_settings("max_pool2d", x, kernel_size, stride, padding, spread)
    if x.dtype.kind != "f" and any(map(any, around)):
        raise TypeError(f"max_pool2d: got {x.dtype} and padding, expected floats, which have an infinity; use astype")
    x = _padded("max_pool2d", x, size, around, spread, value=-math.inf)
    return window_max(x, size=size, stride=steps, dilation=spread)


@fused(expects="windows that fit into the last two axes")
def window_max(x: Any, *, size: Two, stride: Two, dilation: Two) -> Any:
    """The largest element of each window; the gradient is shared equally by those that tie."""
    return max(_side_by_side(windows(x, size=size, stride=stride, dilation=dilation)), axis=0)


@window_max.fast
def _(xp: Backend, x: Array, *, size: Two, stride: Two, dilation: Two) -> tuple[Array, None]:
    first, *others = _places(x.shape, size, stride, dilation)
    y = x[first].copy(order="K")
    for place in others:
        xp.maximum(y, x[place], out=y)
    return y, None


@window_max.backward
def _(g: Array, xp: Backend, x: Array, y: Array, size: Two, stride: Two, dilation: Two) -> Array:
    places = _places(x.shape, size, stride, dilation)
    chosen = [x[place] == y for place in places]
    share = g / _ties(chosen, g.dtype)
    dx = xp.zeros_like(x, dtype=g.dtype)
    for place, among in zip(places, chosen, strict=True):
        dx[place] += xp.kept(among, share)
    return dx


def _ties(chosen: Sequence[Array], dtype: Any) -> Array:
    """How many of the masks hold, at least 1: a window with NaN has none."""
    ties = chosen[0].astype(dtype)
    for mask in chosen[1:]:
        ties += mask
    return ties + (ties == 0)


def avg_pool2d(
    x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, count_include_pad: bool = True
) -> Any:
    """The mean of each window.

    x: floats of shape (..., height, width). The settings are PyTorch's, integers or pairs: `stride` is kernel_size if
    none is given; `padding` puts zeros on each side, at most half a kernel, and `count_include_pad` says whether
    they count as elements. Elements at the end that fill no window are left out.

    Raises `ValueError` where the kernel does not fit. Derivative: 1 / the number of elements for each of them.

    >>> import tinyreg as tr
    >>> tr.avg_pool2d(tr.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, 7.0]]), 2, stride=1)
    tensor([[3., 5.]])
    """
    size, steps, around = _pool_settings("avg_pool2d", x, kernel_size, stride, padding)
    view = _windows_of("avg_pool2d", x, size, steps, around)
    if count_include_pad:
        return mean(_side_by_side(view), axis=0)
    down, across = (
        [min(start + k, before + n) - builtins.max(start, before) for start in range(0, count * step, step)]
        for n, k, step, (before, _), count in zip(x.shape[-2:], size, steps, around, view.shape[-4:-2], strict=True)
    )
    counts = as_array([[a * b for b in across] for a in down], x.dtype, backend_of(x))
    return sum(_side_by_side(view), axis=0) / counts


def _side_by_side(view: Any) -> Any:
    """The elements of windows along the first axis, copied: NumPy reduces a long line far faster than many short ones."""
    *outer, height, width = view.shape
    moved = permute_dims(view, axes=(-2, -1, *range(len(outer))))
    return reshape(moved, shape=(height * width, *outer))


def _pool_settings(
    op: str, x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Two = (1, 1)
) -> tuple[Two, Two, list[Two]]:
    """The kernel's size, the stride, and how much comes before and after each axis."""
    if x.ndim < 2:
        raise ValueError(f"{op}: got shape {list(x.shape)}, expected (..., height, width)")
    size, around = _pair(op, "kernel_size", kernel_size), _pair(op, "padding", padding, least=0)
    for n, k, d in zip(around, size, dilation, strict=True):
        if n > _reach(k, d) // 2:
            raise ValueError(f"{op}: got padding = {padding} and kernel_size = {kernel_size}, expected at most half of it")
    return size, size if stride is None else _pair(op, "stride", stride), [(n, n) for n in around]
