"""A case: how an op is tried. The table of cases is what every check in this package runs over."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from ..core.primitive import Primitive

Array = NDArray[Any]


class Call(NamedTuple):
    """The arguments of one call of an op: float64 arrays (and others, which have no gradient), and settings."""

    arrays: tuple[Any, ...]
    settings: Mapping[str, Any]

    def differentiable(self) -> list[int]:
        """The positions of the float arrays."""
        return [i for i, a in enumerate(self.arrays) if getattr(a, "dtype", None) is not None and a.dtype.kind == "f"]

    def locked(self) -> Call:
        """The same with copies of the arrays, which cannot be written to."""
        return Call(tuple(map(locked, self.arrays)), self.settings)


def locked(value: Any) -> Any:
    """A copy of an array that cannot be written to; anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    return value


class Point(NamedTuple):
    """A call worth a look of its own: a kink, a tie, a zero, an overflow; and the gradients that the op declares there.

    gradients: one for each differentiable argument, for an incoming gradient of ones; None where none is declared.
    """

    call: Call
    gradients: tuple[Array, ...] | None


def at(*arrays: Any, gradient: Any = None, gradients: Sequence[Any] | None = None, **settings: Any) -> Point:
    """A `Point`: arrays as lists, plain numbers as such; the `gradient` of the one differentiable argument, or `gradients`.

    >>> from tinyreg.testing import at
    >>> at([0.0, 2.0], gradient=[0.0, 1.0]).gradients
    (array([0., 1.]),)
    """
    declared = [gradient] if gradient is not None else gradients
    call = Call(tuple(a if a is None or type(a) in (int, float) else np.asarray(a) for a in arrays), settings)
    return Point(call, None if declared is None else tuple(np.asarray(g, dtype=np.float64) for g in declared))


@dataclass(frozen=True, eq=False)
class Case:
    """How an op is tried: strategies for its calls, a reference in NumPy, and the points worth a look of their own.

    op: the op, or any function of Tensors; with `vjp`, any function of arrays.
    calls: a strategy for `Call`s. Their values stay `reach` away from kinks and from the edges of the domain.
    reference: the same function of NumPy arrays and settings, or None where there is none.
    name: the op's own by default; any text, in one line.
    order: up to which order of derivative to check; 0 for an op whose result has no gradient.
    fixed: positions of float arguments that have no gradient; what a primitive declares itself need not be said.
    points: kinks, ties, zeros, overflows, with the gradient that is the convention there: see `at`.
    reach: how far every element of every argument may move; infinite for what is smooth everywhere.
    scales: the distances over which the op changes, as a function of the `Call`, to be tried in turn; each a number or an
    array with one for each differentiable element. 1 by default; less, for one, for a normalization of values that lie
    close together.
    vjp: for an op that is not tinyreg's: `vjp(g, *arrays, **settings)` gives the gradient of its one float argument, or a
    tuple with one gradient (or None) for each argument. g is a tuple where the op returns several results.
    primitive: the primitive whose VJPs are under test, where `op` is a function around it.
    equivalent: mutants, by name, that no check can tell from the right derivative, each with the reason.

    Raises `ValueError` for an order other than 0, 1 or 2, and for a second order of an op with `vjp`.

    >>> import numpy as np
    >>> import tinyreg as tr
    >>> from tinyreg.testing import Case, at, strategies
    >>> Case(tr.exp, strategies.elementwise(), np.exp, points=[at([-800.0], gradient=[0.0])]).name
    'exp'
    """

    op: Callable[..., Any]
    calls: SearchStrategy[Call]
    reference: Callable[..., Any] | None = None
    name: str = ""
    order: int = 2
    fixed: tuple[int, ...] = ()
    points: Sequence[Point] = ()
    reach: float = 1 / 16
    scales: Callable[[Call], Sequence[float | Array]] = lambda call: (1.0,)
    vjp: Callable[..., Any] | None = None
    primitive: Primitive | None = None
    equivalent: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        op = getattr(self.op, "func", self.op)  # of a functools.partial
        name = self.name or getattr(op, "__name__", type(op).__name__)
        object.__setattr__(self, "name", " ".join(str(name).split()))
        if isinstance(self.op, Primitive):
            object.__setattr__(self, "primitive", self.op)
        if self.order not in (0, 1, 2) or (self.vjp and self.order == 2):
            raise ValueError(
                f"Case of {self.name}: got order={self.order}, expected 0, 1 or 2, and at most 1 with a vjp on arrays, "
                "which cannot be differentiated again"
            )

    def __str__(self) -> str:
        return self.name

    def wanted(self, call: Call) -> list[int]:
        """The positions of the arguments of a call that have a gradient."""
        return [i for i in call.differentiable() if i not in self.fixed and not self._declared_without(i)]

    def _declared_without(self, i: int) -> bool:
        return isinstance(self.op, Primitive) and self.op.signature.argument(i) in self.op.nondifferentiable

    def argument(self, i: int) -> str:
        """The name of the i-th argument, as messages have it."""
        names = list(_parameters(self.op))
        if i < len(names) and not names[i].startswith("*"):
            return names[i]
        return f"{names[-1].lstrip('*')}[{i - len(names) + 1}]" if names and names[-1].startswith("*") else f"x{i}"

    def check(self, key: str, call: Call, seed: int = 0) -> None:
        """Check one property, such as "P3", at one call: what a failure says to run again.

        Raises `Failure`, an `AssertionError`, where the property does not hold.
        """
        from . import search  # noqa: F401 (it makes the table of properties whole)
        from .property import PROPERTIES
        from .trial import Trial

        PROPERTIES[key].check(Trial(self, call, seed))


def _parameters(op: Any) -> list[str]:
    """The names of the parameters that come by position, `*xs` with its star."""
    try:
        found = inspect.signature(op).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = {"VAR_POSITIONAL": "*", "POSITIONAL_ONLY": "", "POSITIONAL_OR_KEYWORD": ""}
    return [kinds[p.kind.name] + p.name for p in found if p.kind.name in kinds]
