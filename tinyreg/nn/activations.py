"""Activations as layers."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class ReLU(Module):
    """max(x, 0), elementwise; the gradient at 0 is 0.

    >>> import tinyreg as tr
    >>> tr.nn.ReLU()(tr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        """`tr.relu(x)`."""
        return ops.relu(x)
