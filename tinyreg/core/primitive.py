"""Ops: an array function and its vector-Jacobian products, side by side.

A VJP's parameters say what the tape saves: `g` is the incoming gradient, `y` the result, any other name an argument, a
setting or a residual of the op, and `x_like` the shape, dtype and backend of x without its array. VJPs are written with
ops, so the ordinary backward runs them on bare arrays, and `create_graph` on Tensors that are recorded in turn.
"""

from __future__ import annotations

import copy
import inspect
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any, Concatenate, Generic, Literal, NamedTuple, ParamSpec, Self, TypeVar, overload

from ..switches import F
from . import errors
from .backend import FLOATS, HOMES, Backend, current, is_float, underflow_ignored
from .conversion import checked, understood
from .signature import Signature
from .tape import Contributions, Entry, Node, Parents, Result, complete, explainer, is_recording
from .tensor import Tensor, wrap

P = ParamSpec("P")  # the parameters of an op: those of its array function after xp
Q = ParamSpec("Q")
R = TypeVar("R")  # its result
S = TypeVar("S")

REGISTRY: dict[str, Primitive[..., Any]] = {}
UNUSUAL: Any = object()  # in the place of a backend, for what is neither a number nor an array of one that is loaded
NO_RESIDUALS: dict[str, Any] = {}

Like = namedtuple("Like", ("shape", "dtype", "ndim", "backend"))
"""Shape, dtype and backend of an array, without the array."""


def _like(value: Any, xp: Backend) -> Any:
    """An array's shape, dtype and backend; a number as it is."""
    return Like(value.shape, value.dtype, value.ndim, xp.name) if hasattr(value, "shape") else value


def _lift(value: Any, node: Any) -> Any:
    """What was saved as a Tensor on the tape; as it is where there is no node."""
    return value if node is None or value is None else wrap(value, node)


def _asking(vjp: Any, names: tuple[str, ...]) -> Callable[[Any, dict[str, Any]], Any]:
    """The VJP as a function of g and of all that was saved. Most name one thing, which has a quicker way of its own."""
    if len(names) == 1:
        (name,) = names
        return lambda g, saved: vjp(g, saved[name])
    return lambda g, saved: vjp(g, *map(saved.__getitem__, names))


