"""What is under test: calls of an op, points worth a look of their own, and all that a check may ask about the op."""

from __future__ import annotations

import functools
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
        """Give the positions of the float arrays."""
        return [i for i, a in enumerate(self.arrays) if getattr(a, "dtype", None) is not None and a.dtype.kind == "f"]

    def locked(self) -> Call:
        """Give the same with copies of the arrays, which cannot be written to."""
        return Call(tuple(map(locked, self.arrays)), self.settings)


def locked(value: Any) -> Any:
    """Give a copy of an array that cannot be written to; anything else as it is."""
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
    """Make a `Point` of lists, which become arrays, and numbers, with its `gradients`, or the one `gradient`, if declared.

    >>> from tinyreg.testing import at
    >>> at([0.0, 2.0], gradient=[0.0, 1.0]).gradients
    (array([0., 1.]),)
    """
    declared = [gradient] if gradient is not None else gradients
    call = Call(tuple(a if a is None or type(a) in (int, float) else np.asarray(a) for a in arrays), settings)
    return Point(call, None if declared is None else tuple(np.asarray(g, dtype=np.float64) for g in declared))


@dataclass(frozen=True, eq=False)
class Subject:
    """What is under test, with all that a check may ask about it. `Case` is a subject too, and says what each field means.

    The checks work on this, and know nothing of the list that they stand in.
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
    primitive: Any = None  # a Primitive; declared as one, it would be a method to a type checker
    private: bool = False
    table: str = ""
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
        """Give the positions of the arguments of a call that have a gradient."""
        return [i for i in call.differentiable() if i not in self.fixed and not self._declared_without(i)]

    def _declared_without(self, i: int) -> bool:
        return isinstance(self.op, Primitive) and self.op.signature.argument(i) in self.op.nondifferentiable

    def argument(self, i: int) -> str:
        """Give the name of the i-th argument, as messages have it."""
        names = self._parameters
        if i < len(names) and not names[i].startswith("*"):
            return names[i]
        return f"{names[-1].lstrip('*')}[{i - len(names) + 1}]" if names and names[-1].startswith("*") else f"x{i}"

    @functools.cached_property
    def _parameters(self) -> list[str]:
        """The names of the parameters that come by position, `*xs` with its star."""
        try:
            parameters = inspect.signature(self.op).parameters.values()
        except (TypeError, ValueError):
            return []
        kinds = {"VAR_POSITIONAL": "*", "POSITIONAL_ONLY": "", "POSITIONAL_OR_KEYWORD": ""}
        return [kinds[p.kind.name] + p.name for p in parameters if p.kind.name in kinds]
