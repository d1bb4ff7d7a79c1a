"""What a recorded step computes with: arrays that record what is done with them, and their backend.

Each call runs on NumPy's arrays at once, and becomes an instruction. Functions that are not in the lists below are refused,
above all those whose result has a shape that depends on values.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .. import libraries
from ..core import backend as backends
from ..symbols import Symbol, tracing
from .layouts import in_place_of_a_temporary
from .recording import Recording, Traced, held, numpy

FUNCTIONS = frozenset(
    """all any arange argmax argmin argsort array asarray ascontiguousarray atleast_1d atleast_2d broadcast_to clip
    concatenate count_nonzero cumprod cumsum diff dot einsum empty empty_like erf expand_dims eye flip full full_like
    linalg.cholesky linalg.det linalg.eigh linalg.inv linalg.qr linalg.slogdet linalg.solve linalg.svd masked matmul max
    mean median min moveaxis ones ones_like outer pad partition prod ravel repeat reshape roll round searchsorted sort
    split squeeze stack std sum swapaxes take take_along_axis tensordot tile trace transpose tril triu var where zeros
    zeros_like isin nan_to_num array_split rot90 fliplr flipud amax amin lib.stride_tricks.as_strided""".split()  # noqa: SIM905
)
"""Functions of values that give the same at every call, and a shape that depends on shapes alone."""
OF_TYPES = {"result_type", "can_cast", "promote_types", "broadcast_shapes", "finfo", "iinfo", "issubdtype", "geterr"}
METHODS = frozenset(
    """all any argmax argmin argsort astype clip copy cumprod cumsum dot max mean min prod ravel repeat reshape round
    squeeze std sum swapaxes take trace transpose var view flatten""".split()  # noqa: SIM905
)
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = ("neg", "pos", "abs", "invert")


def _recording() -> Recording:
    recording: Recording | None = tracing.get()
    if recording is None:
        raise RuntimeError(
            "an array of a recorded step is used after it: the step put it where capture does not look; return it instead"
        )
    return recording


class TracedArray(Traced):
    """An array of a step that is being recorded."""

    __slots__ = ()
    __array_ufunc__: Any = None

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, Traced) and k.held.dtype.kind == "b" for k in keys):
            raise _refused("the step takes the elements where a mask holds, as many as there are", "use tr.where")
        return _called("operator", "getitem", operator.getitem, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        recording = _recording()
        if isinstance(value, Traced) and _same(value.held, self.held, held(key)):
            return  # what `y[key] += x` has written already
        recording.write(
            "operator",
            "setitem",
            lambda: operator.setitem(self.held, held(key), held(value)),
            (self, key, value),
            {},
            self,
        )

    def __bool__(self) -> bool:
        outcome = bool(self.held)
        _recording().check(self, outcome)
        return outcome

    def fill(self, value: Any) -> None:
        """Write a number to all elements."""
        self[...] = value

    def _value(self, *_: Any, **__: Any) -> Any:
        raise _refused(
            f"the step asks for the values of {backends.described(self)}, which only this call has",
            "return the tensor and look at it outside, or decide with tr.where",
        )


KNOWN = ("dtype", "shape", "ndim", "size", "strides", "itemsize", "nbytes", "flags", "base")
VALUED = [
    f"__{name}__" for name in ("float", "int", "index", "complex", "array", "array_function", "repr", "str", "format")
]
VALUED += ["item", "tolist", "tobytes", "get"]
for _name in KNOWN:
    setattr(TracedArray, _name, property(operator.attrgetter(f"held.{_name}")))
for _name in VALUED:
    setattr(TracedArray, _name, TracedArray._value)
setattr(TracedArray, "T", property(operator.methodcaller("transpose")))  # noqa: B010  (as the others)


class TracedScalar(TracedArray):
    """A NumPy scalar of such a step: beside tensors it is a number, and what an op returns is an array."""

    __slots__ = ()

    def as_array(self) -> TracedArray:
        """The 0-d array that it stands for."""
        made: TracedArray = Library.asarray(self)
        return made


def _same(value: Any, target: Any, key: Any) -> bool:
    """Whether a value is, in memory, what it is to be written to."""
    there = target[key]
    own: Any = getattr(value, "__array_interface__", None), getattr(there, "__array_interface__", None)
    if not isinstance(value, numpy.ndarray) or not isinstance(there, numpy.ndarray) or not value.size:
        return False
    return all(own[0][k] == own[1][k] for k in ("data", "shape", "strides", "typestr"))


def _refused(what: str, remedy: str) -> Exception:
    return _recording().refused(what, remedy)


def _wrapped(made: Any) -> Any:
    """A result as an array that records, whichever part of the recording made it."""
    if type(made) is Traced:
        kind = TracedArray if isinstance(made.held, numpy.ndarray) else TracedScalar
        return kind(made.held, made.storage)
    return tuple(map(_wrapped, made)) if isinstance(made, tuple) else made


def _called(kind: str, name: str, f: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    out = settings.pop("out", None)
    if out is None:
        return _wrapped(_recording().call(kind, name, f, args, settings))
    (out,) = out if isinstance(out, tuple) else (out,)
    return _recording().write(
        kind, name, lambda: f(*held(args), out=out.held, **held(settings)), args, {**settings, "out": out}, out
    )


# ---- operators and methods


def _operator(name: str) -> Callable[..., Any]:
    f = getattr(operator, f"{name}_" if name in ("and", "or") else name)

    def apply(self: TracedArray, other: Any) -> Any:
        if _of_tensors(other):
            return NotImplemented
        counts = sys.getrefcount(self), sys.getrefcount(other)

        def compute(x: Any, y: Any) -> Any:
            return in_place_of_a_temporary(name, f(x, y), (self, other), counts)

        return _called("operator", name, compute, (self, other), {})

    return apply


def _reflected(name: str) -> Callable[..., Any]:
    f = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    return lambda self, other: NotImplemented if _of_tensors(other) else _called("operator", name, f, (other, self), {})


def _in_place(name: str) -> Callable[..., Any]:
    f = getattr(operator, f"i{name}")
    plain = _operator(name)

    def apply(self: TracedArray, other: Any) -> Any:
        if not isinstance(self.held, numpy.ndarray):  # of a scalar Python makes another
            return plain(self, other)
        return _recording().write("operator", f"i{name}", lambda: f(self.held, held(other)), (self, other), {}, self)

    return apply


def _of_tensors(other: Any) -> bool:
    return hasattr(other, "_node")


def _unary(name: str) -> Callable[..., Any]:
    f = getattr(operator, name)
    return lambda self: _called("operator", name, f, (self,), {})


def _method(name: str) -> Callable[..., Any]:
    def f(x: Any, *args: Any, **settings: Any) -> Any:
        return getattr(x, name)(*args, **settings)

    return lambda self, *args, **settings: _called("method", name, f, (self, *args), settings)


for _name in BINARY:
    setattr(TracedArray, f"__{_name}__", _operator(_name))
    setattr(TracedArray, f"__r{_name}__", _reflected(_name))
    setattr(TracedArray, f"__i{_name}__", _in_place(_name))
for _name in COMPARED:
    setattr(TracedArray, f"__{_name}__", _operator(_name))
for _name in UNARY:
    setattr(TracedArray, f"__{_name}__", _unary(_name))
for _name in METHODS:
    setattr(TracedArray, _name, _method(_name))


# ---- the library


class _UFunc:
    """A ufunc: called, or its `at` and `reduce`."""

    def __init__(self, name: str) -> None:
        self._name, self._f = name, getattr(numpy, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        if len(args) > self._f.nin:
            settings["out"], args = args[self._f.nin], args[: self._f.nin]
        return _called("call", self._name, self._f, args, settings)

    def at(self, y: TracedArray, *args: Any) -> None:
        """Write to elements one after the other."""
        _recording().write("at", self._name, lambda: self._f.at(y.held, *held(args)), (y, *args), {}, y)


class Library:
    """NumPy, as a recorded step sees it: `xp`."""

    ndarray = TracedArray

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        plain: Any = functools.reduce(getattr, full.split("."), backends.get("numpy"))
        if full in ("linalg", "lib", "lib.stride_tricks"):
            return Library(full + ".")
        if full in FUNCTIONS:
            return lambda *args, **settings: _called("call", full, plain, args, settings)
        if isinstance(plain, numpy.ufunc):
            return _UFunc(full)
        if full in OF_TYPES:
            return lambda *args: plain(*held(args))
        if full == "errstate" or isinstance(plain, type | float | int | type(None)):
            return plain
        raise _refused(f"the step calls {full} of the array library, which capture does not know", "write it in other ops")

    @staticmethod
    def asarray(x: Any, dtype: Any = None) -> Any:
        """An array as it is, or a number as one."""
        if isinstance(x, Traced) and isinstance(x.held, numpy.ndarray) and dtype in (None, x.held.dtype):
            return x
        settings = {} if dtype is None else {"dtype": dtype}
        return _called("call", "asarray", numpy.asarray, (x,), settings)

    @staticmethod
    def copyto(target: Any, source: Any, **settings: Any) -> None:
        """Write an array into another."""
        _recording().write(
            "call",
            "copyto",
            lambda: numpy.copyto(target.held, held(source), **held(settings)),
            (target, source),
            settings,
            target,
        )

    @staticmethod
    def broadcast(*arrays: Any) -> Any:
        """The shape of arrays together."""
        return numpy.broadcast(*held(arrays))


class TracedBackend(backends.Backend):
    """NumPy's backend for a step that is recorded. What may be changed of that holds for this too."""

    @staticmethod
    def whole(f: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """Run an array function on NumPy's arrays, as one call."""
        return _called("call", f"{f.__name__}()", functools.partial(f, backends.get("numpy")), args, settings)


setattr(TracedBackend, "block", property(lambda _: backends.get("numpy").block, lambda *_: None))  # noqa: B010


def _backend() -> backends.Backend:
    library = Library()
    supplied: dict[str, Any] = {name: getattr(library, name) for name in ("masked", "where", "matmul", "erf")}
    return TracedBackend(
        "traced",
        library,
        **supplied,
        scatter_add=None,
        wraps=False,
        to_host=TracedArray._value,
        checked_linalg=contextlib.nullcontext,
    )


BACKEND: backends.Backend = _backend()
backends._loaded["traced"] = backends.HOMES[TracedArray] = BACKEND
backends.HOMES[TracedScalar] = backends.HOMES[Symbol] = None
libraries.SCALARS += (TracedScalar,)
