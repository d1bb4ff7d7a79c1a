"""Adam, and AdamW: the same with decoupled weight decay by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import symbols
from ..core.backend import Array
from .groups import Parameters
from .optimizer import Optimizer, elementwise
from .packing import State


class Adam(Optimizer):
    """Adam: each element is moved by its gradient's running mean over the root of its running mean square.

    The t-th step of a parameter w, which begins with m = v = 0, is:

        g = grad + l2 * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        d = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
        w = (1 - lr * weight_decay) * w - lr * d

    `l2=` (coupled) adds the gradient of `regularizers.l2`, which the root then divides: weights with large gradients
    shrink less. That is what PyTorch's Adam calls weight_decay. `weight_decay=` (decoupled) shrinks all weights by the
    same share; it is multiplied by lr, as in PyTorch (in the paper by the schedule's factor alone, so its values are
    smaller). Both leave alone a `nn.Parameter` that was made with decay=False, as layers make their biases and norms
    their weights, and shrink every plain Tensor.

    parameters: leaves; or parameter groups, dicts of such under "params" and of settings in which the group differs. lr,
    eps, l2, weight_decay: at least 0 and finite. betas: each in [0, 1). They stand in `optimizer.param_groups` and may
    be set there between steps, and lr of all groups in `optimizer.lr`. A parameter whose gradient is None is skipped,
    without decay and with m, v and t as they were. float16 parameters are moved in float32, in which m and v are kept
    too: in float16 eps would be 0. A gradient above 1e19 has no square in float32: v is infinite from then on, NumPy warns
    of the overflow, and the element stays where it is, as in PyTorch; clip the gradients where they may be so large.

    Raises `ValueError` for no parameters, for one that is given twice or was computed, and for settings out of range.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tr.optim.Adam([{"params": [w], "lr": 0.1}])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4)
    array([0.9, 1.9], dtype=float32)
    """

    state_names: tuple[str, ...] = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        l2: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, l2=l2, weight_decay=weight_decay)

    @elementwise
    def direction(self, xp: Any, g: Array, state: State, settings: Mapping[str, Any]) -> Array:
        """d of the class."""
        beta1, beta2 = settings["betas"]
        t = state["step"] = state.get("step", 0) + 1
        state["exp_avg"] = m = _mean(beta1, state.get("exp_avg"), g)
        state["exp_avg_sq"] = _mean(beta2, state.get("exp_avg_sq"), xp.square(g))
        return m / (1 - beta1**t) / self._root(xp, state, settings)

    def gain(self, xp: Any, state: State, settings: Mapping[str, Any]) -> Array:
        """1 / (sqrt(v / (1 - beta2^t)) + eps): the metric in which Adam descends."""
        return 1 / self._root(xp, state, settings)

    @staticmethod
    def _root(xp: Any, state: State, settings: Mapping[str, Any]) -> Array:
        v, t = state["exp_avg_sq"], state["step"]
        return xp.sqrt(v) / symbols.sqrt(1 - settings["betas"][1] ** t) + settings["eps"]


def _mean(beta: float, before: Array | None, new: Array) -> Array:
    """beta * before + (1 - beta) * new; what counts nothing is not looked at, since 0 times infinity is NaN."""
    return (1 - beta) * new if before is None or not beta else beta * before + (1 - beta) * new


class AdamW(Adam):
    """Adam with decoupled weight decay, w = (1 - lr * weight_decay) * w - lr * d: `Adam` with another default.

    Arguments and errors are those of `Adam`. The default decay is PyTorch's.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tr.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.numpy().round(4)  # 0.95 w - 0.1
    array([0.85, 1.8 ], dtype=float32)
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)
