"""From a function to its syntax tree, and from a changed tree back to a function of the same module."""

from __future__ import annotations
import __future__

import ast
import dis
import functools
import linecache
import warnings
from collections.abc import Container, Iterable
from types import CodeType, FunctionType
from typing import Any

Node = ast.FunctionDef | ast.Lambda


@functools.lru_cache
def _functions(text: str) -> list[Node]:
    try:
        return [node for node in ast.walk(ast.parse(text)) if isinstance(node, Node)]
    except SyntaxError:
        return []  # a file of another kind, or one that has changed since


def located(f: FunctionType) -> Node | None:
    """The syntax tree of a function, also of one of several lambdas in a line; None where its source is not at hand.

    The tree is shared: copy it before you change it.
    """
    code = f.__code__
    fits = [n for n in _functions("".join(linecache.getlines(code.co_filename, f.__globals__))) if _fits(n, code)]
    # A lambda that gives a constant may have no place in the code. Of several, which one it is cannot be told.
    # Of nested ones, the innermost that holds all the code starts last.
    return max(fits, key=_start, default=None) if len(fits) == 1 or _spans(code) else None


def _fits(node: Node, code: CodeType) -> bool:
    """Whether a tree has the line and the parameters of the code, and holds all the places that the code names."""
    a = node.args
    names = tuple(arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs))
    return (
        _first_line(node) == code.co_firstlineno
        and names == code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        and all(_start(node) <= start and end <= _end(node) for start, end in _spans(code))
    )


def _spans(code: CodeType) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the instructions come from, begin and end; those that the compiler adds come from nowhere."""
    return [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and end_column and column is not None
    ]


def _first_line(node: Node) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *(d.lineno for d in decorators)])


def _start(node: Node) -> tuple[int, int]:
    return (node.body.lineno, node.body.col_offset) if isinstance(node, ast.Lambda) else (_first_line(node), 0)


def _end(node: Node) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def compiled(f: FunctionType, node: Node) -> FunctionType:
    """A function from a changed tree of f, with the globals, the defaults, the closure and the name of f."""
    arguments = _plain(node.args)
    # No name of its own: a function that calls itself finds what its module, or the function around it, has.
    inner: ast.stmt
    if isinstance(node, ast.Lambda):
        inner = ast.Expr(ast.Lambda(arguments, node.body))
    else:  # with a branch never taken that names the free variables, so that it has all of them still
        named: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in f.__code__.co_freevars]
        inner = _def("<mutant>", arguments, [*node.body, ast.If(ast.Constant(False), named, [])] if named else node.body)
    # Free variables are parameters of a function around it, so that the compiler takes them for free again.
    free = [ast.arg(name) for name in f.__code__.co_freevars]
    around = _def("<around>", ast.arguments([], free, None, [], [], None, []), [inner])
    flags = f.__code__.co_flags & __future__.annotations.compiler_flag
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a mutant may look odd
        module = ast.fix_missing_locations(ast.Module([around], []))
        outer = compile(module, f"<mutant of {f.__name__}>", "exec", flags=flags, dont_inherit=True)
    code = _code_in(_code_in(outer)).replace(co_name=f.__code__.co_name, co_qualname=f.__code__.co_qualname)
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    mutant = FunctionType(code, f.__globals__, f.__name__, f.__defaults__, closure)
    mutant.__kwdefaults__ = f.__kwdefaults__
    return mutant


def _def(name: str, arguments: ast.arguments, body: list[ast.stmt]) -> ast.FunctionDef:
    made = ast.FunctionDef(name, arguments, body, [])
    vars(made).setdefault("type_params", [])  # a field from Python 3.12 on
    return made


def _plain(a: ast.arguments) -> ast.arguments:
    """The parameters without defaults and annotations, which are code of their own and run when a function is made."""

    def bare(args: Iterable[ast.arg]) -> list[ast.arg]:
        return [ast.arg(arg.arg) for arg in args]

    vararg, kwarg = (arg and ast.arg(arg.arg) for arg in (a.vararg, a.kwarg))
    return ast.arguments(
        bare(a.posonlyargs), bare(a.args), vararg, bare(a.kwonlyargs), [None for _ in a.kwonlyargs], kwarg, []
    )


def _code_in(code: CodeType) -> CodeType:
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


ENGINE = ("tinyreg.core.", "tinyreg.creation", "tinyreg.transforms")
"""What a VJP may call without it being a part of the derivative; the engine has mutants of its own."""


def helpers(functions: Iterable[Any], beyond: Container[str] = ()) -> list[FunctionType]:
    """The plain functions of the same package that functions call by a global name, and those that these call.

    Nothing of the engine, none of the names in `beyond`, nor what only these call.

    >>> from tinyreg.testing.mutation.source import helpers
    >>> import tinyreg as tr
    >>> [f.__name__ for f in helpers([tr.atan2.rules[0][1]])]
    ['_turned', 'length', 'finite']
    """
    reached: dict[FunctionType, None] = {}
    ahead = [function for f in functions if isinstance(function := unwrapped(f), FunctionType)]
    while ahead:
        f = ahead.pop(0)
        package = str(f.__module__).partition(".")[0]
        for name in _globals_of(f.__code__):
            other = f.__globals__.get(name)
            if not isinstance(other, FunctionType) or other in reached or other.__name__ in beyond:
                continue
            if str(other.__module__).partition(".")[0] == package and not other.__module__.startswith(ENGINE):
                reached[other] = None
                ahead.append(other)
    return list(reached)


def unwrapped(f: Any) -> Any:
    """What a `functools.partial` calls; anything else as it is."""
    return f.func if isinstance(f, functools.partial) else f


def _globals_of(code: CodeType) -> list[str]:
    """The global names that code reads, and the code of functions inside it: names of attributes are others."""
    names = [i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    return [*names, *(name for c in code.co_consts if isinstance(c, CodeType) for name in _globals_of(c))]
