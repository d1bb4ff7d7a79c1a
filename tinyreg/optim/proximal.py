"""Proximal steps: where a subgradient only makes weights small, these make them exactly 0. Compositions of ops."""

from __future__ import annotations

from typing import Any

from .. import ops
from .checks import number


def prox_l1(w: Any, strength: float) -> Any:
    """argmin_u |u - w|^2 / 2 + strength * |u|_1 = sign(w) * max(|w| - strength, 0): the soft threshold.

    w: a Tensor or an array, of any shape; the result is new, and of the same kind. strength: at least 0, and already
    multiplied by the learning rate. The gradient in w is 1 where the result is not 0, and 0 elsewhere. A step of proximal
    gradient descent for loss + lambda * |w|_1 is a step of plain SGD for the loss alone, then this one with lr * lambda:
    see the example.

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
    strength = number("prox_l1", "strength", strength)
    return ops.where(ops.abs(w) <= strength, 0.0, w - strength * ops.sign(w))


def prox_elastic_net(w: Any, l1: float, l2: float) -> Any:
    """argmin_u |u - w|^2 / 2 + l1 * |u|_1 + l2 * |u|_2^2 = prox_l1(w, l1) / (1 + 2 * l2).

    w: a Tensor or an array, of any shape; the result is new, and of the same kind. l1, l2: at least 0, and already
    multiplied by the learning rate. l2 is without the half, as in `regularizers.elastic_net`. With an optimizer it is
    used as `prox_l1` is.

    Raises `ValueError` for a negative l1 or l2.

    Source: Parikh and Boyd, "Proximal Algorithms", 2014.

    >>> import tinyreg as tr
    >>> tr.optim.prox_elastic_net(tr.tensor([1.5, -0.25, -2.5]), 0.5, 0.5)
    tensor([ 0.5,  0. , -1. ])
    """
    l1, l2 = number("prox_elastic_net", "l1", l1), number("prox_elastic_net", "l2", l2)
    return ops.divide(prox_l1(w, l1), 1 + 2 * l2)
