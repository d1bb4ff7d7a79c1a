"""What a failed check says: the op, the property, the argument, the inputs, what was seen, and how to see it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .subject import Subject
from .trial import Trial


class Failure(AssertionError):  # noqa: N818 (pytest's word for a test that does not pass)
    """A property that does not hold, with all that is needed to see it again.

    key: of the property, such as "P3". argument: the name of the one concerned, or "". lines: what was seen. looks_like:
    the kind of mistake that gives just these numbers, or "". trial: what failed.
    """

    def __init__(
        self, trial: Trial, key: str, name: str, lines: Sequence[str], *, argument: str = "", looks_like: str = ""
    ) -> None:
        case = trial.case
        self.key, self.argument, self.looks_like, self.trial = key, argument, looks_like, trial
        text = [
            f"{case.name}: {name} FAILED" + f"   d / d {argument}" * bool(argument),
            "  " + "   ".join(described_call(case, trial)),
            *(f"  {line}" for line in lines),
            *([f"  looks like: {looks_like}"] * bool(looks_like)),
            f"  reproduce: {trial.again or reproduction(trial, name)}",
        ]
        super().__init__("\n".join(text))


def described_call(case: Subject, trial: Trial) -> list[str]:
    """Describe every argument by name, with its dtype, shape and elements, and every setting."""
    arrays = [f"{case.argument(i)} = {described(a)}" for i, a in enumerate(trial.call.arrays)]
    return arrays + [f"{name} = {value!r}" for name, value in trial.call.settings.items()]


def described(value: Any) -> str:
    """Give an array as `float64[2] [1.0, 2.0]`."""
    if not hasattr(value, "dtype"):
        return repr(value)
    return f"{value.dtype}{list(value.shape)} {short(value)}"


def short(array: Any) -> str:
    """Give the elements of a small array, in full; of a large one, some of them."""
    with np.printoptions(threshold=24, edgeitems=2, linewidth=1000, formatter={"float_kind": "{:.6g}".format}):
        return " ".join(np.array2string(np.asarray(array), separator=", ").split())


def reproduction(trial: Trial, name: str) -> str:
    """Give a line of Python that runs the check again."""
    case = trial.case
    if case.table:
        module, _, table = case.table.rpartition(".")
        start = f'from {module} import {table}; {table}["{case.name}"]'
    else:
        start = "case"
    arrays = "".join(f"{literal(a)}, " for a in trial.call.arrays)
    settings = ", ".join(f"{name!r}: {literal(value)}" for name, value in trial.call.settings.items())
    line = f'{start}.check("{name}", tr.testing.Call(({arrays}), {{{settings}}}), seed={trial.seed})'
    return line if case.table else f"{line}   # case: the Case of {case.name}"


def literal(value: Any) -> str:
    """Give a value as Python that makes it again, with `np` at hand."""
    if getattr(value, "size", 1) == 0:
        return f"np.zeros({value.shape}, dtype={value.dtype.name!r})"
    if isinstance(value, np.dtype):
        return f"np.dtype({value.name!r})"
    text = repr(np.asarray(value).tolist() if hasattr(value, "dtype") else value)
    if isinstance(value, float) or hasattr(value, "dtype"):
        text = re.sub(r"\b(inf|nan)\b", r"np.\1", text)
    return f"np.array({text}, dtype={value.dtype.name!r})" if hasattr(value, "dtype") else text