class Rule(NamedTuple):
    """A VJP: the positions of the arguments that it serves, and the names of what it asks for after g."""

    positions: tuple[int, ...]
    vjp: Callable[..., Any]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an entry saves when certain arguments want a gradient, and the VJPs that give it.

    As everywhere here, the operands of `*xs` are one argument.
    """

    wanted: list[int]  # the arguments that get a gradient
    without: set[int]  # those that want one but have none
    saved: list[tuple[str, int]]  # arguments to save, and their positions
    further: list[str]  # what else to save
    alone: list[tuple[int, Callable[..., Any]]]  # the VJPs of one argument, each behind its position
    together: list[Rule]  # those of several, and of the operands of `*xs`


class Primitive(Generic[P, R]):
    """An op. Call it on Tensors, arrays and numbers; declare its derivatives with `@op.vjp("argument")`.

    Its result is a Tensor exactly when an argument is one, and is recorded when one of those wants a gradient. In the
    body of a class it is a method, as a function is.
    """

    registry: dict[str, Any] = REGISTRY
    offers: frozenset[str] = frozenset()  # what else a VJP may name
    always_saved: Sequence[str] = ()  # the arguments to save whatever VJPs name
    skip: int = 1  # the parameters of the array function before its arguments: xp

    def __init__(
        self,
        forward: Any,
        *,
        name: str = "",
        broadcasting: bool = False,
        nondifferentiable: Sequence[str] | Literal[True] = (),
        residuals: Sequence[str] = (),
        expects: str = "",
        result: Any = None,
    ) -> None:
        if not hasattr(forward, "__name__") or not isinstance(name, str):
            raise errors.no_function(type(self).__name__, forward, name)
        self.name: str = name or forward.__name__
        self.__name__: str = forward.__name__
        self.__doc__, self.__module__ = forward.__doc__, forward.__module__
        self.forward: Any = forward
        self.broadcasting: bool = broadcasting
        self.residuals: Sequence[str] = residuals
        self.expects: str = expects or "shapes that broadcast against each other" * broadcasting
        self.rules: list[Rule] = []  # the latest first
        self._plans: dict[int, Plan] = {}
        self.signature: Signature = Signature(self.name, forward, self.skip)
        s = self.signature
        self.nondifferentiable: tuple[str, ...] = tuple(s.arguments if nondifferentiable is True else nondifferentiable)
        if unknown := set(self.nondifferentiable) - set(s.arguments):
            raise TypeError(f"{s}: got nondifferentiable={unknown}, expected any of its arguments {s.arguments}, or True")
        self.call: Callable[..., Any] = s.matching(self.apply)
        self.__signature__: inspect.Signature = s.python
        self._last_bit = 1 << s.first  # which the operands of `*xs` share
        self.registry[self.__name__] = self

    def named(self, name: str) -> Self:
        """The same op, with the same VJPs, under another name on the tape and in errors."""
        if not isinstance(name, str):
            raise TypeError(f"Primitive.named: got {name!r:.80}, expected a text")
        other = object.__new__(type(self))
        other.__dict__ |= vars(self)
        other.name, other.signature = name, copy.copy(self.signature)
        other.signature.name = name
        other.call = other.signature.matching(other.apply)
        return other

    def __repr__(self) -> str:
        return f"<op {self.signature}>"

    def __reduce__(self) -> str:
        return str(self.__name__)  # pickles and copies are the op itself

    def vjp(self, *arguments: str) -> Callable[[F], F]:
        """Declare the VJP of an argument; of several that share work, one that returns a tuple.

        That of `*xs` serves one operand where it names `position`, and otherwise gives a tuple, a gradient for each.
        It may give back g or a view of it, which the engine copies where it matters; not an array that was saved for
        backward or that it holds on to, since whoever gets a gradient may write to it.
        """

        def declare(f: F) -> F:
            s, offers = self.signature, {"y", *self.offers, *self.residuals}
            if s.variadic:
                offers |= {"others", "position"} if arguments == (s.variadic,) else {"others"}
            names = s.asked(f, arguments, offers)
            self.rules.insert(0, Rule(tuple(map(s.arguments.index, arguments)), f, names))  # the latest counts
            self._plans.clear()
            return f

        return declare

    # ---- forward

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Match the arguments to the parameters, and `apply` the op."""
        return self.call(*args, **kwargs)  # type: ignore[no-any-return]

    @overload
    def __get__(self, instance: None, owner: Any) -> Primitive[P, R]: ...
    @overload
    def __get__(self: Primitive[Concatenate[Any, Q], S], instance: Any, owner: Any) -> Callable[Q, S]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else MethodType(self, instance)

    def apply(self, values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Run the op on all of its arguments and settings, and record it where an argument wants a gradient."""
        arrays, nodes, wanting, xp, any_tensor = self._unwrapped(values)
        y, residuals = self._forward(xp, arrays, settings)
        if not any_tensor:
            return y
        entry = None
        if wanting and is_recording():
            entry = self._recorded(wanting, xp, arrays, nodes, settings, y, residuals)
        return self._wrapped(y, entry, nodes, arrays)

    def _unwrapped(self, values: Sequence[Any]) -> tuple[list[Any], list[Node | None], int, Backend, bool]:
        """The arrays and the nodes in the arguments, and the bits of those that have a node.

        Also the backend of the arrays, and whether an argument is a Tensor.
        """
        arrays, nodes, xp, any_tensor = [], [], None, False
        wanting, bit = 0, 1
        for value in values:
            node = None
            if isinstance(value, Tensor):
                value, node, any_tensor = value._array, value._node, True
                if node is not None:
                    wanting |= bit
            if bit < self._last_bit:
                bit += bit
            where = HOMES.get(type(value), UNUSUAL)
            if where is not None and where is not xp:
                if where is UNUSUAL:
                    return self._unwrapped(self._understood(values))
                if xp is not None:
                    raise errors.mixed(self.signature, values, sorted([xp.name, where.name]))
                xp = where
            arrays.append(value)
            nodes.append(node)
        return arrays, nodes, wanting, xp or current(), any_tensor

    def _forward(self, xp: Backend, arrays: list[Any], settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The result of the array function, an array or a tuple of them, and its residuals."""
        residuals = NO_RESIDUALS
        try:
            try:
                y = self.forward(xp, *arrays, **settings)
            except FloatingPointError:  # np.seterr(all="raise") complains of what is harmless too
                with underflow_ignored():
                    y = self.forward(xp, *arrays, **settings)
        except Exception as error:
            raise errors.explained(self.signature, error, arrays, xp.name, self.expects) from error
        if self.residuals:
            y, residuals = self._apart(y)
        if HOMES.get(type(y)) is None:
            y = tuple(map(xp.asarray, y)) if isinstance(y, tuple) else xp.asarray(y)  # a scalar as an array
        return y, residuals

    def _apart(self, outcome: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
        """The result, and the residuals by name; `TypeError` for floats, which would be missing at second order."""
        y, *residuals = outcome
        for name, array in zip(self.residuals, residuals, strict=True):
            if is_float(array):
                raise errors.float_residual(self.name, name, array)
        return y, dict(zip(self.residuals, residuals, strict=True))

    def _recorded(
        self, wanting: int, xp: Backend, arrays: Any, nodes: Parents, settings: Any, y: Any, residuals: Any
    ) -> Entry | None:
        """The entry of the op; None where no argument has a gradient, or the result has none."""
        plan = self._plans.get(wanting) or self._plan(wanting)
        several = type(y) is tuple
        if not plan.wanted or not (several or y.dtype in FLOATS):
            return None
        saved = {}
        for name, position in plan.saved:
            saved[name] = arrays[position]
        if plan.further:
            offered = {"y": y, "xp": xp, "wanted": plan.wanted, **settings, **residuals}
            for name in plan.further:
                saved[name] = offered[name] if name in offered else self._further(name, xp, arrays, nodes)
        if plan.without:
            nodes = self._parents(plan, nodes)
        if several:
            return Entry([part.shape for part in y], [part.dtype for part in y], self, plan, nodes, saved, settings)
        return Entry(y.shape, y.dtype, self, plan, nodes, saved, settings)

    def _parents(self, plan: Plan, nodes: Parents) -> Parents:
        """The nodes of the arguments that have a gradient, and None for the others."""
        first = self.signature.first
        return [None if min(i, first) in plan.without else node for i, node in enumerate(nodes)]

    def _further(self, name: str, xp: Backend, arrays: Any, nodes: Parents) -> Any:
        """What a VJP may name of arguments beside themselves: what they are like, and the operands of `*xs`."""
        s, of = self.signature, name.removesuffix("_like")
        if of in s.arguments[: s.first]:
            return _like(arrays[s.arguments.index(of)], xp)
        operands = arrays[s.first :]
        if name == "others":  # without the one that alone wants a gradient, since that rests on the others
            alone = sum(node is not None for node in nodes[s.first :]) == 1
            return tuple([None if alone and node else a for a, node in zip(operands, nodes[s.first :], strict=True)])
        return tuple(operands if of == name else [_like(a, xp) for a in operands])

    def _wrapped(self, y: Any, entry: Entry | None, nodes: Parents, arrays: Sequence[Any]) -> Any:
        """The results as Tensors, on the tape where they are of floats and there is an entry."""
        if (listener := explainer.get()) is not None:
            listener(self.name, entry, entry.parents if entry else nodes, arrays, y)
        if type(y) is tuple:
            return self._tensors(y, entry, arrays)
        return wrap(y, entry) if entry else self._tensor(y, None, arrays)

    def _tensors(self, y: tuple[Any, ...], entry: Entry | None, arrays: Sequence[Any]) -> tuple[Tensor, ...]:
        """Several results as Tensors."""
        return tuple([self._tensor(part, Result(entry, i) if entry else None, arrays) for i, part in enumerate(y)])

    def _tensor(self, y: Any, node: Node | None, arrays: Sequence[Any]) -> Tensor:
        """A result as a Tensor; `TypeError` for a dtype that no tensor has."""
        if y.dtype in FLOATS:
            return wrap(y, node)
        for i, array in enumerate(arrays):  # a comparison of complex numbers is of booleans
            if hasattr(array, "dtype"):
                checked(array.dtype, f"{self.name}: got {self.signature.argument(i)}")
        checked(y.dtype, f"{self.name}: the result would be")
        return wrap(y)

    def _understood(self, values: Sequence[Any]) -> list[Any]:
        """Less usual arguments made usual, or an error about them."""
        usual, among_tensors = list(values), any(isinstance(value, Tensor) for value in values)
        for i, value in enumerate(values):
            if not isinstance(value, Tensor):
                usual[i] = understood(value, among_tensors, f"{self.name}: argument {self.signature.argument(i)}: ")
        return usual

    def _plan(self, wanting: int) -> Plan:
        """What to do where those arguments want a gradient that have their bit set."""
        s = self.signature
        asking = [i for i in range(len(s.arguments)) if wanting >> i & 1]
        wanted = [i for i in asking if s.arguments[i] not in self.nondifferentiable]
        serving = {i: rule for rule in reversed(self.rules) for i in rule[0]}
        for i in wanted:
            if i not in serving:
                raise errors.no_vjp(self.name, s.arguments[i])
        rules = dict.fromkeys(serving[i] for i in wanted)
        asked = {*self.always_saved, *(name for _, _, names in rules for name in names)}
        saved = [(name, i) for i, name in enumerate(s.arguments[: s.first]) if name in asked]
        likes = [f"{name}_like" for name in s.arguments]
        offers = [*s.arguments[s.first :], "y", *likes, "others", *s.settings, *self.residuals, "xp", "wanted"]
        further = [name for name in offers if name in asked]
        alone = [(i, _asking(vjp, names)) for (i, *more), vjp, names in rules if not more and i < s.first]
        together = [rule for rule in rules if len(rule[0]) > 1 or s.first in rule[0]]
        self._plans[wanting] = plan = Plan(wanted, set(asking) - set(wanted), saved, further, alone, together)
        return plan

    # ---- backward

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> Contributions:
        """Ask the VJPs of the arguments that want a gradient: with bare arrays, or with Tensors lifted onto the tape."""
        saved = self._lifted(entry) if create_graph else entry.saved
        return self._asked(entry.plan, saved, complete(g, entry) if type(g) is list else g, parents)

    def _asked(self, plan: Plan, saved: dict[str, Any], g: Any, parents: Parents) -> Contributions:
        """What the VJPs give."""
        contributions: Contributions = []
        for i, ask in plan.alone:
            if parents[i] is not None:
                contributions.append((i, ask(g, saved)))
        for positions, vjp, names in plan.together:
            first = self.signature.first
            served = range(first, len(parents)) if first in positions else positions
            if "position" in names:
                given = list(map(saved.__getitem__, names[:-1]))
                for i in filter(parents.__getitem__, served):  # a comprehension has cells, which slow other ops down
                    contributions.append((i, vjp(g, *given, i - first)))
            elif any(map(parents.__getitem__, served)):
                contributions += zip(served, vjp(g, *map(saved.__getitem__, names)), strict=True)
        return contributions

    def _lifted(self, entry: Entry) -> dict[str, Any]:
        """What was saved, as Tensors: an argument where its parent is on the tape, the result at this entry."""
        s, several = self.signature, isinstance(entry.dtype, list)
        nodes: dict[str, Any] = dict(zip(s.arguments, entry.parents, strict=False))
        nodes[s.variadic] = nodes["others"] = entry.parents[s.first :]
        nodes["y"] = [Result(entry, i) for i in range(len(entry.shape))] if several else entry
        saved = ((name, value, nodes.get(name)) for name, value in entry.saved.items())
        return {name: tuple(map(_lift, v, n)) if isinstance(n, list) else _lift(v, n) for name, v, n in saved}


@overload
def primitive(forward: Callable[Concatenate[Any, P], Any], /) -> Primitive[P, Tensor]: ...
@overload
def primitive(*, result: type[R], **declared: Any) -> Callable[[Callable[Concatenate[Any, P], Any]], Primitive[P, R]]: ...
@overload
def primitive(**declared: Any) -> Callable[[Callable[Concatenate[Any, P], Any]], Primitive[P, Tensor]]: ...
def primitive(forward: Any = None, **declared: Any) -> Any:
    """Make an op of an array function `f(xp, arrays..., *, settings...)`.

    `xp` is the array library; arrays are positional, `None` by default where they are optional, `*xs` for any number;
    settings are keyword-only, or come after a `/`: `f(xp, x, /, axis=None)`. The function uses `xp` and Python's operators
    only, changes nothing it was given, and does not branch on values. Declared by name: `name` (on the tape and in errors;
    the function's own if not said), `broadcasting` (the engine undoes it in the gradient), `nondifferentiable` (arguments
    without a gradient: indices, conditions; True for all of them), `residuals` (names of boolean or integer arrays that it
    returns after the result, for VJPs), `expects` (what its error message tells to do), `result` (for type checkers, where
    it is no Tensor: `tuple[Tensor, Tensor]`).

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
