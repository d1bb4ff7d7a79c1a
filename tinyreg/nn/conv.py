"""Convolution and pooling as layers."""

from __future__ import annotations

from .. import ops
from ..arguments import integer
from ..core.backend import Array
from ..core.tensor import Tensor
from ..creation import zeros
from ..ops.window import Pair, pair
from ..random import Generator, as_generator
from . import init
from .inputs import expect_dtype
from .module import Module, settings_of
from .parameter import Parameter

__all__ = ["AvgPool2d", "Conv2d", "GlobalAvgPool2d", "MaxPool2d"]


def _setting(layer: str, name: str, value: Pair, least: int = 1) -> Pair:
    """Take a setting for both axes, or a pair of them, in Python's integers."""
    down, across = pair(layer, name, value, least)
    return (down, across) if isinstance(value, tuple | list) else down


class Conv2d(Module):
    """The cross-correlation of an image with each of `out_channels` kernels, plus a bias. See `tr.conv2d`.

    x: (N, in_channels, height, width); weight: (out_channels, in_channels / groups, *kernel_size), as in PyTorch; bias:
    (out_channels,), or None; y: (N, out_channels, rows, columns). stride, padding, dilation, groups: as for `tr.conv2d`.
    nonlinearity: what the result goes into, by which `init.weight` picks where the weight starts; the bias starts from 0.
    Optimizers that shrink weights leave the bias alone. rng: a generator or a seed; by default that of `tr.seed`.

    Raises `TypeError` for settings that are not integers and for an x of another dtype than the parameters', and
    `ValueError` for groups that do not divide the channels.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Conv2d(3, 8, 5, padding="same", rng=tr.Generator(0))
    >>> layer(tr.ones((2, 3, 28, 20))).shape
    (2, 8, 28, 20)
    """

    in_channels: int
    out_channels: int
    groups: int
    kernel_size: Pair
    stride: Pair
    dilation: Pair
    padding: Pair | str
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        nonlinearity: str = "relu",
        rng: Generator | int | None = None,
    ) -> None:
        in_channels = integer("Conv2d", "in_channels", in_channels, least=1)
        out_channels = integer("Conv2d", "out_channels", out_channels, least=1)
        groups = integer("Conv2d", "groups", groups)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: got {in_channels} and {out_channels} channels and groups={groups}, expected a divisor of both"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _setting("Conv2d", "kernel_size", kernel_size)
        self.stride, self.dilation = _setting("Conv2d", "stride", stride), _setting("Conv2d", "dilation", dilation)
        self.padding = padding if isinstance(padding, str) else _setting("Conv2d", "padding", padding, least=0)
        shape = (out_channels, in_channels // groups, *pair("Conv2d", "kernel_size", kernel_size))
        self.weight = Parameter(init.weight(shape, nonlinearity, rng=as_generator(rng, "Conv2d")))
        self.bias = Parameter(zeros(out_channels), decay=False) if bias else None

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.conv2d(x, weight, bias, ...)`."""
        expect_dtype("Conv2d", x, self.weight)
        return ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Channels, kernel, and what differs from the defaults."""
        always = self.in_channels, self.out_channels, f"kernel_size={self.kernel_size}"
        shown = settings_of(self, *always, stride=1, padding=0, dilation=1, groups=1)
        return f"{shown}, bias=False" if self.bias is None else shown


class MaxPool2d(Module):
    """The largest element of each window of an image. See `tr.max_pool2d`.

    >>> import tinyreg as tr
    >>> tr.nn.MaxPool2d(2)(tr.ones((5, 3, 8, 6))).shape
    (5, 3, 4, 3)
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> None:
        self.kernel_size: Pair = _setting("MaxPool2d", "kernel_size", kernel_size)
        self.stride: Pair | None = None if stride is None else _setting("MaxPool2d", "stride", stride)
        self.padding: Pair = _setting("MaxPool2d", "padding", padding, least=0)
        self.dilation: Pair = _setting("MaxPool2d", "dilation", dilation)

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.max_pool2d(x, kernel_size, stride, padding, dilation)`."""
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """The kernel, and the stride where it is another."""
        return settings_of(self, self.kernel_size, stride=None)


class AvgPool2d(Module):
    """The mean of each window of an image. See `tr.avg_pool2d`.

    >>> import tinyreg as tr
    >>> tr.nn.AvgPool2d(2)(tr.ones((5, 3, 8, 6))).shape
    (5, 3, 4, 3)
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, count_include_pad: bool = True
    ) -> None:
        self.kernel_size: Pair = _setting("AvgPool2d", "kernel_size", kernel_size)
        self.stride: Pair | None = None if stride is None else _setting("AvgPool2d", "stride", stride)
        self.padding: Pair = _setting("AvgPool2d", "padding", padding, least=0)
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.avg_pool2d(x, kernel_size, stride, padding, count_include_pad)`."""
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.count_include_pad)

    def extra_repr(self) -> str:
        """The kernel, and the stride where it is another."""
        return settings_of(self, self.kernel_size, stride=None)


class GlobalAvgPool2d(Module):
    """The mean of each channel over all its positions: (N, C, height, width) becomes (N, C).

    PyTorch writes it AdaptiveAvgPool2d(1) and Flatten().

    >>> import tinyreg as tr
    >>> tr.nn.GlobalAvgPool2d()(tr.ones((5, 3, 8, 6))).shape
    (5, 3)
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """The mean over the last two axes."""
        return ops.mean(x, axis=(-2, -1))
