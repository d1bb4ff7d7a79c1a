"""The settings of a run as plain values by name, each with the place where it stands, to be compared and put back.

A setting is what the run was given and does not learn: what `fit` was called with, the optimizer's groups, the schedule's
and the layers' attributes, seeds. Of code, such as a loss, only what it is called and the plain values in it are seen.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.tensor import Tensor
from ..nn.module import Module
from ..random import Generator

Place = tuple[dict[str, Any], str]
"""A dict, such as the attributes of an object, and a key in it."""

MOST = 16
"""A longer list is data and no setting."""

NOTED = {"params", "scheduled_lr"}
"""What stands in a group of an optimizer and is no setting."""

_OTHER, _CODE = object(), "code"


def as_setting(value: Any) -> Any:
    """A number, a string, None or a short tuple of these, as Python's own; `_OTHER` for anything else."""
    if getattr(value, "shape", None) == () and hasattr(value, "item") and not isinstance(value, Tensor):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list) and len(value) <= MOST:
        each = tuple(map(as_setting, value))
        return _OTHER if _OTHER in each else each
    return _OTHER


def are_plain(values: Iterable[Any]) -> bool:
    """Whether all of these can be settings."""
    return all(as_setting(value) is not _OTHER for value in values)


def values(places: Mapping[str, Place]) -> dict[str, Any]:
    """What stands at the places now, where it is plain."""
    now = {name: as_setting(held[key]) for name, (held, key) in places.items() if key in held}
    return {name: value for name, value in now.items() if value is not _OTHER}


def of_optimizer(optimizer: Any) -> dict[str, Place]:
    """The settings of each group; not what a schedule notes there."""
    groups = optimizer.param_groups
    of = [f" of group {i}" for i in range(len(groups))] if len(groups) > 1 else [""]
    return {f"{key}{of[i]}": (group, key) for i, group in enumerate(groups) for key in group if key not in NOTED}


def of_object(thing: Any, path: str) -> dict[str, Place]:
    """The class, and the public attributes that are not in its state; also of objects with a state in lists of it."""
    state = thing.state_dict() if hasattr(thing, "state_dict") else {}
    in_state = state if isinstance(state, Mapping) else {}
    places = {path: _constant(type(thing).__name__)}
    for key, value in getattr(thing, "__dict__", {}).items():
        if not key.startswith("_") and key not in in_state:
            places[f"{path}.{key}"] = (vars(thing), key)
            for i, inside in enumerate(value if isinstance(value, list) else ()):
                if hasattr(inside, "state_dict"):
                    places |= of_object(inside, f"{path}.{key}.{i}")
    return places


def of_module(module: Module, path: str) -> dict[str, Place]:
    """The class and the public attributes, such as the p of dropout, without the mode; a function in one as code is."""
    places = {path: _constant(type(module).__name__)}
    for key, value in vars(module).items():
        if key != "training" and not key.startswith("_"):
            code = callable(value) and not isinstance(value, Module | type)
            places[f"{path}.{key}"] = of_code(value) if code else (vars(module), key)
    return places


def of_generator(generator: Generator) -> Place:
    """The seed, None where it was given none."""
    return {"seed": generator.initial_seed()}, "seed"


def of_code(function: Any) -> Place:
    """What a function is called, and the plain values in it: constants, defaults, variables from outside, attributes."""
    return _constant(None if function is None else _code(function))


def is_code(place: Place) -> bool:
    """Whether a setting is the name of a class or of a function, which nothing but other code can change."""
    return place[1] == _CODE


def _constant(value: Any) -> Place:
    return {_CODE: value}, _CODE


def _code(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _code(function.func) + _written([*function.args, *function.keywords.items()])
    if not hasattr(function, "__name__"):
        text = re.sub(" at 0x[0-9a-fA-F]+", "", repr(function))  # an address is another one each time
        attributes = getattr(function, "__dict__", {})
        return text + _written([(key, value) for key, value in attributes.items() if not key.startswith("_")])
    name: str = function.__name__
    if not hasattr(function, "__code__") or (function.__module__ or "").startswith("tinyreg."):
        return name  # what is in our own functions may change with the version
    outside, code = inspect.getclosurevars(function), function.__code__
    constants = [each for each in code.co_consts if each != function.__doc__ and not isinstance(each, tuple)]
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    return name + _written([*constants, *given, *outside.nonlocals.items(), *outside.globals.items()])


def _written(values: list[Any]) -> str:
    texts = {repr(each) for each in map(as_setting, values) if each is not _OTHER and each is not None}
    return f"({', '.join(sorted(texts))})" if texts else ""


def differing(call: Mapping[str, Any], start: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of settings that the call has otherwise than the run had them, both at its start and when it was saved.

    So a rate that was lowered on the way is no difference, neither for a new script nor for the objects of the old run.
    No seed is one that nothing is said about.
    """
    had = {name: (repr(start[name]), repr(now.get(name, start[name]))) for name in start}
    names = [name for name in call if name in start and repr(call[name]) not in had[name] and call[name] != start[name]]
    return [name for name in names if not (name.startswith("seed of ") and None in (call[name], start[name]))]


def put(place: Place, value: Any) -> None:
    """Give a setting a value, unless it has it."""
    held, key = place
    if key not in held or as_setting(held[key]) != value:
        held[key] = list(value) if isinstance(held.get(key), list) else value
