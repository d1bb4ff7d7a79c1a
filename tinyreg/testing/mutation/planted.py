"""Mutants of a case, to be put in place: wrong versions of its VJPs, of its fast form, and of what VJPs share."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Collection, Iterator
from types import FunctionType
from typing import Any, NamedTuple

from ...core.fused import Fused
from ...core.primitive import Primitive
from ..case import Case
from ..subject import Array
from .rules import Change
from .source import Mutant, helpers, mutants
from .wrappers import WRAPPERS

SECOND_ORDER = ("detached result", "detached g", "detached arguments")  # wrong in second derivatives only
OF_ARGUMENTS = ("detached arguments", "arguments changed in place")  # where a VJP names one that has a gradient
NEEDS: dict[str, Callable[[Array], bool]] = {
    "the mean of g": lambda y: y.size > 1,
    "g in memory order": lambda y: y.ndim > 0,
}

Make = Callable[[], Any]  # what is made when it is put in place, and not before
Place = Callable[[], contextlib.AbstractContextManager[Case | None]]


class Planted(NamedTuple):
    """A mutant: its name, the wrong line where there is one, and the case with the mutant in place, as a context.

    needs: what a result must be for the mutant to be another derivative at all.
    change: what was changed in the source, where it was that.
    """

    name: str
    line: str
    place: Place
    needs: Callable[[Array], bool] | None = None
    change: Change | None = None

    def fits(self, key: str) -> bool:
        """Whether a key means this mutant: its name, or a rule that describes its change, with or without the arguments."""
        label, _, name = self.name.partition(": ")
        what = key.removeprefix(f"{label}: ")
        return key == self.name or what == name or (self.change is not None and self.change.fits(what))


def planted(case: Case) -> list[Planted]:
    """Every mutant of a case that has derivatives of its own: of a primitive, a fast form or a pair (f, vjp)."""
    op = case.primitive
    if case.vjp:
        return [*_of_pair(case)]
    if op is None:
        return []
    broken = [*_of_rules(case, op)]
    if isinstance(op, Fused) and op.rules:
        broken += [
            Planted(f"fast form: {m.name}", m.line, _swapped(case, op, "forward", m.make), None, m.change)
            for m in mutants(op.forward)
        ]
    return broken


def _wrong_versions(vjp: Any, order: int, named: bool) -> Iterator[tuple[str, str, Make, Change | None]]:
    for name, wrapper in WRAPPERS.items():
        if (order > 1 or name not in SECOND_ORDER) and (named or name not in OF_ARGUMENTS):
            yield name, "", functools.partial(wrapper, vjp), None
    for mutant in mutants(vjp):
        yield mutant.name, mutant.line, mutant.make, mutant.change


def _of_pair(case: Case) -> Iterator[Planted]:
    def replaced(make: Make) -> Place:
        return lambda: contextlib.nullcontext(dataclasses.replace(case, vjp=make()))

    for name, line, make, change in _wrong_versions(case.vjp, case.order, True):
        yield Planted(name, line, replaced(make), NEEDS.get(name), change)


def _of_rules(case: Case, op: Primitive[..., Any]) -> Iterator[Planted]:
    for k, (positions, vjp, names) in enumerate(op.rules):
        arguments = ", ".join(op.signature.arguments[i] for i in positions)
        values = {"y", "others", *op.signature.arguments} - set(op.nondifferentiable)
        order = 1 if isinstance(op, Fused) else case.order  # a fast backward is never differentiated
        for name, line, make, change in _wrong_versions(vjp, order, not values.isdisjoint(names)):

            def rules(k: int = k, make: Make = make) -> Any:
                positions, _, names = op.rules[k]
                return [*op.rules[:k], (positions, make(), names), *op.rules[k + 1 :]]

            yield Planted(f"{arguments}: {name}", line, _swapped(case, op, "rules", rules), NEEDS.get(name), change)


def _swapped(case: Case, op: Primitive[..., Any], attribute: str, make: Make) -> Place:
    @contextlib.contextmanager
    def place() -> Iterator[Case]:
        before, value = getattr(op, attribute), make()
        setattr(op, attribute, value)
        op._plans.clear()
        try:
            yield case
        finally:
            setattr(op, attribute, before)
            op._plans.clear()

    return place


# ---- what VJPs share -------------------------------------------------------------------------------------------------


def shared(cases: Collection[Case]) -> dict[FunctionType, list[Case]]:
    """The functions that only VJPs call and that have no case of their own, each with the cases whose VJPs do."""
    ops = {case.primitive: case for case in cases if case.primitive and case.primitive.rules}
    named = {case.name for case in cases}
    forward = set(helpers([op.forward for op in ops], named))
    by_helper: dict[FunctionType, list[Case]] = {}
    for op, case in ops.items():
        for helper in helpers([rule[1] for rule in op.rules], named):
            if helper not in forward:
                by_helper.setdefault(helper, []).append(case)
    return by_helper


def planted_in(helper: FunctionType) -> list[Planted]:
    """Every mutant of a function that VJPs share, put in place of it in its module; the case stays what it is."""
    module = sys.modules[helper.__module__]

    def put(mutant: Mutant) -> Place:
        @contextlib.contextmanager
        def place() -> Iterator[None]:
            wrong = mutant.function
            bound = [m for m in list(sys.modules.values()) if vars(m).get(helper.__name__) is helper]
            for m in bound:
                setattr(m, helper.__name__, wrong)
            try:
                yield
            finally:
                for m in bound:
                    setattr(m, helper.__name__, helper)

        return place

    assert getattr(module, helper.__name__) is helper
    return [Planted(m.name, m.line, put(m), None, m.change) for m in mutants(helper)]
