"""Ops on the windows of an image: convolution and pooling, over the last two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..arguments import integer
from ..core.backend import Array, accumulator
from ..core.fused import fused
from ..core.tensor import Tensor
from ..creation import as_array, backend_of
from . import reduction
from .correlation import Two, correlation, depthwise, reach, windows
from .precision import astype
from .shape import pad, permute_dims, reshape

__all__ = ["avg_pool2d", "conv2d", "max_pool2d"]

Pair = int | tuple[int, int]


# ---- what the ops below are given ------------------------------------------------------------------------------------


def pair(op: str, name: str, value: Any, least: int = 1, words: str = "") -> Two:
    """Take a setting for both axes as two integers; one integer stands for two."""
    given = tuple(value) if isinstance(value, tuple | list) else (value, value)
    expected = f"{words}an integer of at least {least} or a pair"
    if len(given) != 2:
        raise ValueError(f"{op}: got {name}={value!r}, expected {expected}")
    down, across = [integer(op, name, n, least=least, expected=expected) for n in given]
    return down, across


def _widened(op: Any, *arrays: Any, **settings: Any) -> Tensor:
    """Run an op whose sums would overflow or stand still in float16 by way of float32, rounded once in each direction."""
    given = [array for array in arrays if array is not None]
    dtype = given[0].dtype
    wide = accumulator(dtype)
    if wide is None or any(array.dtype != dtype for array in given):
        y: Tensor = op(*arrays, **settings)
    else:
        y = astype(op(*[array if array is None else astype(array, wide) for array in arrays], **settings), dtype)
    return y


def _padded(op: str, x: Any, size: Two, padding: Sequence[Two], dilation: Two, value: float) -> Any:
    """Put `value` around x; an error names the op where no window fits into that."""
    padded = [n + before + after for n, (before, after) in zip(x.shape[-2:], padding, strict=True)]
    spans = [reach(k, d) for k, d in zip(size, dilation, strict=True)]
    if padded[0] < spans[0] or padded[1] < spans[1]:
        raise ValueError(
            f"{op}: got a kernel that spans {spans[0]} by {spans[1]} elements and an input of {padded[0]} by "
            f"{padded[1]}, its padding included; expected one that fits. Use a smaller kernel, or more padding"
        )
    if not any(map(any, padding)):
        return x
    return pad(x, pad_width=((0, 0),) * (x.ndim - 2) + tuple(padding), value=value)


# ---- convolution -----------------------------------------------------------------------------------------------------


def conv2d(
    x: Tensor | Array,
    weight: Tensor | Array,
    bias: Tensor | Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
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
    groups = integer("conv2d", "groups", groups)
    _check_channels(x, weight, bias, groups)
    size = (weight.shape[2], weight.shape[3])
    steps, spread = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    x = _padded("conv2d", x, size, _conv_padding(padding, size, steps, spread), spread, 0.0)
    if 1 < groups == weight.shape[0] == x.shape[1]:
        return _widened(depthwise, x, weight, bias, stride=steps, dilation=spread)
    return _widened(correlation, x, weight, bias, stride=steps, dilation=spread, groups=groups)


def _check_channels(x: Any, weight: Any, bias: Any, groups: int) -> None:
    arguments.arrays("conv2d", x=x, weight=weight)
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
    """Work out how many zeros come before and after each axis."""
    if padding == "valid":
        return [(0, 0), (0, 0)]
    if padding != "same":
        words = '"same", "valid", '
        if isinstance(padding, str):
            raise ValueError(f"conv2d: got padding={padding!r}, expected {words}an integer of at least 0 or a pair")
        return [(n, n) for n in pair("conv2d", "padding", padding, least=0, words=words)]
    if stride != (1, 1):
        raise ValueError(
            f"conv2d: got padding = 'same' and stride {stride}, expected stride 1; give the padding in numbers"
        )
    total = [reach(k, d) - 1 for k, d in zip(size, dilation, strict=True)]
    return [(n // 2, n - n // 2) for n in total]


# ---- pooling ---------------------------------------------------------------------------------------------------------


def max_pool2d(
    x: Tensor | Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
) -> Tensor:
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
    spread = pair("max_pool2d", "dilation", dilation)
    size, steps, around = _pool_settings("max_pool2d", x, kernel_size, stride, padding, spread)
    if x.dtype.kind != "f" and any(map(any, around)):
        raise TypeError(f"max_pool2d: got {x.dtype} and padding, expected floats, which have an infinity; use astype")
    x = _padded("max_pool2d", x, size, around, spread, value=-math.inf)
    return _widened(window_max, x, size=size, stride=steps, dilation=spread)


@fused(name="max_pool2d", expects="windows that fit into the last two axes")
def window_max(x: Any, *, size: Two, stride: Two, dilation: Two) -> Tensor:
    """Give the largest element of each window; the gradient is shared equally by those that tie."""
    return reduction.max(_side_by_side(windows(x, size=size, stride=stride, dilation=dilation)), axis=0)


def avg_pool2d(
    x: Tensor | Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, count_include_pad: bool = True
) -> Tensor:
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
    y = _widened(window_mean, _padded("avg_pool2d", x, size, around, (1, 1), 0.0), size=size, stride=steps)
    if count_include_pad or not any(map(any, around)):
        return y
    down, across = (
        [k / (min(start + k, before + n) - max(start, before)) for start in range(0, count * step, step)]
        for n, k, step, (before, _), count in zip(x.shape[-2:], size, steps, around, y.shape[-2:], strict=True)
    )
    result: Tensor = y * as_array([[a * b for b in across] for a in down], y.dtype, backend_of(x))
    return result


@fused(name="avg_pool2d", expects="windows that fit into the last two axes")
def window_mean(x: Any, *, size: Two, stride: Two) -> Tensor:
    """Give the mean of each window."""
    return reduction.mean(_side_by_side(windows(x, size=size, stride=stride)), axis=0)


def _side_by_side(view: Any) -> Any:
    """Copy the elements of each window to the first axis: NumPy reduces a long line far faster than many short ones."""
    *outer, height, width = view.shape
    moved = permute_dims(view, axes=(-2, -1, *range(len(outer))))
    return reshape(moved, shape=(height * width, *outer))


def _pool_settings(
    op: str, x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Two = (1, 1)
) -> tuple[Two, Two, list[Two]]:
    """Work out the kernel's size, the stride, and how much comes before and after each axis."""
    arguments.arrays(op, x=x)
    if x.ndim < 2:
        raise ValueError(f"{op}: got shape {list(x.shape)}, expected (..., height, width)")
    size, around = pair(op, "kernel_size", kernel_size), pair(op, "padding", padding, least=0)
    for n, k, d in zip(around, size, dilation, strict=True):
        if n > reach(k, d) // 2:
            raise ValueError(f"{op}: got padding = {padding} and kernel_size = {kernel_size}, expected at most half of it")
    return size, size if stride is None else pair(op, "stride", stride), [(n, n) for n in around]
