"""JAX, with a whole step in one `jit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..workloads.base import ADAM_EPS, BETAS, L2, LR, MAX_NORM, MOMENTUM, Array, Network, Part, Program, Shrinking, decays
from .functional import Functional


class Jax(Functional):
    """`jax.numpy`, `jax.nn`, `jax.lax`, `jax.random`; it has no optimizers, so these are written out, and compiled too."""

    own = "JAX"

    def __init__(self) -> None:
        import jax

        self.jax, self.xp = jax, jax.numpy
        self.jit: Callable[..., Any] = jax.jit
        super().__init__()
        self.key, self.drawn = jax.random.key(0), 0

    # ---- functions

    def relu(self, x: Any) -> Any:
        """Its own."""
        return self.jax.nn.relu(x)

    def log_softmax(self, x: Any) -> Any:
        """Its own."""
        return self.jax.nn.log_softmax(x)

    def softmax(self, x: Any) -> Any:
        """Its own."""
        return self.jax.nn.softmax(x)

    def dropout(self, x: Any, p: float) -> Any:
        """With a mask from the step's key, and the number of the mask in the step."""
        if not p:
            return x
        self.drawn += 1
        keep = self.jax.random.bernoulli(self.jax.random.fold_in(self.key, self.drawn), 1 - p, x.shape)
        return self.xp.where(keep, x / (1 - p), 0)

    def conv2d(self, x: Any, weight: Any, bias: Any) -> Any:
        """Its own."""
        return self.jax.lax.conv(x, weight, (1, 1), "SAME") + bias.reshape((1, -1, 1, 1))

    def max_pool2d(self, x: Any) -> Any:
        """Its own."""
        window = (1, 1, 2, 2)
        return self.jax.lax.reduce_window(x, -np.inf, self.jax.lax.max, window, window, "VALID")

    def checkpoint(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Its own."""
        again: Callable[..., Any] = self.jax.checkpoint(function)
        return again

    # ---- programs

    def train(self, network: Network) -> Program:
        """With `value_and_grad`, in one compiled function that takes over its old parameters."""
        jax, xp = self.jax, self.xp
        w = {name: xp.array(value) for name, value in network.parameters.items()}
        state = {"w": w, "v": {name: xp.zeros_like(value) for name, value in w.items()}, "key": jax.random.key(0)}
        x, labels = xp.array(network.x), xp.array(network.labels)

        def objective(w: Any, x: Any, labels: Any) -> Any:
            return self.cross_entropy(network.function(self, w, x), labels)

        def update(state: Any, x: Any, labels: Any) -> Any:
            self.key, following = jax.random.split(state["key"])
            w, v = state["w"], state["v"]
            loss, g = jax.value_and_grad(objective)(w, x, labels)
            norm = xp.sqrt(sum(xp.vdot(each, each) for each in g.values()))
            g = {name: each * xp.minimum(1, MAX_NORM / norm) for name, each in g.items()}
            v = {name: MOMENTUM * v[name] + g[name] + (L2 * w[name] if decays(w[name]) else 0) for name in w}
            return loss, {"w": {name: w[name] - LR * v[name] for name in w}, "v": v, "key": following}

        compiled = self.jit(update, donate_argnums=0)

        def step() -> Any:
            nonlocal state
            loss, state = compiled(state, x, labels)
            return loss

        return Program(step, lambda loss: {"loss": loss, **state["w"]})

    def pull_back(self, part: Part) -> Program:
        """With `vjp`."""
        jax, xp, function = self.jax, self.xp, part.function(self)
        inputs = [xp.array(array) for array in part.inputs.values()]
        arrays = [xp.array(c) for c in part.constants if hasattr(c, "dtype")]
        numbers = [c for c in part.constants if not hasattr(c, "dtype")]
        incoming, key = xp.array(1.0 if part.incoming is None else part.incoming), jax.random.key(0)

        @self.jit
        def both(key: Any, inputs: Any, arrays: Any, incoming: Any) -> Any:
            self.key, following = jax.random.split(key)
            y, pull = jax.vjp(lambda *leaves: function(*leaves, *arrays, *numbers), *inputs)
            return y, pull(incoming), following

        def step() -> Any:
            nonlocal key
            y, gradients, key = both(key, inputs, arrays, incoming)
            return y, gradients

        return Program(step, lambda done: {"value": done[0], **dict(zip(part.inputs, done[1], strict=True))})

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """The formulas, over lists of arrays, compiled."""
        xp, shrinking = self.xp, Shrinking(gradients)
        w, g = ([xp.array(each) for each in arrays] for arrays in (values, gradients))
        zeros = [xp.zeros_like(each) for each in w]
        state: Any = (w, zeros, [xp.zeros_like(each) for each in w], xp.array(0))
        (beta1, beta2), clipping = BETAS, kind == "clipping"

        def sgd(state: Any, g: Any) -> Any:
            w, v, unused, t = state
            v = [MOMENTUM * a + b for a, b in zip(v, g, strict=True)]
            return [a - LR * b for a, b in zip(w, v, strict=True)], v, unused, t

        def adam(state: Any, g: Any) -> Any:
            w, m, v, t = state
            t = t + 1
            m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
            v = [beta2 * a + (1 - beta2) * b * b for a, b in zip(v, g, strict=True)]
            by = LR / (1 - beta1**t)
            root = xp.sqrt(1 - beta2**t)
            w = [a - by * b / (xp.sqrt(c) / root + ADAM_EPS) for a, b, c in zip(w, m, v, strict=True)]
            return w, m, v, t

        def clip(g: Any, max_norm: Any) -> Any:
            norm = xp.sqrt(sum(xp.vdot(each, each) for each in g))
            return [each * xp.minimum(1, max_norm / norm) for each in g]

        update = self.jit({"SGD": sgd, "Adam": adam, "clipping": clip}[kind], donate_argnums=0)

        def step() -> Any:
            nonlocal state, g
            if clipping:
                g = update(g, shrinking.next())
                return g
            state = update(state, g)
            return state

        return Program(step, lambda _: {str(i): each for i, each in enumerate(g if clipping else state[0])})

    def numpy(self, value: Any) -> Array:
        """A copy, because the next step takes over its memory."""
        return np.array(value)

    def wait(self, result: Any) -> None:
        """Until the arrays are there."""
        self.jax.block_until_ready(result)
