"""Norms, losses and dropout by hand in NumPy, forward and backward, with buffers that are allocated once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..workloads.base import Array, Part, Program
from .hand import BatchNorm, CrossEntropy, Dropout, RowNorm, Store, empty

# ---- norms -----------------------------------------------------------------------------------------------------------


def _both_ways(part: Part, layer: Any, store: Store | None = None) -> Program:
    """Forward and backward of a layer that overwrites what it is given, so it is given copies."""
    x, g = np.empty_like(part.inputs["x"]), np.empty_like(part.inputs["x"])
    incoming: Array = part.incoming

    def step() -> tuple[Array, Array]:
        np.copyto(x, part.inputs["x"])
        y = layer.forward(x)
        np.copyto(g, incoming)
        return y, layer.backward(g)

    gradients = store.gradients if store else {}
    return Program(step, lambda done: {"value": done[0], "x": done[1], **gradients})


def _affine(part: Part) -> tuple[Store, list[Array]]:
    store = Store({name: array for name, array in part.inputs.items() if name != "x"})
    weights = [held.get(name) for held in (store.values, store.gradients) for name in ("weight", "bias")]
    return store, weights


def batch_norm(part: Part) -> Program:
    """Over rows."""
    store, _ = _affine(part)
    return _both_ways(part, BatchNorm(store, "", len(part.inputs["x"]), relu=False), store)


def _row_norm(part: Part, rows: int, channels: int, *, centre: bool = True) -> Program:
    store, weights = _affine(part)
    x = part.inputs["x"]
    placed = (len(x), channels, x.size // (len(x) * channels))
    return _both_ways(part, RowNorm(weights, rows, x.size // rows, placed, centre=centre), store)


def layer_norm(part: Part) -> Program:
    """Each row."""
    rows, columns = part.inputs["x"].shape
    return _row_norm(part, rows, columns)


def rms_norm(part: Part) -> Program:
    """Each row, by its mean square."""
    rows, columns = part.inputs["x"].shape
    return _row_norm(part, rows, columns, centre=False)


def group_norm(part: Part) -> Program:
    """Each of four groups of channels."""
    images, channels = part.inputs["x"].shape[:2]
    return _row_norm(part, images * 4, channels)


def instance_norm(part: Part) -> Program:
    """Each channel of each image."""
    images, channels = part.inputs["x"].shape[:2]
    return _row_norm(part, images * channels, channels)


def dropout(part: Part) -> Program:
    """With a new mask at each step."""
    return _both_ways(part, Dropout(part.inputs["x"].shape, part.constants[0]))


# ---- losses ----------------------------------------------------------------------------------------------------------


def cross_entropy(part: Part) -> Program:
    """With class indices and label smoothing."""
    x, labels = part.inputs["x"], part.constants[0]
    loss, z = CrossEntropy(*x.shape), np.empty_like(x)

    def step() -> tuple[Any, Array]:
        np.copyto(z, x)
        return loss.forward(z, labels), loss.backward()

    return Program(step, lambda done: {"value": done[0], "x": done[1]})


Formula = Callable[[Array, Array, Array, Array], Any]


def _elementwise(formula: Formula) -> Callable[[Part], Program]:
    """A loss from what gives its value and leaves its gradient in the third array; the fourth is for what comes between."""

    def program(part: Part) -> Program:
        x, target = part.inputs["x"], part.constants[0]
        g, scratch = empty(*x.shape), empty(*x.shape)
        return Program(lambda: formula(x, target, g, scratch), lambda value: {"value": value, "x": g})

    return program


@_elementwise
def mse(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean of d^2."""
    np.subtract(x, target, out=g)
    value = np.vdot(g, g) / x.size
    g *= 2 / x.size
    return value


@_elementwise
def mae(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean of |d|."""
    np.subtract(x, target, out=scratch)
    np.sign(scratch, out=g)
    value = np.vdot(scratch, g) / x.size
    g /= x.size
    return value


@_elementwise
def huber(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean of c (d - c / 2), where c is d within -1 and 1."""
    np.subtract(x, target, out=scratch)
    np.clip(scratch, -1, 1, out=g)
    value = (np.vdot(scratch, g) - np.vdot(g, g) / 2) / x.size
    g /= x.size
    return value


@_elementwise
def binary_cross_entropy(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean of max(x, 0) - x t + log(1 + e), and (sigmoid(x) - t) / n, where e is exp(-|x|)."""
    np.abs(x, out=scratch)
    np.negative(scratch, out=scratch)
    np.exp(scratch, out=scratch)
    np.maximum(x, 0, out=g)
    value = g.sum() - np.vdot(x, target)
    np.log1p(scratch, out=g)
    value += g.sum()
    np.add(scratch, 1, out=g)
    np.copyto(scratch, 1, where=x >= 0)
    np.divide(scratch, g, out=g)
    g -= target
    g /= x.size
    return value / x.size


@_elementwise
def kl_divergence(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean over rows of the sum of p (log p - x)."""
    np.log(target, out=scratch)
    scratch -= x
    value = np.vdot(target, scratch) / len(x)
    np.multiply(target, -1 / len(x), out=g)
    return value


@_elementwise
def hinge(x: Array, target: Array, g: Array, scratch: Array) -> Any:
    """Mean of max(0, 1 - t x)."""
    np.multiply(x, target, out=scratch)
    np.subtract(1, scratch, out=scratch)
    np.maximum(scratch, 0, out=scratch)
    value = scratch.sum() / x.size
    np.sign(scratch, out=g)
    g *= target
    g *= -1 / x.size
    return value
