"""Which neighbours of a Sequential run as one: the layers themselves know nothing of it.

A BatchNorm that trains does a ReLU that follows it, and a Dropout that follows that, in its own passes over x. On the tape
this is one entry, batch_norm with the settings relu=True and dropout=p. To have each layer run by itself, empty the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .. import ops
from ..core.backend import Array, Backend
from ..core.fused import fused
from ..core.tape import explainer
from ..core.tensor import Tensor
from ..dropout import Mask
from ..normalization import fast
from ..normalization.inputs import expect_batch, fitting
from ..normalization.norms import batch_normalized
from ..ops.elementwise import masked
from ..ops.precision import narrowed, widened
from .activations import ReLU
from .dropout import Dropout
from .module import Module
from .norm import BatchNorm


def steps(layers: Sequence[Module]) -> Iterator[Callable[[Any], Any]]:
    """Yield what to apply one after the other: layers, or what runs several as one; in `tr.explain()` only layers."""
    i = 0
    while i < len(layers):
        rows = TABLE.get(type(layers[i]), ())
        for row in rows if explainer.get() is None else ():
            joined = layers[i : i + len(row.layers)]
            if tuple(map(type, joined)) == row.layers and row.ready(*joined):
                yield row.on(joined)
                i += len(joined)
                break
        else:
            yield layers[i]
            i += 1


class Row(NamedTuple):
    """Neighbours that can run as one."""

    layers: tuple[type[Module], ...]
    """Of exactly these classes, in this order."""
    ready: Callable[..., bool]
    """Whether they act so now, of the layers."""
    run: Callable[..., Any]
    """What they give, of the layers and x."""

    def on(self, layers: Sequence[Module]) -> Callable[[Any], Any]:
        """Give what these layers do, as one function of x."""
        return lambda x: self.run(x, *layers)


# ---- BatchNorm, ReLU, Dropout ----------------------------------------------------------------------------------------


def _trains(norm: BatchNorm, relu: ReLU) -> bool:
    return norm.training and not norm.frozen


def _trains_and_drops(norm: BatchNorm, relu: ReLU, dropout: Dropout) -> bool:
    return _trains(norm, relu) and dropout.active


def _joined(x: Any, norm: BatchNorm, relu: ReLU, dropout: Dropout | None = None) -> Tensor:
    """Give what the layers give one after the other. A batch that is refused draws no mask."""
    norm.check(x)
    axes, wide = (0, *range(2, x.ndim)), widened(x)
    weight, bias = fitting("batch_norm", wide, (1,), weight=norm.weight, bias=norm.bias)
    expect_batch("batch_norm", x, axes)
    mask, p = (None, 0.0) if dropout is None else dropout.mask(x)
    y, mean, var = batch_norm_relu(wide, weight, bias, mask, relu=True, dropout=p, axes=axes, eps=norm.eps)
    norm.follow(mean, var, x.size // norm.num_features)
    return narrowed(y, x)


@fused(name="batch_norm", nondifferentiable=("mask",), expects="x (N, C, ...), weight and bias (C,), and a mask like x")
def batch_norm_relu(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    mask: Any = None,
    *,
    relu: bool = False,
    dropout: float = 0.0,
    axes: tuple[int, ...] = (),
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, var): batch norm by these statistics, then relu, then dropout of a share by a mask that was drawn."""
    y, mean, var = batch_normalized(x, weight, bias, axes=axes, eps=eps)
    y = ops.relu(y) if relu else y
    return y if mask is None else masked(y, mask, scale=Mask.scale_of(dropout)), mean, var


@batch_norm_relu.fast
def _(
    xp: Backend,
    x: Array,
    weight: Array = None,
    bias: Array = None,
    mask: Array = None,
    *,
    relu: bool,
    dropout: float,
    axes: tuple[int, ...],
    eps: float,
) -> Any:
    scale = 1.0 if mask is None else Mask.scale_of(dropout)
    (y, mean, var), saved = fast.batch_norm(xp, x, weight, bias, axes=axes, eps=eps, scale=scale)
    if relu:
        positive = xp.logical_not(y <= 0)  # NaN goes through
        mask = positive if mask is None else positive & mask
    return (y if mask is None else xp.masked(y, mask), mean, var), (saved, mask)


@batch_norm_relu.backward
def _(g: Any, xp: Backend, x: Array, axes: tuple[int, ...], residuals: Any, wanted: Sequence[int]) -> Any:
    """g where the result was not cut off by relu and dropout, through the backward of batch norm."""
    (saved, mask), (g, *of_statistics) = residuals, g
    g = g if g is None or mask is None else xp.masked(g, mask)
    return fast.batch_norm_backward([g, *of_statistics], xp, x, axes, saved, wanted)


# The longer ones first.
TABLE: dict[type[Module], list[Row]] = {
    BatchNorm: [
        Row((BatchNorm, ReLU, Dropout), _trains_and_drops, _joined),
        Row((BatchNorm, ReLU), _trains, _joined),
    ],
}
"""The neighbours that run as one, by the class of the first."""
