"""What optimizers, clipping and averages are given, checked before anything changes: parameters, settings, saved states."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sized
from typing import Any

from .. import arguments
from ..core.backend import Array, described, get, is_float, transfer
from ..core.tensor import Tensor
from ..creation import as_array
from ..symbols import Symbol

SCHEDULED = ("initial_lr", "scheduled_lr")
"""What schedules note in a parameter group: the rate from which they count, and the one that they have set last."""


NOT_NUMBERS = ("params", "betas", "nesterov")


def listed(where: str, parameters: Any) -> list[Any]:
    """What was given for parameters as a list; of pairs such as `named_parameters()` gives, the tensors."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{where}: got one tensor {described(parameters)}, expected several; put it in a list")
    if callable(getattr(parameters, "parameters", None)):
        name = type(parameters).__name__
        raise TypeError(f"{where}: got a {name}, expected its parameters; pass the result of its parameters()")
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{where}: got {parameters!r:.80}, expected tensors made with requires_grad=True, in a list")
    return [given[1] if isinstance(given, tuple) and _named(given) else given for given in parameters]


def _named(given: tuple[Any, ...]) -> bool:
    return len(given) == 2 and isinstance(given[0], str)


def leaves(where: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list, at least one and each once; an error that begins with `where` if they are not leaves."""
    tensors = listed(where, parameters)
    if not tensors:
        raise ValueError(f"{where}: got no parameters, expected at least one; an iterator serves only once, so pass a list")
    for leaf in tensors:
        if not isinstance(leaf, Tensor) or not leaf.is_leaf:
            raise ValueError(
                f"{where}: got {described(leaf):.80}, which is no leaf; expected tensors made with requires_grad=True"
            )
    if len(set(map(id, tensors))) < len(tensors):
        raise ValueError(f"{where}: got a parameter twice, expected each once")
    return tensors


def number(where: str, name: str, value: Any, *, below: float = math.inf, infinite: bool = False) -> float:
    """A setting as a Python number, which never widens an array; `ValueError` outside of [0, below)."""
    bound = "" if infinite else ", and finite" if below == math.inf else f", and below {below:g}"
    expected = f"at least 0{bound}"
    try:
        python = float(arguments.number(where, name, value, least=0, expected=expected))
    except TypeError:
        raise TypeError(f"{where}: got {name}={value!r:.80}, expected a number") from None
    if not (python < below or infinite):
        raise ValueError(f"{where}: got {name}={value}, expected {expected}")
    return python


def settings(where: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a parameter group as Python numbers, and without "params"; an error for one out of range."""
    checked: dict[str, Any] = {}
    for name, value in group.items():
        if type(value) is float and 0 <= value < math.inf and name not in NOT_NUMBERS:  # as nearly always, at every step
            checked[name] = value
        elif name == "betas":
            if not hasattr(value, "__len__") or isinstance(value, str) or len(value) != 2:
                raise ValueError(f"{where}: got betas={value!r:.80}, expected two numbers")
            checked[name] = tuple(number(where, f"betas[{i}]", beta, below=1) for i, beta in enumerate(value))
        elif name == "nesterov":
            checked[name] = arguments.flag(where, name, value)
        elif name != "params":
            checked[name] = value if isinstance(value, Symbol) else number(where, name, value)
    return checked


# ---- saved states


def same_names(where: str, got: Any, expected: Collection[str], *, optional: Collection[str] = ()) -> None:
    """`ValueError` where a part of a saved state is no dict with exactly the expected names, and perhaps `optional`."""
    if not isinstance(got, Mapping) or set(got) - set(optional) != set(expected):
        names = ", ".join(map(str, got)) or "nothing" if isinstance(got, Mapping) else repr(got)
        raise ValueError(
            f"{where}: got a state with {names:.200}, expected {', '.join(expected)}; load what state_dict() of the same "
            "class gave"
        )


def same_count(where: str, what: str, got: Any, expected: Sized) -> None:
    """`ValueError` where a saved state holds no list, or another number of something than expected."""
    if not isinstance(got, list | tuple) or len(got) != len(expected):
        number = len(got) if isinstance(got, list | tuple) else f"{got!r:.80} as"
        raise ValueError(
            f"{where}: got {number} {what}, expected {len(expected)}; load what was saved for the same parameters"
        )


def count(where: str, name: str, value: Any) -> int:
    """A number of steps from a saved state; `ValueError` where it is none."""
    expected = "a number of steps"
    try:
        return arguments.integer(where, name, value, least=0, expected=expected)
    except TypeError:
        raise ValueError(f"{where}: got {name}={value!r:.80}, expected {expected}") from None


def fitted(where: str, name: str, value: Any, parameter: Tensor) -> Array:
    """A copy of an array of a saved state, on the backend of its parameter; `ValueError` where it does not fit."""
    array = value.data if isinstance(value, Tensor) else value
    if getattr(array, "shape", None) != parameter.shape or not is_float(array):
        raise ValueError(f"{where}: got {name} {described(value):.80}, expected floats of shape {list(parameter.shape)}")
    return as_array(transfer(array, get(parameter.backend)))
