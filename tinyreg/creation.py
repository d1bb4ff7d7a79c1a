"""Where new data is born: tensors from numbers, lists and arrays, and tensors of one value."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Never

from .core.backend import (
    FLOATS,
    LOADERS,
    Array,
    DType,
    Shape,
    chosen_for_context,
    chosen_for_process,
    current,
    get,
    home,
    place,
)
from .core.conversion import arrayed, checked, copied
from .core.tensor import Tensor, wrap
from .switches import Context, F
from .symbols import tracing

__all__ = [
    "arange",
    "backends",
    "full",
    "get_default_dtype",
    "ones",
    "ones_like",
    "set_default_dtype",
    "tensor",
    "use",
    "zeros",
    "zeros_like",
]


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
        backend = get(name).name
        super().__init__("use", functools.partial(chosen_for_context, backend))
        final = [i for i, (choice, _) in enumerate(chosen_for_process) if choice() is None]
        del chosen_for_process[: max(final, default=0)]  # a choice that nobody holds is never taken back
        chosen_for_process.append((weakref.ref(self), backend))

    def _take_back(self) -> None:
        """Written as a context or a decorator, it is not meant for the process."""
        chosen_for_process[:] = [pair for pair in chosen_for_process if pair[0]() is not self]

    def __enter__(self) -> None:
        self._take_back()
        super().__enter__()

    def __call__(self, f: F) -> F:
        """f with its body within the context."""
        self._take_back()
        return super().__call__(f)


_default_dtype: DType = get("numpy").dtype("float32")


def backends() -> dict[str, str]:
    """Each backend's name, with "ready" or the reason why it does not work here.

    >>> import tinyreg as tr
    >>> tr.backends()["numpy"]
    'ready'
    """

    def state(name: str) -> str:
        try:
            get(name)
        except RuntimeError as error:
            return str(error)
        return "ready"

    return {name: state(name) for name in LOADERS}


def get_default_dtype() -> DType:
    """The dtype of Python floats and of layers' parameters.

    >>> import tinyreg as tr
    >>> tr.get_default_dtype()
    dtype('float32')
    """
    return _default_dtype


class _Until:
    """What `set_default_dtype` gives: at the end of a `with` the dtype from before is the default again."""

    def __init__(self, before: DType) -> None:
        self._before = before

    def __enter__(self) -> None:
        """The dtype is set already."""

    def __exit__(self, *_: object) -> None:
        set_default_dtype(self._before)


def set_default_dtype(dtype: Any) -> AbstractContextManager[None]:
    """Set the dtype of Python floats and of layers' parameters: float16, float32 (at the start) or float64.

    In a `with` it is set for the body alone, as an ordinary call for all that follows; for all threads either way.

    >>> import tinyreg as tr
    >>> with tr.set_default_dtype("float64"):
    ...     tr.tensor(0.5).dtype
    dtype('float64')
    >>> tr.get_default_dtype()
    dtype('float32')
    """
    global _default_dtype
    wanted: DType = get("numpy").dtype(dtype)
    if wanted not in FLOATS:
        raise TypeError(f"set_default_dtype: got {wanted}, expected float16, float32 or float64")
    before, _default_dtype = _default_dtype, wanted
    return _Until(before)


def as_array(data: Any, dtype: Any = None, backend: str | None = None) -> Array:
    """Make an array of numbers, nested sequences or an array; Python floats take the default dtype, arrays keep theirs."""
    array = arrayed(data, "tensor")
    to = get(backend) if backend else place(data) or current()
    if dtype is not None:
        dtype = checked(dtype, "tensor: asked for data")
    elif array.dtype.kind == "f" and not _typed(data):
        dtype = _default_dtype
    if (recording := tracing.get()) is not None and to.name == "traced" and not _typed(data):
        array = recording.constant(array)
    return copied(array, to, dtype)


def backend_of(x: Any) -> str:
    """The name of the backend on which a Tensor or an array lives."""
    place = home(x._array if isinstance(x, Tensor) else x)
    if place is None:
        raise TypeError(f"got {x!r}, expected a Tensor or an array; make it one with tr.tensor(...)")
    return place.name


def _typed(data: Any) -> bool:
    """Whether data have a dtype of their own: an array, a data frame, a number of NumPy, or a nested sequence of these."""
    while isinstance(data, Sequence) and data:
        data = data[0]
    return hasattr(data, "dtype") or hasattr(data, "__array__")


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, backend: str | None = None) -> Tensor:
    """A new Tensor with a copy of `data`: numbers, nested lists, an array, or another Tensor's values.

    Python floats take the default dtype (float32), Python integers int64; arrays keep their dtype and stay on their
    backend, unless `dtype` or `backend` says otherwise. Lists are born on the backend in use (`tr.use`). A NumPy array
    stays on NumPy whatever is in use: to move it, say where to, `tr.tensor(array, backend="cupy")`.

    Raises `TypeError` for text, complex numbers and ragged lists, and for integers that ask for a gradient.

    >>> import tinyreg as tr
    >>> tr.tensor([[1.0, 2.0], [3.0, 4.0]]).dtype
    dtype('float32')
    """
    array = as_array(data._array if isinstance(data, Tensor) else data, dtype, backend)
    return Tensor(array, requires_grad)


def _lengths_apart(name: str, lengths: tuple[Any, ...], rest: str = "") -> TypeError:
    return TypeError(f"{name}: got the lengths of the axes one by one, expected one tuple: {name}({lengths}{rest})")


def full(shape: int | Shape, value: float, *others: Never, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of `shape` filled with one number; a Python float takes the default dtype.

    >>> import tinyreg as tr
    >>> tr.full(2, 7.0)
    tensor([7., 7.])
    """
    if others:
        raise _lengths_apart("full", (shape, value, *others[:-1]), f", {others[-1]}")
    return Tensor(current().full(shape, value, dtype=as_array(value, dtype, "numpy").dtype), requires_grad)


