"""What a tensor is to Python: a number, a sequence, an array, an index; and what it is not.

It knows of a tensor only what the methods below use, and of the tape whether it is on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..callers import warn_caller
from . import errors
from .backend import DType, Host, Shape, described
from .tape import is_recording

if TYPE_CHECKING:
    from .tensor import Tensor

Number = TypeVar("Number", int, float)


class Protocols:
    """Python's own protocols for a class with shape, ndim, size, dtype, `item`, `numpy` and indexing."""

    __slots__ = ()

    shape: Shape
    ndim: int
    size: int
    dtype: DType
    requires_grad: bool
    backend: str

    def item(self) -> Any:
        """The only element, as a Python number; `ValueError` where there are more."""
        if self.size != 1:
            raise ValueError(f"item: got {described(self)}, expected a tensor of one element")
        return self.numpy().item()

    def numpy(self) -> Host:
        """A copy as a NumPy array, cut off from the tape."""
        raise NotImplementedError

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor; expected at least one axis")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor; expected at least one axis")
        return iter(self.unstack())  # type: ignore

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth value of {described(self)} is ambiguous; use .any() or .all()")
        return bool(self.item())

    def __float__(self) -> float:
        return self._cut_off(float)

    def __int__(self) -> int:
        return self._cut_off(int)

    def _cut_off(self, kind: type[Number]) -> Number:
        """The number that Python or NumPy ask for, with a warning where a gradient stops there."""
        if self.requires_grad and is_recording():
            warn_caller(errors.cut_off(self, kind))
        return kind(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"got {described(self)} as an index, expected one integer")
        return int(self.item())

    def __setitem__(self, key: object, value: object) -> None:
        raise errors.no_assignment()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad or self.backend != "numpy":
            raise errors.no_array(self)
        return self.numpy() if dtype is None else self.numpy().astype(dtype)
