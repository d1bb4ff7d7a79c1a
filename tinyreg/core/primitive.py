"""Ops: an array function and its vector-Jacobian products, side by side.

A VJP's parameters say what the tape keeps: `g` is the incoming gradient, `y` the result, any other name an argument, a
setting or a residual of the op, and `x_like` the shape, dtype and backend of x without its array. VJPs are written with
ops, so the ordinary backward runs them on bare arrays, and `create_graph` on Tensors that are recorded in turn.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, Self, TypeVar, overload

from ..conversion import as_argument, checked
from ..signature import Signature, keeping, pulling
from .backend import FLOATS, HOMES, current, get, home, underflow_ignored
from .tape import Entry, Gradient, Node, Parents, Result, complete, explainer, is_recording, record
from .tensor import Tensor, wrap

F = TypeVar("F", bound=Callable[..., Any])
REGISTRY: dict[str, Primitive] = {}
LIKELY: Any = get("numpy"), get("numpy").ndarray  # a backend and the type of its arrays: the guess until there is one

Like = namedtuple("Like", ("shape", "dtype", "ndim", "backend"))
"""Shape, dtype and backend of an array, without the array."""


def _like(value: Any, xp: Any) -> Any:
    """An array's shape, dtype and backend; a number as it is."""
    return Like(value.shape, value.dtype, value.ndim, xp.name) if hasattr(value, "shape") else value


def _lift(value: Any, node: Node | None) -> Any:
    """What was kept as a Tensor on the tape; as it is where there is no node."""
    return value if node is None or value is None else wrap(value, node)


Rule = tuple[tuple[int, ...], Callable[..., Any], tuple[str, ...]]
"""A VJP, between the positions of the arguments it serves and the names of what it asks for."""


@dataclass(slots=True)
class Plan:
    """What an entry keeps when certain arguments want a gradient, and the VJPs that give it."""

    wanted: list[int]  # as everywhere here, the operands of `*xs` are one argument
    dropped: bool  # whether an argument wants a gradient but has none
    keep: Callable[..., dict[str, Any]]  # what is named of the arguments, the result, settings and residuals
    rest: list[str]  # what is named of the operands of `*xs`
    order: list[int]  # the arguments, in the order in which VJPs serve them
    pull: Callable[..., list[tuple[int, Gradient]]]  # asks the VJPs


