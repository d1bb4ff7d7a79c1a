"""What a normalization takes: floats, axes, an eps, and parameters that fit. All of its checks are here."""

from __future__ import annotations

import math
from typing import Any

from ..arguments import axes as named_axes
from ..arguments import number
from ..core.backend import described, is_float
from ..messages import explained
from ..ops.precision import matched
from ..switches import Switch


def checked_axes(name: str, x: Any, axes: int | tuple[int, ...] | None, label: str = "axes") -> tuple[int, ...]:
    """The axes of x, which is of floats, counted from the front, in order; every one but the second if None."""
    if not is_float(x):
        raise TypeError(f"{name}: got x {described(x)}, expected floats")
    ndim = x.ndim
    if axes is None:
        if ndim < 2:
            raise ValueError(f"{name}: got x {described(x)}, expected (N, C) or (N, C, ...); or say the axes")
        return (0, *range(2, ndim))
    checked = named_axes(name, axes, ndim, name=label)
    if not checked:
        raise ValueError(f"{name}: got {label}={axes} for x {described(x)}, expected at least one")
    return tuple(sorted(checked))


def other_axes(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of x that are not among these."""
    return tuple([i for i in range(x.ndim) if i not in axes])


def checked_eps(name: str, eps: Any) -> float:
    """What is added to a variance, at least 0."""
    return number(name, "eps", eps, least=0)


def fitting(name: str, x: Any, axes: tuple[int, ...], **values: Any) -> list[Any]:
    """The values that are given, each of the shape that x has along these axes, in the dtype of x, which x decides."""
    expected = tuple([x.shape[a] for a in axes])
    for label, value in values.items():
        if value is not None and getattr(value, "shape", None) != expected:
            raise ValueError(
                f"{name}: got {label} {described(value)} for x {described(x)}, expected shape {list(expected)}"
            )
    return [matched(value, x) for value in values.values()]


# ---- of a batch ------------------------------------------------------------------------------------------------------


one_sample_alone: Switch[str] = Switch("one_sample_alone", "")
"""The name of what asks, in a context, that no norm uses the statistics of the batch."""


def expect_batch(name: str, x: Any, axes: tuple[int, ...]) -> None:
    """Refuse statistics of a single value, and those of a batch where samples are to be alone."""
    if (asking := one_sample_alone.get()) and 0 in axes:
        raise ValueError(
            explained(
                asking,
                "a sample's result must not depend on the other samples",
                got="a batch norm by the batch's own statistics",
                expected="results that each depend on one sample",
                remedy="the model in eval mode, batch norms that are frozen (frozen=True), or layer norms",
            )
        )
    if math.prod([x.shape[a] for a in axes]) < 2:
        raise ValueError(
            explained(
                name,
                "a single value has no spread",
                got=f"x {described(x)}, and statistics over axes {axes}",
                expected="more than one value for each channel",
                remedy="a larger batch (drop_last=True leaves out a last batch of one sample), or mean and var",
            )
        )
