"""Normalization as layers. Their weights and biases are left alone by optimizers that shrink weights."""

from __future__ import annotations

import math
from typing import Any

from .. import normalization, symbols
from ..arguments import integer, number
from ..core.backend import Array, Shape, as_zero_dimensional, described, underflow_ignored
from ..core.tensor import Tensor, replace
from ..creation import ones, zeros
from .inputs import expect_dtype
from .module import Module, settings_of, updating
from .parameter import Buffer, Parameter

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class BatchNorm(Module):
    """weight (x - mean) / sqrt(var + eps) + bias: each channel by the batch in training, by running averages out of it.

    x: (N, num_features) or (N, num_features, ...). weight, bias: (num_features,), 1 and 0 at first; None if affine is
    False. In training `running_mean` and `running_var`, which start at 0 and 1, follow the batch's statistics:

        running = (1 - momentum) * running + momentum * batch

    so momentum is the share of the new batch, as in the chapter and in PyTorch (in Keras it is the share of the old). None
    averages all batches alike. running: the variance that is stored, "biased" (divided by n, as in the chapter) or
    "unbiased" (by n - 1, as in PyTorch); the batch itself is always normalized by the biased one. frozen: use the running
    averages in training too, and leave them as they are; unlike `eval`, this survives `train`.

    Raises `ValueError` for another number of channels, for settings out of range, and in training for a batch with one
    value for each channel, which leaves the running averages alone; `TypeError` for another dtype than the parameters',
    but for float16. Batches of several threads all count. One layer serves where PyTorch has BatchNorm1d, 2d and
    3d, and `state_dict` has their names.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.

    >>> import tinyreg as tr
    >>> layer = tr.nn.BatchNorm(2)
    >>> layer(tr.tensor([[1.0, 10.0], [3.0, 30.0]])).numpy().round(3).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> layer.running_mean
    Buffer([0.2, 2. ])
    """

    num_features: int
    eps: float
    momentum: float | None
    frozen: bool
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Buffer
    running_var: Buffer
    num_batches_tracked: Buffer

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        running: str = "biased",
        frozen: bool = False,
    ) -> None:
        if momentum is not None:
            momentum = number("BatchNorm", "momentum", momentum, least=0, most=1, expected="a share from 0 to 1, or None")
        if running not in ("biased", "unbiased"):
            raise ValueError(f"BatchNorm: got running={running!r}, expected 'biased' or 'unbiased'")
        self.num_features = integer("BatchNorm", "num_features", num_features, least=0)
        self.eps, self.momentum = number("BatchNorm", "eps", eps, least=0), momentum
        self.running, self.frozen = running, frozen
        self.weight, self.bias = _affine(num_features, affine)
        self.running_mean, self.running_var = Buffer(zeros(num_features)), Buffer(ones(num_features))
        self.num_batches_tracked = Buffer(zeros((), dtype="int64"))

    def forward(self, x: Tensor | Array) -> Tensor:
        """Apply `tr.normalization.batch_norm`: by the batch, which the running averages then follow, or by those."""
        self.check(x)
        if not self.training or self.frozen:
            old_mean, old_var = self.running_mean, self.running_var
            return normalization.batch_norm(x, self.weight, self.bias, mean=old_mean, var=old_var, eps=self.eps)
        y, mean, var = normalization.batch_norm(x, self.weight, self.bias, eps=self.eps, return_stats=True)
        self.follow(mean, var, x.size // self.num_features)
        return y

    def check(self, x: Tensor | Array) -> None:
        """Refuse an x of another dtype or number of channels."""
        expect_dtype("BatchNorm", x, self.running_mean, mixed=True)
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm: got x {described(x)}, expected (N, {self.num_features}) or (N, {self.num_features}, ...)"
            )

    def follow(self, mean: Tensor | Array, var: Tensor | Array, n: int) -> None:
        """Move the running averages towards the statistics of a batch of n values a channel."""
        mean, var = (value.data if isinstance(value, Tensor) else value for value in (mean, var))
        buffers = (self.running_mean, self.running_var, self.num_batches_tracked)
        with updating, underflow_ignored():
            old_mean, old_var, count = (buffer.data for buffer in buffers)
            new = 1 / (symbols.number(count) + 1) if self.momentum is None else self.momentum
            new_of_var = new * n / (n - 1) if self.running == "unbiased" else new
            averages = (1 - new) * old_mean + new * mean, (1 - new) * old_var + new_of_var * var
            arrays = [a.astype(old_mean.dtype, copy=False) for a in averages]
            replace(buffers, [*arrays, as_zero_dimensional(count + 1)])

    def extra_repr(self) -> str:
        """Show the settings."""
        always = self.num_features, f"eps={self.eps:g}", f"momentum={self.momentum}"
        return settings_of(self, *always, running="biased", frozen=False)


class LayerNorm(Module):
    """weight (x - mean) / sqrt(var + eps) + bias, each sample by itself, the same in training and out of it.

    normalized_shape: the shape of the last axes of x, over which mean and variance go, or the length of the last one;
    weight, bias: of that shape, 1 and 0 at first; None if affine is False. See `tr.normalization.layer_norm`.

    Raises `ValueError` where x ends in another shape.

    >>> import tinyreg as tr
    >>> tr.nn.LayerNorm(2)(tr.tensor([[1.0, 3.0]])).numpy().round(3).tolist()
    [[-1.0, 1.0]]
    """

    normalized_shape: Shape
    eps: float
    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, normalized_shape: int | Shape, eps: float = 1e-5, affine: bool = True) -> None:
        self.normalized_shape, self.eps = _as_shape(normalized_shape), number("LayerNorm", "eps", eps, least=0)
        self.weight, self.bias = _affine(self.normalized_shape, affine)

    def forward(self, x: Tensor | Array) -> Tensor:
        """Apply `tr.normalization.layer_norm` over the last axes."""
        axes = _last_axes(self, x)
        return normalization.layer_norm(x, self.weight, self.bias, axes=axes, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.normalized_shape}, eps={self.eps:g}"


