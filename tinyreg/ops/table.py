"""The rows in which elementwise ops are written: name, formula, array function, VJP, derivative, domain, a check."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.backend import Array
from ..core.primitive import Primitive
from .precision import Wide


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


def _op(
    template: str, name: str, forward: Any, domains: tuple[Domain, ...], vjps: dict[str, Any], wide: bool, **text: Any
) -> Primitive:
    forward.__name__ = name
    forward.__doc__ = template.format(name=name, domains=domains, **text)
    DOMAINS[name] = domains
    without = [argument for argument, vjp in vjps.items() if vjp is None]
    op = (Wide if wide else Primitive)(forward, broadcasting=template is BINARY, nondifferentiable=without)
    for argument, vjp in vjps.items():
        if vjp:
            op.vjp(argument)(vjp)
    return op


def unary(
    name: str,
    formula: str,
    forward: Callable[..., Array],
    vjp: Callable[..., Any] | None,
    derivative: str,
    domain: Domain = REAL,
    *,
    check: tuple[float, float],
    note: str = "",
    wide: bool = False,
) -> Primitive:
    """An elementwise op of one argument; without a VJP its result has no gradient. wide: see `Wide`."""
    text = {"formula": formula, "derivative": derivative, "note": note, "at": check[:1], "value": check[1]}
    return _op(UNARY, name, forward, (domain,), {"x": vjp}, wide, **text)


def binary(
    name: str,
    formula: str,
    forward: Callable[..., Array],
    vjp1: Callable[..., Any] | None,
    vjp2: Callable[..., Any] | None,
    derivative: str,
    domains: tuple[Domain, Domain] = (REAL, REAL),
    *,
    check: tuple[float, float, float],
    note: str = "",
    wide: bool = False,
) -> Primitive:
    """An elementwise op of two broadcasting arguments; one without a VJP has no gradient. wide: see `Wide`."""
    text = {"formula": formula, "derivative": derivative, "note": note, "at": check[:2], "value": check[2]}
    return _op(BINARY, name, forward, domains, {"x1": vjp1, "x2": vjp2}, wide, **text)
