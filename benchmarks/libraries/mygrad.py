"""MyGrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..workloads.base import EPS, Array, Lacks, Network, Part, Program
from .functional import Functional, numpy_sgd


class MyGrad(Functional):
    """MyGrad's functions and its `nnet`; it has no optimizers."""

    own = "MyGrad"

    def __init__(self) -> None:
        import mygrad
        from mygrad.nnet import activations
        from mygrad.nnet import layers as layers

        self.xp, self.activations, self.layers = mygrad, activations, layers
        super().__init__()

    def relu(self, x: Any) -> Any:
        """Its own."""
        return self.activations.relu(x)

    def log_softmax(self, x: Any) -> Any:
        """Its own."""
        return self.activations.logsoftmax(x, axis=-1)

    def softmax(self, x: Any) -> Any:
        """Its own."""
        return self.activations.softmax(x, axis=-1)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Its own."""
        return self.layers.batchnorm(x, gamma=weight, beta=bias, eps=EPS)

    def conv2d(self, x: Any, weight: Any, bias: Any) -> Any:
        """Its own."""
        return self.layers.conv_nd(x, weight, stride=1, padding=1) + bias.reshape((1, -1, 1, 1))

    def max_pool2d(self, x: Any) -> Any:
        """Its own."""
        return self.layers.max_pool(x, (2, 2), 2)

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        """Its own."""
        return self.xp.transpose(x, *axes)

    def train(self, network: Network) -> Program:
        """With `backward`, and the update in NumPy."""
        leaves = {name: self.xp.tensor(value, copy=True) for name, value in network.parameters.items()}
        momentum = {name: np.zeros_like(value) for name, value in network.parameters.items()}
        x = self.xp.tensor(network.x, constant=True)

        def step() -> Any:
            loss = self.cross_entropy(network.function(self, leaves, x), network.labels)
            loss.backward()
            gradients = {name: leaf.grad for name, leaf in leaves.items()}
            numpy_sgd({name: leaf.data for name, leaf in leaves.items()}, gradients, momentum)
            return loss.data

        return Program(step, lambda loss: {"loss": loss, **leaves})

    def pull_back(self, part: Part) -> Program:
        """With `backward`."""
        function = part.function(self)
        leaves = {name: self.xp.tensor(array) for name, array in part.inputs.items()}
        constants = [self.xp.tensor(c, constant=True) if _floats(c) else c for c in part.constants]

        def step() -> Any:
            for leaf in leaves.values():
                leaf.null_grad()
            y = function(*leaves.values(), *constants)
            y.backward(part.incoming)
            return y.data

        return Program(step, lambda y: {"value": y, **{name: leaf.grad for name, leaf in leaves.items()}})

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """It has none."""
        raise Lacks("MyGrad has no optimizers")

    def numpy(self, value: Any) -> Array:
        """Without its tape."""
        return np.asarray(getattr(value, "data", value))

    def wait(self, result: Any) -> None:
        """Nothing is under way."""


def _floats(value: Any) -> bool:
    return getattr(value, "dtype", None) == np.float32
