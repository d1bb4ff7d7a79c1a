"""Backends: on which array library a value lives.

Every op receives an array library as `xp`, found from the arrays it was given: a `Backend`, which is the library's own
module plus the few functions that it lacks or spells differently (`tinyreg.libraries`). `tr.use` only decides where new
data is born.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import numpy as np

from .. import libraries
from ..erf import erf
from ..switches import Switch

DType = np.dtype[Any]  # CuPy uses NumPy's dtypes
Host = np.ndarray[Any, DType]  # NumPy's own, where it is sure to be that
Array = Any  # numpy.ndarray, cupy.ndarray or a stand-in: the libraries share no base class
Shape = tuple[int, ...]

FLOATS = frozenset(map(np.dtype, "efd"))  # of 16, 32 and 64 bits
DTYPES = FLOATS.union(map(np.dtype, "?bhilqBHILQ"))  # those of tensors: also booleans and integers


class Backend:
    """One array library: `xp.exp` is the library's `exp`, `xp.erf` the one that tinyreg supplies.

    `xp.scatter_add(y, key, x)` adds x to y at a key, in place; None where ops do it better. `xp.wraps` says whether an
    index out of range wraps around, as CuPy's do.

    block: how many elements of a large array to work on at a time; on a CPU, as many as its cache holds.
    """

    def __init__(self, name: str, module: ModuleType | Any, block: int = 2**62, **supplied: Any) -> None:
        self.name: str = name
        self.module: ModuleType | Any = module
        self.ndarray: Any = module.ndarray
        self.block: int = block
        self.__dict__.update(supplied)

    def __getattr__(self, attribute: str) -> Any:
        value = self.__dict__[attribute] = getattr(self.module, attribute)  # from now on as quick as the module's own
        return value


_ACCUMULATORS = {np.dtype("e"): np.dtype("f")}


def _numpy() -> Backend:
    backend = Backend("numpy", np, 2**16, **libraries.NUMPY)
    backend.__dict__["erf"] = functools.partial(erf, backend)
    return backend


def cupy_backend(name: str, *modules: Any) -> Backend:
    """A backend over CuPy's modules, or over a stand-in for them."""
    return Backend(name, modules[0], **libraries.of_cupy(*modules))


LOADERS: dict[str, Callable[[], Backend]] = {"numpy": _numpy, "cupy": lambda: cupy_backend("cupy", *libraries.load_cupy())}
_loaded: dict[str, Backend] = {}

# The home of a value by its exact type. Numbers and None have none: they go wherever the arrays are.
HOMES: dict[type, Backend | None] = {float: None, int: None, bool: None, type(None): None}

_loading = threading.Lock()


def get(name: str) -> Backend:
    """The backend called `name`, loaded on first use.

    Raises `ValueError` for an unknown name and `RuntimeError` for one that does not work here.
    """
    if name not in _loaded:
        if name not in LOADERS:
            raise ValueError(f"unknown backend {name!r}: expected one of {', '.join(map(repr, LOADERS))}")
        with _loading:
            if name not in _loaded:  # by another thread, meanwhile
                backend = LOADERS[name]()
                HOMES[backend.ndarray] = _loaded[name] = backend
    return _loaded[name]


def place(value: Any) -> Backend | None:
    """The backend of an array; None for anything else."""
    kind = type(value)
    if kind not in HOMES and (library := kind.__module__.partition(".")[0]) in LOADERS:
        get(library)
    if kind not in HOMES and isinstance(value, np.generic | np.ndarray):  # a scalar or, say, a memory map
        unlike = np.matrix | np.ma.MaskedArray  # compute in other ways; named here, since np.ma takes long to import
        return None if isinstance(value, unlike) else get("numpy")
    return HOMES.get(kind)


def home(value: Any, label: str = "") -> Backend | None:
    """The backend that a value's arrays live on; `TypeError` for a value that is neither an array nor a number."""
    backend = place(value)
    if backend is None and type(value) not in HOMES:
        raise TypeError(
            f"{label}got {value!r:.80}, expected a Tensor, an array of {' or '.join(LOADERS)} or a number: tr.tensor(...)"
        )
    return backend


def transfer(array: Array, to: Backend) -> Array:
    """The array on another backend, by way of the host; the same array where it is there already."""
    source = home(array)
    return array if source is to or source is None else to.asarray(source.to_host(array))


# ---- where new data is born ------------------------------------------------------------------------------------------

chosen_for_context: Final = Switch[str | None]("backend", None)
chosen_for_process: list[tuple[Any, str]] = []  # a weak reference to each `tr.use`, and its backend; the latest counts


def current() -> Backend:
    """The backend on which new data is born."""
    for_process = chosen_for_process[-1][1] if chosen_for_process else os.environ.get("TINYREG_BACKEND")
    return get(chosen_for_context.get() or for_process or "numpy")


# ---- small helps -----------------------------------------------------------------------------------------------------


def as_zero_dimensional(value: Any) -> Any:
    """A NumPy scalar as the 0-d array that it stands for; anything else as it is."""
    return libraries.as_array(value) if isinstance(value, libraries.SCALARS) else value


underflow_ignored: Final = functools.partial(np.errstate, under="ignore")
"""A context where nothing is said of numbers that become 0 because they are too small, whatever `np.seterr` asks for."""


def is_float(value: Any) -> bool:
    """Whether a value is an array or a Tensor of floats that tensors can have."""
    return getattr(value, "dtype", None) in FLOATS


def accumulator(dtype: Any) -> DType | None:
    """The dtype in which values of a dtype are summed: float32 for float16, otherwise None, the library's own choice."""
    return _ACCUMULATORS.get(dtype)


def described(value: Any) -> str:
    """A value in an error message: dtype and shape of an array, anything else as it prints."""
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else repr(value)


get("numpy")
