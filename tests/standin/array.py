"""The stand-in's array: NumPy inside, CuPy's manners outside."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .names import CUPY, NAMES, bound

# CuPy knows no warnings about floating-point numbers.
quiet = functools.partial(warnings.catch_warnings, action="ignore", category=RuntimeWarning)


class ndarray:  # noqa: N801  (CuPy's name for it)
    """A CuPy-like array: every result is an array, also 0-d ones, and none turns into NumPy's unasked."""

    __slots__ = ("_held",)

    _held: np.ndarray

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._held = np.empty(shape, dtype)

    def __getattr__(self, name: str) -> Any:
        known = name in NAMES["attributes"] or name in NAMES["methods"]
        raise AttributeError(
            f"the stand-in does not play ndarray.{name}" if known else f"{CUPY} has no attribute ndarray.{name}"
        )

    dtype = property(lambda self: self._held.dtype)
    shape = property(lambda self: self._held.shape)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    strides = property(lambda self: self._held.strides)
    itemsize = property(lambda self: self._held.itemsize)
    nbytes = property(lambda self: self._held.nbytes)
    flags = property(lambda self: self._held.flags)
    T = property(lambda self: wrapped(self._held.T))
    real = property(lambda self: wrapped(self._held.real))
    imag = property(lambda self: wrapped(self._held.imag))
    base = property(lambda self: wrapped(self._held.base))

    def get(self, *args: Any, **kwargs: Any) -> np.ndarray:
        bound("get", args, kwargs)
        return self._held.copy()

    def take(self, *args: Any, **kwargs: Any) -> ndarray:
        given = bound("take", args, kwargs)
        indices = held(given["indices"]) if isinstance(given["indices"], ndarray) else given["indices"]
        return wrapped(self._held.take(indices, given.get("axis"), mode="wrap"))

    def sort(self, *args: Any, **kwargs: Any) -> None:
        self._held.sort(**bound("sort", args, kwargs), kind="stable")

    def argsort(self, *args: Any, **kwargs: Any) -> ndarray:
        return wrapped(self._held.argsort(**bound("argsort", args, kwargs), kind="stable"))

    def scatter_add(self, slices: Any, value: Any) -> None:
        ufunc("cupy.add").at(self, slices, value)

    def __getitem__(self, key: Any) -> ndarray:
        return wrapped(self._held[_key(key, self._held.shape)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._held[_key(key, self._held.shape)] = operand(value)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[ndarray]:
        if not self._held.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __int__(self) -> int:
        return int(self._held)

    def __float__(self) -> float:
        return float(self._held)

    def __bool__(self) -> bool:
        return bool(self._held)

    def __repr__(self) -> str:
        return repr(self._held)

    def __str__(self) -> str:
        return str(self._held)

    def __format__(self, spec: str) -> str:
        return format(self._held, spec)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, numpy_ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or f"cupy.{numpy_ufunc.__name__}" not in NAMES["ufuncs"]:
            return NotImplemented
        return ufunc(f"cupy.{numpy_ufunc.__name__}")(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from .module import cupy

        module = functools.reduce(getattr, function.__module__.split(".")[1:], cupy)
        return getattr(module, function.__name__)(*args, **kwargs)


def wrapped(value: Any) -> Any:
    """What NumPy returned as CuPy returns it: arrays and NumPy scalars as stand-in arrays."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biufc":
            raise ValueError(f"Unsupported dtype {value.dtype}")
        made = object.__new__(ndarray)
        made._held = np.asarray(value)
        return made
    return type_of_sequence(value)(map(wrapped, value)) if isinstance(value, list | tuple) else value


def returned(value: Any, *given: Any) -> Any:
    """`wrapped`, but an array that NumPy handed back as it was is the very one that was given."""
    same = [a for a in given if isinstance(a, ndarray) and a._held is value]
    return same[0] if same else wrapped(value)


def held(value: Any) -> Any:
    """An argument as NumPy is to see it; `TypeError` for a NumPy array, which CuPy does not take."""
    if isinstance(value, ndarray):
        return value._held
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: CuPy does not mix with NumPy arrays")
    return type_of_sequence(value)(map(held, value)) if isinstance(value, list | tuple) else value


def type_of_sequence(value: list[Any] | tuple[Any, ...]) -> type:
    return list if isinstance(value, list) else tuple  # CuPy has no named tuples


def operand(value: Any) -> Any:
    """An operand of elementwise arithmetic: a stand-in array or a number."""
    if isinstance(value, ndarray):
        return value._held
    if isinstance(value, bool | int | float | complex | np.number | np.bool_):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _key(key: Any, shape: tuple[int, ...]) -> Any:
    """An index for NumPy: integer arrays wrap around, as CuPy's do, and one element is a 0-d view."""
    parts = [_part(part) for part in (key if isinstance(key, tuple) else (key,))]
    axes = [_axes_taken(part) for part in parts]
    if sum(isinstance(part, np.ndarray) and part.dtype == bool for part in parts) > 1:
        raise NotImplementedError("CuPy does not support more than one boolean array in an index")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
        axes.append(0)
    axis = 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis = len(shape) - sum(axes[i:])
        elif isinstance(part, np.ndarray) and part.dtype.kind in "iu" and 0 <= axis < len(shape) and shape[axis]:
            parts[i] = part % shape[axis]
        axis += axes[i]
    return tuple(parts)


def _part(part: Any) -> Any:
    """CuPy makes index arrays of lists and NumPy arrays too."""
    if isinstance(part, ndarray):
        return part._held
    return np.asarray(part, dtype=None if part else int) if isinstance(part, list) else part


def _axes_taken(part: Any) -> int:
    if isinstance(part, np.ndarray) and part.dtype == bool:
        return part.ndim
    return int(part is not None and part is not Ellipsis)


class ufunc:  # noqa: N801  (CuPy's name for it)
    """A CuPy ufunc: its operands and keywords, its dtypes, and `at` where it has one."""

    def __init__(self, full_name: str, numpy_ufunc: Callable[..., Any] | None = None) -> None:
        self._full_name, self.__name__ = full_name, full_name.rpartition(".")[2]
        self._numpy = numpy_ufunc or getattr(np, self.__name__)
        self._loops = [loop.split("->") for loop in NAMES["ufuncs"][full_name][1].split()]
        self.nin = len(self._loops[0][0])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound(self._full_name, args, kwargs)
        operands = [operand(value) for value in args[: self.nin]]
        results = self._results(operands)
        with quiet():
            made = self._numpy(*operands, *map(held, args[self.nin :]), **{k: held(v) for k, v in kwargs.items()})
        if len(args) > self.nin or kwargs:
            return returned(made, *args, kwargs.get("out"))
        made = made if isinstance(made, tuple) else (made,)
        made = tuple(wrapped(np.asarray(y).astype(d, copy=False)) for y, d in zip(made, results, strict=True))
        return made if len(made) > 1 else made[0]

    def _results(self, operands: list[Any]) -> str:
        """The dtypes of the results, by CuPy's own loops: the first that the operands can be cast to."""
        dtype = np.result_type(*operands)
        for inputs, outputs in self._loops:
            if len(set(inputs)) > 1 or np.can_cast(dtype, inputs[0]):
                return outputs
        raise TypeError(f"{self._full_name} does not take {dtype}; {CUPY} has {NAMES['ufuncs'][self._full_name][1]}")

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in NAMES["ufunc.at"]:
            raise NotImplementedError(f"`{self._full_name}.at` is not supported yet")
        dtypes = NAMES["ufunc.at"][self.__name__]
        if a.dtype.name not in dtypes:
            raise TypeError(f"{self._full_name}.at only supports {', '.join(dtypes)} as data type, not {a.dtype}")
        self._numpy.at(operand(a), _key(indices, a.shape), operand(b))


def _method(name: str) -> Callable[..., Any]:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        bound(name, args, kwargs)
        if not hasattr(np.ndarray, name):
            raise NotImplementedError(f"the stand-in does not play ndarray.{name}")
        with quiet():
            made = getattr(self._held, name)(*map(held, args), **{k: held(v) for k, v in kwargs.items()})
        return made if name in ("item", "tolist", "tobytes") else returned(made, self)

    return method


def _operator(name: str, reflected: bool) -> Callable[..., Any]:
    def operator(self: ndarray, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented  # such as a Tensor, which does it itself
        return apply(other, self) if reflected else apply(self, other)

    apply = matmul if name == "matmul" else ufunc(f"cupy.{name}")
    return operator


def _in_place(name: str) -> Callable[..., Any]:
    apply = ufunc(f"cupy.{name}")
    return lambda self, other: apply(self, other, out=self)


def _unary(name: str) -> Callable[..., Any]:
    apply = ufunc(f"cupy.{name}")
    return lambda self: apply(self)


def matmul(x1: Any, x2: Any) -> Any:
    with quiet():
        return wrapped(np.matmul(operand(x1), operand(x2)))


OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

for method_name in NAMES["methods"]:
    if method_name not in vars(ndarray):
        setattr(ndarray, method_name, _method(method_name))
for operator_name, function in {**OPERATORS, **COMPARISONS}.items():
    setattr(ndarray, f"__{operator_name}__", _operator(function, reflected=False))
for operator_name, function in OPERATORS.items():
    setattr(ndarray, f"__r{operator_name}__", _operator(function, reflected=True))
    if f"__i{operator_name}__" in NAMES["attributes"]:
        setattr(ndarray, f"__i{operator_name}__", _in_place(function))
for operator_name, function in UNARY.items():
    setattr(ndarray, f"__{operator_name}__", _unary(function))
