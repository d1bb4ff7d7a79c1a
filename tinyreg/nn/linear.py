"""The fully connected layer."""

from __future__ import annotations

from .. import ops
from ..arguments import integer
from ..core.backend import Array, described
from ..core.tensor import Tensor
from ..creation import zeros
from ..random import Generator, as_generator
from . import init
from .inputs import expect_dtype
from .module import Module
from .parameter import Parameter

__all__ = ["Linear"]


class Linear(Module):
    """y = x W^T + b.

    x: (..., in_features); weight: (out_features, in_features), as in PyTorch; bias: (out_features,), or None; y: (...,
    out_features). nonlinearity: what the result goes into, by which `init.weight` picks where the weight starts, "linear"
    for a last layer; the bias starts from 0 (PyTorch starts both from uniform numbers within 1 / sqrt(in_features)).
    Optimizers that shrink weights leave the bias alone. rng: a generator or a seed; the default generator (`tr.seed`) if
    None.

    Raises `TypeError` for an x of another dtype than the parameters', integers too, as PyTorch does; `ValueError` for one
    of another width.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Linear(3, 2, rng=tr.Generator(0))
    >>> layer(tr.ones((5, 3))).shape
    (5, 2)
    """

    in_features: int
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        nonlinearity: str = "relu",
        rng: Generator | int | None = None,
    ) -> None:
        self.in_features = in_features = integer("Linear", "in_features", in_features, least=0)
        self.out_features = out_features = integer("Linear", "out_features", out_features, least=0)
        self.weight = Parameter(init.weight((out_features, in_features), nonlinearity, rng=as_generator(rng, "Linear")))
        self.bias = Parameter(zeros(out_features), decay=False) if bias else None

    def forward(self, x: Tensor | Array) -> Tensor:
        """The layer's formula."""
        expect_dtype("Linear", x, self.weight)
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"Linear: got x {described(x)}, expected a last axis of length {self.in_features}")
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The number of inputs and outputs."""
        bias = ", bias=False" if self.bias is None else ""
        return f"{self.in_features}, {self.out_features}{bias}"
