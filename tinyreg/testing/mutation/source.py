"""Mutants of a function from its source: one small change each, such as people make by mistake."""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

from .changes import Names, changes, number
from .locate import Node, compiled, helpers, located
from .rules import Change, Path

More = Callable[[Any], Iterator[ast.AST | None]]
Operators = Callable[[Any, Names, bool], Iterator[ast.AST | None]]

__all__ = ["Mutant", "helpers", "mutants"]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A function with one change: what was changed into what, the line as it is now, how to make it, and the change.

    make: gives the function; to list mutants takes less than to compile them.
    """

    name: str
    line: str
    make: Callable[[], Callable[..., Any]]
    change: Change

    @property
    def function(self) -> Callable[..., Any]:
        """The function."""
        return self.make()


def mutants(f: Any, more: More | None = None, usual: Operators = changes) -> list[Mutant]:
    """Every mutant of a Python function, or of what a `functools.partial` calls, with the same arguments given.

    more: what else could stand in the place of a node, as `changes` says it. usual: what is wrong there mostly; `mistakes`
    is for code of any kind.
    There are none where the source is not at hand, as for what `exec` made and mostly in an interactive session.

    >>> from tinyreg.testing.mutation import mutants
    >>> import tinyreg as tr
    >>> mutants(tr.exp.rules[0][1])[0].name
    '`g * y` -> `g / y`'
    """
    if isinstance(f, functools.partial):
        return [dataclasses.replace(m, make=functools.partial(_given, m, f)) for m in mutants(f.func, more, usual)]
    shared = located(f) if isinstance(f, FunctionType) else None
    if shared is None:
        return []
    node = copy.deepcopy(shared)
    names, local, places = Names(node), local_names(node), list(_places(node))
    seen = {statement: {_written(statement)} for statement in dict.fromkeys(place.statement for place in places)}
    made: list[Mutant] = []
    times: Counter[str] = Counter()
    for place in places:
        likely = () if place.steers else usual(place.node, names, place.returned)
        for new in itertools.chain(likely, more(place.node) if more else ()):
            place.put(new)
            changed = (new or ast.Pass()) if place.node is place.statement else place.statement
            if (text := _written(changed)) not in seen[place.statement]:
                seen[place.statement].add(text)
                name = f"`{_line(place.node)}` -> `{_line(new)}`"
                times[name] += 1
                name += f" ({times[name]})" * (times[name] > 1)
                line = text.partition("\n")[0] if new else ""
                change = Change(place.path, new, local)
                make = functools.cache(functools.partial(_compiled, f, node, place, new))
                made.append(Mutant(name, line, make, change))
            place.put(place.node)
    return made


def _given(mutant: Mutant, f: functools.partial[Any]) -> Callable[..., Any]:
    """A mutant of what a partial calls, with the same arguments given."""
    return functools.partial(mutant.function, *f.args, **f.keywords)


def _compiled(f: FunctionType, node: Node, place: Place, new: ast.AST | None) -> FunctionType:
    """The function with the change, which is taken back in the tree."""
    place.put(new)
    try:
        return compiled(f, node)
    finally:
        place.put(place.node)


def local_names(node: Node) -> frozenset[str]:
    """The names of a function's own that are not its parameters."""
    parameters = {arg.arg for arg in _parameters(node)}
    inside = [n for n in ast.walk(node) if n is not node]
    stored = {n.id for n in inside if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    stored |= {arg.arg for n in inside if isinstance(n, Node) for arg in _parameters(n)}
    stored |= {n.name for n in inside if isinstance(n, ast.FunctionDef | ast.ExceptHandler) and n.name}
    return frozenset(stored - parameters)


def _parameters(node: Node) -> list[ast.arg]:
    a = node.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *(arg for arg in (a.vararg, a.kwarg) if arg)]


def _line(node: ast.AST | None) -> str:
    return _written(node).partition("\n")[0] if node else ""


def _written(node: ast.AST) -> str:
    text = ast.unparse(node)
    if ("f'" in text or 'f"' in text) and any(isinstance(n, ast.JoinedStr) for n in ast.walk(node)):
        text = ast.unparse(_FormattedAsNames().visit(copy.deepcopy(node)))
    return text


