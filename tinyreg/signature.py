"""How a call is matched to the parameters of an op, and how arguments are named in errors.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any, TypeVar

PLAIN = {bool, int, float, str, tuple, type(None)}
"""What settings are most of the time."""


F = TypeVar("F", bound=Callable[..., Any])
RENAMED = {"dim": "axis", "dims": "axis", "keepdim": "keepdims"}
"""PyTorch's names for settings that have NumPy's here."""


def with_axis(f: F) -> F:
    """f, where an error about PyTorch's name for a setting says what it is called here, as the error of an op does."""
    axis = "axes" if "axes" in inspect.signature(f).parameters else "axis"

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and (found := RENAMED.keys() & kwargs.keys()):
            hints = ", ".join(f"{name} is {RENAMED[name].replace('axis', axis)} here" for name in sorted(found))
            raise TypeError(f"{f.__name__}: got an unexpected keyword argument; {hints}")
        return f(*args, **kwargs)

    return call  # type: ignore[return-value]


MANY = 16
"""How many arguments an error names one by one."""


KINDS: tuple[type[Exception], ...] = (TypeError, ValueError, IndexError, NotImplementedError)
KINDS += (FloatingPointError, MemoryError, OverflowError)
"""What an op raises: the kind of error that the array library raised, or RuntimeError."""


TAKEN = {"g": "the incoming gradient", "y": "the result", "xp": "the array library"}
"""What VJPs call by these names, so that no parameter can have them."""


def described(value: Any) -> str:
    """A value in an error message: dtype and shape of an array, anything else as it prints."""
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else repr(value)


# ---- functions that every op calls: compiled, so that they are as quick as if they had been written out for it ---------


@functools.cache
def _code(text: str) -> CodeType:
    """Compiled once for all ops with the same parameters: the import would take longer."""
    return compile(text, "<string>", "eval")


