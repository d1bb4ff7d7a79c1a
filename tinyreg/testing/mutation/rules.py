"""Rules for mutants that are no mistake: patterns of syntax trees, in which a local variable has no name.

A rule is written as Python, `before -> after`, and fits a mutant where what was changed, or something around it, looks like
the one before and like the other afterwards:

    A if N in wanted else None -> A
    A.sum(axis=1) -> A.sum(axis=-1); A.sum(axis=None)

What follows a semicolon is another form of what comes after. A capital, perhaps with a digit, stands for any expression or
name, the same wherever it stands again; `...` at the end of a call for further arguments, and as a body for any statements;
`pass` for a statement that is left out. A name in small letters is that of a parameter, or of something outside of the
function. Local variables may be called anything, so only a capital stands for one: to rename them changes nothing here.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

ANYTHING = re.compile(r"[A-Z]\d?")
REST = "..."

ALWAYS = {
    "A if N in wanted else None -> A": "what nobody wants is dropped; not to work it out saves time",
    "xp.ascontiguousarray(A) -> A": "only the order in memory differs, which saves time",
    "xp.multiply(A, B, ...) -> xp.multiply(B, A, ...)": "a product",
    "A.swapaxes(M, N) -> A.swapaxes(N, M)": "an exchange goes both ways",
    "A.transpose(B, 2, C, D) -> A.transpose(B, -2, C, D)": "there are four axes",
    "A.transpose(B, C, 2, D) -> A.transpose(B, C, -2, D)": "there are four axes",
    "A.transpose(B, C, D, 2) -> A.transpose(B, C, D, -2)": "there are four axes",
}
"""Rules that hold for every op, each with its reason."""

Path = tuple[tuple[ast.AST, str, int | None], ...]
Bound = dict[str, str]  # what capitals stand for, as the dump of a tree


class Change(NamedTuple):
    """What makes a mutant: the node that is changed and those around it, what stands there instead, and the locals.

    path: from the statement in the function's body to the node, each with the field of the one before that holds it, and
    the place there in a list.
    """

    path: Path
    new: ast.AST | None
    local: frozenset[str]

    @property
    def old(self) -> ast.AST:
        """What is changed."""
        return self.path[-1][0]

    def fits(self, rule: str) -> bool:
        """Whether a rule describes this change; False for what is no rule."""
        before, *after = _parsed(rule)
        nodes = [(depth, _value(node)) for depth, (node, _, _) in enumerate(self.path)]
        return any(self._fits(before, after, depth, node) for depth, node in nodes if type(node) is type(before))

    def within(self, pattern: str) -> bool:
        """Whether what is changed lies in something that looks like a pattern."""
        return any(_like(_tree(pattern), node, {}, self.local) for node, _, _ in self.path)

    def _fits(self, before: Any, after: list[Any], depth: int, node: ast.AST) -> bool:
        bound: Bound = {}
        return _like(before, node, bound, self.local) and any(
            _like(side, _value(self._after(depth)), dict(bound), self.local) for side in after
        )

    def _after(self, depth: int) -> ast.AST:
        """A node of the path as it is with the change in place; only what lies on the path is new."""
        node: ast.AST = self.new or ast.Pass()
        for (parent, _, _), (_, field, at) in reversed([*itertools.pairwise(self.path[depth:])]):
            held = getattr(parent, field)
            fields = dict(ast.iter_fields(parent))
            fields[field] = node if at is None else [*held[:at], node, *held[at + 1 :]]
            node = ast.copy_location(type(parent)(**fields), parent)
        return node


def rewritten(rule: str, node: ast.AST) -> Iterator[ast.AST]:
    """What a rule, read as an instruction, makes of a node: nothing where it does not fit."""
    before, *after = _parsed(rule)
    bound: Bound = {}
    fits = before is not None and _like(before, node, bound, frozenset())
    if fits and not any(text.startswith("*") for text in bound.values()):
        yield from (_Filled(bound).visit(copy.deepcopy(side)) for side in after)


class _Filled(ast.NodeTransformer):
    """A pattern with what its capitals stand for in their places."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.parse(self.bound[node.id], mode="eval").body if node.id in self.bound else node


@functools.cache
def _parsed(rule: str) -> list[Any]:
    """The side before and all those after; nothing at all where a text is no rule."""
    before, arrow, after = rule.partition(" -> ")
    try:
        return [_tree(side) for side in (before, *after.split("; "))] if arrow else [None]
    except SyntaxError:
        return [None]


def _tree(text: str) -> ast.AST:
    (statement,) = ast.parse(text).body
    return _value(statement)


def _value(node: ast.AST) -> ast.AST:
    """The expression that is a statement; anything else as it is."""
    return node.value if isinstance(node, ast.Expr) else node


def _like(pattern: Any, node: Any, bound: Bound, local: frozenset[str]) -> bool:
    """Whether a pattern fits a node, a list of them, or a field; what capitals stand for is noted."""
    if isinstance(pattern, list):
        return isinstance(node, list) and _all_like(pattern, node, bound, local)
    if isinstance(pattern, ast.Name) and ANYTHING.fullmatch(pattern.id):
        return isinstance(node, ast.expr) and _same(pattern.id, ast.unparse(node), bound)
    if not isinstance(pattern, ast.AST):
        capital = isinstance(pattern, str) and isinstance(node, str) and ANYTHING.fullmatch(pattern)
        return _same(pattern, node, bound) if capital else type(pattern) is type(node) and pattern == node
    if type(pattern) is not type(node) or (isinstance(node, ast.Name) and node.id in local):
        return False
    if isinstance(pattern, ast.Call) and isinstance(node, ast.Call):
        return _call_like(pattern, node, bound, local)
    left_out = {"ctx", "kind", "type_comment", "orelse" if not getattr(pattern, "orelse", None) else ""}
    fields = [field for field in pattern._fields if field not in left_out]
    return all(_like(getattr(pattern, f, None), getattr(node, f, None), bound, local) for f in fields)


def _call_like(pattern: ast.Call, node: ast.Call, bound: Bound, local: frozenset[str]) -> bool:
    """Whether a pattern fits a call; keywords come in any order."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    named = [(keyword.value, given.pop(keyword.arg, None)) for keyword in pattern.keywords]
    more = "; ".join(sorted(f"{name}={ast.unparse(value)}" for name, value in given.items()))
    open_end = bool(pattern.args) and _is_rest(pattern.args[-1])
    return (
        _like(pattern.func, node.func, bound, local)
        and _all_like(pattern.args, node.args, bound, local)
        and all(_like(p, value, bound, local) for p, value in named)
        and (_same("**" + REST, more, bound) if open_end else not given)
    )


def _all_like(patterns: list[Any], nodes: list[Any], bound: Bound, local: frozenset[str]) -> bool:
    """Whether patterns fit nodes one by one, and `...` at the end all that are left."""
    if patterns and _is_rest(patterns[-1]):
        *patterns, _ = patterns
        nodes, left = nodes[: len(patterns)], nodes[len(patterns) :]
        if not _same(REST, "; ".join(map(ast.unparse, left)), bound):
            return False
    return len(patterns) == len(nodes) and all(_like(p, n, bound, local) for p, n in zip(patterns, nodes, strict=True))


def _is_rest(pattern: Any) -> bool:
    node = pattern.value if isinstance(pattern, ast.Expr) else pattern
    return isinstance(node, ast.Constant) and node.value is ...


def _same(name: str, text: str, bound: Bound) -> bool:
    """Whether a capital stands for a text, as it did before where it stood for something already."""
    return bound.setdefault(name, text) == text
