"""HIPS autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..workloads.base import Array, Lacks, Network, Part, Program
from .functional import Functional, numpy_sgd


class Autograd(Functional):
    """autograd's `numpy`; it has no layers and no optimizers."""

    own = "autograd"

    def __init__(self) -> None:
        import autograd
        import autograd.numpy as anp
        from autograd.scipy.signal import convolve
        from autograd.scipy.special import logsumexp

        self.xp, self.autograd, self.convolve, self.logsumexp = anp, autograd, convolve, logsumexp
        super().__init__()

    def log_softmax(self, x: Any) -> Any:
        """With its logsumexp."""
        return x - self.logsumexp(x, axis=-1, keepdims=True)

    def conv2d(self, x: Any, weight: Any, bias: Any) -> Any:
        """With its convolve, which turns kernels round."""
        x = self.xp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="constant")
        y = self.convolve(x, weight[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")
        return y + bias.reshape((1, -1, 1, 1))

    def max_pool2d(self, x: Any) -> Any:
        """As a maximum over axes of two."""
        n, channels, height, width = x.shape
        return self.xp.max(x.reshape((n, channels, height // 2, 2, width // 2, 2)), axis=(3, 5))

    def checkpoint(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Its own."""
        checkpoint: Callable[..., Callable[..., Any]] = self.autograd.checkpoint
        return checkpoint(function)

    def train(self, network: Network) -> Program:
        """With `value_and_grad`, and the update in NumPy."""
        values = {name: value.copy() for name, value in network.parameters.items()}
        momentum = {name: np.zeros_like(value) for name, value in values.items()}

        def objective(w: Any) -> Any:
            return self.cross_entropy(network.function(self, w, network.x), network.labels)

        value_and_grad = self.autograd.value_and_grad(objective)

        def step() -> Any:
            loss, gradients = value_and_grad(values)
            numpy_sgd(values, gradients, momentum)
            return loss

        return Program(step, lambda loss: {"loss": loss, **values})

    def pull_back(self, part: Part) -> Program:
        """With `make_vjp`."""
        function, inputs = part.function(self), list(part.inputs.values())
        vjp = self.autograd.make_vjp(function, tuple(range(len(inputs))))
        incoming = np.float32(1) if part.incoming is None else part.incoming

        def step() -> Any:
            pull, y = vjp(*inputs, *part.constants)
            return y, pull(incoming)

        return Program(step, lambda done: {"value": done[0], **dict(zip(part.inputs, done[1], strict=True))})

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """It has none."""
        raise Lacks("autograd has no optimizers for float32 arrays")

    def numpy(self, value: Any) -> Array:
        """NumPy's already."""
        return np.asarray(value)

    def wait(self, result: Any) -> None:
        """Nothing is under way."""
