"""The functions of the package, by room, and the mutants of each."""

from __future__ import annotations

import functools
import gc
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

import tinyreg
from tinyreg.core.fused import FUSED, Fused
from tinyreg.core.primitive import REGISTRY
from tinyreg.testing.mutation.mistakes import mistakes
from tinyreg.testing.mutation.source import Mutant, helpers, mutants

PACKAGE = Path(tinyreg.__file__).parent


@functools.cache
def functions() -> dict[str, FunctionType]:
    """Every function of the package that was there when it was imported, by module and name, without those of derivatives.

    What is made by calling one of them is a part of it. Derivatives, fast forms and what only these call have mutants of
    their own, which the battery kills: tests/testing/test_mutation.py.
    """
    for module in pkgutil.walk_packages(tinyreg.__path__, "tinyreg."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    frozen = gc.get_freeze_count()
    gc.unfreeze()  # what is frozen is not listed
    there = [f for f in gc.get_objects() if type(f) is FunctionType and _is_ours(f)]
    if frozen:
        gc.freeze()
    by_place = {(f.__code__.co_filename, f.__code__.co_firstlineno, f.__qualname__): f for f in there}
    found: dict[str, FunctionType] = {}
    beyond = {f.__code__ for f in _of_derivatives()}
    for _, f in sorted(by_place.items()):
        if f.__code__ not in beyond:
            name = f"{str(f.__module__).removeprefix('tinyreg').lstrip('.') or 'tinyreg'}.{f.__qualname__}"
            again = sum(other == name or other.startswith(f"{name}#") for other in found)
            found[f"{name}#{again + 1}" if again else name] = f
    return found


def _is_ours(f: FunctionType) -> bool:
    inside = Path(f.__code__.co_filename).is_relative_to(PACKAGE)
    return inside and "<locals>" not in f.__qualname__ and str(f.__module__).startswith("tinyreg")


def _of_derivatives() -> list[FunctionType]:
    ops = [*REGISTRY.values(), *FUSED.values()]
    vjps = [rule[1] for op in ops for rule in op.rules]
    fast = [op.forward for op in ops if isinstance(op, Fused)]
    forwards = set(helpers([op.forward for op in ops if not isinstance(op, Fused)]))
    return [f for f in [*vjps, *fast, *helpers(vjps)] if isinstance(f, FunctionType) and f not in forwards]


def room_of(name: str) -> str:
    """The room of a function: `augment` of `augment.geometry.shift`."""
    return name.partition(".")[0]


def rooms() -> list[str]:
    """The rooms that have functions."""
    return list(dict.fromkeys(map(room_of, functions())))


def wrong_versions(f: FunctionType) -> list[Mutant]:
    """The mutants of a function that can be put in its place."""
    made = mutants(f, usual=mistakes)
    return [m for m in made if len(m.function.__code__.co_freevars) == len(f.__code__.co_freevars)]


def codes(code: CodeType) -> Iterator[CodeType]:
    """Code and the code of functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def relocated(code: CodeType, file: str) -> CodeType:
    """Code that says it stands in a file, as the right function does: who called a function is asked of that."""
    inside = tuple(relocated(c, file) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_filename=file, co_consts=inside)
