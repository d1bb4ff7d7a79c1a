"""A small convolutional network with batch norm on images of 1x28x28."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import hand
from .base import EPS, Array, Library, Network, Program, Settings, Workload, classes, milliseconds, normal, started
from .networks import batch_norm

CASES = {"1x28x28, 16 and 32 channels, batch 64": {"side": 28, "channels": [16, 32], "batch": 64}}
SMALL = {"1x8x8, 2 and 3 channels, batch 4": {"side": 8, "channels": [2, 3], "batch": 4}}


class Convolution:
    """3 by 3, padded by 1, by hand: channels stand first, so that it is one matrix product over all images."""

    def __init__(self, store: hand.Store, name: str, images: int, side: int, first: bool) -> None:
        self.weight, self.bias, self.of_weight, self.of_bias = store.of(name)
        out, self.channels = self.weight.shape[:2]
        self.first, self.side, pixels = first, side, images * side * side
        self.padded, self.of_padded = (np.zeros((self.channels, images, side + 2, side + 2), np.float32) for _ in range(2))
        self.columns = hand.empty(self.channels, 9, images, side, side)
        self.y = hand.empty(out, pixels)
        self.of_columns = hand.empty(self.channels * 9, pixels)

    def _windows(self, padded: Array) -> list[Array]:
        return [padded[:, :, i : i + self.side, j : j + self.side] for i in range(3) for j in range(3)]

    def forward(self, x: Array) -> Array:
        """(channels, images, side, side) to (out channels, images * side * side)."""
        self.padded[:, :, 1:-1, 1:-1] = x
        for i, window in enumerate(self._windows(self.padded)):
            self.columns[:, i] = window
        np.matmul(self.weight.reshape(len(self.weight), -1), self.columns.reshape(self.of_columns.shape), out=self.y)
        self.y += self.bias[:, None]
        return self.y

    def backward(self, g: Array) -> Array:
        """From (out channels, pixels)."""
        kernels = self.weight.reshape(len(self.weight), -1)
        np.matmul(g, self.columns.reshape(self.of_columns.shape).T, out=self.of_weight.reshape(kernels.shape))
        np.add.reduce(g, axis=1, out=self.of_bias)
        if self.first:
            return None
        np.matmul(kernels.T, g, out=self.of_columns)
        self.of_padded[...] = 0
        parts = self.of_columns.reshape(self.columns.shape)
        for i, window in enumerate(self._windows(self.of_padded)):
            window += parts[:, i]
        return self.of_padded[:, :, 1:-1, 1:-1]


class NormPoolReLU:
    """Batch norm of channels that are rows, then the larger of 2 by 2, then ReLU, which is quicker after the maximum."""

    def __init__(self, store: hand.Store, name: str, channels: int, images: int, side: int) -> None:
        self.norm = hand.RowNorm(store.of(name), channels, images * side * side, (1, channels, images * side * side))
        self.running_mean, self.running_var = np.zeros((channels, 1), np.float32), np.ones((channels, 1), np.float32)
        self.shape, half = (channels, images, side, side), (channels, images, side // 2, side // 2)
        self.largest, self.y, self.of_x = hand.empty(*half), hand.empty(*half), hand.empty(*self.shape)
        self.positive, self.chosen = np.empty(half, dtype=bool), np.empty(half, dtype=bool)

    def _corners(self, x: Array) -> list[Array]:
        return [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]

    def forward(self, x: Array) -> Array:
        """(channels, pixels) to (channels, images, side / 2, side / 2)."""
        self.x = self.norm.forward(x).reshape(self.shape)
        for running, new in ((self.running_mean, self.norm.mean), (self.running_var, self.norm.inverse**-2 - EPS)):
            running *= 0.9
            running += 0.1 * new
        a, b, c, d = self._corners(self.x)
        np.maximum(np.maximum(a, b, out=self.largest), np.maximum(c, d, out=self.y), out=self.largest)
        np.greater(self.largest, 0, out=self.positive)
        return np.multiply(self.largest, self.positive, out=self.y)

    def backward(self, g: Array) -> Array:
        """To where the largest stood."""
        g *= self.positive
        for corner, of_corner in zip(self._corners(self.x), self._corners(self.of_x), strict=True):
            np.equal(corner, self.largest, out=self.chosen)
            np.multiply(g, self.chosen, out=of_corner)
        return self.norm.backward(self.of_x.reshape(self.shape[0], -1))


class ToRows:
    """(channels, images, side, side) as a row an image, in PyTorch's order, and back."""

    def __init__(self, channels: int, images: int, side: int) -> None:
        self.rows, self.back = hand.empty(images, channels, side, side), hand.empty(channels, images, side, side)

    def forward(self, x: Array) -> Array:
        """A copy."""
        np.copyto(self.rows, x.transpose(1, 0, 2, 3))
        return self.rows.reshape(len(self.rows), -1)

    def backward(self, g: Array) -> Array:
        """A copy."""
        np.copyto(self.back, g.reshape(self.rows.shape).transpose(1, 0, 2, 3))
        return self.back


def network(side: int, channels: list[int], batch: int) -> Network:
    """Twice Conv2d, BatchNorm, ReLU and MaxPool2d, then a Linear to ten classes."""
    pairs = [(1, channels[0], side), (channels[0], channels[1], side // 2)]
    flat = channels[1] * (side // 4) ** 2
    shapes: dict[str, tuple[int, ...]] = {"2.1.weight": (10, flat), "2.1.bias": (10,)}
    for i, (a, b, _) in enumerate(pairs):
        shapes |= {f"{i}.0.weight": (b, a, 3, 3), f"{i}.0.bias": (b,), f"{i}.1.weight": (b,), f"{i}.1.bias": (b,)}

    def layers(nn: Any) -> list[Any]:
        norm = batch_norm(nn, 2)
        parts = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), norm(b), nn.ReLU(), nn.MaxPool2d(2)) for a, b, _ in pairs]
        return [*parts, nn.Sequential(nn.Flatten(), nn.Linear(flat, 10))]

    def function(f: Any, w: Any, x: Any) -> Any:
        for i in range(2):
            x = f.conv2d(x, w[f"{i}.0.weight"], w[f"{i}.0.bias"])
            x = f.max_pool2d(f.relu(f.batch_norm(x, w[f"{i}.1.weight"], w[f"{i}.1.bias"])))
        return f.linear(x.reshape((batch, flat)), w["2.1.weight"], w["2.1.bias"])

    def by_hand(store: hand.Store) -> list[Any]:
        inner: list[Any] = []
        for i, (_, b, n) in enumerate(pairs):
            inner += [Convolution(store, f"{i}.0.", batch, n, first=not i), NormPoolReLU(store, f"{i}.1.", b, batch, n)]
        return [Turned(), *inner, ToRows(channels[1], batch, side // 4), hand.Linear(store, "2.1.", batch)]

    return Network(started(shapes), normal(batch, 1, side, side), classes((batch,), 10), 10, layers, function, by_hand)


class Turned:
    """One channel: images first and channels first are the same in memory."""

    def forward(self, x: Array) -> Array:
        """A view."""
        return x.reshape(1, len(x), *x.shape[2:])

    def backward(self, g: Array) -> Array:
        """Nothing is wanted here."""
        return g


def build(library: Library, settings: Settings) -> Program:
    """A training step."""
    return library.train(network(**settings))


CONVOLUTION = Workload(
    "convolution",
    "one training step of Conv2d-BatchNorm-ReLU-MaxPool2d twice, and a Linear",
    "ms a step",
    milliseconds,
    CASES,
    SMALL,
    build,
)
