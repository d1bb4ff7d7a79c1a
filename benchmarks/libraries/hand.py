"""Layers by hand in NumPy, as an expert would write them: buffers are allocated once, and operations write into them.

`forward` may overwrite its argument and `backward` its incoming gradient. Parameters, and their gradients, are views of one
flat array each, so that clipping and the update are a few operations in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..workloads.base import ADAM_EPS, BETAS, EPS, LR, MOMENTUM, SMOOTHING, Array, decays


def empty(*shape: int) -> Array:
    """A buffer."""
    return np.empty(shape, dtype=np.float32)


class Store:
    """Parameters and their gradients, flat; those with L2 stand first."""

    def __init__(self, parameters: Mapping[str, Array]) -> None:
        names = sorted(parameters, key=lambda name: not decays(parameters[name]))
        arrays = [parameters[name] for name in names]
        self.value = np.concatenate([array.ravel() for array in arrays])
        self.gradient, self.momentum, self.scratch = (np.zeros(self.value.size, np.float32) for _ in range(3))
        self.decayed = slice(0, sum(array.size for array in arrays if decays(array)))
        self.values, self.gradients, end = {}, {}, 0
        for name, array in zip(names, arrays, strict=True):
            start, end = end, end + array.size
            self.values[name] = self.value[start:end].reshape(array.shape)
            self.gradients[name] = self.gradient[start:end].reshape(array.shape)

    def of(self, layer: str) -> list[Array]:
        """Weight and bias of a layer, then their gradients."""
        names = (f"{layer}weight", f"{layer}bias")
        return [held[name] for held in (self.values, self.gradients) for name in names]

    def clip(self, max_norm: float) -> None:
        """By the norm of all gradients."""
        norm = math.sqrt(np.dot(self.gradient, self.gradient))
        if norm > max_norm:
            self.gradient *= max_norm / norm

    def sgd(self, lr: float, l2: float) -> None:
        """With momentum."""
        if l2:
            part = self.decayed
            self.gradient[part] += np.multiply(self.value[part], l2, out=self.scratch[part])
        self.momentum *= MOMENTUM
        self.momentum += self.gradient
        self.value -= np.multiply(self.momentum, lr, out=self.scratch)


class Adam:
    """Adam on the flat arrays of a store."""

    def __init__(self, store: Store) -> None:
        self.store, self.steps = store, 0
        self.mean, self.square, self.root = (np.zeros(store.value.size, np.float32) for _ in range(3))

    def step(self) -> None:
        """The update, with the factors of both corrections in two numbers."""
        (beta1, beta2), g, scratch = BETAS, self.store.gradient, self.store.scratch
        self.steps += 1
        self.mean *= beta1
        self.mean += np.multiply(g, 1 - beta1, out=scratch)
        self.square *= beta2
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        self.square += scratch
        np.sqrt(self.square, out=self.root)
        self.root /= math.sqrt(1 - beta2**self.steps)
        self.root += ADAM_EPS
        np.divide(self.mean, self.root, out=scratch)
        scratch *= LR / (1 - beta1**self.steps)
        self.store.value -= scratch


class Masks:
    """Where to keep: 16 random bits an element."""

    def __init__(self, shape: Sequence[int], p: float) -> None:
        self.shape, self.size, self.threshold = shape, math.prod(shape), np.uint16(round((1 - p) * 2**16))
        self.bits = np.random.SFC64(0)
        self.keep = np.empty(shape, dtype=bool)

    def draw(self) -> Array:
        """A new mask, in the place of the last."""
        bits = self.bits.random_raw(-(-self.size // 4)).view(np.uint16)[: self.size]
        return np.less(bits.reshape(self.shape), self.threshold, out=self.keep)


class Linear:
    """x W^T + b; the first layer has no gradient in x to compute."""

    def __init__(self, store: Store, name: str, rows: int, first: bool = False) -> None:
        self.weight, self.bias, self.of_weight, self.of_bias = store.of(name)
        self.y = empty(rows, self.weight.shape[0])
        self.of_x = None if first else empty(rows, self.weight.shape[1])

    def forward(self, x: Array) -> Array:
        """One matrix product."""
        self.x = x
        np.matmul(x, self.weight.T, out=self.y)
        self.y += self.bias
        return self.y

    def backward(self, g: Array) -> Array:
        """Two matrix products, or one."""
        np.matmul(g.T, self.x, out=self.of_weight)
        np.add.reduce(g, axis=0, out=self.of_bias)
        return None if self.of_x is None else np.matmul(g, self.weight, out=self.of_x)


class BatchNorm:
    """Batch norm over the rows of (N, C), and ReLU and dropout where wanted: these scale by the mask of both in one go.

    Dropout's factor goes into weight and bias, of which there are fewer.
    """

    def __init__(self, store: Store, name: str, rows: int, *, relu: bool = True, p: float = 0.0) -> None:
        self.weight, self.bias, self.of_weight, self.of_bias = store.of(name)
        columns, self.rows, self.relu = self.weight.size, rows, relu
        self.factor = 1 / (1 - p)
        self.mean, self.var, self.inverse, self.scale = (empty(columns) for _ in range(4))
        self.shift, self.sum, self.product = (empty(columns) for _ in range(3))
        self.running_mean, self.running_var = np.zeros(columns, np.float32), np.ones(columns, np.float32)
        self.y, self.scratch = empty(rows, columns), empty(rows, columns)
        self.positive = np.empty((rows, columns), dtype=bool)
        self.masks = Masks((rows, columns), p) if p else None

    def forward(self, x: Array) -> Array:
        """Leaves x centred, for the backward."""
        np.add.reduce(x, axis=0, out=self.mean)
        self.mean /= self.rows
        x -= self.mean
        np.einsum("ij,ij->j", x, x, out=self.var)
        self.var /= self.rows
        for running, new in ((self.running_mean, self.mean), (self.running_var, self.var)):
            running *= 0.9
            running += np.multiply(new, 0.1, out=self.sum)
        np.add(self.var, EPS, out=self.inverse)
        np.sqrt(self.inverse, out=self.inverse)
        np.divide(self.factor, self.inverse, out=self.scale)
        self.scale *= self.weight
        np.reciprocal(self.inverse, out=self.inverse)
        y = np.multiply(x, self.scale, out=self.y)
        y += self.bias if self.factor == 1 else np.multiply(self.bias, self.factor, out=self.shift)
        if self.relu:
            np.greater(y, 0, out=self.positive)
            if self.masks:
                self.positive &= self.masks.draw()
            y *= self.positive
        self.centred = x
        return y

    def backward(self, g: Array) -> Array:
        """scale (g - mean(g) - xhat mean(g xhat)), where xhat is centred * inverse."""
        if self.relu:
            g *= self.positive
        np.add.reduce(g, axis=0, out=self.sum)
        np.einsum("ij,ij->j", g, self.centred, out=self.product)
        self.product *= self.inverse
        np.multiply(self.product, self.factor, out=self.of_weight)
        np.multiply(self.sum, self.factor, out=self.of_bias)
        self.product *= self.inverse
        self.product /= self.rows
        self.sum /= self.rows
        g -= np.multiply(self.centred, self.product, out=self.scratch)
        g -= self.sum
        g *= self.scale
        return g


class RowNorm:
    """Each row of (rows, m) by its mean and variance, or by its mean square alone; then weight and bias.

    `placed`: a shape of three axes that the array can be seen in, of which the middle one is that of weight and bias.
    """

    def __init__(
        self, weights: Sequence[Array], rows: int, size: int, placed: Sequence[int], *, centre: bool = True
    ) -> None:
        self.weight, self.bias, self.of_weight, self.of_bias = weights
        self.size, self.placed, self.centre = size, placed, centre
        self.inverse, self.mean = empty(rows, 1), empty(rows, 1)
        self.xhat, self.y, self.scratch = (empty(rows, size) for _ in range(3))

    def forward(self, x: Array) -> Array:
        """The row's formula; x stays as it is."""
        self.shape = x.shape
        x = x.reshape(self.xhat.shape)
        if self.centre:
            np.add.reduce(x, axis=1, out=self.mean, keepdims=True)
            self.mean /= self.size
            x = np.subtract(x, self.mean, out=self.xhat)
        np.einsum("ij,ij->i", x, x, out=self.inverse[:, 0])
        self.inverse /= self.size
        self.inverse += EPS
        np.sqrt(self.inverse, out=self.inverse)
        np.reciprocal(self.inverse, out=self.inverse)
        np.multiply(x, self.inverse, out=self.xhat)
        y = np.multiply(self.xhat.reshape(self.placed), self.weight[:, None], out=self.y.reshape(self.placed))
        if self.bias is not None:
            y += self.bias[:, None]
        return y.reshape(self.shape)

    def backward(self, g: Array) -> Array:
        """inverse (g - mean(g) - xhat mean(g xhat)), after weight and bias."""
        placed = g.reshape(self.placed)
        np.einsum("nci,nci->c", placed, self.xhat.reshape(self.placed), out=self.of_weight)
        if self.bias is not None:
            np.einsum("nci->c", placed, out=self.of_bias)
        placed *= self.weight[:, None]
        g = g.reshape(self.xhat.shape)
        np.einsum("ij,ij->i", g, self.xhat, out=self.mean[:, 0])
        self.mean /= self.size
        np.multiply(self.xhat, self.mean, out=self.scratch)
        if self.centre:
            np.add.reduce(g, axis=1, out=self.mean, keepdims=True)
            self.mean /= self.size
            g -= self.mean
        g -= self.scratch
        g *= self.inverse
        return g.reshape(self.shape)


