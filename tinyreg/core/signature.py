"""How a call is matched to the parameters of an op, and how arguments are named in errors."""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType
from typing import Any

from . import errors

SIMPLE = {bool, int, float, str, tuple, type(None)}
"""What settings are most of the time."""

TAKEN = {"g": "the incoming gradient", "y": "the result", "xp": "the array library"}
"""What VJPs call by these names, so that no parameter can have them."""


@functools.cache
def _compiled(source: str) -> CodeType:
    """The code of the one function in a source: compiled once for all ops with the same parameters, which takes long."""
    return next(part for part in compile(source, "<op>", "exec").co_consts if isinstance(part, CodeType))


def _spread(values: Sequence[Any]) -> Sequence[Any]:
    """The operands of `*xs`, also where they come as one list."""
    return values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values


class Signature:
    """The parameters of an op: array arguments, perhaps optional (`=None`) or any number (`*xs`), and settings.

    Settings are keyword-only, or stand after a `/`.
    """

    def __init__(self, name: str, f: Callable[..., Any], skip: int) -> None:
        parameters = list(inspect.signature(f).parameters.values())[skip:]
        self.name: str = name
        self.own_name: str = f.__name__
        self.doc: str | None = f.__doc__
        for p in parameters:
            if p.name in TAKEN:
                raise errors.reserved(name, p.name, TAKEN[p.name])
        slash = any(p.kind is p.POSITIONAL_ONLY for p in parameters)
        settings = {inspect.Parameter.KEYWORD_ONLY, *[inspect.Parameter.POSITIONAL_OR_KEYWORD] * slash}
        self.arguments: list[str] = [p.name for p in parameters if p.kind not in settings]
        self.settings: list[str] = [p.name for p in parameters if p.kind in settings]
        self.defaults: dict[str, Any] = {
            p.name: p.default for p in parameters if p.name in self.settings and p.default is not p.empty
        }
        self.variadic: str = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
        self.first: int = len(self.arguments) - bool(self.variadic)  # where the operands of *xs begin
        self.text: str = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)
        optional = [p.default is not p.empty for p in parameters]
        # settings also come by position, but not where one is needed behind an optional array
        self.by_name: bool = bool(self.variadic) or optional != sorted(optional)
        if not self.by_name:
            parameters = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]
        self.python: inspect.Signature = inspect.Signature(parameters)

    def __str__(self) -> str:
        return f"{self.name}({self.text})"

    def argument(self, i: int) -> str:
        """The name of the i-th argument."""
        return self.arguments[min(i, len(self.arguments) - 1)]

    def matching(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """The function that takes a call in any form to `apply(arguments, settings)`: Python itself does the matching.

        It is written out and compiled for the parameters of the op, since to match them by `inspect` takes longer than
        most ops. Without a star before them, settings may also come by position.
        """
        parameters = self.python.parameters.values()
        arrays = [f"{'*' * (name == self.variadic)}{name}" for name in self.arguments]
        settings = ", ".join(f"{s!r}: {s} if _type({s}) in _SIMPLE else _setting({s!r}, {s})" for s in self.settings)
        values = f"({''.join(f'{array}, ' for array in arrays)})"
        given = f"{f'_spread({values})' if self.variadic else values}, {{{settings}}}"
        star = ["*"] * (self.by_name and not self.variadic)
        source = f"def call({', '.join(arrays + star + self.settings)}):\n    return _apply({given})\n"
        scope = {"_apply": apply, "_spread": _spread, "_type": type, "_SIMPLE": SIMPLE, "_setting": self.setting}
        file = f"<tinyreg call of {self.name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for tracebacks
        call = FunctionType(_compiled(source).replace(co_filename=file, co_name=self.name), scope)
        call.__kwdefaults__ = self.defaults if self.by_name else {}
        defaults = [p.default for p in parameters if p.default is not p.empty]
        call.__defaults__ = tuple(defaults[: len(defaults) - len(call.__kwdefaults__)])
        call.__doc__ = self.doc
        axis = ", where axis is PyTorch's dim" * ("axis" in self.settings)
        call.__qualname__ = f"expected {self}{axis}; {self.name}"  # Python's error for a call that does not fit begins so
        return call

    def setting(self, name: str, value: Any) -> Any:
        """A less usual value of a setting, an array of one number as that; `TypeError` for another array or a Tensor."""
        if hasattr(value, "dtype") and hasattr(value, "item") and not isinstance(value, type):
            if getattr(value, "ndim", 0) or hasattr(value, "requires_grad"):
                raise errors.array_as_setting(self.name, name, value)
            return value.item()  # so that float32 stays float32
        return value

    def asked(self, vjp: Any, arguments: Sequence[str], offers: Iterable[str]) -> tuple[str, ...]:
        """The names that a VJP of `arguments` asks for; `TypeError` for one that is not on offer."""
        g, *names = vjp.__code__.co_varnames[: vjp.__code__.co_argcount]
        known = {*offers, *self.settings, *self.arguments, *(f"{name}_like" for name in self.arguments)}
        unknown = [name for name in names if name not in known] + [g] * (g != "g")
        unknown += ["position (it comes last)"] * ("position" in names[:-1])
        if unknown or not set(arguments) <= set(self.arguments):
            raise errors.not_on_offer(self.name, arguments, unknown or arguments, known)
        return tuple(names)
