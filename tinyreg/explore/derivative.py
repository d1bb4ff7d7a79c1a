"""The derivative that runs for an argument: its source, and one line that says it in the field's notation.

Nothing is written twice. The line is read off the source where that is one expression; otherwise it is the docstring of the
VJP, or the sentence of the op's docstring that begins with "Derivative".
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from .. import ops
from ..core.primitive import Primitive


def rule(op: Any, i: int) -> Any:
    """The VJP that an op calls for its i-th argument; None for a checkpoint, which has none."""
    if not isinstance(op, Primitive):
        return None
    place = min(i, op.signature.first)
    return next((vjp for places, vjp, _ in op.rules if place in places), None)


def source(op: Any, i: int) -> str:
    """The code of that VJP, and of the private functions that it calls; of a checkpoint what it does."""
    vjp = rule(op, i)
    if vjp is None:
        return inspect.getdoc(op) or "" if not isinstance(op, Primitive) else ""
    try:
        return "\n\n".join(map(code, [vjp, *dict.fromkeys(_helpers(vjp))]))
    except (OSError, TypeError, SyntaxError, LookupError):  # typed in, where there is no source
        return ""


def formula(op: Any, i: int) -> str:
    """What that VJP gives, in one line; empty where nothing says it.

    >>> import tinyreg as tr
    >>> from tinyreg.explore.derivative import formula
    >>> formula(tr.multiply, 0), formula(tr.matmul, 1), formula(tr.tanh, 0)
    ('∂L/∂x1 = g · x2', '∂L/∂x2 = x1ᵀ g', '∂y/∂x = 1 / cosh(x)²')
    """
    vjp = rule(op, i)
    if vjp is None:
        return ""
    place = min(i, op.signature.first)
    line = _first_sentence(inspect.getdoc(vjp) or "").removesuffix(".") or _read_off(vjp)
    if line:
        several = next(len(places) > 1 for places, *_ in op.rules if place in places)
        return _raised(line if several else f"∂L/∂{op.signature.arguments[place]} = {line}")
    line = derivative(op)
    if line.startswith("Derivative: "):
        over, argument = "L" if re.search(r"\b(g|incoming)\b", line) else "y", op.signature.arguments[place]
        line = f"∂{over}/∂{argument} = {line.removeprefix('Derivative: ')}"
    return _raised(line)


def expression(op: Any, i: int) -> str:
    """The VJP as one expression of g, y and the names of arguments and settings, where its code is that."""
    vjp = rule(op, i)
    return _raised(_read_off(vjp)) if vjp else ""


def _raised(text: str) -> str:
    """Exponents as one writes them by hand."""
    return text.replace("^T", "ᵀ").replace("^2", "²").replace("^-T", "⁻ᵀ").replace("^-1", "⁻¹")


def is_elementwise(op: Any) -> bool:
    """Whether an op's docstring begins with a formula that holds elementwise: then its VJP is a product with g."""
    return isinstance(op, Primitive) and "elementwise" in first_sentence(op)


def derivative(op: Any) -> str:
    """The sentence of an op's docstring that says its derivative."""
    text = " ".join((inspect.getdoc(op) or "").partition(">>>")[0].split())
    found = re.search(r"Derivatives?: (.*?)(?:\.(?= |$)|$)", text)
    return found[0].removesuffix(".") if found else ""


def first_sentence(op: Any) -> str:
    """The formula with which an op's docstring begins."""
    return _raised(_first_sentence(inspect.getdoc(op) or ""))


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.partition("\n\n")[0].split()), maxsplit=1)[0]


# ---- source


def _helpers(f: Any, among: tuple[Any, ...] = ()) -> Iterator[Any]:
    """The private functions of its own module that a function calls, and those that they call."""
    for name in _names(f.__code__):
        helper = f.__globals__.get(name)
        own = name.startswith("_") and inspect.isfunction(helper) and helper.__module__ == f.__module__
        if own and helper not in among:
            yield helper
            yield from _helpers(helper, (*among, helper))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def code(f: Any) -> str:
    """The lines of a function with its decorators; a lambda alone, without what stands around it."""
    node, lines = _parsed(f)
    if isinstance(node, ast.Lambda):
        first_line, *more = (ast.get_source_segment("".join(lines), node) or "").split("\n")
        return "\n".join([first_line, *textwrap.dedent("\n".join(more)).split("\n")]) if more else first_line
    return textwrap.dedent("".join(lines[_first_line(node) - 1 : node.end_lineno])).strip()


def _parsed(f: Any) -> tuple[Any, list[str]]:
    """The part of its file's syntax tree that is a function, and the lines of the file."""
    lines, _ = inspect.findsource(f)
    kind = ast.Lambda if f.__code__.co_name == "<lambda>" else ast.FunctionDef
    made: list[Any] = [node for node in _functions("".join(lines)) if isinstance(node, kind) and _holds(node, f.__code__)]
    return min(made, key=lambda node: (node.end_lineno - node.lineno, node.end_col_offset - node.col_offset)), lines


@functools.lru_cache(maxsize=16)
def _functions(text: str) -> list[Any]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda | ast.FunctionDef)]


def _holds(node: Any, code: CodeType) -> bool:
    """Whether a function's code begins where a part of the syntax tree does, and for a lambda, whether it is in it."""
    if code.co_firstlineno != _first_line(node) or not isinstance(node, ast.Lambda):
        return bool(code.co_firstlineno == _first_line(node))
    start, end = (node.body.lineno, node.body.col_offset), (node.body.end_lineno, node.body.end_col_offset)
    return any(start <= (line, column) < end for line, _, column, last in code.co_positions() if last)


