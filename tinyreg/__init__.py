"""A small tape-based autograd framework: ops are written once, run on NumPy and CuPy, and keep a tape you can read."""

import functools
import importlib
from typing import TYPE_CHECKING, Any

from . import (
    activations,
    creation,
    dropout,
    explore,
    losses,
    metrics,
    nn,
    normalization,
    ops,
    optim,
    random,
    regularizers,
)
from .activations import *
from .core.checkpoint import checkpoint
from .core.fused import fused
from .core.primitive import primitive
from .core.tape import no_grad
from .core.tensor import Tensor
from .creation import *
from .explore import explain, tape
from .hints import ELSEWHERE
from .memory import keep_freed_memory
from .ops import *
from .random import Generator, seed
from .safety import unchecked
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from . import augment, captured, sklearn, testing, training
    from .captured import CaptureError, capture

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "Generator",
    "Tensor",
    "activations",
    "augment",
    "capture",
    "captured",
    "checkpoint",
    "dropout",
    "explain",
    "explore",
    "fused",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "keep_freed_memory",
    "losses",
    "metrics",
    "nn",
    "no_grad",
    "normalization",
    "ops",
    "optim",
    "primitive",
    "random",
    "regularizers",
    "seed",
    "sklearn",
    "tape",
    "testing",
    "training",
    "unchecked",
    "value_and_grad",
    "vjp",
]
__all__ += activations.__all__
__all__ += creation.__all__
__all__ += ops.__all__  # type: ignore[attr-defined]


def _public(room: Any) -> list[str]:
    """The names of a module that are for users: its `__all__`, or else what it defines itself."""
    own = (name for name, value in vars(room).items() if getattr(value, "__module__", "") == room.__name__)
    return sorted(getattr(room, "__all__", None) or (name for name in own if not name.startswith("_")))


ELSEWHERE.update({name: f"tr.{name}(x)" for name in (*_public(ops), *_public(activations)) if not hasattr(Tensor, name)})


def __dir__() -> list[str]:
    return __all__


for _room in (
    activations,
    dropout,
    explore,
    losses,
    metrics,
    nn,
    normalization,
    ops,
    optim,
    random,
    regularizers,
):
    setattr(_room, "__dir__", functools.partial(_public, _room))  # noqa: B010  (which a type checker takes for a method)


if not TYPE_CHECKING:  # to whom any name would be there

    def __getattr__(name: str) -> Any:
        if name in ("CaptureError", "capture"):
            return getattr(importlib.import_module(".captured", __name__), name)
        if name in (
            "augment",
            "captured",
            "sklearn",
            "testing",
            "training",
        ):  # which not everybody needs; what testing and sklearn need is an extra of that name
            try:
                return importlib.import_module(f".{name}", __name__)
            except ModuleNotFoundError as error:
                needed = str(error.name).partition(".")[0]
                raise ModuleNotFoundError(
                    f"tr.{name} needs {needed}: pip install 'tinyreg[{name}]'", name=error.name
                ) from error
        rooms = (f"tr.{room}.{name}" for room in ("nn", "losses", "optim") if name in dir(globals()[room]))
        hint = next(rooms, ELSEWHERE.get(name, ""))
        raise AttributeError(f"module 'tinyreg' has no attribute {name!r}{hint and f'; use {hint}'}", name=name)
