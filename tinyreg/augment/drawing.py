"""What augmentations are given, and the numbers that they draw: one for each sample, from the generator of the call."""

from __future__ import annotations

import sys
from typing import Any

from ..arguments import integer, number
from ..core.backend import Array, DType, Shape, accumulator, described, home, is_float
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator

Range = tuple[float, float]

LARGEST = sys.float_info.max
SLACK = 0.01
"""By how much values may lie outside of [0, 1]: interpolation and half precision round."""


def check_floats(name: str, images: Any, expected: str = "floats in [0, 1]; for bytes use images / 255.0") -> None:
    """Raise unless images are a Tensor or an array of floats."""
    if not is_array(images):
        raise TypeError(f"{name}: got images {images!r:.80}, expected a Tensor or an array; use tr.tensor(...)")
    if not is_float(images):
        raise TypeError(f"{name}: got images {described(images)}, expected {expected}")


def is_array(value: Any) -> bool:
    """Whether it is a Tensor or an array, and no list, data frame or array of another library."""
    try:
        return isinstance(value, Tensor) or (home(value) is not None and hasattr(value, "dtype"))
    except TypeError:
        return False


def check_images(name: str, images: Any) -> None:
    """Raise unless images are floats of shape (N, C, height, width) with at least one pixel each."""
    check_floats(name, images)
    if images.ndim != 4:
        raise ValueError(
            f"{name}: got images {described(images)}, expected (N, C, height, width); for a single image use images[None]"
        )
    if not all(images.shape[1:]):
        raise ValueError(f"{name}: got images {described(images)}, expected at least one channel, row and column")


def check_values(name: str, images: Any) -> None:
    """Raise unless the values lie in [0, 1]: for what clips its result, and would silently flatten all others."""
    values = getattr(images, "_array", images)
    if values.size and not (values.min() >= -SLACK and values.max() <= 1 + SLACK):
        low, high = float(values.min()), float(values.max())
        raise ValueError(
            f"{name}: got values from {low:.4g} to {high:.4g}, expected [0, 1]; for 0 to 255 use images / 255, and "
            "augment before you normalize"
        )


def check_range(name: str, what: str, value: Any, least: float = -LARGEST, words: str = "") -> Range:
    """A pair of finite numbers (low, high), in that order, neither of them below `least`."""
    expected = f"(low, high), numbers{words} of which the first is not above the second"
    pair = [number(name, what, v, least=least, most=LARGEST, expected=expected) for v in parts(name, what, value, expected)]
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ValueError(f"{name}: got {what}={value!r}, expected {expected}")
    return pair[0], pair[1]


def check_size(name: str, value: Any, least: int, expected: str) -> tuple[int, int]:
    """Rows and columns, of at least `least`, from a pair or from one number for both."""
    pair = (value, value) if getattr(value, "ndim", 0) == 0 and not isinstance(value, tuple | list) else value
    lengths = [integer(name, "size", n, least=least, expected=expected) for n in parts(name, "size", pair, expected)]
    if len(lengths) != 2:
        raise ValueError(f"{name}: got size={value!r}, expected {expected}")
    return lengths[0], lengths[1]


def parts(name: str, what: str, value: Any, expected: str) -> list[Any]:
    """The elements of a tuple, a list or a flat array."""
    if isinstance(value, tuple | list):
        return list(value)
    if getattr(value, "ndim", None) == 1 and is_array(value):
        return list(value.tolist())
    raise TypeError(f"{name}: got {what}={value!r:.80}, expected {expected}")


def check_share(name: str, what: str, value: Any) -> float:
    """A probability."""
    return number(name, what, value, least=0, most=1, expected="a probability from 0 to 1")


def uniform(images: Any, limits: Range, rng: Generator, shape: Shape | None = None) -> Array:
    """Numbers from [low, high), one for each sample unless another shape is asked for."""
    shape = images.shape[:1] if shape is None else shape
    return rng.uniform(*limits, shape, accumulated(images.dtype), backend_of(images))


def accumulated(dtype: DType) -> DType:
    """The dtype in which to reckon for images of `dtype`: float32 for half precision, otherwise the same."""
    return accumulator(dtype) or dtype


def column(values: Any) -> Any:
    """Numbers of shape (N,) as (N, 1, 1, 1), to meet images."""
    return values.reshape(-1, 1, 1, 1)
