"""Numbers that stay symbols while a step is recorded, such as a learning rate, and who records it.

A symbol goes through arithmetic as the number would. What it becomes is an expression, which a replay works out anew.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar

from .switches import Switch

F = TypeVar("F", bound=Callable[..., Any])

tracing: Final = Switch[Any]("tracing", None)
"""The recording of the step that is recorded in this context, or None."""


class Symbol:
    """A number with the expression that gives it. It is no float, so that nothing takes its value unseen."""

    __slots__ = ("text", "value")
    __array_ufunc__: Any = None

    def __init__(self, value: Any, text: str) -> None:
        self.value: Any = value
        self.text: str = text

    def __bool__(self) -> bool:
        tracing.get().check(self, bool(self.value))
        return bool(self.value)

    def _refused(self, *_: Any) -> Any:
        raise tracing.get().refused(
            f"a number that changes from call to call is asked for its value, {self.value!r}",
            "only +, -, *, /, ** and comparisons of it are captured; work out the rest outside of the step",
        )


def literal(value: Any) -> str:
    """A number as Python source."""
    if isinstance(value, Symbol):
        return value.text
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _unary(name: str, sign: str) -> Callable[[Symbol], Symbol]:
    f: Callable[[Any], Any] = getattr(operator, name)
    return lambda self: Symbol(f(self.value), f"({sign}({self.text}))")


def _binary(name: str, sign: str, *, reflected: bool) -> Callable[[Symbol, Any], Any]:
    f: Callable[[Any, Any], Any] = getattr(operator, name)

    def apply(self: Symbol, other: Any) -> Any:
        if not isinstance(other, Symbol | int | float):
            return NotImplemented
        a, b = (other, self) if reflected else (self, other)
        values = [x.value if isinstance(x, Symbol) else x for x in (a, b)]
        return Symbol(f(*values), f"({literal(a)} {sign} {literal(b)})")

    return apply


for _name in ("float", "int", "index", "round", "trunc", "repr", "str", "format", "hash"):
    setattr(Symbol, f"__{_name}__", Symbol._refused)
for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}.items():
    setattr(Symbol, f"__{_name}__", _binary(_name, _sign, reflected=False))
    setattr(Symbol, f"__r{_name}__", _binary(_name, _sign, reflected=True))
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Symbol, f"__{_name}__", _binary(_name, _sign, reflected=False))
for _name, _sign in {"neg": "-", "pos": "+", "abs": "magnitude"}.items():
    setattr(Symbol, f"__{_name}__", _unary(_name, _sign))


def sqrt(x: Any) -> Any:
    """`math.sqrt`, also of a symbol."""
    return Symbol(math.sqrt(x.value), f"root({x.text})") if isinstance(x, Symbol) else math.sqrt(x)


def number(x: Any) -> Any:
    """The number in an array of one element, as Python's; while a step is recorded, its symbol."""
    recording = tracing.get()
    return float(x) if recording is None else recording.number(x)


def chosen(condition: Any, a: Any, b: Any) -> Any:
    """`a() if condition else b()`; of a symbol whichever holds at a replay, which both must then be numbers for."""
    if not isinstance(condition, Symbol):
        return a() if condition else b()
    first, second = a(), b()
    value = getattr(first if condition.value else second, "value", first if condition.value else second)
    return Symbol(value, f"({literal(first)} if {condition.text} else {literal(second)})")


def whole(f: F) -> F:
    """Have an array function recorded as one call: one that takes as many elements as there are, or looks at values.

    The shape of its result must depend on shapes and settings alone, and it may write to nothing that it was given.
    """

    def call(backend: Any, *args: Any, **settings: Any) -> Any:
        return backend.whole(f, args, settings) if backend.name == "traced" else f(backend, *args, **settings)

    return functools.wraps(f)(call)  # type: ignore[return-value]
