"""How a call is matched to the parameters of an op, and how arguments are named in errors.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

PLAIN = {bool, int, float, str, tuple, type(None)}
"""What settings are most of the time."""


def described(value: Any) -> str:
    """A value in an error message: dtype and shape of an array, anything else as it prints."""
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else repr(value)


def keeping(sources: Mapping[str, str]) -> Callable[..., dict[str, Any]]:
    """The function that keeps values by name: compiled, because every op that is recorded calls one.

    sources: for each name, an expression of values (arguments and result), settings, aside (residuals), xp and wanted.
    """
    named = ", ".join(f"{name!r}: {source}" for name, source in sources.items())
    return eval(f"lambda values, settings, aside, xp, wanted: {{{named}}}")  # type: ignore[no-any-return]


def calling(vjp: Callable[..., Any], names: Sequence[str]) -> Callable[[Any, dict[str, Any]], Any]:
    """The function that calls a VJP with g and what it named, out of what was kept: compiled, as in `keeping`."""
    return eval(f"lambda g, kept: vjp(g, {', '.join(f'kept[{name!r}]' for name in names)})", {"vjp": vjp})  # type: ignore[no-any-return]


class Signature:
    """The parameters of an op: array arguments, perhaps optional (`=None`) or any number (`*xs`), and settings."""

    def __init__(self, name: str, f: Callable[..., Any], skip: int) -> None:
        parameters = list(inspect.signature(f).parameters.values())[skip:]
        self.name, self.python = name, inspect.Signature(parameters)
        self.arguments = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.settings = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.defaults = {p.name: p.default for p in parameters if p.name in self.settings and p.default is not p.empty}
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
        self.first = len(self.arguments) - bool(self.variadic)  # where the operands of *xs begin
        self.text = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)
        # How many positional arguments make a call that needs no matching; -1 where every call does.
        self.arity = -1 if self.variadic or len(self.defaults) < len(self.settings) else self.first
        # Python itself does the matching. Without a star before them, settings may also come by position.
        arrays = ", ".join("*" * (a == self.variadic) + a for a in self.arguments)
        self._match = eval(f"lambda {self.text}: ([{arrays}], dict({', '.join(f'{s}={s}' for s in self.settings)}))")
        self._match.__qualname__ = name

    def __str__(self) -> str:
        return f"{self.name}({self.text})"

    def argument(self, i: int) -> str:
        """The name of the i-th argument."""
        return self.arguments[min(i, len(self.arguments) - 1)]

    def sources(self, residuals: Sequence[str]) -> dict[str, str]:
        """Where a call has what VJPs may name, but for likes and the operands of `*xs`: as `keeping` takes it."""
        found = {name: f"values[{i}]" for i, name in enumerate(self.arguments[: self.first])} | {"y": "values[-1]"}
        found |= {name: f"settings[{name!r}]" for name in self.settings}
        found |= {name: f"aside[{i}]" for i, name in enumerate(residuals)}
        return found | {"xp": "xp", "wanted": "wanted"}

    def bind(self, args: Sequence[Any], given: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """The arguments in order, and every setting, from a call in any form; `TypeError` where it does not fit."""
        if self.variadic and len(args) == 1 and isinstance(args[0], list | tuple):
            args = args[0]
        try:
            arguments, settings = self._match(*args, **given)
        except TypeError as error:
            raise TypeError(f"{error}; expected {self}") from None
        for name, value in settings.items():
            if type(value) in PLAIN:
                continue
            if hasattr(value, "dtype") and hasattr(value, "item") and not isinstance(value, type):
                if getattr(value, "ndim", 0) or hasattr(value, "requires_grad"):
                    raise TypeError(
                        f"{self.name}: got {described(value)} for the setting {name}, expected a plain Python value: a "
                        "setting has no gradient. Use .item() or .tolist() if that is what you mean"
                    )
                settings[name] = value.item()  # so that float32 stays float32
        return arguments, settings

    def asked(self, vjp: Any, arguments: Sequence[str], offers: Iterable[str]) -> tuple[str, ...]:
        """The names that a VJP of `arguments` asks for; `TypeError` for one that is not on offer."""
        g, *names = vjp.__code__.co_varnames[: vjp.__code__.co_argcount]
        known = {*offers, *self.settings, *self.arguments, *(f"{name}_like" for name in self.arguments)}
        unknown = [name for name in names if name not in known] + [g] * (g != "g")
        unknown += ["position (it comes last)"] * ("position" in names[:-1])
        if unknown or not set(arguments) <= set(self.arguments):
            raise TypeError(
                f"{self.name}.vjp{tuple(arguments)}: got the names {', '.join(unknown or arguments)}, expected g first and "
                f"then any of {', '.join(sorted(known))}; a VJP names what the tape is to keep"
            )
        return tuple(names)

    def check_residuals(self, names: Sequence[str], arrays: Sequence[Any]) -> None:
        """`TypeError` for a residual of floats: its own derivative would be missing at second order."""
        for name, array in zip(names, arrays, strict=True):
            if array.dtype.kind == "f":
                raise TypeError(
                    f"{self.name}: the residual {name} is {described(array)}, expected booleans or integers: a float one "
                    "would make second derivatives silently wrong. Work it out in the VJP, from arguments and y"
                )

    def no_vjp(self, argument: str) -> TypeError:
        """The error for an argument that wants a gradient and has none."""
        return TypeError(
            f"{self.name}: argument {argument} wants a gradient but has no VJP; declare one with "
            f"@{self.name}.vjp({argument!r}), or that it has none with nondifferentiable=({argument!r},)"
        )

    def mixed(self, args: Sequence[Any], places: Sequence[str]) -> TypeError:
        """The error for arguments that live on several backends."""
        return TypeError(
            f"{self.name}: got {', '.join(map(described, args))} on {' and '.join(places)}, expected one backend; "
            "move one of them with .to(...)"
        )

    def explained(self, error: Exception, arrays: Sequence[Any], place: str, expects: str) -> Exception:
        """The array library's complaint, with the op, what it was given, and what it takes."""
        got = ", ".join(f"{self.argument(i)} {described(a)}" for i, a in enumerate(arrays) if a is not None)
        kinds = (TypeError, ValueError, IndexError, NotImplementedError, RuntimeError)
        kind = next((k for k in kinds if isinstance(error, k)), RuntimeError)
        return kind(f"{self.name}: got {got} on {place}; expected {expects or self}. {error}")
