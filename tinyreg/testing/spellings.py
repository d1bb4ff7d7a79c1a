"""Spellings: what means the same to people who come from NumPy and PyTorch means the same to an op.

An integer of NumPy's for one of Python's, a list for a tuple, an axis counted from the other end, also within a tuple; the
name of a dtype for the dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .failure import short
from .property import BrokenError
from .run import run
from .subject import Call
from .trial import Trial

AXES = ("axis", "axes")  # the settings that are counted from either end

LISTS = "lists for tuples"

Spelling = Callable[[str, Any], Any]


def spellings(trial: Trial) -> None:
    """A call whose settings are spelled in another way has the same values and gradients, to the bit."""
    call = trial.call
    if trial.case.private:
        return
    ways: dict[str, Spelling] = {
        "integers of NumPy": lambda name, value: _each_integer(value, np.int64),
        LISTS: lambda name, value: value if name == "key" else _as_lists(value),
        "axes counted from the other end": _counted_from_the_other_end(trial),
        "dtypes by name": lambda name, value: value.name if isinstance(value, np.dtype) else value,
    }
    first = None
    for words, way in ways.items():
        settings = {name: way(name, value) for name, value in call.settings.items()}
        if repr(settings) != repr(dict(call.settings)):
            first = first or _outcome(trial, call)
            _compare(trial, first, Call(call.arrays, settings), words)


def _outcome(trial: Trial, call: Call) -> list[Any]:
    there = run(trial.case, call, trial.wanted)
    return [*there.results, *(there.pull(trial.incoming()) if trial.wanted else [])]


def _compare(trial: Trial, expected: list[Any], call: Call, words: str) -> None:
    shown = ", ".join(f"{name}={value!r}" for name, value in call.settings.items())
    try:
        got = _outcome(trial, call)
    except Exception as error:
        if isinstance(error, TypeError) and words == LISTS and not trial.case.table:
            return  # as NumPy's own functions; a library's ops take what PyTorch's do
        raise BrokenError(f"{words}: with {shown} it raised {type(error).__name__}: {error}") from error
    for one, other in zip(got, expected, strict=True):
        same = one is other or (
            np.shape(one) == np.shape(other) and np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")
        )
        if not same:
            raise BrokenError(f"{words}: with {shown} got {short(one)}, expected {short(other)}, as before")


def _each_integer(value: Any, made: Callable[[int], Any]) -> Any:
    """Give a setting with every integer in it replaced, however deep it stands."""
    if isinstance(value, slice):
        return slice(*(_each_integer(part, made) for part in (value.start, value.stop, value.step)))
    if type(value) in (tuple, list):
        return type(value)(_each_integer(part, made) for part in value)
    return made(value) if type(value) is int else value


def _as_lists(value: Any) -> Any:
    return [_as_lists(part) for part in value] if type(value) is tuple else value


def _counted_from_the_other_end(trial: Trial) -> Spelling:
    """Give a spelling of axes: of the first array, or of the result where an op takes an axis that only that has."""

    def spelled(name: str, value: Any) -> Any:
        if name not in AXES or value is None:
            return value
        dimensions = [np.ndim(a) for a in trial.call.arrays]
        if trial.case.argument(0).endswith("]") and len(set(dimensions)) > 1:
            return value  # an axis of each of several arrays
        ndim = dimensions[0]
        if _takes(trial, name, value, ndim):
            ndim = np.ndim(trial.run(wanted=()).results[0])
        return _each_integer(value, lambda axis: axis - ndim if axis >= 0 else axis + ndim)

    return spelled


def _takes(trial: Trial, name: str, value: Any, axis: int) -> bool:
    """Whether an op takes an axis behind the last one of its argument."""
    other = axis if type(value) is int else (axis, *value[1:])
    try:
        trial.run(Call(trial.call.arrays, {**trial.call.settings, name: other}), wanted=())
    except Exception:
        return False
    return True
