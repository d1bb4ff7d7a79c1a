"""Initial values of weights, and the rule that picks them: He's for layers in front of relu, which is the default.

Drawn on the host, so every backend starts from the same numbers; born on the backend in use.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.backend import Array, Shape
from ..random import Generator, default_generator


def he_normal(shape: Shape, fan_in: int, *, rng: Generator | None = None, dtype: Any = None) -> Array:
    """Normal numbers of mean 0 and variance 2 / fan_in: relu halves the second moment, and this makes up for it.

    shape: of the weight; fan_in: how many inputs each output sums over, at least 1. rng: the default generator
    (`tr.seed`) if None. dtype: the default dtype if None.

    Raises `ValueError` for a fan_in below 1.

    Source: He et al., "Delving Deep into Rectifiers", 2015.

    >>> import tinyreg as tr
    >>> tr.nn.init.he_normal((3, 2), fan_in=2, rng=tr.Generator(0)).shape
    (3, 2)
    """
    if fan_in < 1:
        raise ValueError(f"he_normal: got fan_in={fan_in}, expected at least 1")
    return (rng or default_generator).normal(0.0, math.sqrt(2 / fan_in), shape, dtype)