def zeros(shape: int | Shape, *others: Never, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros, of the default dtype unless another is given.

    >>> import tinyreg as tr
    >>> tr.zeros((2, 2))
    tensor([[0., 0.],
            [0., 0.]])
    """
    if others:
        raise _lengths_apart("zeros", (shape, *others))
    return full(shape, 0.0, dtype=dtype, requires_grad=requires_grad)


def ones(shape: int | Shape, *others: Never, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones, of the default dtype unless another is given.

    >>> import tinyreg as tr
    >>> tr.ones(3)
    tensor([1., 1., 1.])
    """
    if others:
        raise _lengths_apart("ones", (shape, *others))
    return full(shape, 1.0, dtype=dtype, requires_grad=requires_grad)


def arange(start: float, stop: float | None = None, step: float = 1, *, dtype: Any = None) -> Tensor:
    """The numbers from `start` up to, but without, `stop`; with one number, from 0 up to it.

    Integers give int64, floats the default dtype, unless another is given.

    >>> import tinyreg as tr
    >>> tr.arange(3)
    tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    if dtype is None and any(isinstance(number, float) for number in (start, stop, step)):
        dtype = get_default_dtype()
    if dtype is not None:
        dtype = checked(dtype, "arange: asked for numbers")
    return Tensor(current().arange(start, stop, step, dtype=dtype))


def zeros_like(x: Tensor | Array, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and backend of x.

    >>> import tinyreg as tr
    >>> tr.zeros_like(tr.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    like = x if isinstance(x, Tensor) else wrap(as_array(x))
    return Tensor(get(like.backend).zeros(like.shape, dtype=dtype or like.dtype), requires_grad)


def ones_like(x: Tensor | Array, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and backend of x.

    >>> import tinyreg as tr
    >>> tr.ones_like(tr.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    like = x if isinstance(x, Tensor) else wrap(as_array(x))
    return Tensor(get(like.backend).ones(like.shape, dtype=dtype or like.dtype), requires_grad)
