"""The gates for arguments: arrays, numbers of Python and NumPy alike, axes counted from the front, or one clear error.

This stands below the core: nothing here knows of tensors or tapes. `where` is the op or the class that was called, and
`name` its parameter; an error begins with both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

Axis = int | Sequence[int] | None


def integer(where: str, name: str, value: Any, *, least: float = -math.inf, expected: str = "") -> int:
    """An integer of Python or NumPy, also from a 0-d array, as Python's; at least `least`.

    expected: what an error says instead of "an integer of at least ...". Raises `TypeError` for anything that is no
    integer, True and False too, and `ValueError` below `least`.
    """
    if type(value) is int and value >= least:
        return value
    number = _scalar(value)
    expected = expected or ("an integer" if least == -math.inf else f"an integer of at least {least}")
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"{where}: got {name}={value!r:.80}, expected {expected}")
    if number < least:
        raise ValueError(f"{where}: got {name}={value!r:.80}, expected {expected}")
    return int(number)


def flag(where: str, name: str, value: Any) -> bool:
    """True or False, of Python or NumPy, as Python's; `TypeError` for anything else: "no" would count as True."""
    one = _scalar(value)
    if not isinstance(one, bool):
        raise TypeError(f"{where}: got {name}={value!r:.80}, expected True or False")
    return one


def number(
    where: str, name: str, value: Any, *, least: float = -math.inf, most: float = math.inf, expected: str = ""
) -> float:
    """A number of Python or NumPy, also from a 0-d array, as Python's; from `least` to `most`, so never NaN.

    An integer stays one. expected: what an error says instead of "a number from ... to ...". Raises `TypeError` for
    anything that is no real number, True and False too, and `ValueError` outside of the bounds.
    """
    scalar: Any = value if type(value) in (float, int) else _scalar(value)
    if type(scalar) not in (float, int):
        if isinstance(scalar, bool) or not isinstance(scalar, Real):
            raise TypeError(f"{where}: got {name}={value!r:.80}, expected {expected or _interval(least, most)}")
        scalar = int(scalar) if isinstance(scalar, Integral) else float(scalar)
    if not least <= scalar <= most:
        raise ValueError(f"{where}: got {name}={value!r:.80}, expected {expected or _interval(least, most)}")
    python: float = scalar
    return python


def _interval(least: float, most: float) -> str:
    if least == -math.inf and most == math.inf:
        return "a number"
    if most == math.inf:
        return f"a number of at least {least}"
    return f"a number of at most {most}" if least == -math.inf else f"a number from {least} to {most}"


def _scalar(value: Any) -> Any:
    """The number in a 0-d array, or in a tensor that no tape follows; anything else as it is."""
    if getattr(value, "shape", None) == () and hasattr(value, "item") and not getattr(value, "requires_grad", False):
        return value.item()
    return value


def axis(where: str, value: Any, ndim: int, *, name: str = "axis") -> int:
    """An axis of an array of `ndim` axes, counted from the front: from 0 to ndim - 1.

    Raises `TypeError` for anything but an integer and `ValueError` for an axis that is not there.
    """
    index = integer(where, name, value)
    if not -ndim <= index < ndim:
        raise ValueError(f"{where}: got {name}={index} for {_dimensions(ndim)}, expected {_bounds(ndim)}")
    return index % ndim


def axes(where: str, values: int | Iterable[int] | None, ndim: int, *, name: str = "axis") -> tuple[int, ...]:
    """Axes of an array of `ndim` axes, counted from the front, in the order given; all of them for None.

    Raises `TypeError` for anything but integers, and `ValueError` for an axis that is not there or stands twice.
    """
    if values is None:
        return tuple(range(ndim))
    given = values if isinstance(values, tuple | list) else (values,)
    counted = tuple([axis(where, value, ndim, name=name) for value in given])
    if len(set(counted)) < len(counted):
        raise ValueError(f"{where}: got {name}={values} for {_dimensions(ndim)}, expected each axis once")
    return counted


def arrays(where: str, **named: Any) -> None:
    """Refuse what is neither a Tensor nor an array, such as a list or a number: `TypeError`."""
    for name, value in named.items():
        if not hasattr(value, "ndim"):
            raise TypeError(f"{where}: got {name}={value!r:.80}, expected a Tensor or an array: tr.tensor(...) makes one")


def _dimensions(ndim: int) -> str:
    return f"an array of {ndim} {'axis' if ndim == 1 else 'axes'}"


def _bounds(ndim: int) -> str:
    return f"an axis from {-ndim} to {ndim - 1}" if ndim else "no axis, since a 0-d array has none"
