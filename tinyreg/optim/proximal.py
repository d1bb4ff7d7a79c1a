"""Proximal steps: where a subgradient only makes weights small, these make them exactly 0. Compositions of ops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from .. import ops
from ..arguments import arrays
from ..arguments import axis as one_axis
from ..core.backend import Array, described, get
from ..core.tensor import Tensor, replace
from ..ops.precision import narrowed, widened
from . import accepted
from .accepted import number
from .optimizer import Optimizer

W = TypeVar("W")  # a Tensor or an array


def prox_l1(w: W, strength: float) -> W:
    """argmin_u |u - w|^2 / 2 + strength * |u|_1 = sign(w) * max(|w| - strength, 0): the soft threshold.

    w: a Tensor or an array, of any shape; the result is new, and of the same kind. strength: at least 0, and already
    multiplied by how far the optimizer goes. The gradient in w is 1 where the result is not 0, and 0 elsewhere.

    A step of proximal gradient descent for loss + lambda * |w|_1 is a step of plain SGD for the loss alone, then this one
    with lr * lambda: see the example. With momentum its strength is lr * lambda / (1 - momentum). After Adam no single
    strength is right, because each element has a step of its own. `Proximal` takes the one that fits the optimizer.

    Raises `ValueError` for a negative strength.

    Source: Parikh and Boyd, "Proximal Algorithms", 2014.

    >>> import tinyreg as tr
    >>> w, target, lr = tr.zeros(2, requires_grad=True), tr.tensor([2.0, -0.25]), 0.5
    >>> optimizer = tr.optim.SGD([w], lr=lr)
    >>> (tr.square(w - target).sum() / 2).backward()
    >>> optimizer.step()
    >>> w.assign(tr.optim.prox_l1(w, lr * 0.5))
    tensor([0.75, 0.  ], requires_grad=True)
    """
    arrays("prox_l1", w=w)
    return cast("W", narrowed(_soft(widened(w), number("prox_l1", "strength", strength)), w))


def prox_elastic_net(w: W, l1: float, l2: float) -> W:
    """argmin_u |u - w|^2 / 2 + l1 * |u|_1 + l2 * |u|_2^2 = prox_l1(w, l1) / (1 + 2 * l2).

    w: a Tensor or an array, of any shape; the result is new, and of the same kind. l1, l2: at least 0, and already
    multiplied by how far the optimizer goes, as for `prox_l1`. l2 is without the half, as in `regularizers.elastic_net`.

    Raises `ValueError` for a negative l1 or l2.

    Source: Parikh and Boyd, "Proximal Algorithms", 2014.

    >>> import tinyreg as tr
    >>> tr.optim.prox_elastic_net(tr.tensor([1.5, -0.25, -2.5]), 0.5, 0.5)
    tensor([ 0.5,  0. , -1. ])
    """
    arrays("prox_elastic_net", w=w)
    l1, l2 = number("prox_elastic_net", "l1", l1), number("prox_elastic_net", "l2", l2)
    return cast("W", narrowed(ops.divide(_soft(widened(w), l1), 1 + 2 * l2), w))


def prox_group_lasso(w: W, strength: float, *, axis: int = 0) -> W:
    """w_g max(0, 1 - strength sqrt(n_g) / |w_g|_2) for each group g: the proximal step of `regularizers.group_lasso`.

    It is argmin_u |u - w|^2 / 2 + strength sum_g sqrt(n_g) |u_g|_2, where a group is all that w has at one index along
    `axis`, and n_g how many elements that is. w: a Tensor or an array that has this axis; the result is new, and of the
    same kind. strength: at least 0, and already multiplied by how far the optimizer goes, as for `prox_l1`.

    Raises `ValueError` for a negative strength and for a w without that axis.

    Source: Yuan and Lin, "Model selection and estimation in regression with grouped variables", 2006; Parikh and Boyd,
    "Proximal Algorithms", 2014.

    >>> import tinyreg as tr
    >>> tr.optim.prox_group_lasso(tr.tensor([[3.0, 0.0, 0.0, 4.0], [0.0, 1.0, 0.0, 0.0]]), 0.5)
    tensor([[2.4, 0. , 0. , 3.2],
            [0. , 0. , 0. , 0. ]])
    """
    arrays("prox_group_lasso", w=w)
    strength = number("prox_group_lasso", "strength", strength)
    x: Any = widened(w)
    return cast("W", narrowed(_shrunk(x, strength, one_axis("prox_group_lasso", axis, x.ndim)), w))


class Proximal:
    """The proximal step of l1 |w|_1 + l2 |w|_2^2 + group_lasso sum_g sqrt(n_g) |w_g|_2 that fits the optimizer's own step.

    model_or_parameters: leaves; or a `nn.Module`, of which it takes the parameters that optimizers shrink, so the weights
    and not the biases. l1, l2, group_lasso: strengths, at least 0, as in `regularizers.elastic_net` (without the half) and
    in `regularizers.group_lasso`; not yet multiplied by anything. axis: of the groups. Leave the penalty out of the loss.
    Call `step` right after the optimizer's; or hand this to `fit` as a callback, which does.

    Each element's strength is multiplied by how far the optimizer's step goes for a gradient of 1 that stays, with the lr
    of that step: lr for SGD, lr / (1 - momentum) with momentum, nesterov or not, and lr / (sqrt(v / (1 - beta2^t)) + eps)
    for Adam and AdamW, which is a step in the metric in which Adam descends. So where training comes to rest, loss and
    penalty together are at their minimum: lasso, elastic net, group lasso. On the way there, single steps are those of
    proximal gradient descent only for plain SGD. `l2=` of the optimizer adds to the loss; decoupled weight_decay shrinks
    as it always does. Adam's step differs by element, for which the groups of `group_lasso` have no closed form.

    Weights that the optimizer's last step did not move, without a gradient, stay as they are.

    Raises `TypeError` for an optimizer that does not say how far it goes; `ValueError` for strengths out of range, for
    weights that the optimizer does not hold, and for `group_lasso` after Adam.

    Source: Yun, Lozano and Yang, "Adaptive Proximal Gradient Methods for Structured Neural Networks", 2021; Parikh and
    Boyd, "Proximal Algorithms", 2014.

    >>> import tinyreg as tr
    >>> w, target = tr.zeros(2, requires_grad=True), tr.tensor([2.0, -0.25])
    >>> optimizer, proximal = tr.optim.Adam([w], lr=0.05), tr.optim.Proximal([w], l1=0.5)
    >>> for _ in range(1000):
    ...     optimizer.zero_grad()
    ...     (tr.square(w - target).sum() / 2).backward()
    ...     optimizer.step()
    ...     proximal.step(optimizer)
    >>> w.numpy().round(3)
    array([1.5, 0. ], dtype=float32)
    """

    parameters: list[Tensor]
    l1: float
    l2: float
    group_lasso: float

    def __init__(
        self, model_or_parameters: Any, *, l1: float = 0.0, l2: float = 0.0, group_lasso: float = 0.0, axis: int = 0
    ) -> None:
        of_module = getattr(model_or_parameters, "parameters", None)
        if callable(of_module):
            model_or_parameters = [parameter for parameter in of_module() if parameter.decay]
        self.parameters = accepted.leaves("Proximal", model_or_parameters)
        strengths = {"l1": l1, "l2": l2, "group_lasso": group_lasso}
        self.l1, self.l2, self.group_lasso = (number("Proximal", name, value) for name, value in strengths.items())
        for parameter in self.parameters if self.group_lasso else ():
            one_axis("Proximal", axis, parameter.ndim)
        self.axis = axis

    def step(self, optimizer: Optimizer) -> None:
        """Give the weights that the optimizer has just moved their next values."""
        lengths = {id(parameter): length for parameter, length in _lengths(self._checked(optimizer))}
        moved = [parameter for parameter in self.parameters if id(parameter) in lengths]
        replace(moved, [self._next(parameter, lengths[id(parameter)]) for parameter in moved])

    def _checked(self, optimizer: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"Proximal: got {optimizer!r:.80}, expected an optimizer: SGD, Adam or AdamW")
        held = set(map(id, optimizer.parameters))
        if missing := [parameter for parameter in self.parameters if id(parameter) not in held]:
            raise ValueError(
                f"Proximal: got an optimizer without {len(missing)} of {len(self.parameters)} weights, the first "
                f"{described(missing[0])}; expected the one that moves them"
            )
        return optimizer

    def _next(self, parameter: Tensor, length: Any) -> Array:
        xp, w = get(parameter.backend), widened(parameter.data)
        if self.group_lasso and hasattr(length, "shape"):
            raise ValueError(
                "Proximal: got group_lasso after an optimizer whose step differs by element, expected SGD; or use l1"
            )
        w = _soft(w, length * self.l1) if self.l1 else w
        w = _shrunk(w, length * self.group_lasso, self.axis) if self.group_lasso else w
        w = w / (1 + 2 * length * self.l2) if self.l2 else w
        return xp.asarray(narrowed(w, parameter))

    # ---- what `fit` calls

    def on_start(self, run: Any) -> None:
        """Refuse an optimizer that does not fit, before the first batch."""
        list(_lengths(self._checked(run.optimizer)))

    def on_batch_end(self, run: Any) -> None:
        """The step."""
        self.step(run.optimizer)

    def on_epoch_end(self, run: Any) -> None:
        """Nothing."""

    def on_end(self, run: Any) -> None:
        """Nothing."""


# ---- parts -----------------------------------------------------------------------------------------------------------


def _lengths(optimizer: Optimizer) -> Iterator[tuple[Tensor, Any]]:
    """What the last step moved, each with lr times its gain: how far a gradient of 1 that stays would have moved it.

    Raises `TypeError` for an optimizer that does not say, or whose direction is not the one that its gain is of.
    """
    order = type(optimizer).__mro__
    of_gain, of_direction = (next(cls for cls in order if name in vars(cls)) for name in ("gain", "direction"))
    if order.index(of_gain) > order.index(of_direction):
        Optimizer.gain(optimizer, None, {}, {})
    for pack, settings in optimizer.last_step():
        length = settings["lr"] * optimizer.gain(pack.xp, pack.state, settings)
        parts = pack.split(length) if hasattr(length, "shape") else [length] * len(pack.tensors)
        yield from zip(pack.tensors, parts, strict=True)


def _soft(w: Any, strength: Any) -> Any:
    return ops.where(ops.abs(w) <= strength, 0.0, w - strength * ops.sign(w))


def _shrunk(w: Any, strength: float, axis: int) -> Any:
    others = tuple(i for i in range(w.ndim) if i != axis % w.ndim)
    size = ops.norm(w, axis=others, keepdims=True) if others else ops.abs(w)
    threshold = strength * math.sqrt(math.prod(w.shape[i] for i in others))
    gone = size <= threshold
    return ops.where(gone, 0.0, w * (1 - threshold / ops.where(gone, 1.0, size)))
