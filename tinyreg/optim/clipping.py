"""Clipping of gradients, between backward and step. Gradients get new values; nothing is written in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from .. import ops, symbols
from ..core.backend import Array, described, get, underflow_ignored
from ..core.tape import no_grad
from ..core.tensor import Tensor, wrap
from ..creation import zeros_like
from ..interrupts import set_together
from ..safety import checked
from . import accepted
from .packing import Pack

ROW = 2**10
ON_NONFINITE = ("raise", "zero", "skip")


@underflow_ignored()
def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor], max_norm: float, *, on_nonfinite: str = "raise"
) -> float | Tensor:
    """g * min(1, max_norm / |g|), where |g| is the Euclidean norm of all gradients together; returns |g|, before clipping.

    parameters: leaves, or one; those without a gradient do not count. max_norm: at least 0; infinite, it clips nothing.
    The squares of large gradients do not overflow, nor do those of small ones vanish: where they would, gradients are
    divided by the largest element first, and float16 is float32 here. PyTorch adds 1e-6 to |g|, and this does not.

    on_nonfinite says what happens where a gradient holds NaN or infinity. "raise": an error names the parameter, and
    nothing is changed. "zero": all gradients become 0, so that plain SGD stays where it is, while momentum and decay go
    on. "skip": all gradients become None, so that the next step changes nothing at all. The norm that is returned is NaN
    or infinite then. Under `tr.unchecked("gradients")` nobody looks, and the norm is a Tensor.

    Raises `ValueError` for max_norm negative or NaN, for an unknown on_nonfinite, and for no parameters;
    `RuntimeError` for a gradient that is not finite.

    Source: Pascanu et al., "On the Difficulty of Training Recurrent Neural Networks", 2013.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> (tr.tensor([3.0, 4.0]) * w).sum().backward()
    >>> tr.optim.clip_grad_norm([w], 1.0)
    5.0
    >>> w.grad
    tensor([0.6, 0.8])
    """
    max_norm = accepted.number("clip_grad_norm", "max_norm", max_norm, infinite=True)
    if on_nonfinite not in ON_NONFINITE:
        raise ValueError(f"clip_grad_norm: got on_nonfinite={on_nonfinite!r}, expected one of {', '.join(ON_NONFINITE)}")
    tensors = _with_gradient("clip_grad_norm", parameters)
    packs = Pack.all(tensors)
    gradients = [pack.gather_gradients() for pack in packs]
    if gradients and not checked("gradients"):
        xp = packs[0].xp
        norm = _unseen_norm(xp, gradients)
        if max_norm < math.inf:
            factor = max_norm / xp.maximum(norm, max_norm or 1.0)
            _give(packs, [g * factor.astype(g.dtype) for g in gradients])
        return wrap(xp.asarray(norm, dtype=max(g.dtype for g in gradients)))  # the widest
    norm = _norm(gradients)
    if not norm < math.inf:
        _treat_nonfinite(tensors, on_nonfinite)
    elif isinstance(norm, symbols.Symbol):  # 1 g is g
        factor = symbols.chosen(norm > max_norm, lambda: max_norm / norm, lambda: 1.0)
        _give(packs, [factor * g for g in gradients])
    elif norm > max_norm:
        _give(packs, [max_norm / norm * g for g in gradients])
    return norm


def _give(packs: Sequence[Pack], gradients: Sequence[Array]) -> None:
    """Give the tensors new gradients."""
    parts = [pack.split(pack.narrowed(g)) for pack, g in zip(packs, gradients, strict=True)]
    _set_gradients(chain.from_iterable(pack.tensors for pack in packs), map(wrap, chain.from_iterable(parts)))


def _set_gradients(tensors: Iterable[Tensor], gradients: Iterable[Tensor | None]) -> None:
    """Give tensors that have a gradient another: all of them or none."""
    set_together(([tensor._node for tensor in tensors], "grad", [*gradients]))


@underflow_ignored()
def clip_grad_value(parameters: Tensor | Iterable[Tensor], max_value: float) -> None:
    """min(max(g, -max_value), max_value), for each element of each gradient.

    parameters: leaves, or one; those without a gradient are skipped. max_value: at least 0. NaN stays NaN.

    Raises `ValueError` for max_value negative or NaN, and for no parameters.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> (tr.tensor([3.0, -0.5]) * w).sum().backward()
    >>> tr.optim.clip_grad_value([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    max_value = accepted.number("clip_grad_value", "max_value", max_value, infinite=True)
    tensors = _with_gradient("clip_grad_value", parameters)
    # Beyond the largest number there is nothing but infinity.
    clipped = [t for t in tensors if max_value <= float(get(t.backend).finfo(t.dtype).max)]
    with no_grad():
        gradients = [ops.clip(tensor.grad, -max_value, max_value) for tensor in clipped]
    _set_gradients(clipped, gradients)


def _with_gradient(where: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = accepted.leaves(where, [parameters] if isinstance(parameters, Tensor) else parameters)
    return [tensor for tensor in given if tensor.grad is not None]


def _norm(gradients: Sequence[Array]) -> float:
    """The norm of all gradients; NaN or infinite where one of them is."""
    total = sum(symbols.number(_sum_of_squares(g)) for g in gradients)
    if 1e-20 < total < math.inf:  # no square of float32 overflowed, and those that vanished would not show
        return symbols.sqrt(total)  # type: ignore[no-any-return]
    extremes = [abs(float(x)) for g in gradients if g.size for x in (g.max(), g.min())]
    largest = max(extremes, default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return largest
    # A float32 would not hold the largest element of another dtype.
    return largest * math.sqrt(sum(float(_sum_of_squares(g.astype("float64") / largest)) for g in gradients))


def _unseen_norm(xp: Any, gradients: Sequence[Array]) -> Array:
    """The norm of all gradients, for which nobody has looked at a value: so always divided by the largest element."""
    largest = sum([xp.max(xp.abs(g)).astype("float64") for g in gradients if g.size], xp.zeros(()))
    divisor = xp.where((largest > 0) & (largest < math.inf), largest, 1.0)
    return divisor * xp.sqrt(sum(_sum_of_squares((g / divisor).astype(g.dtype, copy=False)) for g in gradients))


@get("numpy").errstate(over="ignore")  # type: ignore[untyped-decorator]
def _sum_of_squares(g: Array) -> Array:
    """g @ g in one pass, by rows, because a long product loses digits; too large, it is infinite without a warning."""
    end = g.size - g.size % ROW
    rows, rest = g[:end].reshape(-1, 1, ROW), g[end:]
    return (rows @ rows.reshape(-1, ROW, 1)).sum(dtype="float64") + rest @ rest


def _treat_nonfinite(tensors: Sequence[Tensor], on_nonfinite: str) -> None:
    if on_nonfinite == "raise":
        culprits = [i for i, tensor in enumerate(tensors) if not bool(ops.all(ops.isfinite(tensor.grad)))]
        first = tensors[culprits[0]]
        name = getattr(first, "name", "") or f"number {culprits[0]} of those with a gradient"
        raise RuntimeError(
            f"clip_grad_norm: got NaN or infinity in {len(culprits)} of {len(tensors)} gradients, the first that of "
            f"parameter {name}, {described(first)}; expected finite ones. Look at the loss and the learning rate, or pass "
            "on_nonfinite='zero' or 'skip'"
        )
    _set_gradients(tensors, [None if on_nonfinite == "skip" else zeros_like(tensor) for tensor in tensors])