def keeping(sources: Mapping[str, str], wanted: Sequence[int], like: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """The function that keeps values by name.

    sources: for each name, an expression of values (the arguments), y, settings, aside (residuals), xp, wanted and like.
    """
    named = ", ".join(f"{name!r}: {source}" for name, source in sources.items())
    scope = {"wanted": wanted, "like": like}
    return eval(_code(f"lambda values, y, settings, aside, xp: {{{named}}}"), scope)  # type: ignore[no-any-return]


def pulling(
    rules: Sequence[tuple[Sequence[int], Callable[..., Any], Sequence[str]]], first: int
) -> Callable[..., list[Any]]:
    """The function that asks VJPs, given g, what was kept, and parents: positions of arguments, and gradients for them.

    rules: the arguments that a VJP serves, the VJP, and what it names. It runs where one of them has a parent.
    first: where the operands of `*xs` begin, which are one argument there; beyond the arguments where there is no `*xs`.
    """
    pairs, vjps = [], {f"vjp{k}": vjp for k, (_, vjp, _) in enumerate(rules)}
    for name, (positions, _, names) in zip(vjps, rules, strict=True):
        kept = ["g", *(f"kept[{n!r}]" for n in names if n != "position")]
        call = f"{name}({', '.join(kept)})"
        asked = " or ".join(f"parents[{p}]" for p in positions)
        if "position" in names:  # one operand at a time
            call = f"{name}({', '.join(kept)}, position=i - {first})"
            pairs.append(f"*((i, {call}) for i in range({first}, len(parents)) if parents[i])")
        elif first in positions:
            pairs.append(f"*(zip(range({first}, len(parents)), {call}, strict=True) if any(parents[{first}:]) else ())")
        elif len(positions) == 1:
            pairs.append(f"({positions[0]}, {call} if {asked} else None)")
        else:
            pairs.append(f"*(zip({positions}, {call}, strict=True) if {asked} else ())")
    return eval(_code(f"lambda g, kept, parents: [{', '.join(pairs)}]"), vjps)  # type: ignore[no-any-return]


def _spread(values: Sequence[Any]) -> Sequence[Any]:
    """The operands of `*xs`, also where they come as one list."""
    return values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values


class Signature:
    """The parameters of an op: array arguments, perhaps optional (`=None`) or any number (`*xs`), and settings."""

    def __init__(self, name: str, f: Callable[..., Any], skip: int) -> None:
        parameters = list(inspect.signature(f).parameters.values())[skip:]
        self.name, self.doc, self.python = name, f.__doc__, inspect.Signature(parameters)
        for p in parameters:
            if p.name in TAKEN:
                raise TypeError(
                    f"{name}: got a parameter {p.name}, expected another name: in a VJP {p.name} is {TAKEN[p.name]}"
                )
        self.arguments = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.settings = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.defaults = {p.name: p.default for p in parameters if p.name in self.settings and p.default is not p.empty}
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
        self.first = len(self.arguments) - bool(self.variadic)  # where the operands of *xs begin
        self.text = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)

    def __str__(self) -> str:
        return f"{self.name}({self.text})"

    def argument(self, i: int) -> str:
        """The name of the i-th argument."""
        return self.arguments[min(i, len(self.arguments) - 1)]

    def sources(self, residuals: Sequence[str]) -> dict[str, str]:
        """Where a call has what VJPs may name, but for the operands of `*xs`: as `keeping` takes it."""
        found = {name: f"values[{i}]" for i, name in enumerate(self.arguments[: self.first])} | {"y": "y"}
        found |= {f"{name}_like": f"like(values[{i}], xp)" for i, name in enumerate(self.arguments[: self.first])}
        found |= {name: f"settings[{name!r}]" for name in self.settings}
        found |= {name: f"aside[{i}]" for i, name in enumerate(residuals)}
        return found | {"xp": "xp", "wanted": "wanted"}

    def matching(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """The function that takes a call in any form to `apply(arguments, settings)`: Python itself does the matching.

        Without a star before them, settings may also come by position.
        """
        arrays = "".join(f"{'*' * (name == self.variadic)}{name}, " for name in self.arguments)
        settings = "".join(f"{s!r}: {s} if _type({s}) in _PLAIN else _plain({s!r}, {s}), " for s in self.settings)
        scope = {"_apply": apply, "_spread": _spread, "_type": type, "_PLAIN": PLAIN, "_plain": self.plain, "_none": {}}
        given = f"{'_spread' * bool(self.variadic)}(({arrays})), {f'{{{settings}}}' if settings else '_none'}"
        call = eval(_code(f"lambda {self.text}: _apply({given})"), scope)
        call.__name__, call.__doc__ = self.name, self.doc
        axis = ", where axis is PyTorch's dim" * ("axis" in self.settings)
        call.__qualname__ = (
            f"expected {self}{axis}; {self.name}"  # with it begins Python's error for a call that does not fit
        )
        return call  # type: ignore[no-any-return]

    def running(self) -> Callable[..., Any]:
        """The function that calls an array function with xp, a list of the arguments, and all settings."""
        given = [f"values[{i}]" for i in range(self.first)] + [f"*values[{self.first}:]"] * bool(self.variadic)
        given += [f"{name}=settings[{name!r}]" for name in self.settings]
        return eval(_code(f"lambda f, xp, values, settings: f(xp, {', '.join(given)})"), {})  # type: ignore[no-any-return]

    def plain(self, name: str, value: Any) -> Any:
        """A less usual value of a setting, an array of one number as that; `TypeError` for another array or a Tensor."""
        if hasattr(value, "dtype") and hasattr(value, "item") and not isinstance(value, type):
            if getattr(value, "ndim", 0) or hasattr(value, "requires_grad"):
                raise TypeError(
                    f"{self.name}: got {described(value)} for the setting {name}, expected a plain Python value: a "
                    "setting has no gradient. Use .item() or .tolist() if that is what you mean"
                )
            return value.item()  # so that float32 stays float32
        return value

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
        shown = [f"{self.argument(i)} {described(a)}" for i, a in enumerate(arrays[:MANY]) if a is not None]
        got = ", ".join(shown + [f"and {len(arrays) - MANY} more"] * (len(arrays) > MANY))
        kind = next((k for k in KINDS if isinstance(error, k)), RuntimeError)
        expected = "" if kind in (FloatingPointError, MemoryError) else f"; expected {expects or self}"
        return kind(f"{self.name}: got {got} on {place}{expected}. {error}")