def _first_line(node: Any) -> int:
    """Where a function begins: at its first decorator."""
    return int([*getattr(node, "decorator_list", ()), node][0].lineno)


# ---- notation


class _UnreadError(Exception):
    """An expression for which there is no notation."""


SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 6)  # how tightly the parts of a text hold together; 0: a sentence
Text = tuple[str, int]

AS_THEY_ARE = {"restored", "astype", "finite", "nonzero", "length", "bounded"}
"""Functions of tinyreg that only fit an array to its place, or keep a limit from being infinite."""

BETWEEN = {"greater": ">", "less": "<", "equal": "=", "logical_and": "and", "logical_or": "or"}


def _read_off(vjp: Any) -> str:
    """The expression that a VJP returns; of several returns the last, which is that of the usual case."""
    try:
        node, _ = _parsed(vjp)
        body = node.body if isinstance(node, ast.Lambda) else _returned(node)
        return _Notation(vjp)(body)[0]
    except (_UnreadError, OSError, TypeError, SyntaxError, LookupError, ValueError):
        return ""


def _returned(node: Any) -> ast.expr:
    *before, last = node.body
    others = [statement for statement in before if not isinstance(statement, ast.If)]
    if others or not isinstance(last, ast.Return) or last.value is None:
        raise _UnreadError
    return last.value


class _Notation:
    """Reads Python as a formula: `g * x2` as g · x2, `matmul(g, matrix_transpose(w))` as g wᵀ."""

    def __init__(self, f: Any) -> None:
        self.known = f.__globals__

    def __call__(self, node: ast.expr) -> Text:
        read: Callable[[Any], Text] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None:
            raise _UnreadError
        return read(node)

    def within(self, node: ast.expr, least: int) -> str:
        text, strength = self(node)
        return text if strength >= least else f"({text})"

    def _name(self, node: ast.Name) -> Text:
        if node.id == "residuals":  # of a fast form: whatever it saved
            raise _UnreadError
        return node.id, ATOM

    def _constant(self, node: ast.Constant) -> Text:
        if not isinstance(node.value, int | float):
            raise _UnreadError
        return f"{node.value:g}", ATOM

    def _attribute(self, node: ast.Attribute) -> Text:
        if isinstance(node.value, ast.Name) and node.value.id == "math" and node.attr == "pi":
            return "π", ATOM
        raise _UnreadError

    def _unaryop(self, node: ast.UnaryOp) -> Text:
        if not isinstance(node.op, ast.USub):
            raise _UnreadError
        return f"-{self.within(node.operand, PRODUCT)}", SIGN

    def _binop(self, node: ast.BinOp) -> Text:
        strength, sign = {
            ast.Add: (SUM, " + "), ast.Sub: (SUM, " - "), ast.Mult: (PRODUCT, " · "), ast.Div: (PRODUCT, " / "),
            ast.MatMult: (PRODUCT, " "), ast.Pow: (POWER, "^"),
        }[type(node.op)]  # fmt: skip
        tight = strength + isinstance(node.op, ast.Pow)
        after = strength + isinstance(node.op, ast.Sub | ast.Div | ast.Pow | ast.MatMult)
        right = self.within(node.right, after)
        right = f"({right})" if right.startswith("-") else right
        return f"{self.within(node.left, tight)}{sign}{right}", strength

    def _call(self, node: ast.Call) -> Text:
        name, arguments = self._called(node), node.args
        if name in AS_THEY_ARE and arguments:
            return self(arguments[0])
        if name == "count":
            return "n", ATOM
        if name == "matrix_transpose":
            return f"{self.within(arguments[0], ATOM)}ᵀ", ATOM
        if name == "matmul":
            return " ".join(self.within(each, POWER) for each in arguments), PRODUCT
        if name == "where":
            condition, yes, no = arguments
            return f"{self.within(yes, SUM)} where {self.within(condition, 0)}, else {self.within(no, SUM)}", 0
        if name == "sqrt":
            return f"√{self.within(arguments[0], ATOM)}", ATOM
        if name in BETWEEN:
            return f" {BETWEEN[name]} ".join(self.within(each, 0) for each in arguments), 0
        shape = next((each.value for each in node.keywords if each.arg == "shape"), None)
        if name == "reshape" and isinstance(shape, ast.Attribute) and isinstance(shape.value, ast.Name):
            return f"{self(arguments[0])[0]} in the shape of {shape.value.id.removesuffix('_like')}", 0
        if not all(self._passed_on(each) for each in node.keywords):
            raise _UnreadError
        return f"{name}({', '.join(self(each)[0] for each in arguments)})", ATOM

    def _called(self, node: ast.Call) -> str:
        """The name of a function of the array API, of `math`, or of those that change nothing here."""
        f = node.func
        if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == "math":
            return f.attr
        if not isinstance(f, ast.Name) or any(isinstance(each, ast.Starred) for each in node.args):
            raise _UnreadError
        given = self.known.get(f.id)
        ours = str(getattr(given, "__module__", "")).startswith("tinyreg.ops.")
        if (given is not None and getattr(ops, f.id, None) is given) or (ours and f.id in AS_THEY_ARE | {"count"}):
            return f.id
        raise _UnreadError

    def _passed_on(self, given: ast.keyword) -> bool:
        """Whether a setting is that of the op itself, or only keeps an axis."""
        return given.arg == "keepdims" or (isinstance(given.value, ast.Name) and given.value.id == given.arg)
