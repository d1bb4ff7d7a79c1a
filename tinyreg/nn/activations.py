"""Activations as layers."""

from __future__ import annotations

from .. import activations, ops
from ..arguments import integer, number
from ..core.backend import Array
from ..core.tensor import Tensor
from .module import Module

__all__ = ["ELU", "GELU", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


class ReLU(Module):
    """max(x, 0), elementwise; the gradient at 0 is 0.

    >>> import tinyreg as tr
    >>> tr.nn.ReLU()(tr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.relu(x)`."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x where it is positive, otherwise negative_slope x. See `tr.leaky_relu`.

    >>> import tinyreg as tr
    >>> tr.nn.LeakyReLU(0.5)(tr.tensor([-1.0, 2.0]))
    tensor([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope: float = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.leaky_relu(x, negative_slope)`."""
        return activations.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope:g}"


class ELU(Module):
    """x where it is positive, otherwise alpha (exp(x) - 1). See `tr.elu`.

    >>> import tinyreg as tr
    >>> tr.nn.ELU()(tr.tensor([-800.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha: float = number("ELU", "alpha", alpha)

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.elu(x, alpha)`."""
        return activations.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The depth of the curve."""
        return f"alpha={self.alpha:g}"


class GELU(Module):
    """x P(Z <= x) for a standard normal Z; approximate: "none" or "tanh". See `tr.gelu`.

    >>> import tinyreg as tr
    >>> tr.nn.GELU()(tr.tensor([0.0, 10.0]))
    tensor([ 0., 10.])
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.gelu(x, approximate)`."""
        return activations.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The formula."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x sigmoid(x), elementwise. See `tr.silu`.

    >>> import tinyreg as tr
    >>> tr.nn.SiLU()(tr.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.silu(x)`."""
        return activations.silu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise. See `tr.sigmoid`.

    >>> import tinyreg as tr
    >>> tr.nn.Sigmoid()(tr.tensor([0.0, 100.0]))
    tensor([0.5, 1. ])
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.sigmoid(x)`."""
        return ops.sigmoid(x)


class Tanh(Module):
    """tanh(x), elementwise. See `tr.tanh`.

    >>> import tinyreg as tr
    >>> tr.nn.Tanh()(tr.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.tanh(x)`."""
        return ops.tanh(x)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, elementwise. See `tr.softplus`.

    >>> import tinyreg as tr
    >>> tr.nn.Softplus()(tr.tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.])
    """

    def __init__(self, beta: float = 1.0) -> None:
        self.beta: float = number("Softplus", "beta", beta)

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.softplus(x, beta=beta)`."""
        return ops.softplus(x, beta=self.beta)

    def extra_repr(self) -> str:
        """How sharp the bend is."""
        return f"beta={self.beta:g}"


class Softmax(Module):
    """exp(x_i) / sum_j exp(x_j) along `dim` (PyTorch's word for an axis). See `tr.softmax`.

    >>> import tinyreg as tr
    >>> tr.nn.Softmax(dim=-1)(tr.tensor([[2.0, 2.0]]))
    tensor([[0.5, 0.5]])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim: int = integer(type(self).__name__, "dim", dim)

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.softmax(x, dim)`."""
        return activations.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x_i - log(sum_j exp(x_j)) along `dim`. See `tr.log_softmax`.

    >>> import tinyreg as tr
    >>> tr.nn.LogSoftmax(dim=-1)(tr.tensor([[0.0, -1000.0]]))
    tensor([[    0., -1000.]])
    """

    def forward(self, x: Tensor | Array) -> Tensor:
        """`tr.log_softmax(x, dim)`."""
        return activations.log_softmax(x, self.dim)
