"""The functions that networks and parts are written with where a library has NumPy's names but no layers.

A library says below what it has itself and takes the rest from here. Running averages of batch norm are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..workloads.base import EPS, L2, LR, MAX_NORM, MOMENTUM, SMOOTHING, Array, Lacks, decays

NAMES = (
    *("tanh", "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "dropout"),
    *("mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "kl_divergence", "hinge"),
)


class Functional:
    """Compositions over `xp`, which has NumPy's names."""

    xp: Any
    own: str
    """How the library is called in what it lacks."""

    def __init__(self) -> None:
        self.functions: Mapping[str, Callable[..., Any]] = {name: getattr(self, name) for name in NAMES}
        self.rng = np.random.default_rng(0)

    # ---- what every library has in some form

    def tanh(self, x: Any) -> Any:
        """Hyperbolic tangent."""
        return self.xp.tanh(x)

    def relu(self, x: Any) -> Any:
        """max(x, 0)."""
        return self.xp.maximum(x, 0)

    def log_softmax(self, x: Any) -> Any:
        """Along the last axis."""
        raise NotImplementedError

    def softmax(self, x: Any) -> Any:
        """Along the last axis."""
        return self.xp.exp(self.log_softmax(x))

    def dropout(self, x: Any, p: float) -> Any:
        """With a mask that NumPy draws."""
        if not p:
            return x
        return x * ((self.rng.random(x.shape, dtype=np.float32) >= p) * np.float32(1 / (1 - p)))

    def conv2d(self, x: Any, weight: Any, bias: Any) -> Any:
        """Of 3 by 3, with a padding of 1."""
        raise Lacks(f"{self.own} has no conv2d")

    def max_pool2d(self, x: Any) -> Any:
        """Of 2 by 2."""
        raise Lacks(f"{self.own} has no max_pool2d")

    def checkpoint(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, computed again in the backward."""
        raise Lacks(f"{self.own} has no checkpoint")

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        """With its axes in this order."""
        return self.xp.transpose(x, axes)

    # ---- compositions

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """x W^T + b."""
        return self.xp.matmul(x, weight.T) + bias

    def _standardized(self, x: Any, axes: tuple[int, ...]) -> Any:
        d = x - self.xp.mean(x, axis=axes, keepdims=True)
        return d / self.xp.sqrt(self.xp.mean(d * d, axis=axes, keepdims=True) + EPS)

    def _by_channel(self, x: Any, weight: Any, bias: Any) -> Any:
        shape = (1, -1, *[1] * (len(x.shape) - 2))
        return x * weight.reshape(shape) + bias.reshape(shape)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Over all axes but the second."""
        return self._by_channel(self._standardized(x, (0, *range(2, len(x.shape)))), weight, bias)

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Over the last axis."""
        return self._standardized(x, (-1,)) * weight + bias

    def group_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """In four groups of channels."""
        grouped = self._standardized(x.reshape((x.shape[0], 4, -1)), (-1,))
        return self._by_channel(grouped.reshape(x.shape), weight, bias)

    def instance_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Over all axes but the first two."""
        return self._by_channel(self._standardized(x, tuple(range(2, len(x.shape)))), weight, bias)

    def rms_norm(self, x: Any, weight: Any) -> Any:
        """Over the last axis."""
        return x / self.xp.sqrt(self.xp.mean(x * x, axis=-1, keepdims=True) + EPS) * weight

    def mse(self, x: Any, target: Any) -> Any:
        """Mean of squares."""
        d = x - target
        return self.xp.mean(d * d)

    def mae(self, x: Any, target: Any) -> Any:
        """Mean of absolute values."""
        return self.xp.mean(self.xp.abs(x - target))

    def huber(self, x: Any, target: Any) -> Any:
        """Mean of near (|d| - near / 2), where near is |d| up to 1."""
        d = self.xp.abs(x - target)
        near = self.xp.minimum(d, 1)
        return self.xp.mean(near * (d - near / 2))

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        """With class indices and label smoothing."""
        log_p = self.log_softmax(logits)
        rows, number = log_p.shape
        at_label = self.xp.sum(log_p[np.arange(rows), labels])
        return (at_label * (SMOOTHING - 1) - self.xp.sum(log_p) * (SMOOTHING / number)) / rows

    def binary_cross_entropy(self, z: Any, target: Any) -> Any:
        """Of logits."""
        return self.xp.mean(self.relu(z) - z * target + self.xp.log1p(self.xp.exp(-self.xp.abs(z))))

    def kl_divergence(self, log_q: Any, p: Any) -> Any:
        """Mean over rows of sum p (log p - log q); p is above 0."""
        return self.xp.sum(p * (self.xp.log(p) - log_q)) / len(log_q)

    def hinge(self, scores: Any, target: Any) -> Any:
        """Mean of max(0, 1 - target score)."""
        return self.xp.mean(self.relu(1 - target * scores))


def numpy_sgd(values: Mapping[str, Array], gradients: Mapping[str, Array], momentum: Mapping[str, Array]) -> None:
    """Clipping and a step in NumPy, in place, for libraries without optimizers."""
    norm = np.sqrt(sum(np.vdot(g, g) for g in gradients.values()))
    factor = min(1.0, float(MAX_NORM / norm))
    for name, value in values.items():
        g, v = gradients[name] * factor, momentum[name]
        if decays(value):
            g += L2 * value
        v *= MOMENTUM
        v += g
        value -= LR * v
