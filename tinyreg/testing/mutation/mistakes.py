"""What people get wrong in code of any kind: more than in a derivative, and for every place what is likely there.

`changes` has what stands in a VJP; a derivative is short, and all that can be wrong in it is worth a mutant. Of other code
there is much more, so that here a name is not taken for another, and a number is off by one only.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator
from typing import Any

from .changes import CHANGES, Names, moved, number, other_axes
from .rules import rewritten

RULES = [
    # not all of it, or another one
    "all(A) -> any(A)",
    "any(A) -> all(A)",
    "min(A, B) -> max(A, B)",
    "max(A, B) -> min(A, B)",
    "min(A) -> max(A)",
    "max(A) -> min(A)",
    "sorted(A) -> list(A)",
    "reversed(A) -> A",
    "A.pop() -> A.pop(0)",
    "A.extend(B) -> A.append(B)",
    "A.setdefault(B, C) -> A.update({B: C})",
    "A.startswith(B) -> B in A",
    "A.endswith(B) -> B in A",
    "{*A} -> [*A]",
    # what is shared and should be a copy
    "A.copy() -> A",
    "dict(A) -> A",
    "list(A) -> A",
    "[*A] -> A",
    "{**A} -> A",
    "A.array(B) -> A.asarray(B)",
    "A.array(B, dtype=C) -> A.asarray(B, dtype=C)",
    "copy.copy(A) -> A",
    "copy.deepcopy(A) -> A; copy.copy(A)",
    # rounded the other way
    "A // B -> -(-A // B); round(A / B)",
    "-(-A // B) -> A // B",
    "round(A) -> int(A)",
    "int(A) -> round(A)",
    "math.ceil(A) -> math.floor(A)",
    "math.floor(A) -> math.ceil(A)",
    "A.ceil(B) -> A.floor(B)",
    "A.floor(B) -> A.ceil(B)",
    "A.rint(B) -> A.floor(B)",
    # compared loosely
    "A.array_equal(B, C) -> A.allclose(B, C); B.shape == C.shape",
    "A.array_equal(B, C, equal_nan=D) -> A.allclose(B, C, equal_nan=D)",
    "A.tobytes() == B.tobytes() -> len(A.tobytes()) == len(B.tobytes())",
    "type(A) is B -> isinstance(A, B)",
]
"""Wherever the left side stands, the right side is a mutant."""

AS_THEY_ARE = {
    "tuple",
    "range",
    "len",
    "isinstance",
    "str",
    "repr",
    "int",
    "float",
    "bool",
    "iter",
    "enumerate",
    "zip",
    "map",
}
AS_THEY_ARE |= {"type", "getattr", "hasattr", "print", "Path", "super", "list", "dict", "set", "filter", "callable", "vars"}
"""Functions whose argument nobody takes for what they return."""

SYMMETRIC = {"max", "min", "maximum", "minimum", "hypot", "zip", "array_equal", "allclose", "isinstance", "gcd", "equal"}
TEXTS = {"expected", "where", "words", "why", "what", "strict", "stacklevel"}
"""Keywords of what an error or a warning says."""

CALLS = ("__enter__(manager_)", "__exit__(manager_, None, None, None)")
"""What a `with` does at its two ends."""

SMALL = 0.01  # a number below it is a tolerance


def mistakes(old: Any, names: Names, returned: bool) -> Iterator[ast.AST | None]:
    """What could stand in place of a node of any function; None where a statement could be missing."""
    value = number(old)
    likely = _of_number(value) if value is not None else MISTAKES.get(type(old), _none)(old)
    for new in itertools.chain(likely, *(rewritten(rule, old) for rule in RULES)):
        if isinstance(new, ast.stmt) and not hasattr(new, "lineno"):
            ast.fix_missing_locations(ast.copy_location(new, old))
        yield new


def _none(old: Any) -> Iterator[ast.AST | None]:
    return iter(())


def _of_number(value: float) -> Iterator[ast.AST]:
    if isinstance(value, int):
        yield ast.Constant(value + 1) if value >= -1 else ast.UnaryOp(ast.USub(), ast.Constant(-value - 1))
    if value != 0 and value != 1 and isinstance(value, int):
        yield from ([ast.Constant(value - 1)] if value > 0 else [ast.UnaryOp(ast.USub(), ast.Constant(1 - value))])
    if isinstance(value, float) and value:
        yield ast.BinOp(ast.Constant(value), ast.Mult(), ast.Constant(1000.0 if 0 < value < SMALL else 1.1))


def _of_call(old: ast.Call) -> Iterator[ast.AST | None]:
    """Neighbours exchanged, a keyword that is missing, another axis; the argument alone, or what a method is called on."""
    called = getattr(old.func, "attr", getattr(old.func, "id", ""))
    if (
        called not in AS_THEY_ARE
        and old.args
        and not isinstance(old.args[0], ast.Starred | ast.GeneratorExp)
        and not _text(old.args[0])
    ):
        yield old.args[0]
    if isinstance(old.func, ast.Attribute) and isinstance(
        old.func.value, ast.Call | ast.Attribute | ast.Subscript | ast.BinOp
    ):
        yield old.func.value
    for i, (one, other) in enumerate(zip(old.args, old.args[1:], strict=False)):
        if called not in SYMMETRIC and not any(isinstance(a, ast.Starred) or _text(a) for a in (one, other)):
            yield ast.Call(old.func, [*old.args[:i], other, one, *old.args[i + 2 :]], old.keywords)
    for keyword in old.keywords:
        rest = [k for k in old.keywords if k is not keyword]
        if keyword.arg not in TEXTS and not _text(keyword.value):
            yield ast.Call(old.func, old.args, rest)
        if keyword.arg in ("axis", "dim"):
            yield from (
                ast.Call(old.func, old.args, [*rest, ast.keyword(keyword.arg, a)]) for a in other_axes(keyword.value)
            )
    if called == "range" and number(old.args[-1]) is None:
        yield ast.Call(old.func, [*old.args[:-1], moved(old.args[-1], -1)], [])


def _text(node: ast.AST) -> bool:
    """Whether something is a text, also one that is put together."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _of_comparison(old: ast.Compare) -> Iterator[ast.AST]:
    if len(old.ops) > 1:  # one half of a chain
        yield ast.Compare(old.left, old.ops[:-1], old.comparators[:-1])
        yield ast.Compare(old.comparators[0], old.ops[1:], old.comparators[1:])
    yield from CHANGES[ast.Compare](old)
    last = old.comparators[-1]
    if isinstance(old.ops[-1], ast.In | ast.NotIn) and isinstance(last, ast.Tuple | ast.Set | ast.List):
        yield from (ast.Compare(old.left, old.ops, [*old.comparators[:-1], less]) for less in _with_one_less(last))


