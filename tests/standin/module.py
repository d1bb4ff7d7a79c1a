"""The stand-ins for the modules cupy, cupyx and cupyx.scipy.special: names from the list, values from NumPy."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .array import held, matmul, ndarray, quiet, returned, ufunc, wrapped
from .names import CUPY, NAMES, bound, signature

# Parameters that take arrays; the first of a function must be one, for CuPy asks it for its methods.
ARRAYS = {"a", "b", "x", "y", "x1", "x2", "a1", "a2", "v", "m", "arr", "ary", "array", "condition", "A"}
PREFIXES = {name.rpartition(".")[0] for section in ("functions", "ufuncs") for name in NAMES[section]} | {"cupy.lib"}


class Module:
    """A module of CuPy's: exactly its names; what they do is NumPy's, or in `SPECIAL`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        full_name = f"{self._prefix}.{name}"
        if full_name in NAMES["ufuncs"]:
            made = ufunc(full_name, SPECIAL.get(full_name))
        elif full_name in NAMES["functions"]:
            made = OWN.get(full_name) or function(full_name)
        elif full_name in NAMES["values"]:
            made = OWN.get(full_name) or numpys(full_name)
        elif full_name in PREFIXES:
            made = Module(full_name)
        else:
            raise AttributeError(f"{CUPY} has no {full_name}")
        setattr(self, name, made)
        return made


def numpys(full_name: str) -> Any:
    """What NumPy has under a name of CuPy's."""
    try:
        return functools.reduce(getattr, full_name.split(".")[1:], np)
    except AttributeError:
        raise NotImplementedError(f"the stand-in does not play {full_name}") from None


def function(full_name: str) -> Callable[..., Any]:
    """A function with CuPy's parameters, on stand-in arrays."""
    play = SPECIAL.get(full_name) or numpys(full_name)

    def call(*args: Any, **kwargs: Any) -> Any:
        refuse(full_name, bound(full_name, args, kwargs))
        with quiet():
            made = play(*map(held, args), **{name: held(value) for name, value in kwargs.items()})
        return returned(made, *args, *kwargs.values())

    call.__name__ = full_name
    return call


def refuse(full_name: str, arguments: dict[str, Any]) -> None:
    """`TypeError` for lists and numbers where CuPy wants an array."""
    first = next(iter(signature(full_name).parameters), None)
    for name, value in arguments.items():
        expected = name in ARRAYS and (name == first or isinstance(value, list | tuple))
        if expected and not isinstance(value, ndarray):
            raise TypeError(f"{full_name}: got {type(value)} for {name}; {CUPY} takes only its own arrays there")
        if name in ("tup", "operands") and not all(isinstance(part, ndarray) for part in value):
            raise TypeError(f"{full_name}: only cupy arrays can be joined or multiplied")


# ---- where CuPy and NumPy differ -------------------------------------------------------------------------------------


def asarray(a: Any, *args: Any, **kwargs: Any) -> ndarray:
    """From anything; data from the host is copied, an array of the right dtype and order comes back as it is."""
    given = bound("cupy.asarray", (a, *args), kwargs)
    made = np.asarray(a._held if isinstance(a, ndarray) else np.array(a), given.get("dtype"), given.get("order"))
    return returned(made, a)


def array(obj: Any, *args: Any, **kwargs: Any) -> ndarray:
    given = bound("cupy.array", (obj, *args), kwargs)
    given.pop("blocking", None)
    source = given.pop("obj")
    made = np.array(source._held if isinstance(source, ndarray) else source, **given)
    return returned(made, obj)


def asnumpy(a: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    bound("cupy.asnumpy", (a, *args), kwargs)
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def matrix_product(*args: Any, **kwargs: Any) -> ndarray:
    bound("cupy.matmul", args, kwargs)
    if kwargs:
        raise NotImplementedError(f"the stand-in does not play cupy.matmul with {', '.join(kwargs)}")
    return matmul(*args)


def broadcast(*arrays: Any) -> SimpleNamespace:
    together = np.broadcast_arrays(*map(held, arrays))
    shape = together[0].shape
    return SimpleNamespace(shape=shape, nd=len(shape), size=math.prod(shape), values=tuple(map(wrapped, together)))


def scatter_add(a: ndarray, slices: Any, value: Any) -> None:
    a.scatter_add(slices, value)


def _wrapping_take(a: np.ndarray, indices: Any, axis: int | None = None) -> Any:
    return np.take(a, indices, axis, mode="wrap")


def _wrapping_take_along_axis(a: np.ndarray, indices: np.ndarray, axis: int | None) -> Any:
    return np.take_along_axis(a, indices % (a.size if axis is None else a.shape[axis]), axis)


def _stable(sort: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: np.ndarray, axis: int = -1, kind: str | None = None) -> Any:
        if kind not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        return sort(a, axis=axis, kind="stable")

    return call


def _truth(test: Callable[..., bool]) -> Callable[..., Any]:
    return lambda *args, **kwargs: np.asarray(test(*args, **kwargs))


_config = threading.local()


@contextlib.contextmanager
def errstate(*args: Any, **kwargs: Any) -> Iterator[None]:
    given = bound("cupyx.errstate", args, kwargs)
    before, _config.linalg = getattr(_config, "linalg", "ignore"), given.get("linalg", "ignore")
    try:
        yield
    finally:
        _config.linalg = before


def _unchecked(solver: Callable[..., Any]) -> Callable[..., Any]:
    """A solver that gives NaN for a matrix it cannot handle, unless `errstate` says to raise."""

    def call(a: np.ndarray, *more: np.ndarray) -> Any:
        try:
            return solver(a, *more)
        except np.linalg.LinAlgError:
            if getattr(_config, "linalg", "ignore") == "raise" or a.ndim < 2 or a.shape[-1] != a.shape[-2]:
                raise
            return np.full_like(more[-1] if more else a, np.nan, dtype=np.result_type(a, *more, np.float32))

    return call


def _solve(a: np.ndarray, b: np.ndarray) -> Any:
    """CuPy 13 takes a 1-d b with one matrix only, and neither version broadcasts the stacks."""
    if a.shape[:-1] != b.shape[: a.ndim - 1] or b.ndim not in ({1, 2} if a.ndim == 2 else {a.ndim}):
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    return np.linalg.solve(a, b)


SPECIAL: dict[str, Callable[..., Any]] = {  # on NumPy arrays
    "cupy.allclose": _truth(np.allclose),
    "cupy.argsort": _stable(np.argsort),
    "cupy.array_equal": _truth(np.array_equal),
    "cupy.linalg.cholesky": _unchecked(np.linalg.cholesky),
    "cupy.linalg.inv": _unchecked(np.linalg.inv),
    "cupy.linalg.solve": _unchecked(_solve),
    "cupy.sort": _stable(np.sort),
    "cupy.take": _wrapping_take,
    "cupy.take_along_axis": _wrapping_take_along_axis,
    "cupyx.scipy.special.erf": np.frompyfunc(math.erf, 1, 1),
}
OWN: dict[str, Callable[..., Any]] = {  # on what the caller gave
    "cupy.array": array,
    "cupy.asarray": asarray,
    "cupy.asnumpy": asnumpy,
    "cupy.broadcast": broadcast,
    "cupy.matmul": matrix_product,
    "cupy.ndarray": ndarray,
    "cupy.ufunc": ufunc,
    "cupyx.errstate": errstate,
    "cupyx.scatter_add": scatter_add,
}

cupy, cupyx, special = Module("cupy"), Module("cupyx"), Module("cupyx.scipy.special")
