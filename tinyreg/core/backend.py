"""The one file that knows NumPy and CuPy.

Every op receives an array library as `xp`, found from the arrays it was given: a `Backend`, which is the library's own
module plus the few functions that one of the libraries lacks or spells differently. The process-wide and context-wide
switch, `use`, only decides where new data is born.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from ..erf import erf
from ..switches import Context, F, Manager, Switch

T = TypeVar("T")
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
        value = self.__dict__[attribute] = getattr(self.module, attribute)  # from now on as quick as the module's own
        return value


_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _kept_by_bits(keep: Array, x: Array) -> Array:
    """x where `keep` holds, elsewhere 0: a tenth of the time of `where`, whose branch goes wrong at every other element."""
    bits = _BITS[x.dtype.itemsize]
    mask = np.asarray(np.negative(keep.view(np.int8)), dtype=bits)  # of True -1, which is all ones
    y = np.bitwise_and(x.view(bits), mask, out=mask if mask.shape == x.shape else None)
    return y.view(x.dtype)


_HALF = np.dtype(np.float16)
_ACCUMULATORS = {_HALF: np.dtype(np.float32)}


def _matmul(x1: Array, x2: Array) -> Array:
    """The matrix product, of float16 by way of float32: BLAS has no other, and NumPy's own takes 300 times as long."""
    if _HALF is getattr(x1, "dtype", None) is getattr(x2, "dtype", None):
        return np.matmul(x1, x2, dtype=np.float32).astype(_HALF)
    return np.matmul(x1, x2)


def _load_numpy() -> Backend:
    own = {"kept": _kept_by_bits, "matmul": _matmul, "scatter_add": None, "wraps": False}
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
        erf=lambda x: special.erf(x).astype(cupy.result_type(x.dtype, np.float16), copy=False),
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

_for_context = Switch[str | None]("backend", None)
_for_process: list[use] = []  # the latest counts


class use(Context):  # noqa: N801  (reads as a verb: `tr.use("cupy")`, `with tr.use("cupy"):`)
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
        self.backend = get(name).name
        super().__init__("use", self._in_context)
        _for_process.append(self)

    def _in_context(self) -> Manager:
        with contextlib.suppress(ValueError):  # written as a context or a decorator, it is not meant for the process
            _for_process.remove(self)
        return _for_context(self.backend)

    def __call__(self, f: F) -> F:
        """f with its body within the context."""
        self._in_context()
        return super().__call__(f)


def current() -> Backend:
    """The backend on which new data is born."""
    if chosen := _for_context.get():
        return get(chosen)
    return get(_for_process[-1].backend if _for_process else os.environ.get("TINYREG_BACKEND") or "numpy")


# ---- small helps -----------------------------------------------------------------------------------------------------


def as_zero_dimensional(value: Any) -> Any:
    """A NumPy scalar as the 0-d array that it stands for; anything else as it is."""
    return np.asarray(value) if isinstance(value, np.generic) else value


underflow_ignored = functools.partial(np.errstate, under="ignore")
"""A context where nothing is said of numbers that become 0 because they are too small, whatever `np.seterr` asks for."""


def quietly(f: Callable[..., T], /, *args: Any, **settings: Any) -> T:
    """Call f, where a number that becomes 0 because it is too small is no error, whatever `np.seterr` asks for."""
    try:
        return f(*args, **settings)
    except FloatingPointError:
        with underflow_ignored():
            return f(*args, **settings)


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
