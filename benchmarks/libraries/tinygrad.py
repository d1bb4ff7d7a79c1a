"""tinygrad on the CPU, with a whole step in one `TinyJit`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..workloads.base import (
    BETAS,
    EPS,
    L2,
    LR,
    MAX_NORM,
    MOMENTUM,
    SMOOTHING,
    Array,
    Network,
    Part,
    Program,
    Shrinking,
    decays,
)
from .functional import Functional


def _method(name: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any, axis: Any = None, keepdims: bool = False) -> Any:
        reducing = {"axis": axis, "keepdim": keepdims} if name in ("mean", "sum") else {}
        return getattr(x, name)(*args, **reducing)

    return call


class TinyGrad(Functional):
    """tinygrad's Tensor methods under NumPy's names."""

    own = "tinygrad"

    def __init__(self) -> None:
        import tinygrad
        from tinygrad import nn
        from tinygrad.helpers import DEV, TRAINING

        DEV.value = "CPU"
        TRAINING.value = 1  # without which there is no dropout, and no step
        self.Tensor, self.nn, self.device = tinygrad.Tensor, nn, tinygrad.Device["CPU"]
        self.jit: Callable[[Any], Any] = tinygrad.TinyJit
        names = ("mean", "sum", "exp", "log", "sqrt", "tanh", "abs", "minimum", "maximum")
        self.xp = SimpleNamespace(matmul=lambda a, b: a @ b, **{name: _method(name) for name in names})
        super().__init__()

    # ---- functions

    def log_softmax(self, x: Any) -> Any:
        """Its own."""
        return x.log_softmax()

    def softmax(self, x: Any) -> Any:
        """Its own."""
        return x.softmax()

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Its own."""
        return x.layernorm(eps=EPS) * weight + bias

    def dropout(self, x: Any, p: float) -> Any:
        """Its own; a copy where nothing is dropped, because `TinyJit` wants something to do."""
        return x.dropout(p) if p else x.clone()

    def conv2d(self, x: Any, weight: Any, bias: Any) -> Any:
        """Its own."""
        return x.conv2d(weight, bias, padding=1)

    def max_pool2d(self, x: Any) -> Any:
        """Its own."""
        return x.max_pool2d()

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        """Its own."""
        return x.permute(*axes)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        """Its own."""
        return logits.sparse_categorical_crossentropy(labels, label_smoothing=SMOOTHING)

    def binary_cross_entropy(self, z: Any, target: Any) -> Any:
        """Its own."""
        return z.binary_crossentropy_logits(target)

    # ---- programs

    def train(self, network: Network) -> Program:
        """With `gradient` and `assign`."""
        w = {name: self._tensor(value) for name, value in network.parameters.items()}
        v = {name: self._tensor(np.zeros_like(value)) for name, value in network.parameters.items()}
        x, labels = self._tensor(network.x), self._tensor(network.labels.astype(np.int32))

        @self.jit
        def step() -> Any:
            loss = self.cross_entropy(network.function(self, w, x), labels)
            gradients = loss.gradient(*w.values())
            factor = (MAX_NORM / _norm(gradients)).minimum(1)
            for name, g in zip(w, gradients, strict=True):
                v[name].assign(MOMENTUM * v[name] + g * factor + (L2 * w[name] if decays(w[name]) else 0))
                w[name].assign(w[name] - LR * v[name])
            loss.realize(*w.values(), *v.values())
            return loss

        return Program(step, lambda loss: {"loss": loss, **w})

    def pull_back(self, part: Part) -> Program:
        """With `gradient`."""
        function, inputs = part.function(self), [self._tensor(array) for array in part.inputs.values()]
        constants = [self._tensor(c) if hasattr(c, "dtype") else c for c in part.constants]
        incoming = None if part.incoming is None else self._tensor(part.incoming)

        @self.jit
        def step() -> Any:
            y = function(*inputs, *constants)
            gradients = y.gradient(*inputs, gradient=incoming)
            y.realize(*gradients)
            return y, *gradients

        return Program(step, lambda done: dict(zip(("value", *part.inputs), done, strict=True)))

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """With `nn.optim`; clipping is written out."""
        w, g = ([self._tensor(each) for each in arrays] for arrays in (values, gradients))
        if kind == "clipping":
            return self._clipping(g, Shrinking(gradients))
        optim = self.nn.optim
        for value, gradient in zip(w, g, strict=True):
            value.requires_grad, value.grad = True, gradient
        optimizer = (
            optim.SGD(w, lr=LR, momentum=MOMENTUM) if kind == "SGD" else optim.Adam(w, lr=LR, b1=BETAS[0], b2=BETAS[1])
        )
        return Program(self.jit(optimizer.step), lambda _: {str(i): value for i, value in enumerate(w)})

    def _clipping(self, g: Sequence[Any], shrinking: Shrinking) -> Program:
        @self.jit
        def clip(max_norm: Any) -> None:
            factor = (max_norm / _norm(g)).minimum(1)
            for each in g:
                each.assign(each * factor)
            g[0].realize(*g[1:])

        def step() -> None:
            clip(self._tensor(np.array([shrinking.next()], dtype=np.float32)))

        return Program(step, lambda _: {str(i): each for i, each in enumerate(g)})

    def _tensor(self, array: Array) -> Any:
        return self.Tensor(np.ascontiguousarray(array)).contiguous().realize()

    def numpy(self, value: Any) -> Array:
        """A copy."""
        return value.numpy().copy()

    def wait(self, result: Any) -> None:
        """The CPU's queue."""
        self.device.synchronize()


def _norm(gradients: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, [(g * g).sum() for g in gradients]).sqrt()
