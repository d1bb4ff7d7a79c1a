"""In what dtype a layer takes its inputs."""

from __future__ import annotations

from typing import Any

from ..core.backend import described, home, is_float
from ..core.tensor import Tensor
from ..switches import Switch

promoting: Switch[bool] = Switch("promoting", False, replayed=True)
"""Whether layers take inputs of other dtypes, for checks that try one function in several."""


def expect_dtype(layer: str, x: Any, parameter: Any, *, name: str = "x", mixed: bool = False) -> None:
    """Whether x has the dtype of a layer's parameter: an input never decides in what dtype a network computes.

    mixed: float16 will do too, for layers that compute it in the parameter's dtype and round. PyTorch does the same.

    Raises `TypeError` for another dtype, integers among them, and for what is neither a Tensor nor an array.
    """
    dtype = getattr(x, "dtype", None)
    if dtype == parameter.dtype or (mixed and dtype == "float16"):
        return
    if not isinstance(x, Tensor) and home(x, f"{layer}: ") is None:
        raise TypeError(f"{layer}: got {name}={x!r}, expected a Tensor or an array of {parameter.dtype}")
    if promoting.get():
        return
    other = f', or make the layer after tr.set_default_dtype("{dtype}")' if is_float(x) else ""
    raise TypeError(
        f"{layer}: got {name} {described(x)}, expected {parameter.dtype}, the dtype of the layer's parameters; use "
        f'{name}.astype("{parameter.dtype}"){other}'
    )
