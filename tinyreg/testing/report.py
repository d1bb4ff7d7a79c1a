"""Gradients of one function at one point, checked and reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np

from ..core.tensor import Tensor
from .case import Call, Case
from .check import CHECKS


@dataclass(frozen=True)
class Report:
    """What was checked and what was found: true where nothing was wrong."""

    name: str
    checked: tuple[str, ...]
    failures: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        if self:
            return f"{self.name}: {', '.join(self.checked)} passed"
        return "\n".join(self.failures)


def check_gradients(f: Callable[..., Any], *inputs: Any, order: int = 2, seed: int = 0) -> Report:
    """Compare the gradients of f at `inputs` with differences, along every element; up to second order by default.

    f: a function of Tensors that returns one, or several. inputs: Tensors, arrays or lists of floats, which are taken as
    float64, and whatever else f takes, such as integer arrays. seed: of the incoming gradients, which are drawn: signed,
    and of other sizes than 1.

    Raises `ValueError` where no input is of floats, or the order is neither 1 nor 2.

    >>> import tinyreg as tr
    >>> print(tr.testing.check_gradients(tr.tanh, [0.5, -1.5]))
    tanh: first_order, second_order, contract passed
    """
    arrays = tuple(_plain(value) for value in inputs)
    call = Call(arrays, {})
    if order not in (1, 2) or not call.differentiable():
        raise ValueError(f"check_gradients: got order={order} and {len(inputs)} inputs, expected 1 or 2, and floats")
    name = getattr(f, "__name__", repr(f))
    case = Case(f, st.nothing(), name=name, order=order, fixed=_fixed(f, len(inputs)))
    checked = tuple(check for check in ("first_order", "second_order", "contract") if check != "second_order" or order == 2)
    failures = []
    for check in checked:
        try:
            CHECKS[check](case, call, np.random.default_rng(seed))
        except AssertionError as error:
            failures.append(str(error))
    return Report(name, checked, tuple(failures))


def _plain(value: Any) -> Any:
    array = value.numpy() if isinstance(value, Tensor) else np.array(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _fixed(f: Any, n: int) -> tuple[int, ...]:
    """The arguments that an op declares to have no gradient."""
    declared = getattr(f, "nondifferentiable", ())
    return tuple(i for i in range(n) if declared and f.signature.argument(i) in declared)
