"""Optimizers: they read gradients and give leaves new values. Nothing here is recorded on a tape."""

from __future__ import annotations

from collections.abc import Iterable

from .core.backend import Array
from .core.tensor import Tensor
from .signature import described


class SGD:
    """Stochastic gradient descent, with momentum, coupled L2 and decoupled weight decay.

    A step is, for each parameter w:

        g = grad + l2 * w
        v = momentum * v + g                        (v = g in the first step)
        d = g + momentum * v if nesterov else v
        w = (1 - lr * weight_decay) * w - lr * d

    `l2=` (coupled) adds the gradient of `regularizers.l2`, and with momentum it goes through v; PyTorch's SGD calls it
    weight_decay. `weight_decay=` (decoupled, multiplied by lr) shrinks w beside the gradient. Without momentum the two
    are the same: w = (1 - lr * strength) * w - lr * grad. Both leave alone a `nn.Parameter` that was made with
    decay=False, as layers make their biases, and shrink every plain Tensor.

    parameters: leaves. lr: the learning rate, at least 0; it may be set between steps. A parameter whose gradient is
    None is skipped, without decay and with its v as it was.

    Raises `ValueError` for no parameters, for one that is given twice or was computed, and for settings out of range.

    Source: Sutskever et al., "On the Importance of Initialization and Momentum in Deep Learning", 2013; Loshchilov and
    Hutter, "Decoupled Weight Decay Regularization", 2019.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tr.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8, 1.6], requires_grad=True)
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = _leaves(parameters)
        for name, value in (("lr", lr), ("momentum", momentum), ("l2", l2), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"SGD: got {name}={value}, expected at least 0")
        if nesterov and not momentum:
            raise ValueError("SGD: got nesterov=True without momentum, expected momentum above 0")
        self.lr, self.momentum, self.nesterov, self.l2, self.weight_decay = lr, momentum, nesterov, l2, weight_decay
        self._velocities: list[Array] = [None] * len(self.parameters)

    def step(self) -> None:
        """Give every parameter that has a gradient its next value."""
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                decay = getattr(parameter, "decay", True)
                w, d = parameter.data, self._direction(i, parameter, decay)
                kept = 1 - self.lr * self.weight_decay if decay else 1.0
                parameter.assign((w if kept == 1 else kept * w) - self.lr * d)

    def _direction(self, i: int, parameter: Tensor, decay: bool) -> Array:
        """What the i-th parameter moves against: d of the docstring."""
        g = parameter.grad.data  # type: ignore[union-attr]
        if self.l2 and decay:
            g = g + self.l2 * parameter.data
        if not self.momentum:
            return g
        v = self._velocities[i]
        v = self._velocities[i] = g if v is None else self.momentum * v + g
        return g + self.momentum * v if self.nesterov else v

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()


def _leaves(parameters: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(parameters, Tensor):
        raise TypeError(f"SGD: got one tensor {described(parameters)}, expected several; put it in a list")
    leaves = list(parameters)
    if not leaves:
        raise ValueError("SGD: got no parameters, expected at least one; an iterator serves only once, so pass a list")
    for leaf in leaves:
        if not isinstance(leaf, Tensor) or not leaf.is_leaf:
            raise ValueError(f"SGD: got {described(leaf)}, which is no leaf; expected tensors made with requires_grad=True")
    if len({id(leaf) for leaf in leaves}) < len(leaves):
        raise ValueError("SGD: got a parameter twice, expected each once: it would move twice in a step")
    return leaves