def _with_one_less(old: ast.Tuple | ast.List | ast.Set) -> Iterator[Any]:
    """A list, without each of its elements in turn."""
    for i in range(len(old.elts) if len(old.elts) > 1 else 0):
        new = copy.copy(old)
        new.elts = [*old.elts[:i], *old.elts[i + 1 :]]
        yield new


def _of_dict(old: ast.Dict) -> Iterator[ast.AST]:
    for i in range(len(old.keys) if len(old.keys) > 1 else 0):
        yield ast.Dict([*old.keys[:i], *old.keys[i + 1 :]], [*old.values[:i], *old.values[i + 1 :]])


def _of_condition(old: ast.If) -> Iterator[ast.AST]:
    """A branch that is taken always, or never."""
    yield from (ast.If(ast.Constant(always), old.body, old.orelse) for always in (True, False))


def _of_loop(old: ast.For) -> Iterator[ast.AST]:
    for some in _some_of(old.iter):
        yield ast.copy_location(ast.For(old.target, some, old.body, old.orelse), old)


def _of_comprehension(old: ast.comprehension) -> Iterator[ast.AST]:
    for some in _some_of(old.iter):
        yield ast.comprehension(old.target, some, old.ifs, old.is_async)
    for i in range(len(old.ifs)):
        yield ast.comprehension(old.target, old.iter, [*old.ifs[:i], *old.ifs[i + 1 :]], old.is_async)


