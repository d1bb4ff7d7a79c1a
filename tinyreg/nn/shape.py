"""Layers that change the shape."""

from __future__ import annotations

import math

from .. import ops
from ..arguments import integer
from ..core.backend import Array
from ..core.tensor import Tensor
from .module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """All axes from `start_dim` on as one: (N, C, H, W) becomes (N, C * H * W).

    >>> import tinyreg as tr
    >>> tr.nn.Flatten()(tr.ones((5, 2, 3))).shape
    (5, 6)
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim: int = integer("Flatten", "start_dim", start_dim)

    def forward(self, x: Tensor | Array) -> Tensor:
        """x: at least `start_dim` axes."""
        unchanged = x.shape[: self.start_dim]
        return ops.reshape(x, (*unchanged, math.prod(x.shape[len(unchanged) :])))
