"""What people who come from PyTorch and NumPy look for under another name, and the errors that tell them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from .core.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

PYTORCH = {
    "add_ clamp_ copy_ div_ fill_ mul_ sub_ zero_": "assign: tensors are not changed in place",
    "as_tensor from_numpy": "tr.tensor, which copies, or tr.Tensor, which does not",
    "bool byte double float half int long short type": "astype(dtype)",
    "bmm mm": "the operator @",
    "cat": "tr.concat",
    "chunk": "tr.split",
    "clamp": "clip",
    "clone contiguous": "tr.tensor(x) for a copy, which is seldom needed: no op changes a tensor",
    "cpu": "to('numpy')",
    "cuda": "to('cupy')",
    "cumsum": "cumulative_sum",
    "device": "backend",
    "dim": "ndim",
    "gather": "tr.take_along_axis",
    "masked_fill": "tr.where",
    "numel": "size",
    "permute": "permute_dims",
    "rand randint randn": "a tr.Generator",
    "t": "T",
    "unbind": "unstack",
    "unsqueeze": "expand_dims",
    "view": "reshape",
}
ELSEWHERE = {name: advice for names, advice in PYTORCH.items() for name in names.split()}
"""Names that tensors lack, and what to use instead."""

RENAMED = {"dim": "axis", "dims": "axis", "keepdim": "keepdims"}
"""PyTorch's names for settings that have NumPy's here."""


def _missing(tensor: Tensor, name: str) -> Any:
    """Raise the error about an attribute that a tensor lacks."""
    hint = f"; use {ELSEWHERE[name]}" if name in ELSEWHERE else ""
    text = f"{type(tensor).__name__!r} object has no attribute {name!r}{hint}"
    raise AttributeError(text, name=name, obj=None if hint else tensor)


setattr(Tensor, "__getattr__", _missing)  # noqa: B010  (which tells a type checker that a tensor has any attribute)


def with_axis(f: F) -> F:
    """f, where an error about PyTorch's name for a setting says what it is called here, as the error of an op does."""
    axis = "axes" if "axes" in inspect.signature(f).parameters else "axis"

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and (misnamed := RENAMED.keys() & kwargs.keys()):
            hints = ", ".join(f"{name} is {RENAMED[name].replace('axis', axis)} here" for name in sorted(misnamed))
            raise TypeError(f"{f.__name__}: got an unexpected keyword argument; {hints}")
        return f(*args, **kwargs)

    return call  # type: ignore[return-value]
