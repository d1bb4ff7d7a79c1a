"""What could stand at a place of a syntax tree instead: for every kind of node, the mistakes that people make there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from .locate import Node

OPERATORS: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPARISONS: dict[type, list[type]] = {
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
# Another form of the same thing, or equals in another order, is no mistake.
CONVERSIONS = {"tuple", "list", "range", "len", "isinstance"}
SYMMETRIC = {"equal", "not_equal", "max", "min", "maximum", "minimum", "hypot", "isinstance", "zip"}
SYMMETRIC_OPERATORS = (ast.Add, ast.Mult, ast.BitOr, ast.BitAnd, ast.BitXor)
ARRAYS = {"", "Any", "Array", "Tensor"}  # the annotations of what may be an array
NO_ARRAYS = {"xp", "position", "wanted"}  # what else a VJP may name


class Names:
    """What the names in a function stand for, as far as its source tells: only like is taken for like."""

    def __init__(self, node: Node) -> None:
        nodes = list(ast.walk(node))
        calls = [n for n in nodes if isinstance(n, ast.Call)]
        settings = {k.value.id for call in calls for k in call.keywords if isinstance(k.value, ast.Name)}
        settings |= NO_ARRAYS | {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        self.kinds: dict[str, str] = {}
        for arg in (*node.args.posonlyargs, *node.args.args):
            annotation = ast.unparse(arg.annotation) if arg.annotation else ""
            if arg.arg.endswith("_like"):
                self.kinds[arg.arg] = "like"
            else:
                is_array = annotation in ARRAYS and arg.arg not in settings
                self.kinds[arg.arg] = "array" if is_array else f"setting {annotation}"
        self.arrays = [name for name, kind in self.kinds.items() if kind == "array"]
        targets = [t for n in nodes if isinstance(n, ast.Assign) for t in n.targets]
        self.locals = {name for target in targets for name in _stored(target)} - set(self.kinds)
        self.values = (set(self.kinds) | _stored(node)) - NO_ARRAYS  # what is no module

    def others(self, name: str) -> list[str]:
        """The parameters that could be mistaken for a name."""
        if name in self.locals:
            return self.arrays
        return [other for other, kind in self.kinds.items() if kind == self.kinds.get(name) and other != name]


def _stored(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def changes(old: Any, names: Names, returned: bool) -> Iterator[ast.AST | None]:
    """What could stand in place of a node; None where a statement could be missing."""
    value = number(old)
    if value is not None:
        yield from _of_number(value)
    elif type(old) in CHANGES:
        yield from CHANGES[type(old)](old)
    if isinstance(old, ast.Name) and isinstance(old.ctx, ast.Load):
        yield from (ast.Name(name, ast.Load()) for name in names.others(old.id))
    if isinstance(old, ast.Attribute) and isinstance(old.value, ast.Name) and names.kinds.get(old.value.id) == "like":
        yield from (ast.Attribute(ast.Name(name, ast.Load()), old.attr, old.ctx) for name in names.arrays)
    if isinstance(old, ast.Call) and isinstance(old.func, ast.Attribute):
        receiver = old.func.value
        if not isinstance(receiver, ast.Name) or receiver.id in names.values:
            yield receiver
    if returned:
        yield from _of_returned(old)


def number(node: Any) -> int | float | None:
    """The number that a literal stands for, with its sign; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = number(node.operand)
        return None if value is None else -value
    is_number = isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return node.value if is_number else None


def _literal(value: Any) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def moved(node: ast.expr, by: int) -> ast.expr:
    """A node and one more, or one less."""
    value = number(node)
    if value is not None:
        return _literal(value + by)
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _of_number(value: float) -> Iterator[ast.AST]:
    others = [value + 1, -value, 0, 1, *([value * 1.01] if isinstance(value, float) else []), *([-1] if value == 0 else [])]
    yield from (_literal(type(value)(other)) for other in others if other != value)


