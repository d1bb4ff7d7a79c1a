"""The one file that knows NumPy and CuPy.

Every op receives an array library as `xp`, found from the arrays it was given: a `Backend`, which is the library's own
module plus the few functions that one of the libraries lacks or spells differently. The process-wide and context-wide
switch, `use`, only decides where new data is born.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..erf import erf

Array = Any  # numpy.ndarray, cupy.ndarray or a stand-in: the libraries share no base class
Shape = tuple[int, ...]
DType = np.dtype[Any]  # CuPy uses NumPy's dtypes

FLOATS = frozenset(map(np.dtype, "efd"))  # of 16, 32 and 64 bits
DTYPES = FLOATS.union(map(np.dtype, "?bhilqBHILQ"))  # those of tensors: also booleans and integers


class Backend:
    """One array library: `xp.exp` is the library's `exp`, `xp.erf` the one that tinyreg supplies.

    `xp.scatter_add(y, key, x)` adds x to y at a key, in place; None where ops do it better. `xp.wraps` says whether an
    index out of range wraps around, as CuPy's do.

    stretch: how many elements of a large array to work on at a time; on a CPU, as many as its cache holds.
    """

    def __init__(self, name: str, module: ModuleType | Any, stretch: int = 2**62, **supplied: Any) -> None:
        self.name, self.module, self.ndarray, self.stretch = name, module, module.ndarray, stretch
        self.__dict__.update(supplied)

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self.module, attribute)
        self.__dict__[attribute] = found  # from now on as quick as the module's own look-up
        return found


MANY = 2**12
"""Elements from which on bits are quicker than branches."""

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _kept_by_bits(keep: Array, x: Array) -> Array:
    """x where `keep` holds, elsewhere 0: a tenth of the time of `where`, whose branch goes wrong at every other element."""
    bits = _BITS[x.dtype.itemsize]
    mask = np.negative(keep.view(np.int8)).astype(bits)
    return np.asarray(np.bitwise_and(x.view(bits), mask, out=mask if mask.shape == x.shape != () else None)).view(x.dtype)


def _where_by_bits(condition: Array, *choices: Any) -> Any:
    """`numpy.where`, in a sixth of its time for many floats where the condition comes and goes: see `_kept_by_bits`."""
    if len(choices) != 2 or np.size(condition) < MANY or condition.dtype.kind != "b":
        return np.where(condition, *choices)
    dtype = np.result_type(*choices)
    if dtype.kind != "f" or dtype.itemsize not in _BITS:
        return np.where(condition, *choices)
    x1, x2 = (np.asarray(x, dtype).view(_BITS[dtype.itemsize]) for x in choices)
    mask = np.negative(condition.view(np.int8)).astype(x1.dtype)
    y = np.asarray((x1 ^ x2) & mask)
    return np.asarray(np.bitwise_xor(y, x2, out=y if y.shape == np.broadcast(y, x2).shape else None)).view(dtype)


_HALF = np.dtype(np.float16)


def _matmul(x1: Array, x2: Array) -> Array:
    """The matrix product, of float16 by way of float32: BLAS has no other, and NumPy's own takes 300 times as long."""
    if _HALF is getattr(x1, "dtype", None) is getattr(x2, "dtype", None):
        return np.matmul(x1, x2, dtype=np.float32).astype(_HALF)
    return np.matmul(x1, x2)


def _load_numpy() -> Backend:
    own = {"kept": _kept_by_bits, "where": _where_by_bits, "matmul": _matmul, "scatter_add": None, "wraps": False}
    backend = Backend("numpy", np, 2**16, to_host=np.asarray, checked_linalg=contextlib.nullcontext, **own)
    backend.__dict__["erf"] = functools.partial(erf, backend)
    return backend


