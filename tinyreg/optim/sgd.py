"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.backend import Array
from .groups import Parameters
from .optimizer import Optimizer, elementwise
from .packing import State


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, coupled L2 and decoupled weight decay.

    A step is, for each parameter w:

        g = grad + l2 * w
        v = momentum * v + g                        (v = g in the first step)
        d = g + momentum * v if nesterov else v
        w = (1 - lr * weight_decay) * w - lr * d

    `l2=` (coupled) adds the gradient of `regularizers.l2`, and with momentum it goes through v; PyTorch's SGD calls it
    weight_decay. `weight_decay=` (decoupled, multiplied by lr) shrinks w beside the gradient. Without momentum the two
    are the same: w = (1 - lr * strength) * w - lr * grad. Both leave alone a `nn.Parameter` that was made with
    decay=False, as layers make their biases and norms their weights, and shrink every plain Tensor.

    parameters: leaves; or parameter groups, dicts of such under "params" and of settings in which the group differs. lr:
    the learning rate. All settings are at least 0 and finite; they stand in `optimizer.param_groups` and may be set there
    between steps, and lr of all groups in `optimizer.lr`. A parameter whose gradient is None is skipped, without decay
    and with its v as it was. float16 parameters are moved in float32, in which v is kept too.

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

    state_names: tuple[str, ...] = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, nesterov=nesterov, l2=l2, weight_decay=weight_decay)

    @elementwise
    def direction(self, xp: Any, g: Array, state: State, settings: Mapping[str, Any]) -> Array:
        """d of the class."""
        momentum = settings["momentum"]
        if not momentum:
            return g
        v = state.get("momentum_buffer")
        if v is None:
            v = state["momentum_buffer"] = g.copy()
        else:  # in place: large arrays that are new at each step cost page faults
            v *= momentum
            v += g
        return g + momentum * v if settings["nesterov"] else v

    def gain(self, xp: Any, state: State, settings: Mapping[str, Any]) -> float:
        """1 / (1 - momentum), where v and d come to rest for g = 1."""
        momentum: float = settings["momentum"]
        if momentum >= 1:
            raise ValueError(f"SGD: got momentum={momentum}, expected below 1, or its steps never come to rest")
        return 1 / (1 - momentum)

    def _settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        settings = super()._settings(group)
        if settings["nesterov"] and not settings["momentum"]:
            raise ValueError("SGD: got nesterov=True without momentum, expected momentum above 0")
        return settings