def _some_of(iterated: ast.expr) -> Iterator[ast.expr]:
    """The first of several, or all but one of those that are written out."""
    if isinstance(iterated, ast.Tuple | ast.List):
        yield from _with_one_less(iterated)
    else:
        yield ast.Subscript(
            ast.List([ast.Starred(iterated, ast.Load())], ast.Load()), ast.Slice(None, ast.Constant(1)), ast.Load()
        )


def _of_try(old: ast.Try) -> Iterator[ast.AST]:
    if old.finalbody:
        bare: list[ast.stmt] = [*old.body, *old.orelse]
        inside: list[ast.stmt] = [ast.Try(old.body, old.handlers, old.orelse, [])] if old.handlers else bare
        yield _said("last only where all goes well", [*inside, *old.finalbody])
        yield _said("nothing comes last", inside)
    if old.handlers:
        yield _said("nothing is caught", [*old.body, *old.orelse, *old.finalbody])


def _said(what: str, body: list[ast.stmt]) -> ast.If:
    """Statements in the place of one, under a condition that holds, and says how they differ."""
    return ast.If(ast.Constant(what), body, [])


def _of_with(old: ast.With) -> Iterator[ast.AST]:
    """The block without what is around it, and with an end that only comes where all goes well."""
    for i, item in enumerate(old.items):
        rest = [*old.items[:i], *old.items[i + 1 :]]
        if item.optional_vars is None:
            yield ast.With(rest, old.body) if rest else _said("not entered", old.body)
    if len(old.items) == 1:
        (item,) = old.items
        begin, end = (ast.parse(f"type(manager_).{call}", mode="eval").body for call in CALLS)
        entered = ast.Assign([item.optional_vars], begin) if item.optional_vars else ast.Expr(begin)
        first = [ast.Assign([ast.Name("manager_", ast.Store())], item.context_expr), entered]
        # What runs stands in the other branch, so that a rule can name the block as it was.
        same = ast.UnaryOp(ast.Not(), ast.Constant("left only where all goes well"))
        yield ast.If(same, old.body, [*first, *old.body, ast.Expr(end)])


def _of_assignment(old: ast.Assign) -> Iterator[ast.AST | None]:
    """A step that is left out, where the names are there without it; the first of several results for all of them."""
    yield from CHANGES[ast.Assign](old)
    target = old.targets[0]
    if not any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) for n in ast.walk(old)):
        yield None
    if (
        isinstance(target, ast.Tuple)
        and not isinstance(old.value, ast.Tuple)
        and all(isinstance(t, ast.Name) for t in target.elts)
    ):
        first, *others = [t.id for t in target.elts if isinstance(t, ast.Name)]
        for other in others:
            again = ast.Assign([ast.Name(other, ast.Store())], ast.Name(first, ast.Load()))
            yield _said("the first for all", [old, again])


def _of_update(old: ast.AugAssign) -> Iterator[ast.AST | None]:
    yield from CHANGES[ast.AugAssign](old)
    yield ast.Assign([old.target], old.value)


def _of_statement(old: ast.Expr) -> Iterator[None]:
    if not isinstance(old.value, ast.Constant | ast.Yield | ast.YieldFrom | ast.Await):
        yield None


def _of_choice(old: ast.IfExp) -> Iterator[ast.AST]:
    yield old.body
    yield old.orelse


MISTAKES: dict[type, Any] = {kind: CHANGES[kind] for kind in (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Slice, ast.BoolOp)}
MISTAKES |= {
    ast.Call: _of_call,
    ast.Compare: _of_comparison,
    ast.List: _with_one_less,
    ast.Set: _with_one_less,
    ast.Dict: _of_dict,
    ast.If: _of_condition,
    ast.For: _of_loop,
    ast.comprehension: _of_comprehension,
    ast.Try: _of_try,
    ast.With: _of_with,
    ast.Assign: _of_assignment,
    ast.AugAssign: _of_update,
    ast.Expr: _of_statement,
    ast.IfExp: _of_choice,
}
