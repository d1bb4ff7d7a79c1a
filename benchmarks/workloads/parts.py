"""Each norm, each loss, and dropout, alone: forward and backward, at four sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..libraries import parts_by_hand as hand
from .base import Array, Library, Part, Program, Settings, Workload, classes, normal

NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
LOSSES = ("mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "kl_divergence", "hinge")
SIZES = ((32, 64), (128, 256), (512, 1024), (2048, 2048))
IMAGES = ("group_norm", "instance_norm")
"""What takes rows as images of 4 by 4 pixels."""


def _cases(sizes: Sequence[tuple[int, int]], p: float) -> dict[str, Settings]:
    cases: dict[str, Settings] = {}
    for name in (*NORMS, *LOSSES, "dropout"):
        dropped = {"p": p} if name == "dropout" else {}
        for rows, columns in sizes:
            cases[f"{name} {rows}x{columns}"] = {"name": name, "rows": rows, "columns": columns, **dropped}
    return cases


def _log_probabilities(x: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _target(name: str, rows: int, columns: int) -> Array:
    drawn = normal(rows, columns, seed=3)
    if name == "cross_entropy":
        return classes((rows,), columns)
    if name == "kl_divergence":
        return np.exp(_log_probabilities(drawn))
    if name == "binary_cross_entropy":
        return (drawn > 0).astype(np.float32)
    return np.sign(drawn) if name == "hinge" else drawn


def part(name: str, rows: int, columns: int, p: float = 0.0) -> Part:
    """The part at this size."""

    def function(library: Any) -> Callable[..., Any]:
        called: Callable[..., Any] = library.functions[name]
        return called

    shape = (rows, columns // 16, 4, 4) if name in IMAGES else (rows, columns)
    x, g = normal(*shape), normal(*shape, seed=4)
    if name == "dropout":
        return Part(function, hand.dropout, {"x": x}, [p], g)
    if name in LOSSES:
        x = _log_probabilities(x) if name == "kl_divergence" else x
        return Part(function, getattr(hand, name), {"x": x}, [_target(name, rows, columns)])
    inputs = {"x": x, "weight": 1 + 0.1 * normal(shape[1], seed=5), "bias": normal(shape[1], seed=6)}
    if name == "rms_norm":
        del inputs["bias"]
    return Part(function, getattr(hand, name), inputs, [], g)


def build(library: Library, settings: Settings) -> Program:
    """Forward and backward."""
    return library.pull_back(part(**settings))


PARTS = Workload(
    "parts",
    "a norm, a loss or dropout alone, forward and backward; group and instance norm take rows as images of 4 by 4 pixels",
    "us",
    lambda _: 1e6,
    _cases(SIZES, 0.5),
    _cases([(6, 64)], 0.5),
    build,
)