def _of_constant(old: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(old.value, bool):
        yield ast.Constant(not old.value)


def _of_operation(old: ast.BinOp) -> Iterator[ast.AST]:
    if type(old.op) in OPERATORS:
        yield ast.BinOp(old.left, OPERATORS[type(old.op)](), old.right)
    if isinstance(old.op, ast.Pow):
        yield from (ast.BinOp(old.left, old.op, moved(old.right, by)) for by in (1, -1))
    if not isinstance(old.op, SYMMETRIC_OPERATORS):
        yield ast.BinOp(old.right, old.op, old.left)
    yield old.left
    if isinstance(old.op, ast.Add | ast.Sub | ast.Mult | ast.MatMult):
        yield old.right


def _of_sign(old: ast.UnaryOp) -> Iterator[ast.AST]:
    yield old.operand


def _of_comparison(old: ast.Compare) -> Iterator[ast.AST]:
    for other in COMPARISONS[type(old.ops[0])]:
        yield ast.Compare(old.left, [other(), *old.ops[1:]], old.comparators)


def _of_call(old: ast.Call) -> Iterator[ast.AST]:
    positional = [a for a in old.args if not isinstance(a, ast.Starred | ast.GeneratorExp)]
    called = getattr(old.func, "attr", getattr(old.func, "id", ""))
    if called not in CONVERSIONS:
        yield from positional[:3]
    for i in range(len(positional) - 1 if positional == old.args and called not in SYMMETRIC else 0):
        yield ast.Call(old.func, [*positional[:i], positional[i + 1], positional[i], *positional[i + 2 :]], old.keywords)
    for i, argument in enumerate(old.args):
        if isinstance(argument, ast.Name) and argument.id == "axis":
            for axis in other_axes(argument):
                yield ast.Call(old.func, [*old.args[:i], axis, *old.args[i + 1 :]], old.keywords)
    for keyword in old.keywords:
        yield from _of_keyword(old, keyword)


def _of_keyword(old: ast.Call, keyword: ast.keyword) -> Iterator[ast.AST]:
    rest = [k for k in old.keywords if k is not keyword]
    others: list[ast.expr] = []
    if keyword.arg == "strict":
        return  # a check of zip's, not a result
    if keyword.arg == "axis":
        others = other_axes(keyword.value)
    elif keyword.arg == "keepdims" and not isinstance(keyword.value, ast.Constant):
        others = [ast.UnaryOp(ast.Not(), keyword.value)]
    yield ast.Call(old.func, old.args, rest)
    yield from (ast.Call(old.func, old.args, [*rest, ast.keyword(keyword.arg, other)]) for other in others)


def other_axes(axis: ast.expr) -> list[ast.expr]:
    """What could be said for an axis: all of them, the first, the last or the next."""
    shifted = [] if isinstance(axis, ast.Constant | ast.UnaryOp) else [moved(axis, 1)]
    return [ast.Constant(None), ast.Constant(0), _literal(-1), *shifted]


def _of_slice(old: ast.Slice) -> Iterator[ast.AST]:
    """Bounds that are off by one, inwards: beyond the end there is nothing."""
    if old.lower is None or number(old.lower) is None:
        yield ast.Slice(moved(old.lower or _literal(0), 1), old.upper, old.step)
    if old.upper is None or number(old.upper) is None:
        yield ast.Slice(old.lower, moved(old.upper or _literal(0), -1), old.step)


def _of_choice(old: ast.IfExp) -> Iterator[ast.AST]:
    yield old.body
    yield old.orelse
    yield ast.IfExp(old.test, old.orelse, old.body)


def _of_condition(old: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(old.op, ast.And) else ast.And(), old.values)
    yield from old.values


def _of_item(old: ast.Subscript) -> Iterator[ast.AST]:
    if isinstance(old.ctx, ast.Load):
        yield old.value


def _of_branch(old: ast.If) -> Iterator[ast.AST]:
    yield ast.If(ast.UnaryOp(ast.Not(), old.test), old.body, old.orelse)


def _of_assignment(old: ast.Assign) -> Iterator[ast.AST | None]:
    targets = {n.id for target in old.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    if targets & {n.id for n in ast.walk(old.value) if isinstance(n, ast.Name)}:
        yield None  # a step left out


def _of_update(old: ast.AugAssign) -> Iterator[ast.AST | None]:
    yield None
    if type(old.op) in OPERATORS:
        yield ast.AugAssign(old.target, OPERATORS[type(old.op)](), old.value)


def _of_filter(old: ast.comprehension) -> Iterator[ast.AST]:
    if old.ifs:
        yield ast.comprehension(old.target, old.iter, [], old.is_async)


def _of_returned(old: Any) -> Iterator[ast.AST]:
    """The other sign; of several results, another order, or one without a sign, or one that is missing."""
    if not isinstance(old, ast.Tuple | ast.List):
        yield from _negated(old)
        return
    for i, part in enumerate(old.elts):
        for other in (ast.Constant(None), *_negated(part)):
            yield type(old)([*old.elts[:i], other, *old.elts[i + 1 :]], old.ctx)
        if i:
            yield type(old)([*old.elts[: i - 1], part, old.elts[i - 1], *old.elts[i + 1 :]], old.ctx)


def _negated(old: ast.expr) -> list[ast.expr]:
    """A result with the other sign, where it may be a number that has no sign to lose."""
    numeric = isinstance(old, ast.Name | ast.BinOp | ast.Call | ast.IfExp | ast.Subscript | ast.Attribute)
    return [ast.UnaryOp(ast.USub(), old)] if numeric else []


CHANGES: dict[type, Any] = {
    ast.BinOp: _of_operation,
    ast.UnaryOp: _of_sign,
    ast.Compare: _of_comparison,
    ast.Constant: _of_constant,
    ast.Call: _of_call,
    ast.Slice: _of_slice,
    ast.IfExp: _of_choice,
    ast.BoolOp: _of_condition,
    ast.Subscript: _of_item,
    ast.If: _of_branch,
    ast.Assign: _of_assignment,
    ast.AugAssign: _of_update,
    ast.comprehension: _of_filter,
}