def _load_cupy() -> Backend:
    """CuPy, once a driver answers and one kernel has run: `import cupy` alone succeeds without a GPU."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            f"backend 'cupy' does not work here: CuPy cannot be imported ({error}); install tinyreg[cuda12] or [cuda13]"
        ) from error
    try:
        int((cupy.arange(3) + 1).sum())
    except Exception as error:
        raise RuntimeError(
            f"backend 'cupy' does not work here: CuPy is installed but no GPU answers ({error}); try nvidia-smi"
        ) from error
    return cupy_backend("cupy", cupy, importlib.import_module("cupyx"), importlib.import_module("cupyx.scipy.special"))


def cupy_backend(name: str, cupy: Any, cupyx: Any, special: Any) -> Backend:
    """A backend over CuPy's modules, or over a stand-in for them."""
    return Backend(
        name,
        cupy,
        # CuPy's own takes float16 to a wider dtype.
        erf=lambda x: special.erf(x).astype(cupy.result_type(cupy.asarray(x).dtype, np.float16), copy=False),
        kept=lambda keep, x: cupy.where(keep, x, 0),
        wraps=True,
        scatter_add=cupyx.scatter_add,
        to_host=cupy.asnumpy,
        # CuPy's default is to return NaN for a singular matrix and say nothing.
        checked_linalg=lambda: cupyx.errstate(linalg="raise"),
    )


LOADERS: dict[str, Callable[[], Backend]] = {"numpy": _load_numpy, "cupy": _load_cupy}
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
    if kind not in HOMES and kind.__module__.partition(".")[0] == "cupy":
        get("cupy")
    if kind not in HOMES and isinstance(value, np.generic | np.ndarray):  # a scalar or, say, a memory map
        unlike = np.matrix | np.ma.MaskedArray  # compute in other ways; named here, since np.ma takes long to import
        return None if isinstance(value, unlike) else get("numpy")
    return HOMES.get(kind)


def home(value: Any, label: str = "") -> Backend | None:
    """The backend that a value's arrays live on; `TypeError` for a value that is neither an array nor a number."""
    found = place(value)
    if found is None and type(value) not in HOMES:
        raise TypeError(
            f"{label}got {value!r:.80}, expected a Tensor, an array of {' or '.join(LOADERS)} or a number: tr.tensor(...)"
        )
    return found


def transfer(array: Array, to: Backend) -> Array:
    """The array on another backend, by way of the host; the same array where it is there already."""
    source = home(array)
    return array if source is to or source is None else to.asarray(source.to_host(array))


# ---- where new data is born ------------------------------------------------------------------------------------------

_process_default: str | None = None
_context_default: contextvars.ContextVar[str | None] = contextvars.ContextVar("tinyreg_backend", default=None)


class use:  # noqa: N801  (reads as a verb: `tr.use("cupy")`, `with tr.use("cupy"):`)
    """Choose the backend on which new data is born: for the process as a call, for a context in a `with` statement.

    Ops follow their data, so tensors made before stay where they are. Without a call, the environment variable
    `TINYREG_BACKEND` decides, and otherwise NumPy.

    Raises `ValueError` for an unknown backend and `RuntimeError`, with the reason, for one that does not work here.

    >>> import tinyreg as tr
    >>> with tr.use("numpy"):
    ...     tr.zeros(2).backend
    'numpy'
    """

    def __init__(self, name: str) -> None:
        global _process_default
        self._name = get(name).name
        self._previous, _process_default = _process_default, self._name

    def __enter__(self) -> None:
        # Written as a context, the call was not meant for the process.
        global _process_default
        _process_default = self._previous
        self._token = _context_default.set(self._name)

    def __exit__(self, *error: object) -> None:
        _context_default.reset(self._token)


def current() -> Backend:
    """The backend on which new data is born."""
    return get(_context_default.get() or _process_default or os.environ.get("TINYREG_BACKEND") or "numpy")


# ---- small helps -----------------------------------------------------------------------------------------------------


def as_zero_dimensional(value: Any) -> Any:
    """A NumPy scalar as the 0-d array that it stands for; anything else as it is."""
    return np.asarray(value) if isinstance(value, np.generic) else value


underflow_ignored = functools.partial(np.errstate, under="ignore")
"""A context where nothing is said of numbers that become 0 because they are too small, whatever `np.seterr` asks for."""


accumulator: Callable[[Any], DType | None] = {np.dtype(np.float16): np.dtype(np.float32)}.get
"""The dtype in which values of a dtype are summed: float32 for float16, otherwise None, the library's own choice."""


watch: contextvars.ContextVar[Callable[[Any], None] | None] = contextvars.ContextVar("tinyreg_watch", default=None)
"""Told of a tensor or a generator just before its state changes: how `checkpoint` learns what to put back."""

get("numpy")
