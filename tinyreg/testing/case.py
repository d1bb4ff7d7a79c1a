"""A case: how an op is tried. The table of cases is what every check in this package runs over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray


class Call(NamedTuple):
    """The arguments of one call of an op: float64 arrays (and others, which have no gradient), and settings."""

    arrays: tuple[NDArray[Any], ...]
    settings: Mapping[str, Any]

    def differentiable(self) -> list[int]:
        """The positions of the float arrays."""
        return [i for i, a in enumerate(self.arrays) if getattr(a, "dtype", None) is not None and a.dtype.kind == "f"]


@dataclass(frozen=True)
class Case:
    """How an op is tried: strategies for its calls, and a reference in NumPy.

    op: the op, or any function of Tensors. calls: a strategy for `Call`s whose values stay 1/16 away from kinks and from
    the edges of domains. reference: the same function of NumPy arrays and settings, or None where there is none. fixed:
    positions of float arguments that the op declares to have no gradient. order: up to which order of derivative to
    check; 0 for an op whose result has no gradient.

    >>> import numpy as np
    >>> import tinyreg as tr
    >>> from tinyreg.testing import Case, strategies
    >>> Case(tr.exp, strategies.elementwise(), np.exp).name
    'exp'
    """

    op: Callable[..., Any]
    calls: SearchStrategy[Call]
    reference: Callable[..., Any] | None = None
    name: str = ""
    order: int = 2
    fixed: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.op.__name__)

    def __str__(self) -> str:
        return self.name
