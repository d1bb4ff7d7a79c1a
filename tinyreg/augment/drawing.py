"""What augmentations are given, and the numbers that they draw: one for each sample, from the generator of the call."""

from __future__ import annotations

from typing import Any

from ..core.backend import Array, DType, Shape, accumulator
from ..creation import backend_of
from ..random import Generator, default_generator
from ..signature import described

Range = tuple[float, float]

SLACK = 0.01
"""By how much values may lie outside of [0, 1]: interpolation and half precision round."""


def check_images(name: str, images: Any) -> None:
    """Raise unless images are floats of shape (N, C, height, width) with at least one pixel each."""
    if not hasattr(images, "dtype"):
        raise TypeError(f"{name}: got images {images!r:.80}, expected a Tensor or an array; use tr.tensor(...)")
    if images.dtype.kind != "f":
        raise TypeError(f"{name}: got images {described(images)}, expected floats in [0, 1]; for bytes use images / 255.0")
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


def check_range(name: str, what: str, value: Any, least: float = float("-inf"), words: str = "") -> Range:
    """A pair of numbers (low, high), in that order, neither of them below `least`."""
    pair = tuple(value) if isinstance(value, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(v, int | float) for v in pair) or not least <= pair[0] <= pair[1]:
        raise ValueError(
            f"{name}: got {what}={value!r}, expected (low, high), numbers{words} of which the first is not above the second"
        )
    return pair[0], pair[1]


def check_share(name: str, what: str, value: Any) -> None:
    """Raise unless value is a probability."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: got {what}={value!r}, expected a probability from 0 to 1")


def uniform(images: Any, limits: Range, rng: Generator | None, shape: Shape | None = None) -> Array:
    """Numbers from [low, high), one for each sample unless another shape is asked for."""
    shape = images.shape[:1] if shape is None else shape
    return (rng or default_generator).uniform(*limits, shape, accumulated(images.dtype), backend_of(images))


def accumulated(dtype: DType) -> DType:
    """The dtype in which to reckon for images of `dtype`: float32 for half precision, otherwise the same."""
    return accumulator(dtype) or dtype


def column(values: Any) -> Any:
    """Numbers of shape (N,) as (N, 1, 1, 1), to meet images."""
    return values.reshape(-1, 1, 1, 1)
