"""Where new data is born: tensors from numbers, lists and arrays, and tensors of one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .core.backend import HOMES, LOADERS, Array, DType, Shape, current, get, home, transfer
from .core.tensor import Tensor, wrap

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


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of Python floats and of layers' parameters: float16, float32 (at the start) or float64.

    >>> import tinyreg as tr
    >>> tr.set_default_dtype("float64")
    >>> tr.tensor(0.5).dtype
    dtype('float64')
    >>> tr.set_default_dtype("float32")
    """
    global _default_dtype
    wanted: DType = get("numpy").dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(f"set_default_dtype: got {wanted}, expected float16, float32 or float64")
    _default_dtype = wanted


def as_array(data: Any, dtype: Any = None, backend: str | None = None) -> Array:
    """A new array from numbers, nested sequences or an array; Python floats take the default dtype, arrays keep theirs."""
    source = HOMES.get(type(data)) or (home(data) if hasattr(data, "dtype") else None)
    to = get(backend) if backend else source or current()
    array = data if source else get("numpy").asarray(data)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"tensor: got data of dtype {array.dtype}, expected booleans, integers or floats; "
            "complex numbers, text and ragged sequences are not supported"
        )
    if dtype is None and not source and array.dtype.kind == "f" and not hasattr(_first(data), "dtype"):
        dtype = _default_dtype
    return to.array(transfer(array, to), dtype=dtype)


def backend_of(x: Any) -> str:
    """The name of the backend on which a Tensor or an array lives."""
    place = home(x._array if isinstance(x, Tensor) else x)
    if place is None:
        raise TypeError(f"got {x!r}, expected a Tensor or an array; make it one with tr.tensor(...)")
    return place.name


def _first(data: Any) -> Any:
    """The first number of a nested sequence, in which NumPy's own numbers keep their dtype."""
    while isinstance(data, Sequence) and data:
        data = data[0]
    return data.reshape(-1)[0] if getattr(data, "size", 0) else data


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


def full(shape: int | Shape, value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of `shape` filled with one number; a Python float takes the default dtype.

    >>> import tinyreg as tr
    >>> tr.full(2, 7.0)
    tensor([7., 7.])
    """
    return Tensor(current().full(shape, value, dtype=as_array(value, dtype, "numpy").dtype), requires_grad)


def zeros(shape: int | Shape, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros, of the default dtype unless another is given.

    >>> import tinyreg as tr
    >>> tr.zeros((2, 2))
    tensor([[0., 0.],
            [0., 0.]])
    """
    return full(shape, 0.0, dtype=dtype, requires_grad=requires_grad)


def ones(shape: int | Shape, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones, of the default dtype unless another is given.

    >>> import tinyreg as tr
    >>> tr.ones(3)
    tensor([1., 1., 1.])
    """
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
    return Tensor(current().arange(start, stop, step, dtype=dtype))


def zeros_like(x: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and backend of x.

    >>> import tinyreg as tr
    >>> tr.zeros_like(tr.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    like = x if isinstance(x, Tensor) else wrap(as_array(x))
    return Tensor(get(like.backend).zeros(like.shape, dtype=dtype or like.dtype), requires_grad)


def ones_like(x: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and backend of x.

    >>> import tinyreg as tr
    >>> tr.ones_like(tr.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    like = x if isinstance(x, Tensor) else wrap(as_array(x))
    return Tensor(get(like.backend).ones(like.shape, dtype=dtype or like.dtype), requires_grad)