class RMSNorm(Module):
    """weight x / sqrt(mean(x^2) + eps), each sample by itself. See `tr.normalization.rms_norm`.

    normalized_shape: as for `LayerNorm`; weight: of that shape, 1 at first; None if affine is False.

    Raises `ValueError` where x ends in another shape.

    >>> import tinyreg as tr
    >>> tr.nn.RMSNorm(2)(tr.tensor([[3.0, -3.0]])).numpy().round(3).tolist()
    [[1.0, -1.0]]
    """

    normalized_shape: Shape
    eps: float
    weight: Parameter | None

    def __init__(self, normalized_shape: int | Shape, eps: float = 1e-6, affine: bool = True) -> None:
        self.normalized_shape, self.eps = _as_shape(normalized_shape), number("RMSNorm", "eps", eps, least=0)
        self.weight = _affine(self.normalized_shape, affine)[0]

    def forward(self, x: Tensor | Array) -> Tensor:
        """Apply `tr.normalization.rms_norm` over the last axes."""
        axes = _last_axes(self, x)
        return normalization.rms_norm(x, self.weight, axes=axes, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.normalized_shape}, eps={self.eps:g}"


class GroupNorm(Module):
    """weight (x - mean) / sqrt(var + eps) + bias over each group of channels of each sample.

    x: (N, num_channels, ...); weight, bias: (num_channels,), 1 and 0 at first; None if affine is False. See
    `tr.normalization.group_norm`.

    Raises `ValueError` where num_groups does not divide num_channels, and for another number of channels.

    >>> import tinyreg as tr
    >>> tr.nn.GroupNorm(2, 4)(tr.tensor([[1.0, 3.0, 10.0, 30.0]])).numpy().round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    num_groups: int
    num_channels: int
    eps: float
    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        num_channels = integer("GroupNorm", "num_channels", num_channels, least=0)
        num_groups = integer("GroupNorm", "num_groups", num_groups)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: got num_groups={num_groups}, expected a divisor of num_channels={num_channels}")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = number("GroupNorm", "eps", eps, least=0)
        self.weight, self.bias = _affine(num_channels, affine)

    def forward(self, x: Tensor | Array) -> Tensor:
        """Apply `tr.normalization.group_norm`."""
        _expect_dtype(self, x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm: got x {described(x)}, expected (N, {self.num_channels}, ...)")
        return normalization.group_norm(x, self.num_groups, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps:g}"


class InstanceNorm(Module):
    """weight (x - mean) / sqrt(var + eps) + bias, each channel of each sample by itself, in training and out of it.

    x: (N, num_features, ...); weight, bias: (num_features,), 1 and 0 at first; None unless affine is True, as in PyTorch.
    See `tr.normalization.instance_norm`.

    Raises `ValueError` for another number of channels.

    >>> import tinyreg as tr
    >>> tr.nn.InstanceNorm(2)(tr.tensor([[[1.0, 3.0], [10.0, 30.0]]])).numpy().round(3).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    num_features: int
    eps: float
    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        self.num_features = integer("InstanceNorm", "num_features", num_features, least=0)
        self.eps = number("InstanceNorm", "eps", eps, least=0)
        self.weight, self.bias = _affine(num_features, affine)

    def forward(self, x: Tensor | Array) -> Tensor:
        """Apply `tr.normalization.instance_norm`."""
        _expect_dtype(self, x)
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(f"InstanceNorm: got x {described(x)}, expected (N, {self.num_features}, ...)")
        return normalization.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{self.num_features}, eps={self.eps:g}"


def _affine(shape: int | Shape, wanted: bool) -> tuple[Parameter | None, Parameter | None]:
    """Make a weight of ones and a bias of zeros, where they are wanted."""
    return (Parameter(ones(shape), decay=False), Parameter(zeros(shape), decay=False)) if wanted else (None, None)


def _expect_dtype(layer: Any, x: Any) -> None:
    if layer.weight is not None:
        expect_dtype(type(layer).__name__, x, layer.weight, mixed=True)


def _as_shape(shape: int | Shape) -> Shape:
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    checked = tuple(integer("normalized_shape", "size", n, expected="an integer, or a tuple of them") for n in sizes)
    if not checked or math.prod(checked) < 1:
        raise ValueError(f"normalized_shape: got {shape}, expected at least one axis, none of them empty")
    return checked


def _last_axes(layer: LayerNorm | RMSNorm, x: Any) -> tuple[int, ...]:
    """The axes that a layer's normalized_shape stands for."""
    _expect_dtype(layer, x)
    n = len(layer.normalized_shape)
    if x.shape[-n:] != layer.normalized_shape:
        expected = ", ".join(map(str, layer.normalized_shape))
        raise ValueError(f"{type(layer).__name__}: got x {described(x)}, expected (..., {expected})")
    return tuple(range(-n, 0))
