"""The rows in which elementwise ops are written: name, formula, VJP, derivative, domain, an example.

A row is all there is to write for an op: its docstring, with the example as a test, is made from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.backend import Array
from ..core.primitive import Primitive
from ..core.tensor import Tensor
from .precision import Wide

Vjp = Callable[..., Any]
Forward = str | Callable[..., Array]


if TYPE_CHECKING:

    class Unary(Primitive[[Array], Tensor]):
        """An op of one argument, to a type checker."""

        def __call__(self, x: Array) -> Tensor:
            """Apply it elementwise."""

    class Binary(Primitive[[Array, Array], Tensor]):
        """An op of two arguments, to a type checker."""

        def __call__(self, x1: Array, x2: Array) -> Tensor:
            """Apply it elementwise, where the shapes broadcast."""

else:
    Unary = Binary = Primitive


class Domain(NamedTuple):
    """Where an elementwise function is defined: an open interval."""

    low: float
    high: float

    def __str__(self) -> str:
        return "any real number" if self == REAL else f"in ({self.low:g}, {self.high:g})"


REAL = Domain(-math.inf, math.inf)
POSITIVE = Domain(0, math.inf)
UNIT = Domain(-1, 1)
DOMAINS: dict[str, tuple[Domain, ...]] = {}
"""The domain of each argument of each elementwise op, by name: what its cases draw from."""

UNARY = """{formula}, elementwise{note}.

    x: floats of any shape, {domains[0]}; integers are taken as float64. The result has the shape of x.
    Derivative: {derivative}.

    >>> import tinyreg as tr
    >>> round(tr.{name}(tr.tensor({at[0]!r})).item(), 4)
    {value!r}
    """
BINARY = """{formula}, elementwise{note}.

    x1, x2: numbers of shapes that broadcast, {domains[0]} and {domains[1]}; the result has the broadcast shape.
    Derivatives: {derivative}.

    >>> import tinyreg as tr
    >>> round(tr.{name}(tr.tensor({at[0]!r}), tr.tensor({at[1]!r})).item(), 4)
    {value!r}
    """


def unary(
    name: str,
    formula: str,
    vjp: Vjp | None,
    derivative: str,
    domain: Domain = REAL,
    *,
    example: tuple[float, float],
    forward: Forward = "",
    note: str = "",
    wide: bool = False,
    module: str = "",
) -> Unary:
    """Make an elementwise op of one argument; without a VJP its result has no gradient.

    forward: the array function, or its name in the array library, by default that of the op. example: an argument and
    the result. note: what else the first sentence says. wide: see `Wide`. module: that of an op without a VJP.
    """
    if isinstance(forward, str):
        forward = _unary_of_the_library(forward or name)
    text = {"formula": formula, "derivative": derivative, "note": note, "at": example[:1], "value": example[1]}
    op: Unary = _op(UNARY, name, forward, (domain,), {"x": vjp}, wide, module, **text)
    return op


def binary(
    name: str,
    formula: str,
    vjp1: Vjp | None,
    vjp2: Vjp | None,
    derivative: str,
    domains: tuple[Domain, Domain] = (REAL, REAL),
    *,
    example: tuple[float, float, float],
    forward: Forward = "",
    note: str = "",
    wide: bool = False,
    module: str = "",
) -> Binary:
    """Make an elementwise op of two broadcasting arguments; one without a VJP has no gradient. See `unary`."""
    if isinstance(forward, str):
        forward = _binary_of_the_library(forward or name)
    text = {"formula": formula, "derivative": derivative, "note": note, "at": example[:2], "value": example[2]}
    op: Binary = _op(BINARY, name, forward, domains, {"x1": vjp1, "x2": vjp2}, wide, module, **text)
    return op


def _unary_of_the_library(name: str) -> Callable[..., Array]:
    return lambda xp, x: getattr(xp, name)(x)


def _binary_of_the_library(name: str) -> Callable[..., Array]:
    return lambda xp, x1, x2: getattr(xp, name)(x1, x2)


def _op(
    template: str,
    name: str,
    forward: Any,
    domains: tuple[Domain, ...],
    vjps: dict[str, Vjp | None],
    wide: bool,
    module: str,
    **text: Any,
) -> Any:
    DOMAINS[name] = domains
    declared = [vjp for vjp in vjps.values() if vjp]
    forward.__name__, forward.__module__ = name, declared[0].__module__ if declared else module
    forward.__doc__ = template.format(name=name, domains=domains, **text)
    without = [argument for argument, vjp in vjps.items() if vjp is None]
    op: Primitive[..., Any] = (Wide if wide else Primitive)(
        forward, broadcasting=template is BINARY, nondifferentiable=without
    )
    for argument, vjp in vjps.items():
        if vjp:
            op.vjp(argument)(vjp)
    return op
