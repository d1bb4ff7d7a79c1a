"""A case: how an op is tried. A table of cases is what every check in this package runs over."""

from __future__ import annotations

from dataclasses import dataclass

from .properties import property_named
from .subject import Call, Subject
from .trial import Trial


@dataclass(frozen=True, eq=False)
class Case(Subject):
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
    private: whether only other ops call it, and spell its settings in one way.
    table: where it stands by its name, such as "cases.CASES": a failure says to take it from there to run it again.
    equivalent: mutants, by name, that no check can tell from the right derivative, each with the reason.

    Raises `ValueError` for an order other than 0, 1 or 2, and for a second order of an op with `vjp`.

    >>> import numpy as np
    >>> import tinyreg as tr
    >>> from tinyreg.testing import Case, at, strategies
    >>> Case(tr.exp, strategies.elementwise(), np.exp, points=[at([-800.0], gradient=[0.0])]).name
    'exp'
    """

    def check(self, which: str, call: Call, seed: int = 0) -> None:
        """Check one property, such as "linearity", at one call: what a failure says to run again.

        Raises `Failure`, an `AssertionError`, where the property does not hold, and `ValueError` for a name, or a key
        such as "P4", that no property has.
        """
        property_named(which).check(Trial(self, call, seed))