class _FormattedAsNames(ast.NodeTransformer):
    """f-strings in place of which stand names that read like them: how they are quoted depends on Python's version."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        text = "".join(map(_formatted, node.values))
        quote = '"' if "'" in text else "'"
        return ast.Name(f"f{quote}{text}{quote}", ast.Load())


def _formatted(part: ast.expr) -> str:
    if not isinstance(part, ast.FormattedValue):
        return str(getattr(part, "value", part)).replace("\n", "\\n")
    conversion = f"!{chr(part.conversion)}" if part.conversion > 0 else ""
    spec = ":" + "".join(map(_formatted, part.format_spec.values)) if isinstance(part.format_spec, ast.JoinedStr) else ""
    return "{" + _written(part.value) + conversion + spec + "}"


# ---- where to change -------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A node that may be changed, where it hangs in the tree, and the statement around it."""

    parent: ast.AST
    path: Path  # from the statement in the function's body to the node
    statement: ast.AST
    returned: bool  # whether it is what the function returns
    steers: bool  # whether it says how long a `while` goes on

    @property
    def node(self) -> ast.AST:
        """What may be changed."""
        return self.path[-1][0]

    def put(self, new: ast.AST | None) -> None:
        """Put something else here; None takes a statement out."""
        _, field, at = self.path[-1]
        if at is None:
            setattr(self.parent, field, new)
        else:
            getattr(self.parent, field)[at] = new or ast.Pass()


def _places(node: Node) -> Iterator[Place]:
    """The statements and expressions of a body that may be changed, in order."""
    steering = _steering(node)
    if isinstance(node, ast.Lambda):
        yield from _inside(Place(node, ((node.body, "body", None),), node.body, True, False), steering)
        return
    for i, statement in enumerate(node.body):
        yield from _inside(Place(node, ((statement, "body", i),), statement, False, False), steering)


def _inside(place: Place, steering: frozenset[str]) -> Iterator[Place]:
    node = place.node
    if isinstance(node, ast.Raise | ast.Assert):
        return
    steers = place.steers or _steers(node, steering)
    decides = isinstance(node, ast.If) and _decides(node, steering)
    if (
        isinstance(node, ast.expr | ast.stmt | ast.comprehension)
        and not decides
        and not (steers and node is place.statement)
    ):
        yield place
    if number(node) is not None or (isinstance(node, ast.keyword) and node.arg == "strict"):
        return
    skipped = {"annotation", "returns", "decorator_list", "args" if isinstance(node, ast.Lambda) else ""}
    if isinstance(node, ast.While) or decides:
        skipped.add("test")  # a loop that does not end is no mutant
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                statement = child if isinstance(child, ast.stmt) else place.statement
                path = (*place.path, (child, name, i if isinstance(value, list) else None))
                yield from _inside(Place(node, path, statement, isinstance(node, ast.Return), steers), steering)


# ---- what keeps a `while` going is left alone ------------------------------------------------------------------------


def _steering(node: Node) -> frozenset[str]:
    """The names that say when a `while` ends, and those that these are worked out from."""
    loops = [n for n in ast.walk(node) if isinstance(n, ast.While)]
    branches = [n for loop in loops for n in ast.walk(loop) if isinstance(n, ast.If) and _leaves(n)]
    tests = [loop.test for loop in loops] + [branch.test for branch in branches]
    steering = {name for test in tests for name in _names(test)}
    assigned = [n for n in ast.walk(node) if isinstance(n, ast.Assign | ast.AugAssign | ast.AnnAssign)]
    while more := {name for n in assigned if not steering.isdisjoint(_stored(n)) for name in _names(n)} - steering:
        steering |= more
    return frozenset(steering)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _stored(node: ast.AST) -> set[str]:
    """The names that a statement gives a value to, or part of a value."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {name for target in targets if target for name in _names(target)}


def _steers(node: ast.AST, steering: frozenset[str]) -> bool:
    """Whether a statement changes a name that steers: by assignment, or by a method, such as `pop`."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        changed = _stored(node)
        methods = [n.func.value for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        return not steering.isdisjoint(changed.union(*map(_names, methods)))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        return not steering.isdisjoint(_names(node.value.func))
    return False


def _decides(node: ast.If, steering: frozenset[str]) -> bool:
    """Whether a branch says if a `while` goes on."""
    return bool(steering) and (_leaves(node) or any(_steers(n, steering) for n in ast.walk(node)))


def _leaves(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Break | ast.Continue | ast.Return) for n in ast.walk(node))