class Primitive:
    """An op. Call it on Tensors, arrays and numbers; declare its derivatives with `@op.vjp("argument")`.

    Its result is a Tensor exactly when an argument is one, and is recorded when one of those wants a gradient.
    """

    registry = REGISTRY
    offers: frozenset[str] = frozenset()  # what else a VJP may name
    always_kept: Sequence[str] = ()  # the arguments to keep whatever VJPs name
    skip = 1  # the parameters of the array function before its arguments: xp

    def __init__(
        self,
        forward: Any,
        *,
        name: str = "",
        broadcasting: bool = False,
        nondifferentiable: Sequence[str] | Literal[True] = (),
        residuals: Sequence[str] = (),
        expects: str = "",
    ) -> None:
        self.name, self.__name__ = name or forward.__name__, forward.__name__
        self.__doc__, self.__module__ = forward.__doc__, forward.__module__
        self.forward, self.broadcasting, self.residuals = forward, broadcasting, residuals
        self.expects = expects or "shapes that broadcast against each other" * broadcasting
        self.rules, self._plans = list[Rule](), dict[int, Plan]()
        self.signature = s = Signature(self.name, forward, self.skip)
        self.nondifferentiable = tuple(s.arguments if nondifferentiable is True else nondifferentiable)
        if unknown := set(self.nondifferentiable) - set(s.arguments):
            raise TypeError(f"{s}: got nondifferentiable={unknown}, expected any of its arguments {s.arguments}, or True")
        self._check, self._run, self._call = s.check_residuals, s.running(), s.matching(self.apply)
        self._single = (1 << s.first) - 1  # the bits of all arguments but the operands of `*xs`, which share the next one
        self.__signature__ = s.python
        self.registry[self.__name__] = self

    def named(self, name: str) -> Self:
        """The same op, with the same VJPs, under another name on the tape and in errors."""
        other = object.__new__(type(self))
        other.__dict__ |= vars(self)
        other.name = name
        other.signature = copy(self.signature)
        other.signature.name = name
        other._call = other.signature.matching(other.apply)
        return other

    def __repr__(self) -> str:
        return f"<op {self.signature}>"

    def __reduce__(self) -> str:
        return str(self.__name__)  # pickles and copies are the op itself

    def vjp(self, *arguments: str) -> Callable[[F], F]:
        """Declare the VJP of an argument; of several that share work, one that returns a tuple.

        That of `*xs` serves one operand where it names `position`, and otherwise gives a tuple, a gradient for each.
        """

        def declare(f: F) -> F:
            s, offers = self.signature, {"y", *self.offers, *self.residuals}
            if s.variadic:
                offers |= {"others", "position"} if arguments == (s.variadic,) else {"others"}
            names = s.asked(f, arguments, offers)
            self.rules.insert(0, (tuple(map(self.signature.arguments.index, arguments)), f, names))  # the latest counts
            self._plans.clear()
            return f

        return declare

    # ---- forward

    __call__: Any = property(attrgetter("_call"), doc="What matches a call to the parameters, for `apply`.")

    def apply(self, values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Run the op on all of its arguments and settings, and record it where an argument wants a gradient."""
        arrays = []
        parents = []
        xp, usual = LIKELY
        any_array = any_tensor = False
        wanting, bit, single = 0, 1, self._single  # the arguments that want a gradient, as bits: the key of a plan
        for value in values:
            node = None
            if isinstance(value, Tensor):
                any_tensor = True
                node = value._node
                value = value._array
                if node is not None:
                    wanting |= bit
            if type(value) is usual:
                any_array = True
            elif (where := HOMES.get(type(value), HOMES)) is not None:
                if where is HOMES or any_array:
                    return self.apply(self._understood(values), settings)
                xp, usual, any_array = where, type(value), True
            arrays.append(value)
            parents.append(node)
            if bit <= single:
                bit += bit
        if not any_array:
            xp = current()
        try:
            try:
                y = self._run(self.forward, xp, arrays, settings)
            except FloatingPointError:  # np.seterr(all="raise") complains of what is harmless too
                with underflow_ignored():
                    y = self._run(self.forward, xp, arrays, settings)
        except Exception as error:
            raise self.signature.explained(error, arrays, xp.name, self.expects) from error
        aside = ()
        if self.residuals:
            y, *aside = y
            self._check(self.residuals, aside)
        if type(y) is not usual and HOMES.get(type(y)) is None:  # a scalar, or several results
            y = tuple(map(xp.asarray, y)) if type(y) is tuple else xp.asarray(y)
        entry = None
        if wanting and is_recording():
            plan = self._plans.get(wanting) or self._plan(wanting)
            if plan.wanted:
                kept = plan.keep(arrays, y, settings, aside, xp)
                if plan.rest:
                    kept.update(self._rest(plan, arrays, parents, xp))
                if plan.dropped:
                    names, without = self.signature.argument, self.nondifferentiable
                    parents = [None if names(i) in without else node for i, node in enumerate(parents)]
                if type(y) is tuple:
                    entry = record(self, plan, parents, kept, settings, [r.shape for r in y], [r.dtype for r in y])
                elif (dtype := y.dtype) in FLOATS:
                    entry = record(self, plan, parents, kept, settings, y.shape, dtype)
        if any_tensor:
            if (listener := explainer.get()) is not None:
                listener(self.name, entry, parents, arrays, y)
            if type(y) is tuple:
                return tuple([self._wrapped(r, Result(entry, i) if entry else None, arrays) for i, r in enumerate(y)])
            return wrap(y, entry) if entry else self._wrapped(y, None, arrays)
        return y

    def _wrapped(self, y: Any, node: Node | None, arrays: Sequence[Any]) -> Tensor:
        """A result as a Tensor, on the tape if it is of floats; `TypeError` for a dtype that no tensor has."""
        if y.dtype in FLOATS:
            return wrap(y, node)
        for i, array in enumerate(arrays):  # a comparison of complex numbers is of booleans
            if hasattr(array, "dtype"):
                checked(array.dtype, f"{self.name}: got {self.signature.argument(i)}")
        checked(y.dtype, f"{self.name}: the result would be")
        return wrap(y)

    def _plan(self, wanting: int) -> Plan:
        """What to keep when those arguments want a gradient that have their bit set."""
        s = self.signature
        asking = [i for i in range(len(s.arguments)) if wanting >> i & 1]
        wanted = [i for i in asking if s.arguments[i] not in self.nondifferentiable]
        rules: list[Rule] = []
        for i in wanted:
            rule = next((rule for rule in self.rules if i in rule[0]), None)
            if rule is None:
                raise s.no_vjp(s.arguments[i])
            if rule not in rules:
                rules.append(rule)
        asked = dict.fromkeys(name for _, _, names in rules for name in names if name != "position")
        at = s.sources(self.residuals)
        self._plans[wanting] = plan = Plan(
            wanted,
            dropped=wanted != asking,
            keep=keeping({name: at[name] for name in at if name in asked or name in self.always_kept}, wanted, _like),
            rest=[name for name in asked if name not in at],
            order=[i for positions, _, _ in rules for i in positions],
            pull=pulling(rules, s.first),
        )
        return plan

    def _rest(self, plan: Plan, arrays: list[Any], parents: Parents, xp: Any) -> dict[str, Any]:
        """What VJPs name of the operands of `*xs`: likes, all of them, or all but one that alone wants a gradient."""
        first, name = self.signature.first, self.signature.variadic
        operands, wanting = arrays[first:], [node is not None for node in parents[first:]]
        alone = sum(wanting) == 1
        others = [None if alone and wants else a for a, wants in zip(operands, wanting, strict=True)]
        offered = {f"{name}_like": [_like(a, xp) for a in operands], "others": others, name: operands}
        return {name: tuple(offered[name]) for name in plan.rest}

    # ---- backward

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> list[tuple[int, Gradient]]:
        """Ask the VJPs of the arguments that want a gradient: with bare arrays, or with Tensors lifted onto the tape."""
        kept = self._lifted(entry) if create_graph else entry.kept
        return entry.plan.pull(complete(g, entry) if type(g) is list else g, kept, parents)  # type: ignore[no-any-return]

    def _lifted(self, entry: Entry) -> dict[str, Any]:
        """What was kept, as Tensors: an argument where its parent is on the tape, the result at this entry."""
        nodes: dict[str, Any] = dict(zip(self.signature.arguments, entry.parents, strict=False))
        nodes[self.signature.variadic] = nodes["others"] = list(entry.parents[self.signature.first :])
        several = isinstance(entry.dtype, list)
        nodes["y"] = [Result(entry, i) for i in range(len(entry.shape))] if several else entry
        kept = ((name, value, nodes.get(name)) for name, value in entry.kept.items())
        return {name: tuple(map(_lift, v, n)) if isinstance(n, list) else _lift(v, n) for name, v, n in kept}

    def _understood(self, args: Sequence[Any]) -> list[Any]:
        """Less usual arguments made usual, or an error about them."""
        among_tensors = any(isinstance(a, Tensor) for a in args)
        labels = [f"{self.name}: argument {self.signature.argument(i)}: " for i in range(len(args))]
        pairs = zip(args, labels, strict=True)
        usual = [a if isinstance(a, Tensor) else as_argument(a, among_tensors, label) for a, label in pairs]
        places = {where.name for a in usual if (where := home(a._array if isinstance(a, Tensor) else a))}
        if len(places) > 1:
            raise self.signature.mixed(args, sorted(places))
        return usual


@overload
def primitive(forward: Callable[..., Any], /) -> Primitive: ...
@overload
def primitive(**declared: Any) -> Callable[[Callable[..., Any]], Primitive]: ...
def primitive(forward: Any = None, **declared: Any) -> Any:
    """Make an op of an array function `f(xp, arrays..., *, settings...)`.

    `xp` is the array library; arrays are positional, `None` by default where they are optional, `*xs` for any number;
    settings are keyword-only. The function uses `xp` and Python's operators only, changes nothing it was given, and does
    not branch on values. Declared by name: `name` (on the tape and in errors; the function's own if not said),
    `broadcasting` (the engine undoes it in the gradient), `nondifferentiable` (arguments without a gradient: indices,
    conditions; True for all of them), `residuals` (names of boolean or integer arrays that it returns after the result,
    for VJPs), `expects` (what its error message tells to do).

    Raises `TypeError` where an argument is first recorded that has neither a VJP nor is declared to have no gradient.

    >>> import tinyreg as tr
    >>> @tr.primitive
    ... def cube(xp, x):
    ...     return x * x * x
    >>> @cube.vjp("x")
    ... def _(g, x):
    ...     return 3 * g * x * x
    >>> x = tr.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """
    return Primitive(forward, **declared) if forward else lambda f: Primitive(f, **declared)