class ReLU:
    """max(x, 0), in place, and dropout, with one mask for both."""

    def __init__(self, shape: Sequence[int], p: float = 0.0) -> None:
        self.positive, self.factor = np.empty(shape, dtype=bool), 1 / (1 - p)
        self.masks = Masks(shape, p) if p else None

    def forward(self, x: Array) -> Array:
        """Overwrites x."""
        np.greater(x, 0, out=self.positive)
        if self.masks:
            self.positive &= self.masks.draw()
        return self.backward(x)

    def backward(self, g: Array) -> Array:
        """Overwrites g."""
        g *= self.positive
        if self.masks:
            g *= self.factor
        return g


class Dropout:
    """x / (1 - p) where a mask keeps it, in place."""

    def __init__(self, shape: Sequence[int], p: float) -> None:
        self.masks = Masks(shape, p) if p else None
        self.scaled, self.factor = empty(*shape), 1 / (1 - p)

    def forward(self, x: Array) -> Array:
        """Overwrites x."""
        if self.masks:
            np.multiply(self.masks.draw(), np.float32(self.factor), out=self.scaled)
        return self.backward(x)

    def backward(self, g: Array) -> Array:
        """Overwrites g."""
        if self.masks:
            g *= self.scaled
        return g


class CrossEntropy:
    """The mean over rows of (N, K) with class indices and label smoothing."""

    def __init__(self, rows: int, number: int) -> None:
        self.p, self.row, self.index = empty(rows, number), empty(rows, 1), np.arange(rows)

    def forward(self, z: Array, labels: Array) -> Any:
        """Overwrites z; keeps the softmax."""
        np.maximum.reduce(z, axis=1, out=self.row, keepdims=True)
        z -= self.row
        np.exp(z, out=self.p)
        np.add.reduce(self.p, axis=1, out=self.row, keepdims=True)
        self.p /= self.row
        self.labels = labels
        at_label, (rows, number) = z[self.index, labels], z.shape
        np.log(self.row, out=self.row)
        return (self.row.sum() - (1 - SMOOTHING) * at_label.sum() - SMOOTHING / number * z.sum()) / rows

    def backward(self) -> Array:
        """(softmax - q) / N."""
        rows, number = self.p.shape
        self.p -= SMOOTHING / number
        self.p[self.index, self.labels] -= 1 - SMOOTHING
        self.p /= rows
        return self.p
